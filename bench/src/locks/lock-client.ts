/** How one attempt to take a lock ended. */
export type Attempt = 'held' | 'taken by another' | 'failed';

/** A lock as the stores of the comparison offer it. Calls back once, never inside the call. */
export interface LockClient {
  /** Waits while another holds it; each worker (from 0) is an owner of its own. */
  acquire(name: string, worker: number, acquired: (held: boolean) => void): void;
  release(name: string, worker: number, released: (ok: boolean) => void): void;
  close(): void;
}

/** A store that says at once whether a lock is taken, and leaves the waiting to the client. */
export interface TryLockClient {
  tryAcquire(name: string, worker: number, tried: (attempt: Attempt) => void): void;
  release(name: string, worker: number, released: (ok: boolean) => void): void;
  close(): void;
}

/** Nobody here lives long enough to lose a lock: what is measured is taking and giving back, not expiry. Milliseconds. */
export const LEASE_MS = 600_000;

/** What every client of such a store does: ask, pause, ask again. */
export class PollingLocks implements LockClient {
  private readonly store: TryLockClient;
  private readonly retryMs: number;

  /** `retryMs`: pause between attempts, spread by a quarter either way so that contenders do not march in step; 0 = none. */
  constructor(store: TryLockClient, retryMs: number) {
    this.store = store;
    this.retryMs = retryMs;
  }

  acquire(name: string, worker: number, acquired: (held: boolean) => void): void {
    this.store.tryAcquire(name, worker, attempt => {
      if (attempt !== 'taken by another') acquired(attempt === 'held');
      else if (this.retryMs === 0) this.acquire(name, worker, acquired);
      else setTimeout(() => this.acquire(name, worker, acquired), this.retryMs * (0.75 + Math.random() / 2));
    });
  }

  release(name: string, worker: number, released: (ok: boolean) => void): void {
    this.store.release(name, worker, released);
  }

  close(): void {
    this.store.close();
  }
}
