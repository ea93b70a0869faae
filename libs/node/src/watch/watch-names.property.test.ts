import { FIRST_DATA_PARTITION, type Hlc, Rng, RowBatch } from '@kahuna/base';
import {
  type CommandPolicy,
  createPartitionMachine,
  Durability,
  HeadCache,
  type KeyValueMachine,
  LOCK_CLOCK_SKEW_MS,
  type LockOperation,
  LockResponseType,
  metaRowKey,
  type OperationResult,
  type SequenceCommand,
  type SequenceEntry,
  SequenceResponseType,
} from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import { openMemoryEngine } from '@kahuna/storage';
import { expect, test } from 'vitest';
import type { Dispatcher } from '../dispatcher.ts';
import type { NodeInternals } from '../internals.ts';
import type { Replica } from '../replica.ts';
import type { LockSubject, SequenceSubject, Watch, WatchEvent, WatchPosition } from './watch-api.ts';
import { WatchHub } from './watch-hub.ts';

/**
 * Watches of locks and sequences that come and go at random while a partition grants, extends, releases, reserves, flushes and
 * restarts, against what a model of one lock and one sequence says has happened. Rows are in memory at times and in the engine at others.
 */

const PARTITION = FIRST_DATA_PARTITION;
const LOCKS = ['l/1', 'l/2'];
const SEQUENCES = ['s/1', 's/2'];
const POLICY: CommandPolicy = { lockSkewMs: LOCK_CLOCK_SKEW_MS, blockSize: 4, retentionMax: 3, retentionMs: 0 };

/** What a watch has to tell: the text of each change, and the present state between two of them. */
class Subject {
  readonly facts: string[] = [];
  state = '';
}

class LockModel extends Subject {
  owner = '';
  expires = 0;
  token = -1;
  override state = 'free -1';

  /** A command stamped at this instant comes: a lease that nobody could honour any more is over. */
  before(ms: number): void {
    if (this.owner !== '' && this.expires + LOCK_CLOCK_SKEW_MS < ms) this.end('expired');
  }

  private end(kind: string): void {
    this.facts.push(`${kind} ${this.owner} ${this.token}`);
    this.owner = '';
    this.state = `free ${this.token}`;
  }

  after(operation: LockOperation, { type, revision }: OperationResult, ms: number): void {
    const owner = new TextDecoder().decode(operation.owner);
    if (type === LockResponseType.Locked && revision > this.token) {
      if (this.owner !== '') this.end('expired');
      this.token = revision;
      this.hold('acquired', owner, ms + operation.expiresMs);
    } else if (type === LockResponseType.Extended) this.hold('extended', owner, ms + operation.expiresMs);
    else if (type === LockResponseType.Unlocked && this.owner !== '') this.end('released');
    else if (type === LockResponseType.LockDoesNotExist && this.owner !== '') this.end('expired');
  }

  private hold(kind: string, owner: string, expires: number): void {
    this.owner = owner;
    this.expires = expires;
    this.state = `held ${owner} ${this.token} until ${expires}`;
    this.facts.push(`${kind} ${owner} ${this.token} until ${expires}`);
  }
}

const textOf = (entry: SequenceEntry | undefined): string =>
  entry === undefined ? 'none' : `${entry.currentValue} +${entry.increment} #${entry.incarnation} r${entry.revision}`;

class SequenceModel extends Subject {
  override state = 'none';

  after(kind: string, entry: SequenceEntry | undefined): void {
    const moved = textOf(entry) !== this.state;
    this.state = textOf(entry);
    if (moved || kind !== 'reserved') this.facts.push(`${kind} ${this.state}`);
  }
}

class World {
  readonly engine = openMemoryEngine();
  private readonly cache = new HeadCache({ maxEntries: 2, maxBytes: 1e6 });
  machine: KeyValueMachine = this.load(undefined);
  hub: WatchHub = this.newHub();
  readonly locks = new Map(LOCKS.map(name => [name, new LockModel()]));
  readonly sequences = new Map(SEQUENCES.map(name => [name, new SequenceModel()]));
  private index = 0;
  private ms = 1000;
  installing = false;

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
      failedEngine: (error: Error | undefined) => {
        if (error !== undefined) throw error;
        return false;
      },
    } as unknown as NodeInternals;
    return new WatchHub(node, this.engine, undefined as unknown as Dispatcher);
  }

  private async apply(command: LockOperation | SequenceCommand, later: number): Promise<{ answer: OperationResult; stamp: Hlc }> {
    this.ms += later;
    const stamp = { n: 1, l: this.ms, c: ++this.index };
    for (const lock of this.locks.values()) lock.before(this.ms);
    const id = { node: 1, boot: 1, number: this.index };
    const batch = { stamp, level: 1, policy: POLICY, proposals: [{ id, receipt: stamp, command }] };
    this.machine.supply(await this.rows(this.machine.needs(batch)));
    const [answer] = this.machine.apply(this.index, 1, batch);
    return { answer: answer as OperationResult, stamp };
  }

  async lock(operation: LockOperation, later: number): Promise<void> {
    const { answer } = await this.apply(operation, later);
    this.locks.get(operation.key)?.after(operation, answer, this.ms);
  }

  async sequence(command: SequenceCommand, later: number): Promise<void> {
    const { answer } = await this.apply(command, later);
    if (answer.type !== SequenceResponseType.Success) return;
    const record = this.machine.sequence(command.key)?.state;
    const live = record?.live;
    const kinds = { create: 'created', update: 'updated', delete: 'deleted', allocate: 'reserved' } as const;
    const kind = kinds[command.kind.slice('sequence-'.length) as keyof typeof kinds];
    const entry =
      live === undefined || record === undefined ? undefined : { ...live, currentValue: live.mark, revision: record.revision };
    this.sequences.get(command.key)?.after(kind, entry as unknown as SequenceEntry | undefined);
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

  /** What a snapshot of another replica does to this one, here with the same state. */
  async reinstall(): Promise<void> {
    await this.flush();
    const [row] = await this.rows([metaRowKey(PARTITION)]);
    this.machine.restore(row?.value as Uint8Array);
  }

  private rows(keys: readonly Uint8Array[]) {
    return new Promise<{ key: Uint8Array; value: Uint8Array | undefined }[]>((resolve, reject) => {
      this.engine.getMany(keys, (error, values) =>
        error === undefined ? resolve(keys.map((key, at) => ({ key, value: values[at] }))) : reject(error),
      );
    });
  }
}

