import { assert } from '@kahuna/base';
import { compareOrdinal, keySpaceOf } from '@kahuna/range-router';
import { result } from './evaluate.ts';
import { type Durability, ResponseType } from './operation.ts';
import type { CapturedRow, PartitionQuery, PartitionScan, ScanNeed, SpacesShape } from './scan.ts';
import type { ScanRow } from './scan-operation.ts';
import { behindSpace, compareBytes, decodeStoredKey, type Interval, spacesBeginningWith } from './stored-keys.ts';

/**
 * The key spaces that hold keys, one row each: `key` is the name, `result.revision` how many keys were counted, `result.state` 1 if
 * there may be more. One page is read of each space, then the walk seeks past it, so its cost grows with the spaces alone. Not one
 * instant: it reads an engine that goes on, and a space counts what memory holds ahead of the engine only if the engine has none of it.
 */
export class SpaceNames implements PartitionScan {
  readonly position = undefined;
  readonly aborted = false;
  readonly hiddenUntilMs = 0;
  looked = 0;
  readonly bytes = 0;
  readonly heldBytes = 0;
  private readonly bucket: number;
  private readonly maxRows: number;
  private readonly durability: Durability;
  private interval: Interval | undefined;
  /** Keys of memory by space: those not met in the engine are added at the end. */
  private readonly inMemory: ReadonlyMap<string, number>;
  private readonly found = new Map<string, { keys: number; more: boolean }>();
  private drained = false;

  /** `bucket` -1: there is no engine to ask. */
  constructor(bucket: number, shape: SpacesShape, query: PartitionQuery, inMemory: ReadonlyMap<string, number>) {
    this.bucket = bucket;
    this.maxRows = query.maxRows;
    this.durability = query.durability;
    this.inMemory = inMemory;
    if (bucket < 0) return;
    const { from, to } = spacesBeginningWith(bucket, shape.prefix);
    const behind = shape.after === undefined ? from : behindSpace(bucket, shape.after);
    this.seek(compareBytes(behind, from) > 0 ? behind : from, to);
  }

  private seek(from: Uint8Array, to: Uint8Array): void {
    this.interval = compareBytes(from, to) < 0 ? { from, to } : undefined;
  }

  need(): ScanNeed | undefined {
    const { interval } = this;
    return interval === undefined ? undefined : { kind: 'page', from: interval.from, to: interval.to };
  }

  takePage(rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], more: boolean): void {
    const { to } = this.interval as Interval;
    let space = '';
    for (const row of rows) {
      space = keySpaceOf(decodeStoredKey(row.key).key);
      this.looked++;
      const entry = this.found.get(space);
      if (entry === undefined) this.found.set(space, { keys: 1, more: false });
      else entry.keys++;
    }
    this.interval = undefined;
    const last = this.found.get(space);
    if (!more || last === undefined) return;
    last.more = true;
    if (this.found.size < this.maxRows) this.seek(behindSpace(this.bucket, space), to);
  }

  takeRows(): void {
    assert(false, 'a listing asks for pages only');
  }

  drain(): ScanRow[] {
    if (this.drained || this.interval !== undefined) return [];
    this.drained = true;
    for (const [space, keys] of this.inMemory) if (!this.found.has(space)) this.found.set(space, { keys, more: false });
    const names = [...this.found.keys()].sort(compareOrdinal).slice(0, this.maxRows);
    return names.map(key => {
      const { keys, more } = this.found.get(key) as { keys: number; more: boolean };
      return { key, durability: this.durability, result: { ...result(ResponseType.Get, keys), state: more ? 1 : 0 } };
    });
  }
}

/** How many of the keys lie in each space. */
export function countBySpace(rows: readonly CapturedRow[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of rows) {
    const space = keySpaceOf(key);
    counts.set(space, (counts.get(space) ?? 0) + 1);
  }
  return counts;
}
