import { join } from 'node:path';
import { residentBytes, sleep } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import { EtcdCluster, etcdMissing } from './etcd/etcd-cluster.ts';
import { serverArguments } from './etcd-bench.ts';
import type { Load } from './load/generator.ts';
import { LoadProcess } from './load/load-process.ts';
import type { TargetKind } from './load/target.ts';
import { RedisServer, redisMissing } from './redis/redis-server.ts';
import { saveResult } from './results.ts';
import { PREFIX } from './side-by-side.ts';
import { figure, table } from './statistics.ts';

/** Pause between the last write and the look at the memory: buffers are flushed and garbage is collected meanwhile. Milliseconds. */
const SETTLE_MS = 5000;

interface Filling {
  readonly what: 'keys' | 'locks';
  readonly count: number;
  readonly valueBytes: number;
}

interface Store {
  readonly name: string;
  readonly kinds: Readonly<Record<Filling['what'], TargetKind>>;
  /** Starts an empty one of one process, stopped when `body` ends. */
  readonly run: (directory: string, body: (address: string, pid: number) => Promise<Footprint>) => Promise<Footprint>;
}

interface Footprint {
  readonly emptyBytes: number;
  readonly fullBytes: number;
}

/** Resident memory of one empty server and of the same server full of keys, and of locks, beside one etcd and one Redis. */
export async function benchMemory(args: Arguments): Promise<void> {
  const fillings: readonly Filling[] = [
    { what: 'keys', count: args.number('keys', 1_000_000), valueBytes: args.number('value-bytes', 256) },
    { what: 'locks', count: args.number('locks', 100_000), valueBytes: 0 },
  ];
  const rows: (Footprint & Filling & { readonly store: string })[] = [];
  for (const filling of fillings.filter(({ count }) => count > 0)) {
    for (const store of stores(args)) {
      const footprint = await withDirectory(args.text('directory', ''), directory =>
        store.run(directory, (address, pid) => fill(store, filling, address, pid)),
      );
      rows.push({ store: store.name, ...filling, ...footprint });
      console.log(`${store.name}: ${filling.count} ${filling.what}, ${mebibytes(footprint.fullBytes)} MiB`);
    }
  }
  const lines = rows.map(({ store, what, count, emptyBytes, fullBytes }) => [
    `${count.toLocaleString('en-US')} ${what}, ${store}`,
    ...[mebibytes(emptyBytes), mebibytes(fullBytes), mebibytes(fullBytes - emptyBytes)],
    figure((fullBytes - emptyBytes) / count),
  ]);
  console.log(`\n${table(['resident', 'empty MiB', 'full MiB', 'growth MiB', 'growth in bytes each'], lines)}`);
  console.log(`\nnumbers kept in ${saveResult('memory', { rows })}`);
}

const mebibytes = (bytes: number): string => figure(bytes / 1024 ** 2);

function stores(args: Arguments): readonly Store[] {
  const kahuna: Store = {
    name: 'kahuna',
    kinds: { keys: 'kahuna-batch', locks: 'kahuna-locks' },
    run: (directory, body) =>
      withCluster({ nodes: 1, directory, args: serverArguments(args) }, async cluster => {
        const node = cluster.node(1);
        return body(node.options.grpcAddress, node.pid as number);
      }),
  };
  const etcd: Store = {
    name: 'etcd',
    kinds: { keys: 'etcd-http2', locks: 'etcd-locks' },
    run: async (directory, body) => {
      const server = await EtcdCluster.start(join(directory, 'etcd'), 1);
      return body(server.addresses[0] as string, server.pids[0] as number).finally(() => server.stop());
    },
  };
  const redis: Store = {
    name: 'redis',
    kinds: { keys: 'redis', locks: 'redis-locks' },
    run: async (directory, body) => {
      const server = await RedisServer.start(join(directory, 'redis'));
      return body(server.address, server.pid).finally(() => server.stop());
    },
  };
  const withoutEtcd = args.flag('without-etcd') ? 'etcd is left out as asked' : etcdMissing();
  const withoutRedis = args.flag('without-redis') ? 'Redis is left out as asked' : redisMissing();
  for (const reason of new Set([withoutEtcd, withoutRedis])) if (reason) console.log(reason);
  return [kahuna, ...(withoutEtcd ? [] : [etcd]), ...(withoutRedis ? [] : [redis])];
}

async function fill(store: Store, { what, count, valueBytes }: Filling, address: string, pid: number): Promise<Footprint> {
  const load = await LoadProcess.open({ kind: store.kinds[what], address });
  const base: Load = {
    ...{ operation: what === 'keys' ? 'put' : 'hold', workers: 256, keyPrefix: PREFIX, keys: count, valueBytes, seed: 1 },
    ...{ seconds: 1800, operations: count },
  };
  await sleep(SETTLE_MS);
  const emptyBytes = residentBytes(pid);
  const filled = await load.run(base);
  await load.close();
  if (filled.errors > 0 || filled.operations < count) {
    throw new Error(`${store.name}: ${filled.errors} of ${count} ${what} could not be written`);
  }
  console.log(`${store.name}: ${count} ${what} at ${figure(filled.perSecond)}/s`);
  await sleep(SETTLE_MS);
  return { emptyBytes, fullBytes: residentBytes(pid) };
}
