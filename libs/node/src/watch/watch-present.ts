import type { Hlc } from '@kahuna/base';
import {
  type Change,
  changeOf,
  compareBytes,
  comparePlaces,
  type PastVersion,
  type Place,
  placeAt,
  readHead,
  successor,
  type WatchShape,
  watchIntervals,
} from '@kahuna/partition';
import { isLiveAt } from '@kahuna/txn';
import { Expiries } from './watch-expiries.ts';
import { type FrozenState, headPages } from './watch-history.ts';

/** Rows are told in the order of their stored keys, up to `upTo`, as of `until`. */
interface Piece {
  readonly upTo: Uint8Array;
  readonly until: Hlc;
}

/**
 * The keys that exist in one partition, as sets. A frozen view of the engine pins its old files, so none may stay open for as long as a
 * reader likes to take: the state is told in pieces, as much as there is room for, each from a view of its own.
 *
 *     piece 1: keys up to f, as of t1 ─▶ piece 2: keys up to p, as of t2 ─▶ piece 3: the rest, as of t3 ─▶ changes from t1 on,
 *                                                                                                     without what is `covered`
 *
 * I1 Every key is told at most once: those that memory held ahead of the engine first, which is remembered, then by stored key.
 * I2 What the telling of a key showed already is `covered`: what happened to it up to the instant of its piece, whether or not the key
 *    existed then. Whatever came later is news: it lies behind the first piece.
 */
export class PresentState {
  private readonly bucket: number;
  private readonly shape: WatchShape;
  private readonly pieces: Piece[] = [];
  /** Keys told out of turn, as of when. */
  private readonly early = new Map<string, Hlc>();
  private first: Hlc | undefined;
  private last: Hlc | undefined;
  /** Stored key of the last row that was looked at. */
  private behind: Uint8Array | undefined;
  /** What will expire, of each key behind the instant of its piece. */
  readonly expiries = new Expiries<PastVersion>();

  constructor(bucket: number, shape: WatchShape) {
    this.bucket = bucket;
    this.shape = shape;
  }

  get hasBegun(): boolean {
    return this.first !== undefined;
  }

  /** What is news came later than this; only once it has begun. */
  get from(): Place {
    return placeAt(this.first as Hlc);
  }

  /** Behind this nothing is covered. */
  get to(): Place {
    return placeAt(this.last as Hlc);
  }

  /** Tells on as of another instant. False: there is more, and `deliver` or `goesOn`, which is asked now and then, has said that this is enough. */
  async tell(state: FrozenState, deliver: (change: Change) => boolean, goesOn: () => boolean): Promise<boolean> {
    const { until } = state;
    this.first ??= until;
    this.last = until;
    const captured = new Map(state.captured.map(({ key, versions }) => [key, versions[0]]));
    for (const [key, head] of captured) {
      if (!this.isToCome(key)) continue;
      this.early.set(key, until);
      if (head !== undefined && !this.show(key, head, until, deliver)) return false;
    }
    for (const { from, to } of this.intervals()) {
      const begin = this.behind === undefined || compareBytes(this.behind, from) < 0 ? from : successor(this.behind);
      if (compareBytes(begin, to) >= 0) continue;
      for await (const page of headPages(state.view, { from: begin, to })) {
        for (const row of page) {
          const { key, version } = readHead(row);
          this.behind = row.key;
          if (this.early.has(key) || this.show(key, version, until, deliver)) continue;
          this.pieces.push({ upTo: row.key, until });
          return false;
        }
        if (!goesOn()) return false;
      }
    }
    return true;
  }

  private show(key: string, head: PastVersion, until: Hlc, deliver: (change: Change) => boolean): boolean {
    if (!isLiveAt(head, until.l)) return true;
    this.expiries.track(key, head);
    return deliver(changeOf('set', key, head, head.lastModified));
  }

  /** Neither told nor passed over. */
  private isToCome(key: string): boolean {
    if (this.early.has(key)) return false;
    return this.behind === undefined || compareBytes(this.storedKey(key), this.behind) > 0;
  }

  /** In the order of stored keys; they do not overlap. */
  private intervals() {
    return [...watchIntervals(this.bucket, this.shape)].sort((a, b) => compareBytes(a.from, b.from));
  }

  private storedKey(key: string): Uint8Array {
    const [interval] = watchIntervals(this.bucket, { kind: 'key', key });
    return interval?.from as Uint8Array;
  }

  /** The change happened before its key was told. */
  covers({ key, place }: Change): boolean {
    return comparePlaces(place, placeAt(this.early.get(key) ?? this.toldAt(this.storedKey(key)))) <= 0;
  }

  /** When it was the turn of a row: the first piece that goes so far, or the last of all, which has no end. */
  private toldAt(row: Uint8Array): Hlc {
    let low = 0;
    let high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareBytes((this.pieces[middle] as Piece).upTo, row) < 0) low = middle + 1;
      else high = middle;
    }
    return this.pieces[low]?.until ?? (this.last as Hlc);
  }
}
