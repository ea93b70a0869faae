import { HLC_ZERO, type Hlc, type PartitionId, type Term } from '@kahuna/base';
import { type EphemeralLockObserver, type Lock, type LockChange, lockChanges, lockEnd, lockSnapshot } from '@kahuna/partition';
import type { Replica } from '../replica.ts';
import { NamedWatch } from './named-watch.ts';
import type { LockEvent, WatchEvent } from './watch-api.ts';
import { Expiries, type Expiring } from './watch-expiries.ts';
import type { WatchHost } from './watch-part.ts';

/** Changes of one lock whose leadership is not confirmed; a quorum that does not answer must not fill the memory. */
const MAX_UNCONFIRMED = 256;
/** A confirmation that did not come is asked for again after this. Milliseconds. */
const ASK_AGAIN_MS = 50;

/** Asks this node's leader about a lock; `done(false)`: another leader answered, or none. */
export type AskLeader = (name: string, done: (confirmed: boolean) => void) => void;

/**
 * Ephemeral locks of one partition that are watched on the node that leads it, for one term: they live in its memory and go with it.
 *
 * E1 What is told was true under a leadership that was confirmed after it happened: a read of the lock that begins later is answered
 *    under a lease or after a round, as every ephemeral answer.
 * E2 With the leadership all these watches end; whoever goes on at the next leader begins with what is there: nothing is held.
 */
export class EphemeralFeed implements EphemeralLockObserver {
  readonly replica: Replica;
  readonly term: Term;
  private readonly ask: AskLeader;
  private readonly host: WatchHost;
  private readonly onIdle: () => void;
  private readonly topics = new Map<string, EphemeralTopic>();
  private readonly ends = new Expiries<Expiring>();

  constructor(host: WatchHost, replica: Replica, ask: AskLeader, onIdle: () => void) {
    this.host = host;
    this.replica = replica;
    this.term = replica.group.term;
    this.ask = ask;
    this.onIdle = onIdle;
  }

  get partitionId(): PartitionId {
    return this.replica.partitionId;
  }

  get isOver(): boolean {
    return !this.replica.leads || this.replica.group.term !== this.term;
  }

  join(name: string, watch: EphemeralLockWatch): EphemeralTopic {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      topic = new EphemeralTopic(name, this.replica, this.host.node.hlc.current());
      this.topics.set(name, topic);
      this.track(topic);
    }
    topic.watches.add(watch);
    this.confirm(topic);
    return topic;
  }

  leave(topic: EphemeralTopic, watch: EphemeralLockWatch): void {
    topic.watches.delete(watch);
    if (topic.watches.size > 0) return;
    this.topics.delete(topic.name);
    this.ends.forget(topic.name);
    if (this.topics.size === 0) this.onIdle();
  }

  changed(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    const topic = this.topics.get(name);
    if (topic === undefined) return;
    topic.changed(before, after, stamp);
    this.track(topic);
    this.confirm(topic);
  }

  private track(topic: EphemeralTopic): void {
    const { lease, name } = topic;
    if (lease === undefined) this.ends.forget(name);
    else this.ends.track(name, { revision: lease.token, expires: lease.expires, deletedAt: HLC_ZERO });
  }

  /** `now`: nothing in this term is evaluated at an earlier time any more. */
  tick(now: Hlc): void {
    if (this.isOver) {
      this.endAll();
      return;
    }
    for (let due = this.ends.takeBefore(now.l); due !== undefined; due = this.ends.takeBefore(now.l)) {
      const topic = this.topics.get(due.key);
      if (topic === undefined) continue;
      topic.expired(now);
      this.confirm(topic);
    }
  }

  /** One question at a time; what happens while it is under way waits for the next. */
  private confirm(topic: EphemeralTopic): void {
    if (topic.asking) return;
    topic.asking = true;
    const covered = topic.unconfirmed.length;
    this.ask(topic.name, confirmed => {
      topic.asking = false;
      if (this.topics.get(topic.name) !== topic) return;
      if (this.isOver || topic.unconfirmed.length > MAX_UNCONFIRMED) this.endAll();
      else if (!confirmed) this.host.node.after(ASK_AGAIN_MS, () => this.confirm(topic));
      else {
        topic.release(covered);
        if (topic.unconfirmed.length > 0) this.confirm(topic);
      }
    });
  }

  private endAll(): void {
    for (const topic of [...this.topics.values()]) for (const watch of [...topic.watches]) watch.fail('unavailable');
  }
}

