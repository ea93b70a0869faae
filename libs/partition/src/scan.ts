import { assert, type ByteWriter, compareHlc, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import { compareOrdinal, keySpaceOf } from '@kahuna/range-router';
import { isLiveAt } from '@kahuna/txn';
import { asOfAnswer, expiryHiding, latestHit, result } from './evaluate.ts';
import { searchHistory } from './history-search.ts';
import { type Durability, type GetOperation, type OperationResult, ResponseType } from './operation.ts';
import { withoutPruned } from './prunings.ts';
import type { ScanRow } from './scan-operation.ts';
import {
  behindSpace,
  bucketInterval,
  compareBytes,
  decodeStoredKey,
  historyKey,
  type Interval,
  type KeyBound,
  prefixIntervals,
  revisionIn,
  spacesBeginningWith,
  successor,
} from './stored-keys.ts';
import { rowBytes, TopRows } from './top-rows.ts';
import type { FetchedRow, StoredKey } from './types.ts';
import { decodeVersion, ownBytes, type Version } from './version.ts';

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

/** Names of key spaces instead of keys: see {@link SpaceNames}. */
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
  /** What to fetch from the view; undefined: the scan is over. */
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
/** Keys whose history is searched in one round. */
const SEARCHES_PER_ROUND = 256;

interface Search {
  readonly key: string;
  readonly below: number;
  /** Place among the rows of the page, or -1 where order does not matter. */
  readonly slot: number;
  fetched: readonly FetchedRow[];
}

/** The engine's side of a scan, shared by both shapes: pages of heads, and searches for what heads are too new to tell. */
abstract class HeadScan implements PartitionScan {
  protected readonly bucket: number;
  protected readonly point: ReadPoint;
  protected readonly durability: Durability;
  protected readonly maxRows: number;
  private readonly writer: ByteWriter;
  /** Unflushed prunings: revisions of these keys below the number are gone, whatever the view still holds. */
  private readonly prunedBelow: ReadonlyMap<string, number>;
  private waiting: Search[] = [];
  private round: Search[] = [];
  position: string | undefined = undefined;
  looked = 0;
  bytes = 0;
  aborted = false;

  constructor(from: ScanSource, query: PartitionQuery) {
    this.bucket = from.bucket;
    this.point = from.point;
    this.writer = from.writer;
    this.prunedBelow = from.prunedBelow;
    this.durability = query.durability;
    this.maxRows = query.maxRows;
  }

  get hiddenUntilMs(): number {
    return this.point.hiddenUntilMs;
  }

  get heldBytes(): number {
    return this.bytes;
  }

  protected abstract nextInterval(): Interval | undefined;
  protected abstract pageDone(): void;
  abstract takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void;
  /** `row` undefined: nothing is visible. */
  protected abstract found(key: string, row: OperationResult | undefined, slot: number): void;
  abstract drain(): ScanRow[];

  need(): ScanNeed | undefined {
    if (this.aborted) return undefined;
    if (this.round.length > 0) return this.probes();
    const interval = this.nextInterval();
    return interval === undefined ? undefined : { kind: 'page', from: interval.from, to: interval.to };
  }

  protected get searching(): boolean {
    return this.round.length > 0;
  }

  protected lookAt(key: string, head: Version, slot: number): void {
    this.looked++;
    const deciding = this.point.decide(head);
    if (typeof deciding === 'number') this.search(key, deciding, slot);
    else this.found(key, deciding === undefined ? undefined : this.point.show(deciding, false, head.lastModified), slot);
  }

  protected search(key: string, below: number, slot: number): void {
    this.waiting.push({ key, below, slot, fetched: [] });
  }

  /** The page is looked at: its searches begin. */
  protected settlePage(): void {
    this.round = this.waiting.splice(0, SEARCHES_PER_ROUND);
    if (this.round.length === 0) this.pageDone();
  }

  private probes(): ScanNeed {
    const keys: StoredKey[] = [];
    const open: Search[] = [];
    for (const search of this.round) {
      const step = searchHistory(this.point.time, search.below, search.fetched, revisionIn);
      assert(step.kind === 'probe', 'a decided search has left the round');
      search.fetched = step.revisions.map(revision => {
        const key = historyKey(this.writer, this.bucket, search.key, revision);
        keys.push(key);
        return { key, value: undefined };
      });
      open.push(search);
    }
    this.round = open;
    return { kind: 'rows', keys };
  }

  takeRows(rows: readonly FetchedRow[]): void {
    let at = 0;
    const open: Search[] = [];
    for (const search of this.round) {
      const count = search.fetched.length;
      search.fetched = withoutPruned(rows.slice(at, at + count), this.prunedBelow.get(search.key) ?? 0, revisionIn);
      at += count;
      if (!this.decided(search)) open.push(search);
    }
    this.round = open;
    if (open.length === 0 && !this.aborted) this.settlePage();
  }

  private decided(search: Search): boolean {
    const step = searchHistory(this.point.time, search.below, search.fetched, revisionIn);
    switch (step.kind) {
      case 'probe':
        return false;
      case 'found':
        this.found(search.key, this.point.show(step.version, true, HLC_ZERO), search.slot);
        return true;
      case 'none':
        this.found(search.key, undefined, search.slot);
        return true;
      case 'pruned':
        this.found(search.key, PRUNED, search.slot);
        return true;
    }
  }
}

/** Stands where a record's history does not reach back: if it comes among the rows, the call is Aborted. */
export const PRUNED: OperationResult = Object.freeze(result(ResponseType.Aborted, 0));

export interface ScanSource {
  readonly bucket: number;
  readonly point: ReadPoint;
  readonly captured: readonly CapturedRow[];
  readonly prunedBelow: ReadonlyMap<string, number>;
  readonly writer: ByteWriter;
}

export function openHeadScan(source: ScanSource, query: PartitionQuery): PartitionScan {
  const { shape } = query;
  if (shape.kind === 'spaces') return new SpaceNames(source.bucket, shape, query, countBySpace(source.captured));
  return shape.kind === 'space' ? new SpaceScan(source, shape, query) : new PrefixScan(source, shape, query);
}

/** A scan of records that live in memory alone: decided whole when it begins. */
export class MemoryScan implements PartitionScan {
  readonly position = undefined;
  readonly looked: number;
  readonly aborted: boolean;
  readonly hiddenUntilMs: number;
  private rows: ScanRow[];

  constructor(point: ReadPoint, top: TopRows, looked: number) {
    this.looked = looked;
    this.rows = top.sorted();
    this.aborted = this.rows.some(row => row.result === PRUNED);
    this.hiddenUntilMs = point.hiddenUntilMs;
    this.bytes = top.bytes;
  }

  bytes: number;

  get heldBytes(): number {
    return this.bytes;
  }

  need(): undefined {
    return undefined;
  }

  takePage(): void {
    unexpected();
  }

  takeRows(): void {
    unexpected();
  }

  drain(): ScanRow[] {
    const { rows } = this;
    this.rows = [];
    this.bytes = 0;
    return rows;
  }
}

function unexpected(): never {
  assert(false, 'a scan of memory asks for nothing');
}

/** Keys of one space come in their order from the engine: memory's are merged in as the pages pass. */
class SpaceScan extends HeadScan {
  private interval: Interval | undefined;
  private readonly captured: readonly CapturedRow[];
  private capturedAt = 0;
  /** Rows of the page under way; undefined: not visible, or still searched for. */
  private slots: (ScanRow | undefined)[] = [];
  private reached: string | undefined;
  private rows: ScanRow[] = [];
  private emitted = 0;

  constructor(source: ScanSource, shape: SpaceShape, query: PartitionQuery) {
    super(source, query);
    this.interval = bucketInterval(this.bucket, shape.keySpace, shape.lower, shape.upper);
    this.captured = [...source.captured].sort((a, b) => compareOrdinal(a.key, b.key));
  }

  protected nextInterval(): Interval | undefined {
    return this.emitted >= this.maxRows ? undefined : this.interval;
  }

  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void {
    for (const row of rows) {
      const { key } = decodeStoredKey(row.key);
      if (!this.passCaptured(key)) this.lookAt(key, decodeVersion(row.value), this.slots.push(undefined) - 1);
      this.reached = key;
    }
    const last = rows.at(-1);
    if (more && last !== undefined && this.interval !== undefined) {
      this.interval = { from: successor(last.key), to: this.interval.to };
    } else {
      this.interval = undefined;
      this.passCaptured(undefined);
    }
    this.settlePage();
  }

  /** Takes memory's rows before `key` (undefined: all that are left) and the one of that key: then the engine's is out of date. */
  private passCaptured(key: string | undefined): boolean {
    while (this.capturedAt < this.captured.length) {
      const next = this.captured[this.capturedAt] as CapturedRow;
      if (key !== undefined && next.key > key) return false;
      this.capturedAt++;
      this.looked++;
      this.reached = next.key;
      const slot = this.slots.push(undefined) - 1;
      if (next.below >= 0) this.search(next.key, next.below, slot);
      else this.found(next.key, next.row, slot);
      if (next.key === key) return true;
    }
    return false;
  }

  protected found(key: string, row: OperationResult | undefined, slot: number): void {
    if (row !== undefined) this.slots[slot] = { key, durability: this.durability, result: row };
  }

  protected pageDone(): void {
    for (const row of this.slots) {
      if (row === undefined) continue;
      if (this.emitted === this.maxRows) break;
      if (row.result === PRUNED) {
        this.aborted = true;
        break;
      }
      this.emitted++;
      this.bytes += rowBytes(row);
      this.rows.push(row);
    }
    this.position = this.reached;
    this.slots = [];
  }

  drain(): ScanRow[] {
    const { rows } = this;
    this.rows = [];
    this.bytes = 0;
    return rows;
  }
}

/**
 * Keys of many spaces come space by space, which is not their order: the smallest rows are kept. No key of a space sorts before the
 * space's own name, so once enough rows are found the rest of a space, and at last all spaces, can be passed over.
 */
class PrefixScan extends HeadScan {
  private readonly intervals: Interval[];
  private readonly captured: ReadonlyMap<string, CapturedRow>;
  private readonly top: TopRows;
  private drained = false;

  constructor(source: ScanSource, shape: PrefixShape, query: PartitionQuery) {
    super(source, query);
    this.intervals = prefixIntervals(this.bucket, shape.prefix);
    this.top = new TopRows(query.maxRows);
    this.captured = new Map(source.captured.map(row => [row.key, row]));
    for (const row of source.captured) {
      this.looked++;
      if (row.below >= 0) this.search(row.key, row.below, -1);
      else this.found(row.key, row.row);
    }
    this.settlePage();
  }

  protected nextInterval(): Interval | undefined {
    return this.intervals[0];
  }

  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void {
    let passedSpace: string | undefined;
    for (const row of rows) {
      const { key } = decodeStoredKey(row.key);
      const space = keySpaceOf(key);
      if (space === passedSpace) continue;
      passedSpace = undefined;
      if (this.captured.has(key)) continue;
      if (this.top.takes(key)) this.lookAt(key, decodeVersion(row.value), -1);
      else passedSpace = space;
      if (passedSpace !== undefined && !this.top.takes(space)) {
        this.intervals.length = 0;
        break;
      }
    }
    this.advance(rows.at(-1)?.key, more, passedSpace);
    this.settlePage();
  }

  private advance(last: Uint8Array | undefined, more: boolean, passedSpace: string | undefined): void {
    const interval = this.intervals[0];
    if (interval === undefined) return;
    if (!more || last === undefined) this.intervals.shift();
    else {
      const from = passedSpace === undefined ? successor(last) : behindSpace(this.bucket, passedSpace);
      if (compareBytes(from, interval.to) < 0) this.intervals[0] = { from, to: interval.to };
      else this.intervals.shift();
    }
  }

  protected found(key: string, row: OperationResult | undefined): void {
    if (row === undefined) return;
    if (row !== PRUNED) row.value = ownBytes(row.value);
    this.top.add({ key, durability: this.durability, result: row });
  }

  override get heldBytes(): number {
    return this.top.bytes;
  }

  protected pageDone(): void {
    if (this.intervals.length > 0) return;
    this.bytes = this.top.bytes;
    if (this.top.rows.some(row => row.result === PRUNED)) this.aborted = true;
  }

  drain(): ScanRow[] {
    if (this.drained || this.intervals.length > 0 || this.searching) return [];
    this.drained = true;
    this.bytes = 0;
    return this.top.sorted();
  }
}

/**
 * The key spaces that hold keys, one row each: `key` is the name, `result.revision` how many keys were counted, `result.state` 1 if
 * there may be more. One page is read of each space, then the walk seeks past it, so its cost grows with the spaces alone. Not one
 * instant: it reads an engine that goes on, and a space counts what memory holds ahead of the engine only if the engine has none of it.
 */
export class SpaceNames implements PartitionScan {
  readonly position = undefined;
  readonly aborted = false;
  readonly hiddenUntilMs = 0;
  looked = 0;
  readonly bytes = 0;
  readonly heldBytes = 0;
  private readonly bucket: number;
  private readonly maxRows: number;
  private readonly durability: Durability;
  private interval: Interval | undefined;
  /** Keys of memory by space: those not met in the engine are added at the end. */
  private readonly inMemory: ReadonlyMap<string, number>;
  private readonly found = new Map<string, { keys: number; more: boolean }>();
  private drained = false;

  /** `bucket` -1: there is no engine to ask. */
  constructor(bucket: number, shape: SpacesShape, query: PartitionQuery, inMemory: ReadonlyMap<string, number>) {
    this.bucket = bucket;
    this.maxRows = query.maxRows;
    this.durability = query.durability;
    this.inMemory = inMemory;
    if (bucket < 0) return;
    const { from, to } = spacesBeginningWith(bucket, shape.prefix);
    const behind = shape.after === undefined ? from : behindSpace(bucket, shape.after);
    this.seek(compareBytes(behind, from) > 0 ? behind : from, to);
  }

  private seek(from: Uint8Array, to: Uint8Array): void {
    this.interval = compareBytes(from, to) < 0 ? { from, to } : undefined;
  }

  need(): ScanNeed | undefined {
    const { interval } = this;
    return interval === undefined ? undefined : { kind: 'page', from: interval.from, to: interval.to };
  }

  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void {
    const { to } = this.interval as Interval;
    let space = '';
    for (const row of rows) {
      space = keySpaceOf(decodeStoredKey(row.key).key);
      this.looked++;
      const entry = this.found.get(space);
      if (entry === undefined) this.found.set(space, { keys: 1, more: false });
      else entry.keys++;
    }
    this.interval = undefined;
    const last = this.found.get(space);
    if (!more || last === undefined) return;
    last.more = true;
    if (this.found.size < this.maxRows) this.seek(behindSpace(this.bucket, space), to);
  }

  takeRows(): void {
    unexpected();
  }

  drain(): ScanRow[] {
    if (this.drained || this.interval !== undefined) return [];
    this.drained = true;
    for (const [space, keys] of this.inMemory) if (!this.found.has(space)) this.found.set(space, { keys, more: false });
    const names = [...this.found.keys()].sort(compareOrdinal).slice(0, this.maxRows);
    return names.map(key => {
      const { keys, more } = this.found.get(key) as { keys: number; more: boolean };
      return { key, durability: this.durability, result: { ...result(ResponseType.Get, keys), state: more ? 1 : 0 } };
    });
  }
}

function countBySpace(rows: readonly CapturedRow[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of rows) {
    const space = keySpaceOf(key);
    counts.set(space, (counts.get(space) ?? 0) + 1);
  }
  return counts;
}
