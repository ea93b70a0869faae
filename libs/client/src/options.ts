import type { Hlc } from '@kahuna/base';
import type { TlsOptions } from './tls.ts';
import type { Transport } from './transport.ts';

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

/** How to connect, and the defaults of all calls. */
export interface KahunaOptions {
  /**
   * URLs of one or more nodes of one cluster, `http://…` or `https://…`: those that nodes advertise as their client endpoint
   * when calls shall go straight to the leaders. Any node answers any request, so one is enough.
   */
  readonly endpoints: string | readonly string[];
  /** How requests travel: in Node.js gRPC batch streams, in browsers REST, unless given. */
  readonly transport?: Transport | undefined;
  /** Milliseconds for each call, repetitions included, unless it names its own. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Default `refused`. */
  readonly repeatWrites?: RepeatWrites | undefined;
  /** Where keys and locks live unless a call says otherwise. Default `persistent`. */
  readonly durability?: Durability | undefined;
  /** Send requests straight to the leader of their partition, as far as known. Default true. */
  readonly learnRoutes?: boolean | undefined;
  /** Trusted certificate authorities (PEM) for `https://` endpoints; the system's unless given. Not in browsers. */
  readonly tls?: TlsOptions | undefined;
}
