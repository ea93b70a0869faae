import { HLC_ZERO } from '@kahuna/base';
import {
  type Change,
  changeBytes,
  comparePlaces,
  expiryOf,
  FIRST_PLACE,
  type PastVersion,
  type Place,
  placeAt,
  type WatchShape,
  watches,
} from '@kahuna/partition';
import type { NodeInternals } from '../internals.ts';
import type { EngineSnapshot, StateEngine } from '../ports.ts';
import type { KeyEvent, KeyWatchQuery, QueueMeter, Watch, WatchEnd, WatchPosition } from './watch-api.ts';
import type { Expiries } from './watch-expiries.ts';
import { type Feed, keyEvent, type Listener, reached } from './watch-feed.ts';
import { changesSince, type FrozenState } from './watch-history.ts';
import { PresentState } from './watch-present.ts';

/** Events that wait to be taken; beyond it a watch falls behind, and reads the history again once there is room. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** Changes that come while a part reads history; beyond it they are read from history too. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Expiries that lie ahead, of one watch in one partition. */
const MAX_EXPIRIES = 200_000;
/** A state that is being installed is looked at again after this. Milliseconds. */
const INSTALL_PAUSE_MS = 50;

/** What watches need of their hub. */
export interface WatchHost {
  readonly node: NodeInternals;
  readonly engine: StateEngine;
  /** Id of the cluster that this node belongs to. */
  readonly cluster: string;
  closed(watch: Watch): void;
  /** Runs a round of reading as soon as it is its turn: many that come back at once would each hold a view, and megabytes. */
  read(shape: WatchShape, round: () => Promise<void>): Promise<void>;
  /** Calls `wake` in a later turn, together with all others that were asked for by then. */
  wakeSoon(wake: () => void): void;
}

/** One watch, over as many partitions as its keys may lie in. */
export class NodeWatch implements Watch {
  readonly hub: WatchHost;
  readonly query: KeyWatchQuery;
  private readonly wake: () => void;
  private readonly parts: WatchPart[] = [];
  private queue: KeyEvent[] = [];
  private takenAt = 0;
  private queuedBytes = 0;
  private readonly meter: QueueMeter | undefined;
  private waking = false;
  private waiters: (() => void)[] = [];
  end: WatchEnd | undefined = undefined;
  readonly leaderUrl = '';
  readonly cluster: string;
  isClosed = false;

  constructor(hub: WatchHost, query: KeyWatchQuery, wake: () => void, meter?: QueueMeter) {
    this.hub = hub;
    this.meter = meter;
    this.cluster = hub.cluster;
    this.query = query;
    this.wake = wake;
  }

  begin(feed: Feed): void {
    const part = new WatchPart(this, feed);
    this.parts.push(part);
    part.start();
  }

  get hasRoom(): boolean {
    return this.queuedBytes < MAX_QUEUED_BYTES && !this.isClosed;
  }

  /** Resolves when half of the queue was taken, or the watch is over. */
  room(): Promise<void> {
    if (this.isClosed || this.queuedBytes < MAX_QUEUED_BYTES / 2) return Promise.resolve();
    return new Promise(resolve => this.waiters.push(resolve));
  }

  push(event: KeyEvent): void {
    if (this.isClosed) return;
    this.queue.push(event);
    this.queuedBytes += changeBytes(event.change);
    this.meter?.add(event.cost);
    this.notify();
  }

  /** Something can be taken or said: the gateway looks in a later turn, once for all of it. */
  notify(): void {
    if (this.waking) return;
    this.waking = true;
    this.hub.wakeSoon(() => {
      this.waking = false;
      if (!this.isClosed || this.end !== undefined) this.wake();
    });
  }

  take(maxBytes: number): readonly KeyEvent[] {
    const from = this.takenAt;
    let bytes = 0;
    let cost = 0;
    while (this.takenAt < this.queue.length && bytes < maxBytes) {
      const event = this.queue[this.takenAt++] as KeyEvent;
      bytes += changeBytes(event.change);
      cost += event.cost;
    }
    const taken = this.queue.slice(from, this.takenAt);
    this.queuedBytes -= bytes;
    this.meter?.remove(cost);
    if (this.takenAt === this.queue.length) {
      this.queue = [];
      this.takenAt = 0;
    } else if (2 * this.takenAt > this.queue.length) {
      // Sooner than by count: what was taken may be large, and of who reads slowly the queue is never empty.
      this.queue = this.queue.slice(this.takenAt);
      this.takenAt = 0;
    }
    if (this.queuedBytes < MAX_QUEUED_BYTES / 2) this.releaseWaiters();
    return taken;
  }

  position(): WatchPosition | undefined {
    // Without parts it never began: an empty position would mean "from now on", and what happens until then would be lost.
    if (this.queue.length > 0 || this.parts.length === 0) return undefined;
    const places = new Map<number, Place>();
    for (const part of this.parts) {
      const place = part.position();
      if (place === undefined) return undefined;
      places.set(part.feed.partitionId, place);
    }
    return places;
  }

