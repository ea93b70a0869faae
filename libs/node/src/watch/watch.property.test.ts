import { compareHlc, FIRST_DATA_PARTITION, type Hlc, Rng, RowBatch } from '@kahuna/base';
import {
  comparePlaces,
  createPartitionMachine,
  Durability,
  HeadCache,
  type KeyValueMachine,
  metaRowKey,
  type Place,
  ResponseType,
  type WatchShape,
  type WriteOperation,
  watches,
} from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import { openMemoryEngine } from '@kahuna/storage';
import { expect, test } from 'vitest';
import type { Dispatcher } from '../dispatcher.ts';
import type { NodeInternals } from '../internals.ts';
import type { EngineSnapshot, StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { KeyEvent, Watch, WatchPosition } from './watch-api.ts';
import { WatchHub } from './watch-hub.ts';

/**
 * Watches that are cut and resumed at random while a partition writes, extends, deletes, expires, flushes, restarts and prunes, against
 * a plain list of what happened. Extensions that history has folded into the last one are left out of the comparison.
 */

const PARTITION = FIRST_DATA_PARTITION;
const KEYS = ['a', 'a/1', 'a/2', 'a/3', 'b/1'];
const SHAPES: readonly WatchShape[] = [
  { kind: 'key', key: 'a/1' },
  { kind: 'key', key: 'a' },
  { kind: 'space', keySpace: 'a', lower: undefined, upper: undefined },
  { kind: 'space', keySpace: 'a', lower: { key: 'a/2', inclusive: false }, upper: undefined },
  { kind: 'prefix', prefix: 'a' },
  { kind: 'prefix', prefix: '' },
];

interface Fact {
  readonly text: string;
  readonly key: string;
  readonly place: Place;
}

const factOf = (kind: string, key: string, revision: number, place: Place): Fact => ({
  text: `${kind} ${key} ${revision} @${place.stamp.l}.${place.stamp.c}`,
  key,
  place,
});

function keyEvents(watch: Watch, maxBytes = 1e9): KeyEvent[] {
  return watch.take(maxBytes).filter(event => event.kind === 'key');
}

/** One partition over an engine, and all that has happened in it. */
class World {
  readonly facts: Fact[] = [];
  readonly engine = openMemoryEngine();
  /** Views of the engine that are open, and pages that were read from all of them. */
  readonly views = { open: 0, pages: 0 };
  private readonly cache = new HeadCache({ maxEntries: 4, maxBytes: 1e6 });
  machine: KeyValueMachine = this.load(undefined);
  hub: WatchHub = this.newHub();
  private index = 0;
  private ms = 1000;
  private readonly live = new Map<string, { revision: number; expires: number }>();
  floor: Hlc | undefined;

  private load(metaRow: Uint8Array | undefined): KeyValueMachine {
    return createPartitionMachine({ partitionId: PARTITION, poolSize: 1, headCache: this.cache, metaRow });
  }

  private newHub(): WatchHub {
    const { machine } = this;
    const replica = { partitionId: PARTITION, machine, installing: false } as unknown as Replica;
    const node = {
      accepting: true,
      routingTable: () => new RoutingTable(1, 1),
      replica: () => replica,
      soon: (task: () => void) => setImmediate(task),
      after: (ms: number, task: () => void) => setTimeout(task, ms),
      failedEngine: (error: Error) => {
        throw error;
      },
    } as unknown as NodeInternals;
    return new WatchHub(node, this.watchedEngine(), undefined as unknown as Dispatcher);
  }

  private watchedEngine(): StateEngine {
    const { engine, views } = this;
    const snapshot: StateEngine['snapshot'] = done =>
      engine.snapshot((error, view) => {
        if (view === undefined) return done(error, view);
        views.open++;
        const scan: EngineSnapshot['scan'] = (options, page) => {
          views.pages++;
          view.scan(options, page);
        };
        const close = (): void => {
          views.open--;
          view.close();
        };
        return done(error, { scan, close } as EngineSnapshot);
      });
    return {
      getMany: (keys: readonly Uint8Array[], done: never) => engine.getMany(keys, done),
      snapshot,
    } as unknown as StateEngine;
  }

  /** What expires before the stamp has happened by then. */
  private expire(before: number): void {
    const due = [...this.live].filter(([, { expires }]) => expires !== 0 && expires < before);
    due.sort((x, y) => x[1].expires - y[1].expires || (x[0] < y[0] ? -1 : 1));
    for (const [key, { revision, expires }] of due) {
      this.live.delete(key);
      this.facts.push(factOf('expire', key, revision, { stamp: { n: 0, l: expires, c: 0xffff_ffff }, key }));
    }
  }

  async write(operation: WriteOperation, later: number): Promise<void> {
    this.ms += later;
    const stamp = { n: 1, l: this.ms, c: ++this.index };
    const proposal = { id: { node: 1, boot: 1, number: this.index }, receipt: stamp, command: operation };
    const batch = { stamp, level: 1, proposals: [proposal] };
    this.machine.supply(await this.rows(this.machine.needs(batch)));
    const [answer] = this.machine.apply(this.index, 1, batch);
    this.expire(stamp.l);
    const { key, kind } = operation;
    const revision = answer?.revision ?? 0;
    const place = { stamp, key: '' };
    if (answer?.type === ResponseType.Set || answer?.type === ResponseType.Extended) {
      const expiresMs = 'expiresMs' in operation ? operation.expiresMs : 0;
      this.live.set(key, { revision, expires: expiresMs === 0 ? 0 : stamp.l + expiresMs });
      this.facts.push(factOf(kind, key, revision, place));
    } else if (answer?.type === ResponseType.Deleted) {
      this.live.delete(key);
      this.facts.push(factOf(kind, key, revision, place));
    }
  }

  /** Removes what was superseded of one key, as far as the engine has it. */
  async prune(key: string): Promise<void> {
    const revision = Math.max(-1, ...this.facts.filter(fact => fact.key === key).map(fact => Number(fact.text.split(' ')[2])));
    if (revision < 1) return;
    const floor = this.facts.findLast(fact => fact.text.startsWith(`set ${key} ${revision} `))?.place.stamp as Hlc;
    this.ms += 1;
    const stamp = { n: 1, l: this.ms, c: ++this.index };
    const command = { kind: 'prune-history', retentionCount: 0, retentionAgeMs: 0, ceiling: floor, floor } as const;
    const keys = [{ key, from: 0, below: revision }];
    const proposal = { id: { node: 1, boot: 1, number: this.index }, receipt: stamp, command: { ...command, keys } };
    this.machine.apply(this.index, 1, { stamp, level: 1, proposals: [proposal] });
    this.expire(stamp.l);
  }

  flush(): Promise<void> {
    const rows = new RowBatch();
    const batch = this.machine.takeFlush(rows);
    if (batch === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.engine.write(rows, error => {
        this.machine.flushed(batch);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  async restart(): Promise<void> {
    this.hub.endAll();
    await this.flush();
    const [row] = await this.rows([metaRowKey(PARTITION)]);
    this.machine.forget();
    this.machine = this.load(row?.value);
    this.hub = this.newHub();
  }

  private rows(keys: readonly Uint8Array[]) {
    return new Promise<{ key: Uint8Array; value: Uint8Array | undefined }[]>((resolve, reject) => {
      this.engine.getMany(keys, (error, values) =>
        error === undefined ? resolve(keys.map((key, at) => ({ key, value: values[at] }))) : reject(error),
      );
    });
  }
}

/** Somebody who watches, goes away and comes back to where it was. */
class Watcher {
  readonly told: Fact[] = [];
  private watch: Watch | undefined;
  private position: WatchPosition | undefined;
  private readonly world: World;
  private readonly shape: WatchShape;
  start: Hlc | undefined;
  pruned = false;

  constructor(world: World, shape: WatchShape) {
    this.world = world;
    this.shape = shape;
  }

  open(): void {
    if (this.watch !== undefined || this.pruned) return;
    this.start ??= this.world.machine.lastStamp;
    const start = this.position === undefined ? ({ kind: 'now' } as const) : ({ kind: 'places', places: this.position } as const);
    this.watch = this.world.hub.open({ shape: this.shape, start }, () => undefined);
    this.position ??= this.watch.position();
  }

  take(maxBytes: number): void {
    for (const { change, partitionId } of this.watch === undefined ? [] : keyEvents(this.watch, maxBytes)) {
      this.told.push(factOf(change.kind, change.key, change.revision, change.place));
      this.position = new Map([[partitionId, change.place]]);
    }
    this.position = this.watch?.position() ?? this.position;
    if (this.watch?.end === 'pruned') this.pruned = true;
    else if (this.watch?.end !== undefined) this.watch = undefined;
  }

  leave(): void {
    this.watch?.close();
    this.watch = undefined;
  }

  check(): void {
    const covered = watches(this.shape);
    const isFirm = (fact: Fact): boolean => !fact.text.startsWith('extend') && covered(fact.key);
    const happened = this.world.facts.filter(fact => isFirm(fact) && compareHlc(fact.place.stamp, this.start as Hlc) > 0);
    const told = this.told.filter(isFirm).map(fact => fact.text);
    const expected = happened.map(fact => fact.text);
    // What was told before the history went is a beginning of what happened.
    expect(told).toEqual(this.pruned ? expected.slice(0, told.length) : expected);
    const all = new Set(this.world.facts.map(fact => fact.text));
    for (const { text } of this.told) expect(all).toContain(text);
    expect(new Set(this.told.map(fact => fact.text)).size).toBe(this.told.length);
  }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve));
};

async function play(seed: number): Promise<{ readonly pruned: number; readonly told: number }> {
  const rng = new Rng(seed);
  const below = (n: number): number => Math.floor(rng.float() * n);
  const world = new World();
  const watchers = [...SHAPES, ...SHAPES].map(shape => new Watcher(world, shape));
  for (let step = 0; step < 150; step++) {
    const key = KEYS[below(KEYS.length)] as string;
    const expiresMs = [0, 0, 5, 20][below(4)] as number;
    const watcher = watchers[below(watchers.length)] as Watcher;
    const durability = Durability.Persistent;
    const choice = below(20);
    if (choice < 8) {
      const value = new Uint8Array(below(40));
      const set = { kind: 'set', key, value, expiresMs, flags: below(6) === 0 ? 2 : 0, compareValue: null } as const;
      await world.write({ ...set, compareRevision: 0, durability }, below(8));
    } else if (choice < 10) await world.write({ kind: 'delete', key, durability }, below(8));
    else if (choice < 12) await world.write({ kind: 'extend', key, expiresMs, durability }, below(8));
    else if (choice < 14) watcher.open();
    else if (choice < 15) watcher.leave();
    else if (choice < 17) watcher.take(1 + below(2000));
    else if (choice < 18) await world.flush();
    else if (choice < 19) await turns(below(3));
    else if (step % 9 < 3) await world.restart();
    else if (step % 9 < 6) await world.prune(key);
  }
  await world.write({ kind: 'delete', key: 'b/1', durability: Durability.Persistent }, 100);
  for (const watcher of watchers) {
    for (let round = 0; round < 6; round++) {
      watcher.open();
      await turns(8);
      watcher.take(1e9);
    }
    watcher.check();
    watcher.leave();
  }
  return {
    pruned: watchers.filter(({ pruned }) => pruned).length,
    told: watchers.reduce((sum, { told }) => sum + told.length, 0),
  };
}

test('every change is told once and in order, over cuts, restarts and flushes, or the history is said to be gone', async () => {
  let pruned = 0;
  let told = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const result = await play(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    pruned += result.pruned;
    told += result.told;
  }
  // The games reach what they are about.
  expect(pruned).toBeGreaterThan(10);
  expect(told).toBeGreaterThan(5000);
});

const set = (key: string, expiresMs = 0): WriteOperation => ({
  kind: 'set',
  key,
  value: null,
  expiresMs,
  flags: 0,
  compareValue: null,
  compareRevision: 0,
  durability: Durability.Persistent,
});

test('a replica that lags behind the position of a watch tells nothing twice', async () => {
  const world = new World();
  await world.write(set('a'), 10);
  const ahead = { stamp: { n: 1, l: 1030, c: 3 }, key: '' };
  const start = { kind: 'places', places: new Map([[PARTITION, ahead]]) } as const;
  const watch = world.hub.open({ shape: { kind: 'prefix', prefix: '' }, start }, () => undefined);
  await turns(8);
  for (let i = 0; i < 4; i++) await world.write(set('a'), 10);
  expect(keyEvents(watch).map(({ change }) => change.revision)).toEqual([3, 4]);
});

test('an expiry is not told that a write has ended which the watch was told by a replica further ahead', async () => {
  const world = new World();
  await world.write(set('a', 500), 10);
  const ahead = { stamp: { n: 1, l: 1030, c: 3 }, key: '' };
  const start = { kind: 'places', places: new Map([[PARTITION, ahead]]) } as const;
  const watch = world.hub.open({ shape: { kind: 'prefix', prefix: '' }, start }, () => undefined);
  // Applied while history is read, in which the first version still expires.
  await world.write(set('a'), 10);
  await turns(8);
  await world.write(set('b/1'), 1000);
  expect(keyEvents(watch).map(({ change }) => `${change.kind} ${change.key}`)).toEqual(['set b/1']);
});

test('an expiry that was put off while nobody watched is not told', async () => {
  const world = new World();
  const query = { shape: { kind: 'key', key: 'a' }, start: { kind: 'now' } } as const;
  const other = world.hub.open({ ...query, shape: { kind: 'key', key: 'b/1' } }, () => undefined);
  const first = world.hub.open(query, () => undefined);
  await turns(8);
  await world.write(set('a', 50), 10);
  first.close();
  await world.write(set('a'), 10);
  const second = world.hub.open(query, () => undefined);
  await turns(8);
  await world.write(set('b/1'), 1000);
  expect(second.take(1e9)).toEqual([]);
  expect(other.take(1e9)).toHaveLength(1);
});

test('whoever does not read holds no more than the bound, and is told everything in the end', async () => {
  const world = new World();
  const query = { shape: { kind: 'prefix', prefix: 'a' }, start: { kind: 'now' } } as const;
  const watch = world.hub.open(query, () => undefined);
  await turns(8);
  const value = new Uint8Array(400_000);
  for (let i = 0; i < 30; i++) {
    await world.write({ ...set('a/1'), value } as WriteOperation, 1);
    if (i % 7 === 0) await world.flush();
  }
  await turns(20);
  const waiting = keyEvents(watch);
  expect(waiting.length).toBeLessThan(15);
  const told = [...waiting];
  for (let round = 0; round < 10 && told.length < 30; round++) {
    await turns(20);
    told.push(...keyEvents(watch));
  }
  expect(told.map(({ change }) => change.revision)).toEqual(Array.from({ length: 30 }, (_, i) => i));
});

test('a long history is told in rounds, of one key and of several', async () => {
  const world = new World();
  for (let i = 0; i < 5000; i++) {
    await world.write(set(i % 5 === 0 ? 'a/2' : 'a/1'), 1);
    if (i % 500 === 499) await world.flush();
  }
  const start = { kind: 'time', stamp: { n: 0, l: 1, c: 0 } } as const;
  for (const [shape, count] of [
    [{ kind: 'key', key: 'a/1' }, 4000],
    [{ kind: 'prefix', prefix: 'a' }, 5000],
  ] as const) {
    const watch = world.hub.open({ shape, start }, () => undefined);
    const told: KeyEvent[] = [];
    for (let round = 0; round < 200 && told.length < count; round++) {
      await turns(5);
      told.push(...keyEvents(watch));
    }
    const expected = world.facts.filter(fact => watches(shape)(fact.key)).map(fact => fact.text);
    expect(told.map(({ change: { kind, key, revision, place } }) => factOf(kind, key, revision, place).text)).toEqual(expected);
    watch.close();
  }
});

// ---- present state that is told slowly

const LARGE = new Uint8Array(1_500_000);
const large = (key: string, expiresMs = 0): WriteOperation => ({ ...set(key, expiresMs), value: LARGE }) as WriteOperation;
const PREFIX = { kind: 'prefix', prefix: '' } as const;
const MANY = Array.from({ length: 12 }, (_, i) => `${'abc'[i % 3]}/${i}`);

test('present state that is not read keeps no view of the engine open, and what is left of it is told from a later one', async () => {
  const world = new World();
  for (const key of MANY) await world.write(large(key), 1);
  await world.flush();
  const watch = world.hub.open({ shape: PREFIX, start: { kind: 'initial' } }, () => undefined);
  await turns(20);
  expect(watch.position()).toBeUndefined();
  expect(world.views.open).toBe(0);
  // While it waits: one key that was told, one that was not, one that is new to either side, one that goes.
  await world.write(large('a/0'), 1);
  await world.write(large('c/8'), 1);
  await world.write(large('a/00'), 1);
  await world.write(large('c/9'), 1);
  await world.write({ kind: 'delete', key: 'c/11', durability: Durability.Persistent }, 1);
  const told: string[] = [];
  for (let round = 0; round < 20 && watch.position() === undefined; round++) {
    told.push(
      ...keyEvents(watch).map(({ change: { kind, key, revision }, initial }) => `${initial ? 'is' : kind} ${key} ${revision}`),
    );
    await turns(20);
  }
  told.push(...keyEvents(watch).map(({ change: { kind, key, revision } }) => `${kind} ${key} ${revision}`));
  expect(told).toHaveLength(12 - 1 + 1 + 2);
  expect(told.filter(text => text.startsWith('is')).sort()).toEqual(
    ['a/0 0', 'a/3 0', 'a/6 0', 'a/9 0', 'b/1 0', 'b/10 0', 'b/4 0', 'b/7 0', 'c/2 0', 'c/5 0', 'c/8 1', 'c/9 0'].map(
      text => `is ${text}`,
    ),
  );
  expect(told.slice(-2)).toEqual(['set a/0 1', 'set a/00 0']);
  expect(world.views.open).toBe(0);
});

test('whoever leaves ends what is read for him, be it present state or history', async () => {
  const world = new World();
  for (let i = 0; i < 4000; i++) await world.write(set(`many/${i}`), 1);
  await world.flush();
  const starts = [{ kind: 'initial' }, { kind: 'time', stamp: { n: 0, l: 1, c: 0 } }] as const;
  for (const start of starts) {
    const watch = world.hub.open({ shape: PREFIX, start }, () => undefined);
    while (world.views.pages === 0) await turns(1);
    watch.close();
    await turns(50);
    expect(world.views.pages).toBeLessThanOrEqual(2);
    expect(world.views.open).toBe(0);
    world.views.pages = 0;
  }
});

test('of many that come back at once, few read at the same time, and all are served', async () => {
  const world = new World();
  for (const key of KEYS) await world.write(set(key), 1);
  let most = 0;
  const start = { kind: 'time', stamp: { n: 0, l: 1, c: 0 } } as const;
  const back = Array.from({ length: 300 }, () => world.hub.open({ shape: PREFIX, start }, () => undefined));
  // Some do not wait for their turn.
  for (const watch of back.splice(100, 50)) watch.close();
  for (let round = 0; round < 500; round++) {
    most = Math.max(most, world.views.open);
    await turns(1);
  }
  expect(most).toBeLessThanOrEqual(32);
  expect(back.every(watch => watch.take(1e9).length === KEYS.length)).toBe(true);
});

/** One who begins with what is there and reads in small steps while it changes. */
async function playInitial(seed: number): Promise<{ readonly pieces: number; readonly late: number }> {
  const rng = new Rng(seed);
  const below = (n: number): number => Math.floor(rng.float() * n);
  const world = new World();
  const write = (): Promise<void> => {
    const key = MANY[below(MANY.length)] as string;
    if (below(4) === 0) return world.write({ kind: 'delete', key, durability: Durability.Persistent }, below(8));
    return world.write(below(2) === 0 ? large(key, [0, 0, 30, 200][below(4)]) : set(key), below(8));
  };
  for (let i = 0; i < 30; i++) await write();
  if (below(2) === 0) await world.flush();
  const watch = world.hub.open({ shape: PREFIX, start: { kind: 'initial' } }, () => undefined);
  const told: KeyEvent[] = [];
  let through: Hlc | undefined;
  let waits = 0;
  for (let step = 0; step < 60 || through === undefined; step++) {
    if (below(3) > 0) await write();
    if (below(8) === 0) await world.flush();
    if (below(6) === 0) await turns(below(20));
    if (below(2) === 0) told.push(...keyEvents(watch, 1 + below(3_000_000)));
    if (watch.position() !== undefined) through ??= world.machine.lastStamp;
    else waits++;
    expect(step).toBeLessThan(5000);
  }
  await world.write(set('z/last'), 1000);
  for (let round = 0; round < 500 && told.at(-1)?.change.key !== 'z/last'; round++) {
    await turns(10);
    told.push(...keyEvents(watch));
  }
  const changes = told.filter(({ initial }) => !initial);
  for (const [i, { change }] of changes.entries()) {
    if (i > 0) expect(comparePlaces(change.place, (changes[i - 1] as KeyEvent).change.place)).toBeGreaterThan(0);
  }
  for (const key of [...MANY, 'z/last']) {
    const facts = world.facts.filter(fact => fact.key === key);
    const [first, ...others] = told.filter(event => event.initial && event.change.key === key);
    expect(others).toEqual([]);
    const news = changes
      .filter(({ change }) => change.key === key)
      .map(({ change: { kind, revision, place } }) => factOf(kind, key, revision, place).text);
    const before = facts.length - news.length;
    // Everything since the key was shown, or since it was found missing.
    expect(news).toEqual(facts.slice(before).map(({ text }) => text));
    const shown = facts[before - 1];
    if (first !== undefined) expect(shown?.text.split(' @')[0]).toBe(`set ${key} ${first.change.revision}`);
    else expect(shown === undefined || !shown.text.startsWith('set')).toBe(true);
    expect(facts.slice(0, before).every(({ place }) => compareHlc(place.stamp, through as Hlc) <= 0)).toBe(true);
  }
  watch.close();
  return { pieces: waits, late: changes.filter(({ change }) => compareHlc(change.place.stamp, through as Hlc) <= 0).length };
}

test('present state in pieces: each key is shown once at most, and every change behind that is told once and in order', async () => {
  let late = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const result = await playInitial(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    late += result.late;
  }
  expect(late).toBeGreaterThan(30);
});
