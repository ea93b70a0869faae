import type { LogIndex } from '@kahuna/base';

/** Key of a row in the engine. */
export type StoredKey = Uint8Array;

/** What must be fetched from the engine before a read can go on. */
export type ReadNeed =
  | { readonly kind: 'rows'; readonly keys: readonly StoredKey[] }
  /** The newest row at or below a point: scan [from, to) in reverse, one row. */
  | {
      readonly kind: 'scan';
      readonly from: Uint8Array;
      readonly to: Uint8Array;
      readonly reverse: boolean;
      readonly maxRows: number;
    };

/** A read that takes an entry in the log after all: its operation is to be proposed as a command. */
export interface EntryNeed {
  readonly kind: 'entry';
}

export interface FetchedRow {
  /**
   * For rows asked by key: the very object that was asked for. It tells the machine which question this answers; a head row that
   * arrives late, under the key object of an earlier question, is ignored because the head may have moved on since.
   */
  readonly key: Uint8Array;
  /** undefined: no such row (kind 'rows' only). */
  readonly value: Uint8Array | undefined;
}

/** A flush under way: what it brings to the engine is the state after this entry. */
export interface FlushBatch {
  readonly appliedIndex: LogIndex;
}
