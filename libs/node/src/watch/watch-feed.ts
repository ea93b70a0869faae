import { compareHlc, FIRST_DATA_PARTITION, type Hlc, type PartitionId } from '@kahuna/base';
import {
  type Change,
  type ChangeObserver,
  changeBytes,
  changeOf,
  comparePlaces,
  expiryOf,
  type Lock,
  type PastVersion,
  placeAt,
  type SequenceCommand,
  type SequenceRecord,
  type WatchShape,
} from '@kahuna/partition';
import { keySpaceOf } from '@kahuna/range-router';
import type { Replica } from '../replica.ts';
import type { KeyEvent, LockSubject, SequenceSubject, WatchEnd } from './watch-api.ts';
import { Expiries } from './watch-expiries.ts';
import { type LockTopic, type NameListener, type SequenceTopic, Topics } from './watch-topics.ts';

/** What the replica lags behind comes by itself within this, if it ever existed here. Milliseconds. */
const LATE_MS = 1000;

/** A part of a watch, as its feed sees it. */
export interface Listener {
  readonly shape: WatchShape;
  readonly watched: (key: string) => boolean;
  offer(event: KeyEvent): void;
  /** Changes were missed. */
  missed(): void;
  fail(end: WatchEnd): void;
}

/** Changes of one partition, brought to those who watch its keys. It observes its machine only while there is somebody. */
export class Feed implements ChangeObserver {
  readonly replica: Replica;
  private readonly onIdle: () => void;
  private readonly keys = new Map<string, Set<Listener>>();
  private readonly spaces = new Map<string, Set<Listener>>();
  private readonly others = new Set<Listener>();
  private listeners = 0;
  readonly topics: Topics;
  /** Those that wait until the replica has applied what a watch had seen elsewhere. */
  private readonly late = new Map<NameListener, { readonly stamp: Hlc; readonly resume: () => void }>();
  /** Of the present, 0 before one was looked for: when those that wait get an entry without effect, if they still do. Milliseconds. */
  private lateUntilMs = 0;
  /** Of watched keys: all of them, for listeners that are up to date. */
  expiries = new Expiries<PastVersion>();
  /** Everything up to here was told. */
  stamp: Hlc;
  /** An entry without effect is on its way. */
  ticking = false;

  constructor(replica: Replica, onIdle: () => void) {
    this.replica = replica;
    this.onIdle = onIdle;
    this.topics = new Topics(replica.partitionId);
    this.stamp = replica.machine.lastStamp;
    replica.machine.observer = this;
  }

  get partitionId(): PartitionId {
    return this.replica.partitionId;
  }

  get bucket(): number {
    return this.partitionId - FIRST_DATA_PARTITION;
  }

  add(listener: Listener): void {
    this.listeners++;
    const { shape } = listener;
    if (shape.kind === 'key') addTo(this.keys, shape.key, listener);
    else if (isBucket(shape)) addTo(this.spaces, shape.keySpace, listener);
    else this.others.add(listener);
  }

  remove(listener: Listener): void {
    const { shape } = listener;
    if (shape.kind === 'key') removeFrom(this.keys, shape.key, listener);
    else if (isBucket(shape)) removeFrom(this.spaces, shape.keySpace, listener);
    else this.others.delete(listener);
    this.left();
  }

  private left(): void {
    if (--this.listeners > 0) return;
    this.replica.machine.observer = undefined;
    this.onIdle();
  }

  /** `listener` is told to begin as soon as the present state is known; see {@link Topics}. */
  join(subject: LockSubject | SequenceSubject, listener: NameListener): LockTopic | SequenceTopic {
    this.listeners++;
    const { kind, name } = subject;
    const topic = kind === 'lock' ? this.topics.lock(name) : this.topics.sequence(name);
    topic.listeners.add(listener);
    return topic;
  }

  leave(topic: LockTopic | SequenceTopic, listener: NameListener): void {
    topic.listeners.delete(listener);
    this.topics.release(topic);
    this.late.get(listener)?.resume();
    this.late.delete(listener);
    this.left();
  }

  /** `resume` is called when everything up to `stamp` is applied, or the listener leaves. */
  waitFor(listener: NameListener, stamp: Hlc, resume: () => void): void {
    this.late.set(listener, { stamp, resume });
  }

  changed(kind: 'set' | 'delete' | 'extend', key: string, head: PastVersion, stamp: Hlc): void {
    this.expire(stamp);
    const listeners = this.listenersOf(key);
    if (listeners.length === 0) {
      // Of a key that nobody watches any more nothing may stay behind that later is not true.
      if (this.expiries.size > 0) this.expiries.forget(key);
      return;
    }
    this.expiries.track(key, head);
    this.tell(listeners, changeOf(kind, key, head, stamp));
  }

  lockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    this.topics.expire(stamp);
    this.topics.lockChanged(name, before, after, stamp);
  }

  sequenceChanged(command: SequenceCommand, record: SequenceRecord, stamp: Hlc): void {
    this.topics.sequenceChanged(command, record, stamp);
  }

  advanced(stamp: Hlc): void {
    this.expire(stamp);
    this.topics.expire(stamp);
    this.stamp = stamp;
    if (this.late.size > 0) this.releaseLate();
  }

  private releaseLate(): void {
    for (const [listener, { stamp, resume }] of this.late) {
      if (compareHlc(this.stamp, stamp) < 0) continue;
      this.late.delete(listener);
      resume();
    }
  }

  replaced(): void {
    for (const listener of this.all()) listener.missed();
    this.expiries = new Expiries<PastVersion>();
    this.stamp = this.replica.machine.lastStamp;
    this.releaseLate();
    this.topics.restart();
  }

  waitsForEntry(nowMs: number): boolean {
    const expires = this.isDue(this.expiries.earliestMs(), nowMs) || this.isDue(this.topics.earliestMs(), nowMs);
    return this.isLateFor(nowMs) || expires;
  }

  /**
   * Somebody waits longer than a replica lags. Where the stamp is one of a state that is gone, as of a cluster in memory that was started anew,
   * nothing would ever pass it in a partition that nobody writes to. A stamp that lies ahead is passed by none yet.
   */
  private isLateFor(nowMs: number): boolean {
    let waits = false;
    for (const { stamp } of this.late.values()) waits ||= stamp.l <= nowMs;
    if (!waits) {
      this.lateUntilMs = 0;
      return false;
    }
    if (this.lateUntilMs === 0) this.lateUntilMs = nowMs + LATE_MS;
    if (nowMs < this.lateUntilMs) return false;
    this.lateUntilMs = nowMs + LATE_MS;
    return true;
  }

  private isDue(earliestMs: number | undefined, nowMs: number): boolean {
    return earliestMs !== undefined && earliestMs < nowMs && this.stamp.l <= earliestMs;
  }

  private expire(stamp: Hlc): void {
    if (this.expiries.size === 0) return;
    for (let due = this.expiries.takeBefore(stamp.l); due !== undefined; due = this.expiries.takeBefore(stamp.l)) {
      const listeners = this.listenersOf(due.key);
      if (listeners.length > 0) this.tell(listeners, expiryOf(due.key, due.version));
    }
  }

  private tell(listeners: readonly Listener[], change: Change): void {
    const event = keyEvent(this.partitionId, change, false, listeners.length);
    for (const listener of listeners) listener.offer(event);
  }

  private listenersOf(key: string): readonly Listener[] {
    const found = [...(this.keys.get(key) ?? NOBODY)];
    if (this.spaces.size > 0) {
      for (const listener of this.spaces.get(keySpaceOf(key)) ?? NOBODY) if (listener.watched(key)) found.push(listener);
    }
    for (const listener of this.others) if (listener.watched(key)) found.push(listener);
    return found;
  }

  private *all(): Iterable<Listener> {
    for (const group of [...this.keys.values(), ...this.spaces.values()]) yield* group;
    yield* this.others;
  }
}

const NOBODY: ReadonlySet<Listener> = new Set();

function isBucket(shape: WatchShape): shape is Extract<WatchShape, { kind: 'space' }> {
  return shape.kind === 'space' && shape.lower === undefined && shape.upper === undefined;
}

function addTo(groups: Map<string, Set<Listener>>, name: string, listener: Listener): void {
  const group = groups.get(name);
  if (group === undefined) groups.set(name, new Set([listener]));
  else group.add(listener);
}

function removeFrom(groups: Map<string, Set<Listener>>, name: string, listener: Listener): void {
  const group = groups.get(name);
  group?.delete(listener);
  if (group?.size === 0) groups.delete(name);
}

/** `listeners`: how many it is told to. */
export function keyEvent(partitionId: PartitionId, change: Change, initial: boolean, listeners = 1): KeyEvent {
  const cost = Math.ceil(changeBytes(change) / listeners);
  return { kind: 'key', partitionId, change, initial, cost, encoded: undefined, json: undefined };
}

/** The later of a place and everything up to a stamp. */
export function reached(place: Change['place'], stamp: Hlc): Change['place'] {
  const all = placeAt(stamp);
  return comparePlaces(place, all) >= 0 ? place : all;
}
