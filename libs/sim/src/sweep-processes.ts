import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.ts';
import type { RunReport } from './run.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
/** Most objects of a simulation live for an instant: in a larger nursery fewer of them are met alive by the collector. */
const NODE_FLAGS = ['--max-semi-space-size=64', '--enable-source-maps'];

/** Spreads the seeds over `jobs` child processes, which print one report a line. */
export async function sweepInProcesses(
  from: number,
  to: number,
  jobs: number,
  onReport: (report: RunReport) => void,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kahuna-sweep-'));
  try {
    const worker = join(directory, 'worker.mjs');
    await bundle(WORKER, worker, { sourcemap: 'inline' });
    const children = [...Array(jobs).keys()].map(async job => {
      const args = [...NODE_FLAGS, worker, String(from + job), String(to), String(jobs)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = new Promise<number>(resolve => child.once('exit', code => resolve(code ?? 1)));
      for await (const line of createInterface({ input: child.stdout })) onReport(JSON.parse(line) as RunReport);
      const code = await exited;
      if (code !== 0) throw new Error(`a sweep process ended with ${code}`);
    });
    await Promise.all(children);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
