import { describe, expect, test } from 'vitest';
import { Cluster, makeCore, voters } from './cluster.test-support.ts';
import { makeMessage } from './message.ts';
import { type Message, MessageType } from './types.ts';

function three(): Cluster {
  return new Cluster(...[1, 2, 3].map(id => makeCore(id, voters(1, 2, 3))));
}

function vote(overrides: Partial<Message>): Message {
  return { ...makeMessage(MessageType.Vote, 2, 1, 1, 0, 0, 0, [], false, false, 0), ...overrides };
}

describe('elections (Raft §5.2, §5.4.1, dissertation §9.6)', () => {
  test('a follower that hears nothing for an election timeout campaigns and wins', () => {
    const cluster = three();
    cluster.tick(10, 1);
    expect(cluster.core(1).role).toBe('leader');
    expect([1, 2, 3].map(id => cluster.core(id).leaderId)).toEqual([1, 1, 1]);
    expect([1, 2, 3].map(id => cluster.core(id).term)).toEqual([1, 1, 1]);
  });

  test('a replica alone elects itself and commits only when its own disk has the entry', () => {
    const cluster = new Cluster(makeCore(1, voters(1)));
    cluster.stopDisk(1);
    cluster.core(1).campaign();
    cluster.settle();
    expect(cluster.core(1).role).toBe('leader');
    expect(cluster.core(1).commitIndex).toBe(0);
    expect(cluster.core(1).leaderReady).toBe(false);
    cluster.startDisk(1);
    expect(cluster.core(1).commitIndex).toBe(1);
    expect(cluster.core(1).leaderReady).toBe(true);
  });

  test('a leader by its own vote alone is not heard of before that vote is durable', () => {
    const configuration = { ...voters(1), learners: [{ replicaId: 2, nodeId: 102 }] };
    const core = makeCore(1, configuration);
    core.campaign();
    const ready = core.ready();
    expect(ready?.hardState).toEqual({ term: 1, vote: 1 });
    expect(ready?.appends).toEqual([]);
    expect(ready?.promises.map(m => m.type)).toEqual([MessageType.Append]);
    core.persisted(1, 1);
    core.propose(new Uint8Array(1));
    core.step(makeMessage(MessageType.AppendResponse, 2, 1, 1, 1, 0, 0, [], false, false, 0), false);
    expect(core.ready()?.appends.map(m => m.type)).toEqual([MessageType.Append]);
  });

  test('the hard state of a candidacy is out before the votes are asked for', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.campaign(true);
    const ready = core.ready();
    expect(ready?.hardState).toEqual({ term: 1, vote: 1 });
    expect(ready?.appends).toEqual([]);
    expect(ready?.promises.map(m => [m.type, m.to, m.force])).toEqual([
      [MessageType.Vote, 2, true],
      [MessageType.Vote, 3, true],
    ]);
  });

  test('a pre-vote changes nothing on either side', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.campaign();
    expect(core.term).toBe(0);
    const asked = core.ready();
    expect(asked?.hardState).toBeUndefined();
    expect(asked?.appends.map(m => [m.type, m.term])).toEqual([
      [MessageType.PreVote, 1],
      [MessageType.PreVote, 1],
    ]);
    const peer = makeCore(2, voters(1, 2, 3));
    peer.step(asked?.appends[0] as Message, false);
    const answered = peer.ready();
    expect(peer.term).toBe(0);
    expect(answered?.hardState).toBeUndefined();
    expect(answered?.appends[0]).toMatchObject({ type: MessageType.PreVoteResponse, reject: false, term: 1 });
  });

  test('a replica cut off for long disturbs nobody when it comes back', () => {
    const cluster = three();
    cluster.elect(1);
    cluster.isolate(3);
    cluster.core(3).leaderLost();
    cluster.tick(100, 3);
    expect(cluster.core(3).term).toBe(1);
    cluster.heal();
    cluster.tick(30, 1, 3);
    expect(cluster.core(1).role).toBe('leader');
    expect([1, 2, 3].map(id => cluster.core(id).term)).toEqual([1, 1, 1]);
    expect(cluster.core(3).leaderId).toBe(1);
  });

  test('granting a vote of a higher term adopts the term in the same hard state', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(vote({ term: 7 }), false);
    const ready = core.ready();
    expect(ready?.hardState).toEqual({ term: 7, vote: 2 });
    expect(ready?.appends).toEqual([]);
    expect(ready?.promises[0]).toMatchObject({ type: MessageType.VoteResponse, term: 7, reject: false });
  });

  test('refusing a vote of a higher term adopts the term too', () => {
    const core = makeCore(1, voters(1, 2, 3), {
      hardState: { term: 3, vote: 0 },
      entries: [{ index: 1, term: 3, kind: 0, data: new Uint8Array(0) }],
    });
    core.step(vote({ term: 7 }), false);
    expect(core.ready()).toMatchObject({ hardState: { term: 7, vote: 0 }, promises: [{ reject: true, term: 7 }] });
  });

  test('one vote per term, also over a restart; the same candidate may ask twice', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(vote({ term: 1, from: 2 }), false);
    core.step(vote({ term: 1, from: 3 }), false);
    core.step(vote({ term: 1, from: 2 }), false);
    expect(core.ready()?.promises.map(m => [m.to, m.reject])).toEqual([
      [2, false],
      [3, true],
      [2, false],
    ]);
    const restarted = makeCore(1, voters(1, 2, 3), { hardState: { term: 1, vote: 2 } });
    restarted.step(vote({ term: 1, from: 3 }), false);
    expect(restarted.ready()?.promises[0]).toMatchObject({ reject: true });
  });

  test.each([
    ['an older last term', { logTerm: 1, index: 9 }, true],
    ['the same last term and a shorter log', { logTerm: 2, index: 1 }, true],
    ['the same log', { logTerm: 2, index: 2 }, false],
    ['the same last term and a longer log', { logTerm: 2, index: 3 }, false],
    ['a newer last term and a shorter log', { logTerm: 3, index: 1 }, false],
  ])('a candidate with %s: refused = %s', (_, log, refused) => {
    for (const type of [MessageType.Vote, MessageType.PreVote]) {
      const core = makeCore(1, voters(1, 2, 3), {
        hardState: { term: 2, vote: 0 },
        entries: [1, 2].map(index => ({ index, term: index, kind: 0, data: new Uint8Array(0) })),
      });
      core.step(vote({ type, term: 4, ...log }), false);
      const ready = core.ready();
      expect([...(ready?.promises ?? []), ...(ready?.appends ?? [])][0]?.reject).toBe(refused);
    }
  });

  test.each([MessageType.Vote, MessageType.PreVote])('a promise to the leader forbids others (type %i)', type => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 1, vote: 0 } });
    core.step(makeMessage(MessageType.Heartbeat, 3, 1, 1, 0, 0, 0, [], false, false, 0), true);
    core.ready();
    core.step(vote({ type, term: 5 }), true);
    const ready = core.ready();
    expect(ready?.hardState).toBeUndefined();
    expect(core.term).toBe(1);
    expect([...(ready?.promises ?? []), ...(ready?.appends ?? [])]).toMatchObject([{ reject: true, term: 1 }]);
  });

  test('the promise forbids neither the leader itself nor a transfer', () => {
    for (const allowed of [vote({ from: 3, term: 2 }), vote({ from: 2, term: 2, force: true })]) {
      const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 1, vote: 0 } });
      core.step(makeMessage(MessageType.Heartbeat, 3, 1, 1, 0, 0, 0, [], false, false, 0), true);
      core.ready();
      core.step(allowed, true);
      expect(core.ready()).toMatchObject({ hardState: { term: 2, vote: allowed.from }, promises: [{ reject: false }] });
    }
  });

  test('a leader shows itself to a restarted follower that asks for votes', () => {
    const cluster = three();
    cluster.elect(1);
    expect(cluster.core(1).quiet).toBe(true);
    const [hardState, entries] = [cluster.hardStates.get(2), cluster.core(2).entriesBetween(1, 99)];
    cluster.add(makeCore(2, voters(1, 2, 3), { hardState: hardState ?? { term: 0, vote: 0 }, entries }));
    cluster.tick(10, 2);
    expect(cluster.core(2).leaderId).toBe(1);
    expect(cluster.core(2).commitIndex).toBe(1);
    expect([1, 2, 3].map(id => cluster.core(id).term)).toEqual([1, 1, 1]);
  });

  test('a deposed leader learns the higher term from the answer to its append', () => {
    const cluster = three();
    cluster.elect(1);
    cluster.isolate(1);
    cluster.core(2).leaderLost();
    cluster.core(3).leaderLost();
    cluster.elect(2);
    cluster.propose(1, 'lost');
    cluster.heal();
    cluster.tick(10, 1);
    expect(cluster.core(1).role).toBe('follower');
    expect(cluster.core(1).term).toBe(2);
  });

  test('a message for another replica id of this node is ignored', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(vote({ to: 9, term: 5 }), false);
    expect(core.ready()).toBeUndefined();
    expect(core.term).toBe(0);
  });

  test('stepping down keeps the term, and drops reads', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.isolate(1);
    expect(leader.readIndex(5)).toBe(true);
    leader.stepDown();
    cluster.settle();
    expect([leader.role, leader.term, leader.leaderId]).toEqual(['follower', 1, 0]);
    expect(cluster.dropped).toEqual([5]);
  });

  test('a learner never campaigns and needs no ticks', () => {
    const core = makeCore(9, { ...voters(1, 2, 3), learners: [{ replicaId: 9, nodeId: 109 }] });
    for (let i = 0; i < 50; i++) core.tick();
    core.campaign(true);
    expect(core.ready()).toBeUndefined();
    expect(core.quiet).toBe(true);
  });
});
