import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import type { Host } from '../host.ts';
import type { TextSink } from '../output/output.ts';
import { run } from '../run.ts';

/** Commands on members, replicas and ranges against nodes that answer what the test says: what a server of this release never answers, too. */

const NOBODY = 'http://127.0.0.1:1';
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A node that answers so by path. `asked`: what it was sent. */
async function node(answers: Readonly<Record<string, object>>): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', chunk => {
      body += chunk;
    });
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${body}`.trim());
      response.end(JSON.stringify(answers[(request.url ?? '').split('?')[0] ?? ''] ?? {}));
    });
  });
  servers.push(server);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function cli(...argv: string[]): Promise<{ readonly code: number; readonly output: string }> {
  let output = '';
  const sink: TextSink = {
    write: text => {
      output += text;
      return true;
    },
    once: () => undefined,
    off: () => undefined,
  };
  const host: Host = {
    env: {},
    stdin: new PassThrough().end(),
    stdout: sink,
    stderr: sink,
    terminal: undefined,
    outputIsTerminal: false,
    errorsAreTerminal: false,
    interrupted: new AbortController().signal,
    connect: () => Promise.reject(new Error('the client library was asked')),
  };
  return { code: await run(argv, host), output };
}

describe('leaving (cli §3.1)', () => {
  const left = { left: true, drained: true, outcome: 'Committed', membershipVersion: 4, retryable: false, reason: 'Removed.' };

  test.each([
    [left, 0, 'Replicas were evacuated onto surviving nodes before the removal committed.'],
    [{ ...left, drained: false }, 0, 'No replicas were evacuated: either no range'],
    [{ ...left, left: false, retryable: true }, 1, 'The node is still in the roster; re-check membership before stopping it.'],
    [{ ...left, left: false }, 1, '\n'],
  ])('%o', async (answer, code, remark) => {
    const { url, asked } = await node({ '/v1/cluster/leave': answer });
    const done = await cli('-c', url, '--cluster-leave');
    expect(done.output.startsWith(`Node ${url}  Outcome Committed  Membership version 4\nRemoved.\n${remark}`)).toBe(true);
    expect(done.code).toBe(code);
    expect(asked).toEqual(['POST /v1/cluster/leave']);
  });
});

describe('ranges (cli §3.2)', () => {
  const seeded = { success: true, status: 'Seeded', seeded: true, routingMode: 'KeyRange', descriptorCount: 1, reason: null };

  test('every endpoint is told of a space; one that cannot be reached does not stop the walk', async () => {
    const first = await node({ '/v1/ranges/register': seeded });
    const last = await node({ '/v1/ranges/register': { ...seeded, seeded: false, descriptorCount: 2 } });
    const { code, output } = await cli('-c', `${first.url},${NOBODY},${last.url}`, '--register-key-range', 'a');
    const lines = output.split('\n');
    expect(lines[0]).toBe(
      `Seeded: ${first.url} — this call committed the whole-space descriptor (routing KeyRange, 1 descriptor(s))`,
    );
    expect(lines[1]).toContain(`Refused: ${NOBODY} — status Unreachable — `);
    expect(lines[2]).toBe(`Registered: ${last.url} — a descriptor already existed (routing KeyRange, 2 descriptor(s))`);
    expect(lines[4]).toMatch(/^Some nodes did not register the key space\./);
    expect(code).toBe(1);
    expect(last.asked).toEqual(['POST /v1/ranges/register {"keySpace":"a"}']);
  });

  test('one node that is named: the others are looked at, and told of only if they still hash', async () => {
    const named = await node({ '/v1/ranges/register': seeded });
    const hashes = await node({ '/v1/ranges': { keySpaces: [{ keySpace: 'a', routingMode: 'Hash' }] } });
    const knows = await node({ '/v1/ranges': { keySpaces: [{ keySpace: 'a', routingMode: 'KeyRange' }] } });
    const register = ['--register-key-range', 'a', '--node', named.url];
    const only = `\nOnly ${named.url} was registered. Repeat this on every node, or the cluster is left half-configured.\n`;
    expect((await cli('-c', `${named.url},${hashes.url}`, ...register)).output).toContain(only);
    const { code, output } = await cli('-c', `${named.url},${knows.url}`, ...register);
    expect(output).not.toContain('Only');
    expect(code).toBe(0);
  });

  test('a split goes from node to node until one leads', async () => {
    const hint = 'http://node-3:8082';
    const follower = await node({
      '/v1/ranges/split': { success: false, status: 'NotLeader', determinate: true, leaderHint: hint, reason: 'not here' },
    });
    const leader = await node({
      '/v1/ranges/split': { success: true, status: 'Succeeded', determinate: true, newPartitionId: 5, newGeneration: 2 },
    });
    const split = ['--split-range', 'a', '--split-key', 'a/m'];
    expect(await cli('-c', `${NOBODY},${follower.url},${leader.url}`, ...split)).toEqual({
      code: 0,
      output:
        'Split: a at a/m — the upper half is now served by partition 5 at generation 2.\nRead the result back with --ranges --key-space a.\n',
    });
    expect(await cli('-c', follower.url, ...split)).toEqual({
      code: 1,
      output: `Not split: status NotLeader — not here\nTry --node ${hint}.\n`,
    });
  });

  test('what nobody knows is said', async () => {
    const { url } = await node({
      '/v1/ranges/split': { success: false, status: 'CutoverFailed', determinate: false, reason: null },
      '/v1/ranges/merge': { success: false, status: 'Indeterminate', determinate: false, reason: 'late' },
    });
    expect((await cli('-c', url, '--split-range', 'a', '--split-key', 'b')).output).toBe(
      'Not split: status CutoverFailed — no reason reported\nThis outcome is indeterminate — the split may still land. Re-read --ranges --key-space a before deciding what happened.\n',
    );
    expect((await cli('-c', url, '--merge-ranges')).output).toBe(
      'No merge pass ran: status Indeterminate — late\nThis outcome is indeterminate — merges already committed stay committed. Re-read --ranges.\n',
    );
  });

  test('the map as a node has it', async () => {
    const range = { startKey: null, endKey: 'a/m', partitionId: 4, generation: 2 };
    const { url } = await node({
      '/v1/ranges': {
        initialized: false,
        localEndpoint: 'node-1:8082',
        keySpaces: [
          {
            keySpace: 'a',
            routingMode: 'KeyRange',
            descriptors: [range, { ...range, startKey: 'a/m', endKey: null, partitionId: 5 }],
          },
          { keySpace: 'b', routingMode: 'KeyRange', descriptors: [] },
          { keySpace: 'c', routingMode: 'Hash', descriptors: [] },
        ],
      },
    });
    expect(
      (await cli('-c', url, '--ranges')).output,
    ).toBe(`Node node-1:8082 not initialized (the map may be incomplete)  2 key space(s)

