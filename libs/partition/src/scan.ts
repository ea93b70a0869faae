import { compareHlc, type Hlc, isZeroHlc } from '@kahuna/base';
import { keySpaceOf } from '@kahuna/range-router';
import { isLiveAt } from '@kahuna/txn';
import { asOfAnswer, expiryHiding, latestHit, result } from './evaluate.ts';
import { type Durability, type GetOperation, type OperationResult, ResponseType } from './operation.ts';
import type { FetchedRow, StoredKey } from './rows.ts';
import type { ScanRow } from './scan-operation.ts';
import type { KeyBound } from './stored-keys.ts';
import type { Version } from './version.ts';

/**
 * Reads of many keys in one partition, evaluated without I/O: the scan says what it must see of the engine next, its host fetches
 * that from a view frozen at the same instant, and rows come out as `OperationResult`s.
 *
 *     memory  ── capture: what is not yet in the engine ──┐
 *                                                         ├─▶ merge ─▶ visible at T? ─▶ rows
 *     engine  ── ordered pages of the heads family ───────┘        └─ head too new: search its history
 *
 * What memory holds ahead of the engine is decided when the scan begins, because records change under a scan that waits for the disk;
 * the rest comes from the frozen view. So the whole answer shows the partition at one instant, however many pages it takes.
 */
export interface PartitionQuery {
  readonly shape: ScanShape;
  /** Zero: the latest state. */
  readonly readTimestamp: Hlc;
  /** A walk that began without a read timestamp: rows tell what latest reads tell, as far as the head is what they show. */
  readonly plain: boolean;
  readonly durability: Durability;
  /** Rows wanted, at most. */
  readonly maxRows: number;
}

export type ScanShape = SpaceShape | PrefixShape | SpacesShape;

/** Keys of one bucket between two bounds. */
export interface SpaceShape {
  readonly kind: 'space';
  readonly keySpace: string;
  readonly lower: KeyBound | undefined;
  readonly upper: KeyBound | undefined;
}

/** Keys that begin with a text, of whatever key space. */
export interface PrefixShape {
  readonly kind: 'prefix';
  readonly prefix: string;
}

/** Names of key spaces instead of keys: see `space-names.ts`. */
export interface SpacesShape {
  readonly kind: 'spaces';
  readonly prefix: string;
  readonly after: string | undefined;
}

export type ScanNeed =
  /** The first rows of an interval, as many as the host likes to take at once, at least one. */
  | { readonly kind: 'page'; readonly from: Uint8Array; readonly to: Uint8Array }
  | { readonly kind: 'rows'; readonly keys: readonly StoredKey[] };

export interface PartitionScan {
  /** What to fetch from the view, the same until it is taken; undefined: the scan is over. */
  need(): ScanNeed | undefined;
  /** The page asked for; `more`: the interval holds rows behind it. */
  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void;
  /** The rows asked for, each under the very key object that was asked with. */
  takeRows(rows: readonly FetchedRow[]): void;
  /** Rows found since the last call, in ordinal order. A scan by prefix has none before its end. */
  drain(): ScanRow[];
  /** Everything up to this key was looked at; undefined while nothing was. Scans of a space only. */
  readonly position: string | undefined;
  /** Heads looked at so far. */
  readonly looked: number;
  /** Bytes of the rows that the next drain gives. */
  readonly bytes: number;
  /** Bytes of all rows that the scan holds at the moment. */
  readonly heldBytes: number;
  /** A record needs history that was pruned: the call is Aborted as a whole. */
  readonly aborted: boolean;
  /** Latest expiry (ms) that hid a row of a latest scan, 0 if none: the answer needs a quorum's clocks above it. */
  readonly hiddenUntilMs: number;
}

/** What memory knows of a key at the instant of the capture. `below` >= 0: its version is older than that revision, and in the engine. */
export interface CapturedRow {
  readonly key: string;
  readonly row: OperationResult | undefined;
  readonly below: number;
}

/** A moment at which heads are looked at. */
export class ReadPoint {
  readonly nowMs: number;
  readonly latest: boolean;
  private readonly plain: boolean;
  private readonly operation: GetOperation;
  hiddenUntilMs = 0;

  constructor(query: PartitionQuery, nowMs: number) {
    const { readTimestamp, durability } = query;
    this.nowMs = nowMs;
    this.latest = isZeroHlc(readTimestamp);
    this.plain = query.plain;
    this.operation = { kind: 'get', key: '', revision: -1, readTimestamp, durability };
  }

  get time(): Hlc {
    return this.operation.readTimestamp;
  }

  /** The row of a version that decides, undefined if it shows none. */
  show(version: Version, superseded: boolean, lastUsed: Hlc): OperationResult | undefined {
    if (this.latest) {
      if (isLiveAt(version, this.nowMs)) return latestHit(this.operation, version, lastUsed);
      this.hiddenUntilMs = Math.max(this.hiddenUntilMs, expiryHiding(version, this.nowMs));
      return undefined;
    }
    const answer = asOfAnswer(this.operation, version, superseded);
    if (answer.state === 0) return undefined;
    if (this.plain && !superseded && compareHlc(version.lastModified, this.time) <= 0) {
      answer.lastModified = version.lastModified;
      answer.lastUsed = lastUsed;
    }
    return answer;
  }

  /**
   * Newest version of the chain that decides; a revision if it is older than the chain; undefined if the key was not yet written.
   * `oldest`: versions below this revision do not count, though they may still be linked.
   */
  decide(head: Version, oldest = 0): Version | number | undefined {
    if (this.latest) return head;
    let version = head;
    while (compareHlc(version.commit, this.time) > 0) {
      const { older } = version;
      if (older === undefined || older.revision < oldest) return version.revision === 0 ? undefined : version.revision;
      version = older;
    }
    return version;
  }

  /** A record of memory, decided now as far as memory reaches. */
  capture(key: string, head: Version, lastUsed: Hlc, oldest = 0): CapturedRow {
    const deciding = this.decide(head, oldest);
    if (typeof deciding === 'number') return { key, row: undefined, below: deciding };
    const row = deciding === undefined ? undefined : this.show(deciding, deciding !== head, lastUsed);
    return { key, row, below: -1 };
  }
}

/** Whether a key belongs to what is asked for. */
export function covers(shape: ScanShape): (key: string) => boolean {
  if (shape.kind === 'prefix') return key => key.startsWith(shape.prefix);
  if (shape.kind === 'spaces') {
    const { prefix, after } = shape;
    return key => {
      const space = keySpaceOf(key);
      return space.startsWith(prefix) && (after === undefined || space > after);
    };
  }
  const { keySpace, lower, upper } = shape;
  const cut = keySpace.length;
  return key =>
    key.charCodeAt(cut) === SLASH &&
    key.startsWith(keySpace) &&
    key.indexOf('/', cut + 1) < 0 &&
    (lower === undefined || key > lower.key || (lower.inclusive && key === lower.key)) &&
    (upper === undefined || key < upper.key || (upper.inclusive && key === upper.key));
}

const SLASH = 0x2f;

/** Stands where a record's history does not reach back: if it comes among the rows, the call is Aborted. */
export const PRUNED: OperationResult = Object.freeze(result(ResponseType.Aborted, 0));
