import { createRaftGroup, MessageType, type RaftGroup } from '@kahuna/raft';
import { describe, expect, test } from 'vitest';
import type { NodeInternals } from '../internals.ts';
import type { Leases } from '../leases.ts';
import type { Replica } from '../replica.ts';
import type { Elections } from './elections.ts';
import { GroupTicks } from './group-ticks.ts';
import type { Leadership } from './leadership.ts';
import { RunQueue } from './run-queue.ts';

const ELECTION_TICKS = 20;

/** Follows replica 2. */
function follower(): RaftGroup {
  const voters = [1, 2, 3].map(id => ({ replicaId: id, nodeId: id }));
  const group = createRaftGroup({
    ...{ replicaId: 1, nodeId: 1, configuration: { voters, outgoing: [], learners: [] }, hardState: { term: 1, vote: 0 } },
    ...{ startIndex: 0, startTerm: 0, entries: [], appliedIndex: 0, randomInt: low => low },
    ...{ electionTicksMin: ELECTION_TICKS, electionTicksMax: ELECTION_TICKS + 1 },
    ...{ maxAppendBytes: 1e6, maxInflightBytes: 1e6, maxUncommittedBytes: 1e6 },
  });
  const append = { index: 0, logTerm: 0, commit: 0, entries: [], reject: false, force: false, context: 0 };
  group.step({ type: MessageType.Append, from: 2, to: 1, term: 1, ...append }, false);
  return group;
}

/** Ticks of node 1, whose peers are alive, and a replica without work. */
function ticksOver(group: RaftGroup) {
  const replica = {
    ...{ group, leads: false, leaderNode: 2, installing: false, diverged: false, queuedItems: 0, hasWork: false, dirty: false },
    expireInFlight: () => undefined,
    expireWaiting: () => undefined,
  };
  const peer = { alive: true, answeredMonotonic: 0, heartbeatReceivedAt: 0 };
  const node = {
    nodeId: 1,
    settings: { outcomeWaitMs: 1000, leaderWaitMs: 1000, heartbeatMs: 500, checkQuorumMs: 4000, leadershipBarrierMs: 10_000 },
    peerByNode: () => peer,
  } as unknown as NodeInternals;
  const queue = new RunQueue({ soon: () => undefined, after: () => () => undefined }, () => undefined);
  const rooms = [{ mayCampaign: () => true }, { observe: () => undefined }, { tryToReplaceLeader: () => undefined }] as const;
  const [leases, leadership, elections] = rooms as unknown as [Leases, Leadership, Elections];
  return { ticks: new GroupTicks(node, queue, leases, leadership, elections), queue, replica, peer };
}

test('a replica whose turn is still to come does not fall asleep', () => {
  const { ticks, queue, replica } = ticksOver(follower());
  queue.wake(replica as unknown as Replica);
  ticks.tick(0);
  expect(queue.awake.size).toBe(1);
  for (const taken of queue.take()) taken.dirty = false;
  ticks.tick(0);
  expect(queue.awake.size).toBe(0);
});

test('a follower that was asleep does not stand for election sooner after it woke than after a heartbeat', () => {
  const group = follower();
  const { ticks, queue, replica } = ticksOver(group);
  queue.awake.add(replica as unknown as Replica);
  // Heartbeats are late while it has work; then it sleeps, and they come.
  replica.hasWork = true;
  for (let i = 0; i < 8; i++) tickAndTurn();
  replica.hasWork = false;
  tickAndTurn();
  expect(queue.awake.size).toBe(0);
  queue.awake.add(replica as unknown as Replica);
  replica.hasWork = true;
  for (let i = 1; i < ELECTION_TICKS; i++) tickAndTurn();
  expect(group.role).toBe('follower');
  tickAndTurn();
  expect(group.role).toBe('precandidate');

  function tickAndTurn(): void {
    ticks.tick(0);
    for (const taken of queue.take()) taken.dirty = false;
  }
});

