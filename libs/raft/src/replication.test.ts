import { describe, expect, test } from 'vitest';
import { Cluster, makeCore, voters } from './cluster.test-support.ts';
import type { RaftCore } from './group.ts';
import { makeMessage } from './message.ts';
import { type Entry, type Message, MessageType } from './types.ts';

const NO_BYTES = new Uint8Array(0);

function three(overrides: Parameters<typeof makeCore>[2] = {}): Cluster {
  return new Cluster(...[1, 2, 3].map(id => makeCore(id, voters(1, 2, 3), overrides)));
}

function entry(index: number, term: number): Entry {
  return { index, term, kind: 1, data: NO_BYTES };
}

function append(term: number, index: number, logTerm: number, entries: Entry[], commit = 0): Message {
  return makeMessage(MessageType.Append, 2, 1, term, index, logTerm, commit, entries, false, false, 0);
}

function ack(from: number, term: number, index: number): Message {
  return makeMessage(MessageType.AppendResponse, from, 1, term, index, 0, 0, [], false, false, 0);
}

function state(core: RaftCore): [number, number] {
  return [core.commitIndex, core.lastIndex];
}

/** A leader of term 1 over peers that never answer by themselves; its own entry 1 is handed to the disk, not durable. */
function lonelyLeader(overrides: Parameters<typeof makeCore>[2] = {}): RaftCore {
  const core = makeCore(1, voters(1, 2, 3), overrides);
  core.campaign(true);
  core.step(makeMessage(MessageType.VoteResponse, 2, 1, 1, 0, 0, 0, [], false, false, 0), false);
  core.ready();
  return core;
}

