import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { A, B, lockSaid } from './acceptance/lock-cases.ts';
import { issued } from './acceptance/sequence-cases.ts';
import { Ephemeral, Persistent } from './clients/kv-api.ts';
import { GrpcLocks, type LockApi, LockType, RestLocks } from './clients/lock-api.ts';
import { http } from './clients/rest-kv.ts';
import { type AllocationAnswer, GrpcSequences, RestSequences, type SequenceApi, SequenceType } from './clients/sequence-api.ts';
import { Cluster, type ClusterOptions, FAST_ELECTIONS } from './harness/cluster.ts';
import { HANGS_MS, sleep, until } from './harness/processes.ts';

const LONG_MS = 600_000;
/** How long the network holds each message where a test wants to be quicker than an answer. Short of the nodes' leases. */
const DELAY_MS = 100;
/** Who must ask again has waited for so long (sequences §9), less what timers lose and what forwarding takes. */
const ABSORBED_MS = 4500;
/** Longer than most elections. */
const SKEWED_LEASE_MS = 15_000;
/** All tests look at this partition, so that one fault strikes locks and sequences alike. */
const PARTITION = 3;

let cluster: Cluster;
let locks: readonly LockApi[];
let sequences: readonly SequenceApi[];

async function start(options: ClusterOptions): Promise<void> {
  cluster = await Cluster.start(options);
  // Whichever node a test asks, each transport meets some of the faults.
  locks = cluster.nodes.map(({ url, options: { grpcAddress } }, i) =>
    i === 0 ? GrpcLocks.unary(grpcAddress) : i === 1 ? new RestLocks(url) : GrpcLocks.inFrames(grpcAddress),
  );
  sequences = cluster.nodes.map(({ url, options: { grpcAddress } }, i) =>
    i === 0 ? GrpcSequences.inFrames(grpcAddress) : i === 1 ? GrpcSequences.unary(grpcAddress) : new RestSequences(url),
  );
}

async function stop(): Promise<void> {
  for (const api of [...(locks ?? []), ...(sequences ?? [])]) api.close();
  await cluster?.close();
}

// One cluster for most: each test puts right what it broke and uses names of its own.
beforeAll(() => start({ args: FAST_ELECTIONS }));

afterAll(stop);

/** Runs a test on a cluster of its own, in the place of the common one. */
async function withCluster(options: ClusterOptions, body: () => Promise<void>): Promise<void> {
  const common = { cluster, locks, sequences };
  await start(options);
  try {
    await body();
  } finally {
    await stop();
    ({ cluster, locks, sequences } = common);
  }
}

const locksOf = (node: number): LockApi => locks[node - 1] as LockApi;
const sequencesOf = (node: number): SequenceApi => sequences[node - 1] as SequenceApi;

