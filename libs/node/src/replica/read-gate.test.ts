import { HLC_ZERO, HybridClock } from '@kahuna/base';
import { Durability, EphemeralTable, HeadCache, type Operation, type PartitionMachine } from '@kahuna/partition';
import type { RaftGroup } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { Meters } from '../meters.ts';
import { ForwardStatus } from '../peer-frame.ts';
import { Replica, type ReplicaHost } from '../replica.ts';
import { PendingRequest, type RequestOrigin } from '../request.ts';

const PARTITION = 2;

interface Bounds {
  readonly reads: number;
  readonly bytes: number;
  readonly inFetch?: number;
  readonly leased?: boolean;
}

/** A leader without lease (unless it has one), whose rounds nobody answers. */
function unconfirmedLeader(bounds: Bounds = { reads: 100, bytes: 1e6 }): Replica {
  const clock = { monotonicMs: () => 1, wallMs: () => 1000 };
  const hlc = new HybridClock(1, clock);
  hlc.boundDurable(1e6);
  const group = { role: 'leader', term: 1, leaderReady: true, commitIndex: 1, readIndex: () => true } as unknown as RaftGroup;
  const machine = { appliedTerm: 1, appliedIndex: 1 } as unknown as PartitionMachine;
  const cache = new HeadCache({ maxEntries: 10, maxBytes: 10_000 });
  const host = {
    hlc,
    meters: new Meters(),
    wake: () => undefined,
    hasLease: () => bounds.leased === true,
    maxWaitingReads: bounds.reads,
    readsInFetch: bounds.inFetch ?? 0,
    after: () => undefined,
    quorumHasPassed: () => true,
    limits: { maxQueuedItems: 100, maxQueuedBytes: bounds.bytes },
    createEphemeralTable: () => new EphemeralTable({ partitionId: PARTITION, poolSize: 1, cache }),
  } as unknown as ReplicaHost;
  return new Replica(PARTITION, group, machine, { voters: [], outgoing: [], learners: [] }, host);
}

interface Refusals {
  readonly refused: [string, ForwardStatus][];
  readonly ask: (operation: Operation) => void;
}

function refusalsOf(replica: Replica): Refusals {
  const refused: [string, ForwardStatus][] = [];
  const origin: RequestOrigin = {
    answer: () => undefined,
    refuse: (request, status) => {
      request.done = true;
      refused.push([request.operation.kind, status]);
    },
  };
  const ask = (operation: Operation): void => {
    replica.accept(new PendingRequest(operation, PARTITION, origin, undefined, 0, 1, 0, 1, 1, 1, HLC_ZERO, false));
    replica.serveReads();
  };
  return { refused, ask };
}

const { Ephemeral, Persistent } = Durability;
const GET = { kind: 'get', key: 'a/b', durability: Persistent, revision: -1, readTimestamp: HLC_ZERO } as const;
const WRITTEN = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
const SET = { kind: 'set', key: 'a/b', durability: Ephemeral, ...WRITTEN } as const;

test('invariant 13: reads that wait for confirmation are bounded in number; what comes on top is refused as not executed', () => {
  const { refused, ask } = refusalsOf(unconfirmedLeader({ reads: 5, bytes: 1e6 }));
  for (let i = 0; i < 5; i++) ask(GET);
  expect(refused).toEqual([]);
  for (let i = 0; i < 3; i++) ask(GET);
  expect(refused).toEqual(Array.from({ length: 3 }, () => ['get', ForwardStatus.Overloaded]));
});

test('invariant 13: an ephemeral write beyond the bounds was done: its outcome is not known to those who asked', () => {
  const { refused, ask } = refusalsOf(unconfirmedLeader({ reads: 2, bytes: 1e6 }));
  for (let i = 0; i < 3; i++) ask(SET);
  expect(refused).toEqual([['set', ForwardStatus.Unknown]]);
});

test('invariant 13: the values of ephemeral writes that wait are bounded in bytes', () => {
  const { refused, ask } = refusalsOf(unconfirmedLeader({ reads: 100, bytes: 3000 }));
  for (let i = 0; i < 5; i++) ask({ ...SET, value: new Uint8Array(1000) });
  // The first is in the round; two more wait within the bound.
  expect(refused).toEqual(Array.from({ length: 2 }, () => ['set', ForwardStatus.Unknown]));
});

test('invariant 13: reads as of a time that is not yet are bounded, and end with the node', () => {
  const replica = unconfirmedLeader({ reads: 2, bytes: 1e6, leased: true });
  const { refused, ask } = refusalsOf(replica);
  const ahead = { ...GET, readTimestamp: { n: 0, l: 3000, c: 0 } };
  for (let i = 0; i < 3; i++) ask(ahead);
  expect(refused).toEqual([['get', ForwardStatus.Overloaded]]);
  replica.giveUp();
  expect(refused).toEqual([
    ['get', ForwardStatus.Overloaded],
    ...Array.from({ length: 2 }, () => ['get', ForwardStatus.Unknown]),
  ]);
});

test('invariant 13: a read is refused while the engine owes the node more rows than it may wait for', () => {
  const { refused, ask } = refusalsOf(unconfirmedLeader({ reads: 5, bytes: 1e6, inFetch: 5, leased: true }));
  ask(GET);
  expect(refused).toEqual([['get', ForwardStatus.Overloaded]]);
});

test('invariant 15: an ephemeral write that was done and not confirmed in time is not refused as undone', () => {
  const replica = unconfirmedLeader();
  const { refused, ask } = refusalsOf(replica);
  // The first is in the round under way, the second waits for the next one.
  ask(SET);
  ask({ kind: 'delete', key: 'a/b', durability: Ephemeral });
  ask(GET);
  replica.expireWaiting(1);
  expect(refused).toHaveLength(3);
  expect(refused).toContainEqual(['set', ForwardStatus.Unknown]);
  expect(refused).toContainEqual(['delete', ForwardStatus.Unknown]);
  expect(refused).toContainEqual(['get', ForwardStatus.NotLeader]);
});
