import { assert, type LogIndex, type Term } from '@kahuna/base';
import { entryBytes, NO_ENTRIES } from './message.ts';
import type { Entry } from './types.ts';

/** Compaction gives array slots back once this many lie unused at the front; below it, moving the rest costs more than it frees. */
const RECLAIM_SLOTS = 256;

/**
 * The part of one group's log that is in memory: entries `startIndex + 1 … lastIndex`, an array with an offset.
 *
 *     1 … startIndex | startIndex+1 … durableIndex | … unsavedFrom-1 | unsavedFrom … lastIndex
 *       compacted      known to be on disk           handed to disk    not handed out yet
 *
 * Invariant (asserted here and after every step of raft.sim.test.ts): startIndex <= durableIndex < unsavedFrom <= lastIndex + 1, indexes
 * are contiguous and terms never fall along the log.
 */
export class RaftLog {
  startIndex: LogIndex;
  startTerm: Term;
  /** The disk holds this log up to here, as far as completions told. */
  durableIndex: LogIndex;
  /** First entry that no Ready has carried yet. */
  unsavedFrom: LogIndex;
  dataBytes = 0;
  private slots: Entry[];
  /** Slots in front of the first entry: compacted, not reclaimed yet. */
  private head = 0;

  constructor(startIndex: LogIndex, startTerm: Term, entries: readonly Entry[]) {
    this.startIndex = startIndex;
    this.startTerm = startTerm;
    this.slots = [];
    for (const entry of entries) this.append(entry);
    this.durableIndex = this.lastIndex;
    this.unsavedFrom = this.lastIndex + 1;
  }

  get lastIndex(): LogIndex {
    return this.startIndex + this.slots.length - this.head;
  }

  get lastTerm(): Term {
    const length = this.slots.length;
    return length === this.head ? this.startTerm : (this.slots[length - 1] as Entry).term;
  }

  /** Term of the entry at `index`; undefined if it is compacted or beyond the end. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.startIndex) return this.startTerm;
    if (index < this.startIndex || index > this.lastIndex) return undefined;
    return this.at(index).term;
  }

  /** `index` must lie in the log. */
  at(index: LogIndex): Entry {
    return this.slots[this.head + index - this.startIndex - 1] as Entry;
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'the log has no gaps');
    assert(entry.term >= this.lastTerm, 'terms never fall along the log');
    this.slots.push(entry);
    this.dataBytes += entry.data.length;
  }

  /** Removes the entries from `index` on. What the disk still holds of them counts for nothing any more. */
  truncateFrom(index: LogIndex): void {
    assert(index > this.startIndex, 'compacted entries cannot be truncated');
    const keep = this.head + index - this.startIndex - 1;
    for (let i = keep; i < this.slots.length; i++) this.dataBytes -= (this.slots[i] as Entry).data.length;
    this.slots.length = keep;
    if (this.durableIndex >= index) this.durableIndex = index - 1;
    if (this.unsavedFrom > index) this.unsavedFrom = index;
  }

  /** Entries `from … to`, both inclusive, clipped to what the log holds. */
  slice(from: LogIndex, to: LogIndex): readonly Entry[] {
    const low = from > this.startIndex ? from : this.startIndex + 1;
    const high = to < this.lastIndex ? to : this.lastIndex;
    if (low > high) return NO_ENTRIES;
    const offset = this.head - this.startIndex - 1;
    return this.slots.slice(offset + low, offset + high + 1);
  }

  /** Last index of the longest run that begins at `from` and fits into `maxBytes`; at least one entry. `from` must lie in the log. */
  batchEnd(from: LogIndex, maxBytes: number): LogIndex {
    const last = this.lastIndex;
    let bytes = entryBytes(this.at(from));
    let end = from;
    while (end < last) {
      bytes += entryBytes(this.at(end + 1));
      if (bytes > maxBytes) break;
      end++;
    }
    return end;
  }

  bytesBetween(from: LogIndex, to: LogIndex): number {
    let bytes = 0;
    for (let index = from; index <= to; index++) bytes += entryBytes(this.at(index));
    return bytes;
  }

  /**
   * The disk holds the log up to (`index`, `term`). Ignored when the write that completed was for an entry truncated since: then
   * another one stands there, or the same one came back and no Ready has carried it again. (A third case, come back and carried
   * again, is believed too early. A leader cannot be misled by it: it commits only behind an entry of its own term, and writes
   * complete in order.)
   */
  persisted(index: LogIndex, term: Term): boolean {
    if (index <= this.durableIndex || index >= this.unsavedFrom || this.termAt(index) !== term) return false;
    this.durableIndex = index;
    return true;
  }

  /**
   * Where a peer that refused may agree, given the largest index it holds whose term it thinks possible: the largest index of ours
   * at or below it with a term at most that one. Everything between cannot match, because terms never fall along a log (this skips
   * a whole term per round, Raft §5.3). Undefined if that lies below the compacted start.
   */
  agreementAtMost(index: LogIndex, term: Term): LogIndex | undefined {
    let candidate = index < this.lastIndex ? index : this.lastIndex;
    while (candidate > this.startIndex && this.at(candidate).term > term) candidate--;
    if (candidate < this.startIndex) return undefined;
    return candidate === this.startIndex && this.startTerm > term ? undefined : candidate;
  }

  /** Forgets entries up to `index`, whose effects are durable elsewhere; its term stays known. */
  compact(index: LogIndex): void {
    assert(index >= this.startIndex && index <= this.lastIndex, 'compaction stays inside the log');
    if (index === this.startIndex) return;
    const term = this.at(index).term;
    const end = this.head + index - this.startIndex;
    for (let i = this.head; i < end; i++) this.dataBytes -= (this.slots[i] as Entry).data.length;
    this.startIndex = index;
    this.startTerm = term;
    this.head = end;
    this.reclaim();
    if (this.durableIndex < index) this.durableIndex = index;
    if (this.unsavedFrom <= index) this.unsavedFrom = index + 1;
  }

  /** Drops everything; the log goes on behind (`index`, `term`). */
  reset(index: LogIndex, term: Term): void {
    this.slots = [];
    this.head = 0;
    this.dataBytes = 0;
    this.startIndex = index;
    this.startTerm = term;
    this.durableIndex = index;
    this.unsavedFrom = index + 1;
  }

  private reclaim(): void {
    if (this.head === this.slots.length) {
      this.slots = [];
      this.head = 0;
    } else if (this.head >= RECLAIM_SLOTS && this.head * 2 >= this.slots.length) {
      this.slots = this.slots.slice(this.head);
      this.head = 0;
    } else {
      // The slots stay, what they held must not: a compacted entry may keep a whole frame alive.
      this.slots.fill(TOMBSTONE, 0, this.head);
    }
  }
}

/** Stands where a compacted entry stood; never read. */
const TOMBSTONE: Entry = Object.freeze({ index: 0, term: 0, kind: 0, data: new Uint8Array(0) });