/** What is answered once it is not "try again" any more; a broken connection counts as that. */
function settled<T extends { readonly type: number }>(retry: number, ask: () => Promise<T>): Promise<T> {
  return until('an answer', HANGS_MS, async () => {
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
  const number = await until('a leader', HANGS_MS, () => cluster.leaderOf(PARTITION));
  return { leader: number, other: (number % 3) + 1 };
}

async function anotherLeads(than: number, seenBy: number): Promise<void> {
  await until('another leader', HANGS_MS, async () => {
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
  const next = await until('the end of the lease', HANGS_MS, async () => {
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
  const granted = await until('a grant to B', HANGS_MS, async () => {
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

/** The leader stops in an orderly way, which hands its leaderships over, and starts again. */
async function leadershipMoves(while_: (from: number, seenBy: number) => Promise<void> = async () => undefined): Promise<void> {
  const { leader: from, other } = await leader();
  expect(await cluster.node(from).stop()).toBe(0);
  await anotherLeads(from, other);
  await while_(from, other);
  cluster.node(from).start();
  await cluster.ready();
}

/** The same, to a certain node: the third one is cut off meanwhile, so that it cannot be the one. */
async function leadershipMovesTo(wanted: number): Promise<void> {
  await until(`node ${wanted} leads`, LONG_MS, async () => {
    const { leader: from } = await leader();
    if (from === wanted) return true;
    cluster.network.isolate(6 - from - wanted);
    await cluster.node(from).stop();
    cluster.network.heal();
    cluster.node(from).start();
    await cluster.ready();
    return false;
  });
}

test('locks:F5 locks:F10 sequences:F2 leadership is handed over by the operator, and comes back', async () => {
  const held = await resourceWithHistory('f10', Persistent);
  const ephemeral = await resourceWithHistory('f5', Ephemeral);
  const sequence = await sequenceInUse('f2', 100);
  const { leader: first, other } = await leader();
  expect(lockSaid(await locksOf(other).acquire(held, A, LONG_MS, Persistent))).toBe('Locked f4');
  expect(lockSaid(await locksOf(other).acquire(ephemeral, A, LONG_MS, Ephemeral))).toBe('Locked f4');

  await leadershipMoves(async (_from, seenBy) => {
    expect(await value(() => sequencesOf(seenBy).next(sequence))).toBe('101');
    const api = locksOf(seenBy);
    const info = await settled(LockType.MustRetry, () => api.info(held, Persistent));
    expect([lockSaid(info), info.owner]).toEqual(['Got f4', A]);
    expect(await lock(() => api.acquire(held, B, LONG_MS, Persistent))).toBe('Busy');
    expect(await lock(() => api.unlock(held, A, Persistent))).toBe('Unlocked');
    expect(await lock(() => api.acquire(held, B, LONG_MS, Persistent))).toBe('Locked f5');
  });
  await leadershipMovesTo(first);
  expect(await lock(() => locksOf(other).info(ephemeral, Ephemeral))).toBe('LockDoesNotExist');
  expect(await lock(() => locksOf(first).acquire(ephemeral, B, LONG_MS, Ephemeral))).toBe('Locked f0');
});

test.each([
  ['persistent', Persistent],
  ['ephemeral', Ephemeral],
] as const)('locks:F8 an acquire whose answer was lost is answered again with its token (%s)', async (word, durability) => {
  const resource = await resourceWithHistory(`f8-${word}`, durability);
  const { leader: at, other } = await leader();
  // The request is forwarded, and nothing of what the leader answers comes back until the connection is gone.
  cluster.network.block(at, other);
  try {
    const lost = GrpcLocks.inFrames(cluster.node(other).options.grpcAddress);
    const answer = lost.acquire(resource, A, LONG_MS, durability).catch(() => undefined);
    const granted = await until('the grant', HANGS_MS, async () => {
      const info = await locksOf(at).info(resource, durability);
      return info.type === LockType.Got ? info : undefined;
    });
    lost.close();
    expect(await answer).toBeUndefined();
    expect([lockSaid(granted), granted.owner]).toEqual(['Got f4', A]);
  } finally {
    cluster.network.heal();
  }
  expect(await lock(() => locksOf(other).acquire(resource, A, LONG_MS, durability))).toBe('Locked f4');
});

test('sequences:U16 an update that is under way holds up no other sequence', async () => {
  const updated = await sequenceInUse('u16-updated', 1000);
  const other = await sequenceInUse('u16-other', 1000);
  const { leader: at } = await leader();
  const api = sequencesOf(at);
  // An update takes a round trip between nodes; a value comes out of the block at once, as long as the leader holds its lease.
  cluster.network.delayAll(DELAY_MS);
  try {
    await until('a value during an update', HANGS_MS, async () => {
      let isUpdated = false;
      const update = api.update(updated, { initialValue: 7n }).then(answer => {
        isUpdated = true;
        return answer;
      });
      const next = await api.next(other);
      const wasUnderWay = !isUpdated;
      expect((await update).type).toBe(SequenceType.Success);
      return wasUnderWay && next.type === SequenceType.Success;
    });
  } finally {
    cluster.network.heal();
  }
});

interface Run {
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly start: bigint;
  readonly end: bigint;
}

interface Refusal {
  readonly said: string;
  /** Milliseconds. */
  readonly waited: number;
}

/** Clients that allocate without a pause until told to stop; `refusals`: what was answered instead of values. */
class Allocating {
  readonly runs: Run[] = [];
  readonly refusals: Refusal[] = [];
  private running = true;
  private readonly clients: readonly Promise<void>[];

  /** `apis`: one for each client. */
  constructor(apis: readonly SequenceApi[], name: string) {
    this.clients = apis.map(async (api, number) => {
      for (let i = 0; this.running; i++) {
        const sentAt = performance.now();
        try {
          const answer = await (i % 2 === 0 ? api.next(name) : api.reserve(name, 1 + (number % 7)));
          const { start, end } = answer;
          if (answer.type === SequenceType.Success) this.runs.push({ sentAt, answeredAt: performance.now(), start, end });
          else this.refusals.push({ said: issued(answer), waited: performance.now() - sentAt });
        } catch {
          // The node is not there: nothing was said about a value.
          await sleep(50);
        }
      }
    });
  }

  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.clients);
  }

  /** No value twice, and what was asked for after another was answered is greater. */
  check(): void {
    const byStart = [...this.runs].sort((a, b) => Number(a.start - b.start));
    for (let i = 1; i < byStart.length; i++) {
      expect((byStart[i] as Run).start).toBeGreaterThan((byStart[i - 1] as Run).end);
    }
    const byAnswer = [...this.runs].sort((a, b) => a.answeredAt - b.answeredAt);
    let answered = 0;
    let highest = 0n;
    for (const { sentAt, start } of [...this.runs].sort((a, b) => a.sentAt - b.sentAt)) {
      for (; (byAnswer[answered] as Run).answeredAt < sentAt; answered++) {
        const { end } = byAnswer[answered] as Run;
        if (end > highest) highest = end;
      }
      expect(start).toBeGreaterThan(highest);
    }
  }
}

test('sequences:F8 sixteen clients during an election wait for it, and need not ask again', async () => {
  const sequence = await sequenceInUse('f8', 1000);
  const { leader: dead } = await leader();
  const survivors = [1, 2, 3].filter(node => node !== dead);
  const allocating = new Allocating(
    Array.from({ length: 16 }, (_, i) => sequencesOf(survivors[i % 2] as number)),
    sequence,
  );
  await until('values before', HANGS_MS, async () => allocating.runs.length > 100);
  const diedAt = performance.now();
  await cluster.node(dead).kill();
  await until('values after', HANGS_MS, async () => allocating.runs.filter(run => run.sentAt > diedAt).length > 100);
  await allocating.stop();
  allocating.check();
  // An election that takes longer than the server waits is no fault; giving up before is.
  expect(allocating.refusals.filter(({ said, waited }) => said !== 'MustRetry' || waited < ABSORBED_MS)).toEqual([]);
  cluster.node(dead).start();
  await cluster.ready();
});

test('sequences:F11 leadership is handed over again and again while clients allocate', async () => {
  const sequence = await sequenceInUse('f11', 100);
  const allocating = new Allocating([...sequences, ...sequences, ...sequences], sequence);
  for (let i = 0; i < 3; i++) await leadershipMoves();
  await until('values', HANGS_MS, () => allocating.runs.length > 100);
  await allocating.stop();
  allocating.check();
});

/** How often a node has shortened the log of the partition under test. */
async function compactions(node: number): Promise<number> {
  const { text } = await http(`${cluster.node(node).url}/metrics`);
  const line = /^raft_wal_compaction_passes_total\{(?=[^}]*partition_id="3")[^}]*\} (\d+)$/m.exec(text);
  if (!line) throw new Error('the metrics do not count compactions');
  return Number(line[1]);
}

test('locks:F9 sequences:F10 a replica that caught up by snapshot leads', async () => {
  const args = ['--raft-compact-every-operations', '50', '--raft-compact-number-entries', '50', '--checkpoint-interval', '1'];
  await withCluster({ args: [...FAST_ELECTIONS, ...args] }, async () => {
    const held = await resourceWithHistory('f9', Persistent);
    const sequence = await sequenceInUse('f10', 100);
    const { leader: first, other: away } = await leader();
    await cluster.node(away).kill();
    expect(await lock(() => locksOf(first).acquire(held, A, LONG_MS, Persistent))).toBe('Locked f4');
    const keyed = await settled(SequenceType.MustRetry, () => sequencesOf(first).reserve(sequence, 150, 'while away'));
    const last = await settled(SequenceType.MustRetry, () => sequencesOf(first).next(sequence));
    // One by one, so that each is an entry; until no log keeps what the other one needs, in the partition of both.
    const space = held.split('/')[0] as string;
    const { grpcAddress } = cluster.node(first).options;
    const filling = GrpcLocks.inFrames(grpcAddress);
    const before = await compactions(first);
    for (let i = 0; (await compactions(first)) < before + 3; i++) {
      for (let k = 0; k < 100; k++) await filling.acquire(`${space}/filler-${i}-${k}`, A, LONG_MS, Persistent);
    }
    filling.close();
    cluster.node(away).start();
    await cluster.ready();
    await until('a snapshot', HANGS_MS, () =>
      readFileSync(cluster.node(away).logFile, 'utf8').includes('installed a snapshot of partition 3'),
    );
    await leadershipMovesTo(away);

    const info = await settled(LockType.MustRetry, () => locksOf(away).info(held, Persistent));
    expect([lockSaid(info), info.owner]).toEqual(['Got f4', A]);
    expect(await lock(() => locksOf(away).unlock(held, A, Persistent))).toBe('Unlocked');
    expect(await lock(() => locksOf(away).acquire(held, B, LONG_MS, Persistent))).toBe('Locked f5');
    const replay = await settled(SequenceType.MustRetry, () => sequencesOf(away).reserve(sequence, 150, 'while away'));
    expect(replay).toEqual(keyed);
    const next = await settled(SequenceType.MustRetry, () => sequencesOf(away).next(sequence));
    expect(next.start).toBeGreaterThan(last.end);
  });
});

test('locks:F11 a new leader whose clock is ahead, within the skew that is allowed, ends no lease early', async () => {
  // Where the election took longer than the lease, nobody asked for the lock meanwhile: then again, with a longer one.
  for (let leaseMs = SKEWED_LEASE_MS; !(await outlivesSkew(leaseMs)); leaseMs *= 2);
});

/** Whether the lock was asked for between the election and the end of the lease. */
async function outlivesSkew(leaseMs: number): Promise<boolean> {
  let busy = 0;
  await withCluster({ args: FAST_ELECTIONS, steppableClocks: true }, async () => {
    const resource = await resourceWithHistory('f11', Persistent);
    const { leader: paused, other } = await leader();
    const survivors = [1, 2, 3].filter(node => node !== paused);
    const granted = await settled(LockType.MustRetry, () => locksOf(paused).acquire(resource, A, leaseMs, Persistent));
    expect(lockSaid(granted)).toBe('Locked f4');
    const { expires } = await locksOf(paused).info(resource, Persistent);
    // Nothing that the old leader could hear of the others' clocks may shorten the lease: it hears nothing any more.
    cluster.node(paused).pause();
    for (const node of survivors) cluster.node(node).stepClock();
    await anotherLeads(paused, other);
    const next = await until('the end of the lease', HANGS_MS, async () => {
      const answer = await locksOf(other).acquire(resource, B, LONG_MS, Persistent);
      if (answer.type === LockType.Busy) busy += 1;
      return answer.type === LockType.Locked ? answer : undefined;
    });
    expect(lockSaid(next)).toBe('Locked f5');
    // By the clock that granted it, which is this machine's own.
    expect(Date.now()).toBeGreaterThanOrEqual(expires.l);
    cluster.node(paused).resume();
  });
  return busy > 0;
}
