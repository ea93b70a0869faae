import { GrpcClient } from '@kahuna/e2e';
import { sequenceMessages as m } from '@kahuna/wire';
import type { Arguments } from './arguments.ts';
import { compare } from './compare.ts';
import { goalsFor } from './goals.ts';
import { FIRST_NAME, ofEtcd, ofKahuna, ofRedis, planOf, reportSideBySide, type Stores, withStores } from './side-by-side.ts';

/** The next number of one sequence that all workers share, against a compare-and-swap loop on etcd and INCR on Redis. */
export async function benchSequences(args: Arguments): Promise<void> {
  const plan = planOf(args, { operations: ['next'], workers: [1, 16, 64, 256] });
  await withStores(args, { redis: true }, async stores => {
    const leader = await createSequence(stores);
    const contestants = [
      ofKahuna(stores, leader, { name: 'kahuna', kind: 'kahuna-sequence' }),
      ofKahuna(stores, leader, { name: 'kahuna unary', kind: 'kahuna-unary-sequence' }),
      ofKahuna(stores, leader, { name: 'kahuna http2', kind: 'kahuna-http2-sequence' }),
      ...ofEtcd(stores, { name: 'etcd', kind: 'etcd-sequence' }),
      ...ofRedis(stores, { name: 'redis', kind: 'redis-sequence' }),
    ];
    const measured = await compare(contestants, plan, line => console.log(line));
    const goal = { what: 'next', operation: 'next', ours: 'kahuna' } as const;
    const goals = [
      ...goalsFor({ ...goal, theirs: 'etcd', atLeast: 10 }, plan.workers),
      ...goalsFor({ ...goal, theirs: 'redis', atLeast: 1 }, plan.workers),
    ];
    reportSideBySide('sequences', measured, goals, { plan });
  });
}

/** Returns the number of the node that leads the sequence's partition. */
async function createSequence({ cluster }: Stores): Promise<number> {
  const grpc = new GrpcClient(cluster.firstRunning().options.grpcAddress);
  try {
    const Durability = m.GrpcSequenceDurability.SEQUENCE_PERSISTENT;
    const fields = { Name: FIRST_NAME, InitialValue: 0n, Increment: 1n, Durability };
    const answer = await grpc.call('/Sequencer/CreateSequence', m.GrpcCreateSequenceRequest, m.GrpcSequenceResponse, fields);
    if (answer.Type !== m.GrpcSequenceResponseType.SEQUENCE_SUCCESS || !answer.Route) {
      throw new Error(`the sequence was not created (type ${answer.Type})`);
    }
    return await cluster.leaderOf(answer.Route.PartitionId);
  } finally {
    grpc.close();
  }
}
