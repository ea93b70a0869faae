import { assert } from '@kahuna/base';
import { Durability, type GetOperation, type OperationResult, ResponseType, type SetOperation } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { AcceptanceWorld } from './acceptance/acceptance-world.ts';
import { FAST_LOG_DISK } from './world/log-disk.ts';

/**
 * Nothing but a write waits for the log: heartbeats, the promises that make a lease, and reads under it go on while a disk syncs.
 * The stalls are longer than an election timeout and than a lease, so that whatever did wait for one would show.
 */

const FSYNC_MS = 20;
const STALL_MS = 480;
const STALL_EVERY_MS = 1500;
const DURATION_MS = 120_000;
const READ_PAUSE_MS = 25;
const PARTITION = 2;

/** Virtual milliseconds: two ways over the calm network take one in the mean, which is all that a read may wait for. */
const READ_P99_MS = 10;

function set(key: string, value: number): SetOperation {
  return {
    ...{ kind: 'set', key, value: Uint8Array.of(value & 255), expiresMs: 0, flags: 0 },
    ...{ compareValue: null, compareRevision: 0, durability: Durability.Persistent },
  };
}

function get(key: string): GetOperation {
  return { kind: 'get', key, revision: -1, readTimestamp: { n: 0, l: 0, c: 0 }, durability: Durability.Persistent };
}

/** Steady writes and reads of a few keys through every node, timed. */
class Load {
  readonly writeMs: number[] = [];
  readonly readMs: number[] = [];
  private readonly world: AcceptanceWorld;
  /** Revision of each key as its last answered write left it. */
  private readonly written = new Map<string, number>();

  constructor(world: AcceptanceWorld) {
    this.world = world;
  }

  /** One after the other, for ever. */
  write(key: string, nodeId: number, count = 0): void {
    this.timed(this.writeMs, set(key, count), nodeId, result => {
      assert(result?.type === ResponseType.Set && result.revision === count, 'each write is done once');
      this.written.set(key, count);
      this.write(key, nodeId, count + 1);
    });
  }

  /** As {@link write}, with a pause in between. */
  read(key: string, nodeId: number): void {
    const least = this.written.get(key) ?? -1;
    this.timed(this.readMs, get(key), nodeId, result => {
      const found = result?.type === ResponseType.Get ? result.revision : -1;
      assert(found >= least, 'a read sees what was answered before it was asked');
      this.world.simulation.after(READ_PAUSE_MS, () => this.read(key, nodeId));
    });
  }

  private timed(
    times: number[],
    operation: SetOperation | GetOperation,
    nodeId: number,
    then: (result: OperationResult | undefined) => void,
  ): void {
    const { simulation, cluster } = this.world;
    const asked = simulation.nowMs;
    this.world.node(nodeId).submit(operation, result => {
      times.push(simulation.nowMs - asked);
      cluster.guard(() => then(result));
    });
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor(q * (sorted.length - 1))] as number;
}

test('disks that take 20 ms for a sync, and half a second now and then, hold up no heartbeat, no election and no read', () => {
  const logDisk = { ...FAST_LOG_DISK, fsyncMinMs: FSYNC_MS };
  const world = new AcceptanceWorld(1, { poolSize: 1, logDisk });
  const { simulation, cluster } = world;
  const leader = world.leaderOf(PARTITION);
  const terms = (): number[] => cluster.nodes.map(node => node.host?.replica(PARTITION)?.group.term ?? 0);
  const before = terms();
  const events: string[] = [];
  for (const { host } of cluster.nodes) {
    host?.events.subscribe(({ kind, text }) => {
      if (kind === 'leader-changed' || kind === 'leader-lost') events.push(text);
    });
  }

  // The disk of each node in turn, and in every fourth turn those of all.
  const stall = (turn: number): void => {
    for (const [i, node] of cluster.nodes.entries()) {
      if (turn % 4 !== 3 && turn % 4 !== i) continue;
      node.logDisk.slowExtraMs = STALL_MS;
      node.logDisk.slowUntilMs = simulation.nowMs + FSYNC_MS; // takes in one write
    }
    simulation.after(STALL_EVERY_MS, () => stall(turn + 1));
  };
  stall(0);
  let looks = 0;
  let leased = 0;
  const look = (): void => {
    const replica = leader.host?.replica(PARTITION);
    looks++;
    if (replica !== undefined && leader.host?.hasLease(replica) === true) leased++;
    simulation.after(5, look);
  };
  look();

  const load = new Load(world);
  for (const { id } of cluster.nodes) {
    load.write(`a/${id}`, id);
    for (const other of cluster.nodes) load.read(`a/${other.id}`, id);
  }
  world.pass(DURATION_MS);

  expect(events).toEqual([]);
  expect(terms()).toEqual(before);
  expect(leased).toBe(looks);
  expect(quantile(load.writeMs, 0)).toBeGreaterThanOrEqual(FSYNC_MS);
  expect(quantile(load.writeMs, 1)).toBeGreaterThan(STALL_MS);
  expect(quantile(load.readMs, 0.99)).toBeLessThan(READ_P99_MS);
  expect(quantile(load.readMs, 1)).toBeLessThan(FSYNC_MS);
});
