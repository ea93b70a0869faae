import { describe, expect, test } from 'vitest';
import { Cluster, makeCore, member, voters } from './cluster.test-support.ts';
import { makeMessage } from './message.ts';
import { type ConfigurationChange, MessageType } from './types.ts';

function clusterOf(...ids: number[]): Cluster {
  return new Cluster(...ids.map(id => makeCore(id, voters(...ids))));
}

function change(kind: 'simple' | 'joint', voterIds: number[], learnerIds: number[] = []): ConfigurationChange {
  return { kind, voters: voterIds.map(member), learners: learnerIds.map(member) };
}

function ids(cluster: Cluster, replica: number): { voters: number[]; outgoing: number[]; learners: number[] } {
  const { voters: incoming, outgoing, learners } = cluster.core(replica).configuration;
  const of = (members: readonly { replicaId: number }[]): number[] => members.map(({ replicaId }) => replicaId);
  return { voters: of(incoming), outgoing: of(outgoing), learners: of(learners) };
}

describe('ReadIndex (dissertation §6.4)', () => {
  test('a read is served once a quorum has answered its round', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    expect(leader.readIndex(7)).toBe(true);
    cluster.settle();
    expect(cluster.reads).toEqual([]);
    cluster.heal();
    cluster.cut(1, 3);
    cluster.tick(4, 1);
    expect(cluster.reads).toEqual([{ replica: 1, context: 7, index: 1 }]);
  });

  test('reads that come together share a round, and those that come during one share the next', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    for (const context of [1, 2, 3]) leader.readIndex(context);
    const rounds = leader.ready();
    for (const context of [4, 5]) leader.readIndex(context);
    expect(rounds?.appends.map(m => [m.type, m.context])).toEqual([
      [MessageType.Heartbeat, 1],
      [MessageType.Heartbeat, 1],
    ]);
    expect(leader.ready()).toBeUndefined();
    for (const heartbeat of rounds?.appends ?? []) cluster.core(heartbeat.to).step(heartbeat, false);
    cluster.settle();
    expect(cluster.reads.map(read => read.context)).toEqual([1, 2, 3, 4, 5]);
    expect(cluster.sent.filter(m => m.type === MessageType.Heartbeat).length).toBe(2);
  });

  test('no read before the first entry of the term is committed and handed out', () => {
    const leader = makeCore(1, voters(1, 2, 3));
    leader.campaign(true);
    leader.step(makeMessage(MessageType.VoteResponse, 2, 1, 1, 0, 0, 0, [], false, false, 0), false);
    leader.ready();
    expect([leader.role, leader.leaderReady, leader.readIndex(1)]).toEqual(['leader', false, false]);
    leader.step(makeMessage(MessageType.AppendResponse, 2, 1, 1, 1, 0, 0, [], false, false, 0), false);
    leader.persisted(1, 1);
    expect([leader.commitIndex, leader.readIndex(2)]).toEqual([1, false]);
    leader.ready();
    expect(leader.readIndex(3)).toBe(true);
  });

  test('a heartbeat names no commit index beyond what its receiver acknowledged', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, 'a');
    leader.readIndex(1);
    expect(leader.ready()?.appends.map(m => [m.to, m.commit])).toEqual([
      [2, 2],
      [3, 1],
    ]);
  });

  test('a leader that is cut off serves no read, and says so when it is deposed', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    leader.readIndex(9);
    cluster.settle();
    cluster.core(2).leaderLost();
    cluster.core(3).leaderLost();
    cluster.elect(2);
    cluster.propose(2, 'newer');
    cluster.heal();
    cluster.tick(10, 1);
    expect(cluster.reads).toEqual([]);
    expect(cluster.dropped).toEqual([9]);
  });

  test('a replica alone confirms at once', () => {
    const cluster = clusterOf(1);
    cluster.elect(1).readIndex(3);
    cluster.settle();
    expect(cluster.reads).toEqual([{ replica: 1, context: 3, index: 1 }]);
  });

  test('an answer to an earlier round does not confirm a later read', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    leader.readIndex(1);
    const first = leader.ready()?.appends[0];
    if (first === undefined) throw new Error('a round was begun');
    cluster.core(2).step(first, false);
    const answer = cluster.core(2).ready()?.appends[0];
    if (answer === undefined) throw new Error('a heartbeat is answered');
    leader.step(answer, false);
    leader.readIndex(2);
    leader.ready();
    leader.step(answer, false);
    expect(leader.ready()).toBeUndefined();
  });
});

