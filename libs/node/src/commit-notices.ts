import type { Scheduler } from './ports.ts';
import type { Replica } from './replica.ts';

/** A commit index that no append carries leaves after one to two of these. Milliseconds. */
const INTERVAL_MS = 2;
/**
 * Groups told in one interval. A notice and its answers cost the leader some µs: where many groups commit now and then, the rest waits
 * for the next interval, or for an append that comes sooner.
 */
const GROUPS_PER_INTERVAL = 8;

/**
 * Followers learn what is committed from the appends that follow it. Where none follows, the leader says so soon after, so that what
 * they apply, and watches that they serve, do not wait for the next tick.
 *
 *     committed ──▶ fresh ── an interval without another commit ──▶ settled ── one more ──▶ told
 *                     ▲────────────── committed again ────────────────┘
 *
 * A group that commits all the time is told by its own appends and stays fresh; the timer runs only while somebody commits. Groups that
 * are due share the frame of that turn.
 */
export class CommitNotices {
  private readonly scheduler: Scheduler;
  private readonly wake: (replica: Replica) => void;
  private readonly fresh = new Set<Replica>();
  /** Longest settled first. */
  private readonly settled = new Set<Replica>();
  private cancel: (() => void) | undefined;

  constructor(scheduler: Scheduler, wake: (replica: Replica) => void) {
    this.scheduler = scheduler;
    this.wake = wake;
  }

  /** This leader has committed something. */
  committed(replica: Replica): void {
    this.fresh.add(replica);
    this.settled.delete(replica);
    this.cancel ??= this.scheduler.after(INTERVAL_MS, this.fire);
  }

  private readonly fire = (): void => {
    this.cancel = undefined;
    let room = GROUPS_PER_INTERVAL;
    for (const replica of this.settled) {
      if (room-- === 0) break;
      this.settled.delete(replica);
      if (replica.group.tellCommit()) this.wake(replica);
    }
    for (const replica of this.fresh) this.settled.add(replica);
    this.fresh.clear();
    if (this.settled.size > 0) this.cancel = this.scheduler.after(INTERVAL_MS, this.fire);
  };

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
