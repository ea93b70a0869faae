import { compareHlc, type Hlc } from '@kahuna/base';
import type { FetchedRow } from './rows.ts';
import { decodeVersion, type Version } from './version.ts';

/**
 * Finds the version that decides an as-of read among the history rows of one key in the engine. Commits grow with revisions, so it
 * is a search over revisions; each round probes several at once, because a round trip to the engine costs more than a row.
 * The search keeps no state between rounds: each round fetches the edges of its window again and the next one starts from them.
 */
export type SearchStep =
  /** Newest version at or below the time. */
  | { readonly kind: 'found'; readonly version: Version }
  /** The record was not yet written. */
  | { readonly kind: 'none' }
  | { readonly kind: 'pruned' }
  | { readonly kind: 'probe'; readonly revisions: readonly number[] };

/** Revisions probed inside a window per round. */
const PROBES = 4;

/**
 * `below`: revisions from this one on are known to be committed after `t`; all lower ones are rows in the engine, or pruned (a
 * missing row is older than everything kept, because pruning removes from the old end). `revisionOf`: of a history key, -1 for others.
 */
export function searchHistory(
  t: Hlc,
  below: number,
  fetched: readonly FetchedRow[],
  revisionOf: (key: Uint8Array) => number,
): SearchStep {
  let low = -1;
  let lowRow: Uint8Array | undefined;
  let high = below;
  for (const row of fetched) {
    const revision = revisionOf(row.key);
    if (revision < 0 || revision >= below) continue;
    if (row.value === undefined || compareHlc(decodeVersion(row.value).commit, t) <= 0) {
      if (revision > low) {
        low = revision;
        lowRow = row.value;
      }
    } else if (revision < high) {
      high = revision;
    }
  }
  if (low === high - 1) {
    if (low < 0) return { kind: 'none' };
    return lowRow === undefined ? { kind: 'pruned' } : { kind: 'found', version: decodeVersion(lowRow) };
  }
  return { kind: 'probe', revisions: probesBetween(low, high, below) };
}

/** The window's edges (as far as they are rows) and up to {@link PROBES} revisions strictly inside it. */
function probesBetween(low: number, high: number, below: number): number[] {
  const inside = high - low - 1;
  const count = Math.min(PROBES, inside);
  const revisions: number[] = low >= 0 ? [low] : [];
  for (let i = 1; i <= count; i++) revisions.push(low + Math.ceil((i * (inside + 1)) / (count + 1)));
  if (high < below) revisions.push(high);
  return revisions;
}
