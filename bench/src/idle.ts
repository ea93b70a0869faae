import { join } from 'node:path';
import { cpuSeconds, residentBytes, sleep } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import { serverArguments } from './etcd-bench.ts';
import { saveResult } from './results.ts';
import { figure, table } from './statistics.ts';

/** Three nodes with many partitions and nothing to do: what share of a core does each node use? */
export async function benchIdle(args: Arguments): Promise<void> {
  const partitions = args.number('partitions', 1000);
  const seconds = args.number('seconds', 30);
  const settleSeconds = args.number('settle', 15);
  await withDirectory(args.text('directory', ''), directory =>
    withCluster({ directory: join(directory, 'kahuna'), partitions, args: serverArguments(args) }, async cluster => {
      await sleep(settleSeconds * 1000);
      const pids = cluster.nodes.map(node => node.pid as number);
      const before = pids.map(cpuSeconds);
      await sleep(seconds * 1000);
      const nodes = pids.map((pid, i) => ({
        node: i + 1,
        cpuPercent: ((cpuSeconds(pid) - (before[i] ?? 0)) / seconds) * 100,
        residentMiB: residentBytes(pid) / 1024 ** 2,
      }));
      const rows = nodes.map(n => [`node ${n.node}`, figure(n.cpuPercent), figure(n.residentMiB)]);
      console.log(table(['idle', '% of one core', 'resident MiB'], rows));
      console.log(`numbers kept in ${saveResult('idle', { partitions, seconds, nodes })}`);
    }),
  );
}
