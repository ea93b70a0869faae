import { type LockLossReason, LockLostError } from './errors.ts';
import { jittered, type Runtime, type Timer } from './runtime.ts';

/** Renewals begin after this share of the lease. */
const RENEW_SHARE = 1 / 3;
const RENEW_JITTER = 0.2;
/** Pause after a failed renewal, as a share of the lease. */
const RETRY_SHARE = 1 / 20;
const MIN_RETRY_MS = 20;
/** A renewal gets no less time than this, however little of the lease is left. Milliseconds. */
const MIN_RENEWAL_MS = 10;

/**
 * The wall clock is looked at so often: timers stand still while the machine is suspended, and what is left of them then says nothing of the
 * lease. Milliseconds.
 */
const LOOK_MS = 1000;

/** An instant by both clocks of this process. */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export function instantOf(runtime: Runtime): Instant {
  return { monotonicMs: runtime.monotonicMs(), wallMs: runtime.wallMs() };
}

export interface LeaseTerms {
  /** For messages: `lock "x"`. */
  readonly what: string;
  readonly leaseMs: number;
  readonly marginMs: number;
  /** Without end: Infinity. */
  readonly maxHoldMs: number;
  /** Asks the server for another lease. `gone`: it says that the lease is over. Rejects where it could not be asked. */
  readonly renew: (timeoutMs: number) => Promise<'renewed' | 'gone'>;
  readonly onRenewed?: () => void;
  readonly onRenewalFailed?: (cause: unknown) => void;
  readonly onLost?: (reason: LockLossReason) => void;
}

/**
 * What this process may believe about a lease that a server granted it.
 *
 * The server counts from when it executed the request, which is later than when the request was sent; so the lease lasts at
 * least until *sent + lease*. Less a margin for clock rates and for stopping, that is what can be proved here, and nothing
 * beyond is assumed. Two clocks are asked: the monotonic one stops while the machine is suspended, the wall clock goes on;
 * whichever says first that the lease is over is believed.
 *
 * L1 `isHeld` is never true at or after the provable end, whether or not a timer has fired.
 * L2 At most one renewal is under way.   L3 Once over, it stays over: the signal has fired and nothing renews any more.
 */
export class Lease {
  private readonly runtime: Runtime;
  private readonly terms: LeaseTerms;
  private readonly controller = new AbortController();
  private readonly endOfHoldMs: number;
  private proof: Instant;
  private renewTimer: Timer | undefined;
  private endTimer: Timer | undefined;
  private renewing = false;
  private over: LockLossReason | undefined;
  private lastCause: unknown;

  /** `sent`: taken before the request was sent that got the lease. */
  constructor(runtime: Runtime, terms: LeaseTerms, sent: Instant) {
    this.runtime = runtime;
    this.terms = terms;
    this.proof = sent;
    this.endOfHoldMs = runtime.monotonicMs() + terms.maxHoldMs;
    this.schedule();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Milliseconds for which the lease is provable, 0 once it is not. */
  get remainingMs(): number {
    if (this.over !== undefined) return 0;
    const { leaseMs, marginMs } = this.terms;
    const elapsedMs = Math.max(this.runtime.monotonicMs() - this.proof.monotonicMs, this.runtime.wallMs() - this.proof.wallMs);
    const holdMs = this.endOfHoldMs - this.runtime.monotonicMs();
    return Math.max(0, Math.min(leaseMs - marginMs - elapsedMs, holdMs));
  }

  get isHeld(): boolean {
    return this.remainingMs > 0;
  }

  assertHeld(): void {
    if (this.isHeld) return;
    this.look();
    throw this.controller.signal.reason;
  }

  /** Ends it deliberately. False where it was over already. */
  end(): boolean {
    if (this.over !== undefined) return false;
    this.finish('released');
    return true;
  }

  private schedule(): void {
    if (this.over !== undefined) return;
    const { leaseMs } = this.terms;
    this.renewTimer?.cancel();
    const age = this.runtime.monotonicMs() - this.proof.monotonicMs;
    const dueMs = jittered(this.runtime, leaseMs * RENEW_SHARE, RENEW_JITTER) - age;
    this.renewTimer = this.runtime.afterInBackground(Math.max(0, dueMs), () => this.renew());
    this.watchEnd();
  }

  private watchEnd(): void {
    this.endTimer?.cancel();
    this.endTimer = this.runtime.afterInBackground(Math.min(this.remainingMs, LOOK_MS), () => this.look());
  }

  /** Ends the lease if its time is over. */
  private look(): void {
    if (this.over !== undefined) return;
    if (this.remainingMs > 0) {
      this.watchEnd();
      return;
    }
    this.finish(this.runtime.monotonicMs() >= this.endOfHoldMs ? 'held-too-long' : 'lease-over');
  }

  private renew(): void {
    if (this.over !== undefined || this.renewing) return;
    const remainingMs = this.remainingMs;
    if (remainingMs === 0) {
      this.look();
      return;
    }
    this.renewing = true;
    const sent = instantOf(this.runtime);
    this.terms.renew(Math.max(MIN_RENEWAL_MS, remainingMs)).then(
      outcome => this.renewed(outcome, sent),
      cause => this.renewalFailed(cause),
    );
  }

  private renewed(outcome: 'renewed' | 'gone', sent: Instant): void {
    this.renewing = false;
    if (this.over !== undefined) return;
    if (outcome === 'gone') {
      this.finish('taken');
      return;
    }
    this.proof = sent;
    this.lastCause = undefined;
    this.schedule();
    this.terms.onRenewed?.();
  }

  private renewalFailed(cause: unknown): void {
    this.renewing = false;
    if (this.over !== undefined) return;
    this.lastCause = cause;
    this.terms.onRenewalFailed?.(cause);
    const pauseMs = Math.max(MIN_RETRY_MS, jittered(this.runtime, this.terms.leaseMs * RETRY_SHARE));
    this.renewTimer = this.runtime.afterInBackground(pauseMs, () => this.renew());
  }

  private finish(reason: LockLossReason): void {
    this.over = reason;
    this.renewTimer?.cancel();
    this.endTimer?.cancel();
    const cause = this.lastCause === undefined ? undefined : { cause: this.lastCause };
    this.controller.abort(new LockLostError(`${this.terms.what} is not held any more: ${MEANING[reason]}`, reason, cause));
    this.terms.onLost?.(reason);
  }
}

const MEANING: Readonly<Record<LockLossReason, string>> = {
  'lease-over': 'its lease is over by the clock of this process, and no renewal succeeded in time',
  taken: 'the server says that the lease is gone',
  'held-too-long': 'maxHoldMs is over',
  released: 'it was released',
};