  fail(end: WatchEnd): void {
    if (this.isClosed) return;
    this.end = end;
    this.leave();
    this.notify();
  }

  /** Nothing more comes. What is queued may still be taken. */
  private leave(): void {
    this.isClosed = true;
    for (const part of this.parts) part.feed.remove(part);
    this.hub.closed(this);
    this.releaseWaiters();
  }

  close(): void {
    if (!this.isClosed) this.leave();
    this.take(Number.POSITIVE_INFINITY);
  }

  private releaseWaiters(): void {
    for (const resume of this.waiters.splice(0)) resume();
  }
}

/**
 * A watch in one partition.
 *
 *     reading ── history up to an instant; what is applied meanwhile is buffered ──▶ live ── queue full ──▶ behind
 *        ▲──────────────────── room in the queue again: history from the last place on ─────────────────────┘
 *
 * W1 Events are queued in the order of their places, each once: nothing at or before `after` is queued.
 * W2 A live part has queued everything that its feed was told.
 */
class WatchPart implements Listener {
  readonly feed: Feed;
  readonly shape: WatchShape;
  readonly watched: (key: string) => boolean;
  private readonly watch: NodeWatch;
  private readonly fromRevision: number;
  /** Present state that is not all told yet. */
  private initial: PresentState | undefined;
  /** The same, once it is, while history tells again what it has shown. */
  private shown: PresentState | undefined;
  private state: 'reading' | 'live' | 'behind' = 'reading';
  /** Everything up to here is queued. */
  private after: Place;
  /** Begins without a place of its own: history that is asked for by revision has its own rule about what is gone. */
  private placed: boolean;
  private buffer: KeyEvent[] = [];
  private bufferedBytes = 0;
  private overflowed = false;

  constructor(watch: NodeWatch, feed: Feed) {
    const { shape, start } = watch.query;
    this.watch = watch;
    this.feed = feed;
    this.shape = shape;
    this.watched = watches(shape);
    this.fromRevision = start.kind === 'revision' ? start.revision : 0;
    this.initial = start.kind === 'initial' ? new PresentState(feed.bucket, shape) : undefined;
    this.placed = start.kind !== 'revision';
    this.after = placeAt(feed.stamp);
    if (start.kind === 'time') this.after = placeAt(start.stamp);
    else if (start.kind === 'places') this.after = start.places.get(feed.partitionId) ?? this.after;
    else if (start.kind === 'revision') this.after = FIRST_PLACE;
  }

  start(): void {
    this.feed.add(this);
    this.run();
  }

  position(): Place | undefined {
    if (this.initial !== undefined || this.shown !== undefined || !this.placed) return undefined;
    return this.state === 'live' ? reached(this.after, this.feed.stamp) : this.after;
  }

  offer(event: KeyEvent): void {
    const { change } = event;
    if (this.state === 'live' && this.isNews(change)) {
      this.queue(event);
      if (this.watch.hasRoom) return;
      this.state = 'behind';
      this.run();
    } else if (this.state === 'reading' && !this.overflowed) {
      // Also what was told already, by a node that was ahead: it may end an expiry that history still shows.
      this.buffer.push(event);
      this.bufferedBytes += changeBytes(change);
      if (this.bufferedBytes > MAX_BUFFERED_BYTES) this.dropBuffer();
    }
  }

  private isNews(change: Change): boolean {
    return comparePlaces(change.place, this.after) > 0 && change.revision >= this.fromRevision;
  }

  missed(): void {
    if (this.state === 'live') {
      this.after = reached(this.after, this.feed.stamp);
      this.state = 'behind';
      this.run();
    } else this.dropBuffer();
  }

  fail(end: WatchEnd): void {
    this.watch.fail(end);
  }

  private dropBuffer(): void {
    this.overflowed = true;
    this.buffer = [];
    this.bufferedBytes = 0;
  }

  private queue(event: KeyEvent): void {
    this.after = event.change.place;
    this.watch.push(event);
  }

  private emit(change: Change): void {
    if (!this.isNews(change) || this.shown?.covers(change)) return;
    this.queue(keyEvent(this.feed.partitionId, change, false));
  }

  private run(): void {
    this.readUntilLive().catch((error: unknown) => {
      const { node } = this.watch.hub;
      if (!node.failedEngine(error instanceof Error ? error : new Error(String(error)))) return;
      this.watch.fail('unavailable');
    });
  }

  private async readUntilLive(): Promise<void> {
    while (!this.watch.isClosed && this.state !== 'live') {
      await this.watch.room();
      if (this.watch.isClosed) return;
      if (this.feed.replica.installing) await this.pause();
      else await this.watch.hub.read(this.shape, () => this.readRound());
    }
  }

