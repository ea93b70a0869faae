import { HLC_ZERO, type Hlc } from '@kahuna/base';
import type { watchMessages as messages } from '@kahuna/wire';
import { ProtocolError } from './errors.ts';
import type { SequenceState } from './sequences-api.ts';
import { stampOf } from './stamps.ts';
import type { Change, LockChange, SequenceChange } from './watch-api.ts';

export type AnyChange = Change | LockChange | SequenceChange;

/** What one message of a watch says. All watches that are told the same share one. */
export interface Told {
  readonly changes: readonly AnyChange[];
  /** Everything up to here was told, these changes included. */
  readonly position: string | undefined;
}

const KEY_KINDS = ['set', 'delete', 'extend', 'expire'] as const;
const LOCK_KINDS = ['snapshot', 'acquired', 'extended', 'released', 'expired'] as const;
const SEQUENCE_KINDS = ['snapshot', 'created', 'updated', 'reserved', 'deleted'] as const;

export function toldIn({ Events, Locks, Sequences, Position }: messages.GrpcWatchResponse): Told {
  // A watch is about one kind of thing.
  const changes =
    Locks.length > 0 ? Locks.map(lockChange) : Sequences.length > 0 ? Sequences.map(sequenceChange) : Events.map(keyChange);
  return { changes, position: Position };
}

function keyChange(event: messages.GrpcWatchEvent): Change {
  return {
    kind: kindIn(KEY_KINDS, event.Kind),
    key: event.Key,
    value: event.Value ?? null,
    revision: Number(event.Revision),
    expires: optionalStamp(event.Expires),
    stamp: stampIn(event.Stamp),
    partition: event.Partition,
    initial: event.Initial,
    valueGone: event.ValueGone,
  };
}

function lockChange(event: messages.GrpcWatchLockEvent): LockChange {
  return {
    kind: kindIn(LOCK_KINDS, event.Kind),
    name: event.Resource,
    held: event.Held,
    owner: event.Owner,
    fencingToken: event.FencingToken,
    expires: optionalStamp(event.Expires),
    stamp: stampIn(event.Stamp),
    partition: event.Partition,
  };
}

function sequenceChange(event: messages.GrpcWatchSequenceEvent): SequenceChange {
  return {
    kind: kindIn(SEQUENCE_KINDS, event.Kind),
    name: event.Name,
    sequence: event.Exists ? stateIn(event) : undefined,
    stamp: stampIn(event.Stamp),
    partition: event.Partition,
  };
}

function stateIn(event: messages.GrpcWatchSequenceEvent): SequenceState {
  return {
    name: event.Name,
    currentValue: event.CurrentValue,
    initialValue: event.InitialValue,
    increment: event.Increment,
    maxValue: event.MaxValue,
    blockSize: event.BlockSize,
    revision: event.Revision,
    incarnation: event.Incarnation,
    createdAt: stampIn(event.CreatedAt),
    updatedAt: stampIn(event.UpdatedAt),
  };
}

function kindIn<K>(kinds: readonly K[], kind: number): K {
  const known = kinds[kind];
  if (known === undefined) throw new ProtocolError(`a change of kind ${kind}`);
  return known;
}

function optionalStamp(stamp: messages.GrpcWatchStamp | undefined): Hlc | undefined {
  return stamp && stampOf(stamp.Node, stamp.Physical, stamp.Counter);
}

function stampIn(stamp: messages.GrpcWatchStamp | undefined): Hlc {
  return optionalStamp(stamp) ?? HLC_ZERO;
}
