import type { Rng } from '@kahuna/base';
import type { Watch, WatchEvent, WatchPosition, WatchStart } from '@kahuna/node';
import { Durability, type Operation, type OperationResult, ResponseType, type WatchShape, watches } from '@kahuna/partition';
import { owesWatcher, type ToldChange, type WatchedWrite, type WatcherHistory, type WatchSession } from '../checkers/watch.ts';
import type { Cluster } from '../world/cluster.ts';
import type { SimProcess } from '../world/machine.ts';

export interface WatchClientOptions {
  /** Clients that write. */
  readonly clients: number;
  /** Mean pause between two writes of one client; how long it waits for an answer. Milliseconds. */
  readonly thinkMs: number;
  readonly patienceMs: number;
}

const KEYS = ['seen-0/0', 'seen-0/1', 'seen-1/0', 'seen-1/1', 'seen-1/2', 'seen'];
const SHAPES: readonly WatchShape[] = [
  { kind: 'key', key: 'seen-0/0' },
  { kind: 'space', keySpace: 'seen-1', lower: undefined, upper: undefined },
  { kind: 'space', keySpace: 'seen-1', lower: { key: 'seen-1/1', inclusive: true }, upper: undefined },
  { kind: 'prefix', prefix: 'seen' },
];
/** From so short that it ends before the next write to outliving a fault. Milliseconds. */
const LIVES_MS = [40, 400, 2000] as const;
/** A watcher looks this often whether its node is still there. Milliseconds. */
const LOOK_MS = 50;
/** How long a watcher stays with a node, at most. Milliseconds. */
const STAY_MS = 4000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Clients that write, delete and let expire a few keys through any node, and watchers that follow these from node to node: they resume
 * from their last position when a process dies, and now and then because they feel like it.
 */
export class WatchClients {
  readonly writes: WatchedWrite[] = [];
  private readonly watchers: Watcher[];
  private readonly cluster: Cluster;
  private readonly options: WatchClientOptions;
  private readonly rng: Rng;
  private values = 0;
  private running = true;

  constructor(cluster: Cluster, options: WatchClientOptions) {
    this.cluster = cluster;
    this.options = options;
    this.rng = cluster.simulation.rng.fork();
    this.watchers = [...SHAPES, ...SHAPES].map(shape => new Watcher(cluster, shape, this.rng.fork()));
  }

  get histories(): readonly WatcherHistory[] {
    return this.watchers.flatMap(watcher => watcher.histories);
  }

  /** How often a watch was taken up again. */
  get resumes(): number {
    return this.histories.reduce((sum, { sessions }) => sum + Math.max(0, sessions.length - 1), 0);
  }

  /** How often a watcher came back and was told that the history was gone. */
  get pruned(): number {
    return this.histories.length - this.watchers.length;
  }

  start(): void {
    for (const watcher of this.watchers) watcher.open();
    for (let i = 0; i < this.options.clients; i++) this.think();
  }

  stop(): void {
    this.running = false;
  }

  /** Writes every key once more and waits until all watchers have been told; `done` follows. Used once faults are over. */
  finish(done: () => void): void {
    let open = KEYS.length;
    const last = new Map<string, string>();
    for (const key of KEYS) {
      this.persist(key, value => {
        last.set(key, value);
        if (--open === 0) this.untilTold(last, done);
      });
    }
  }

  private persist(key: string, done: (value: string) => void): void {
    this.write('set', key, 0, write => {
      if (write?.answer !== undefined) done(write.value);
      else this.cluster.simulation.after(20, () => this.persist(key, done));
    });
  }

  private untilTold(last: ReadonlyMap<string, string>, done: () => void): void {
    if (this.watchers.every(watcher => watcher.wasTold(last))) {
      for (const watcher of this.watchers) watcher.stay();
      done();
    } else {
      this.cluster.simulation.after(LOOK_MS, () => this.untilTold(last, done));
    }
  }

