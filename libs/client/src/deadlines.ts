import type { Runtime, Timer } from './runtime.ts';

/** Something with a deadline: a link of the list that {@link Deadlines} keeps for its duration. */
export interface Expiring {
  deadlineMs: number;
  earlier: Expiring | undefined;
  later: Expiring | undefined;
  durations: Duration | undefined;
  expired(): void;
  /** The client was closed. */
  closed(): void;
}

/** All that is under way with the same duration: first in, first to expire. */
export class Duration {
  readonly ms: number;
  first: Expiring | undefined;
  last: Expiring | undefined;

  constructor(ms: number) {
    this.ms = ms;
  }
}

/** Timers are not armed for less, so that many deadlines share one. Milliseconds. */
const RESOLUTION_MS = 5;

/**
 * Deadlines of many short-lived calls with a single timer. Calls have few different durations, so each duration has a linked
 * list in order of expiry: to begin and to end a call is a few assignments, where a timer each would cost more than the call.
 */
export class Deadlines {
  private readonly runtime: Runtime;
  private readonly byDuration = new Map<number, Duration>();
  private timer: Timer | undefined;
  private timerMs = Number.POSITIVE_INFINITY;
  /** Calls under way. */
  size = 0;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** `nowMs`: monotonic. */
  add(item: Expiring, durationMs: number, nowMs: number): void {
    let duration = this.byDuration.get(durationMs);
    if (duration === undefined) {
      duration = new Duration(durationMs);
      this.byDuration.set(durationMs, duration);
    }
    item.deadlineMs = nowMs + durationMs;
    item.durations = duration;
    item.earlier = duration.last;
    item.later = undefined;
    if (duration.last === undefined) duration.first = item;
    else duration.last.later = item;
    duration.last = item;
    this.size += 1;
    if (item.deadlineMs < this.timerMs) this.arm(item.deadlineMs);
  }

  remove(item: Expiring): void {
    const duration = item.durations;
    if (duration === undefined) return;
    if (item.earlier === undefined) duration.first = item.later;
    else item.earlier.later = item.later;
    if (item.later === undefined) duration.last = item.earlier;
    else item.later.earlier = item.earlier;
    item.durations = undefined;
    item.earlier = undefined;
    item.later = undefined;
    this.size -= 1;
  }

  /** Everything under way, at this moment. */
  all(): Expiring[] {
    const items: Expiring[] = [];
    for (const duration of this.byDuration.values()) {
      for (let item = duration.first; item !== undefined; item = item.later) items.push(item);
    }
    return items;
  }

  private arm(atMs: number): void {
    this.timer?.cancel();
    this.timerMs = atMs;
    this.timer = this.runtime.after(Math.max(RESOLUTION_MS, atMs - this.runtime.monotonicMs()), () => this.sweep());
  }

  /** Ends what is overdue. Durations that nobody uses any more are forgotten, or every odd one would stay for ever. */
  private sweep(): void {
    this.timer = undefined;
    this.timerMs = Number.POSITIVE_INFINITY;
    const now = this.runtime.monotonicMs();
    const overdue: Expiring[] = [];
    for (const duration of this.byDuration.values()) {
      for (let item = duration.first; item !== undefined && item.deadlineMs <= now; item = duration.first) {
        this.remove(item);
        overdue.push(item);
      }
      if (duration.first === undefined) this.byDuration.delete(duration.ms);
    }
    let next = Number.POSITIVE_INFINITY;
    for (const duration of this.byDuration.values()) next = Math.min(next, duration.first?.deadlineMs ?? next);
    if (next < Number.POSITIVE_INFINITY) this.arm(next);
    for (const item of overdue) item.expired();
  }

  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.timerMs = Number.POSITIVE_INFINITY;
  }
}
