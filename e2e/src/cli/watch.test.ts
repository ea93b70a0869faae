import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Cluster } from '../harness/cluster.ts';
import { HANGS_MS, spawnOwned, until } from '../harness/processes.ts';
import { commandLine, plainEnvironment, runCli } from './command-line.ts';
import { InteractiveCli, KEY } from './interactive.ts';

/** Watches of the command line on a real node: with a flag, and in the shell. */

let cluster: Cluster;
let endpoint: string;
const state = mkdtempSync(join(tmpdir(), 'kahuna-cli-watch-'));
const watching: Watching[] = [];
let shell: InteractiveCli | undefined;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false });
  endpoint = cluster.node(1).url;
});
afterAll(async () => {
  await cluster?.close();
  rmSync(state, { recursive: true, force: true });
});
afterEach(async () => {
  for (const one of watching.splice(0)) one.kill();
  await shell?.close();
});

const cli = async (...args: string[]): Promise<string> => (await runCli(['-c', endpoint, ...args])).output;

/** The program while it watches. */
class Watching {
  private readonly child: ChildProcess;
  private written = '';
  readonly exit: Promise<number | null>;

  constructor(...args: string[]) {
    this.child = spawnOwned(process.execPath, [commandLine(), '-c', endpoint, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: plainEnvironment(),
    });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.written += chunk.toString();
    });
    this.exit = new Promise(resolve => this.child.on('exit', resolve));
    watching.push(this);
  }

  lines(count: number): Promise<string[]> {
    return until(`${count} lines of a watch`, HANGS_MS, () => {
      const lines = this.written.split('\n').slice(0, -1);
      return lines.length >= count ? lines : undefined;
    });
  }

  interrupt(): void {
    this.child.kill('SIGINT');
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

test('--watch: what is there, what happens, and Ctrl+C ends it with 130', async () => {
  await cli('--set', 'watched/a', '--value', 'first');
  const watch = new Watching('--watch', 'watched/a');
  await watch.lines(1);
  await cli('--set', 'watched/a', '--value', 'second');
  await cli('--set', 'watched/b', '--value', 'of another key');
  await cli('--extend', 'watched/a', '--expires', '600000');
  expect(await watch.lines(3)).toEqual(['r0 is watched/a first', 'r1 set watched/a second', 'r1 extend watched/a']);
  watch.interrupt();
  expect(await watch.exit).toBe(130);
});

test('--watch-bucket and --watch-prefix, as JSON', async () => {
  await cli('--set', 'many/a', '--value', '1');
  const watches = [new Watching('--watch-bucket', 'many', '--format', 'json'), new Watching('--watch-prefix', 'man')];
  await Promise.all(watches.map(watch => watch.lines(1)));
  await cli('--set', 'many/b', '--value', '2');
  const [json, text] = await Promise.all(watches.map(watch => watch.lines(2)));
  expect(json?.map(line => JSON.parse(line))).toMatchObject([
    { kind: 'set', initial: true, Key: 'many/a', revision: 0, value: '1', expiresMs: null },
    { kind: 'set', initial: false, Key: 'many/b', revision: 0, value: '2', atMs: expect.any(Number) },
  ]);
  expect(text).toEqual(['r0 is many/a 1', 'r0 set many/b 2']);
});

test('--watch-lock: who holds it, and who follows', async () => {
  const watch = new Watching('--watch-lock', 'jobs/watched');
  expect(await watch.lines(1)).toEqual(['f-1 is free']);
  const owner = / ([0-9a-f]{32})/.exec(await cli('--lock', 'jobs/watched', '--expires', '600000'))?.[1] ?? '';
  await cli('--extend-lock', 'jobs/watched', '--owner', owner, '--expires', '900000');
  await cli('--unlock', 'jobs/watched', '--owner', owner);
  expect((await watch.lines(4)).slice(1)).toEqual([`f0 acquired ${owner}`, `f0 extended ${owner}`, `f0 unlocked ${owner}`]);
  const json = new Watching('--watch-lock', 'jobs/watched', '--format', 'json');
  expect(JSON.parse((await json.lines(1))[0] ?? '')).toMatchObject({
    kind: 'snapshot',
    resource: 'jobs/watched',
    held: false,
    owner: null,
    fencingToken: 0,
  });
});

test('--watch-sequence: its record, and what is reserved', async () => {
  await cli('--create-sequence', 'watched-orders', '--increment', '5');
  const watch = new Watching('--watch-sequence', 'watched-orders');
  expect(await watch.lines(1)).toEqual(['r0 is watched-orders current 0 increment 5 max -']);
  await cli('--next-sequence', 'watched-orders');
  await cli('--delete-sequence', 'watched-orders');
  const [, reserved, deleted] = await watch.lines(3);
  expect(reserved).toMatch(/^r\d+ reserved watched-orders current \d+ increment 5 max -$/);
  expect(deleted).toBe('deleted');
});

test('a watch outlives a restart of its node', async () => {
  const watch = new Watching('--watch-lock', 'jobs/restarted');
  await watch.lines(1);
  const node = cluster.node(1);
  await node.kill();
  node.start();
  await cluster.ready();
  // Locks keep no history: what is there is told again.
  expect(await watch.lines(2)).toEqual(['f-1 is free', 'f-1 is free']);
});

test('in the shell, Ctrl+C ends the watch and the shell goes on', async () => {
  shell = new InteractiveCli(['-c', endpoint], { XDG_STATE_HOME: state });
  await shell.sees('kahuna-cli> ');
  shell.type(`watch lock jobs/shell${KEY.enter}`);
  await shell.sees('f-1 is free\n');
  const owner = / ([0-9a-f]{32})/.exec(await cli('--lock', 'jobs/shell', '--expires', '600000'))?.[1] ?? '';
  await shell.sees(`f0 acquired ${owner}\n`);
  shell.type(KEY.controlC);
  expect(await shell.sees('kahuna-cli> ')).not.toContain('Exception');
  shell.type(`watch watched/shell${KEY.enter}`);
  // Nothing is there yet, so nothing says that the watch has begun: what is written later is told in either case.
  await cli('--set', 'watched/shell', '--value', 'x');
  await shell.sees(/r0 (is|set) watched\/shell x\n/);
  shell.type(KEY.controlC);
  await shell.sees('kahuna-cli> ');
  shell.type(`watch nonsense a${KEY.enter}`);
  await shell.sees('usage: watch [bucket|prefix|lock|elock|sequence] <name>');
  shell.type(KEY.controlD);
  expect(await shell.exit).toBe(0);
});
