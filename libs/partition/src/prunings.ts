import type { RowBatch } from '@kahuna/base';
import type { PrunedKey, PruneHistory } from './history-commands.ts';
import type { FetchedRow, StoredKey } from './rows.ts';
import { writeHistoryKey } from './stored-keys.ts';

/**
 * Prunings that were applied and are not yet in the engine: their rows are still found there, and must not be seen. As everything that
 * memory knows ahead of the engine they go out with the next flush, in one batch with the pruned-history floor.
 */
export class Prunings {
  private waiting = new Map<string, PrunedKey>();
  private flushing = new Map<string, PrunedKey>();

  add(command: PruneHistory): void {
    for (const pruned of command.keys) {
      const before = this.waiting.get(pruned.key);
      this.waiting.set(pruned.key, before === undefined ? pruned : union(before, pruned));
    }
  }

  /** Revisions of the key below this are gone. */
  below(key: string): number {
    return Math.max(this.waiting.get(key)?.below ?? 0, this.flushing.get(key)?.below ?? 0);
  }

  /** The same for all keys that have any, as of now. */
  all(): ReadonlyMap<string, number> {
    if (this.waiting.size === 0 && this.flushing.size === 0) return NONE;
    const all = new Map<string, number>();
    for (const pruned of [...this.flushing.values(), ...this.waiting.values()]) all.set(pruned.key, this.below(pruned.key));
    return all;
  }

  takeFlush(bucket: number, into: RowBatch): void {
    this.flushing = this.waiting;
    this.waiting = new Map();
    for (const { key, from, below } of this.flushing.values()) {
      for (let revision = from; revision < below; revision++) {
        writeHistoryKey(into.key(), bucket, key, revision);
        into.deleted();
      }
    }
  }

  flushed(): void {
    this.flushing = new Map();
  }

  forget(): void {
    this.waiting = new Map();
    this.flushing = new Map();
  }
}

const NONE: ReadonlyMap<string, number> = new Map();

function union(a: PrunedKey, b: PrunedKey): PrunedKey {
  return { key: a.key, from: Math.min(a.from, b.from), below: Math.max(a.below, b.below) };
}

/** The rows as they will be once the pruning is in the engine. */
export function withoutPruned(
  rows: readonly FetchedRow[],
  below: number,
  revisionIn: (key: StoredKey) => number,
): readonly FetchedRow[] {
  if (below === 0) return rows;
  return rows.map(row => {
    const revision = revisionIn(row.key);
    return revision >= 0 && revision < below ? { key: row.key, value: undefined } : row;
  });
}
