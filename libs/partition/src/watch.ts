import { ByteWriter, compareHlc, HLC_MAX_COUNTER, HLC_ZERO, type Hlc } from '@kahuna/base';
import { compareOrdinal } from '@kahuna/range-router';
import { isLiveAt, type VersionTimes } from '@kahuna/txn';
import type { Lock } from './locks.ts';
import { covers, type PrefixShape, type SpaceShape } from './scan.ts';
import type { SequenceCommand, SequenceRecord } from './sequences.ts';
import {
  bucketInterval,
  decodeStoredKey,
  headKey,
  historyKey,
  type Interval,
  prefixIntervals,
  successor,
} from './stored-keys.ts';
import { decodeVersion } from './version.ts';

/**
 * What a watch of keys is about, and which changes a key has gone through (docs/decisions/0006-watch.md).
 *
 * Changes have places, in one order per partition: the stamp of the command that made them. An expiry has no command: its place is
 * behind every stamp of its millisecond, in which the version still lives (keyvalues §9), and among several of one millisecond the
 * keys decide.
 */

export type WatchShape = KeyShape | PrefixShape | SpaceShape;

/** One key. */
export interface KeyShape {
  readonly kind: 'key';
  readonly key: string;
}

export interface Place {
  readonly stamp: Hlc;
  /** Key of an expiry; '' for everything else. */
  readonly key: string;
}

export const FIRST_PLACE: Place = Object.freeze({ stamp: HLC_ZERO, key: '' });

export type ChangeKind = 'set' | 'delete' | 'extend' | 'expire';

export interface Change {
  readonly kind: ChangeKind;
  readonly key: string;
  readonly place: Place;
  readonly revision: number;
  /** Of a set. Null also where the history keeps none: see `valueKept`. */
  readonly value: Uint8Array | null;
  /** False: the version was written without archive and is superseded, so its value is gone. */
  readonly valueKept: boolean;
  /** Zero = never. */
  readonly expires: Hlc;
}

/** A version and its times at one instant; `Version` itself goes on changing. */
export interface PastVersion extends VersionTimes {
  readonly value: Uint8Array | null;
  readonly lastModified: Hlc;
}

/** Told what a partition applies, in order. It must not call back into the machine's apply. */
export interface ChangeObserver {
  /** A command stamped `stamp` had this effect on a key, whose newest version is `head` now. */
  changed(kind: 'set' | 'delete' | 'extend', key: string, head: PastVersion, stamp: Hlc): void;
  /** A command stamped `stamp` replaced the state of a lock. */
  lockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void;
  /** A command stamped `stamp` changed a sequence, whose record is now this one; it goes on changing. */
  sequenceChanged(command: SequenceCommand, record: SequenceRecord, stamp: Hlc): void;
  /** Everything stamped at or below has been told. */
  advanced(stamp: Hlc): void;
  /** Another state replaced this one: changes in between were not told. */
  replaced(): void;
}

/** Told of every lock and sequence of a replica in the step that changes it, whoever looks: what it does must cost next to nothing. */
export interface NameObserver {
  /** A command stamped `stamp` replaced the state of a lock. */
  lockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void;
  sequenceChanged(name: string): void;
}

/** A key that memory knows better than the engine: newest version first; older ones may be in the engine. */
export interface CapturedKey {
  readonly key: string;
  readonly versions: readonly PastVersion[];
}

export function comparePlaces(a: Place, b: Place): number {
  return compareHlc(a.stamp, b.stamp) || compareOrdinal(a.key, b.key);
}

export function placeAt(stamp: Hlc): Place {
  return { stamp, key: '' };
}

/** Where the expiry stands that ends a version. */
export function expiryPlace(key: string, expires: Hlc): Place {
  return { stamp: { n: 0, l: expires.l, c: HLC_MAX_COUNTER }, key };
}

export function expiryOf(key: string, version: PastVersion): Change {
  return {
    kind: 'expire',
    key,
    place: expiryPlace(key, version.expires),
    revision: version.revision,
    value: null,
    valueKept: true,
    expires: version.expires,
  };
}

export function changeOf(kind: 'set' | 'delete' | 'extend', key: string, version: PastVersion, stamp: Hlc): Change {
  const isSet = kind === 'set';
  return {
    kind,
    key,
    place: placeAt(stamp),
    revision: version.revision,
    value: isSet ? version.value : null,
    valueKept: true,
    expires: kind === 'delete' ? HLC_ZERO : version.expires,
  };
}

/** Whether a key is watched. */
export function watches(shape: WatchShape): (key: string) => boolean {
  if (shape.kind === 'key') return key => key === shape.key;
  return covers(shape);
}

