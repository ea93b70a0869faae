import { assert, ByteWriter, compareHlc, ownBytes, type RowBatch } from '@kahuna/base';
import { type HeadCache, KeyRecord, type RecordOwner } from './head-cache.ts';
import type { FetchedRow } from './rows.ts';
import { decodeStoredKey, Family, headKey, writeHeadKey, writeHistoryKey } from './stored-keys.ts';
import { keptBytes } from './value-slabs.ts';
import { decodeVersion, type Version, writeHead, writePast } from './version.ts';

const SLAB_BYTES = 16 * 1024;

/**
 * The keys of one partition in memory, in front of the engine: what is not here is asked for, what changed is written behind and stays
 * until the engine has it, what is clean may be evicted. What {@link RowTable} is to locks and sequences, for keys with history.
 *
 *     engine ──supply──▶ clean ──changed──▶ dirty ──takeFlush──▶ flushing ──flushed──▶ clean ──evict──▶ engine
 *                                             ▲──────── changed ─────────┘
 *
 * Invariant (P4 of the machine): a dirty, flushing or pinned record is not evictable, and the versions it superseded since the last
 * flush hang on it.
 */
export class RecordTable implements RecordOwner {
  private readonly bucket: number;
  private readonly cache: HeadCache;
  private readonly records = new Map<string, KeyRecord>();
  /** Held for the entry that is applied next. */
  private pinned: KeyRecord[] = [];
  private dirty: KeyRecord[] = [];
  private flushing: readonly KeyRecord[] = [];
  private writerIfAny: ByteWriter | undefined;

  constructor(bucket: number, cache: HeadCache) {
    this.bucket = bucket;
    this.cache = cache;
  }

  /** The record if memory knows the key, be it as a question. */
  get(key: string): KeyRecord | undefined {
    return this.records.get(key);
  }

  /** A placeholder for a key that is not in memory. */
  ask(key: string): KeyRecord {
    const record = new KeyRecord(key, this);
    record.asked = headKey(this.writer(), this.bucket, key);
    record.used = true;
    this.records.set(key, record);
    this.cache.add(record);
    return record;
  }

  /** Takes a head row into the placeholder that asked for it; any other row is stale or not a head, and is ignored. */
  supply(row: FetchedRow): void {
    if (row.key[0] !== Family.Heads) return;
    const record = this.records.get(decodeStoredKey(row.key).key);
    if (record === undefined || record.asked !== row.key) return;
    record.asked = undefined;
    // Not before: reads of more keys than the cache holds would evict each other's placeholders for ever.
    this.releaseIfIdle(record);
    if (row.value === undefined) return;
    const head = decodeVersion(row.value);
    head.value = head.value && ownBytes(head.value);
    head.owned = true;
    record.current = head;
    record.lastUsed = head.lastModified;
    this.cache.resize(record, keptBytes(head.value));
  }

  /** Holds the record for the next entry. */
  pin(record: KeyRecord): void {
    if (record.pinned) return;
    this.cache.hold(record);
    record.pinned = true;
    this.pinned.push(record);
  }

  /** The entry is applied. */
  unpin(): void {
    if (this.pinned.length === 0) return;
    for (const record of this.pinned) {
      record.pinned = false;
      this.releaseIfIdle(record);
    }
    this.pinned = [];
  }

  /** A write changed the head in place, or put another one above `before`. */
  changed(record: KeyRecord, before: Version | undefined): void {
    if (!record.dirty) {
      record.dirty = true;
      this.dirty.push(record);
      this.cache.hold(record);
    }
    if (record.current !== before) this.cache.resize(record, keptBytes(record.current?.value));
  }

  get dirtyRecords(): number {
    return this.dirty.length;
  }

  takeFlush(into: RowBatch): void {
    const records = this.dirty;
    for (const record of records) this.writeRecord(record, into);
    this.dirty = [];
    this.flushing = records;
  }

