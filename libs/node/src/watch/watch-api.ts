import type { Hlc, PartitionId } from '@kahuna/base';
import type { Change, Durability, LockChange, Place, SequenceChange, WatchShape } from '@kahuna/partition';

/** Changes of keys, of a lock or of a sequence, as gateways see them (docs/decisions/0006-watch.md). */
export interface WatchQuery {
  readonly shape: WatchSubject;
  readonly start: WatchStart;
}

export interface KeyWatchQuery extends WatchQuery {
  readonly shape: WatchShape;
}

/** Persistent keys; or one lock or one sequence, whose watches begin with a snapshot. */
export type WatchSubject = WatchShape | LockSubject | SequenceSubject;

export interface LockSubject {
  readonly kind: 'lock';
  /** The resource. */
  readonly name: string;
  /** An ephemeral lock is watched on the leader of its partition. */
  readonly durability: Durability;
}

export interface SequenceSubject {
  readonly kind: 'sequence';
  /** Trimmed by the node. */
  readonly name: string;
}

/** Locks and sequences keep no history: of these only 'now', 'initial' and 'places', which all begin with a snapshot. */
export type WatchStart =
  | { readonly kind: 'now' }
  /** What is there first, as sets; the changes behind it follow. */
  | { readonly kind: 'initial' }
  /** Behind this time. */
  | { readonly kind: 'time'; readonly stamp: Hlc }
  /** This revision of the one key and all later ones. */
  | { readonly kind: 'revision'; readonly revision: number }
  /**
   * Behind the places that an earlier watch of the same keys had reached; partitions without one begin now. Of a lock or a sequence: a
   * snapshot that is not older.
   */
  | {
      readonly kind: 'places';
      readonly places: WatchPosition;
      /** The cluster that they are of; undefined: not known, and taken for this one. */
      readonly cluster?: string | undefined;
    };

export type WatchPosition = ReadonlyMap<PartitionId, Place>;

/** One event on its way to all who watch; what it is about is told by `kind`. */
export type WatchEvent = KeyEvent | LockEvent | SequenceEvent;

interface SharedEvent {
  readonly partitionId: PartitionId;
  /** Its encoding as part of a gRPC message, once a gateway needed it: made once, whoever watches. */
  encoded: Uint8Array | undefined;
  /** Its encoding as JSON, likewise. */
  json: string | undefined;
}

export interface KeyEvent extends SharedEvent {
  readonly kind: 'key';
  /** What it costs each queue that it waits in: those of one change share its value. Bytes, about. */
  readonly cost: number;
  readonly change: Change;
  /** Present state rather than a change. */
  readonly initial: boolean;
}

export interface LockEvent extends SharedEvent {
  readonly kind: 'lock';
  readonly change: LockChange;
}

export interface SequenceEvent extends SharedEvent {
  readonly kind: 'sequence';
  readonly change: SequenceChange;
}

/**
 * Why a watch has ended. 'pruned': history behind the position is gone, and 'another-cluster': with all of its cluster; 'not-leader': an ephemeral lock is watched on the node that leads its partition, which `routing()` names;
 * 'unavailable' asks to go on at any node, at this one too after a while.
 */
export type WatchEnd =
  | 'invalid'
  | 'unavailable'
  | 'pruned'
  | 'another-cluster'
  | 'too-many-expiries'
  | 'overloaded'
  | 'not-leader';

/** Told of what waits in the queue of a watch. Bytes, about. */
export interface QueueMeter {
  add(bytes: number): void;
  remove(bytes: number): void;
}

export interface Watch {
  /** Events in the order of their partitions, until about so many bytes are together; empty if there are none at the moment. */
  take(maxBytes: number): readonly WatchEvent[];
  /** How far everything was taken; undefined while the initial state is not through, or events wait to be taken. */
  position(): WatchPosition | undefined;
  /** Id of the cluster that positions are of. */
  readonly cluster: string;
  /** undefined while it goes on. What was reached before may still be taken. */
  readonly end: WatchEnd | undefined;
  /** Of the end 'not-leader': the advertised client URL of the leader; '' if it is not known here. */
  readonly leaderUrl: string;
  close(): void;
}
