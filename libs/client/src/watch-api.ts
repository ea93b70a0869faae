import type { Hlc } from '@kahuna/base';
import type { TimePoint } from './options.ts';

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

export interface WatchOptions {
  /** Ends the watch: the loop throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * What is there first, as sets marked `initial`; then everything behind it. Where the connection is lost before it is complete, it
   * begins anew.
   */
  readonly initial?: boolean | undefined;
  /** Go on behind this: `position` of an earlier watch of the same target, or a time. */
  readonly after?: string | TimePoint | undefined;
  /** For long silence: how often the position moves on without a change. Milliseconds, default 5000. */
  readonly progressMs?: number | undefined;
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
export interface Watch extends AsyncIterable<Change> {
  /** Where a later watch can go on; all changes that the loop was given lie before it. undefined until the watch has begun. */
  readonly position: string | undefined;
  /** Resolves when the loop's watch has begun, so that every later change is told; rejects with what the loop throws before. */
  readonly started: Promise<void>;
}

/** Watches of persistent keys. Nothing is sent before the loop begins. */
export interface Watches {
  key(key: string, options?: KeyWatchOptions): Watch;
  /** Keys of one key space: `bucket/…`. */
  bucket(bucket: string, options?: WatchOptions): Watch;
  prefix(prefix: string, options?: WatchOptions): Watch;
  range(bucket: string, range: WatchedRange, options?: WatchOptions): Watch;
}
