import { compareHlc, type Hlc } from '@kahuna/base';
import { decodeBatch } from '@kahuna/partition';
import { type Entry, EntryKind } from '@kahuna/raft';
import { beforeEach, describe, expect, test } from 'vitest';
import { emptyResult } from '../request.ts';
import { Proposals } from './proposals.ts';
import { SET, surroundings } from './rooms.test-support.ts';
import { TermMemory } from './term-memory.ts';

function proposalsOf(script: Parameters<typeof surroundings>[0] = {}) {
  const room = surroundings(script);
  const proposals = new Proposals(room.replica, room.host, new TermMemory(room.replica, room.host));
  const propose = (...requests: ReturnType<typeof room.request>[]): void => {
    for (const request of requests) proposals.enqueue(request);
    proposals.proposeQueued();
  };
  const batches = (): { items: number; stamp: Hlc }[] =>
    room.log.proposed.map(entry => decodeBatch(entry.data)).map(({ proposals, stamp }) => ({ items: proposals.length, stamp }));
  return { ...room, proposals, propose, batches };
}

function opening(index: number, term: number): Entry {
  return { index, term, kind: EntryKind.Noop, data: new Uint8Array(0) };
}

test('what gathered in a turn is one entry; too many items make several', () => {
  const { propose, batches, request } = proposalsOf({ limits: { maxBatchItems: 3 } });
  propose(...Array.from({ length: 7 }, () => request()));
  expect(batches().map(batch => batch.items)).toEqual([3, 3, 1]);
});

test('nothing is proposed while the engine is too far behind; what waits is bounded, and goes on after that', () => {
  const { propose, proposals, batches, told, request, host } = proposalsOf({ limits: { maxQueuedItems: 3 } });
  let isBehind = true;
  Object.defineProperty(host, 'stateIsBehind', { get: () => isBehind });
  propose(request(), request(), request(), request());
  expect([told, batches()]).toEqual([['4 Overloaded'], []]);
  isBehind = false;
  proposals.proposeQueued();
  expect(batches().map(({ items }) => items)).toEqual([3]);
});

test('so do too many bytes, and one that is larger than the bound stands alone', () => {
  const { propose, batches, request } = proposalsOf({ limits: { maxBatchBytes: 2500 } });
  const bytes = (length: number) => request({ ...SET, value: new Uint8Array(length) });
  propose(bytes(900), bytes(900), bytes(900), bytes(5000), bytes(900));
  expect(batches().map(batch => batch.items)).toEqual([2, 1, 1, 1]);
});

test('W1: items and bytes are bounded together with what is in flight, and what is decided makes room', () => {
  const { propose, proposals, log, told, request, host } = proposalsOf({ limits: { maxQueuedItems: 3, maxBatchItems: 2 } });
  propose(request(), request(), request(), request());
  expect(told).toEqual(['4 Overloaded']);
  expect([proposals.items, host.meters.rejections.queue_full]).toEqual([3, 1]);
  proposals.settleAt(log.proposed[0] as Entry, [emptyResult(0), emptyResult(0)]);
  propose(request(), request(), request());
  expect(told).toEqual(['4 Overloaded', '1 done', '2 done', '7 Overloaded']);
});

test('W1: bytes in flight come back to nothing, whatever becomes of them', () => {
  const { propose, proposals, log, request } = proposalsOf({ limits: { maxBatchItems: 1 } });
  for (const length of [10, 20, 30]) propose(request({ ...SET, value: new Uint8Array(length) }));
  proposals.settleAt(log.proposed[0] as Entry, [emptyResult(0)]);
  expect(proposals.proposedBytes).toBeGreaterThan(50);
  proposals.settleAt(opening(2, 4), undefined);
  expect([proposals.items, proposals.proposedBytes]).toEqual([0, 0]);
});

test('W2: stamps grow with the indexes', () => {
  const { propose, batches, request } = proposalsOf({ limits: { maxBatchItems: 2 } });
  propose(...Array.from({ length: 6 }, () => request()));
  const [first, second, third] = batches().map(batch => batch.stamp) as [Hlc, Hlc, Hlc];
  expect(compareHlc(first, second)).toBeLessThan(0);
  expect(compareHlc(second, third)).toBeLessThan(0);
});

test('a replica that does not lead any more gives back what was not proposed', () => {
  const { propose, replica, told, request } = proposalsOf();
  replica.mayServe = false;
  propose(request(), request());
  expect(told).toEqual(['1 NotLeader', '2 NotLeader']);
});

