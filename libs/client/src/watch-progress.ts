import { compareHlc } from '@kahuna/base';
import { decodePosition, encodePosition, type WatchPlace, type WatchPosition, type WatchTarget } from '@kahuna/wire';
import { InvalidInputError } from './errors.ts';
import type { AnyChange } from './watch-told.ts';

/** How far the loop of a watch was told. */
export class Progress {
  private readonly target: WatchTarget;
  /** As a server or the caller said it last. */
  private said: string | undefined;
  /** What was told since, the last of each partition. */
  private readonly since = new Map<number, AnyChange>();
  private readonly isHistory: boolean;
  /** The last that was told of a history before there was a position. */
  private unplaced: AnyChange | undefined;

  /**
   * `isHistory`: the watch begins with the history of a key, of which much may be told before the first position. Throws an
   * {@link InvalidInputError} for what is no position of this target.
   */
  constructor(target: WatchTarget, after: string | undefined, isHistory = false) {
    this.target = target;
    this.isHistory = isHistory;
    this.said = after;
    if (after !== undefined) this.read(after);
  }

  private read(position: string): WatchPosition {
    try {
      return decodePosition(this.target, position);
    } catch (error) {
      throw new InvalidInputError(`not a position of this watch: ${String(error)}`, { cause: error });
    }
  }

  /** Present state that comes before the first position can only be told anew. */
  told(change: AnyChange): void {
    if (this.said === undefined && this.isHistory) this.unplaced = change;
    if (this.said === undefined || ('initial' in change && change.initial)) return;
    this.since.set(change.partition, change);
  }

  /** The loop was given this by an attempt that was lost before its first position: the next one tells the history from its beginning. */
  wasTold(change: AnyChange): boolean {
    return this.unplaced !== undefined && comparePlaces(placeOf(change), placeOf(this.unplaced)) <= 0;
  }

  reached(position: string): void {
    this.said = position;
    this.since.clear();
    this.unplaced = undefined;
  }

  /** Where a watch goes on without a gap and a repetition; undefined before the first position. */
  get position(): string | undefined {
    if (this.said === undefined || this.since.size === 0) return this.said;
    const said = this.read(this.said);
    const places = new Map(said.places);
    for (const [partition, change] of this.since) {
      places.set(partition, placeOf(change));
    }
    return encodePosition(this.target, { ...said, places });
  }
}

function placeOf(change: AnyChange): WatchPlace {
  return { stamp: change.stamp, key: change.kind === 'expire' ? change.key : '' };
}

/** Of one key: its expiry stands behind everything of the same stamp. */
function comparePlaces(a: WatchPlace, b: WatchPlace): number {
  return compareHlc(a.stamp, b.stamp) || a.key.length - b.key.length;
}
