import { compareHlc, type Hlc } from '@kahuna/base';
import type { PartitionMachine } from '@kahuna/partition';
import type { RaftGroup } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { ReadTimes } from './read-times.ts';
import { GET, surroundings } from './rooms.test-support.ts';

function timesOf(maxWaitingReads = 10) {
  const timers: { readonly ms: number; readonly run: () => void }[] = [];
  /** How far a quorum's clocks are. */
  const quorum = { l: 0 };
  const machine = { appliedIndex: 5 };
  const group = { lastIndex: 5 };
  const room = surroundings({
    host: {
      maxWaitingReads,
      after: (ms, run) => {
        timers.push({ ms, run });
      },
      quorumHasPassed: (_replica, t: Hlc) => compareHlc({ n: 0, l: quorum.l, c: 0 }, t) >= 0,
    },
  });
  const replica = { ...room.replica, machine: machine as PartitionMachine, group: group as RaftGroup };
  const asOf = (l: number, revision = -1) => room.request({ ...GET, revision, readTimestamp: { n: 0, l, c: 0 } });
  return { ...room, times: new ReadTimes(replica, room.host), timers, quorum, machine, group, asOf };
}

test('only a read as of a time that is past or a little ahead is about a time', () => {
  const { times, asOf, request } = timesOf();
  expect(times.timeToSettle(asOf(900), 1000)?.l).toBe(900);
  expect(times.timeToSettle(asOf(6000), 1000)?.l).toBe(6000);
  expect(times.timeToSettle(asOf(6001), 1000)).toBeUndefined();
  expect(times.timeToSettle(request(GET), 1000)).toBeUndefined();
  expect(times.timeToSettle(asOf(900, 3), 1000)).toBeUndefined();
});

test('a time a little ahead is waited for, and the read comes anew; one far ahead or reached is not', () => {
  const { times, timers, told, asOf } = timesOf();
  expect([times.waitsForClock(asOf(900)), times.waitsForClock(asOf(9000))]).toEqual([false, false]);
  expect(times.waitsForClock(asOf(1200))).toBe(true);
  expect([timers.map(({ ms }) => ms), told]).toEqual([[201], []]);
  timers[0]?.run();
  expect(told).toEqual(['3 came anew']);
});

test('D2: those that wait for the clock are bounded, and end with the node, once', () => {
  const { times, timers, told, asOf } = timesOf(2);
  for (let i = 0; i < 3; i++) expect(times.waitsForClock(asOf(1200))).toBe(true);
  expect(told).toEqual(['3 Overloaded']);
  times.giveUp();
  expect(told).toEqual(['3 Overloaded', '1 Unknown', '2 Unknown']);
  for (const timer of timers) timer.run();
  times.waitsForClock(asOf(1200));
  expect(told.slice(3)).toEqual(['4 Overloaded']);
});

test('D1: a time is settled when the entries of the first look are applied and a quorum has passed it', () => {
  const { times, quorum, machine, group, asOf } = timesOf();
  const read = asOf(900);
  const t = { n: 0, l: 900, c: 0 };
  group.lastIndex = 7;
  expect(times.missingFor(read, t)).toBe('entries');
  // What was appended since is stamped later.
  group.lastIndex = 9;
  machine.appliedIndex = 7;
  expect(times.missingFor(read, t)).toBe('quorum');
  quorum.l = 900;
  expect(times.missingFor(read, t)).toBeUndefined();
});

test('D1: a later time of the same read is looked at anew', () => {
  const { times, quorum, group, asOf } = timesOf();
  const read = asOf(900);
  quorum.l = 950;
  expect(times.missingFor(read, { n: 0, l: 900, c: 0 })).toBeUndefined();
  group.lastIndex = 8;
  expect(times.missingFor(read, { n: 0, l: 940, c: 0 })).toBe('entries');
});