function textOfEvent(event: WatchEvent): string {
  if (event.kind === 'sequence') return `${event.change.kind} ${textOf(event.change.entry)}`;
  if (event.kind !== 'lock') throw new Error('an event of a key');
  const { kind, held, owner, token, expires } = event.change;
  if (kind === 'snapshot' && !held) return `snapshot free ${token}`;
  const who = new TextDecoder().decode(owner);
  if (kind === 'snapshot') return `snapshot held ${who} ${token} until ${expires.l}`;
  return held ? `${kind} ${who} ${token} until ${expires.l}` : `${kind} ${who} ${token}`;
}

/** Somebody who watches, goes away and comes back. */
class Watcher {
  private readonly world: World;
  private readonly subject: LockSubject | SequenceSubject;
  private readonly model: Subject;
  private watch: Watch | undefined;
  private position: WatchPosition | undefined;
  /** Facts that were told, or lay before a snapshot. */
  private told = 0;
  snapshots = 0;
  changes = 0;

  constructor(world: World, subject: LockSubject | SequenceSubject, model: Subject) {
    this.world = world;
    this.subject = subject;
    this.model = model;
  }

  open(): void {
    if (this.watch !== undefined) return;
    const start = this.position === undefined ? ({ kind: 'now' } as const) : ({ kind: 'places', places: this.position } as const);
    this.watch = this.world.hub.open({ shape: this.subject, start }, () => undefined);
  }

  /** All that waits is taken: afterwards this watcher knows what has happened so far. */
  take(): void {
    const { watch, model } = this;
    if (watch === undefined) return;
    for (let events = watch.take(1000); events.length > 0; events = watch.take(1000)) {
      for (const event of events) this.check(textOfEvent(event));
    }
    if (watch.position() === undefined) return;
    this.position = watch.position();
    expect(this.told).toBe(model.facts.length);
  }

  private check(text: string): void {
    const { model } = this;
    if (text.startsWith('snapshot')) {
      this.snapshots++;
      this.told = model.facts.length;
      expect(text).toBe(`snapshot ${model.state}`);
    } else {
      this.changes++;
      expect(text).toBe(model.facts[this.told++]);
    }
  }

  leave(): void {
    this.watch?.close();
    this.watch = undefined;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve));
};

function randomLock(rng: Rng): LockOperation {
  const kind = rng.pick(['lock-acquire', 'lock-acquire', 'lock-extend', 'lock-release', 'lock-info'] as const);
  const owner = kind === 'lock-info' ? bytes('') : bytes(rng.pick(['ann', 'bob']));
  return { kind, key: rng.pick(LOCKS), owner, expiresMs: rng.pick([20, 200, 2000]), durability: Durability.Persistent };
}

function randomSequence(rng: Rng): SequenceCommand {
  const key = rng.pick(SEQUENCES);
  switch (rng.pick(['create', 'allocate', 'allocate', 'keyed', 'update', 'delete'] as const)) {
    case 'create':
      return { kind: 'sequence-create', key, initialValue: 0n, increment: 1n, maxValue: 40n, blockSize: undefined };
    case 'allocate':
      return { kind: 'sequence-allocate', key, count: 1, idempotencyKey: '', from: undefined };
    case 'keyed':
      return {
        kind: 'sequence-allocate',
        key,
        count: 1,
        idempotencyKey: rng.pick(['a', 'b', 'c']),
        from: { start: 1n, revision: 1e9 },
      };
    case 'update':
      return {
        kind: 'sequence-update',
        key,
        currentValue: 1n,
        increment: undefined,
        initialValue: undefined,
        maxValue: undefined,
        removeMaxValue: false,
        blockSize: undefined,
        removeBlockSize: false,
      };
    default:
      return { kind: 'sequence-delete', key };
  }
}

