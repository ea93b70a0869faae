import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from '../harness/cluster.ts';
import { runCli } from './command-line.ts';
import { InteractiveCli, KEY, pasted } from './interactive.ts';

const PROMPT = 'kahuna-cli> ';

let cluster: Cluster;
let endpoint: string;
let state: string;
let shell: InteractiveCli;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, storage: 'memory', breakableNetwork: false });
  endpoint = cluster.node(1).url;
});
afterAll(() => cluster.close());
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'kahuna-cli-state-'));
});
afterEach(async () => {
  await shell?.close();
  rmSync(state, { recursive: true, force: true });
});

function start(env: Readonly<Record<string, string>> = {}): InteractiveCli {
  shell = new InteractiveCli(['-c', endpoint], { XDG_STATE_HOME: state, ...env });
  return shell;
}

const history = (): unknown => JSON.parse(readFileSync(join(state, 'kahuna', 'kahuna.history.json'), 'utf8'));

describe('the interactive shell (cli §5)', () => {
  test('cli:T14 banner, prompt, an empty line behind each result, exit', async () => {
    await runCli(['-c', endpoint, '--set', 'my-config', '--value', 'my-value']);
    start();
    expect(await shell.sees(PROMPT)).toMatch(/^Kahuna Shell \d+\.\d+\.\d+\n\nkahuna-cli> $/);
    shell.type(`get my-config${KEY.enter}`);
    expect(await shell.sees(/ms\n\nkahuna-cli> /)).toMatch(/\nr0 my-value \d+ms\n\nkahuna-cli> $/);
    shell.type(`exit${KEY.enter}`);
    expect(await shell.exit).toBe(0);
  });

  test('history goes over a restart; what failed is not kept', async () => {
    start();
    shell.type(`get a${KEY.enter}gett b${KEY.enter}get c${KEY.enter}exit${KEY.enter}`);
    expect(await shell.exit).toBe(0);
    expect(history()).toEqual(['get a', 'get c', 'exit']);
    start();
    await shell.sees(PROMPT);
    shell.type(`${KEY.up}${KEY.up}`);
    await shell.sees(`${PROMPT}get c`);
    shell.type(KEY.enter);
    await shell.sees('r-1 not found');
  });

  test('a history that cannot be read is said and set aside', async () => {
    mkdirSync(join(state, 'kahuna'));
    writeFileSync(join(state, 'kahuna', 'kahuna.history.json'), '{}');
    start();
    await shell.sees('Found invalid history');
    shell.type(KEY.controlD);
    expect(await shell.exit).toBe(0);
    expect(readFileSync(join(state, 'kahuna', 'kahuna.history.json.bad'), 'utf8')).toBe('{}');
  });

  test('Ctrl+C clears the line, and leaves from an empty one', async () => {
    start();
    await shell.sees(PROMPT);
    shell.type(`set k "v"${KEY.controlC}`);
    await shell.sees(`${PROMPT}set k "v"`);
    shell.type(KEY.controlC);
    await shell.sees('Exiting...');
    expect(await shell.exit).toBe(0);
  });

  test('Ctrl+C cancels a command that runs, and the shell goes on', async () => {
    const silent = createServer(socket => socket.on('error', () => socket.destroy()));
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    shell = new InteractiveCli(['-c', `http://127.0.0.1:${port}`, '-t', '300'], { XDG_STATE_HOME: state });
    await shell.sees(PROMPT);
    shell.type(`get k${KEY.enter}`);
    await shell.sees(`${PROMPT}get k\n`);
    shell.type(KEY.controlC);
    await shell.sees('KahunaException: Operation cancelled\n');
    await shell.sees(PROMPT);
    shell.type(KEY.controlD);
    expect(await shell.exit).toBe(0);
    silent.close();
  });

  test('told to end, it keeps the history and gives locks back', async () => {
    start();
    shell.type(`lock jobs/term 60000${KEY.enter}`);
    await shell.sees(/f0 acquired [0-9a-f]{32}\n\nkahuna-cli> /);
    shell.terminate();
    await shell.sees('Disposing persistent lock ');
    expect(await shell.exit).toBe(0);
    expect(history()).toEqual(['lock jobs/term 60000']);
    expect((await runCli(['-c', endpoint, '--get-lock', 'jobs/term'])).output).toBe('not found\n');
  });

  test('cli:T48 locks taken here are released on the way out', async () => {
    start();
    shell.type(`lock jobs/pty 60000${KEY.enter}elock jobs/pty 60000${KEY.enter}`);
    const [, owner] = /f0 acquired ([0-9a-f]{32})/.exec(await shell.sees(/f0 acquired [0-9a-f]{32}/)) ?? [];
    await shell.sees(/f\d+ acquired [0-9a-f]{32}/);
    shell.type(KEY.controlD);
    await shell.sees(`Disposing persistent lock ${owner}...`);
    await shell.sees('Disposing ephemeral lock ');
    expect(await shell.exit).toBe(0);
    const { output } = await runCli(['-c', endpoint, '--get-lock', 'jobs/pty']);
    expect(output).toBe('not found\n');
  });

  test('cli:T29 a pasted transaction stands on continuation lines and is not run', async () => {
    start();
    await shell.sees(PROMPT);
    shell.type(pasted('begin\n set a 1\n commit\nend'));
    await shell.sees('       ...>  commit\n       ...> end');
    shell.type(KEY.enter);
    await shell.sees('KahunaException: This needs scripts and transactions, and this server does not have them yet.');
  });

  test('Tab completes', async () => {
    start();
    await shell.sees(PROMPT);
    shell.type(`cre${KEY.tab}`);
    await shell.sees(`${PROMPT}create-sequence `);
    shell.type(`tabbed${KEY.enter}`);
    await shell.sees('r0 created tabbed current 0 increment 1 max -');
  });

  test('words are coloured while one types, unless NO_COLOR', async () => {
    start();
    await shell.sees(PROMPT);
    shell.type('set k "v"');
    await shell.sees('set k "v"');
    expect(shell.raw()).toContain('\x1b[34mset\x1b[0m');
    await shell.close();
    start({ NO_COLOR: '1' });
    await shell.sees(PROMPT);
    shell.type('set k "v"');
    await shell.sees('set k "v"');
    expect(shell.raw()).not.toContain('\x1b[34m');
  });

  test('nobody there: the first command says so, and the shell stays open', async () => {
    shell = new InteractiveCli(['-c', 'http://127.0.0.1:1'], { XDG_STATE_HOME: state });
    shell.type(`get k${KEY.enter}`);
    await shell.sees(
      'Cannot connect to the server. Check that the server is running and the connection settings are correct.\n\n',
    );
    shell.type(`help${KEY.enter}`);
    await shell.sees('reserve-sequence <name> <count> [idempotency-key]');
    shell.type(KEY.controlD);
    expect(await shell.exit).toBe(0);
  });

  test('it outlives a server that goes away and comes back', async () => {
    start();
    shell.type(`get k${KEY.enter}`);
    await shell.sees('r-1 not found');
    await cluster.node(1).kill();
    shell.type(`get k${KEY.enter}`);
    await shell.sees(
      'Cannot connect to the server. Check that the server is running and the connection settings are correct.\n\n',
    );
    cluster.node(1).start();
    await cluster.ready();
    shell.type(`get k${KEY.enter}`);
    await shell.sees('r-1 not found');
  });
});

describe('scripts, until the server runs them (cli:T28 to T30)', () => {
  test.each([
    ['cli:T28', 'let limit = get max_rate_limit'],
    ['cli:T29', 'begin\n set a 1\n commit\nend'],
    ['cli:T30', 'return 6 * 7'],
    ['an expression as a value', 'set a 1 + 1'],
  ])('%s is refused in plain words', async (_, script) => {
    const { code, output } = await runCli(['-c', endpoint], { input: `${script}\n` });
    expect(output).toBe('KahunaException: This needs scripts and transactions, and this server does not have them yet.\n');
    expect(code).toBe(1);
  });
});
