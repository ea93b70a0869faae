import { decodePosition, encodePosition, type WatchPlace, type WatchTarget } from '@kahuna/wire';
import { InvalidInputError } from './errors.ts';
import type { AnyChange } from './watch-told.ts';

/** How far the loop of a watch was told. */
export class Progress {
  private readonly target: WatchTarget;
  /** As a server or the caller said it last. */
  private said: string | undefined;
  /** The same and what was told since, by partition; made when it is needed. */
  private places: Map<number, WatchPlace> | undefined;

  /** Throws an {@link InvalidInputError} for what is no position of this target. */
  constructor(target: WatchTarget, after: string | undefined) {
    this.target = target;
    this.said = after;
    if (after !== undefined) this.places = this.read(after);
  }

  private read(position: string): Map<number, WatchPlace> {
    try {
      return new Map(decodePosition(this.target, position));
    } catch (error) {
      throw new InvalidInputError(`not a position of this watch: ${String(error)}`, { cause: error });
    }
  }

  /** Present state that comes before the first position can only be told anew. */
  told(change: AnyChange): void {
    if (this.said === undefined || ('initial' in change && change.initial)) return;
    this.places ??= this.read(this.said);
    this.places.set(change.partition, { stamp: change.stamp, key: change.kind === 'expire' ? change.key : '' });
  }

  reached(position: string): void {
    this.said = position;
    this.places = undefined;
  }

  /** Where a watch goes on without a gap and a repetition; undefined before the first position. */
  get position(): string | undefined {
    return this.places === undefined ? this.said : encodePosition(this.target, this.places);
  }
}