  private pause(): Promise<void> {
    return new Promise(resolve => this.watch.hub.node.after(INSTALL_PAUSE_MS, resolve));
  }

  private async readRound(): Promise<void> {
    const { machine, installing } = this.feed.replica;
    // While it waited for its turn.
    if (this.watch.isClosed || installing) return;
    // What was superseded up to the floor may be gone; what begins at a place needs everything behind it.
    if (this.placed && !this.initial && comparePlaces(this.after, placeAt(machine.prunedFloor)) < 0) {
      this.watch.fail('pruned');
      return;
    }
    this.state = 'reading';
    // Between two pieces of the present state nothing may be missed either.
    if (!this.initial?.hasBegun) {
      this.overflowed = false;
      this.buffer = [];
      this.bufferedBytes = 0;
    }
    const until = machine.lastStamp;
    const captured = machine.captureForWatch(this.watched);
    const view = await this.takeView();
    const frozen: FrozenState = { view, bucket: this.feed.bucket, captured, until };
    let expiries: Expiries<PastVersion> | undefined;
    try {
      expiries = this.initial === undefined ? await this.readHistory(frozen) : await this.readPresent(frozen, this.initial);
    } finally {
      view.close();
    }
    if (this.watch.isClosed || expiries === undefined) return;
    this.placed = true;
    if (!this.overflowed) this.goLive(expiries);
  }

  private takeView(): Promise<EngineSnapshot> {
    return new Promise((resolve, reject) => {
      this.watch.hub.engine.snapshot((error, view) => {
        if (view === undefined) reject(error ?? new Error('no view'));
        else resolve(view);
      });
    });
  }

  /** undefined: there is more, or the watch has ended. */
  private async readHistory(frozen: FrozenState): Promise<Expiries<PastVersion> | undefined> {
    const query = { shape: this.shape, after: this.after, fromRevision: this.fromRevision };
    const round = await changesSince(frozen, query, found => !found.pruned && this.isWanted(found.expiries));
    if (this.watch.isClosed) return undefined;
    if (round.pruned) {
      this.watch.fail('pruned');
      return undefined;
    }
    const { truncated } = round;
    const changes = round.takeChanges();
    for (const change of changes) this.emit(change);
    if (!truncated) {
      this.after = reached(this.after, frozen.until);
      this.shown = undefined;
      return round.expiries;
    }
    this.after = changes.at(-1)?.place ?? this.after;
    if (this.shown !== undefined && comparePlaces(this.after, this.shown.to) >= 0) this.shown = undefined;
    this.placed = true;
    return undefined;
  }

  /** False ends the round: what it finds has nobody to go to. */
  private isWanted(expiries: Expiries<PastVersion>): boolean {
    if (expiries.size > MAX_EXPIRIES) this.watch.fail('too-many-expiries');
    return !this.watch.isClosed;
  }

  private async readPresent(frozen: FrozenState, present: PresentState): Promise<Expiries<PastVersion> | undefined> {
    const { partitionId } = this.feed;
    const deliver = (change: Change): boolean => {
      this.watch.push(keyEvent(partitionId, change, true));
      return this.watch.hasRoom;
    };
    const isThrough = await present.tell(frozen, deliver, () => this.isWanted(present.expiries));
    if (!isThrough) return undefined;
    this.initial = undefined;
    this.shown = present;
    this.after = present.from;
    return present.expiries;
  }

  /** Queues what was applied while history was read, with the expiries in between, of which the feed did not know. */
  private goLive(expiries: Expiries<PastVersion>): void {
    this.state = 'live';
    for (const event of this.buffer) {
      const { change } = event;
      if (change.kind === 'expire' || this.shown?.covers(change)) continue;
      this.expire(expiries, change.place.stamp.l);
      if (this.isNews(change)) this.queue(event);
      expiries.track(change.key, versionOf(change));
    }
    this.buffer = [];
    this.expire(expiries, this.feed.stamp.l);
    this.shown = undefined;
    for (const [key, version] of expiries.entries()) this.feed.expiries.track(key, version);
    // Somebody may wait to hear where the watch begins.
    this.watch.notify();
  }

  private expire(expiries: Expiries<PastVersion>, beforeMs: number): void {
    for (let due = expiries.takeBefore(beforeMs); due !== undefined; due = expiries.takeBefore(beforeMs)) {
      this.emit(expiryOf(due.key, due.version));
    }
  }
}

/** As much of a version as its expiry needs. */
function versionOf(change: Change): PastVersion {
  const { kind, revision, expires, place } = change;
  return {
    revision,
    value: null,
    commit: place.stamp,
    lastModified: place.stamp,
    expires: kind === 'delete' ? HLC_ZERO : expires,
    deletedAt: HLC_ZERO,
    archived: true,
  };
}
