import { afterAll, beforeAll, expect, test } from 'vitest';
import { A, B, lockSaid } from './acceptance/lock-cases.ts';
import { issued } from './acceptance/sequence-cases.ts';
import { Ephemeral, Persistent } from './clients/kv-api.ts';
import { GrpcLocks, type LockApi, LockType, RestLocks } from './clients/lock-api.ts';
import { type AllocationAnswer, GrpcSequences, RestSequences, type SequenceApi, SequenceType } from './clients/sequence-api.ts';
import { Cluster, FAST_ELECTIONS } from './harness/cluster.ts';
import { sleep, until } from './harness/processes.ts';

/** Longest wait for an election and what follows from it. */
const RECOVERY_MS = 30_000;
const LONG_MS = 120_000;
/** All tests look at this partition, so that one fault strikes locks and sequences alike. */
const PARTITION = 3;

let cluster: Cluster;
let locks: readonly LockApi[];
let sequences: readonly SequenceApi[];

// One cluster for all: each test puts right what it broke and uses names of its own.
beforeAll(async () => {
  cluster = await Cluster.start({ args: FAST_ELECTIONS });
  // Whichever node a test asks, each transport meets some of the faults.
  locks = cluster.nodes.map(({ url, options: { grpcAddress } }, i) =>
    i === 0 ? GrpcLocks.unary(grpcAddress) : i === 1 ? new RestLocks(url) : GrpcLocks.inFrames(grpcAddress),
  );
  sequences = cluster.nodes.map(({ url, options: { grpcAddress } }, i) =>
    i === 0 ? GrpcSequences.inFrames(grpcAddress) : i === 1 ? GrpcSequences.unary(grpcAddress) : new RestSequences(url),
  );
});

afterAll(async () => {
  for (const api of [...(locks ?? []), ...(sequences ?? [])]) api.close();
  await cluster?.close();
});

const locksOf = (node: number): LockApi => locks[node - 1] as LockApi;
const sequencesOf = (node: number): SequenceApi => sequences[node - 1] as SequenceApi;

/** What is answered once it is not "try again" any more; a broken connection counts as that. */
function settled<T extends { readonly type: number }>(retry: number, ask: () => Promise<T>): Promise<T> {
  return until('an answer', RECOVERY_MS, async () => {
    const answer = await ask();
    return answer.type === retry ? undefined : answer;
  });
}
const lock = async <T extends { readonly type: number; readonly token: bigint; readonly partitionId: number }>(
  ask: () => Promise<T>,
): Promise<string> => lockSaid(await settled(LockType.MustRetry, ask));
const value = async (ask: () => Promise<AllocationAnswer>): Promise<string> => issued(await settled(SequenceType.MustRetry, ask));

/** A resource in the partition under test, whose last token is 4 and which nobody holds. */
async function resourceWithHistory(name: string, durability: number): Promise<string> {
  const api = locksOf(1);
  for (let i = 0; ; i++) {
    const resource = `${name}-${i}/door`;
    const { partitionId } = await settled(LockType.MustRetry, () => api.acquire(resource, B, LONG_MS, durability));
    await api.unlock(resource, B, durability);
    if (partitionId !== PARTITION) continue;
    for (let token = 1; token < 4; token++) {
      expect(lockSaid(await api.acquire(resource, B, LONG_MS, durability))).toBe(`Locked f${token}`);
      await api.unlock(resource, B, durability);
    }
    return resource;
  }
}

/** A sequence in the partition under test that has issued 1. */
async function sequenceInUse(name: string, blockSize: number): Promise<string> {
  const api = sequencesOf(1);
  for (let i = 0; ; i++) {
    const sequence = `${name}-${i}/numbers`;
    await api.create(sequence, { blockSize });
    const first = await settled(SequenceType.MustRetry, () => api.next(sequence, 'first'));
    expect(issued(first)).toBe('1');
    if (first.partitionId === PARTITION) return sequence;
  }
}

async function leader(): Promise<{ leader: number; other: number }> {
  const number = await until('a leader', RECOVERY_MS, () => cluster.leaderOf(PARTITION));
  return { leader: number, other: (number % 3) + 1 };
}

async function anotherLeads(than: number, seenBy: number): Promise<void> {
  await until('another leader', RECOVERY_MS, async () => {
    const now = await cluster.leaderOf(PARTITION, cluster.node(seenBy));
    return now > 0 && now !== than;
  });
}

