import type { Durability } from './operation.ts';

/** Response types of lock operations (spec locks §2.1); the numbers are the wire's. */
export const LockResponseType = {
  Locked: 0,
  Busy: 1,
  Extended: 2,
  Unlocked: 3,
  Got: 4,
  Errored: 99,
  InvalidInput: 100,
  MustRetry: 101,
  LockDoesNotExist: 102,
  InvalidOwner: 103,
  Aborted: 104,
} as const;
export type LockResponseType = (typeof LockResponseType)[keyof typeof LockResponseType];

/**
 * Answer: an `OperationResult` whose `type` is a {@link LockResponseType}, `revision` the fencing token, `value` the owner and
 * `expires` the end of the lease (the last two for `Got` only).
 */
export interface LockOperation {
  readonly kind: 'lock-acquire' | 'lock-extend' | 'lock-release' | 'lock-info';
  /** The resource. Has a name space of its own. */
  readonly key: string;
  /** Empty where it is absent, and for `lock-info`. */
  readonly owner: Uint8Array;
  /** Lease in milliseconds, int32; 0 where it does not apply. */
  readonly expiresMs: number;
  readonly durability: Durability;
}
