import { HLC_ZERO, HybridClock } from '@kahuna/base';
import { Durability, EphemeralTable, HeadCache, type Operation, type PartitionMachine } from '@kahuna/partition';
import type { RaftGroup } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { Meters } from './meters.ts';
import { ForwardStatus } from './peer-frame.ts';
import { Replica, type ReplicaHost } from './replica.ts';
import { PendingRequest, type RequestOrigin } from './request.ts';

const PARTITION = 2;

/** A leader without lease, whose rounds nobody answers. */
function unconfirmedLeader(): Replica {
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
    hasLease: () => false,
    createEphemeralTable: () => new EphemeralTable({ partitionId: PARTITION, poolSize: 1, cache }),
  } as unknown as ReplicaHost;
  return new Replica(PARTITION, group, machine, { voters: [], outgoing: [], learners: [] }, host);
}

test('invariant 15: an ephemeral write that was done and not confirmed in time is not refused as undone', () => {
  const refused: [string, ForwardStatus][] = [];
  const origin: RequestOrigin = {
    answer: () => undefined,
    refuse: (request, status) => {
      request.done = true;
      refused.push([request.operation.kind, status]);
    },
  };
  const replica = unconfirmedLeader();
  const ask = (operation: Operation): void => {
    replica.accept(new PendingRequest(operation, PARTITION, origin, undefined, 0, 1, 0, 1, 1, 1, HLC_ZERO, false));
    replica.serveReads();
  };
  const written = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
  const { Ephemeral, Persistent } = Durability;
  // The first is in the round under way, the second waits for the next one.
  ask({ kind: 'set', key: 'a/b', durability: Ephemeral, ...written });
  ask({ kind: 'delete', key: 'a/b', durability: Ephemeral });
  ask({ kind: 'get', key: 'a/b', durability: Persistent, revision: -1, readTimestamp: HLC_ZERO });
  replica.expireWaiting(1);
  expect(refused).toHaveLength(3);
  expect(refused).toContainEqual(['set', ForwardStatus.Unknown]);
  expect(refused).toContainEqual(['delete', ForwardStatus.Unknown]);
  expect(refused).toContainEqual(['get', ForwardStatus.NotLeader]);
});
