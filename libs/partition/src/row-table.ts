import { assert, ByteWriter, type RowBatch } from '@kahuna/base';
import { CachedRecord, type HeadCache, type RecordOwner } from './head-cache.ts';
import type { FetchedRow, StoredKey } from './rows.ts';
import { type NameFamily, nameIn, nameKey, writeNameKey } from './stored-keys.ts';

/** How one kind of record is kept. */
export interface RowFormat<S> {
  readonly family: NameFamily;
  write(writer: ByteWriter, state: S): void;
  /** Throws DecodeError. The state keeps no view into the row. */
  decode(row: Uint8Array): S;
  /** Estimated bytes in memory. */
  sizeOf(state: S): number;
}

/** What memory knows of one name. */
export class NamedRow<S> extends CachedRecord {
  /** undefined: there is no row (or it is not here yet, see `asked`). */
  state: S | undefined = undefined;
  /** The key object under which the row was asked for; one that comes under another is the answer to an earlier question. */
  asked: StoredKey | undefined = undefined;
  /** Changed since the last flush was taken. */
  dirty = false;
  /** Written by the flush under way. */
  flushing = false;
  /** Needed by the entry that is applied next. */
  pinned = false;
}

const SLAB_BYTES = 4096;

/**
 * Rows of one family of one partition in memory, in front of the engine, as heads are kept: what is not here is asked for, what
 * changed is written behind and stays until the engine has it, what is clean may be evicted.
 * Invariant (P4 of the machine): a dirty, flushing or pinned row is not evictable.
 */
export class RowTable<S> implements RecordOwner {
  readonly format: RowFormat<S>;
  readonly bucket: number;
  private readonly cache: HeadCache;
  private readonly rows = new Map<string, NamedRow<S>>();
  private pinned: NamedRow<S>[] = [];
  private dirty: NamedRow<S>[] = [];
  private flushing: NamedRow<S>[] = [];
  private writerIfAny: ByteWriter | undefined;

  constructor(format: RowFormat<S>, bucket: number, cache: HeadCache) {
    this.format = format;
    this.bucket = bucket;
    this.cache = cache;
  }

  /** The row if memory knows it, be it as a question. */
  get(name: string): NamedRow<S> | undefined {
    return this.rows.get(name);
  }

  /**
   * The row for a reader, who supplies it if it has to be asked for. Until then it is not evictable: reads of more names than the
   * cache has room for would evict each other's placeholders for ever.
   */
  look(name: string): NamedRow<S> {
    const row = this.rows.get(name) ?? this.ask(name);
    row.used = true;
    return row;
  }

  /** Holds the row for the next entry. Returns what must be fetched before that, if anything. */
  pin(name: string): StoredKey | undefined {
    const row = this.rows.get(name) ?? this.ask(name);
    if (!row.pinned) {
      this.cache.hold(row);
      row.pinned = true;
      this.pinned.push(row);
    }
    return row.asked;
  }

  /** The row of a command that is applied now. */
  protected pinnedRow(name: string): NamedRow<S> {
    const row = this.rows.get(name);
    assert(row?.pinned === true && row.asked === undefined, 'the rows of an entry are supplied before it is applied');
    return row as NamedRow<S>;
  }

  private ask(name: string): NamedRow<S> {
    const row = new NamedRow<S>(name, this);
    this.writerIfAny ??= new ByteWriter(SLAB_BYTES);
    row.asked = nameKey(this.writerIfAny, this.format.family, this.bucket, name);
    row.used = true;
    this.rows.set(name, row);
    this.cache.add(row);
    return row;
  }

  supply(fetched: FetchedRow): void {
    const row = this.rows.get(nameIn(fetched.key));
    if (row === undefined || row.asked !== fetched.key) return;
    row.asked = undefined;
    if (fetched.value !== undefined) {
      row.state = this.format.decode(fetched.value);
      this.cache.resize(row, this.format.sizeOf(row.state));
    }
    this.releaseIfIdle(row);
  }

  /** A command replaced the state, or changed it in place. The row is pinned, and stays held until it is flushed. */
  changed(row: NamedRow<S>, state: S): void {
    assert(row.pinned, 'rows change by commands, which pin them');
    row.state = state;
    this.cache.resize(row, this.format.sizeOf(state));
    if (row.dirty) return;
    row.dirty = true;
    this.dirty.push(row);
  }

  /** The entry is applied. */
  unpin(): void {
    if (this.pinned.length === 0) return;
    for (const row of this.pinned) {
      row.pinned = false;
      this.releaseIfIdle(row);
    }
    this.pinned = [];
  }

  private releaseIfIdle(row: NamedRow<S>): void {
    if (!row.dirty && !row.flushing && !row.pinned) this.cache.release(row);
  }

  get dirtyRows(): number {
    return this.dirty.length;
  }

  takeFlush(into: RowBatch): void {
    if (this.dirty.length === 0) return;
    for (const row of this.dirty) {
      writeNameKey(into.key(), this.format.family, this.bucket, row.key);
      this.format.write(into.value(), row.state as S);
      into.end();
      row.dirty = false;
      row.flushing = true;
    }
    this.flushing = this.dirty;
    this.dirty = [];
  }

  flushed(): void {
    const rows = this.flushing;
    this.flushing = [];
    for (const row of rows) {
      row.flushing = false;
      this.releaseIfIdle(row);
    }
  }

  /** What the engine may not have yet. */
  unflushed(): readonly NamedRow<S>[] {
    return [...this.dirty, ...this.flushing];
  }

  mayEvict(): boolean {
    return true;
  }

  evicted(row: CachedRecord): void {
    this.rows.delete(row.key);
  }

  forget(): void {
    for (const row of this.rows.values()) this.cache.remove(row);
    this.rows.clear();
    this.pinned = [];
    this.dirty = [];
    this.flushing = [];
  }

  /** For `checkInvariants` of the machine; throws AssertionError. */
  check(owns: (name: string) => boolean): void {
    const dirty = new Set(this.dirty);
    const flushing = new Set(this.flushing);
    for (const [name, row] of this.rows) {
      assert(row.key === name && owns(name), 'P2: a row belongs to the bucket');
      assert(row.asked === undefined || row.state === undefined, 'a placeholder has no state');
      assert(!(row.linked && (row.dirty || row.flushing || row.pinned)), 'P4: a row with unflushed state is not evictable');
      assert(row.dirty === dirty.has(row) && row.flushing === flushing.has(row), 'P4: the lists name exactly their rows');
    }
    for (const row of [...dirty, ...flushing]) assert(this.rows.get(row.key) === row, 'P4: an unflushed row is in memory');
  }
}
