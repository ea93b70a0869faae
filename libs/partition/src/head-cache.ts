import { assert, HLC_ZERO, type Hlc } from '@kahuna/base';
import type { StoredKey } from './rows.ts';
import { ValueSlabs } from './value-slabs.ts';
import type { Version } from './version.ts';

/** Whoever holds records; told when one of its own has to go. */
export interface RecordOwner {
  /** Last word on an eviction: false keeps the record (it is put back as if it had just been used). */
  mayEvict(record: CachedRecord, nowMs: number): boolean;
  evicted(record: CachedRecord): void;
}

/** Something that a {@link HeadCache} counts and may evict: a key, a lock, a sequence. */
export class CachedRecord {
  readonly key: string;
  readonly owner: RecordOwner;

  // Kept by HeadCache, but for `used`, which its owner sets.
  bytes = 0;
  used = false;
  linked = false;
  next: CachedRecord | undefined = undefined;
  previous: CachedRecord | undefined = undefined;

  constructor(key: string, owner: RecordOwner) {
    this.key = key;
    this.owner = owner;
  }
}

/** What memory knows of one key of one durability. */
export class KeyRecord extends CachedRecord {
  /** The head; undefined: never written (or not loaded yet, see `asked`). */
  current: Version | undefined = undefined;
  /**
   * Set while the head row is being read from the engine: the very object that was asked for. A row that arrives under another
   * one belongs to an earlier question and may be older than what was written, flushed and evicted since.
   */
  asked: StoredKey | undefined = undefined;
  /** Changed since the last flush was taken. */
  dirty = false;
  /** The head that a flush under way is writing. */
  flushing: Version | undefined = undefined;
  /** Needed by the entry that is applied next. */
  pinned = false;
  /** Last read or write; informative. */
  lastUsed: Hlc = HLC_ZERO;
}

/** Estimated cost of a record beside its value: objects, map entry, key text. */
const RECORD_BYTES = 320;
const LOOKS_PER_CALL = 256;

/**
 * Bounds the records of all partitions of a node by number and by bytes. Second chance (the "clock" of Corbató 1968) on a list
 * threaded through the records: a use only sets a flag, the list moves when something must go.
 * Invariants: `entries` and `bytes` count every record added and not removed; a record that is dirty, being flushed or pinned is
 * counted but not linked, so eviction never meets it. An eighth of both budgets stays for linked records whatever the others
 * take: else a flood of unflushed writes would evict each placeholder before its row arrives, and reads would never end.
 */
export class HeadCache {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** The values of records that are in the engine. */
  readonly values = new ValueSlabs();
  private readonly minLinked: number;
  private readonly minLinkedBytes: number;
  private linked = 0;
  private linkedBytes = 0;
  entries = 0;
  bytes = 0;
  private newest: CachedRecord | undefined = undefined;
  private oldest: CachedRecord | undefined = undefined;

  constructor(options: { readonly maxEntries: number; readonly maxBytes: number }) {
    assert(options.maxEntries > 0 && options.maxBytes > 0, 'a head cache has room');
    this.maxEntries = options.maxEntries;
    this.maxBytes = options.maxBytes;
    this.minLinked = Math.max(1, options.maxEntries >> 3);
    this.minLinkedBytes = options.maxBytes / 8;
  }

  /** Counts a new record. It is not evictable before {@link release}. */
  add(record: CachedRecord): void {
    this.entries++;
    record.bytes = RECORD_BYTES + record.key.length;
    this.bytes += record.bytes;
  }

  /** The value part of the record now takes this much. */
  resize(record: CachedRecord, valueBytes: number): void {
    this.grow(record, RECORD_BYTES + record.key.length + valueBytes - record.bytes);
  }

  /** The record takes so much more. */
  grow(record: CachedRecord, bytes: number): void {
    record.bytes += bytes;
    this.bytes += bytes;
    if (record.linked) this.linkedBytes += bytes;
  }

  /** May be evicted from now on. */
  release(record: CachedRecord): void {
    if (record.linked) return;
    record.linked = true;
    this.linked++;
    this.linkedBytes += record.bytes;
    record.previous = this.newest;
    record.next = undefined;
    if (this.newest === undefined) this.oldest = record;
    else this.newest.next = record;
    this.newest = record;
  }

  /** Must stay until it is released again. */
  hold(record: CachedRecord): void {
    if (!record.linked) return;
    record.linked = false;
    this.linked--;
    this.linkedBytes -= record.bytes;
    const { previous, next } = record;
    if (previous === undefined) this.oldest = next;
    else previous.next = next;
    if (next === undefined) this.newest = previous;
    else next.previous = previous;
    record.previous = undefined;
    record.next = undefined;
  }

  /** Forgets a record whose owner drops it. */
  remove(record: CachedRecord): void {
    this.hold(record);
    this.entries--;
    this.bytes -= record.bytes;
  }

  /**
   * Evicts until the bounds hold, nothing more may go, or enough was looked at for one call: a list full of used or refused records
   * must not stall the caller. The looks exceed what one call can add, so the cache catches up. No record is looked at twice and the
   * newest one not at all: what was used since the last call, or has just come, survives this one. `nowMs`: for owners that ask it.
   */
  shrink(nowMs: number): void {
    let looks = Math.min(this.linked - 1, LOOKS_PER_CALL + 2 * Math.max(0, this.entries - this.maxEntries));
    while (this.isOver() && looks-- > 0) {
      const record = this.oldest as CachedRecord;
      if (record.used || !record.owner.mayEvict(record, nowMs)) {
        record.used = false;
        this.hold(record);
        this.release(record);
      } else {
        this.remove(record);
        record.owner.evicted(record);
      }
    }
  }

  /** Far over budget, because what is held or refused cannot go: whoever can must refuse to add more. */
  get overloaded(): boolean {
    return this.entries > 2 * this.maxEntries || this.bytes > 2 * this.maxBytes;
  }

  private isOver(): boolean {
    if (this.linked === 0) return false;
    if (this.entries > this.maxEntries && this.linked > this.minLinked) return true;
    return this.bytes > this.maxBytes && this.linkedBytes > this.minLinkedBytes;
  }
}
