import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

/**
 * Children of this process, killed when it ends however it ends. A test that fails in the middle must not leave a server behind
 * that takes CPU from the next one.
 */
const children = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGKILL');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

/** A child that does not outlive this process. */
export function owned<C extends ChildProcess>(child: C): C {
  children.add(child);
  child.once('exit', () => children.delete(child));
  child.once('error', () => children.delete(child));
  return child;
}

export function spawnOwned(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return owned(spawn(command, args, options));
}

/** Resolves once the child has ended; at once if it has. */
export function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (child.exitCode !== null || child.signalCode !== null)
    return Promise.resolve({ code: child.exitCode, signal: child.signalCode });
  return new Promise(resolve => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/** CPU time a process has used so far, all threads, in seconds; proc(5), fields 14 and 15. Resolution 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/**
 * How long the main thread of a process has stood ready without a processor, in milliseconds (proc(5), schedstat): what others on
 * the machine took from it. Elapsed time less this is the same on a busy machine as on a quiet one.
 */
export function processorWaitMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
}

/**
 * Listening ports come from below the range that the kernel hands to outgoing connections (32768 up), so that no connection can
 * take one between our look and the server's bind. They come in blocks, each owned by one process of all test runs on this machine:
 * a port that looks free may belong to a server that is being restarted, and its successor would not find it again.
 */
const FIRST_PORT = 15_000;
const BLOCK_PORTS = 50;
const BLOCKS = 340;

/** Ports of ours that were not handed out yet. Owning the block is listening on its first port: the kernel ends that with the process. */
interface PortBlock {
  next: number;
  readonly end: number;
  readonly owned: Server;
}

let block: Promise<PortBlock> | undefined;

/** A port that nothing listens on, on any address, at this moment; never handed out twice by this process, nor by another while it lives. */
export async function freePort(): Promise<number> {
  for (;;) {
    block ??= claimBlock();
    const claimed = block;
    const ports = await claimed;
    while (ports.next < ports.end) {
      const port = ports.next++;
      if (await canListen(port)) return port;
    }
    if (block === claimed) block = undefined;
  }
}

async function claimBlock(): Promise<PortBlock> {
  // Each process begins elsewhere, only so that it finds one soon.
  for (let i = 0; i < BLOCKS; i++) {
    const first = FIRST_PORT + ((process.pid * 37 + i) % BLOCKS) * BLOCK_PORTS;
    const owned = createServer();
    const isOurs = await new Promise<boolean>(resolve => {
      owned.once('error', () => resolve(false));
      owned.listen({ port: first, host: '127.0.0.1', exclusive: true }, () => resolve(true));
    });
    if (!isOurs) continue;
    owned.unref();
    return { next: first + 1, end: first + BLOCK_PORTS, owned };
  }
  throw new Error('no block of ports is free');
}

function canListen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '0.0.0.0', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/**
 * Ends what hangs, and says nothing about speed: a machine that runs tests may stand still for seconds and give each of them a fraction
 * of a processor. What the product promises to be quick about has a measure of its own. Milliseconds.
 */
export const HANGS_MS = 120_000;

/** What `work` comes to, or an error that names it when that takes too long. */
export async function within<T>(deadlineMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Between two questions of `until`: what waits for seconds must not use up the processor that it waits for. */
const LONGEST_PAUSE_MS = 60;

/**
 * Asks `probe` again and again until it answers something other than undefined or false. Throws with `what` and the last fault
 * when the deadline has passed. Waiting for a condition, never for a duration.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let last: unknown;
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 1.3, LONGEST_PAUSE_MS)) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer as T;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${deadlineMs} ms${last === undefined ? '' : ` (${String(last)})`}`);
    }
    await sleep(pauseMs);
  }
}
