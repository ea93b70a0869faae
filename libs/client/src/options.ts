import type { Hlc } from '@kahuna/base';

/**
 * Where data lives. `persistent`: on the disks of a quorum. `ephemeral`: in the memory of the partition's leader, gone with it.
 * The two are separate name spaces: the same key or lock name in both is two unrelated records.
 */
export type Durability = 'persistent' | 'ephemeral';

/**
 * What to do with a write that may or may not have taken effect.
 * - `refused` (the usual): repeated where the server refused it as transient; a write whose answer was lost ends in an
 *   {@link OutcomeUnknownError}, unless a repetition is provably harmless (reads, locks, compare-revision, idempotency keys).
 * - `always`: repeated in both cases. A plain set may then be applied twice, also over a newer value.
 * - `never`: not repeated at all; the first doubt is an {@link OutcomeUnknownError}.
 */
export type RepeatWrites = 'refused' | 'always' | 'never';

/** What every call takes. */
export interface CallOptions {
  /**
   * Ends the call: it rejects with `signal.reason`. A write that was on its way by then may still take effect.
   */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, repetitions included; 30,000 unless the client has another. */
  readonly timeoutMs?: number | undefined;
  readonly repeatWrites?: RepeatWrites | undefined;
}

/** A point in time: a server's timestamp as answers carry them, or a time of the wall clock (with all writes of that millisecond). */
export type TimePoint = Hlc | Date | number;
