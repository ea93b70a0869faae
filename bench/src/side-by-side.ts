import { join } from 'node:path';
import type { Cluster } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import type { Contestant, Measurement, Plan } from './compare.ts';
import { EtcdCluster, etcdMissing } from './etcd/etcd-cluster.ts';
import { serverArguments } from './etcd-bench.ts';
import { numbersTable, ratioTable } from './etcd-report.ts';
import { type ThroughputGoal, throughputGoalsTable } from './goals.ts';
import type { TargetSpec } from './load/target.ts';
import { RedisServer, redisMissing } from './redis/redis-server.ts';
import { saveResult } from './results.ts';

/** All names of a comparison lie in one key space, so that one leader of ours serves them, as one leader of etcd does. */
export const PREFIX = 'bench/';
/** The first name below the prefix: the one that all share where all share one. */
export const FIRST_NAME = `${PREFIX}00000000`;

/** Stores of one run: ours always, the others as far as they are installed and wanted. */
export interface Stores {
  readonly cluster: Cluster;
  readonly etcd: EtcdCluster | undefined;
  readonly redis: RedisServer | undefined;
}

/** Starts the stores on one disk, says what is left out and why, and stops all of them when `body` ends. */
export async function withStores(
  args: Arguments,
  wanted: { redis: boolean },
  body: (stores: Stores) => Promise<void>,
): Promise<void> {
  const withoutEtcd = args.flag('without-etcd') ? 'etcd is left out as asked' : etcdMissing();
  const withoutRedis = args.flag('without-redis') ? 'Redis is left out as asked' : redisMissing();
  if (withoutEtcd) console.log(withoutEtcd);
  if (wanted.redis && withoutRedis) console.log(withoutRedis);
  await withDirectory(args.text('directory', ''), directory =>
    withCluster({ directory: join(directory, 'kahuna'), args: serverArguments(args) }, async cluster => {
      let etcd: EtcdCluster | undefined;
      let redis: RedisServer | undefined;
      try {
        if (!withoutEtcd) etcd = await EtcdCluster.start(join(directory, 'etcd'));
        if (wanted.redis && !withoutRedis) redis = await RedisServer.start(join(directory, 'redis'));
        await body({ cluster, etcd, redis });
      } finally {
        await etcd?.stop();
        await redis?.stop();
      }
    }),
  );
}

type Shape = Omit<TargetSpec, 'address'> & { readonly name: string };

/** A contestant that talks to our node of that number, which leads what it asks for. */
export function ofKahuna({ cluster }: Stores, leader: number, { name, ...target }: Shape): Contestant {
  const followers = cluster.nodes.map((_, i) => i + 1).filter(number => number !== leader);
  return {
    name,
    target: { ...target, address: cluster.node(leader).options.grpcAddress },
    ...{ connections: 1, keyPrefix: PREFIX, pids: [leader, ...followers].map(number => cluster.node(number).pid as number) },
  };
}

/** A contestant that talks to etcd's leader; none if etcd does not run. */
export function ofEtcd({ etcd }: Stores, { name, ...target }: Shape): readonly Contestant[] {
  if (!etcd) return [];
  const address = etcd.addresses[0] as string;
  return [{ name, target: { ...target, address }, connections: 1, keyPrefix: PREFIX, pids: etcd.pids }];
}

/** A contestant that talks to Redis; none if Redis does not run. */
export function ofRedis({ redis }: Stores, { name, ...target }: Shape): readonly Contestant[] {
  if (!redis) return [];
  return [{ name, target: { ...target, address: redis.address }, connections: 1, keyPrefix: PREFIX, pids: [redis.pid] }];
}

/** What the options say, and otherwise the usual. */
export function planOf(args: Arguments, usual: Pick<Plan, 'operations' | 'workers'> & Partial<Plan>): Plan {
  return {
    operations: usual.operations,
    workers: args.numbers('workers', usual.workers),
    rounds: args.number('rounds', usual.rounds ?? 3),
    secondsPerRound: args.number('seconds', usual.secondsPerRound ?? 2),
    keys: usual.keys ?? Math.max(...args.numbers('workers', usual.workers)),
    valueBytes: usual.valueBytes ?? 256,
    warmUpSeconds: args.number('warm-up-seconds', usual.warmUpSeconds ?? 4),
  };
}

/** Prints numbers, ratios and goals, and keeps the numbers. */
export function reportSideBySide(
  name: string,
  all: readonly Measurement[],
  goals: readonly ThroughputGoal[],
  more: object,
): void {
  const names = [...new Set(all.map(m => m.contestant))];
  const ours = names.filter(contestant => contestant.startsWith('kahuna'));
  const theirs = names.filter(contestant => !contestant.startsWith('kahuna'));
  console.log(`\n${numbersTable(all)}`);
  if (theirs.length > 0) console.log(`\n${ratioTable(all, ours, theirs)}`);
  const judged = throughputGoalsTable(all, goals);
  if (judged !== undefined) console.log(`\n${judged}`);
  console.log(`\nnumbers kept in ${saveResult(name, { ...more, measured: all })}`);
}
