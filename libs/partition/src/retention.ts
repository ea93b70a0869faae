import { ByteWriter, compareHlc, type Hlc } from '@kahuna/base';
import type { PrunedKey } from './history-commands.ts';
import { decodeStoredKey, Family, familyInterval, headKey, historyInterval, type Interval, revisionIn } from './stored-keys.ts';
import { decodePast, decodeVersion } from './version.ts';

/**
 * Which history may go (keyvalues §10.2). A version counts from when it was superseded: before that it is a head, and heads stay. What
 * is removed of a key is always its oldest part, so a missing row is older than everything kept.
 */
export interface RetentionLimits {
  /** Newest archived versions kept per key, the head among them if archived; 0 = no limit. */
  readonly count: number;
  /** Versions superseded longer ago than this go; 0 = none. Milliseconds. */
  readonly ageMs: number;
}

export interface StoredRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** The oldest part of a key's history that the limits give up. */
export interface Prunable {
  readonly key: string;
  readonly from: number;
  /** When revision `from + i` was superseded; ascending. */
  readonly ends: readonly Hlc[];
}

/** Where a partition's history rows lie, for a sweep. */
export function historyOf(bucket: number): Interval {
  return familyInterval(Family.History, bucket);
}

export function historyOfKey(bucket: number, key: string): Interval {
  return historyInterval(bucket, key);
}

export function headRowOf(bucket: number, key: string): Uint8Array {
  return headKey(new ByteWriter(64 + key.length * 3), bucket, key);
}

export function keyOfRow(row: StoredRow): string {
  return decodeStoredKey(row.key).key;
}

/** True if a sweep must look at the key closely. `rows`: its oldest ones; `whole`: all of them. */
export function mayBePrunable(rows: readonly StoredRow[], whole: boolean, limits: RetentionLimits, nowMs: number): boolean {
  const first = rows[0];
  if (first === undefined) return false;
  if (limits.ageMs > 0 && decodePast(first.value).end.l < nowMs - limits.ageMs) return true;
  if (limits.count === 0) return false;
  return !whole || rows.filter(row => decodePast(row.value).archived).length >= limits.count;
}

/** How many archived versions of the history the count limit keeps beside the head. */
export function keptBesideHead(limits: RetentionLimits, headRow: Uint8Array | undefined): number {
  const counted = headRow !== undefined && decodeVersion(headRow).archived ? 1 : 0;
  return Math.max(0, limits.count - counted);
}

/** Counts archived versions from the newest down; feed it pages of a reverse scan. */
export class KeepCounter {
  /** Revisions from this one on are kept; undefined while the limit was not reached. */
  keptFrom: number | undefined;
  private left: number;

  constructor(keep: number) {
    this.left = keep;
    this.keptFrom = keep === 0 ? Number.POSITIVE_INFINITY : undefined;
  }

  take(newestFirst: readonly StoredRow[]): void {
    for (const row of newestFirst) {
      if (this.left === 0) return;
      if (!decodePast(row.value).archived) continue;
      this.left--;
      if (this.left === 0) this.keptFrom = revisionIn(row.key);
    }
  }
}

/** `oldestFirst`: the key's history from its oldest row on; `keptFrom`: what the count limit keeps, 0 = everything. */
export function prunable(
  key: string,
  oldestFirst: readonly StoredRow[],
  keptFrom: number,
  limits: RetentionLimits,
  nowMs: number,
): Prunable {
  const ends: Hlc[] = [];
  let from = 0;
  for (const row of oldestFirst) {
    const revision = revisionIn(row.key);
    const { end } = decodePast(row.value);
    if (ends.length === 0) from = revision;
    const tooMany = revision < keptFrom;
    const tooOld = limits.ageMs > 0 && end.l < nowMs - limits.ageMs;
    if ((!tooMany && !tooOld) || revision !== from + ends.length) break;
    ends.push(end);
  }
  return { key, from, ends };
}

/** What may be removed of it under a ceiling: versions superseded at or before that time. undefined: nothing. */
export function clip(
  { key, from, ends }: Prunable,
  ceiling: Hlc,
): { readonly pruned: PrunedKey; readonly floor: Hlc } | undefined {
  let count = 0;
  while (count < ends.length && compareHlc(ends[count] as Hlc, ceiling) <= 0) count++;
  const floor = ends[count - 1];
  return floor === undefined ? undefined : { pruned: { key, from, below: from + count }, floor };
}
