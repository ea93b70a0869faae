import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, request as forward } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { http } from '../clients/rest-kv.ts';
import { Cluster } from '../harness/cluster.ts';
import { HANGS_MS, spawnOwned, until } from '../harness/processes.ts';
import { commandLine, runCli, runShellLine } from './command-line.ts';

let cluster: Cluster;
let endpoint: string;
const directory = mkdtempSync(join(tmpdir(), 'kahuna-cli-'));

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, storage: 'memory', breakableNetwork: false });
  endpoint = cluster.node(1).url;
});
afterAll(async () => {
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

const cli = (...args: string[]) => runCli(['-c', endpoint, ...args]);

describe('single commands on a real node (cli §2 to §4)', () => {
  test('cli:T42 members, as a table and as the document that REST answers', async () => {
    const { output } = await cli('--cluster-members');
    expect(output).toMatch(
      /^Membership version 1 {2}Local role Voter {2}Initialized True\n\n┌─+┬─+┬─+┬─+┐\n│ Endpoint +│ Node ID │ Role {2}│ Joined Version │\n/,
    );
    expect(output).toMatch(/└─+┴─+┴─+┴─+┘\n\n$/);
    const widths = output
      .split('\n')
      .slice(2, -2)
      .map(line => line.length);
    expect(new Set(widths).size).toBe(1);
    const json = await cli('--cluster-members', '--format', 'json');
    expect(JSON.parse(json.output)).toEqual(await cluster.membership());
  });

  test('any bytes come from the standard input and are shown safely', async () => {
    const bytes = Uint8Array.of(0xff, 0x00, 0x1b);
    expect((await runCli(['-c', endpoint, '--set', 'binary', '--value', '-'], { input: bytes })).code).toBe(0);
    expect((await cli('--get', 'binary')).output).toBe('r0 get 0xff001b\n');
    expect(JSON.parse((await cli('--get', 'binary', '--format', 'json')).output)).toMatchObject({ value: '0xff001b' });
  });

  test('values keep their line breaks, blanks and leading dashes', async () => {
    await cli('--set', 'text', '--value=--one\n  two ');
    expect((await cli('--get', 'text')).output).toBe('r0 get --one\n  two \n');
    await cli('--set', 'empty', '--value', '');
    expect((await cli('--get', 'empty')).output).toBe('r0 get (empty str)\n');
  });

  test('extend, as text and as JSON', async () => {
    await cli('--set', 'x', '--value', '1', '--expires', '60000');
    expect((await cli('--extend', 'x', '--expires', '0')).output).toMatch(/^r0 extended \d+ms\n$/);
    expect((await cli('--extend', 'never')).output).toMatch(/^r-1 not found \d+ms\n$/);
    expect((await cli('--extend', 'x', '--format', 'json')).output).toBe(
      '{"Key":"x","success":true,"revision":0,"value":null,"durability":"Persistent"}\n',
    );
  });

  test('locks as JSON', async () => {
    const lock = JSON.parse((await cli('--lock', 'jobs/json', '--expires', '300000', '--format', 'json')).output) as {
      owner: string;
    };
    expect(lock).toEqual({
      resource: 'jobs/json',
      isAcquired: true,
      fencingToken: 0,
      owner: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const shown = JSON.parse((await cli('--get-lock', 'jobs/json', '--format', 'json')).output) as unknown;
    expect(shown).toEqual({ resource: 'jobs/json', fencingToken: 0, owner: lock.owner, expires: expect.any(Number) });
    const extend = ['--extend-lock', 'jobs/json', '--expires', '300000', '--format', 'json', '--owner'];
    expect((await cli(...extend, lock.owner)).output).toBe('True\n');
    expect((await cli(...extend, 'other')).output).toBe('False\n');
    expect((await cli('--unlock-lock', 'jobs/json', '--owner', lock.owner, '--format', 'json')).output).toBe('True\n');
    expect((await cli('--get-lock', 'jobs/json', '--format', 'json')).output).toBe('null\n');
  });

  test('sequences: exact 64-bit numbers, what exists already, what is not there', async () => {
    const top = '9223372036854775807';
    await cli('--create-sequence', 'big', '--initial-value', '9223372036854775800', '--max-value', top);
    const big = await cli('--get-sequence', 'big', '--format', 'json');
    expect(big.output).toContain(`"initialValue":9223372036854775800,"increment":1,"maxValue":${top},`);
    expect((await cli('--next-sequence', 'big')).output).toMatch(/^r\d+ next big 9223372036854775801\n$/);
    expect(await cli('--create-sequence', 'big')).toEqual({ code: 1, output: 'KahunaException: Sequence already exists\n' });
    expect((await cli('--reserve-sequence', 'big', '--count', '100')).output).toBe(
      'KahunaException: Sequence max value exceeded\n',
    );
    expect((await cli('--next-sequence', 'nobody')).output).toBe('KahunaException: Sequence not found\n');
    expect(await cli('--get-sequence', 'nobody', '--format', 'json')).toEqual({ code: 0, output: 'null\n' });
  });

  test('prefix reads go on beyond one page of the server', async () => {
    const count = 5000;
    const items = Array.from({ length: count }, (_, i) => ({
      key: `many/${String(i).padStart(5, '0')}`,
      value: Buffer.from(`v${i}`).toString('base64'),
      expiresMs: 0,
      flags: 1,
      durability: 1,
    }));
    for (let at = 0; at < count; at += 500) {
      const answer = await http(`${endpoint}/v1/kv/try-set-many`, {
        body: JSON.stringify({ items: items.slice(at, at + 500) }),
      });
      expect(answer.status).toBe(200);
    }
    const lines = (await cli('--get-by-bucket', 'many')).output.trimEnd().split('\n');
    expect(lines).toHaveLength(count);
    expect(lines.at(-1)).toBe(`r0 many/04999 v4999`);
    const { code, output } = await runShellLine('kahuna-cli --get-by-bucket many | head -1', endpoint);
    expect([code, output]).toEqual([0, 'r0 many/00000 v0\n']);
    const scan = await cli('--scan-by-prefix', 'many/');
    expect(scan.code).toBe(1);
    expect(scan.output.split('\n').slice(4095)).toEqual([
      'r0 many/04095 v4095',
      'KahunaException: the server answers at most 4096 keys with prefix "many/"',
      '',
    ]);
  });

  test('a pipe gets no colours, and a wrong command line nothing on stdout', async () => {
    await cli('--set', 'plain', '--value', 'v');
    expect((await runShellLine('kahuna-cli --get plain 2>/dev/null | od -c | grep -c 033', endpoint)).output).toBe('0\n');
    expect((await runShellLine('kahuna-cli --set plain 2>/dev/null', endpoint)).output).toBe('');
    expect((await runShellLine('kahuna-cli -c http://127.0.0.1:1 --get plain --format json 2>/dev/null', endpoint)).output).toBe(
      '{"error":"ConnectionException","message":"Cannot connect to the server. Check that the server is running and the connection settings are correct."}\n',
    );
  });

  test('without -c the error says which endpoints were tried and how to name another', async () => {
    const { code, output } = await runCli(['--get', 'x']);
    expect(code).toBe(1);
    expect(output).toContain('https://localhost:8082');
    expect(output).toContain('-c http://localhost:2070');
  });

  test('a port that speaks only HTTP/1.1 is asked over REST (cli §1)', async () => {
    const proxy = createHttpServer((request, response) => {
      const { method = 'GET', headers } = request;
      const onward = forward(`${endpoint}${request.url}`, { method, headers }, answer => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const line = `set rest/a "1"\nget rest/a\nget by bucket \`rest\`\nlock rest/l 60000\ncreate-sequence rest\nnext-sequence rest key\n`;
    const { code, output } = await runCli(['-c', `http://127.0.0.1:${port}`], { input: line });
    proxy.close();
    expect(output.replace(/\d+ms|[0-9a-f]{32}/g, '…')).toBe(
      'r0 set …\nr0 1 …\nr0 1 …\nf0 acquired …\nr0 created rest current 0 increment 1 max -\nr1 next rest 1\nDisposing persistent lock …...\n',
    );
    expect(code).toBe(0);
  });

  test('an endpoint that does not answer is passed over', async () => {
    await cli('--set', 'passed', '--value', 'v');
    expect((await runCli(['-c', `http://127.0.0.1:1,${endpoint}`, '--get', 'passed'])).output).toBe('r0 get v\n');
  });
});

describe('what is asked of single nodes (cli §3.1 to §3.3)', () => {
  const NO_RANGES = 'Range routing is not available in this release.';

  test('cli:T43 a single node cannot leave', async () => {
    const { code, output } = await cli('--cluster-leave');
    expect(output).toBe(
      `Node ${endpoint}  Outcome RefusedInsufficientVoters  Membership version 1
Refused: removing this node would leave the cluster without a voter. Do not retry — add a voter first, or stop the cluster instead of shrinking it.

`,
    );
    expect(code).toBe(1);
    const json = await cli('--cluster-leave', '--format', 'json');
    expect(JSON.parse(json.output)).toMatchObject({ left: false, outcome: 'RefusedInsufficientVoters' });
    expect(json.code).toBe(1);
  });

  test('cli:T44 ranges, as far as this server has them', async () => {
    const { localEndpoint } = (await (await fetch(`${endpoint}/v1/ranges`)).json()) as { readonly localEndpoint: string };
    expect(await cli('--ranges')).toEqual({
      code: 0,
      output: `Node ${localEndpoint} initialized  0 key space(s)\n\nNo key space is key-range routed on this node.\n\n`,
    });
    const again =
      '\nSome nodes did not register the key space. Until every node knows it, some nodes may still hash this space; repeat the command.\n';
    expect(await cli('--register-key-range', 't:r')).toEqual({
      code: 1,
      output: `Refused: ${endpoint} — status KeyRangeDisabled — ${NO_RANGES}\n${again}`,
    });
    expect(await cli('--register-key-range', 'a/meta')).toEqual({
      code: 1,
      output: `Refused: ${endpoint} — status InvalidInput — Key space 'a/meta' is a schema-log space and is never key-range routed.\n${again}`,
    });
    expect(await cli('--unregister-key-range', 't:r')).toEqual({
      code: 0,
      output: `Removed: ${endpoint} — 0 descriptor(s) remain\n`,
    });
    const split = await cli('--split-range', 't:r', '--split-key', 't:r/m');
    expect(split.output).toMatch(/^Not split: status NoRange — /);
    expect(split.code).toBe(1);
    expect(await cli('--merge-ranges')).toEqual({
      code: 0,
      output: 'Merge pass complete: no adjacent ranges were small enough to fold.\n',
    });
  });

  test('cli:T45 replicas: every node holds everything', async () => {
    const { code, output } = await cli('--set-replication-factor', '0', '--partition', '3');
    expect(output).toMatch(/^Refused: status Refused — /);
    expect(code).toBe(1);
    const placement = (await cli('--cluster-placement')).output;
    expect(placement).toMatch(
      /^Replication factor 0 \(full replication\) {2}Rebalancer disabled {2}Node \S+ hosts 3 of 3 partitions\n\n┌/,
    );
    expect(placement).toMatch(/│ 2 +│ Active │ 0 +│ 0 +│ yes +│ all voters \(full replication\) │\n/);
    expect(JSON.parse((await cli('--cluster-placement', '--format', 'json')).output)).toMatchObject({ hostedPartitionCount: 3 });
  });

  test('cli:T46 backups that are not configured, whatever is asked of them', async () => {
    const id = '0190a1b2-0000-7000-8000-000000000001';
    for (const args of [
      ['--backup-full'],
      ['--backup-incremental', '--parent-backup-id', id],
      ['--backup-coordinated'],
      ['--list-backups'],
      ['--backup-chain', id],
      ['--backup-gc', '--backup-gc-dry-run'],
      ['--restore', id, '--target-dir', '/tmp/x'],
    ]) {
      expect(await cli(...args)).toEqual({ code: 1, output: 'KahunaException: Backup is not configured on this node.\n' });
    }
    const json = await cli('--backup-full', '--format', 'json');
    expect(JSON.parse(json.output)).toEqual({ error: 'KahunaException', message: 'Backup is not configured on this node.' });
  });

  test('cli:T41 a node that is named and does not answer', async () => {
    const { code, output } = await cli('--cluster-placement', '--node', '127.0.0.1:1');
    expect(output).toMatch(/^ConnectionException: Cannot connect to the server\./);
    expect(code).toBe(1);
  });
});

describe('ends of the program (cli §2.1)', () => {
  test('Ctrl+C ends a waiting command with 130', async () => {
    // Connections are accepted and nothing is ever answered: the first bytes never come.
    const silent = createServer(socket => socket.on('error', () => socket.destroy()));
    let connections = 0;
    silent.on('connection', () => {
      connections += 1;
    });
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const child = spawnOwned(process.execPath, [commandLine(), '-c', `http://127.0.0.1:${port}`, '--get', 'k'], {
      stdio: 'ignore',
    });
    const exit = new Promise(resolve => {
      child.on('exit', resolve);
    });
    await until('the connection of the command', HANGS_MS, () => connections >= 2);
    child.kill('SIGINT');
    expect(await exit).toBe(130);
    silent.close();
  });

  test('out of a pipe every line runs, and one that fails makes the end 1', async () => {
    const { code, output } = await runCli(['-c', endpoint], { input: 'get\nset piped "1"\n\nget piped' });
    expect(output).toMatch(/^usage: get .*\nr0 set \d+ms\nr0 1 \d+ms\n$/);
    expect(code).toBe(1);
  });

  test('an open text goes on over lines of a pipe', async () => {
    const { output } = await runCli(['-c', endpoint], { input: 'set lines "one\ntwo"\nget lines\n' });
    expect(output).toMatch(/^r0 set \d+ms\nr0 one\ntwo \d+ms\n$/);
  });
});
