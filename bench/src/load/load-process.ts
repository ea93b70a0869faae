import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { ended, spawnOwned } from '@kahuna/e2e';
import type { Load, LoadResult } from './generator.ts';
import type { TargetSpec } from './target.ts';

export type LoadCommand =
  | { readonly kind: 'open'; readonly target: TargetSpec; readonly connections: number }
  | { readonly kind: 'run'; readonly load: Load }
  | { readonly kind: 'close' };

type Answer = { readonly result?: LoadResult; readonly error?: string };

/** A load generator in a process of its own, so that its CPU is its own and the store under test shares no event loop with it. */
export class LoadProcess {
  private readonly child: ChildProcess;
  private waiting: { resolve: (answer: LoadResult | undefined) => void; reject: (error: Error) => void } | undefined;

  private constructor() {
    this.child = spawnOwned(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'worker.ts')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child.on('message', (answer: Answer) => {
      const { waiting } = this;
      this.waiting = undefined;
      if (answer.error === undefined) waiting?.resolve(answer.result);
      else waiting?.reject(new Error(`load generator: ${answer.error}`));
    });
    this.child.once('exit', code => this.waiting?.reject(new Error(`load generator ended (${code})`)));
  }

  static async open(target: TargetSpec, connections = 1): Promise<LoadProcess> {
    const process = new LoadProcess();
    await process.tell({ kind: 'open', target, connections });
    return process;
  }

  async run(load: Load): Promise<LoadResult> {
    const result = await this.tell({ kind: 'run', load });
    if (!result) throw new Error('load generator gave no result');
    return result;
  }

  async close(): Promise<void> {
    const gone = ended(this.child);
    this.child.send({ kind: 'close' } satisfies LoadCommand);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 2000);
    await gone;
    clearTimeout(timer);
  }

  private tell(command: LoadCommand): Promise<LoadResult | undefined> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.child.send(command);
    });
  }
}
