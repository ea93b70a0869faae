import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Ephemeral, Persistent } from '../clients/kv-api.ts';
import { anyLockNode, GrpcLocks, type LockApi, RestLocks } from '../clients/lock-api.ts';
import { putText, RestKv } from '../clients/rest-kv.ts';
import { Cluster } from '../harness/cluster.ts';
import { expectRead } from './case.ts';
import { A, expectLock, LOCK_CASES, lockBench } from './lock-cases.ts';

const TRANSPORTS = ['REST', 'gRPC', 'the lock stream', 'the batcher'] as const;
const DURABILITIES = [
  { durability: Persistent, word: 'persistent' },
  { durability: Ephemeral, word: 'ephemeral' },
] as const;

// What holds on three nodes, whichever is asked, must hold on one.
describe.each([1, 3])('locks on %i node(s), any of them', nodes => {
  let cluster: Cluster;
  const apis = new Map<string, LockApi>();

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes, breakableNetwork: false });
    apis.set('REST', anyLockNode(cluster.nodes.map(node => new RestLocks(node.url))));
    const addresses = cluster.nodes.map(node => node.options.grpcAddress);
    apis.set('gRPC', anyLockNode(addresses.map(GrpcLocks.unary)));
    apis.set('the lock stream', anyLockNode(addresses.map(GrpcLocks.onLockStream)));
    apis.set('the batcher', anyLockNode(addresses.map(GrpcLocks.inFrames)));
  });

  afterAll(async () => {
    for (const api of apis.values()) api.close();
    await cluster?.close();
  });

  describe.each(TRANSPORTS)('over %s', transport => {
    LOCK_CASES.forEach((acceptance, number) => {
      for (const { durability, word } of DURABILITIES) {
        test.concurrent(`${acceptance.title} (${word})`, async () => {
          await acceptance.run(lockBench(apis.get(transport) as LockApi, durability, `case-${number}-${word}/${transport}/`));
        });
      }
    });
  });

  test('locks:I10 a key of the same name is another thing', async () => {
    const keys = new RestKv(cluster.node(1).url);
    await putText(keys, 'both/door', 'wood');
    const locks = apis.get('gRPC') as LockApi;
    await expectLock(locks.acquire('both/door', A, 60_000, Persistent), 'Locked f0');
    await expectRead(keys.get({ key: 'both/door', durability: Persistent }), 'Get r0 "wood"');
    keys.close();
  });

  test('locks:F16 a read at a time to come ends no lease early', async () => {
    const keys = new RestKv(cluster.node(1).url);
    const locks = lockBench(apis.get('gRPC') as LockApi, Persistent, 'f16/');
    const { lastModified } = await putText(keys, 'f16/k', 'v');
    await expectLock(locks.acquire(A, 60_000), 'Locked f0');
    const { expires } = await locks.info();
    await keys.get({ key: 'f16/k', durability: Persistent, readTimestamp: { ...lastModified, l: Date.now() + 4000 } });
    expect(await locks.info()).toMatchObject({ type: 4, owner: A, expires });
    keys.close();
  });
});