describe('replication (Raft §5.3, §5.4)', () => {
  test('a proposal is applied by every replica, in order', () => {
    const cluster = three();
    cluster.elect(1);
    for (const text of ['a', 'b', 'c']) expect(cluster.propose(1, text).ok).toBe(true);
    cluster.tick(2);
    for (const id of [1, 2, 3]) expect(cluster.appliedText(id)).toEqual(['a', 'b', 'c']);
  });

  test('appends leave at once, acknowledgements wait for the disk', () => {
    const leader = lonelyLeader();
    leader.step(ack(2, 1, 1), false);
    leader.ready();
    leader.propose(NO_BYTES);
    const ready = leader.ready();
    expect(ready?.appends).toMatchObject([{ type: MessageType.Append, to: 2, index: 1 }]);
    expect(ready?.promises).toEqual([]);
    expect(ready?.entries.length).toBe(1);
    const follower = makeCore(1, voters(1, 2, 3));
    follower.step(append(1, 0, 0, [entry(1, 1)]), false);
    const received = follower.ready();
    expect(received?.appends).toEqual([]);
    expect(received?.hardState).toEqual({ term: 1, vote: 0 });
    expect(received?.promises).toMatchObject([{ type: MessageType.AppendResponse, index: 1, reject: false }]);
  });

  test('everything proposed between two readies travels in one append, shared by peers at the same place', () => {
    const leader = lonelyLeader();
    leader.step(ack(2, 1, 1), false);
    leader.step(ack(3, 1, 1), false);
    leader.ready();
    for (let i = 0; i < 10; i++) leader.propose(NO_BYTES);
    const ready = leader.ready();
    expect(ready?.appends.map(m => m.entries.length)).toEqual([10, 10]);
    expect(ready?.appends[0]?.entries).toBe(ready?.appends[1]?.entries);
    expect(ready?.entries).toBe(ready?.appends[0]?.entries);
  });

  test('the own copy counts only once the disk has exactly that entry', () => {
    const leader = lonelyLeader();
    leader.step(ack(2, 1, 1), false);
    expect(leader.commitIndex).toBe(0);
    leader.persisted(1, 7);
    expect(leader.commitIndex).toBe(0);
    leader.persisted(1, 1);
    expect(leader.commitIndex).toBe(1);
  });

  test('two peers commit without the leader’s disk', () => {
    const leader = lonelyLeader();
    leader.step(ack(2, 1, 1), false);
    leader.step(ack(3, 1, 1), false);
    expect(leader.commitIndex).toBe(1);
  });

  test('an entry of an older term is never committed by counting (figure 8)', () => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 2, vote: 0 }, entries: [entry(1, 1), entry(2, 2)] });
    core.campaign(true);
    core.step(makeMessage(MessageType.VoteResponse, 2, 1, 3, 0, 0, 0, [], false, false, 0), false);
    core.ready();
    core.step(ack(2, 3, 2), false);
    core.step(ack(3, 3, 2), false);
    expect(core.commitIndex).toBe(0);
    core.step(ack(2, 3, 3), false);
    core.step(ack(3, 3, 3), false);
    expect(core.commitIndex).toBe(3);
  });

  test('entries of a deposed leader that were not committed are replaced', () => {
    const cluster = three();
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, 'lost');
    cluster.core(2).leaderLost();
    cluster.core(3).leaderLost();
    cluster.elect(2);
    cluster.propose(2, 'kept');
    cluster.heal();
    cluster.tick(10);
    for (const id of [1, 2, 3]) expect(cluster.appliedText(id)).toEqual(['kept']);
  });

  test('committed entries are never truncated, whatever a peer sends', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(append(1, 0, 0, [entry(1, 1), entry(2, 1)], 2), false);
    expect(() => core.step(append(2, 0, 0, [entry(1, 2), entry(2, 2), entry(3, 2)]), false)).toThrow(
      'a committed entry never changes',
    );
  });

  test('a late or repeated append takes nothing away', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(append(1, 0, 0, [entry(1, 1), entry(2, 1), entry(3, 1)]), false);
    core.step(append(1, 0, 0, [entry(1, 1)]), false);
    expect(core.lastIndex).toBe(3);
    expect(core.ready()?.promises).toMatchObject([{ index: 3 }]);
  });

  test('a follower takes the commit index only as far as its log is known to match', () => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 1, vote: 0 }, entries: [1, 2, 3].map(i => entry(i, 1)) });
    core.step(append(2, 1, 1, [], 3), false);
    expect(state(core)).toEqual([1, 3]);
  });

  test.each([
    ['a log that is too short: hint is its end', [1, 1], { index: 5, logTerm: 3 }, [2, 1]],
    ['a conflicting suffix: hint skips the later terms', [1, 1, 4, 4], { index: 4, logTerm: 3 }, [2, 1]],
  ])('refusing an append: %s', (_, terms, before, hint) => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 5, vote: 0 }, entries: terms.map((t, i) => entry(i + 1, t)) });
    core.step(append(6, before.index, before.logTerm, []), false);
    const refusal = core.ready()?.appends[0];
    expect(refusal).toMatchObject({ type: MessageType.AppendResponse, reject: true, context: before.index });
    expect([refusal?.index, refusal?.logTerm]).toEqual(hint);
  });

  test('a long divergence is bridged in one refusal per term, not per entry', () => {
    const old = Array.from({ length: 200 }, (_, i) => entry(i + 2, 2));
    const cluster = new Cluster(
      makeCore(1, voters(1, 2), { hardState: { term: 2, vote: 0 }, entries: [entry(1, 1), ...old] }),
      makeCore(2, voters(1, 2), { hardState: { term: 4, vote: 0 }, entries: [entry(1, 1), entry(2, 3), entry(3, 4)] }),
    );
    cluster.elect(2);
    expect(cluster.core(1).lastIndex).toBe(4);
    expect(cluster.sent.filter(m => m.type === MessageType.AppendResponse && m.reject).length).toBeLessThanOrEqual(2);
  });

  test('bytes in flight are bounded, and an acknowledgement opens the window', () => {
    const leader = lonelyLeader({ maxAppendBytes: 116, maxInflightBytes: 300 });
    leader.step(ack(2, 1, 1), false);
    leader.ready();
    for (let i = 0; i < 20; i++) leader.propose(new Uint8Array(100));
    expect(leader.ready()?.appends.length).toBe(3);
    expect(leader.progress()[0]).toMatchObject({ state: 'replicate', match: 1, next: 5, inflightBytes: 348 });
    expect(leader.ready()).toBeUndefined();
    leader.step(ack(2, 1, 3), false);
    expect(leader.ready()?.appends.map(m => m.entries[0]?.index)).toEqual([5, 6]);
  });

  test('proposals are refused while too many bytes are uncommitted, and let in again once they are committed', () => {
    const leader = lonelyLeader({ maxUncommittedBytes: 300 });
    expect(leader.propose(new Uint8Array(200)).ok).toBe(true);
    expect(leader.propose(new Uint8Array(200))).toEqual({ ok: false, reason: 'too-many-uncommitted' });
    leader.ready();
    leader.step(ack(2, 1, 2), false);
    leader.persisted(2, 1);
    expect(leader.propose(new Uint8Array(1000)).ok).toBe(true);
  });

  test('a lost append is found by an empty one, and nothing else is sent again', () => {
    const cluster = three();
    cluster.elect(1);
    cluster.cut(1, 2);
    cluster.propose(1, 'a');
    cluster.heal();
    cluster.propose(1, 'b');
    cluster.tick(6, 1);
    expect(cluster.appliedText(2)).toEqual(['a', 'b']);
  });

  test('a follower refuses proposals', () => {
    expect(makeCore(1, voters(1, 2)).propose(NO_BYTES)).toEqual({ ok: false, reason: 'not-leader' });
  });
});