test('a snapshot, then every change once and in order, over cuts, restarts, flushes and states that were replaced', async () => {
  let snapshots = 0;
  let changes = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const rng = new Rng(seed);
    const world = new World();
    const watchers = [
      ...LOCKS.map(
        name => new Watcher(world, { kind: 'lock', name, durability: Durability.Persistent }, world.locks.get(name) as Subject),
      ),
      ...SEQUENCES.map(name => new Watcher(world, { kind: 'sequence', name }, world.sequences.get(name) as Subject)),
    ];
    for (let step = 0; step < 150; step++) {
      const later = rng.pick([1, 1, 5, 30, 300, 900]);
      if (rng.chance(0.5)) await world.lock(randomLock(rng), later);
      else await world.sequence(randomSequence(rng), later);
      if (rng.chance(0.1)) await world.flush();
      if (rng.chance(0.03)) {
        for (const watcher of watchers) watcher.leave();
        await world.restart();
      }
      if (rng.chance(0.03)) await world.reinstall();
      const watcher = rng.pick(watchers);
      if (rng.chance(0.15)) watcher.leave();
      else watcher.open();
      if (rng.chance(0.4)) await turns(3);
      if (rng.chance(0.7)) for (const each of watchers) each.take();
    }
    await turns(5);
    for (const watcher of watchers) {
      watcher.take();
      watcher.leave();
      snapshots += watcher.snapshots;
      changes += watcher.changes;
    }
  }
  expect(snapshots).toBeGreaterThan(500);
  expect(changes).toBeGreaterThan(1500);
});

const acquire = (owner: string, expiresMs = 60_000): LockOperation => ({
  kind: 'lock-acquire',
  key: 'l/1',
  owner: bytes(owner),
  expiresMs,
  durability: Durability.Persistent,
});
const SUBJECT = { kind: 'lock', name: 'l/1', durability: Durability.Persistent } as const;
const NOW = { kind: 'now' } as const;

test('whoever does not read is told the present state in the end, and holds no more than the bound', async () => {
  const world = new World();
  const watch = world.hub.open({ shape: SUBJECT, start: NOW }, () => undefined);
  await turns(3);
  expect(watch.take(1e6).map(textOfEvent)).toEqual(['snapshot free -1']);
  await world.lock(acquire('ann'), 1);
  for (let i = 0; i < 1000; i++) await world.lock({ ...acquire('ann'), kind: 'lock-extend' }, 1);
  expect(watch.position()).toBeUndefined();
  const taken = watch.take(1e6);
  expect(taken.length).toBeLessThan(300);
  expect(textOfEvent(taken.find(event => event.change.kind === 'snapshot') as WatchEvent)).toBe(
    `snapshot ${world.locks.get('l/1')?.state}`,
  );
  expect(watch.position()).toBeDefined();
});

test('a replica that lags behind the position of a watch says nothing before it has caught up', async () => {
  const world = new World();
  await world.lock(acquire('ann'), 10);
  const ahead = { stamp: { n: 1, l: 1030, c: 3 }, key: '' };
  const start = { kind: 'places', places: new Map([[PARTITION, ahead]]) } as const;
  const watch = world.hub.open({ shape: SUBJECT, start }, () => undefined);
  await turns(3);
  expect(watch.take(1e6)).toEqual([]);
  expect(watch.position()).toBeUndefined();
  for (let i = 0; i < 2; i++) await world.lock({ ...acquire('ann'), kind: 'lock-extend' }, 10);
  await turns(3);
  expect(watch.take(1e6).map(textOfEvent)).toEqual([`snapshot ${world.locks.get('l/1')?.state}`]);
});

test('one who leaves while the replica lags, or while a row is read, is told nothing more', async () => {
  const world = new World();
  await world.lock(acquire('ann'), 10);
  await world.restart();
  const ahead = { stamp: { n: 1, l: 9999, c: 3 }, key: '' };
  const late = world.hub.open(
    { shape: SUBJECT, start: { kind: 'places', places: new Map([[PARTITION, ahead]]) } },
    () => undefined,
  );
  const reading = world.hub.open({ shape: SUBJECT, start: NOW }, () => undefined);
  late.close();
  reading.close();
  await turns(5);
  expect([...late.take(1e6), ...reading.take(1e6)]).toEqual([]);
  expect(world.machine.observer).toBeUndefined();
});

test.each([
  [{ ...SUBJECT, name: '' }, NOW],
  [{ ...SUBJECT, name: '\ud800' }, NOW],
  [{ kind: 'sequence', name: '   ' }, NOW],
  [SUBJECT, { kind: 'revision', revision: 0 }],
  [SUBJECT, { kind: 'time', stamp: { n: 0, l: 1, c: 0 } }],
] as const)('%j from %j cannot be watched', (shape, start) => {
  const refused = new World().hub.open({ shape, start }, () => undefined);
  expect(refused.end).toBe('invalid');
  expect(refused.position()).toBeUndefined();
});
