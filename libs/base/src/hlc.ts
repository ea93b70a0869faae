import { assert } from './assert.ts';
import type { Clock } from './clock.ts';

/**
 * Hybrid logical clock timestamp (Kulkarni et al. 2014, "Logical Physical Clocks"): `l` Unix milliseconds, `c` counter inside
 * the millisecond (uint32), `n` the node that minted it. Ordered by l, then c, then n. {0,0,0} means none.
 */
export interface Hlc {
  readonly n: number;
  readonly l: number;
  readonly c: number;
}

export const HLC_ZERO: Hlc = Object.freeze({ n: 0, l: 0, c: 0 });
export const HLC_MAX_COUNTER = 0xffff_ffff;

export function compareHlc(a: Hlc, b: Hlc): number {
  return a.l - b.l || a.c - b.c || a.n - b.n;
}

export function isZeroHlc(t: Hlc): boolean {
  return t.l === 0 && t.c === 0 && t.n === 0;
}

/** The timestamp `ms` milliseconds later; counter and node stay. */
export function addMs(t: Hlc, ms: number): Hlc {
  return { n: t.n, l: t.l + ms, c: t.c };
}

/** The stamp `offset` counter steps after `t`: command i of a batch has counter + i. Carries into `l` when the counter is full. */
export function stampAfter(t: Hlc, offset: number): Hlc {
  const c = t.c + offset;
  return c <= HLC_MAX_COUNTER ? { n: t.n, l: t.l, c } : { n: t.n, l: t.l + 1, c: c - HLC_MAX_COUNTER - 1 };
}

/** A peer clock further ahead than this is not merged (spec transactions:H-8). Milliseconds. */
export const MAX_CLOCK_OFFSET_MS = 5000;
/** How far ahead of the present, of the wall clock or of what others tell, the durable bound is asked for. Milliseconds. */
export const CLOCK_BOUND_AHEAD_MS = 1000;

/**
 * The clock of one node.
 *
 * Invariants: `now` never returns the same (l, c) twice and only grows; nothing at or above `boundL` is minted, merged or
 * acknowledged, where the bound is durable, so that a restart (which begins above the bound) never goes back (H-4, H-5).
 * At the bound the counter goes on counting until the next bound is durable.
 *
 * A restart jumps ahead by what was left of the bound's lead. Restarts that follow one another quickly do not add up: the next bound
 * leads what clocks show and what others have said, never the jump itself.
 */
export class HybridClock {
  private l = 0;
  private c = 0;
  private boundL = 0;
  /** Physical part of the latest timestamp that came from elsewhere: in a message, or in an entry of a log. */
  private heardL = 0;
  readonly node: number;
  private readonly clock: Clock;

  constructor(node: number, clock: Clock) {
    this.node = node;
    this.clock = clock;
  }

  /** Once, before anything is minted: the bound found on disk, 0 on a first boot. The former life stayed below it, this one starts above it. */
  restart(durableBoundL: number): void {
    if (durableBoundL <= this.l) return;
    this.l = durableBoundL + 1;
    this.c = 0;
    this.boundL = durableBoundL;
  }

  /** Physical part that must become durable next, or undefined while the present bound is far enough ahead. */
  boundWanted(): number | undefined {
    const ahead = Math.max(Math.floor(this.clock.wallMs()), this.heardL) + CLOCK_BOUND_AHEAD_MS;
    if (ahead - this.boundL >= CLOCK_BOUND_AHEAD_MS / 2) return ahead;
    return this.l > this.boundL ? this.l : undefined;
  }

  /** The bound `l` is durable: timestamps below it may be minted. */
  boundDurable(l: number): void {
    if (l > this.boundL) this.boundL = l;
  }

  /** How long a restarted node must wait until the wall clock has reached the bound it found. Milliseconds, at most the bound's lead. */
  waitBeforeServingMs(): number {
    return Math.max(0, Math.min(CLOCK_BOUND_AHEAD_MS, this.boundL - this.clock.wallMs()));
  }

  /**
   * The wall clock has passed the durable bound, as after a pause of the process: stamps would lie behind the present. Whatever counts a
   * duration from its stamp (a lease, an expiry) waits until the next bound is durable, or it would end early.
   */
  get isHeldBack(): boolean {
    return this.clock.wallMs() >= this.boundL + 1;
  }

  /** Latest value seen or minted, without minting. */
  peek(): Hlc {
    return { n: this.node, l: this.l, c: this.c };
  }

  /**
   * The present, without minting: every later stamp is above it, none that was seen is. The wall time is taken into the logical part, so that a report
   * of it stays true when the wall clock steps back.
   */
  current(): Hlc {
    const wall = Math.min(Math.floor(this.clock.wallMs()), this.boundL);
    if (wall > this.l) {
      this.l = wall;
      this.c = 0;
    }
    return { n: this.node, l: this.l, c: this.c };
  }

  /** Mints a timestamp above everything seen (H-3). `width` counters are reserved, for a batch whose command i has counter + i. */
  now(width = 1): Hlc {
    const wall = Math.min(Math.floor(this.clock.wallMs()), this.boundL);
    if (wall > this.l) {
      this.l = wall;
      this.c = 0;
    } else {
      this.c += 1;
    }
    if (this.c + width > HLC_MAX_COUNTER) {
      this.l += 1;
      this.c = 0;
    }
    const first = { n: this.node, l: this.l, c: this.c };
    this.c += width - 1;
    return first;
  }

  /** Advances past a timestamp that must be honoured however far ahead it is: one that stands in a log entry. */
  observe(t: Hlc): void {
    this.heardL = Math.max(this.heardL, t.l);
    this.advance(t);
  }

  /** Not only to the same place: a timestamp of a node with a higher number would still be above the present as this node tells it. */
  private advance(t: Hlc): void {
    const c = t.n > this.node ? t.c + 1 : t.c;
    if (t.l > this.l) {
      this.l = t.l;
      this.c = c;
    } else if (t.l === this.l && c > this.c) {
      this.c = c;
    }
    if (this.c <= HLC_MAX_COUNTER) return;
    this.l += 1;
    this.c = 0;
  }

  /**
   * Merges a peer's message clock; returns false and leaves the clock alone if it is beyond the trust bound (H-8).
   * What lies above the durable bound is not merged yet: the next message brings it again.
   */
  merge(t: Hlc): boolean {
    assert(t.l >= 0, 'negative clock');
    if (t.l > Math.max(Math.floor(this.clock.wallMs()), this.l) + MAX_CLOCK_OFFSET_MS) return false;
    this.heardL = Math.max(this.heardL, t.l);
    if (t.l <= this.boundL) this.advance(t);
    else if (this.boundL > this.l) {
      this.l = this.boundL;
      this.c = 0;
    }
    return true;
  }
}
