import { ManualClock, Rng } from '@kahuna/base';
import type { Runtime, Timer } from './runtime.ts';

interface Due {
  readonly atMs: number;
  readonly action: () => void;
}

/** Time that passes when the test says so; chance that is the same in every run. */
export class ManualRuntime implements Runtime {
  readonly clock = new ManualClock();
  private readonly rng = new Rng(7);
  private readonly due = new Set<Due>();
  /** Uniform draws, unless a test fixes them. */
  draw: () => number = () => this.rng.float();
  /** Timers come so much before their time: those of Node.js do by up to two milliseconds. */
  earlyMs = 0;

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  wallMs(): number {
    return this.clock.wallMs();
  }

  random(): number {
    return this.draw();
  }

  randomBytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.rng.int(0, 255));
  }

  after(ms: number, action: () => void): Timer {
    const timer = { atMs: this.clock.monotonicMs() + Math.max(0, ms - this.earlyMs), action };
    this.due.add(timer);
    return { cancel: () => this.due.delete(timer) };
  }

  afterInBackground(ms: number, action: () => void): Timer {
    return this.after(ms, action);
  }

  get timers(): number {
    return this.due.size;
  }

  /** Lets time pass, timer by timer, with everything that promises do in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    await settled();
    for (let next = this.next(endMs); next !== undefined; next = this.next(endMs)) {
      this.due.delete(next);
      this.clock.advance(Math.max(0, next.atMs - this.clock.monotonicMs()));
      next.action();
      await settled();
    }
    this.clock.advance(endMs - this.clock.monotonicMs());
  }

  /** The process stands still: clocks go on, and no timer runs until it wakes. */
  freeze(ms: number): void {
    this.clock.advance(ms);
  }

  private next(endMs: number): Due | undefined {
    let first: Due | undefined;
    for (const timer of this.due) {
      if (timer.atMs <= endMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
    }
    return first;
  }
}

/** Everything that is ready has run: promises settle in microtasks, which all come before this. */
export function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
