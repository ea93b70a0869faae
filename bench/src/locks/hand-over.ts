import type { Done } from '../load/target.ts';
import type { LockClient } from './lock-client.ts';

/**
 * One lock that passes between contenders. Measures from the moment that its holder sends the release until another knows that he
 * holds it.
 *
 * Who has released does not ask again before another has had the lock: otherwise a store without a queue would look best, since
 * the last holder is the first to know that the lock is free, and nothing would be handed over.
 */
export class HandOver {
  private readonly locks: LockClient;
  private readonly name: string;
  private readonly now: () => number;
  /** Contenders whose request is under way. */
  private contending = 0;
  private lastHolder = -1;
  private releasedAt: number | undefined;
  /** The last holder, who asks again once another holds the lock. */
  private standingBack: (() => void) | undefined;

  constructor(locks: LockClient, name: string, now: () => number = () => performance.now()) {
    this.locks = locks;
    this.name = name;
    this.now = now;
  }

  /** Takes part once: `done` when the lock was held and is given back, with the time that its hand-over took. */
  join(worker: number, done: Done): void {
    // With nobody contending there is nobody to wait for.
    if (worker === this.lastHolder && this.contending > 0) this.standingBack = () => this.contend(worker, done);
    else this.contend(worker, done);
  }

  private contend(worker: number, done: Done): void {
    // Nobody asked when the lock was last given back: no hand-over began then.
    if (this.contending === 0) this.releasedAt = undefined;
    this.contending += 1;
    this.locks.acquire(this.name, worker, held => {
      this.contending -= 1;
      const { standingBack } = this;
      this.standingBack = undefined;
      if (!held) {
        standingBack?.();
        done(false);
        return;
      }
      const ms = this.releasedAt === undefined || this.lastHolder === worker ? undefined : this.now() - this.releasedAt;
      this.lastHolder = worker;
      standingBack?.();
      this.releasedAt = this.now();
      this.locks.release(this.name, worker, ok => done(ok, ms));
    });
  }
}
