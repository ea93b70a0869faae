import { HLC_ZERO } from '@kahuna/base';
import type { Watch, WatchEvent, WatchStart, WatchSubject } from '@kahuna/node';
import { Durability, type LockOperation, LockResponseType, type SequenceOperation } from '@kahuna/partition';
import { beforeAll, describe, expect, test } from 'vitest';
import { QUICK_SETTINGS, type SimNode } from '../world/cluster.ts';
import { AcceptanceWorld } from './acceptance-world.ts';

/** Watches of a lock and of a sequence at every node of a cluster (docs/decisions/0006-watch.md). */

const A = new Uint8Array([0xa]);
const B = new Uint8Array([0xb]);
const NOW: WatchStart = { kind: 'now' };
/** Clocks of the simulated nodes differ by so much at most. Milliseconds. */
const SKEW_MS = 100;

let world: AcceptanceWorld;
beforeAll(() => {
  world = new AcceptanceWorld(11);
});

/** A watch at one node and what it has told. */
class Told {
  readonly events: WatchEvent[] = [];
  private readonly watch: Watch;

  constructor(node: SimNode, shape: WatchSubject, start: WatchStart = NOW) {
    const take = (): void => {
      for (let more = this.watch.take(1e6); more.length > 0; more = this.watch.take(1e6)) this.events.push(...more);
    };
    this.watch = node.host?.watch({ shape, start }, take) as Watch;
  }

  get position() {
    return this.watch.position();
  }

  get end() {
    return this.watch.end;
  }

  get cluster() {
    return this.watch.cluster;
  }

  /** `acquired 0a f3`, `snapshot free f3`, `reserved 10 r2`. */
  get texts(): string[] {
    return this.events.map(event => {
      if (event.kind === 'key') return `${event.change.kind} r${event.change.revision}`;
      if (event.kind === 'sequence') {
        const { kind, entry } = event.change;
        return entry === undefined ? `${kind} none` : `${kind} ${entry.currentValue} r${entry.revision}`;
      }
      const { kind, owner, token } = event.change;
      return `${kind} ${owner === undefined ? 'free' : Buffer.from(owner).toString('hex')} f${token}`;
    });
  }
}

function everywhere(shape: WatchSubject): Told[] {
  const told = world.cluster.nodes.map(node => new Told(node, shape));
  world.until(() => told.every(({ events }) => events.length > 0));
  return told;
}

const lock = (kind: LockOperation['kind'], key: string, owner: Uint8Array, expiresMs = 60_000): LockOperation => ({
  kind,
  key,
  owner,
  expiresMs,
  durability: Durability.Persistent,
});
const persistent = (name: string): WatchSubject => ({ kind: 'lock', name, durability: Durability.Persistent });
const reserve = (key: string): SequenceOperation => ({ kind: 'sequence-reserve', key, count: 1, idempotencyKey: '' });

test('a watch that goes on behind what the cluster has lost begins with what is there, though nobody writes to the partition', () => {
  const anew = new AcceptanceWorld(12);
  const name = anew.fresh('lock');
  // Seen before the cluster, whose state was in memory, was started anew.
  const stamp = anew.node(1).host?.hlc.current() ?? HLC_ZERO;
  const places = new Map([[anew.partitionOf(name), { stamp, key: '' }]]);
  const told = anew.cluster.nodes.map(node => new Told(node, persistent(name), { kind: 'places', places }));
  anew.until(() => told.every(({ texts }) => texts.at(0) === 'snapshot free f-1'), 3000);
});

describe('a position of a cluster that was lost and founded anew', () => {
  test('ends a watch of keys, which would be told of another history; one that does not say its cluster is taken', () => {
    const shape = { kind: 'key', key: world.fresh('key') } as const;
    const from = (cluster: string | undefined): WatchStart => ({ kind: 'places', places: new Map(), cluster });
    for (const node of world.cluster.nodes) {
      const lost = new Told(node, shape, from('a cluster that is gone'));
      expect([lost.end, lost.position]).toEqual(['another-cluster', undefined]);
      for (const cluster of [undefined, lost.cluster]) {
        const taken = new Told(node, shape, from(cluster));
        expect([taken.end, taken.position?.size]).toEqual([undefined, 1]);
      }
    }
  });

  test('holds up no watch of a lock, which begins with what is there anyway', () => {
    const name = world.fresh('lock');
    const stamp = { n: 1, l: 2 ** 47, c: 0 };
    const places = new Map([[world.partitionOf(name), { stamp, key: '' }]]);
    const told = world.cluster.nodes.map(node => new Told(node, persistent(name), { kind: 'places', places, cluster: 'gone' }));
    world.until(() => told.every(({ texts }) => texts.at(0) === 'snapshot free f-1'), 500);
  });
});

