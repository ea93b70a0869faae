import type { Clock } from '@kahuna/base';

/** Something that will happen unless it is cancelled. */
export interface Timer {
  cancel(): void;
}

/** Time and chance as this library sees them, so that tests can be in charge of both. */
export interface Runtime extends Clock {
  /** Calls `action` once, `ms` milliseconds from now or a little later, never inside this call. */
  after(ms: number, action: () => void): Timer;
  /** The same for upkeep: what is left to do then does not keep a process alive that has nothing else to do. */
  afterInBackground(ms: number, action: () => void): Timer;
  /** Uniform in [0, 1). */
  random(): number;
  /** Bytes that nobody can guess or draws twice. */
  randomBytes(count: number): Uint8Array;
}

/** Longest delay that a timer of the platform can take; longer ones would fire at once. Milliseconds. */
const MAX_TIMER_MS = 2_147_483_647;

function cancellable(handle: ReturnType<typeof setTimeout>): Timer {
  return { cancel: () => clearTimeout(handle) };
}

export const systemRuntime: Runtime = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, action) => cancellable(setTimeout(action, Math.min(ms, MAX_TIMER_MS))),
  afterInBackground(ms, action) {
    const handle = setTimeout(action, Math.min(ms, MAX_TIMER_MS));
    // Browsers have a number here, and no process to keep alive.
    if (typeof handle === 'object') handle.unref();
    return cancellable(handle);
  },
  random: () => Math.random(),
  randomBytes: count => crypto.getRandomValues(new Uint8Array(count)),
};

/** `ms` less up to `share` of it, at random: so that clients that began together do not stay together. */
export function jittered(runtime: Runtime, ms: number, share = 0.5): number {
  return ms * (1 - share * runtime.random());
}

/** Resolves after `ms`; rejects with the signal's reason when that fires first. */
export function pause(runtime: Runtime, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = runtime.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
