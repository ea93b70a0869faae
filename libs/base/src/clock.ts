/**
 * Time as the pure rooms see it. Both readings may be fractional.
 * Invariant: `monotonicMs` never goes back while a process lives; `wallMs` may step in either direction at any time.
 */
export interface Clock {
  /** Milliseconds since an arbitrary point; stops while the machine is suspended. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
}

/** A clock that moves only when told to: for tests and the simulator. */
export class ManualClock implements Clock {
  private monotonic = 0;
  private wall: number;

  constructor(wallMs = 1_700_000_000_000) {
    this.wall = wallMs;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  wallMs(): number {
    return this.wall;
  }

  /** Lets `ms` pass on both readings. */
  advance(ms: number): void {
    this.monotonic += ms;
    this.wall += ms;
  }

  /** Steps the wall clock only, as an administrator or NTP would. */
  stepWall(ms: number): void {
    this.wall += ms;
  }
}
