import type { Hlc } from '@kahuna/base';
import type { Durability, OperationResult } from './operation.ts';

/** Reads of many keys by order (spec keyvalues §11 to §13). Durability and limits are checked by the node: bad input is an answer. */
export interface BucketQuery {
  readonly kind: 'bucket';
  readonly prefix: string;
  /** Zero: now. */
  readonly readTimestamp: Hlc;
  readonly durability: Durability;
}

export interface PrefixQuery {
  readonly kind: 'prefix';
  readonly prefix: string;
  readonly readTimestamp: Hlc;
  readonly durability: Durability;
}

export interface RangeQuery {
  readonly kind: 'range';
  readonly prefix: string;
  readonly startKey: string | undefined;
  readonly startInclusive: boolean;
  readonly endKey: string | undefined;
  readonly endInclusive: boolean;
  /** <= 0: as many as one message takes. */
  readonly limit: number;
  readonly readTimestamp: Hlc;
  readonly durability: Durability;
  /** Opaque continuation from an earlier page; supersedes start and timestamp. */
  readonly cursor: string | undefined;
}

export type ScanQuery = BucketQuery | PrefixQuery | RangeQuery;

/** One key of a scan; `result` as a get of that key would answer it. */
export interface ScanRow {
  readonly key: string;
  readonly durability: Durability;
  readonly result: OperationResult;
}

/** `type`: a `ResponseType`: Get, InvalidInput, MustRetry or Aborted (then without rows). */
export interface ScanAnswer {
  readonly type: number;
  readonly rows: readonly ScanRow[];
  readonly hasMore: boolean;
  readonly nextCursor: string | undefined;
}

/** Snapshot holds (spec keyvalues §10.3). */
export type HoldOperation =
  | { readonly kind: 'hold-acquire'; readonly holderId: string; readonly timestamp: Hlc; readonly leaseMs: number }
  | { readonly kind: 'hold-renew'; readonly holdId: string; readonly leaseMs: number }
  | { readonly kind: 'hold-release'; readonly holdId: string }
  | { readonly kind: 'hold-floor' };

/** `type`: a `ResponseType`. Fields that do not apply are '', zero or 0. */
export interface HoldAnswer {
  readonly type: number;
  readonly holdId: string;
  readonly leaseExpiry: Hlc;
  readonly effectiveFloor: Hlc;
  readonly liveHolds: number;
}

/**
 * Which key spaces hold keys: for browsing, not for programs. Reads the heads by seeking past each space, so its cost grows with the
 * number of spaces on the page, not with the number of keys. Each partition as it is when visited.
 */
export interface KeySpaceQuery {
  /** Spaces whose name begins with this text; '' = all. */
  readonly prefix: string;
  /** Only names after this one (ordinal); undefined: from the first. The last name of a page continues the listing. */
  readonly after: string | undefined;
  /** Spaces per page, 1 to 1,000; what lies outside is clamped. */
  readonly limit: number;
  readonly durability: Durability;
}

export interface KeySpaceRow {
  readonly keySpace: string;
  /** Keys stored in it, dead ones included (their counters stay); at least so many if `more`. Keys first written a moment ago may not count yet. */
  readonly keys: number;
  readonly more: boolean;
}

/** `type`: a `ResponseType`: Get, InvalidInput or MustRetry (then without rows). */
export interface KeySpaceAnswer {
  readonly type: number;
  /** Ordinal order. A space whose keys are all dead is listed too. */
  readonly rows: readonly KeySpaceRow[];
  readonly hasMore: boolean;
}
