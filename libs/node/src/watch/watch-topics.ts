import { compareHlc, HLC_ZERO, type Hlc, type PartitionId } from '@kahuna/base';
import {
  LOCK_CLOCK_SKEW_MS,
  type Lock,
  type LockChange,
  lockChanges,
  lockEnd,
  lockSnapshot,
  mayBeHeld,
  type PartitionMachine,
  type SequenceChange,
  type SequenceCommand,
  type SequenceEntry,
  type SequenceRecord,
  type StoredKey,
  sequenceChange,
  sequenceEntryIn,
} from '@kahuna/partition';
import type { LockEvent, SequenceEvent, WatchEvent } from './watch-api.ts';
import { Expiries, type Expiring } from './watch-expiries.ts';

/** A watch of one name, as its topic sees it. */
export interface NameListener {
  offer(event: WatchEvent): void;
  /** The present state is not known any more: what happened meanwhile is not told. */
  restart(): void;
}

/**
 * One lock or one sequence that is watched. It knows the present state as soon as the row is here, and keeps it by what is applied.
 *
 *     unknown ── row read ──▶ known ── command ──▶ known
 *        ▲────── the partition's state was replaced ──┘
 */
abstract class Topic {
  readonly name: string;
  readonly listeners = new Set<NameListener>();
  isKnown = false;
  /** Of the present state: made once, whoever begins. */
  private shown: WatchEvent | undefined;
  private shownAt = HLC_ZERO;

  constructor(name: string) {
    this.name = name;
  }

  /** Takes the present state from memory, or says what must be read for that. */
  abstract look(machine: PartitionMachine): StoredKey | undefined;
  protected abstract show(stamp: Hlc): WatchEvent;

  /** The present state; only of a known topic. `stamp`: of the last command applied. */
  snapshot(stamp: Hlc): WatchEvent {
    if (this.shown === undefined || compareHlc(this.shownAt, stamp) !== 0) this.shown = this.show(stamp);
    this.shownAt = stamp;
    return this.shown;
  }

  protected becomesKnown(): void {
    this.isKnown = true;
    this.shown = undefined;
  }

  /** The state is another one than was shown. */
  protected moved(): void {
    this.shown = undefined;
  }

  forget(): void {
    this.isKnown = false;
  }

  protected tell(event: WatchEvent): void {
    for (const listener of this.listeners) listener.offer(event);
  }
}

export class LockTopic extends Topic {
  private readonly partitionId: PartitionId;
  private lock: Lock | undefined;
  /** The lease was told to have run out, or had when the row was read. */
  private ended = true;

  constructor(name: string, partitionId: PartitionId) {
    super(name);
    this.partitionId = partitionId;
  }

  look(machine: PartitionMachine): StoredKey | undefined {
    const row = machine.lock(this.name);
    if (row?.asked !== undefined) return row.asked;
    this.lock = row?.state;
    this.ended = !mayBeHeld(this.lock, machine.lastStamp);
    this.becomesKnown();
    return undefined;
  }

  /** The lease, if it may still run out. */
  get lease(): Lock | undefined {
    const { lock, ended } = this;
    return !this.isKnown || ended || lock?.owner === undefined || lock.lapsed ? undefined : lock;
  }

  protected show(stamp: Hlc): WatchEvent {
    return this.event(lockSnapshot(this.name, this.lease, this.lock?.token ?? -1, stamp));
  }

  changed(before: Lock | undefined, after: Lock, stamp: Hlc): void {
    if (!this.isKnown) return;
    const known = this.ended && before !== undefined ? { ...before, lapsed: true } : before;
    this.lock = after;
    this.ended = false;
    this.moved();
    for (const change of lockChanges(this.name, known, after, stamp)) this.tell(this.event(change));
  }

  /** Nobody will honour the lease any more: everything after `stamp` is stamped above its end and the allowance for clocks. */
  expired(stamp: Hlc): void {
    const { lease } = this;
    if (lease === undefined) return;
    this.ended = true;
    this.moved();
    this.tell(this.event(lockEnd('expired', this.name, lease, stamp)));
  }

  private event(change: LockChange): LockEvent {
    return { kind: 'lock', partitionId: this.partitionId, change, encoded: undefined, json: undefined };
  }
}

export class SequenceTopic extends Topic {
  private readonly partitionId: PartitionId;
  private entry: SequenceEntry | undefined;

  constructor(name: string, partitionId: PartitionId) {
    super(name);
    this.partitionId = partitionId;
  }

  look(machine: PartitionMachine): StoredKey | undefined {
    const row = machine.sequence(this.name);
    if (row?.asked !== undefined) return row.asked;
    this.entry = sequenceEntryIn(this.name, row?.state);
    this.becomesKnown();
    return undefined;
  }

  protected show(stamp: Hlc): WatchEvent {
    return this.event({ kind: 'snapshot', name: this.name, stamp, entry: this.entry });
  }