test.each([
  ['too-many-uncommitted', 'Overloaded'],
  ['transferring', 'NotLeader'],
] as const)('a group that refuses a proposal (%s) has done nothing: %s', (reason, status) => {
  const { propose, proposals, told, request } = proposalsOf({ group: { propose: () => ({ ok: false, reason }) } });
  propose(request(), request());
  expect(told).toEqual([`1 ${status}`, `2 ${status}`]);
  expect([proposals.items, proposals.proposedBytes]).toEqual([0, 0]);
});

test('W3: a repeat waits until the first entry of the term is applied, and ends if that takes too long', () => {
  const { propose, proposals, log, told, request } = proposalsOf({ machine: { appliedTerm: 0 } });
  propose(request(SET, true), request());
  expect([log.proposed.length, proposals.queuedItems]).toEqual([1, 1]);
  proposals.expireQueued(1000);
  expect(told).toEqual(['1 NotLeader']);
});

test('W3: a repeat whose first attempt is in flight, or in the same batch, is not proposed', () => {
  const { propose, log, request, told } = proposalsOf();
  propose(request(SET, false, 1));
  propose(request(SET, true, 1), request(SET, true, 2), request(SET, true, 2));
  expect(log.proposed.map(entry => decodeBatch(entry.data).proposals.length)).toEqual([1, 1]);
  expect(told, 'the first attempt answers').toEqual([]);
});

test('W3: a repeat is answered as its first attempt was; if nobody can know any more, it is unknown', () => {
  const known = proposalsOf({ machine: { remembered: () => emptyResult(0) } });
  known.propose(known.request(SET, true));
  const unknown = proposalsOf({ machine: { remembered: () => 'unknown' } });
  unknown.propose(unknown.request(SET, true));
  expect([known.told, unknown.told, known.log.proposed, unknown.log.proposed]).toEqual([['1 done'], ['1 Unknown'], [], []]);
});

test('R2: what another term took the place of is lost, whatever that came to', () => {
  const { propose, proposals, told, request } = proposalsOf();
  propose(request());
  proposals.settleAt({ index: 1, term: 2, kind: EntryKind.Command, data: new Uint8Array(0) }, [emptyResult(0)]);
  expect(told).toEqual(['1 NotLeader']);
});

test('a replica that differs from a quorum does not know what became of its own proposals', () => {
  const { propose, proposals, replica, log, told, request } = proposalsOf();
  propose(request());
  replica.diverged = true;
  proposals.settleAt(log.proposed[0] as Entry, [emptyResult(0)]);
  expect(told).toEqual(['1 Unknown']);
});

test('what is in flight for too long, or when the log is replaced, is unknown', () => {
  const { propose, proposals, time, told, request } = proposalsOf({ limits: { maxBatchItems: 1 } });
  propose(request());
  time.ms = 2000;
  propose(request());
  proposals.expireInFlight(1500);
  expect(told).toEqual(['1 Unknown']);
  proposals.restored();
  expect(told).toEqual(['1 Unknown', '2 Unknown']);
  expect([proposals.items, proposals.proposedBytes]).toEqual([0, 0]);
});

describe('while the disk owes the clock its bound', () => {
  const heldBack = (limits: Parameters<typeof surroundings>[0] = {}) => {
    const room = proposalsOf(limits);
    Object.defineProperty(room.hlc, 'isHeldBack', { get: () => isHeldBack });
    return room;
  };
  let isHeldBack = true;
  beforeEach(() => {
    isHeldBack = true;
  });

  test('W1: what waits is bounded, places of requests that were given up are found again, and all that has one is proposed', () => {
    const { propose, proposals, told, request, batches } = heldBack({ limits: { maxQueuedItems: 3 } });
    const [first, ...others] = [request(), request(), request(), request()];
    propose(first as ReturnType<typeof request>, ...others);
    expect(told).toEqual(['4 Overloaded']);
    (first as ReturnType<typeof request>).done = true;
    for (let i = 0; i < 4; i++) propose(request());
    expect(told).toHaveLength(4);
    expect(proposals.queuedItems).toBe(3);
    isHeldBack = false;
    proposals.proposeQueued();
    expect(batches().map(({ items }) => items)).toEqual([3]);
  });

  test('a turn looks at what is new, not at all that waits', () => {
    const { propose, proposals, request, told } = heldBack({ limits: { maxQueuedItems: 5000, maxQueuedBytes: 1e9 } });
    let looks = 0;
    const watched = () =>
      Object.defineProperty(request(), 'done', {
        get: () => {
          looks++;
          return false;
        },
        set: () => undefined,
      });
    for (let turn = 0; turn < 1000; turn++) propose(...Array.from({ length: 10 }, watched));
    expect([proposals.queuedItems, told.length]).toEqual([5000, 5000]);
    // A few times each, instead of once per turn.
    expect(looks).toBeLessThan(40_000);
  });
});
