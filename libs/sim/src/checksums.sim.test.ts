import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert } from '@kahuna/base';
import type { Replica, Watch } from '@kahuna/node';
import { Durability, type OperationResult, ResponseType, type SetOperation } from '@kahuna/partition';
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

const SET: SetOperation = {
  kind: 'set',
  key: 'a/1',
  value: new Uint8Array([1]),
  expiresMs: 0,
  flags: 0,
  compareValue: null,
  compareRevision: 0,
  durability: Durability.Persistent,
};

function write(cluster: Cluster, node: SimNode): OperationResult | undefined {
  let answer: OperationResult | undefined;
  node.submit(SET, result => {
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

/** The follower's state differs and everybody knows. */
function divergedFollower(seed: number): { cluster: Cluster; leader: SimNode; follower: SimNode } {
  const cluster = ready(seed);
  const leader = leaderOf(cluster);
  const follower = cluster.nodes.find(node => node !== leader) as SimNode;
  flipBit(follower);
  expect(alarms(cluster)).toHaveLength(1);
  return { cluster, leader, follower };
}

it('a replica that had diverged is out after a power loss too: from its first instant, and whoever else is down', () => {
  const { cluster, leader, follower } = divergedFollower(5);
  follower.crash('power');
  leader.crash('kill');
  follower.start();
  const { simulation } = cluster;
  expect(simulation.runUntil(() => (follower.host?.replicas.size ?? 0) > 0, simulation.nowMs + 1000)).toBe(true);
  expect(replicaOf(follower).diverged).toBe(true);
  expect(follower.host?.facts().partitions.find(p => p.partitionId === PARTITION)?.checksum.ok).toBe(false);
  const third = cluster.nodes.find(node => node !== leader && node !== follower) as SimNode;
  expect(simulation.runUntil(() => leaders(cluster).length > 0, simulation.nowMs + 5000)).toBe(true);
  expect(leaders(cluster)).toEqual([third]);
  expect(replicaOf(follower).group.term).toBe(replicaOf(third).group.term);
});

/** Writes again and again until the returned function is called. */
function keepWriting(cluster: Cluster): () => void {
  const { simulation } = cluster;
  let going = true;
  const next = (n: number): void => {
    if (!going) return;
    const value = new TextEncoder().encode(`value-${n}`);
    leaders(cluster)[0]?.submit({ ...SET, key: `a/${n % 7}`, value }, () => undefined);
    simulation.after(15, () => next(n + 1));
  };
  next(0);
  return () => {
    going = false;
  };
}

/** Long enough for a diverged replica to ask for a snapshot. */
const HEALING_MS = 25_000;

/** Crashes `afterMs` behind the instant from which on the old state is void: all of the install takes about two milliseconds. */
const CRASHES = [
  { kind: 'kill', afterMs: 0.1 },
  { kind: 'kill', afterMs: 0.6 },
  { kind: 'kill', afterMs: 1.2 },
  { kind: 'power', afterMs: 0.1 },
  { kind: 'power', afterMs: 0.6 },
  { kind: 'power', afterMs: 1.2 },
] as const;

for (const crash of [undefined, ...CRASHES]) {
  const title = crash === undefined ? 'no crash' : `${crash.kind} ${crash.afterMs} ms into the install`;
  it(`a diverged replica is made whole by a snapshot of the leader: ${title}`, () => {
    const { cluster, follower } = divergedFollower(6);
    const { simulation } = cluster;
    const stopWriting = keepWriting(cluster);
    if (crash !== undefined) {
      const begun = (): boolean => replicaOf(follower).installing;
      expect(simulation.runUntil(begun, simulation.nowMs + HEALING_MS, 0.1)).toBe(true);
      simulation.run(simulation.nowMs + crash.afterMs);
      follower.crash(crash.kind);
      follower.start();
      simulation.run(simulation.nowMs + 500);
    }
    const healed = simulation.runUntil(() => !replicaOf(follower).diverged, simulation.nowMs + HEALING_MS);
    expect(cluster.failure).toBeUndefined();
    expect(healed).toBe(true);
    stopWriting();
    expect(alarms(cluster)).toEqual([]);
    for (const node of cluster.nodes) expect(replicaOf(node).checksumAgrees).toBe(true);
    expect(new Set(cluster.nodes.map(node => replicaOf(node).machine.checksum)).size).toBe(1);
    // It is a full member again.
    leaderOf(cluster).host?.transferLeadership(PARTITION, follower.id);
    expect(simulation.runUntil(() => leaders(cluster).includes(follower), simulation.nowMs + 3000)).toBe(true);
    expect(write(cluster, follower)?.type).toBe(ResponseType.Set);
    expect(cluster.failure).toBeUndefined();
  });
}

it('a diverged replica shows nothing to watchers, until it is whole', async () => {
  const cluster = ready(7);
  const leader = leaderOf(cluster);
  const follower = cluster.nodes.find(node => node !== leader) as SimNode;
  const { simulation } = cluster;
  // A watch reads history through promises, for which virtual time does not stand still by itself.
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) {
      simulation.run(simulation.nowMs + 20);
      await nextTurn();
    }
  };
  const open = async (): Promise<Watch | undefined> => {
    const shape = { kind: 'key', key: 'a/1' } as const;
    const watch = follower.host?.watch({ shape, start: { kind: 'now' } }, () => undefined);
    await settle();
    return watch;
  };
  const watch = await open();
  write(cluster, leader);
  await settle();
  expect(watch?.take(1e6)).toHaveLength(1);
  flipBit(follower);
  expect(alarms(cluster)).toHaveLength(1);
  expect([watch?.end, (await open())?.end]).toEqual(['unavailable', 'unavailable']);
  expect(simulation.runUntil(() => !replicaOf(follower).diverged, simulation.nowMs + HEALING_MS)).toBe(true);
  const again = await open();
  write(cluster, leader);
  await settle();
  expect([again?.end, again?.take(1e6).length]).toEqual([undefined, 1]);
});