  changed(command: SequenceCommand, record: SequenceRecord, stamp: Hlc): void {
    if (!this.isKnown) return;
    const change = sequenceChange(this.name, command.kind, record, stamp);
    const before = this.entry;
    this.entry = change.entry;
    this.moved();
    // An idempotency key was recorded for values out of a block that is reserved already.
    if (change.kind === 'reserved' && change.entry?.revision === before?.revision) return;
    this.tell(this.event(change));
  }

  private event(change: SequenceChange): SequenceEvent {
    return { kind: 'sequence', partitionId: this.partitionId, change, encoded: undefined, json: undefined };
  }
}

/** The end of a lease, as the order of expiries needs it. */
interface LeaseEnd extends Expiring {
  readonly topic: LockTopic;
}

/**
 * The locks and sequences of one partition that are watched.
 *
 * N1 A known topic shows the applied state: what is applied reaches it in order, in the step in which it is applied.
 * N2 A lease is told to have run out when the log says so: a command found it over, or one was stamped past its end and the allowance
 *    for clocks. All replicas therefore tell it at the same place.
 */
export class Topics {
  private readonly partitionId: PartitionId;
  private readonly locks = new Map<string, LockTopic>();
  private readonly sequences = new Map<string, SequenceTopic>();
  /** Ends of leases with the allowance: certain for everybody. */
  private ends = new Expiries<LeaseEnd>();
  /** Ends of leases by the clock that set them, about which the leader is asked once. */
  private asks = new Expiries<LeaseEnd>();

  constructor(partitionId: PartitionId) {
    this.partitionId = partitionId;
  }

  lock(name: string): LockTopic {
    let topic = this.locks.get(name);
    if (topic === undefined) {
      topic = new LockTopic(name, this.partitionId);
      this.locks.set(name, topic);
    }
    return topic;
  }

  sequence(name: string): SequenceTopic {
    let topic = this.sequences.get(name);
    if (topic === undefined) {
      topic = new SequenceTopic(name, this.partitionId);
      this.sequences.set(name, topic);
    }
    return topic;
  }

  /** Drops a topic that nobody listens to any more. */
  release(topic: LockTopic | SequenceTopic): void {
    if (topic.listeners.size > 0) return;
    if (topic instanceof SequenceTopic) this.sequences.delete(topic.name);
    else {
      this.locks.delete(topic.name);
      this.untrack(topic.name);
    }
  }

  lockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    const topic = this.locks.get(name);
    if (topic === undefined) return;
    topic.changed(before, after, stamp);
    this.track(topic);
  }

  sequenceChanged(command: SequenceCommand, record: SequenceRecord, stamp: Hlc): void {
    this.sequences.get(command.key)?.changed(command, record, stamp);
  }

  /** Leases that are over for certain now that a command is stamped `stamp`. */
  expire(stamp: Hlc): void {
    for (let due = this.ends.takeBefore(stamp.l); due !== undefined; due = this.ends.takeBefore(stamp.l)) {
      due.version.topic.expired(stamp);
      this.asks.forget(due.key);
    }
  }

  /** The lease that the topic shows now decides when it runs out. */
  track(topic: LockTopic): void {
    const { lease, name } = topic;
    if (lease === undefined) {
      this.untrack(name);
      return;
    }
    const { expires, token } = lease;
    const end = { topic, revision: token, deletedAt: HLC_ZERO };
    this.ends.track(name, { ...end, expires: { ...expires, l: expires.l + LOCK_CLOCK_SKEW_MS } });
    this.asks.track(name, { ...end, expires });
  }

  private untrack(name: string): void {
    this.ends.forget(name);
    this.asks.forget(name);
  }

  /** The leader's clock is behind this one: it is asked again. */
  askAgain(name: string, atMs: number): void {
    const topic = this.locks.get(name);
    const lease = topic?.lease;
    if (topic === undefined || lease === undefined) return;
    const expires = { ...lease.expires, l: Math.max(lease.expires.l, atMs) };
    this.asks.track(name, { topic, revision: lease.token, deletedAt: HLC_ZERO, expires });
  }

  /** A lease that has run out by this clock, each once; the leader knows whether it may be said. */
  takeEnded(nowMs: number): string | undefined {
    return this.asks.takeBefore(nowMs)?.key;
  }

  /** Instant behind which the next lease is over for everybody, undefined if there is none. Milliseconds. */
  earliestMs(): number | undefined {
    return this.ends.earliestMs();
  }

  /** Another state took the place of this one: all begin again. */
  restart(): void {
    this.ends = new Expiries();
    this.asks = new Expiries();
    for (const topic of [...this.locks.values(), ...this.sequences.values()]) {
      topic.forget();
      for (const listener of topic.listeners) listener.restart();
    }
  }
}
