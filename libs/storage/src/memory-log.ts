import type { PartitionId } from '@kahuna/base';
import type { LogRecord, LogStore, RecoveredLog } from '@kahuna/node';
import type { Entry } from '@kahuna/raft';
import { DeferredQueue } from './deferred-queue.ts';
import { GroupFold } from './group-fold.ts';

/** What a {@link MemoryLog} keeps beyond one opening, so that a test can stop and restart a node on it. */
export interface MemoryLogState {
  readonly fold: GroupFold;
  clockBoundMs: number;
}

export function emptyMemoryLogState(): MemoryLogState {
  return { fold: new GroupFold(), clockBoundMs: 0 };
}

/**
 * The log of a node that keeps nothing: what is appended is gone with the process (operations §8). Without `state` nothing
 * is retained at all, because nobody could read it again; with `state` another opening recovers it.
 */
export function openMemoryLog(state?: MemoryLogState): LogStore {
  return new MemoryLog(state);
}

class MemoryLog implements LogStore {
  private readonly state: MemoryLogState | undefined;
  private readonly queue = new DeferredQueue();
  private waiting = 0;
  private closed = false;

  constructor(state: MemoryLogState | undefined) {
    this.state = state;
  }

  get pending(): number {
    return this.waiting;
  }

  recover(done: (error: Error | undefined, log: RecoveredLog | undefined) => void): void {
    const log = { groups: this.state?.fold.groups() ?? [], clockBoundMs: this.state?.clockBoundMs ?? 0 };
    this.queue.push(() => done(undefined, log));
  }

  append(records: readonly LogRecord[], clockBoundMs: number | undefined, done: (error: Error | undefined) => void): void {
    if (this.closed) {
      this.queue.push(() => done(new Error('the log is closed')));
      return;
    }
    this.waiting += records.length;
    if (this.state !== undefined) retain(this.state, records, clockBoundMs);
    this.queue.push(() => {
      this.waiting -= records.length;
      done(undefined);
    });
  }

  release(_durable: ReadonlyMap<PartitionId, number>): void {
    // Nothing to give back: the fold drops entries when their group's start passes them.
  }

  close(done: (error: Error | undefined) => void): void {
    this.closed = true;
    this.queue.push(() => done(undefined));
  }
}

function retain(state: MemoryLogState, records: readonly LogRecord[], clockBoundMs: number | undefined): void {
  for (const record of records) state.fold.apply({ ...record, entries: record.entries.map(owned) }, false);
  if (clockBoundMs !== undefined && clockBoundMs > state.clockBoundMs) state.clockBoundMs = clockBoundMs;
}

/** Entry data may view a network frame: keep the bytes, not the frame. */
function owned(entry: Entry): Entry {
  return { ...entry, data: new Uint8Array(entry.data) };
}