test('a leader does not sleep while a learner is not heard from: nobody else would bring it what it misses', () => {
  const { ticks, queue, replica, peer } = ticksOver(follower());
  const configuration = { voters: [{ nodeId: 1 }], outgoing: [], learners: [{ nodeId: 2 }] };
  const group = { role: 'leader', leaderReady: true, quiet: true, tick: () => undefined, configuration };
  Object.assign(group, { quorum: () => true, leaderAlive: () => undefined });
  Object.assign(replica, { group, leads: true, electedAt: 0 });
  queue.awake.add(replica as unknown as Replica);
  peer.alive = false;
  tickAndTurn();
  expect(queue.awake.size).toBe(1);
  peer.alive = true;
  tickAndTurn();
  expect(queue.awake.size).toBe(0);

  function tickAndTurn(): void {
    for (const taken of queue.take()) taken.dirty = false;
    ticks.tick(0);
  }
});

describe('check-quorum of a leader', () => {
  /** A leader of three nodes whose peers were last heard from at time 0. */
  function leading() {
    const { ticks, queue, replica, peer } = ticksOver(follower());
    let given = 0;
    const group = {
      ...{ role: 'leader', leaderReady: true, quiet: false, tick: () => undefined, stepDown: () => void given++ },
      quorum: (heard: (member: { nodeId: number }) => boolean) => [1, 2, 3].filter(nodeId => heard({ nodeId })).length >= 2,
    };
    Object.assign(replica, { group, leads: true, electedAt: -100_000, hasWork: true });
    queue.awake.add(replica as unknown as Replica);
    return { ticks, peer, stepDowns: () => given };
  }

  test('it steps down when nobody was heard from for that time', () => {
    const { ticks, stepDowns } = leading();
    for (let now = 0; now <= 4000; now += 100) ticks.tick(now);
    expect(stepDowns()).toBe(0);
    ticks.tick(4100);
    expect(stepDowns()).toBe(1);
  });

  test('after a pause of its own it first reads what came meanwhile', () => {
    const { ticks, peer, stepDowns } = leading();
    ticks.tick(0);
    ticks.tick(20_000);
    expect(stepDowns()).toBe(0);
    peer.answeredMonotonic = 20_050;
    for (let now = 20_100; now <= 24_000; now += 100) ticks.tick(now);
    expect(stepDowns()).toBe(0);
  });

  test('and steps down two heartbeats later if that was nothing', () => {
    const { ticks, stepDowns } = leading();
    ticks.tick(0);
    for (let now = 20_000; now <= 21_000; now += 100) ticks.tick(now);
    expect(stepDowns()).toBe(0);
    ticks.tick(21_100);
    expect(stepDowns()).toBe(1);
  });

  test('a process that stands still again and again is judged all the same', () => {
    const { ticks, stepDowns } = leading();
    for (let now = 0; now <= 8000; now += 600) ticks.tick(now);
    expect(stepDowns()).toBeGreaterThan(0);
  });
});

test('a leader that sleeps beside a peer that has stopped answering, and lacks something, asks it again now and then', () => {
  const { ticks, queue, replica } = ticksOver(follower());
  let ticked = 0;
  const group = {
    ...{ role: 'leader', leaderReady: true, quiet: true, owing: true },
    configuration: { voters: [{ nodeId: 1 }, { nodeId: 2 }], outgoing: [], learners: [] },
    ...{ quorum: () => true, leaderAlive: () => undefined, tick: () => void ticked++ },
  };
  Object.assign(replica, { group, leads: true, electedAt: 0 });
  queue.awake.add(replica as unknown as Replica);
  const seconds = (count: number, from: number): void => {
    for (let now = from; now < from + count * 1000; now += 100) {
      ticks.tick(now);
      for (const taken of queue.take()) taken.dirty = false;
    }
  };
  seconds(20, 0);
  expect(ticked).toBeGreaterThanOrEqual(4);
  expect(ticked).toBeLessThan(12);
  group.owing = false;
  seconds(10, 20_000);
  const settled = ticked;
  seconds(20, 30_000);
  expect(ticked).toBe(settled);
});