/** Heads of the keys that are watched. */
export function watchIntervals(bucket: number, shape: WatchShape): readonly Interval[] {
  switch (shape.kind) {
    case 'key': {
      const from = headKey(new ByteWriter(64 + shape.key.length * 3), bucket, shape.key);
      return [{ from, to: successor(from) }];
    }
    case 'prefix':
      return prefixIntervals(bucket, shape.prefix);
    case 'space': {
      const interval = bucketInterval(bucket, shape.keySpace, shape.lower, shape.upper);
      return interval === undefined ? [] : [interval];
    }
  }
}

export function copyOf(version: PastVersion): PastVersion {
  const { revision, value, commit, expires, lastModified, deletedAt, archived } = version;
  return { revision, value, commit, expires, lastModified, deletedAt, archived };
}

/**
 * Changes of one key behind `after` and up to `until`, ascending. `versions`: newest first, down to the newest one committed at or
 * before `after`, whose end may lie behind it. Of several extensions of one version the last is known, and a set shows the expiry
 * that the version has now.
 */
export function changesOfKey(key: string, versions: readonly PastVersion[], after: Place, until: Hlc): Change[] {
  const changes: Change[] = [];
  for (let i = versions.length - 1; i >= 0; i--) {
    const version = versions[i] as PastVersion;
    const next = versions[i - 1];
    const { commit, lastModified, deletedAt } = version;
    const set = changeOf('set', key, version, commit);
    // Without an archive the value is there as long as the version is the newest.
    const kept = version.archived || version.value !== null || i === 0;
    changes.push(kept ? set : { ...set, value: null, valueKept: false });
    if (compareHlc(lastModified, commit) > 0) changes.push(changeOf('extend', key, version, lastModified));
    if (deletedAt.l !== 0) changes.push(changeOf('delete', key, version, deletedAt));
    else if (!isLiveAt(version, (next?.commit ?? until).l)) changes.push(expiryOf(key, version));
  }
  return changes.filter(change => comparePlaces(change.place, after) > 0 && compareHlc(change.place.stamp, until) <= 0);
}

/** History rows of a key below a revision. */
export function historyBelow(bucket: number, key: string, revision: number): Interval {
  const writer = new ByteWriter(64 + key.length * 3);
  return { from: historyKey(writer, bucket, key, 0), to: historyKey(writer, bucket, key, revision) };
}

/** Key and version of a head row. Throws `DecodeError`. */
export function readHead(row: { readonly key: Uint8Array; readonly value: Uint8Array }): {
  readonly key: string;
  readonly version: PastVersion;
} {
  return { key: decodeStoredKey(row.key).key, version: decodeVersion(row.value) };
}

/** Version of a history row. Throws `DecodeError`. */
export function readPast(row: { readonly value: Uint8Array }): PastVersion {
  return decodeVersion(row.value);
}

/**
 * The oldest of many changes that come in any order, within bounds: what does not fit is left to another round, which begins behind
 * the last one kept.
 */
export class OldestChanges {
  private readonly maxCount: number;
  private readonly maxBytes: number;
  private kept: Change[] = [];
  private bytes = 0;
  /** Nothing at or behind this is kept. */
  private limit: Place | undefined;

  constructor(maxCount: number, maxBytes: number) {
    this.maxCount = maxCount;
    this.maxBytes = maxBytes;
  }

  /** Something was left out: there are more changes behind the last one kept. */
  get truncated(): boolean {
    return this.limit !== undefined;
  }

  add(change: Change): void {
    if (this.limit !== undefined && comparePlaces(change.place, this.limit) >= 0) return;
    this.kept.push(change);
    this.bytes += changeBytes(change);
    if (this.kept.length > 2 * this.maxCount || this.bytes > 2 * this.maxBytes) this.cut();
  }

  /** What lies here or behind is for another round. */
  endBefore(place: Place): void {
    if (this.limit !== undefined && comparePlaces(place, this.limit) >= 0) return;
    this.limit = place;
    this.kept = this.kept.filter(change => comparePlaces(change.place, place) < 0);
    this.bytes = this.kept.reduce((sum, change) => sum + changeBytes(change), 0);
  }

  private cut(): void {
    this.kept.sort((a, b) => comparePlaces(a.place, b.place));
    let bytes = 0;
    let count = 0;
    for (const change of this.kept) {
      bytes += changeBytes(change);
      if (count > 0 && (count === this.maxCount || bytes > this.maxBytes)) break;
      count++;
    }
    const next = this.kept[count];
    if (next !== undefined) this.endBefore(next.place);
  }

  /** In order; nothing may be added any more. */
  sorted(): readonly Change[] {
    this.kept.sort((a, b) => comparePlaces(a.place, b.place));
    return this.kept;
  }
}

/** Estimated memory of a change. */
export function changeBytes(change: Change): number {
  return 200 + change.key.length + (change.value?.length ?? 0);
}
