import { compareHlc, type Hlc } from '@kahuna/base';
import { placeAt } from '@kahuna/partition';
import type { LockSubject, SequenceSubject, Watch, WatchEnd, WatchEvent, WatchPosition, WatchStart } from './watch-api.ts';
import type { Feed } from './watch-feed.ts';
import type { WatchHost } from './watch-part.ts';
import { LockTopic, type NameListener, type SequenceTopic } from './watch-topics.ts';

/** Events that wait to be taken; beyond it the watch begins again with the present state. */
const MAX_QUEUED = 256;
/** Bytes of an event with its name, an owner and all numbers; an estimate. */
const EVENT_BYTES = 400;
/** A state that is being installed is looked at again after this. Milliseconds. */
const INSTALL_PAUSE_MS = 50;

/**
 * A watch of one lock or one sequence.
 *
 *     beginning ── present state known ──▶ behind ── taken: snapshot ──▶ live ── queue full ──▶ behind
 *         ▲────────────────── the partition's state was replaced ─────────┘
 *
 * W1 What is taken is a snapshot and the changes behind it, without a gap, or once more a snapshot.
 * W2 The queue is bounded: who does not read is told the present state when he does.
 */
export class NameWatch implements Watch, NameListener {
  private readonly host: WatchHost;
  private readonly notBefore: Hlc | undefined;
  private readonly wake: () => void;
  private readonly feed: Feed;
  private readonly topic: LockTopic | SequenceTopic;
  private state: 'beginning' | 'behind' | 'live' = 'beginning';
  private queue: WatchEvent[] = [];
  private waking = false;
  private isClosed = false;
  end: WatchEnd | undefined = undefined;
  readonly leaderUrl = '';

  constructor(host: WatchHost, subject: LockSubject | SequenceSubject, start: WatchStart, feed: Feed, wake: () => void) {
    this.host = host;
    this.notBefore = start.kind === 'places' ? start.places.get(feed.partitionId)?.stamp : undefined;
    this.wake = wake;
    this.feed = feed;
    this.topic = feed.join(subject, this);
    this.begin();
  }

  /** What was seen elsewhere must be applied here too. */
  private begin(): void {
    const { notBefore, feed } = this;
    if (notBefore === undefined || compareHlc(feed.stamp, notBefore) >= 0) this.look();
    else feed.waitFor(this, notBefore, () => this.look());
  }

  private look(): void {
    if (this.isClosed) return;
    const { topic, feed } = this;
    if (topic.isKnown) this.known();
    else if (feed.replica.installing) this.host.node.after(INSTALL_PAUSE_MS, () => this.look());
    else {
      const row = topic.look(feed.replica.machine);
      if (row !== undefined) this.read(row);
      else {
        if (topic instanceof LockTopic) feed.topics.track(topic);
        this.known();
      }
    }
  }

  /** Callbacks and no promises: turns of a simulation are not those of the event loop. */
  private read(key: Uint8Array): void {
    const { replica } = this.feed;
    this.host.engine.getMany([key], (error, [value]) => {
      if (this.host.node.failedEngine(error)) {
        this.fail('unavailable');
        return;
      }
      // The row of a state that is being replaced says nothing.
      if (!replica.installing) replica.machine.supply([{ key, value }]);
      this.look();
    });
  }

  private known(): void {
    this.state = 'behind';
    this.notify();
  }

  offer(event: WatchEvent): void {
    if (this.state !== 'live') return;
    if (this.queue.length >= MAX_QUEUED) {
      this.queue = [];
      this.state = 'behind';
    } else this.queue.push(event);
    this.notify();
  }

  restart(): void {
    // One that has not begun finds the new state by itself.
    if (this.state === 'beginning') return;
    this.state = 'beginning';
    this.queue = [];
    this.begin();
  }

  /** Once for all that gathers in a turn. */
  private notify(): void {
    if (this.waking) return;
    this.waking = true;
    this.host.wakeSoon(() => {
      this.waking = false;
      if (!this.isClosed || this.end !== undefined) this.wake();
    });
  }

  take(maxBytes: number): readonly WatchEvent[] {
    if (this.state === 'behind' && !this.isClosed) {
      this.state = 'live';
      return [this.topic.snapshot(this.feed.stamp)];
    }
    return this.queue.splice(0, Math.max(1, Math.floor(maxBytes / EVENT_BYTES)));
  }

  position(): WatchPosition | undefined {
    if (this.state !== 'live' || this.queue.length > 0) return undefined;
    return new Map([[this.feed.partitionId, placeAt(this.feed.stamp)]]);
  }

  fail(end: WatchEnd): void {
    if (this.isClosed) return;
    this.end = end;
    this.close();
    this.notify();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.feed.leave(this.topic, this);
    this.host.closed(this);
  }
}
