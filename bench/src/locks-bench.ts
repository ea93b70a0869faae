import { GrpcClient, Persistent } from '@kahuna/e2e';
import { lockMessages as m } from '@kahuna/wire';
import type { Arguments } from './arguments.ts';
import { compare } from './compare.ts';
import { goalsFor } from './goals.ts';
import { FIRST_NAME, ofEtcd, ofKahuna, ofRedis, planOf, reportSideBySide, type Stores, withStores } from './side-by-side.ts';

const say = (line: string): void => console.log(line);

/** What a client waits between attempts that polls. Milliseconds. */
const RETRY_MS = 10;

/** Locks against etcd and Redis: cycles of one's own lock, and one lock that passes between contenders. */
export async function benchLocks(args: Arguments): Promise<void> {
  const cycles = planOf(args, { operations: ['lock'], workers: [1, 16, 64] });
  const handOvers = { ...cycles, operations: ['hand-over'] as const, workers: [args.number('contenders', 8)] };
  const retryMs = args.number('retry-ms', RETRY_MS);
  await withStores(args, { redis: true }, async stores => {
    const leader = await leaderOfLocks(stores);
    const kahuna = { name: 'kahuna', kind: 'kahuna-locks' } as const;
    const polled = { name: 'kahuna polled', kind: 'kahuna-polled-locks', retryMs } as const;
    const redis = { name: 'redis', kind: 'redis-locks', retryMs } as const;
    const etcd = ofEtcd(stores, { name: 'etcd', kind: 'etcd-locks' });
    const patient = [ofKahuna(stores, leader, kahuna), ...etcd, ...ofRedis(stores, redis)];
    const released = ofKahuna(stores, leader, { name: 'kahuna lock stream', kind: 'kahuna-lock-stream', retryMs });
    const eager = [
      ofKahuna(stores, leader, polled),
      ofKahuna(stores, leader, { ...polled, name: 'kahuna polled, no pause', retryMs: 0 }),
      ...ofRedis(stores, { ...redis, name: 'redis, no pause', retryMs: 0 }),
    ];
    const measured = [
      ...(await compare([...patient, released], cycles, say)),
      ...(await compare([...patient, ...eager], handOvers, say)),
    ];
    const goal = { ours: 'kahuna', theirs: 'etcd', atLeast: 4 };
    const goals = [
      ...goalsFor({ ...goal, what: 'acquire and release', operation: 'lock' }, cycles.workers),
      ...goalsFor({ ...goal, what: 'hand-over', operation: 'hand-over' }, handOvers.workers),
    ];
    reportSideBySide('locks', measured, goals, { cycles, handOvers, retryMs });
  });
}

/** Asks, by a read, which node leads the partition of the locks. */
async function leaderOfLocks({ cluster }: Stores): Promise<number> {
  const grpc = new GrpcClient(cluster.firstRunning().options.grpcAddress);
  try {
    const fields = { Resource: FIRST_NAME, durability: Persistent as m.GrpcLockDurability };
    const answer = await grpc.call('/Locker/GetLock', m.GrpcGetLockRequest, m.GrpcGetLockResponse, fields);
    if (!answer.Route) throw new Error('the answer does not say where the lock lives');
    return await cluster.leaderOf(answer.Route.PartitionId);
  } finally {
    grpc.close();
  }
}
