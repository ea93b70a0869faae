import type { Hlc } from '@kahuna/base';
import type { LockLossReason } from './errors.ts';
import type { CallOptions, Durability } from './options.ts';

/** What becomes of a lock, for logs and counters. */
export type LockEvent =
  | { readonly kind: 'granted'; readonly name: string; readonly fencingToken: bigint }
  | { readonly kind: 'extended'; readonly name: string; readonly fencingToken: bigint; readonly remainingMs: number }
  /** One renewal failed; others follow while the lease lasts. */
  | { readonly kind: 'renewal-failed'; readonly name: string; readonly fencingToken: bigint; readonly cause: unknown }
  | { readonly kind: 'lost'; readonly name: string; readonly fencingToken: bigint; readonly reason: LockLossReason }
  | { readonly kind: 'released'; readonly name: string; readonly fencingToken: bigint };

export interface TryLockOptions extends CallOptions {
  /** How long the server keeps the lock without a renewal. Milliseconds, default 10,000. Renewed every third of it. */
  readonly leaseMs?: number | undefined;
  /**
   * How long before the end of the lease the lock counts as lost: the skew of clocks and the time that stopping takes.
   * Milliseconds, default a tenth of the lease and at most 1,000.
   */
  readonly safetyMarginMs?: number | undefined;
  /** No renewal beyond this: a loop that hangs must not hold a lock for ever. Milliseconds, default without end. */
  readonly maxHoldMs?: number | undefined;
  readonly durability?: Durability | undefined;
  readonly onEvent?: ((event: LockEvent) => void) | undefined;
}

export interface LockOptions extends TryLockOptions {
  /** How long to wait for another owner. Milliseconds, default `timeoutMs` or 30,000; `Infinity` = until the signal. */
  readonly waitMs?: number | undefined;
  /**
   * Pause between attempts, with jitter. Milliseconds, default 100. Above 0. While a watch tells this client what happens to the
   * lock, it asks when the lock becomes free, and ten times more rarely besides.
   */
  readonly retryMs?: number | undefined;
}

/**
 * A lock that this object holds, renewed in the background until it is released, lost, or held for `maxHoldMs`.
 *
 * "Held" means *provable by this process's own clock*: from the instant before the last successful request was sent, for the
 * length of the lease less the safety margin. A process that slept through its lease finds out before it acts.
 */
export interface Lock extends AsyncDisposable {
  readonly name: string;
  /** Random bytes that no other lock object has: the same process twice is two owners. */
  readonly owner: Uint8Array;
  /** Grows with every grant of the lock. Hand it to what the lock protects, and let that refuse smaller ones. */
  readonly fencingToken: bigint;
  /** Fires when the lock is lost or may be; its reason is a {@link LockLostError}. */
  readonly signal: AbortSignal;
  readonly isHeld: boolean;
  /** Milliseconds for which the lock is still provably held. */
  readonly remainingMs: number;
  /** Throws a {@link LockLostError} unless the lock is provably held at this instant. */
  assertHeld(): void;
  /** Lets go, within a second and without throwing: a lock that cannot be released ends with its lease. Idempotent. */
  release(): Promise<void>;
}

/** A lock as the server sees it. */
export interface LockInfo {
  readonly owner: Uint8Array;
  readonly expires: Hlc;
  readonly fencingToken: bigint;
}

export interface OwnerOptions extends CallOptions {
  /** Whoever presents these bytes is the owner. At least one byte; text counts as UTF-8. */
  readonly owner: Uint8Array | string;
  readonly durability?: Durability | undefined;
}

export interface LeaseOptions extends OwnerOptions {
  /** Milliseconds, 1 … 2,147,483,647. */
  readonly leaseMs: number;
}

/** The calls of the lock service one by one, for tools; programs want {@link Lock}. */
export interface LockCalls {
  /** `busy`: another owner has it. A repetition by the holder is `locked` with the same token and does not prolong the lease. */
  acquire(name: string, options: LeaseOptions): Promise<{ readonly type: 'locked' | 'busy'; readonly fencingToken: bigint }>;
  extend(
    name: string,
    options: LeaseOptions,
  ): Promise<{ readonly type: 'extended' | 'not-held' | 'other-owner'; readonly fencingToken: bigint }>;
  release(name: string, options: OwnerOptions): Promise<'released' | 'not-held' | 'other-owner'>;
  /** undefined where nobody holds it. */
  info(name: string, options?: CallOptions & { readonly durability?: Durability | undefined }): Promise<LockInfo | undefined>;
}

export interface CampaignOptions extends TryLockOptions {
  /** As for a lock, while somebody else leads. Milliseconds, default a quarter of the lease. */
  readonly retryMs?: number | undefined;
}

/** What an observer sees: the leader's name and token, or nobody. */
export type ElectionView = { readonly leader: string; readonly fencingToken: bigint; readonly expires: Hlc } | undefined;

export interface ObserveOptions extends CallOptions {
  /** Where the lock cannot be watched (REST without WebSocket): milliseconds between looks, default 1,000. */
  readonly intervalMs?: number | undefined;
  readonly durability?: Durability | undefined;
}

/** Leadership while it lasts. */
export interface Leadership extends AsyncDisposable {
  /** Fires when leadership is lost or can no longer be proved. */
  readonly signal: AbortSignal;
  readonly fencingToken: bigint;
  readonly isLeader: boolean;
  /** Throws a {@link LockLostError} unless leadership is provable at this instant. */
  assertLeader(): void;
  resign(): Promise<void>;
}

/** Leader election on a lock: at most one leader, as far as leases are respected. */
export interface Election {
  readonly name: string;
  /** Name under which this candidate leads. */
  readonly candidate: string;
  /** Resolves when this candidate leads. Give it a signal to stop trying. */
  campaign(options?: CampaignOptions): Promise<Leadership>;
  /**
   * Campaigns again and again until `signal` fires, running `onLeader` during each term of leadership; its signal ends the term.
   * `onLeader` that returns resigns, and lets others go first. Rejects with what `onLeader` throws, after resigning.
   */
  lead(
    onLeader: (leadership: Leadership) => Promise<void>,
    options: CampaignOptions & { readonly signal: AbortSignal },
  ): Promise<void>;
  /** Who leads now. */
  leader(options?: ObserveOptions): Promise<ElectionView>;
  /**
   * The present leader, then every change, as a watch of the lock tells; without a watch, those that a look from time to time finds.
   * What fails for a passing reason is left out.
   */
  observe(options?: ObserveOptions): AsyncIterableIterator<ElectionView>;
}