describe('quiet groups', () => {
  test('a leader tells a commit index that no append carries within a tick, and is quiet once it is known', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.propose(1, 'a');
    expect(cluster.core(2).commitIndex).toBe(1);
    expect(leader.quiet).toBe(false);
    cluster.tick(1, 1);
    expect([2, 3].map(id => cluster.core(id).commitIndex)).toEqual([2, 2]);
    expect([1, 2, 3].map(id => cluster.core(id).quiet)).toEqual([true, true, true]);
    const before = cluster.sent.length;
    cluster.tick(50, 1);
    expect(cluster.sent.length).toBe(before);
  });

  test('a leader that is asked to tells its commit index to those who lack nothing else, once', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, 'a');
    expect(cluster.core(2).commitIndex).toBe(1);
    const before = cluster.sent.length;
    expect(leader.tellCommit()).toBe(true);
    cluster.settle();
    expect([2, 3].map(id => cluster.core(id).commitIndex)).toEqual([2, 1]);
    const told = cluster.sent.slice(before).filter(m => m.from === 1);
    expect(told.map(m => [m.to, m.entries.length])).toEqual([[2, 0]]);
    expect(leader.tellCommit()).toBe(false);
    expect(cluster.core(2).tellCommit()).toBe(false);
  });

  test('a peer that is down costs one small message per interval, and in the end none is owed', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.isolate(3);
    leader.peerReset(3);
    for (let i = 0; i < 5; i++) cluster.propose(1, 'x'.repeat(100));
    const before = cluster.sent.length;
    cluster.tick(30, 1);
    const probes = cluster.sent.slice(before).filter(m => m.to === 3);
    expect(probes.length).toBeLessThanOrEqual(10);
    expect(probes.every(m => m.entries.length === 0)).toBe(true);
    expect([leader.quiet, leader.owing]).toEqual([true, true]);
    cluster.heal();
    leader.peerReset(3);
    expect(leader.quiet).toBe(false);
    cluster.tick(1, 1);
    expect(cluster.appliedText(3).length).toBe(5);
    expect([leader.quiet, leader.owing]).toEqual([true, false]);
  });

  test('a peer counts as answering only since its connection was last made', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    expect([1, 2, 3].map(id => leader.hasAnswered(id))).toEqual([true, true, true]);
    cluster.isolate(3);
    leader.peerReset(3);
    expect(leader.hasAnswered(3)).toBe(false);
  });

  test('a Ready is never changed by what comes later', () => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 1, vote: 0 } });
    core.step(makeMessage(MessageType.Heartbeat, 2, 1, 1, 0, 0, 0, [], false, false, 0), false);
    const onlyAppends = core.ready();
    core.step(append(1, 0, 0, [entry(1, 1)]), false);
    const onlyPromises = core.ready();
    const frozen = structuredClone([onlyAppends, onlyPromises]);
    core.step(makeMessage(MessageType.Vote, 3, 1, 2, 9, 9, 0, [], false, false, 0), false);
    core.step(append(3, 1, 1, [entry(2, 3)], 2), false);
    core.step(makeMessage(MessageType.Heartbeat, 2, 1, 3, 0, 0, 0, [], false, false, 0), false);
    core.ready();
    expect([onlyAppends, onlyPromises]).toEqual(frozen);
    expect(core.ready()).toBeUndefined();
  });

  test('a vote in a term adopted earlier is written too', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(makeMessage(MessageType.AppendResponse, 3, 1, 4, 0, 0, 0, [], true, false, 0), false);
    expect(core.ready()?.hardState).toEqual({ term: 4, vote: 0 });
    core.step(makeMessage(MessageType.Vote, 2, 1, 4, 0, 0, 0, [], false, false, 0), false);
    expect(core.ready()?.hardState).toEqual({ term: 4, vote: 2 });
  });
});