/** One ephemeral lock: as it is in the leader's memory, and as it may be shown. */
class EphemeralTopic {
  readonly name: string;
  readonly watches = new Set<EphemeralLockWatch>();
  /** Leadership was confirmed for the state below. */
  isKnown = false;
  asking = false;
  unconfirmed: { readonly change: LockChange; readonly after: Lock | undefined }[] = [];
  private readonly partitionId: PartitionId;
  private lock: Lock | undefined;
  private ended: boolean;
  /** The state behind everything that was confirmed. */
  private shown: { lease: Lock | undefined; token: number; stamp: Hlc };

  constructor(name: string, replica: Replica, now: Hlc) {
    this.name = name;
    this.partitionId = replica.partitionId;
    this.lock = replica.ephemeralLock(name);
    this.ended = this.lock?.owner === undefined || this.lock.expires.l < now.l;
    this.shown = { lease: this.lease, token: this.lock?.token ?? -1, stamp: now };
  }

  get stamp(): Hlc {
    return this.shown.stamp;
  }

  get lease(): Lock | undefined {
    const { lock, ended } = this;
    return ended || lock?.owner === undefined || lock.lapsed ? undefined : lock;
  }

  changed(before: Lock | undefined, after: Lock, stamp: Hlc): void {
    const known = this.ended && before !== undefined ? { ...before, lapsed: true } : before;
    this.lock = after;
    this.ended = false;
    for (const change of lockChanges(this.name, known, after, stamp)) this.unconfirmed.push({ change, after: this.lease });
  }

  expired(now: Hlc): void {
    const { lease } = this;
    if (lease === undefined) return;
    this.ended = true;
    this.unconfirmed.push({ change: lockEnd('expired', this.name, lease, now), after: undefined });
  }

  /** The oldest of what waits is confirmed. */
  release(count: number): void {
    this.isKnown = true;
    for (const { change, after } of this.unconfirmed.splice(0, count)) {
      this.shown = { lease: after, token: change.token, stamp: change.stamp };
      const event = this.event(change);
      for (const watch of this.watches) watch.offer(event);
    }
    for (const watch of this.watches) watch.confirmed();
  }

  snapshot(): LockEvent {
    const { lease, token, stamp } = this.shown;
    return this.event(lockSnapshot(this.name, lease, token, stamp));
  }

  private event(change: LockChange): LockEvent {
    return { kind: 'lock', partitionId: this.partitionId, change, encoded: undefined, json: undefined };
  }
}

/** A watch of one ephemeral lock. */
export class EphemeralLockWatch extends NamedWatch {
  private readonly feed: EphemeralFeed;
  private readonly topic: EphemeralTopic;

  constructor(host: WatchHost, name: string, feed: EphemeralFeed, wake: () => void) {
    super(host, wake);
    this.feed = feed;
    this.topic = feed.join(name, this);
    this.begin();
  }

  protected get partitionId(): PartitionId {
    return this.feed.partitionId;
  }

  protected get stamp(): Hlc {
    return this.topic.stamp;
  }

  protected begin(): void {
    if (this.topic.isKnown) this.known();
  }

  /** The topic's present state may be shown. */
  confirmed(): void {
    this.known();
  }

  protected snapshot(): WatchEvent {
    return this.topic.snapshot();
  }

  protected leave(): void {
    this.feed.leave(this.topic, this);
  }
}
