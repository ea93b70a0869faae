import { keySpaceOf } from '@kahuna/range-router';
import type { KeyRecord } from './head-cache.ts';
import { covers, type ScanShape } from './scan.ts';

/** Records by key space, so that a read of one space does not pass over all others. In no order inside a space. */
export class SpaceIndex {
  private readonly spaces = new Map<string, Set<KeyRecord>>();

  add(record: KeyRecord): void {
    const name = keySpaceOf(record.key);
    const space = this.spaces.get(name);
    if (space === undefined) this.spaces.set(name, new Set([record]));
    else space.add(record);
  }

  remove(record: KeyRecord): void {
    const name = keySpaceOf(record.key);
    const space = this.spaces.get(name);
    space?.delete(record);
    if (space?.size === 0) this.spaces.delete(name);
  }

  clear(): void {
    this.spaces.clear();
  }

  /** Records that a scan of this shape covers. */
  *covered(shape: ScanShape): Iterable<KeyRecord> {
    const isCovered = covers(shape);
    for (const space of this.spacesOf(shape)) for (const record of space) if (isCovered(record.key)) yield record;
  }

  /** Names of the spaces that a listing covers, with the number of their keys. */
  counts(shape: ScanShape): Map<string, number> {
    const isCovered = covers(shape);
    const counts = new Map<string, number>();
    for (const [name, space] of this.spaces) if (isCovered(`${name}/`)) counts.set(name, space.size);
    return counts;
  }

  private *spacesOf(shape: ScanShape): Iterable<Set<KeyRecord>> {
    if (shape.kind === 'space') {
      const space = this.spaces.get(shape.keySpace);
      if (space !== undefined) yield space;
      return;
    }
    // Keys that begin with a prefix lie in spaces that begin with it, and in the one that it reaches into.
    const reached = keySpaceOf(shape.prefix);
    for (const [name, space] of this.spaces) if (name.startsWith(shape.prefix) || name === reached) yield space;
  }
}
