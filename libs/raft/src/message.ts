import type { LogIndex, ReplicaId, Term } from '@kahuna/base';
import type { Entry, Message, MessageType } from './types.ts';

export const NO_ENTRIES: readonly Entry[] = Object.freeze([]);
export const NO_DATA = new Uint8Array(0);

/**
 * What an entry counts for besides its data, bytes, wherever bytes are bounded: without it a flood of empty entries would pass
 * every bound.
 */
export const ENTRY_OVERHEAD_BYTES = 16;

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

/** The only place that builds a {@link Message}: always the same fields in the same order, so that every message has one shape. */
export function makeMessage(
  type: MessageType,
  from: ReplicaId,
  to: ReplicaId,
  term: Term,
  index: LogIndex,
  logTerm: Term,
  commit: LogIndex,
  entries: readonly Entry[],
  reject: boolean,
  force: boolean,
  context: number,
): Message {
  return { type, from, to, term, index, logTerm, commit, entries, reject, force, context };
}
