import type { PartitionId } from '@kahuna/base';
import type { LogRecord, LogStart } from '@kahuna/node';
import type { Entry, HardState } from '@kahuna/raft';

/** Consecutive entries of one term whose current copy stands in one segment. */
interface Run {
  first: number;
  last: number;
  readonly term: number;
  readonly segment: number;
  bytes: number;
}

/** Where the log holds what it still needs of one group. Invariant: `runs` are sorted, disjoint, and above `start.index`. */
interface IndexedGroup {
  readonly replicaId: number;
  hardState: HardState | undefined;
  hardStateSegment: number;
  start: LogStart | undefined;
  startSegment: number;
  runs: Run[];
}

/** What a hard state and a start count for in {@link LogIndex.liveBytes}. */
const STATE_BYTES = 64;

/**
 * Which segments hold what is still needed. It follows the records in the order in which they stand in the log (by the rules of
 * `GroupFold`), at the moment a place is planned for them; what it says of a segment may be acted upon once that is durable.
 */
export class LogIndex {
  private readonly groups = new Map<PartitionId, IndexedGroup>();
  clockBoundMs = 0;
  private clockBoundSegment = 0;

  /** False: the record belongs to a membership that is over, and is void. */
  apply(record: LogRecord, segment: number, carried: boolean): boolean {
    let group = this.groups.get(record.partitionId);
    if (group !== undefined && record.replicaId < group.replicaId) return false;
    if (group === undefined || record.replicaId > group.replicaId) {
      const { partitionId, replicaId } = record;
      group = { replicaId, hardState: undefined, hardStateSegment: 0, start: undefined, startSegment: 0, runs: [] };
      this.groups.set(partitionId, group);
    }
    if (record.hardState !== undefined) {
      group.hardState = record.hardState;
      group.hardStateSegment = segment;
    }
    if (record.start !== undefined) applyStart(group, record.start, segment);
    if (record.entries.length > 0) applyEntries(group, record.entries, segment, carried);
    return true;
  }

  applyClockBound(ms: number, segment: number): void {
    if (ms < this.clockBoundMs) return;
    this.clockBoundMs = ms;
    this.clockBoundSegment = segment;
  }

  /** Bytes of `segment` that are still needed, about; 0 exactly when nothing is. */
  liveBytes(segment: number): number {
    let bytes = this.clockBoundMs > 0 && this.clockBoundSegment === segment ? STATE_BYTES : 0;
    for (const group of this.groups.values()) {
      if (group.hardState !== undefined && group.hardStateSegment === segment) bytes += STATE_BYTES;
      if (group.start !== undefined && group.startSegment === segment) bytes += STATE_BYTES;
      for (const run of group.runs) if (run.segment === segment) bytes += Math.max(1, run.bytes);
    }
    return bytes;
  }

  /** The clock bound, if `segment` holds its only copy. */
  clockBoundIn(segment: number): number | undefined {
    return this.clockBoundMs > 0 && this.clockBoundSegment === segment ? this.clockBoundMs : undefined;
  }

  /** Hard states and starts whose only copy stands in `segment`, as records to carry on. */
  statesIn(segment: number): LogRecord[] {
    const records: LogRecord[] = [];
    for (const [partitionId, group] of this.groups) {
      const hardState = group.hardStateSegment === segment ? group.hardState : undefined;
      const start = group.startSegment === segment && group.start !== undefined ? { ...group.start, reset: false } : undefined;
      if (hardState === undefined && start === undefined) continue;
      records.push({ partitionId, replicaId: group.replicaId, hardState, start, entries: [] });
    }
    return records;
  }

  /** The parts of a record read from `segment` that are still current and stand nowhere else. */
  currentEntries(record: LogRecord, segment: number): LogRecord[] {
    const group = this.groups.get(record.partitionId);
    if (group === undefined || group.replicaId !== record.replicaId) return [];
    const parts: Entry[][] = [];
    let part: Entry[] | undefined;
    for (const entry of record.entries) {
      const run = group.runs.find(({ first, last }) => first <= entry.index && entry.index <= last);
      if (run === undefined || run.segment !== segment || run.term !== entry.term) {
        part = undefined;
      } else if (part === undefined) {
        part = [entry];
        parts.push(part);
      } else {
        part.push(entry);
      }
    }
    const { partitionId, replicaId } = record;
    return parts.map(entries => ({ partitionId, replicaId, hardState: undefined, start: undefined, entries }));
  }
}

function applyStart(group: IndexedGroup, start: LogStart, segment: number): void {
  if (start.reset) group.runs = [];
  else if (group.start !== undefined && start.index < group.start.index) return;
  group.runs = withoutSpan(group.runs, 0, start.index);
  group.start = start;
  group.startSegment = segment;
}

function applyEntries(group: IndexedGroup, entries: readonly Entry[], segment: number, carried: boolean): void {
  const lowest = (group.start?.index ?? 0) + 1;
  const first = (entries[0] as Entry).index;
  const last = (entries[entries.length - 1] as Entry).index;
  const tail = group.runs[group.runs.length - 1];
  // The usual append lies behind everything; only a replaced tail and a carried record cut into what is there.
  if (tail !== undefined && first <= tail.last) {
    group.runs = withoutSpan(group.runs, first, carried ? last : Number.MAX_SAFE_INTEGER);
  }
  for (const entry of entries) if (entry.index >= lowest) extend(group.runs, entry, segment);
  if (carried) group.runs.sort((a, b) => a.first - b.first);
}

/** Adds one entry behind the last run, or to it. */
function extend(runs: Run[], entry: Entry, segment: number): void {
  const tail = runs[runs.length - 1];
  if (tail !== undefined && tail.segment === segment && tail.term === entry.term && tail.last + 1 === entry.index) {
    tail.last = entry.index;
    tail.bytes += entry.data.length;
  } else {
    runs.push({ first: entry.index, last: entry.index, term: entry.term, segment, bytes: entry.data.length });
  }
}

/** The runs less the entries from..to (inclusive); a run that is cut keeps its share of the bytes. */
function withoutSpan(runs: readonly Run[], from: number, to: number): Run[] {
  const kept: Run[] = [];
  for (const run of runs) {
    if (run.last < from || run.first > to) {
      kept.push(run);
      continue;
    }
    const perEntry = run.bytes / (run.last - run.first + 1);
    if (run.first < from) kept.push({ ...run, last: from - 1, bytes: perEntry * (from - run.first) });
    if (run.last > to) kept.push({ ...run, first: to + 1, bytes: perEntry * (run.last - to) });
  }
  return kept;
}