describe('leadership transfer (dissertation §3.10)', () => {
  test('the target is brought up to date first, then campaigns over every promise', () => {
    const cluster = clusterOf(1, 2, 3);
    cluster.leaderPromised = () => true;
    const leader = cluster.core(1);
    leader.campaign(true);
    cluster.settle();
    cluster.tick();
    cluster.isolate(2);
    cluster.propose(1, 'a');
    expect(leader.transferLeadership(2)).toBe(true);
    cluster.settle();
    expect(cluster.sent.some(m => m.type === MessageType.TimeoutNow)).toBe(false);
    expect(leader.leaseForfeited).toBe(false);
    expect(cluster.propose(1, 'b')).toEqual({ ok: false, reason: 'transferring' });
    cluster.heal();
    cluster.tick(4, 1);
    expect([1, 2, 3].map(id => cluster.core(id).role)).toEqual(['follower', 'leader', 'follower']);
    expect(
      cluster
        .core(2)
        .entriesBetween(1, 9)
        .map(e => e.kind),
    ).toEqual([0, 1, 0]);
  });

  test('after TimeoutNow there is no lease for the rest of the term, even if the transfer is given up', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.isolate(2);
    expect(leader.transferLeadership(2)).toBe(true);
    cluster.settle();
    expect(leader.leaseForfeited).toBe(true);
    expect(cluster.propose(1, 'a')).toEqual({ ok: false, reason: 'transferring' });
    cluster.tick(10, 1);
    expect(cluster.propose(1, 'a').ok).toBe(true);
    expect(leader.leaseForfeited).toBe(true);
  });

  test.each([
    ['itself', 1],
    ['a learner', 4],
    ['a stranger', 9],
  ])('leadership is not handed to %s', (_, target) => {
    const cluster = new Cluster(...[1, 2, 3].map(id => makeCore(id, { ...voters(1, 2, 3), learners: [member(4)] })));
    expect(cluster.elect(1).transferLeadership(target)).toBe(false);
    expect(cluster.core(2).transferLeadership(3)).toBe(false);
  });
});

