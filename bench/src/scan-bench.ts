import type { Arguments } from './arguments.ts';
import { type Contestant, compare } from './compare.ts';
import { leaderOfKey } from './etcd-bench.ts';
import { LoadProcess } from './load/load-process.ts';
import type { TargetSpec } from './load/target.ts';
import { saveResult } from './results.ts';
import { ofEtcd, ofKahuna, PREFIX, planOf, withStores } from './side-by-side.ts';
import { figure, table } from './statistics.ts';

/** All rows of one key space in order, page by page and streamed, against etcd's range pages. */
export async function benchScan(args: Arguments): Promise<void> {
  const rows = args.number('rows', 100_000);
  const plan = { ...planOf(args, { operations: ['scan'], workers: [1], valueBytes: args.number('value-bytes', 256) }), keys: 1 };
  await withStores(args, { redis: false }, async stores => {
    const { leader } = await leaderOfKey(stores.cluster, PREFIX);
    const contestants = [
      ofKahuna(stores, leader, { name: 'kahuna pages', kind: 'kahuna-pages', rows }),
      ofKahuna(stores, leader, { name: 'kahuna stream', kind: 'kahuna-stream', rows }),
      ...ofEtcd(stores, { name: 'etcd pages', kind: 'etcd-pages', rows }),
    ];
    await layDown(contestants, rows, plan.valueBytes);
    const measured = await compare(contestants, plan, line => console.log(line));
    const etcd = measured.find(m => m.contestant === 'etcd pages');
    const lines = measured.map(m => [
      `${rows.toLocaleString('en-US')} rows, ${m.contestant}`,
      ...[m.perSecond * rows, m.p50Ms, m.clientCpuUs / rows, m.leaderCpuUs / rows].map(figure),
      etcd === undefined ? '–' : `${figure(m.perSecond / etcd.perSecond)} ×`,
      String(m.errors),
    ]);
    console.log(`\n${table(['scan', 'rows/s', 'ms', 'client µs/row', 'leader µs/row', 'rows/s to etcd', 'errors'], lines)}`);
    console.log(`\nnumbers kept in ${saveResult('scan', { plan, rows, measured })}`);
  });
}

/** Writes the rows into each store once, through its ordinary put. */
async function layDown(contestants: readonly Contestant[], rows: number, valueBytes: number): Promise<void> {
  const addresses = new Set<string>();
  for (const { name, target } of contestants) {
    if (addresses.has(target.address)) continue;
    addresses.add(target.address);
    const kind: TargetSpec['kind'] = name.startsWith('etcd') ? 'etcd-http2' : 'kahuna-batch';
    const load = await LoadProcess.open({ kind, address: target.address });
    const laid = await load.run({
      ...{ operation: 'put', workers: 256, keyPrefix: PREFIX, keys: rows, valueBytes, seed: 1 },
      ...{ seconds: 600, operations: rows },
    });
    await load.close();
    if (laid.errors > 0) throw new Error(`${name}: ${laid.errors} of ${rows} rows could not be written`);
    console.log(`${name}: ${rows} rows written in ${figure(laid.seconds)} s`);
  }
}
