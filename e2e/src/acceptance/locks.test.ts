import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, Ephemeral, Persistent } from '../clients/kv-api.ts';
import { anyLockNode, GrpcLocks, type LockApi, LockType, RestLocks, seenLockTypes } from '../clients/lock-api.ts';
import { putText, RestKv } from '../clients/rest-kv.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { HANGS_MS, until } from '../harness/processes.ts';
import { expectRead, LONG_MS, withinLifetime } from './case.ts';
import { A, B, expectLock, LOCK_CASES, lockBench, lockSaid } from './lock-cases.ts';

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
    cluster = await Cluster.start({ nodes, breakableNetwork: false, args: SOON_READY });
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

  test.each(TRANSPORTS)('locks:I10 a key of the same name is another thing (%s)', async transport => {
    const keys = new RestKv(cluster.node(1).url);
    const name = `${transport}/door`;
    await putText(keys, name, 'wood');
    for (const { durability } of DURABILITIES) {
      await expectLock((apis.get(transport) as LockApi).acquire(name, A, LONG_MS, durability), 'Locked f0');
    }
    await expectRead(keys.get({ key: name, durability: Persistent }), 'Get r0 "wood"');
    keys.close();
  });

  test('locks:F16 a read at a time to come ends no lease early', async () => {
    const keys = new RestKv(cluster.node(1).url);
    const locks = lockBench(apis.get('gRPC') as LockApi, Persistent, 'f16/');
    const readings: Promise<Answer>[] = [];
    const { name, leaseMs, acquired, meanwhile } = await withinLifetime(async leaseMs => {
      // Key and lock of one key space live in one partition.
      const name = `door-${leaseMs}`;
      const { lastModified } = await putText(keys, `f16/k-${leaseMs}`, 'v');
      const acquired = performance.now();
      await expectLock(locks.acquire(A, leaseMs, name), 'Locked f0');
      const readTimestamp = { ...lastModified, l: Date.now() + leaseMs + 1000 };
      readings.push(keys.get({ key: `f16/k-${leaseMs}`, durability: Persistent, readTimestamp }));
      return { name, leaseMs, acquired, meanwhile: await locks.acquire(B, LONG_MS, name) };
    });
    expect(lockSaid(meanwhile)).toBe('Busy');
    const next = await until('the end of the lease', HANGS_MS, async () => {
      const answer = await locks.acquire(B, LONG_MS, name);
      return answer.type === LockType.Busy ? undefined : answer;
    });
    expect(lockSaid(next)).toBe('Locked f1');
    expect(performance.now() - acquired).toBeGreaterThanOrEqual(leaseMs);
    for (const reading of readings) await expectRead(reading, 'Get r0 "v"');
    keys.close();
  });

  test('locks:F15 no answer says that it waits for replication', () => {
    expect([...seenLockTypes].filter(type => !KNOWN_TYPES.has(type))).toEqual([]);
  });
});

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(LockType));
