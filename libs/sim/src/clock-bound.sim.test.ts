import { CLOCK_BOUND_AHEAD_MS } from '@kahuna/base';
import { Durability, type LockOperation, LockResponseType, type OperationResult } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { CALM_CLUSTER, Cluster, type SimNode } from './world/cluster.ts';
import { Simulation } from './world/simulation.ts';

const RESTARTS = 25;

class World {
  readonly simulation = new Simulation(3);
  readonly cluster: Cluster;

  constructor(nodes: number) {
    this.cluster = new Cluster(this.simulation, { ...CALM_CLUSTER, nodes, skewMs: 0, drift: 0 });
    this.cluster.startAll();
    this.until(() => this.cluster.nodes.every(node => node.host?.health().ready === true));
  }

  until(holds: () => boolean, limitMs = 20_000): void {
    const reached = this.simulation.runUntil(
      () => this.cluster.failure !== undefined || holds(),
      this.simulation.nowMs + limitMs,
      1,
    );
    if (this.cluster.failure !== undefined) throw this.cluster.failure;
    expect(reached).toBe(true);
  }

  /** Kills the node as soon as it has made a bound durable that its former lives did not have, again and again. */
  restartQuickly(node: SimNode): void {
    for (let i = 0; i < RESTARTS; i++) {
      node.crash('kill');
      const bound = node.logDisk.clockBoundMs;
      node.start();
      this.until(() => node.logDisk.clockBoundMs > bound);
    }
    this.until(() => node.host?.health().ready === true);
  }

  aheadMs(node: SimNode): number {
    return (node.host?.hlc.peek().l ?? 0) - node.clock.wallMs();
  }

  lock(
    node: SimNode,
    kind: LockOperation['kind'],
    owner: string,
    expiresMs: number,
    durability: Durability = Durability.Persistent,
  ): number {
    const operation: LockOperation = {
      kind,
      key: 'press',
      owner: new TextEncoder().encode(owner),
      expiresMs,
      durability,
    };
    let answer: OperationResult | undefined;
    const ask = (): void =>
      node.submit(operation, result => {
        if (result?.type === LockResponseType.MustRetry) ask();
        else answer = result;
      });
    ask();
    this.until(() => answer !== undefined);
    return (answer as unknown as OperationResult).type;
  }
}

test('restarts in quick succession leave the clock of a lone node within one lead of the present', () => {
  const world = new World(1);
  const [node] = world.cluster.nodes as [SimNode];
  world.restartQuickly(node);
  expect(world.aheadMs(node)).toBeLessThanOrEqual(CLOCK_BOUND_AHEAD_MS + RESTARTS);
});

test('restarts of one node in quick succession do not end the leases that others keep', () => {
  const world = new World(3);
  const [first, second, third] = world.cluster.nodes as [SimNode, SimNode, SimNode];
  expect(world.lock(first, 'lock-acquire', 'mine', 60_000)).toBe(LockResponseType.Locked);
  world.restartQuickly(third);
  world.simulation.run(world.simulation.nowMs + 2 * CLOCK_BOUND_AHEAD_MS);
  for (const node of world.cluster.nodes) expect(world.aheadMs(node)).toBeLessThanOrEqual(RESTARTS);
  const elapsedMs = world.simulation.nowMs;
  expect(elapsedMs).toBeLessThan(50_000);
  expect(world.lock(second, 'lock-acquire', 'other', 1000)).toBe(LockResponseType.Busy);
});

for (const [name, durability] of [
  ['a persistent', Durability.Persistent],
  ['an ephemeral', Durability.Ephemeral],
] as const) {
  test(`${name} lease that is granted right after a pause is not shorter by it`, () => {
    const world = new World(1);
    const [node] = world.cluster.nodes as [SimNode];
    expect(world.lock(node, 'lock-acquire', 'first', 10, durability)).toBe(LockResponseType.Locked);
    for (let i = 0; i < 8; i++) {
      node.process?.pause();
      world.simulation.run(world.simulation.nowMs + 4000);
      const resumed = world.simulation.nowMs;
      world.simulation.after(0, () => node.process?.resume());
      expect(world.lock(node, 'lock-acquire', `owner ${i}`, 2000, durability)).toBe(LockResponseType.Locked);
      world.simulation.run(resumed + 1500);
      expect(world.lock(node, 'lock-acquire', 'other', 1000, durability)).toBe(LockResponseType.Busy);
      expect(world.lock(node, 'lock-release', `owner ${i}`, 0, durability)).toBe(LockResponseType.Unlocked);
    }
  });
}
