import type { SequenceOperation } from '@kahuna/partition';
import type { EnvelopeLayout } from './batch-codec.ts';
import { GrpcBatchType as Type } from './generated/batches.ts';
import type { LockKind } from './lock-codec.ts';
import type { SequenceMethod } from './sequence-codec.ts';

/** The stream of `Batcher` (proto/batches.proto): locks and sequences in frames, beside the released services. */

export const BATCHER_ENVELOPES: EnvelopeLayout = {
  members: [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
  lastMember: 13,
  frameType: Type.BATCH_FRAME,
};

type LockType =
  | typeof Type.BATCH_TRY_LOCK
  | typeof Type.BATCH_EXTEND_LOCK
  | typeof Type.BATCH_UNLOCK
  | typeof Type.BATCH_GET_LOCK;
type SequenceType = Exclude<Type, LockType | typeof Type.BATCH_NONE | typeof Type.BATCH_FRAME>;

const LOCK_KINDS: Readonly<Record<LockType, LockKind>> = {
  [Type.BATCH_TRY_LOCK]: 'lock-acquire',
  [Type.BATCH_EXTEND_LOCK]: 'lock-extend',
  [Type.BATCH_UNLOCK]: 'lock-release',
  [Type.BATCH_GET_LOCK]: 'lock-info',
};

const SEQUENCE_METHODS: Readonly<Record<SequenceType, SequenceMethod>> = {
  [Type.BATCH_CREATE_SEQUENCE]: 'create',
  [Type.BATCH_GET_SEQUENCE]: 'get',
  [Type.BATCH_UPDATE_SEQUENCE]: 'update',
  [Type.BATCH_DELETE_SEQUENCE]: 'delete',
  [Type.BATCH_NEXT_SEQUENCE_VALUE]: 'next',
  [Type.BATCH_RESERVE_SEQUENCE_RANGE]: 'reserve',
};

export function isBatchedLock(type: number): type is LockType {
  return type >= Type.BATCH_TRY_LOCK && type <= Type.BATCH_GET_LOCK;
}

export function isBatchedSequence(type: number): type is SequenceType {
  return type >= Type.BATCH_CREATE_SEQUENCE && type <= Type.BATCH_RESERVE_SEQUENCE_RANGE;
}

export function batchedLockKind(type: LockType): LockKind {
  return LOCK_KINDS[type];
}

export function batchedSequenceMethod(type: SequenceType): SequenceMethod {
  return SEQUENCE_METHODS[type];
}

/** The operation that a method asks for. */
export function sequenceKindOf(method: SequenceMethod): SequenceOperation['kind'] {
  return method === 'next' ? 'sequence-reserve' : `sequence-${method}`;
}