  private think(): void {
    this.cluster.simulation.after(-Math.log(1 - this.rng.float()) * this.options.thinkMs, () => {
      if (!this.running) return;
      const isDelete = this.rng.chance(0.15);
      const expiresMs = !isDelete && this.rng.chance(0.25) ? this.rng.pick(LIVES_MS) : 0;
      this.write(isDelete ? 'delete' : 'set', this.rng.pick(KEYS), expiresMs, () => this.think());
    });
  }

  /** `then` gets undefined if it certainly changed nothing. */
  private write(
    kind: WatchedWrite['kind'],
    key: string,
    expiresMs: number,
    then: (write: WatchedWrite | undefined) => void,
  ): void {
    const { simulation, nodes } = this.cluster;
    const value = kind === 'set' ? `w${++this.values}` : '';
    const invokedAt = simulation.nowMs;
    let open = true;
    const finish = (result: OperationResult | undefined): void => {
      if (!open) return;
      open = false;
      if (result?.type === ResponseType.DoesNotExist) {
        then(undefined);
        return;
      }
      const took = result?.type === ResponseType.Set || result?.type === ResponseType.Deleted;
      const answer = took ? { revision: result.revision, stamp: result.lastModified } : undefined;
      const write: WatchedWrite = { kind, key, value, invokedAt, answer };
      this.writes.push(write);
      then(write);
    };
    this.rng.pick(nodes).submit(writeOf(kind, key, value, expiresMs), finish);
    simulation.after(this.options.patienceMs, () => finish(undefined));
  }
}

function writeOf(kind: 'set' | 'delete', key: string, value: string, expiresMs: number): Operation {
  const durability = Durability.Persistent;
  if (kind === 'delete') return { kind, key, durability };
  const unconditional = { flags: 0, compareValue: null, compareRevision: 0 };
  return { kind, key, value: encoder.encode(value), expiresMs, ...unconditional, durability };
}

interface Recorded extends WatcherHistory {
  startedAt: number;
  readonly sessions: (WatchSession & { readonly events: ToldChange[] })[];
}

/** One who watches, wherever that is possible. */
class Watcher {
  /** More than one where history was gone and it began anew. */
  readonly histories: Recorded[] = [];
  private readonly cluster: Cluster;
  private readonly shape: WatchShape;
  private readonly watched: (key: string) => boolean;
  private readonly rng: Rng;
  /** What it goes on from, and how many events it had then. */
  private position: { readonly places: WatchPosition; readonly cluster: string; readonly events: number } | undefined;
  private events = 0;
  /** Counts the sessions: what belongs to an earlier one is over. */
  private session = 0;
  private stays = false;
  /** Of every key the value told last. */
  private readonly told = new Map<string, string>();

  constructor(cluster: Cluster, shape: WatchShape, rng: Rng) {
    this.cluster = cluster;
    this.shape = shape;
    this.watched = watches(shape);
    this.rng = rng;
    this.beginHistory();
  }

  /** Also by the session that it has now, which may just have begun. */
  wasTold(values: ReadonlyMap<string, string>): boolean {
    if (owesWatcher(this.histories.at(-1) as Recorded)) return false;
    return [...values].every(([key, value]) => !this.watched(key) || this.told.get(key) === value);
  }

  /** Where it is now. What it was told is judged later, and a session that had just begun would owe what came before. */
  stay(): void {
    this.stays = true;
  }

  /** Follows through some node until that dies, the watch ends, or it moves on. */
  open(): void {
    if (this.stays) return;
    const { simulation, nodes } = this.cluster;
    const node = this.rng.pick(nodes);
    const { process } = node;
    if (process === undefined || !process.isAlive) {
      this.openLater();
      return;
    }
    const history = this.histories.at(-1) as Recorded;
    // What came before the first position cannot be gone on from.
    if (this.position === undefined) history.sessions.length = 0;
    const recorded = { resumedAt: this.position?.events ?? 0, events: [] };
    this.events = recorded.resumedAt;
    history.sessions.push(recorded);
    const following = new Following(process, ++this.session, history, recorded.events);
    process.deliver(() => {
      if (following.session !== this.session || node.host === undefined) return;
      following.watch = node.host.watches.open({ shape: this.shape, start: this.start() }, () => this.hear(following));
      // Where it begins is known at once, whether or not anything happens.
      this.hear(following);
    });
    this.look(following, simulation.nowMs + this.rng.float() * STAY_MS);
  }

