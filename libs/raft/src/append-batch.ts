import type { LogIndex } from '@kahuna/base';
import type { RaftLog } from './log.ts';
import { NO_ENTRIES } from './message.ts';
import type { Entry } from './types.ts';

/**
 * The last slice of the log that a leader built: peers at the same position share one array, so the host may encode it once, and
 * the leader's own write usually carries the same.
 */
export class AppendBatch {
  from: LogIndex = 0;
  /** Last index in it. */
  to: LogIndex = 0;
  entries: readonly Entry[] = NO_ENTRIES;
  bytes = 0;

  /** Makes it begin at `from`, which must lie in the log, with as much as fits into `maxBytes`; what begins there already stays. */
  loadFrom(log: RaftLog, from: LogIndex, maxBytes: number): void {
    if (this.from === from && this.to <= log.lastIndex && this.entries.length > 0) return;
    const to = log.batchEnd(from, maxBytes);
    this.from = from;
    this.to = to;
    this.entries = log.slice(from, to);
    this.bytes = log.bytesBetween(from, to);
  }

  /** The entries `from … to`, if the batch is exactly those. */
  exactly(from: LogIndex, to: LogIndex): readonly Entry[] | undefined {
    return this.from === from && this.to === to ? this.entries : undefined;
  }

  /** Lets go of entries that perhaps nothing else holds any more. */
  clear(): void {
    this.entries = NO_ENTRIES;
    this.from = 0;
  }
}
