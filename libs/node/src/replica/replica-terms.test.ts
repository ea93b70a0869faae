import { HLC_ZERO } from '@kahuna/base';
import { type Entry, EntryKind, type Ready } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { ForwardStatus } from '../peer-frame.ts';
import { Replica, type ReplicaHost } from '../replica.ts';
import { PendingRequest, type RequestOrigin } from '../request.ts';
import { SET, surroundings } from './rooms.test-support.ts';

const PARTITION = 2;

/** A replica whose group gives each proposal the next index of a term, both set by the test. */
function scriptedLeader(boundMs = 1e6, maxBatchItems = 1) {
  const { log, group, machine, host } = surroundings({ boundMs, group: { role: 'leader' }, limits: { maxBatchItems } });
  const nobody = { voters: [], outgoing: [], learners: [] };
  return { log, replica: new Replica(PARTITION, group, machine, nobody, host as unknown as ReplicaHost) };
}

test('R2: what was proposed in an earlier leadership and lost does not stand in the way of what this one proposes', () => {
  const { log, replica } = scriptedLeader();
  const told: string[] = [];
  const origin: RequestOrigin = {
    answer: request => told.push(`${request.number} done`),
    refuse: (request, status) => {
      request.done = true;
      told.push(`${request.number} ${status === ForwardStatus.NotLeader ? 'lost' : 'unknown'}`);
    },
  };
  const ask = (number: number): void => {
    replica.accept(new PendingRequest(SET, PARTITION, origin, undefined, 0, 1, 0, 1, 1, number, HLC_ZERO, false));
    replica.proposeQueued();
  };
  const opens = (index: number, term: number): Entry => ({ index, term, kind: EntryKind.Noop, data: new Uint8Array(0) });
  // Entries 1 to 4 of term 1 are cut off by a leader of term 2, whose only entry is 1; in term 3 this replica leads again.
  for (const number of [1, 2, 3, 4]) ask(number);
  log.term = 3;
  log.nextIndex = 3;
  for (const number of [5, 6, 7]) ask(number);
  const committed = [opens(1, 2), opens(2, 3), ...log.proposed.filter(({ term }) => term === 3)];
  replica.take({ committed, reads: [], droppedReads: [] } as unknown as Ready);
  replica.pumpApply(1000);
  expect(told).toEqual(['1 lost', '2 lost', '3 lost', '4 lost', '5 done', '6 done', '7 done']);
  expect(replica.queuedItems).toBe(0);
});

test('R2: what the log has passed in a later term is lost, though nothing is committed at its index yet', () => {
  const { replica } = scriptedLeader();
  const refused: [number, ForwardStatus][] = [];
  const origin: RequestOrigin = {
    answer: () => undefined,
    refuse: (request, status) => {
      request.done = true;
      refused.push([request.number, status]);
    },
  };
  for (const number of [1, 2, 3]) {
    replica.accept(new PendingRequest(SET, PARTITION, origin, undefined, 0, 1, 0, 1, 1, number, HLC_ZERO, false));
    replica.proposeQueued();
  }
  const entry = { index: 1, term: 2, kind: EntryKind.Noop, data: new Uint8Array(0) };
  replica.take({ committed: [entry], reads: [], droppedReads: [] } as unknown as Ready);
  replica.pumpApply(1000);
  expect(refused).toEqual([1, 2, 3].map(number => [number, ForwardStatus.NotLeader]));
  expect([replica.queuedItems, replica.proposedBytes]).toEqual([0, 0]);
});

test('invariant 13: what waits for the clock, while the disk owes it a bound, is bounded in number and bytes', () => {
  const { log, replica } = scriptedLeader(500);
  const refused: number[] = [];
  const origin: RequestOrigin = {
    answer: () => undefined,
    refuse: (request, status) => {
      request.done = true;
      expect(status).toBe(ForwardStatus.Overloaded);
      refused.push(request.number);
    },
  };
  const ask = (number: number, bytes: number): void => {
    const operation = { ...SET, value: new Uint8Array(bytes) };
    replica.accept(new PendingRequest(operation, PARTITION, origin, undefined, 0, 1, 0, 1, 1, number, HLC_ZERO, false));
    replica.proposeQueued();
  };
  // Three of 300,000 bytes fit into a million; of small ones a hundred in all.
  for (let number = 1; number <= 5; number++) ask(number, 300_000);
  expect(refused).toEqual([4, 5]);
  for (let number = 6; number <= 110; number++) ask(number, 10);
  expect(refused).toEqual([4, 5, ...Array.from({ length: 8 }, (_, i) => 103 + i)]);
  expect(replica.queuedItems).toBe(100);
  expect(log.proposed).toEqual([]);
});

test('each request in flight waits as long as it may, also one that came to the leader behind younger ones', () => {
  const { replica } = scriptedLeader(1e6, 10);
  const refused: [number, ForwardStatus][] = [];
  const origin: RequestOrigin = {
    answer: () => undefined,
    refuse: (request, status) => {
      request.done = true;
      refused.push([request.number, status]);
    },
  };
  for (const [number, startedAt] of [
    [1, 400],
    [2, 100],
    [3, 500],
  ] as const) {
    replica.accept(new PendingRequest(SET, PARTITION, origin, undefined, 0, startedAt, 0, 1, 1, number, HLC_ZERO, false));
  }
  replica.proposeQueued();
  replica.expireInFlight(200);
  expect(refused).toEqual([[2, ForwardStatus.Unknown]]);
  replica.expireInFlight(400);
  expect(refused.map(([number]) => number)).toEqual([2, 1]);
});
