import type { PartitionId } from '@kahuna/base';
import type { LogRecord, LogStart, RecoveredGroup } from '@kahuna/node';
import type { Entry, HardState } from '@kahuna/raft';

/** A group whose log holds no start record begins before its first entry, with nobody in it. */
export const EMPTY_START: LogStart = Object.freeze({
  index: 0,
  term: 0,
  configuration: Object.freeze({ voters: Object.freeze([]), outgoing: Object.freeze([]), learners: Object.freeze([]) }),
  reset: false,
});

export const EMPTY_HARD_STATE: HardState = Object.freeze({ term: 0, vote: 0 });

/**
 * What the records seen so far leave of one group. A map rather than an array, because the first records at hand may lie far behind a
 * start that is only read later. Invariant: every key lies in (start.index, last].
 */
interface FoldedGroup {
  replicaId: number;
  hardState: HardState;
  start: LogStart;
  last: number;
  readonly entries: Map<number, Entry>;
}

/** A record names an entry that can't follow what is there. */
export class LogGapError extends Error {
  override name = 'LogGapError';
}

/**
 * Replays log records into the groups they leave behind. The rules are those of the `LogStore` port: a lower replicaId than seen is
 * void, a higher one voids everything older, a later record replaces the entries from its first index on, a start drops what
 * lies at or below it (all of it when `reset`).
 *
 * A *carried* record repeats something that is still needed from a segment about to be reused; it was current when it was written, so it
 * fills holes and truncates nothing. Until it is read, the entries before those of younger segments are missing: holes
 * are therefore legal while folding, and an error only at the end.
 */
export class GroupFold {
  private readonly folded = new Map<PartitionId, FoldedGroup>();

  apply(record: LogRecord, carried: boolean): void {
    const group = this.group(record);
    if (group === undefined) return;
    if (record.hardState !== undefined) group.hardState = record.hardState;
    if (record.start !== undefined) applyStart(group, record.start);
    if (record.entries.length > 0) applyEntries(group, record.entries, carried);
  }

  /** The group of a record, emptied if the record belongs to a newer membership; undefined if it belongs to an older one. */
  private group(record: LogRecord): FoldedGroup | undefined {
    const present = this.folded.get(record.partitionId);
    if (present !== undefined && record.replicaId < present.replicaId) return undefined;
    if (present !== undefined && record.replicaId === present.replicaId) return present;
    const fresh: FoldedGroup = {
      replicaId: record.replicaId,
      hardState: EMPTY_HARD_STATE,
      start: EMPTY_START,
      last: 0,
      entries: new Map(),
    };
    this.folded.set(record.partitionId, fresh);
    return fresh;
  }

  /** Copies entries that view `buffer`, so that a whole segment is not kept alive by the few entries that survive of it. */
  detach(buffer: ArrayBufferLike): void {
    for (const group of this.folded.values()) {
      for (const [index, entry] of group.entries) {
        if (entry.data.buffer === buffer) group.entries.set(index, { ...entry, data: new Uint8Array(entry.data) });
      }
    }
  }

  /** Throws {@link LogGapError} if a group's entries are not contiguous from its start. */
  groups(): RecoveredGroup[] {
    const result: RecoveredGroup[] = [];
    for (const [partitionId, group] of this.folded) {
      const { replicaId, hardState, start } = group;
      result.push({
        partitionId,
        replicaId,
        hardState,
        start: { ...start, reset: false },
        entries: contiguous(partitionId, group),
      });
    }
    return result.sort((a, b) => a.partitionId - b.partitionId);
  }
}

function applyStart(group: FoldedGroup, start: LogStart): void {
  if (start.reset) {
    group.entries.clear();
    group.last = start.index;
  } else if (start.index < group.start.index) {
    return; // an older compaction than the one at hand
  } else {
    for (const index of group.entries.keys()) if (index <= start.index) group.entries.delete(index);
    group.last = Math.max(group.last, start.index);
  }
  group.start = start;
}

function applyEntries(group: FoldedGroup, entries: readonly Entry[], carried: boolean): void {
  const first = entries[0] as Entry;
  if (!carried) {
    for (let index = first.index; index <= group.last; index++) group.entries.delete(index);
    group.last = Math.max(first.index - 1, group.start.index);
  }
  for (const entry of entries) {
    if (entry.index <= group.start.index) continue;
    group.entries.set(entry.index, entry);
    group.last = Math.max(group.last, entry.index);
  }
}

function contiguous(partitionId: PartitionId, group: FoldedGroup): Entry[] {
  const result: Entry[] = [];
  for (let index = group.start.index + 1; index <= group.last; index++) {
    const entry = group.entries.get(index);
    if (entry === undefined) throw new LogGapError(`the log of partition ${partitionId} lacks entry ${index}`);
    result.push(entry);
  }
  return result;
}