describe('membership (Raft §6, dissertation §4)', () => {
  test('a learner catches up on an idle group without being asked twice, and is made a voter', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.add(makeCore(4, { voters: [], outgoing: [], learners: [] }));
    expect(leader.proposeChange(change('simple', [1, 2, 3], [4])).ok).toBe(true);
    cluster.tick(2, 1);
    expect(leader.progress()[2]).toMatchObject({ role: 'learner', match: 3 });
    expect(leader.proposeChange(change('simple', [1, 2, 3, 4])).ok).toBe(true);
    cluster.tick(2, 1);
    expect(ids(cluster, 4)).toEqual({ voters: [1, 2, 3, 4], outgoing: [], learners: [] });
    expect(cluster.appliedText(4)).toEqual(['a']);
    expect(leader.quiet).toBe(true);
  });

  test('a learner’s copy does not count towards commit', () => {
    const cluster = new Cluster(...[1, 2, 3, 4].map(id => makeCore(id, { ...voters(1, 2, 3), learners: [member(4)] })));
    cluster.elect(1);
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.propose(1, 'a');
    expect(cluster.core(4).lastIndex).toBe(2);
    expect(cluster.core(1).commitIndex).toBe(1);
  });

  test('a joint change needs both majorities, for commit, reads and votes, and is left by itself', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    for (const id of [4, 5, 6]) cluster.add(makeCore(id, { voters: [], outgoing: [], learners: [] }));
    for (const id of [2, 3]) cluster.isolate(id);
    expect(leader.proposeChange(change('joint', [4, 5, 6])).ok).toBe(true);
    cluster.tick(5, 1);
    expect(leader.readIndex(1)).toBe(true);
    cluster.tick(5, 1);
    expect(leader.commitIndex).toBe(1);
    expect(cluster.reads).toEqual([]);
    expect(ids(cluster, 4)).toEqual({ voters: [4, 5, 6], outgoing: [1, 2, 3], learners: [] });
    cluster.core(4).leaderLost();
    cluster.core(4).campaign(true);
    for (const id of [1, 2, 3]) cluster.isolate(id);
    cluster.settle();
    expect(cluster.core(4).role).toBe('candidate');
    cluster.heal();
    cluster.tick(10, 4);
    cluster.tick(2, 4);
    expect(cluster.core(4).role).toBe('leader');
    expect(ids(cluster, 4)).toEqual({ voters: [4, 5, 6], outgoing: [], learners: [] });
    expect(ids(cluster, 5)).toEqual({ voters: [4, 5, 6], outgoing: [], learners: [] });
  });

  test('a leader that removes itself commits without its own copy, steps down and hands over at once', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.stopDisk(2);
    expect(leader.proposeChange(change('simple', [2, 3])).ok).toBe(true);
    cluster.settle();
    expect([leader.role, leader.commitIndex]).toEqual(['leader', 1]);
    cluster.startDisk(2);
    expect(leader.role).toBe('follower');
    expect(leader.quiet).toBe(true);
    expect([2, 3].filter(id => cluster.core(id).role === 'leader').length).toBe(1);
  });

  /** Leader 1 of three becomes a learner; the others follow it as long as they know no better, like those whose host hears its host. */
  function leaderWithoutVote(loses: Cluster['loses']): Cluster {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.leaderPromised = id => cluster.core(id).leaderId !== 0;
    cluster.loses = loses;
    expect(leader.proposeChange(change('joint', [2, 3], [1])).ok).toBe(true);
    cluster.settle();
    expect([leader.role, ids(cluster, 1).voters]).toEqual(['follower', [2, 3]]);
    return cluster;
  }

  test('a leader that gave up its vote asks for a successor until somebody has heard', () => {
    const cluster = leaderWithoutVote(message => message.type === MessageType.TimeoutNow);
    expect([2, 3].map(id => cluster.core(id).leaderId)).toEqual([1, 1]);
    cluster.loses = () => false;
    cluster.tick(12, 1);
    expect([2, 3].filter(id => cluster.core(id).role === 'leader').length).toBe(1);
  });

  test('and frees who still follows it after a successor was lost', () => {
    const cluster = leaderWithoutVote(({ from, to }) => (from === 2 || from === 3 ? to !== 1 : false));
    const [candidate, other] = cluster.core(2).role === 'candidate' ? [2, 3] : [3, 2];
    // What is left of the candidacy: a term that the old leader has taken over, and the other voter not.
    cluster.core(1).step(makeMessage(MessageType.Vote, candidate, 1, 2, 9, 2, 0, [], false, true, 0), false);
    cluster.loses = () => false;
    expect([cluster.core(1).term, cluster.core(other).term, cluster.core(other).leaderId]).toEqual([2, 1, 1]);
    cluster.tick(30, 1);
    expect([cluster.core(other).term, cluster.core(other).leaderId]).toEqual([2, 0]);
  });

  test('a removed voter that alone has the change can still win, because nobody else may (dissertation §4.2.2)', () => {
    const cluster = clusterOf(1, 2);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    expect(leader.proposeChange(change('simple', [2])).ok).toBe(true);
    cluster.settle();
    leader.stepDown();
    cluster.core(2).leaderLost();
    cluster.heal();
    cluster.tick(12, 2);
    expect(cluster.core(2).role).not.toBe('leader');
    cluster.tick(12, 1);
    cluster.tick(2);
    expect(cluster.core(1).role).toBe('follower');
    expect(cluster.core(2).role).toBe('leader');
    expect(ids(cluster, 2)).toEqual({ voters: [2], outgoing: [], learners: [] });
  });

  test('one change at a time: refused while the last one is uncommitted or unapplied', () => {
    const leader = makeCore(1, voters(1));
    leader.campaign();
    leader.ready();
    leader.persisted(1, 1);
    expect(leader.proposeChange(change('simple', [1], [2]))).toEqual({ ok: false, reason: 'change-pending' });
    leader.ready();
    leader.applied(1);
    expect(leader.proposeChange(change('simple', [1], [2])).ok).toBe(true);
    expect(leader.proposeChange(change('simple', [1], [3]))).toEqual({ ok: false, reason: 'change-pending' });
    leader.ready();
    leader.persisted(2, 1);
    leader.ready();
    expect(leader.proposeChange(change('simple', [1], [3]))).toEqual({ ok: false, reason: 'change-pending' });
    leader.applied(2);
    expect(leader.proposeChange(change('simple', [1], [3])).ok).toBe(true);
  });

  test.each([
    ['no voter left', change('simple', [])],
    ['no voter left, joint', change('joint', [], [1, 2, 3])],
    ['two voters more in a simple change', change('simple', [1, 2, 3, 4, 5])],
    ['one voter replaced by another in a simple change', change('simple', [1, 2, 4])],
    ['a replica listed twice', change('simple', [1, 2, 3, 3])],
    ['a replica that is voter and learner', change('simple', [1, 2, 3], [3])],
    ['nothing changed', change('simple', [3, 2, 1])],
    ['a replica on another node', { ...change('simple', [1, 2]), learners: [{ replicaId: 3, nodeId: 9 }] }],
  ] satisfies [string, ConfigurationChange][])('an invalid change is refused: %s', (_, wish) => {
    const leader = clusterOf(1, 2, 3).elect(1);
    expect(leader.proposeChange(wish)).toEqual({ ok: false, reason: 'invalid-change' });
  });

  test('a change that is truncated brings the configuration before it back', () => {
    const cluster = clusterOf(1, 2, 3);
    const leader = cluster.elect(1);
    cluster.isolate(1);
    leader.proposeChange(change('simple', [1, 2]));
    cluster.settle();
    expect(ids(cluster, 1).voters).toEqual([1, 2]);
    cluster.core(2).leaderLost();
    cluster.core(3).leaderLost();
    cluster.elect(2);
    cluster.heal();
    cluster.tick(10);
    expect(ids(cluster, 1).voters).toEqual([1, 2, 3]);
  });
});
