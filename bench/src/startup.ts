import { join } from 'node:path';
import { residentBytes } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import { serverArguments } from './etcd-bench.ts';
import { LoadProcess } from './load/load-process.ts';
import { saveResult } from './results.ts';
import { figure } from './statistics.ts';

/** Loads a node with many keys, kills it, starts it again: time until it answers a read, and memory before and after. */
export async function benchStartup(args: Arguments): Promise<void> {
  const keys = args.number('keys', 1_000_000);
  const valueBytes = args.number('value-bytes', 256);
  await withDirectory(args.text('directory', ''), directory =>
    withCluster({ nodes: 1, directory: join(directory, 'kahuna'), args: serverArguments(args) }, async cluster => {
      const node = cluster.node(1);
      const load = await LoadProcess.open({ kind: 'kahuna-batch', address: node.options.grpcAddress });
      const written = await load.run({
        ...{ operation: 'put', workers: 256, keyPrefix: 'startup/', keys, valueBytes, seed: 1 },
        ...{ seconds: 900, operations: keys },
      });
      await load.close();
      if (written.errors > 0 || written.operations < keys)
        throw new Error(`only ${written.operations - written.errors} of ${keys} keys were written`);
      const loadedMiB = residentBytes(node.pid as number) / 1024 ** 2;
      console.log(
        `${keys} keys of ${valueBytes} bytes at ${Math.round(written.perSecond)}/s, resident ${Math.round(loadedMiB)} MiB`,
      );

      const restarts: Record<'kill' | 'stop', number> = { kill: 0, stop: 0 };
      for (const way of ['kill', 'stop'] as const) {
        await node[way]();
        const begin = performance.now();
        node.start();
        await node.ready(300_000);
        await readable(node.url, `startup/${String(keys - 1).padStart(8, '0')}`);
        restarts[way] = performance.now() - begin;
        console.log(`after ${way}: first read after ${figure(restarts[way])} ms`);
      }
      const restartedMiB = residentBytes(node.pid as number) / 1024 ** 2;
      console.log(`resident after the restart ${Math.round(restartedMiB)} MiB`);
      console.log(`numbers kept in ${saveResult('startup', { keys, valueBytes, written, restarts, loadedMiB, restartedMiB })}`);
    }),
  );
}

async function readable(url: string, key: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/v1/kv/try-get`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key, durability: 1 }),
    });
    const { type } = (await answer.json()) as { type: number };
    if (type === 3) return;
    if (type !== 101) throw new Error(`the last key answers ${type} after the restart`);
  }
}
