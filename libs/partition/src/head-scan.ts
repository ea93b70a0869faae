import { assert, type ByteWriter, HLC_ZERO, ownBytes } from '@kahuna/base';
import { compareOrdinal, keySpaceOf } from '@kahuna/range-router';
import { searchHistory } from './history-search.ts';
import type { Durability, OperationResult } from './operation.ts';
import { withoutPruned } from './prunings.ts';
import type { FetchedRow, StoredKey } from './rows.ts';
import {
  type CapturedRow,
  type PartitionQuery,
  type PartitionScan,
  PRUNED,
  type PrefixShape,
  type ReadPoint,
  type ScanNeed,
  type SpaceShape,
} from './scan.ts';
import type { ScanRow } from './scan-operation.ts';
import { countBySpace, SpaceNames } from './space-names.ts';
import {
  behindSpace,
  bucketInterval,
  compareBytes,
  decodeStoredKey,
  historyKey,
  type Interval,
  prefixIntervals,
  revisionIn,
  successor,
} from './stored-keys.ts';
import { rowBytes, TopRows } from './top-rows.ts';
import { decodeVersion, type Version } from './version.ts';

/** What a scan begins with, taken in the same step as the view of the engine. */
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
  /** What the round has asked for: asking again must not take the question for an answer. */
  private asked: ScanNeed | undefined;
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
    if (this.round.length > 0) {
      this.asked ??= this.probes();
      return this.asked;
    }
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
    this.asked = undefined;
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
    if (row !== PRUNED) row.value = row.value && ownBytes(row.value);
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