  /** The head once, however often it was written, and every version it superseded since the last flush. */
  private writeRecord(record: KeyRecord, into: RowBatch): void {
    const head = record.current as Version;
    writeHeadKey(into.key(), this.bucket, record.key);
    writeHead(into.value(), head);
    into.end();
    let newer = head;
    for (let past = head.older; past !== undefined; past = past.older) {
      writeHistoryKey(into.key(), this.bucket, record.key, past.revision);
      writePast(into.value(), past, newer.commit);
      into.end();
      newer = past;
    }
    if (head.value !== null && !head.owned) head.value = this.cache.values.keep(head.value);
    head.owned = true;
    record.dirty = false;
    record.flushing = head;
  }

  flushed(): void {
    const records = this.flushing;
    this.flushing = [];
    for (const record of records) {
      if (record.flushing !== undefined) record.flushing.older = undefined;
      record.flushing = undefined;
      this.releaseIfIdle(record);
    }
  }

  /** Records that memory holds ahead of the engine. */
  *unflushed(covered: (key: string) => boolean): Iterable<KeyRecord> {
    for (const record of this.dirty) if (covered(record.key)) yield record;
    for (const record of this.flushing) if (!record.dirty && covered(record.key)) yield record;
  }

  private releaseIfIdle(record: KeyRecord): void {
    if (!record.dirty && record.flushing === undefined && !record.pinned) this.cache.release(record);
  }

  mayEvict(): boolean {
    return true;
  }

  evicted(record: KeyRecord): void {
    this.records.delete(record.key);
  }

  forget(): void {
    for (const record of this.records.values()) this.cache.remove(record);
    this.records.clear();
    this.pinned = [];
    this.dirty = [];
    this.flushing = [];
  }

  /** For the keys of rows. */
  writer(): ByteWriter {
    this.writerIfAny ??= new ByteWriter(SLAB_BYTES);
    return this.writerIfAny;
  }

  get all(): ReadonlyMap<string, KeyRecord> {
    return this.records;
  }

  /** For `checkInvariants` of the machine; throws AssertionError. */
  check(owns: (key: string) => boolean): void {
    const dirty = new Set(this.dirty);
    const flushing = new Set(this.flushing);
    for (const [key, record] of this.records) {
      assert(record.key === key, 'a record stands under its key');
      assert(owns(key), 'P2: a record belongs to the bucket');
      assert(record.asked === undefined || record.current === undefined, 'a placeholder has no head');
      const busy = record.dirty || record.flushing !== undefined || record.pinned;
      assert(!(busy && record.linked), 'P4: a record with unflushed state is not evictable');
      assert(record.dirty === dirty.has(record), 'P4: the dirty list names exactly the dirty records');
      assert((record.flushing !== undefined) === flushing.has(record), 'P4: the flush names exactly its records');
      checkChain(record);
    }
    for (const record of [...dirty, ...flushing])
      assert(this.records.get(record.key) === record, 'P4: an unflushed record is in memory');
  }
}

/** P3 within a record. */
function checkChain(record: KeyRecord): void {
  const head = record.current;
  assert(
    head?.older === undefined || record.dirty || record.flushing !== undefined,
    'P4: a clean record has no unflushed history',
  );
  for (let version = head; version !== undefined; version = version.older) {
    const { older } = version;
    assert(
      version.deletedAt.l === 0 || compareHlc(version.deletedAt, version.commit) > 0,
      'P3: a tombstone is later than its version',
    );
    if (older === undefined) break;
    assert(older.revision === version.revision - 1, 'revisions have no gap');
    assert(compareHlc(older.commit, version.commit) < 0, 'P3: commits grow with revisions');
    assert(
      older.deletedAt.l === 0 || compareHlc(older.deletedAt, version.commit) < 0,
      'P3: a version is later than the tombstone before it',
    );
    assert(older.archived || older.value === null, 'a superseded version that is not archived keeps no value');
  }
}