  private openLater(): void {
    this.cluster.simulation.after(LOOK_MS * this.rng.float(), () => this.open());
  }

  private beginHistory(): void {
    const { shape } = this;
    const name = `watch of ${JSON.stringify(shape)}, begun ${this.histories.length + 1} times`;
    this.histories.push({ name, startedAt: Number.POSITIVE_INFINITY, watches: this.watched, sessions: [] });
    this.position = undefined;
    this.events = 0;
  }

  /** What came behind its position cannot be told any more: nothing of it is owed. */
  private endHistory(): void {
    const history = this.histories.at(-1) as Recorded;
    history.sessions.pop();
    while (owesWatcher(history)) history.sessions.pop(); // to tell it again was the business of the one that cannot any more
    history.startedAt = Number.POSITIVE_INFINITY;
    this.beginHistory();
  }

  private start(): WatchStart {
    if (this.position !== undefined) return { kind: 'places', places: this.position.places, cluster: this.position.cluster };
    return this.histories.length > 1 ? { kind: 'initial' } : { kind: 'now' };
  }

  private look(following: Following, leavesAt: number): void {
    if (following.session !== this.session) return;
    if (!following.process.isAlive) {
      this.session++;
      this.open();
    } else if (this.cluster.simulation.nowMs > leavesAt && !this.stays) {
      this.session++;
      following.process.deliver(() => following.watch?.close());
      // Sometimes for so long that history goes meanwhile.
      if (this.rng.chance(0.3)) this.cluster.simulation.after(this.rng.float() * STAY_MS, () => this.open());
      else this.open();
    } else {
      this.cluster.simulation.after(LOOK_MS, () => this.look(following, leavesAt));
    }
  }

  /** Takes what there is, sometimes only a part of it. Runs in the node's own turn. */
  private hear(following: Following): void {
    const { watch } = following;
    if (following.session !== this.session || watch === undefined) return;
    const wants = this.rng.chance(0.2) ? 1 : Number.MAX_SAFE_INTEGER;
    const taken = watch.take(wants);
    for (const event of taken) this.take(event, following.events);
    const places = watch.position();
    if (places !== undefined) {
      if (this.position === undefined) following.history.startedAt = this.cluster.simulation.nowMs;
      this.position = { places, cluster: watch.cluster, events: this.events };
    }
    if (taken.length > 0) {
      this.cluster.simulation.after(this.rng.float() * LOOK_MS, () => following.process.deliver(() => this.hear(following)));
    } else if (watch.end !== undefined) this.ended(watch.end);
  }

  private take(event: WatchEvent, events: ToldChange[]): void {
    if (event.kind !== 'key') throw new Error(`a watch of keys tells a ${event.kind}`);
    const { change, partitionId, initial } = event;
    const { kind, key, revision, place, expires } = change;
    if (kind === 'extend') throw new Error('nobody extends these keys');
    const value = change.value === null ? '' : decoder.decode(change.value);
    events.push({ kind, key, value, revision, stamp: place.stamp, expires: expires.l, partition: partitionId, initial });
    this.events++;
    if (kind === 'set') this.told.set(key, value);
  }

  private ended(end: NonNullable<Watch['end']>): void {
    this.session++;
    if (end === 'pruned') this.endHistory();
    else if (end !== 'unavailable') throw new Error(`a watch ended: ${end}`);
    this.openLater();
  }
}

/** One watch on one node. */
class Following {
  readonly process: SimProcess;
  readonly session: number;
  readonly history: Recorded;
  readonly events: ToldChange[];
  watch: Watch | undefined;

  constructor(process: SimProcess, session: number, history: Recorded, events: ToldChange[]) {
    this.process = process;
    this.session = session;
    this.history = history;
    this.events = events;
  }
}
