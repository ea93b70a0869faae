import type { Hlc, PartitionId } from '@kahuna/base';
import type { Change, Place, WatchShape } from '@kahuna/partition';

/** Changes of keys, as gateways see them (docs/decisions/0006-watch.md). */
export interface WatchQuery {
  /** Persistent keys only. */
  readonly shape: WatchShape;
  readonly start: WatchStart;
}

export type WatchStart =
  | { readonly kind: 'now' }
  /** What is there first, as sets; the changes behind it follow. */
  | { readonly kind: 'initial' }
  /** Behind this time. */
  | { readonly kind: 'time'; readonly stamp: Hlc }
  /** This revision of the one key and all later ones. */
  | { readonly kind: 'revision'; readonly revision: number }
  /** Behind the places that an earlier watch of the same keys had reached; partitions without one begin now. */
  | { readonly kind: 'places'; readonly places: WatchPosition };

export type WatchPosition = ReadonlyMap<PartitionId, Place>;

/** One change on its way to all who watch; gateways keep its encoding with it. */
export interface WatchEvent {
  readonly partitionId: PartitionId;
  readonly change: Change;
  /** Present state rather than a change. */
  readonly initial: boolean;
  encoded: Uint8Array | undefined;
}

/** Why a watch has ended. */
export type WatchEnd = 'invalid' | 'unavailable' | 'pruned' | 'too-many-expiries' | 'overloaded';

export interface Watch {
  /** Events in the order of their partitions, until about so many bytes are together; empty if there are none at the moment. */
  take(maxBytes: number): readonly WatchEvent[];
  /** How far everything was taken; undefined while the initial state is not through, or events wait to be taken. */
  position(): WatchPosition | undefined;
  /** undefined while it goes on. What was reached before may still be taken. */
  readonly end: WatchEnd | undefined;
  close(): void;
}
