import { InvalidInputError, KahunaError, LockBusyError } from './errors.ts';
import { type Instant, instantOf, Lease } from './lease.ts';
import { LockNews } from './lock-news.ts';
import { checkLease, type LockService } from './locks.ts';
import type { Lock, LockEvent, LockOptions, TryLockOptions } from './locks-api.ts';
import type { Runtime } from './runtime.ts';
import type { Watches } from './watch-api.ts';

const DEFAULT_LEASE_MS = 10_000;
const DEFAULT_WAIT_MS = 30_000;
const DEFAULT_RETRY_MS = 100;
const MARGIN_SHARE = 0.1;
const MAX_MARGIN_MS = 1000;
/** A release is waited for this long; then the lease will end the lock. Milliseconds. */
const RELEASE_LIMIT_MS = 1000;
const OWNER_BYTES = 16;
/** A grant in doubt for this share of its lease is extended before it is handed out. */
const STALE_SHARE = 0.25;
/** Longest time that one request of an acquisition may take. Milliseconds. */
const ACQUIRE_TIMEOUT_MS = 30_000;

/** Terms of a lock with everything filled in. */
interface Terms {
  readonly name: string;
  readonly owner: Uint8Array;
  readonly leaseMs: number;
  readonly marginMs: number;
  readonly maxHoldMs: number;
  readonly options: TryLockOptions;
}

/** A granted lock; see {@link Lock}. */
class HeldLock implements Lock {
  readonly name: string;
  readonly owner: Uint8Array;
  readonly fencingToken: bigint;
  private readonly service: LockService;
  private readonly terms: Terms;
  private readonly lease: Lease;
  private releasing: Promise<void> | undefined;

  constructor(runtime: Runtime, service: LockService, terms: Terms, fencingToken: bigint, sent: Instant) {
    this.service = service;
    this.terms = terms;
    this.name = terms.name;
    this.owner = terms.owner;
    this.fencingToken = fencingToken;
    const { name } = terms;
    this.tell({ kind: 'granted', name, fencingToken });
    this.lease = new Lease(
      runtime,
      {
        what: `the lock ${JSON.stringify(name)}`,
        leaseMs: terms.leaseMs,
        marginMs: terms.marginMs,
        maxHoldMs: terms.maxHoldMs,
        renew: timeoutMs => this.extend(timeoutMs),
        onRenewed: () => this.tell({ kind: 'extended', name, fencingToken, remainingMs: this.remainingMs }),
        onRenewalFailed: cause => this.tell({ kind: 'renewal-failed', name, fencingToken, cause }),
        onLost: reason => {
          if (reason === 'released') return;
          this.tell({ kind: 'lost', name, fencingToken, reason });
          // Nobody waits for this: it spares the next owner the rest of a lease that is of no use here any more.
          if (reason !== 'taken') void this.letGo();
        },
      },
      sent,
    );
  }

  get signal(): AbortSignal {
    return this.lease.signal;
  }

  get isHeld(): boolean {
    return this.lease.isHeld;
  }

  get remainingMs(): number {
    return this.lease.remainingMs;
  }

  assertHeld(): void {
    this.lease.assertHeld();
  }

