import { assert } from '@kahuna/base';
import {
  Durability,
  type GetOperation,
  type LockOperation,
  LockResponseType,
  type OperationResult,
  ResponseType,
  type SetOperation,
} from '@kahuna/partition';
import { expect, test } from 'vitest';
import { CALM_CLUSTER, Cluster, type SimNode } from './world/cluster.ts';
import { Simulation } from './world/simulation.ts';

/**
 * Words that arrive after what they were said for has passed: nothing is lost, the order within a stream is kept, and yet the leader
 * whom they reach is not the one they were meant for.
 */

const PARTITION = 2;

class World {
  readonly simulation: Simulation;
  readonly cluster: Cluster;

  constructor(seed: number) {
    this.simulation = new Simulation(seed);
    this.cluster = new Cluster(this.simulation, { ...CALM_CLUSTER, poolSize: 1, skewMs: 0, drift: 0 });
    this.cluster.startAll();
    this.until(() => this.cluster.nodes.every(node => node.host?.health().ready === true));
  }

  until(holds: () => boolean, limitMs = 10_000): void {
    const reached = this.simulation.runUntil(
      () => this.cluster.failure !== undefined || holds(),
      this.simulation.nowMs + limitMs,
      0.1,
    );
    if (this.cluster.failure !== undefined) throw this.cluster.failure;
    expect(reached).toBe(true);
  }

  isServedBy(node: SimNode): boolean {
    return node.host?.replicas.get(PARTITION)?.servesAsLeader === true;
  }

  /** The leader first. */
  inOrder(): [SimNode, SimNode, SimNode] {
    const leader = this.cluster.nodes.find(node => this.isServedBy(node));
    const followers = this.cluster.nodes.filter(node => node !== leader);
    assert(leader !== undefined && followers.length === 2, 'one of three leads');
    return [leader, followers[0] as SimNode, followers[1] as SimNode];
  }

  handOver(from: SimNode, to: SimNode): void {
    from.process?.deliver(() => from.host?.transferLeadership(PARTITION, to.id));
    this.until(() => this.isServedBy(to));
  }

  begin(node: SimNode, operation: Asked): { answer: OperationResult | undefined } {
    const asked: { answer: OperationResult | undefined } = { answer: undefined };
    node.submit(operation, result => {
      asked.answer = result;
    });
    return asked;
  }

  ask(node: SimNode, operation: Asked): OperationResult {
    const asked = this.begin(node, operation);
    this.until(() => asked.answer !== undefined);
    return asked.answer as OperationResult;
  }
}

type Asked = SetOperation | GetOperation | LockOperation;

function set(text: string): SetOperation {
  return {
    ...{ kind: 'set', key: 'a/1', value: new TextEncoder().encode(text), expiresMs: 0, flags: 0 },
    ...{ compareValue: null, compareRevision: 0, durability: Durability.Persistent },
  };
}

const GET: GetOperation = {
  ...{ kind: 'get', key: 'a/1', revision: -1, readTimestamp: { n: 0, l: 0, c: 0 }, durability: Durability.Persistent },
};

for (const seed of [1, 2, 3]) {
  test(`invariant 15: a request under way to a leader that has been replaced, and leads again when it comes, is not done twice (seed ${seed})`, () => {
    const world = new World(seed);
    const [leader, other, asking] = world.inOrder();
    world.cluster.network.cut(asking.endpoint, leader.endpoint, 'stall');
    const first = world.begin(asking, set('first'));
    world.simulation.run(world.simulation.nowMs + 5);
    expect(first.answer).toBeUndefined();
    // The asking node learns of the next leader and sends its request there.
    world.handOver(leader, other);
    world.until(() => first.answer !== undefined);
    expect(first.answer?.type).toBe(ResponseType.Set);
    const second = world.ask(other, set('second'));
    expect(second).toMatchObject({ type: ResponseType.Set, revision: (first.answer?.revision ?? 0) + 1 });
    world.handOver(other, leader);
    world.cluster.network.heal(asking.endpoint, leader.endpoint);
    world.simulation.run(world.simulation.nowMs + 500);
    const read = world.ask(other, GET);
    expect([new TextDecoder().decode(read.value ?? new Uint8Array(0)), read.revision]).toEqual(['second', second.revision]);
  });
}

test('invariant 15: nor is a lock that is in memory only acquired by a request that comes late, for an owner who has released it', () => {
  const world = new World(4);
  const [leader, other, asking] = world.inOrder();
  const lock = (kind: LockOperation['kind'], owner: string): LockOperation => ({
    ...{ kind, key: 'press', owner: new TextEncoder().encode(owner), expiresMs: 60_000, durability: Durability.Ephemeral },
  });
  world.cluster.network.cut(asking.endpoint, leader.endpoint, 'stall');
  const first = world.begin(asking, lock('lock-acquire', 'first'));
  world.simulation.run(world.simulation.nowMs + 5);
  world.handOver(leader, other);
  world.until(() => first.answer !== undefined);
  expect(first.answer?.type).toBe(LockResponseType.Locked);
  expect(world.ask(other, lock('lock-release', 'first')).type).toBe(LockResponseType.Unlocked);
  world.handOver(other, leader);
  world.cluster.network.heal(asking.endpoint, leader.endpoint);
  world.simulation.run(world.simulation.nowMs + 500);
  expect(world.ask(other, lock('lock-acquire', 'second')).type).toBe(LockResponseType.Locked);
});
