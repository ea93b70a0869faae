import { assert } from '@kahuna/base';
import type { Replica } from '@kahuna/node';
import { Durability, type Operation, type OperationResult, ResponseType } from '@kahuna/partition';
import { expect, it } from 'vitest';
import { CALM_CLUSTER, Cluster, type SimNode } from './world/cluster.ts';
import { Simulation } from './world/simulation.ts';

const PARTITION = 2;

/** A calm cluster of three with one data partition, found by its own comparison only. */
function ready(seed: number): Cluster {
  const simulation = new Simulation(seed);
  const cluster = new Cluster(simulation, { ...CALM_CLUSTER, poolSize: 1, watchChecksums: false });
  cluster.startAll();
  expect(simulation.runUntil(() => leaders(cluster).length === 1, 10_000)).toBe(true);
  return cluster;
}

function replicaOf(node: SimNode): Replica {
  const replica = node.host?.replicas.get(PARTITION);
  assert(replica !== undefined, 'the node has a replica');
  return replica;
}

function leaders(cluster: Cluster): SimNode[] {
  return cluster.nodes.filter(node => node.host?.replicas.get(PARTITION)?.servesAsLeader === true);
}

function leaderOf(cluster: Cluster): SimNode {
  const leader = leaders(cluster)[0];
  assert(leader !== undefined, 'somebody leads');
  return leader;
}

/** Memory that flipped, or a replica that evaluated an entry differently: what the checksum stands for is gone. */
function flipBit(node: SimNode): void {
  (replicaOf(node).machine as unknown as { state: { checksum: number } }).state.checksum ^= 1;
}

function write(cluster: Cluster, node: SimNode): OperationResult | undefined {
  const operation: Operation = {
    kind: 'set',
    key: 'a/1',
    value: new Uint8Array([1]),
    expiresMs: 0,
    flags: 0,
    compareValue: null,
    compareRevision: 0,
    durability: Durability.Persistent,
  };
  let answer: OperationResult | undefined;
  node.submit(operation, result => {
    answer = result;
  });
  cluster.simulation.runUntil(() => answer !== undefined, cluster.simulation.nowMs + 5000);
  return answer;
}

/** Lets the cluster look for a second; returns what it raised the alarm about. */
function alarms(cluster: Cluster): string[] {
  const found: string[] = [];
  for (const node of cluster.nodes) node.onMismatch = text => found.push(text);
  write(cluster, leaderOf(cluster));
  cluster.simulation.run(cluster.simulation.nowMs + 2000);
  expect(cluster.failure).toBeUndefined();
  return found;
}

it('replicas that agree raise no alarm', () => {
  const cluster = ready(1);
  expect(alarms(cluster)).toEqual([]);
  for (const node of cluster.nodes) expect(replicaOf(node).checksumAgrees).toBe(true);
});

it('a follower that differs from a quorum says so, and does not take leadership over', () => {
  const cluster = ready(2);
  const leader = leaderOf(cluster);
  const follower = cluster.nodes.find(node => node !== leader) as SimNode;
  flipBit(follower);
  expect(alarms(cluster)).toEqual([expect.stringContaining(`${follower.endpoint}: this node's state`)]);
  expect(follower.host?.facts().partitions.find(p => p.partitionId === PARTITION)?.checksum.ok).toBe(false);
  expect(replicaOf(leader).checksumAgrees).toBe(true);

  leader.host?.transferLeadership(PARTITION, follower.id);
  cluster.simulation.run(cluster.simulation.nowMs + 2000);
  expect(replicaOf(follower).leads).toBe(false);
  leader.crash('kill');
  cluster.simulation.run(cluster.simulation.nowMs + 3000);
  expect(leaders(cluster)).toEqual([cluster.nodes.find(node => node !== leader && node !== follower)]);
});

it('a leader that differs from a quorum gives leadership up to one that does not', () => {
  const cluster = ready(3);
  const former = leaderOf(cluster);
  flipBit(former);
  expect(alarms(cluster)).toEqual([expect.stringContaining(`${former.endpoint}: this node's state`)]);
  expect(leaders(cluster)).toHaveLength(1);
  expect(leaders(cluster)).not.toContain(former);
  expect(write(cluster, former)?.type).toBe(ResponseType.Set);
});

it('a replica that comes back with another state is found without any new write', () => {
  const cluster = ready(4);
  const leader = leaderOf(cluster);
  const follower = cluster.nodes.find(node => node !== leader) as SimNode;
  expect(alarms(cluster)).toEqual([]);
  flipBit(follower);
  const found: string[] = [];
  follower.onMismatch = text => found.push(text);
  cluster.network.breakStream(leader.endpoint, follower.endpoint);
  cluster.simulation.run(cluster.simulation.nowMs + 2000);
  expect(found).toHaveLength(1);
});