  release(): Promise<void> {
    this.releasing ??= this.lease.end() ? this.letGo() : Promise.resolve();
    return this.releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** The token must still be that of the grant: an extension of somebody else's grant by the same bytes cannot be. */
  private async extend(timeoutMs: number): Promise<'renewed' | 'gone'> {
    const { name, owner, leaseMs, options } = this.terms;
    const answer = await this.service.extend(name, { owner, leaseMs, durability: options.durability, timeoutMs });
    return answer.type === 'extended' && answer.fencingToken === this.fencingToken ? 'renewed' : 'gone';
  }

  private async letGo(): Promise<void> {
    const { name, owner, options } = this.terms;
    const released = await letGo(this.service, name, owner, options);
    if (released) this.tell({ kind: 'released', name, fencingToken: this.fencingToken });
  }

  /** What the listener throws is its own: it must not end a renewal. */
  private tell(event: LockEvent): void {
    try {
      this.terms.options.onEvent?.(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** One attempt to release; false where it did not work, and then the lease ends the lock. */
async function letGo(service: LockService, name: string, owner: Uint8Array, options: TryLockOptions): Promise<boolean> {
  try {
    const outcome = await service.release(name, { owner, durability: options.durability, timeoutMs: RELEASE_LIMIT_MS });
    return outcome === 'released';
  } catch {
    return false;
  }
}

/** Acquires locks and keeps them (locks §8: the client waits, the server has no queue). */
export class LockKeeper {
  private readonly runtime: Runtime;
  private readonly service: LockService;
  private readonly watches: Watches;

  constructor(runtime: Runtime, service: LockService, watches: Watches) {
    this.runtime = runtime;
    this.service = service;
    this.watches = watches;
  }

  async tryLock(name: string, options: TryLockOptions = {}, ownerPrefix?: Uint8Array): Promise<Lock | undefined> {
    const terms = this.termsOf(name, options, ownerPrefix);
    const doubt: Doubt = { sent: undefined, lingers: false };
    try {
      return await this.attempt(terms, doubt, options.timeoutMs ?? ACQUIRE_TIMEOUT_MS);
    } catch (error) {
      if (doubt.sent !== undefined) void letGo(this.service, name, terms.owner, options);
      throw error;
    }
  }

  async lock(name: string, options: LockOptions = {}, ownerPrefix?: Uint8Array): Promise<Lock> {
    const { waitMs = options.timeoutMs ?? DEFAULT_WAIT_MS, retryMs = DEFAULT_RETRY_MS, signal } = options;
    if (!(retryMs > 0)) throw new InvalidInputError('retryMs is above 0');
    const terms = this.termsOf(name, options, ownerPrefix);
    const endMs = this.runtime.monotonicMs() + waitMs;
    const doubt: Doubt = { sent: undefined, lingers: false };
    const leftMs = (): number => endMs - this.runtime.monotonicMs();
    const news = new LockNews(this.runtime, this.watches, name, options.durability);
    try {
      for (;;) {
        news.attempting();
        const lock = await this.patientAttempt(terms, doubt, leftMs);
        if (lock !== undefined) return lock;
        if (leftMs() <= 0) throw new LockBusyError(`the lock ${JSON.stringify(name)} was not free within ${waitMs} ms`);
        await news.untilFree(retryMs, leftMs(), signal);
      }
    } catch (error) {
      if (doubt.sent !== undefined) void letGo(this.service, name, terms.owner, options);
      throw error;
    } finally {
      news.close();
    }
  }

  /**
   * A cluster that cannot answer now is one more reason to wait, as long as there is time. An attempt that was given up ends the waiting, even if
   * its timer came a moment early: its answer gives the grant back, and would take that of a next attempt.
   */
  private async patientAttempt(terms: Terms, doubt: Doubt, leftMs: () => number): Promise<Lock | undefined> {
    try {
      return await this.attempt(terms, doubt, Math.max(leftMs(), 1));
    } catch (error) {
      const isGivenUp = error instanceof LockBusyError;
      if (error instanceof KahunaError && error.retryable && !isGivenUp && leftMs() > 0) return undefined;
      throw error;
    }
  }

  /**
   * One request, and an extension where its grant may be old. undefined: another owner has it. Rejects at once when the signal fires or the
   * time is over; a grant that comes after that is given back, or the lock would belong to nobody until its lease ends.
   */
  private async attempt(terms: Terms, doubt: Doubt, limitMs: number): Promise<Lock | undefined> {
    const { name, owner, leaseMs, options } = terms;
    const { durability } = options;
    const endMs = this.runtime.monotonicMs() + limitMs;
    // A repeated acquire does not prolong the lease that an earlier one may have got: count from the first in doubt.
    doubt.sent ??= instantOf(this.runtime);
    const { lingers } = doubt;
    doubt.lingers = true;
    const acquiring = this.service.tryAcquire(name, { owner, leaseMs, durability, timeoutMs: ACQUIRE_TIMEOUT_MS });
    const answer = await this.unlessAbandoned(acquiring, limitMs, terms, doubt);
    doubt.lingers = lingers || answer.repeated;
    if (answer.type === 'busy') {
      doubt.sent = undefined;
      return undefined;
    }
    let { sent } = doubt;
    let { fencingToken } = answer;
    if (lingers || this.runtime.monotonicMs() - sent.monotonicMs > leaseMs * STALE_SHARE) {
      sent = instantOf(this.runtime);
      const extending = this.service.extend(name, { owner, leaseMs, durability, timeoutMs: leaseMs });
      const leftMs = Math.max(endMs - this.runtime.monotonicMs(), 1);
      const extended = await this.unlessAbandoned(extending, leftMs, terms, doubt);
      if (extended.type !== 'extended') {
        doubt.sent = undefined;
        return undefined;
      }
      fencingToken = extended.fencingToken;
    }
    doubt.sent = undefined;
    return new HeldLock(this.runtime, this.service, terms, fencingToken, sent);
  }

  /** The answer to an acquire or an extend, unless the signal or the end of the time comes first; then nobody wants the grant any more. */
  private unlessAbandoned<A extends { readonly type: string }>(
    asking: Promise<A>,
    limitMs: number,
    terms: Terms,
    doubt: Doubt,
  ): Promise<A> {
    const { name, owner, options } = terms;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      let abandoned = false;
      const settle = (): void => {
        limit.cancel();
        signal?.removeEventListener('abort', abort);
      };
      const abandon = (reason: unknown): void => {
        abandoned = true;
        // The answer that is still to come decides what has to be given back.
        doubt.sent = undefined;
        settle();
        reject(reason);
      };
      const abort = (): void => abandon(signal?.reason);
      const limit = this.runtime.after(limitMs, () =>
        abandon(new LockBusyError(`no answer about the lock ${JSON.stringify(name)} within ${Math.round(limitMs)} ms`)),
      );
      signal?.addEventListener('abort', abort, { once: true });
      asking.then(
        answer => {
          if (abandoned) {
            if (answer.type === 'locked' || answer.type === 'extended') void letGo(this.service, name, owner, options);
            return;
          }
          settle();
          resolve(answer);
        },
        error => {
          if (abandoned) {
            void letGo(this.service, name, owner, options);
            return;
          }
          settle();
          reject(error);
        },
      );
      if (signal?.aborted) abort();
    });
  }

  private termsOf(name: string, options: TryLockOptions, ownerPrefix: Uint8Array | undefined): Terms {
    const { maxHoldMs = Number.POSITIVE_INFINITY } = options;
    const leaseMs = checkLease(options.leaseMs ?? DEFAULT_LEASE_MS);
    const marginMs = options.safetyMarginMs ?? Math.min(MAX_MARGIN_MS, leaseMs * MARGIN_SHARE);
    if (!(marginMs >= 0 && marginMs < leaseMs)) throw new InvalidInputError('safetyMarginMs is shorter than the lease');
    if (!(maxHoldMs > 0)) throw new InvalidInputError('maxHoldMs is above 0');
    const random = this.runtime.randomBytes(OWNER_BYTES);
    const owner = ownerPrefix === undefined ? random : new Uint8Array([...ownerPrefix, ...random]);
    return { name, owner, leaseMs, marginMs, maxHoldMs, options };
  }
}

/** What is not known about the requests of one acquisition. */
interface Doubt {
  /** When the first was sent that may have got the lock. */
  sent: Instant | undefined;
  /**
   * One of them was never answered itself and may still be on its way, though a later one was told that the lock is busy: a grant can then be
   * older than the request that hears of it.
   */
  lingers: boolean;
}
