import type { Hlc } from '@kahuna/base';
import type { Durability, TimePoint } from './options.ts';
import type { SequenceState } from './sequences-api.ts';

/** What happened to a key. */
export interface Change {
  readonly kind: 'set' | 'delete' | 'extend' | 'expire';
  readonly key: string;
  /** Of a set; null also where `valueGone`. */
  readonly value: Uint8Array | null;
  readonly revision: number;
  /** When it will expire; undefined: never. */
  readonly expires: Hlc | undefined;
  /** Of the commit; an expiry has the end of its millisecond. */
  readonly stamp: Hlc;
  readonly partition: number;
  /** What was there when the watch began, not a change. */
  readonly initial: boolean;
  /** The version was written without history and superseded before it could be told: its value is not kept. */
  readonly valueGone: boolean;
}

/** What happened to a lock. */
export interface LockChange {
  /**
   * - `snapshot`: the present state, with which every watch begins and begins again; what lay in between is not told.
   * - `expired`: the lease has run out, for whoever leads: nobody will honour it any more.
   */
  readonly kind: 'snapshot' | 'acquired' | 'extended' | 'released' | 'expired';
  readonly name: string;
  /** Somebody holds the lock after this. */
  readonly held: boolean;
  /** The holder; of a release or an expiry, who held it. undefined: a snapshot of a lock that nobody holds. */
  readonly owner: Uint8Array | undefined;
  /** The last one granted; -1: none yet. */
  readonly fencingToken: bigint;
  /** End of the lease that is, or was, held. */
  readonly expires: Hlc | undefined;
  /** When it became so; of a snapshot, when it was looked at. */
  readonly stamp: Hlc;
  readonly partition: number;
}

/** What happened to a sequence. */
export interface SequenceChange {
  /**
   * - `snapshot`: the present state, with which every watch begins and begins again; what lay in between is not told.
   * - `reserved`: a block of values; those of a block are handed out from memory, which is not told.
   */
  readonly kind: 'snapshot' | 'created' | 'updated' | 'reserved' | 'deleted';
  readonly name: string;
  /** undefined: there is none. */
  readonly sequence: SequenceState | undefined;
  /** When it became so; of a snapshot, when it was looked at. */
  readonly stamp: Hlc;
  readonly partition: number;
}

interface LoopOptions {
  /** Ends the watch: the loop throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** For long silence: how often the position moves on without a change. Milliseconds, default 5000. */
  readonly progressMs?: number | undefined;
}

/** Of a lock or a sequence: they keep no history, so a watch begins with a snapshot in any case. */
export interface NameWatchOptions extends LoopOptions {
  /** `position` of an earlier watch of the same: the snapshot is not older. */
  readonly after?: string | undefined;
}

export interface LockWatchOptions extends NameWatchOptions {
  /** Default: that of the client. An ephemeral lock is watched on the node that leads its partition. */
  readonly durability?: Durability | undefined;
}

export interface WatchOptions extends LoopOptions {
  /**
   * What is there first, as sets marked `initial`; then everything behind it. Where the connection is lost before it is complete, it
   * begins anew.
   */
  readonly initial?: boolean | undefined;
  /** Go on behind this: `position` of an earlier watch of the same target, or a time. */
  readonly after?: string | TimePoint | undefined;
}

export interface KeyWatchOptions extends WatchOptions {
  /** Begin with this revision, out of the history. */
  readonly fromRevision?: number | undefined;
}

export interface WatchedRange {
  /** First key, unless `startInclusive` is false; undefined: from the first of the bucket. */
  readonly start?: string | undefined;
  readonly startInclusive?: boolean | undefined;
  /** First key that is not watched any more, unless `endInclusive`. */
  readonly end?: string | undefined;
  readonly endInclusive?: boolean | undefined;
}

/**
 * Changes in the order of their commits within each partition, every one once, also when nodes and connections come and go. The
 * loop can be left at any time. Throws {@link HistoryPrunedError} where history that is needed is gone, and
 * {@link UnavailableError} when no node can be reached for a while: a new watch `after` the position goes on without a gap.
 */
export interface Watch<C = Change> extends AsyncIterable<C> {
  /** Where a later watch can go on; all changes that the loop was given lie before it. undefined until the watch has begun. */
  readonly position: string | undefined;
  /** Resolves when the loop's watch has begun, so that every later change is told; rejects with what the loop throws before. */
  readonly started: Promise<void>;
}

/** Watches of persistent keys, of locks and of sequences. Nothing is sent before the loop begins. */
export interface Watches {
  key(key: string, options?: KeyWatchOptions): Watch;
  /** Keys of one key space: `bucket/…`. */
  bucket(bucket: string, options?: WatchOptions): Watch;
  prefix(prefix: string, options?: WatchOptions): Watch;
  range(bucket: string, range: WatchedRange, options?: WatchOptions): Watch;
  /** Who holds a lock: now, and as it changes. */
  lock(name: string, options?: LockWatchOptions): Watch<LockChange>;
  sequence(name: string, options?: NameWatchOptions): Watch<SequenceChange>;
}
