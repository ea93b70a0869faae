import { compareHlc, type Hlc } from '@kahuna/base';

/**
 * Which version of a record a reader at some time sees: the rules of keyvalues §6.5, §8.3 and §9 as pure functions.
 *
 *     commit    1000        2000               3000
 *     version    r0 ───────▶ r1 ──╳ deleted     r2 ───▶            as of 1500: r0   2600: nothing (r1 was deleted)   3000: r2
 *                                2500
 *
 * Commits grow strictly with revisions, so the version that decides a read at T is the newest one committed at or before T, and
 * what happened to *that* version by T (deleted, expired, overwritten without being archived) is the whole answer: it never
 * falls through to an older one.
 */
export interface VersionTimes {
  readonly revision: number;
  readonly commit: Hlc;
  /** Last recorded expiry: an extend replaces it. Zero = never. */
  readonly expires: Hlc;
  /** Tombstone; zero = not deleted. */
  readonly deletedAt: Hlc;
  /** False when written with NOREV: once superseded, only a marker without the value remains. */
  readonly archived: boolean;
}

/** Expired iff `expires.L < now.L`: in the very millisecond of the expiry the version is still live. */
export function isExpiredAt(expires: Hlc, nowMs: number): boolean {
  return expires.l !== 0 && expires.l < nowMs;
}

export function isDeleted(version: VersionTimes): boolean {
  return version.deletedAt.l !== 0;
}

/** Whether the newest version of a record exists for latest reads and conditions at `nowMs`. */
export function isLiveAt(head: VersionTimes, nowMs: number): boolean {
  return head.deletedAt.l === 0 && !isExpiredAt(head.expires, nowMs);
}

/** Milliseconds at which the head stopped being live, as far as `nowMs` can know; undefined while it lives. */
export function diedAtMs(head: VersionTimes, nowMs: number): number | undefined {
  const deleted = isDeleted(head) ? head.deletedAt.l : undefined;
  const expired = isExpiredAt(head.expires, nowMs) ? head.expires.l : undefined;
  return deleted !== undefined && expired !== undefined ? Math.min(deleted, expired) : (deleted ?? expired);
}

/** What `version`, the newest one committed at or before `t`, shows at `t`. `superseded`: a later version exists now. */
export function isVisibleAsOf(version: VersionTimes, t: Hlc, superseded: boolean): boolean {
  if (isDeleted(version) && compareHlc(version.deletedAt, t) <= 0) return false;
  if (isExpiredAt(version.expires, t.l)) return false;
  return version.archived || !superseded;
}

/** Position of the newest version committed at or before `t` in a list that ascends by revision; -1 if all are later. */
export function newestAtOrBelow(versions: readonly VersionTimes[], t: Hlc): number {
  let low = 0;
  let high = versions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareHlc((versions[middle] as VersionTimes).commit, t) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Answer of an as-of read before values come into play (keyvalues §8.1). */
export type AsOf<V> =
  | { readonly kind: 'visible'; readonly version: V }
  /** Deleted, expired or overwritten without archive at that time. */
  | { readonly kind: 'absent'; readonly version: V }
  | { readonly kind: 'never-written' }
  /** The version needed is no longer kept. */
  | { readonly kind: 'pruned' };

/**
 * As-of read over the versions still kept, ascending by revision, the head last. Without a version at or before `t` the record
 * was unwritten then, unless the oldest kept is not revision 0: then what `t` needs has been pruned.
 */
export function readAsOf<V extends VersionTimes>(kept: readonly V[], t: Hlc): AsOf<V> {
  const at = newestAtOrBelow(kept, t);
  const version = kept[at];
  if (version !== undefined) {
    return { kind: isVisibleAsOf(version, t, at < kept.length - 1) ? 'visible' : 'absent', version };
  }
  const oldest = kept[0];
  return oldest === undefined || oldest.revision === 0 ? { kind: 'never-written' } : { kind: 'pruned' };
}
