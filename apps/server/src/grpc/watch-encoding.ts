import { type Hlc, isZeroHlc } from '@kahuna/base';
import type { KeyEvent, LockEvent, SequenceEvent, WatchEvent } from '@kahuna/node';
import { watchMessages as messages } from '@kahuna/wire';

const KEY_KINDS = {
  set: messages.GrpcWatchEventKind.WATCH_SET,
  delete: messages.GrpcWatchEventKind.WATCH_DELETE,
  extend: messages.GrpcWatchEventKind.WATCH_EXTEND,
  expire: messages.GrpcWatchEventKind.WATCH_EXPIRE,
} as const;

const LOCK_KINDS = {
  snapshot: messages.GrpcWatchLockEventKind.LOCK_SNAPSHOT,
  acquired: messages.GrpcWatchLockEventKind.LOCK_ACQUIRED,
  extended: messages.GrpcWatchLockEventKind.LOCK_EXTENDED,
  released: messages.GrpcWatchLockEventKind.LOCK_RELEASED,
  expired: messages.GrpcWatchLockEventKind.LOCK_EXPIRED,
} as const;

const SEQUENCE_KINDS = {
  snapshot: messages.GrpcWatchSequenceEventKind.SEQUENCE_SNAPSHOT,
  created: messages.GrpcWatchSequenceEventKind.SEQUENCE_CREATED,
  updated: messages.GrpcWatchSequenceEventKind.SEQUENCE_UPDATED,
  reserved: messages.GrpcWatchSequenceEventKind.SEQUENCE_RESERVED,
  deleted: messages.GrpcWatchSequenceEventKind.SEQUENCE_DELETED,
} as const;

const NOTHING: messages.GrpcWatchResponse = { Events: [], Position: undefined, Locks: [], Sequences: [] };

/** A message that holds this one event; made once for all watches. */
export function encodedEvent(event: WatchEvent): Uint8Array {
  event.encoded ??= messages.GrpcWatchResponse.encode(responseOf(event)).finish();
  return event.encoded;
}

/** A message that holds nothing but a position. */
export function encodedPosition(Position: string): Uint8Array {
  return messages.GrpcWatchResponse.encode({ ...NOTHING, Position }).finish();
}

function responseOf(event: WatchEvent): messages.GrpcWatchResponse {
  switch (event.kind) {
    case 'key':
      return { ...NOTHING, Events: [keyMessage(event)] };
    case 'lock':
      return { ...NOTHING, Locks: [lockMessage(event)] };
    case 'sequence':
      return { ...NOTHING, Sequences: [sequenceMessage(event)] };
  }
}

function keyMessage({ change, partitionId, initial }: KeyEvent): messages.GrpcWatchEvent {
  return {
    Kind: KEY_KINDS[change.kind],
    Key: change.key,
    Value: change.value ?? undefined,
    Revision: BigInt(change.revision),
    Expires: optionalStamp(change.expires),
    Stamp: stampMessage(change.place.stamp),
    Partition: partitionId,
    Initial: initial,
    ValueGone: !change.valueKept,
  };
}

function lockMessage({ change, partitionId }: LockEvent): messages.GrpcWatchLockEvent {
  return {
    Kind: LOCK_KINDS[change.kind],
    Resource: change.name,
    Held: change.held,
    Owner: change.owner,
    FencingToken: BigInt(change.token),
    Expires: optionalStamp(change.expires),
    Stamp: stampMessage(change.stamp),
    Partition: partitionId,
  };
}

function sequenceMessage({ change, partitionId }: SequenceEvent): messages.GrpcWatchSequenceEvent {
  const { kind, name, stamp, entry } = change;
  return {
    Kind: SEQUENCE_KINDS[kind],
    Name: name,
    Exists: entry !== undefined,
    CurrentValue: entry?.currentValue ?? 0n,
    InitialValue: entry?.initialValue ?? 0n,
    Increment: entry?.increment ?? 0n,
    MaxValue: entry?.maxValue,
    BlockSize: entry?.blockSize,
    Incarnation: BigInt(entry?.incarnation ?? 0),
    Revision: BigInt(entry?.revision ?? 0),
    CreatedAt: entry === undefined ? undefined : stampMessage(entry.createdAt),
    UpdatedAt: entry === undefined ? undefined : stampMessage(entry.updatedAt),
    Stamp: stampMessage(stamp),
    Partition: partitionId,
  };
}

function optionalStamp(stamp: Hlc): messages.GrpcWatchStamp | undefined {
  return isZeroHlc(stamp) ? undefined : stampMessage(stamp);
}

function stampMessage({ n, l, c }: Hlc): messages.GrpcWatchStamp {
  return { Node: n, Physical: BigInt(l), Counter: c };
}
