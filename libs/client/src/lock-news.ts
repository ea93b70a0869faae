import type { Durability } from './options.ts';
import { jittered, type Runtime, type Timer } from './runtime.ts';
import type { Watches } from './watch-api.ts';

/** With news of the lock, attempts without any are made so many times more rarely: they only guard against what news can miss. */
const RARER = 10;

/**
 * Tells somebody who waits for a lock when to ask again: once it was released or its lease has run out, as a watch tells, and
 * otherwise after a pause, which is all there is where no watch can be had.
 *
 * The lock service has no queue (locks §8): all who wait are told at once, and one of them is granted the lock.
 */
export class LockNews {
  private readonly runtime: Runtime;
  private readonly watches: Watches;
  private readonly name: string;
  private readonly durability: Durability | undefined;
  private readonly end = new AbortController();
  private begun = false;
  /** A watch tells what happens to the lock. */
  private hears = false;
  /** Told free since the last attempt began. */
  private isFree = false;
  private wake: (() => void) | undefined;

  constructor(runtime: Runtime, watches: Watches, name: string, durability: Durability | undefined) {
    this.runtime = runtime;
    this.watches = watches;
    this.name = name;
    this.durability = durability;
  }

  /** An attempt is about to be made: what was heard before it is settled by it. */
  attempting(): void {
    this.isFree = false;
  }

  /**
   * Resolves when it is time to ask again. `retryMs`: pause where nothing is heard, with jitter; at most `limitMs`. Rejects with
   * the signal's reason when that fires first.
   */
  async untilFree(retryMs: number, limitMs: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (!this.begun) {
      this.begun = true;
      void this.listen();
    }
    const begunMs = this.runtime.monotonicMs();
    const pauseMs = jittered(this.runtime, retryMs);
    if (!(await this.heardWithin(Math.min(pauseMs, limitMs), signal)) && this.hears) {
      const passedMs = this.runtime.monotonicMs() - begunMs;
      await this.heardWithin(Math.min(pauseMs * RARER, limitMs) - passedMs, signal);
    }
  }

  /** True: the lock was told free. */
  private heardWithin(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.isFree) return Promise.resolve(true);
    if (ms <= 0) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const settle = (): void => {
        this.wake = undefined;
        timer?.cancel();
        signal?.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        settle();
        reject(signal?.reason);
      };
      timer = this.runtime.after(ms, () => {
        settle();
        resolve(false);
      });
      this.wake = () => {
        settle();
        resolve(true);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  private async listen(): Promise<void> {
    const { signal } = this.end;
    try {
      for await (const { held } of this.watches.lock(this.name, { durability: this.durability, signal })) {
        this.hears = true;
        this.isFree = !held;
        if (this.isFree) this.wake?.();
      }
    } catch {
      // Nobody tells any more, or nobody needs to know: what is left is asking from time to time.
      this.hears = false;
    }
  }

  close(): void {
    this.end.abort();
  }
}
