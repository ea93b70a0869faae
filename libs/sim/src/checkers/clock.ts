import { CLOCK_BOUND_AHEAD_MS } from '@kahuna/base';
import { SafetyViolation } from './raft-safety.ts';

/** A wait of one bound's lead, by a clock that runs at another rate than the fastest one, is off by this share at most. */
const RATE_MARGIN = 0.03;
/** What the rounding of instants to milliseconds may add. */
const ROUNDING_MS = 5;

/**
 * Logical clocks stay close to real ones: no node stamps further ahead than one bound's lead before the furthest wall clock that any node
 * has read so far, as it would have gone on since. A lead that restarts added up would end every lease in the cluster early.
 */
export class ClockCeiling {
  /** The furthest wall clock, and when it was brought up to date. Milliseconds. */
  private wallMs = Number.NEGATIVE_INFINITY;
  private atMs = 0;
  private restarts = 0;
  private readonly fastestRate: number;

  /** `fastestRate`: clock seconds per true second, at most. */
  constructor(fastestRate: number) {
    this.fastestRate = fastestRate;
  }

  restarted(): void {
    this.restarts++;
  }

  /** A node read `wallMs` at true time `nowMs` and stands at `logicalMs`. */
  check(node: string, nowMs: number, wallMs: number, logicalMs: number): void {
    this.wallMs = Math.max(this.wallMs + (nowMs - this.atMs) * this.fastestRate, wallMs);
    this.atMs = nowMs;
    // Each restart waits for its lead to pass, by a clock of its own.
    const slack = ROUNDING_MS + this.restarts * (1 + RATE_MARGIN * CLOCK_BOUND_AHEAD_MS);
    const ahead = logicalMs - this.wallMs - CLOCK_BOUND_AHEAD_MS;
    if (ahead > slack) {
      throw new SafetyViolation(`${node}: its logical clock is ${Math.round(ahead)} ms further ahead than a bound may lead`);
    }
  }
}