describe('compaction and snapshots (Raft §7)', () => {
  function compacted(): Cluster {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.isolate(3);
    for (let i = 0; i < 9; i++) cluster.propose(1, `v${i}`);
    leader.compact(6);
    cluster.heal();
    return cluster;
  }

  test('a peer below the first entry is offered a snapshot once, and replication goes on behind it', () => {
    const cluster = compacted();
    const leader = cluster.core(1);
    leader.peerReset(3);
    cluster.settle();
    expect(cluster.snapshots).toEqual([{ from: 1, to: 3 }]);
    expect(leader.progress()[1]).toMatchObject({ state: 'snapshot' });
    cluster.tick(20, 1);
    expect(cluster.snapshots.length).toBe(1);
    expect(cluster.core(3).restore(8, 1, voters(1, 2, 3))).toBe(true);
    cluster.settle();
    expect(leader.progress()[1]).toMatchObject({ state: 'replicate' });
    cluster.tick(1, 1);
    expect([cluster.core(3).firstIndex, cluster.core(3).commitIndex, cluster.core(3).lastIndex]).toEqual([9, 10, 10]);
    expect(cluster.appliedText(3)).toEqual(['v7', 'v8']);
    expect(leader.quiet).toBe(true);
  });

  test('a peer that does not answer is offered none', () => {
    const cluster = compacted();
    cluster.isolate(3);
    cluster.core(1).peerReset(3);
    cluster.tick(20, 1);
    expect(cluster.snapshots).toEqual([]);
  });

  test('a failed transfer is offered again, but not at once', () => {
    const cluster = compacted();
    cluster.core(1).peerReset(3);
    cluster.settle();
    cluster.core(1).snapshotFailed(3);
    cluster.settle();
    expect(cluster.snapshots.length).toBe(1);
    cluster.tick(4, 1);
    expect(cluster.snapshots.length).toBe(2);
  });

  test('after the host says the snapshot arrived, probing finds out', () => {
    const cluster = compacted();
    const leader = cluster.core(1);
    cluster.cut(3, 1);
    leader.peerReset(3);
    cluster.heal();
    cluster.tick(4, 1);
    cluster.cut(3, 1);
    cluster.core(3).restore(8, 1, voters(1, 2, 3));
    cluster.settle();
    cluster.heal();
    leader.snapshotSent(3, 8);
    cluster.tick(4, 1);
    expect(cluster.core(3).lastIndex).toBe(10);
  });

  test('a snapshot that is not newer is refused', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(append(1, 0, 0, [entry(1, 1), entry(2, 1)], 2), false);
    expect(core.restore(2, 1, voters(1, 2, 3))).toBe(false);
  });

  test('a snapshot inside the log keeps what lies behind it, and writes it again: it may have been acknowledged', () => {
    const core = makeCore(1, voters(1, 2, 3));
    core.step(
      append(
        1,
        0,
        0,
        [1, 2, 3, 4].map(i => entry(i, 1)),
        1,
      ),
      false,
    );
    core.ready();
    expect(core.restore(3, 1, voters(1, 2, 3))).toBe(true);
    const ready = core.ready();
    expect(ready?.entries.map(e => e.index)).toEqual([4]);
    expect(ready?.committed).toEqual([]);
    expect([core.firstIndex, core.commitIndex, core.appliedIndex, core.lastIndex]).toEqual([4, 3, 3, 4]);
  });

  test('an engine ahead of its log starts in the term of what it applied, without a vote', () => {
    const core = makeCore(1, voters(1, 2, 3), { hardState: { term: 2, vote: 1 }, startIndex: 9, startTerm: 4, appliedIndex: 9 });
    expect(core.term).toBe(4);
    expect(core.ready()?.hardState).toEqual({ term: 4, vote: 0 });
  });

  test('only applied entries are compacted, and the term before the first stays known', () => {
    const cluster = three();
    const leader = cluster.elect(1);
    cluster.propose(1, 'a');
    expect(() => leader.compact(3)).toThrow('only applied entries');
    leader.compact(2);
    expect([leader.firstIndex, leader.termAt(2), leader.termAt(1), leader.logBytes]).toEqual([3, 1, undefined, 0]);
    expect(leader.entriesBetween(1, 9)).toEqual([]);
  });
});