a  routed by KeyRange on this node
┌───────────┬─────────┬───────────┬────────────┐
│ Start key │ End key │ Partition │ Generation │
├───────────┼─────────┼───────────┼────────────┤
│ -inf      │ a/m     │ 4         │ 2          │
│ a/m       │ +inf    │ 5         │ 2          │
└───────────┴─────────┴───────────┴────────────┘

b  routed by KeyRange on this node
  registered but not seeded — no descriptor covers this space, so writes to it fail.

`);
  });
});

test('cli:T45 a replication factor that is committed, and one that is cleared', async () => {
  const { url, asked } = await node({ '/v1/cluster/replication-factor': { success: true, status: 'Success', generation: 7 } });
  const set = (factor: string) => cli('-c', url, '--set-replication-factor', factor, '--partition', '3');
  const later = 'The rebalancer moves replicas toward the new target on later passes.\n';
  expect(await set('5')).toEqual({
    code: 0,
    output: `Committed: partition 3 replication factor override set to 5 (generation 7).\n${later}`,
  });
  expect((await set('0')).output).toBe(
    `Committed: partition 3 replication factor override set to 0 (cleared; inherits the global factor) (generation 7).\n${later}`,
  );
  expect(asked[0]).toBe('POST /v1/cluster/replication-factor {"partitionId":3,"replicationFactor":5}');
});
