import type { Hlc } from '@kahuna/base';
import type { Durability } from './operation.ts';
import type { SequenceEntry } from './sequence-operation.ts';

/**
 * Which locks or sequences there are: for browsing, not for programs. Each partition as its leader sees it when asked; nothing is
 * read at one common point in time.
 */
export interface ListingQuery {
  readonly kind: 'locks' | 'sequences';
  /** Names that begin with this text; '' = all. */
  readonly prefix: string;
  /** Only names after this one (ordinal); undefined: from the first. `next` of a page continues the listing. */
  readonly after: string | undefined;
  /** Rows per page, 1 to 200; what lies outside is clamped. */
  readonly limit: number;
}

/** One lock. The same name may be there in both durabilities: two locks, next to each other. */
export interface LockRow {
  readonly name: string;
  readonly durability: Durability;
  /** Held right now; else it was released, or its lease has run out (then `owner` is the last one). */
  readonly held: boolean;
  /** null after a release. */
  readonly owner: Uint8Array | null;
  /** End of the lease; zero after a release. */
  readonly expires: Hlc;
  /** Last fencing token granted. */
  readonly token: number;
  readonly partitionId: number;
  /** Who asked for it in vain lately, the latest first; absent: nobody whom this leader remembers. */
  readonly contenders?: readonly LockContender[];
  /** Absent: the leader's node noted nothing of this lock since it started, or has forgotten it. */
  readonly history?: LockHistory;
}

/** What a node noted of the grants of a lock, in memory and within bounds. Tokens grow by one, so what it did not note shows. */
export interface LockHistory {
  /** Everything noted is of then or later, by the stamps of the commands. */
  readonly sinceMs: number;
  /** The latest first; of a page with more than one lock, that one only. */
  readonly grants: readonly LockGrant[];
}

/** Instants in Unix milliseconds by the stamps of the commands, 0 where nothing was noted. */
export interface LockGrant {
  readonly token: number;
  readonly owner: Uint8Array;
  readonly fromMs: number;
  /** As granted, or as extended last. */
  readonly leaseMs: number;
  /** End of the lease. */
  readonly expiresMs: number;
  /** Noted: at least so many. */
  readonly extensions: number;
  readonly lastExtendMs: number;
  readonly endMs: number;
  /** undefined: it holds, or its end was not noted. */
  readonly end: 'released' | 'expired' | undefined;
}

/** An owner that was told that the lock is busy. */
export interface LockContender {
  readonly owner: Uint8Array;
  /** Within the last half to whole minute. */
  readonly asks: number;
  /** By the leader's clock. */
  readonly lastMs: number;
}

export interface SequenceRow {
  readonly entry: SequenceEntry;
  readonly partitionId: number;
}

/** `locks` or `sequences` is filled, as asked; both in ordinal order of names. */
export interface ListingAnswer {
  /** A `ResponseType`: Get, or MustRetry (then without rows) while the node is not initialised or too much is asked at once. */
  readonly type: number;
  readonly locks: readonly LockRow[];
  readonly sequences: readonly SequenceRow[];
  /** `after` of the next page; undefined: nothing follows. Both locks of a name are on one page, so a page may hold one row more. */
  readonly next: string | undefined;
  /** Partitions whose leader did not answer in time: their rows are missing. Ascending. */
  readonly missing: readonly number[];
}
