import { createRequire } from 'node:module';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Threads of this package. From source the file is `<name>.worker.ts`; a bundle has `<name>.mjs` beside it. */
export type WorkerName = 'log-writer' | 'rocks-engine' | 'sqlite-engine';

/**
 * Starts one of our threads: the file beside a bundle, or the source through the TypeScript loader. It never keeps a process alive by
 * itself: whoever waits for an answer holds it with `ref` meanwhile.
 */
export function spawnWorker(name: WorkerName, workerData: unknown): Worker {
  const options: WorkerOptions = { name: `kahuna-${name}`, workerData };
  const worker = import.meta.url.endsWith('.ts')
    ? new Worker(loadFromSource(name), { ...options, eval: true, execArgv: [] })
    : new Worker(new URL(`./${name}.mjs`, import.meta.url), options);
  worker.unref();
  return worker;
}

/** The loader's own `--import` hook does nothing in a worker of Node 20, so the thread registers it by itself, then loads its source. */
function loadFromSource(name: WorkerName): string {
  const loader = createRequire(import.meta.url).resolve('tsx/esm/api');
  const source = new URL(`./${name}.worker.ts`, import.meta.url).href;
  return `require(${JSON.stringify(loader)}).register(); import(${JSON.stringify(source)});`;
}
