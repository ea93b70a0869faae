/**
 * What a stranger does: clone, start, set and get by curl, stop with Ctrl-C, start again. Run by hand or by a nightly job:
 *     npx tsx e2e/src/fresh-clone.ts [--ci]      --ci also runs .ci/run in the clone
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ended, freePort, spawnOwned, until } from './harness/processes.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const parent = mkdtempSync(join(tmpdir(), 'kahuna-fresh-'));
const clone = join(parent, 'kahuna');
const home = join(parent, 'home');

function curl(...args: string[]): string {
  return execFileSync('curl', ['-s', ...args], { encoding: 'utf8' });
}

/** Twice with the same ports: a member of a cluster is known by its address, also when it is the only one. */
async function startAndAsk([http, raft, grpc]: readonly number[], steps: (url: string) => void): Promise<number> {
  const began = performance.now();
  const npm = spawnOwned(
    'npm',
    ['start', '--', '--http-ports', `${http}`, '--raft-port', `${raft}`, '--grpc-cleartext-ports', `${grpc}`],
    {
      cwd: clone,
      env: { ...process.env, HOME: home, XDG_DATA_HOME: '', KAHUNA_HOME: '' },
      stdio: 'inherit',
      // A group of its own, as a terminal makes one: Ctrl-C goes to npm and to the server alike.
      detached: true,
    },
  );
  const url = `http://localhost:${http}`;
  await until('the node is healthy', 600_000, async () => (await fetch(`${url}/v1/cluster/health`)).status === 200);
  console.log(`ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  steps(url);
  process.kill(-(npm.pid as number), 'SIGINT');
  return (await ended(npm)).code ?? -1;
}

function expectEqual(what: string, got: unknown, wanted: unknown): void {
  if (got !== wanted) throw new Error(`${what}: ${String(got)} instead of ${String(wanted)}`);
  console.log(`${what}: ${String(got)}`);
}

const json = ['-H', 'Content-Type: application/json', '-d'];
try {
  execFileSync('git', ['clone', '--quiet', ROOT, clone], { stdio: 'inherit' });
  const ports = [await freePort(), await freePort(), await freePort()];
  await startAndAsk(ports, url => {
    const set = JSON.parse(curl(`${url}/v1/kv/try-set`, ...json, '{"key":"orders/1","value":"aGVsbG8=","durability":1}'));
    expectEqual('set answers type', set.type, 0);
    const get = JSON.parse(curl(`${url}/v1/kv/try-get`, ...json, '{"key":"orders/1","durability":1}'));
    expectEqual('get answers', get.value, 'aGVsbG8=');
    expectEqual('a browser gets the console', /<html/i.test(curl('-L', '-H', 'Accept: text/html', `${url}/`)), true);
  });
  await startAndAsk(ports, url => {
    const get = JSON.parse(curl(`${url}/v1/kv/try-get`, ...json, '{"key":"orders/1","durability":1}'));
    expectEqual('get after the restart answers', get.value, 'aGVsbG8=');
    const cli = execFileSync('npx', ['--no-install', 'kahuna-cli', '-c', url, '--get', 'orders/1'], {
      cwd: clone,
      encoding: 'utf8',
    });
    expectEqual('the command line prints', cli, 'r0 get hello\n');
  });
  if (process.argv.includes('--ci')) {
    rmSync(join(clone, 'node_modules'), { recursive: true, force: true });
    const { status } = spawnSync(join(clone, '.ci', 'run'), { stdio: 'inherit' });
    expectEqual('.ci/run exits with', status, 0);
  }
  console.log('a stranger would be content');
} finally {
  rmSync(parent, { recursive: true, force: true });
}
