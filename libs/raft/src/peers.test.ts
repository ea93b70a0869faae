import { expect, test } from 'vitest';
import { member, voters } from './cluster.test-support.ts';
import { Peers } from './peers.ts';

function peersOf(...ids: number[]): Peers {
  const peers = new Peers(member(1), 4);
  peers.rebuild(voters(...ids), 8);
  return peers;
}

function match(peers: Peers, matches: Record<number, number>): void {
  for (const peer of peers.others) peer.match = matches[peer.member.replicaId] ?? 0;
}

test('the leader counts with what its own disk has completed', () => {
  const peers = peersOf(1, 2, 3);
  match(peers, { 2: 7, 3: 1 });
  expect(peers.quorumValue(progress => progress.match)).toBe(4);
  peers.self.match = 6;
  expect(peers.quorumValue(progress => progress.match)).toBe(6);
});

test('a new member is asked from the next entry on; P2: one that stays keeps its progress, and may change its role', () => {
  const peers = peersOf(1, 2, 3);
  const two = peers.find(2);
  match(peers, { 2: 5 });
  peers.rebuild({ voters: [member(1), member(4)], outgoing: [], learners: [member(2)] }, 9);
  expect(peers.find(2)).toBe(two);
  expect([two?.match, two?.voter]).toEqual([5, false]);
  expect([peers.find(4)?.next, peers.find(4)?.voter, peers.find(3)]).toEqual([9, true, undefined]);
  expect(peers.find(1), 'the leader is no peer of itself').toBeUndefined();
});

test('learners do not count', () => {
  const peers = new Peers(member(1), 4);
  peers.rebuild({ voters: [member(1), member(2)], outgoing: [], learners: [member(3)] }, 8);
  match(peers, { 2: 2, 3: 9 });
  expect(peers.quorumValue(progress => progress.match)).toBe(2);
});

test('P1: a joint configuration has reached what both majorities have', () => {
  const peers = new Peers(member(1), 9);
  peers.rebuild({ voters: [1, 2, 3].map(member), outgoing: [1, 4, 5].map(member), learners: [] }, 10);
  match(peers, { 2: 9, 3: 9, 4: 3, 5: 2 });
  expect(peers.quorumValue(progress => progress.match)).toBe(3);
});

test('a leader that is no voter has no copy that counts', () => {
  const peers = new Peers(member(1), 9);
  peers.rebuild(voters(2, 3, 4), 10);
  match(peers, { 2: 5, 3: 4, 4: 3 });
  expect(peers.quorumValue(progress => progress.match)).toBe(4);
});

test('a leader decides alone only as the only voter of a configuration that is not joint', () => {
  expect(peersOf(1).decidesAlone).toBe(true);
  expect(peersOf(1, 2).decidesAlone).toBe(false);
  expect(peersOf(2).decidesAlone).toBe(false);
  const joint = new Peers(member(1), 0);
  joint.rebuild({ voters: [member(1)], outgoing: [1, 2, 3].map(member), learners: [] }, 1);
  expect(joint.decidesAlone).toBe(false);
  const withLearner = new Peers(member(1), 0);
  withLearner.rebuild({ ...voters(1), learners: [member(2)] }, 1);
  expect(withLearner.decidesAlone).toBe(true);
});