describe('a lock', () => {
  test('every node tells the present state, then each grant, extension and release', () => {
    const name = world.fresh('lock');
    world.ask(lock('lock-acquire', name, A));
    world.pass(20);
    const told = everywhere(persistent(name));
    world.ask(lock('lock-extend', name, A));
    world.ask(lock('lock-acquire', name, B));
    world.ask(lock('lock-release', name, A));
    world.ask(lock('lock-acquire', name, B));
    world.pass(50);
    for (const { texts } of told) {
      expect(texts).toEqual(['snapshot 0a f0', 'extended 0a f0', 'released 0a f0', 'acquired 0b f1']);
    }
  });

  test('a lease that runs out is told by every node soon after, though nobody asks for the lock', () => {
    const name = world.fresh('lock');
    const told = everywhere(persistent(name));
    world.ask(lock('lock-acquire', name, A, 300));
    const granted = world.simulation.nowMs;
    world.until(() => told.every(({ texts }) => texts.at(-1) === 'expired 0a f0'));
    expect(world.simulation.nowMs - granted).toBeGreaterThan(300 - SKEW_MS);
    expect(world.simulation.nowMs - granted).toBeLessThan(300 + SKEW_MS + 100);
    for (const { texts } of told) expect(texts).toEqual(['snapshot free f-1', 'acquired 0a f0', 'expired 0a f0']);
    expect(world.ask(lock('lock-info', name, new Uint8Array(0))).type).toBe(LockResponseType.LockDoesNotExist);
  });

  test('what a later leader still honours is not told to have run out; the rest is told once', () => {
    const name = world.fresh('lock');
    const told = everywhere(persistent(name));
    world.ask(lock('lock-acquire', name, A, 200));
    const partition = world.partitionOf(name);
    world.transfer(partition, world.followerOf(partition));
    world.pass(200 + SKEW_MS);
    // The new leader grants the allowance for clocks, so its owner may still extend.
    expect(world.ask(lock('lock-extend', name, A, 400)).type).toBe(LockResponseType.Extended);
    world.until(() => told.every(({ texts }) => texts.at(-1) === 'expired 0a f0'));
    world.pass(2000);
    for (const { texts } of told)
      expect(texts).toEqual(['snapshot free f-1', 'acquired 0a f0', 'extended 0a f0', 'expired 0a f0']);
  });

  test('a watch that goes on at another node begins with a present state that is not older', () => {
    const name = world.fresh('lock');
    const [first] = everywhere(persistent(name)) as [Told, Told, Told];
    world.ask(lock('lock-acquire', name, A));
    world.until(() => first.texts.length === 2);
    const places = first.position;
    expect(places).toBeDefined();
    if (places === undefined) return;
    const next = new Told(world.node(3), persistent(name), { kind: 'places', places });
    world.until(() => next.events.length > 0);
    expect(next.texts).toEqual(['snapshot 0a f0']);
  });

  test('over the loss of its leader each node tells what the log says, without a gap', () => {
    const own = new AcceptanceWorld(12);
    const name = own.fresh('lock');
    const leader = own.leaderOf(own.partitionOf(name));
    const nodes = own.cluster.nodes.filter(node => node !== leader);
    const told = nodes.map(node => new Told(node, persistent(name)));
    own.ask(lock('lock-acquire', name, A, 500), nodes[0]?.id);
    leader.crash('kill');
    own.until(() => told.every(({ texts }) => texts.at(-1) === 'expired 0a f0'));
    own.askUntilServed(lock('lock-acquire', name, B), nodes[1]?.id);
    own.pass(50);
    for (const { texts } of told)
      expect(texts).toEqual(['snapshot free f-1', 'acquired 0a f0', 'expired 0a f0', 'acquired 0b f1']);
  });
});