test('locks:F1 locks:F2 locks:F4 sequences:F1 sequences:I8 the leader is killed', async () => {
  const held = await resourceWithHistory('f1', Persistent);
  const short = await resourceWithHistory('f2', Persistent);
  const ephemeral = await resourceWithHistory('f4', Ephemeral);
  const sequence = await sequenceInUse('f1', 100);
  const first = await leader();
  const { other } = first;
  const keyed = await sequencesOf(other).next(sequence, 'q8');
  expect(lockSaid(await locksOf(other).acquire(held, A, LONG_MS, Persistent))).toBe('Locked f4');
  expect(lockSaid(await locksOf(other).acquire(short, A, 2000, Persistent))).toBe('Locked f4');
  expect(lockSaid(await locksOf(other).acquire(ephemeral, A, LONG_MS, Ephemeral))).toBe('Locked f4');

  await cluster.node(first.leader).kill();
  const api = locksOf(other);
  const info = await settled(LockType.MustRetry, () => api.info(held, Persistent));
  expect([lockSaid(info), info.owner]).toEqual(['Got f4', A]);
  expect(await lock(() => api.acquire(held, B, LONG_MS, Persistent))).toBe('Busy');
  expect(await lock(() => api.extend(held, A, LONG_MS, Persistent))).toBe('Extended f4');
  expect(await lock(() => api.acquire(ephemeral, B, LONG_MS, Ephemeral))).toBe('Locked f0');
  // The lease may be prolonged by what clocks may differ, and ends all the same.
  const next = await until('the end of the lease', RECOVERY_MS, async () => {
    const answer = await api.acquire(short, B, LONG_MS, Persistent);
    return answer.type === LockType.Busy || answer.type === LockType.MustRetry ? undefined : answer;
  });
  expect(lockSaid(next)).toBe('Locked f5');
  // The block of the dead owner is gone: the mark was 100.
  expect(await value(() => sequencesOf(other).next(sequence, 'q8'))).toBe(issued(keyed));
  expect(await value(() => sequencesOf(other).next(sequence))).toBe('101');
  cluster.node(first.leader).start();
  await cluster.ready();
});

test('locks:F6 sequences:F5 a leader cut off from its quorum answers MustRetry and nothing else', async () => {
  const resource = await resourceWithHistory('f6', Persistent);
  const ephemeral = await resourceWithHistory('f6e', Ephemeral);
  const sequence = await sequenceInUse('f5', 1000);
  const { leader: isolated } = await leader();
  cluster.network.isolate(isolated);
  await anotherLeads(isolated, (isolated % 3) + 1);
  const api = locksOf(isolated);
  const answers = await Promise.all([
    api.acquire(resource, A, LONG_MS, Persistent),
    api.info(resource, Persistent),
    api.unlock(resource, B, Persistent),
    api.acquire(ephemeral, A, LONG_MS, Ephemeral),
    api.info(ephemeral, Ephemeral),
  ]);
  expect(answers.map(lockSaid)).toEqual(Array(5).fill('MustRetry'));
  expect(issued(await sequencesOf(isolated).next(sequence))).toBe('MustRetry');
  cluster.network.heal();
  await cluster.ready();
  expect(await lock(() => api.acquire(resource, A, LONG_MS, Persistent))).toBe('Locked f4');
});

test('locks:F7 sequences:F4 a leader that was stopped while another took over gives nothing away when it goes on', async () => {
  const resource = await resourceWithHistory('f7', Persistent);
  const sequence = await sequenceInUse('f4s', 1000);
  const { leader: paused, other } = await leader();
  expect(lockSaid(await locksOf(other).acquire(resource, A, 1000, Persistent))).toBe('Locked f4');
  cluster.node(paused).pause();
  await anotherLeads(paused, other);
  await sleep(1000);
  const granted = await until('a grant to B', RECOVERY_MS, async () => {
    const answer = await locksOf(other).acquire(resource, B, LONG_MS, Persistent);
    return answer.type === LockType.Locked ? answer : undefined;
  });
  expect(lockSaid(granted)).toBe('Locked f5');
  const issuedMeanwhile = await settled(SequenceType.MustRetry, () => sequencesOf(other).next(sequence));
  cluster.node(paused).resume();
  const [extended, unlocked, info, next] = await Promise.all([
    locksOf(paused).extend(resource, A, LONG_MS, Persistent),
    locksOf(paused).unlock(resource, A, Persistent),
    locksOf(paused).info(resource, Persistent),
    sequencesOf(paused).next(sequence),
  ]);
  expect(['InvalidOwner', 'MustRetry']).toContain(lockSaid(extended));
  expect(['InvalidOwner', 'MustRetry']).toContain(lockSaid(unlocked));
  expect(['Got f5', 'MustRetry']).toContain(lockSaid(info));
  if (next.type === SequenceType.Success) expect(next.start).toBeGreaterThan(issuedMeanwhile.end);
  else expect(issued(next)).toBe('MustRetry');
  await cluster.ready();
});

test('locks:F3 sequences:F3 sequences:C19 sequences:I9 the whole cluster is killed and started again', async () => {
  const resource = await resourceWithHistory('f3', Persistent);
  expect(lockSaid(await locksOf(1).acquire(resource, A, LONG_MS, Persistent))).toBe('Locked f4');
  expect(lockSaid(await locksOf(1).unlock(resource, A, Persistent))).toBe('Unlocked');
  const sequence = await sequenceInUse('f3', 1);
  for (const wanted of ['2', '3']) expect(issued(await sequencesOf(2).next(sequence))).toBe(wanted);
  const before = await sequencesOf(3).get(sequence);
  await Promise.all(cluster.nodes.map(node => node.kill()));
  for (const node of cluster.nodes) node.start();
  await cluster.ready();
  expect(await lock(() => locksOf(2).acquire(resource, B, LONG_MS, Persistent))).toBe('Locked f5');
  const after = await settled(SequenceType.MustRetry, () => sequencesOf(1).get(sequence));
  expect(after.entry).toEqual(before.entry);
  expect(await value(() => sequencesOf(3).next(sequence, 'first'))).toBe('1');
  for (const wanted of ['4', '5', '6']) expect(await value(() => sequencesOf(2).next(sequence))).toBe(wanted);
});
