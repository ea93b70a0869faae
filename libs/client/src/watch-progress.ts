import { decodePosition, encodePosition, type WatchPosition, type WatchTarget } from '@kahuna/wire';
import { InvalidInputError } from './errors.ts';
import type { AnyChange } from './watch-told.ts';

/** How far the loop of a watch was told. */
export class Progress {
  private readonly target: WatchTarget;
  /** As a server or the caller said it last. */
  private said: string | undefined;
  /** What was told since, the last of each partition. */
  private readonly since = new Map<number, AnyChange>();

  /** Throws an {@link InvalidInputError} for what is no position of this target. */
  constructor(target: WatchTarget, after: string | undefined) {
    this.target = target;
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
    if (this.said === undefined || ('initial' in change && change.initial)) return;
    this.since.set(change.partition, change);
  }

  reached(position: string): void {
    this.said = position;
    this.since.clear();
  }

  /** Where a watch goes on without a gap and a repetition; undefined before the first position. */
  get position(): string | undefined {
    if (this.said === undefined || this.since.size === 0) return this.said;
    const said = this.read(this.said);
    const places = new Map(said.places);
    for (const [partition, change] of this.since) {
      places.set(partition, { stamp: change.stamp, key: change.kind === 'expire' ? change.key : '' });
    }
    return encodePosition(this.target, { ...said, places });
  }
}