describe('an ephemeral lock', () => {
  const ephemeral = (name: string): WatchSubject => ({ kind: 'lock', name, durability: Durability.Ephemeral });
  const does = (kind: LockOperation['kind'], key: string, owner: Uint8Array, expiresMs = 60_000): LockOperation => ({
    ...lock(kind, key, owner, expiresMs),
    durability: Durability.Ephemeral,
  });

  test('is watched on the leader of its partition: other nodes name it', () => {
    const name = world.fresh('lock');
    const told = new Told(world.followerOf(world.partitionOf(name)), ephemeral(name));
    expect(told.end).toBe('not-leader');
  });

  test('tells its state, grants, extensions, releases and the end of a lease', () => {
    const name = world.fresh('lock');
    const leader = world.leaderOf(world.partitionOf(name));
    world.ask(does('lock-acquire', name, A), 2);
    const told = new Told(leader, ephemeral(name));
    world.until(() => told.events.length > 0);
    world.ask(does('lock-extend', name, A), 3);
    world.ask(does('lock-release', name, A), 1);
    world.ask(does('lock-acquire', name, B, 300), 1);
    const granted = world.simulation.nowMs;
    world.until(() => told.texts.at(-1) === 'expired 0b f1');
    expect(world.simulation.nowMs - granted).toBeLessThan(300 + 50);
    world.ask(does('lock-acquire', name, A), 1);
    world.pass(20);
    expect(told.texts).toEqual([
      'snapshot 0a f0',
      'extended 0a f0',
      'released 0a f0',
      'acquired 0b f1',
      'expired 0b f1',
      'acquired 0a f2',
    ]);
  });

  test('goes with its leader: the watch ends, and at the next leader nobody holds the lock', () => {
    const name = world.fresh('lock');
    const partition = world.partitionOf(name);
    const leader = world.leaderOf(partition);
    world.ask(does('lock-acquire', name, A));
    const told = new Told(leader, ephemeral(name));
    world.until(() => told.events.length > 0);
    const next = world.followerOf(partition);
    world.transfer(partition, next);
    world.until(() => told.end !== undefined);
    expect([told.end, ...told.texts]).toEqual(['unavailable', 'snapshot 0a f0']);
    const again = new Told(next, ephemeral(name));
    world.until(() => again.events.length > 0);
    expect(again.texts).toEqual(['snapshot free f-1']);
  });

  test('of a leader that is cut off, nothing is told that it could not confirm', () => {
    const own = new AcceptanceWorld(14);
    const name = own.fresh('lock');
    const leader = own.leaderOf(own.partitionOf(name));
    const told = new Told(leader, ephemeral(name));
    own.until(() => told.events.length > 0);
    for (const other of own.cluster.nodes) if (other !== leader) other.crash('kill');
    own.pass(200);
    own.start(does('lock-acquire', name, A), leader.id);
    own.pass(20);
    expect(leader.host?.replica(own.partitionOf(name))?.ephemeralLock(name)?.owner).toEqual(A);
    own.until(() => told.end !== undefined);
    expect([told.end, ...told.texts]).toEqual(['unavailable', 'snapshot free f-1']);
  });
});

describe('a sequence', () => {
  test('every node tells the record, and each block that is reserved; values out of a block are not told', () => {
    const name = world.fresh('sequence');
    const told = everywhere({ kind: 'sequence', name: ` ${name} ` });
    const bounds = { maxValue: undefined, blockSize: 10 };
    world.ask({ kind: 'sequence-create', key: name, initialValue: 0n, increment: 1n, ...bounds });
    for (let i = 0; i < 15; i++) world.ask(reserve(name));
    world.ask({ kind: 'sequence-delete', key: name });
    world.pass(50);
    for (const { texts } of told) {
      expect(texts).toEqual(['snapshot none', 'created 0 r0', 'reserved 10 r1', 'reserved 20 r2', 'deleted none']);
    }
  });
});

describe('a commit', () => {
  test('reaches watches at followers long before the next tick, and an idle group goes to sleep', () => {
    const own = new AcceptanceWorld(13, {
      settings: { ...QUICK_SETTINGS, tickMs: 100, electionMinMs: 1000, electionMaxMs: 2000 },
    });
    const name = own.fresh('lock');
    const partition = own.partitionOf(name);
    const told = own.cluster.nodes.map(node => new Told(node, persistent(name)));
    own.ask(lock('lock-acquire', name, A), own.leaderOf(partition).id);
    own.pass(200);
    for (let i = 0; i < 10; i++) {
      own.ask(lock('lock-extend', name, A), own.leaderOf(partition).id);
      const acknowledged = own.simulation.nowMs;
      own.until(() => told.every(({ events }) => events.length === i + 3));
      expect(own.simulation.nowMs - acknowledged).toBeLessThanOrEqual(15);
      own.pass(37);
    }
    own.pass(2000);
    expect(own.cluster.nodes.map(node => node.host?.isAwake(node.host.replica(partition) as never))).toEqual([
      false,
      false,
      false,
    ]);
  });
});

test('nothing of an unknown time is asked of a lock', () => {
  const told = new Told(world.node(1), persistent('x'), { kind: 'time', stamp: HLC_ZERO });
  expect(told.end).toBe('invalid');
});
