import type { Hlc, PartitionId } from '@kahuna/base';
import { placeAt } from '@kahuna/partition';
import type { Watch, WatchEnd, WatchEvent, WatchPosition } from './watch-api.ts';
import type { WatchHost } from './watch-part.ts';
import type { NameListener } from './watch-topics.ts';

/** Events that wait to be taken; beyond it the watch begins again with the present state. */
const MAX_QUEUED = 256;
/** Bytes of an event with its name, an owner and all numbers; an estimate. */
const EVENT_BYTES = 400;

/**
 * A watch of one lock or one sequence.
 *
 *     beginning ── present state known ──▶ behind ── taken: snapshot ──▶ live ── queue full ──▶ behind
 *         ▲───────────────────────── the state was replaced ───────────────┘
 *
 * W1 What is taken is a snapshot and the changes behind it, without a gap, or once more a snapshot.
 * W2 The queue is bounded: who does not read is told the present state when he does.
 */
export abstract class NamedWatch implements Watch, NameListener {
  protected readonly host: WatchHost;
  private readonly wake: () => void;
  private state: 'beginning' | 'behind' | 'live' = 'beginning';
  private queue: WatchEvent[] = [];
  private waking = false;
  protected isClosed = false;
  end: WatchEnd | undefined = undefined;
  leaderUrl = '';
  readonly cluster: string;

  constructor(host: WatchHost, wake: () => void) {
    this.host = host;
    this.cluster = host.cluster;
    this.wake = wake;
  }

  protected abstract readonly partitionId: PartitionId;
  /** Everything up to here was offered. */
  protected abstract readonly stamp: Hlc;
  /** Calls {@link known} as soon as the present state may be shown. */
  protected abstract begin(): void;
  protected abstract snapshot(): WatchEvent;
  protected abstract leave(): void;

  protected known(): void {
    if (this.isClosed || this.state !== 'beginning') return;
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
      return [this.snapshot()];
    }
    return this.queue.splice(0, Math.max(1, Math.floor(maxBytes / EVENT_BYTES)));
  }

  position(): WatchPosition | undefined {
    if (this.state !== 'live' || this.queue.length > 0) return undefined;
    return new Map([[this.partitionId, placeAt(this.stamp)]]);
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
    this.leave();
    this.host.closed(this);
  }
}
