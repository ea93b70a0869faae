import { join } from 'node:path';
import { Child } from './child.ts';
import type { Load, LoadResult } from './generator.ts';
import type { TargetSpec } from './target.ts';

export type LoadCommand =
  | { readonly kind: 'open'; readonly target: TargetSpec; readonly connections: number }
  | { readonly kind: 'run'; readonly load: Load }
  | { readonly kind: 'close' };

/** A load generator in a process of its own, so that its CPU is its own and the store under test shares no event loop with it. */
export class LoadProcess {
  private readonly child = new Child<LoadCommand, LoadResult>(join(import.meta.dirname, 'worker.ts'));

  static async open(target: TargetSpec, connections = 1): Promise<LoadProcess> {
    const process = new LoadProcess();
    await process.child.tell({ kind: 'open', target, connections });
    return process;
  }

  async run(load: Load): Promise<LoadResult> {
    const result = await this.child.tell({ kind: 'run', load });
    if (!result) throw new Error('load generator gave no result');
    return result;
  }

  close(): Promise<void> {
    return this.child.close({ kind: 'close' });
  }
}
