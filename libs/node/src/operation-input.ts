import {
  INT64_MAX,
  INT64_MIN,
  isHistoryCommand,
  type LockOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type SequenceOperation,
  type SequenceUpdate,
} from '@kahuna/partition';
import { isReservedKey, isWellFormed, sequenceStorageKey } from '@kahuna/range-router';
import { isValidHold } from './hold-input.ts';
import type { ForwardedOperation } from './peer-frame.ts';
import { emptyResult, requestBytes } from './request.ts';
import { MAX_ITEM_BYTES } from './settings.ts';

/**
 * Input rules of single operations (spec keyvalues §3, locks §3, sequences §4). Bad input is an answer and is found before anything is
 * looked up. What belongs to a value's meaning at its owner (conditions of a set, say) is judged there.
 */

export type ClientOperation = Operation | LockOperation | SequenceOperation;

const MAX_INT32 = 0x7fff_ffff;
const MAX_SEQUENCE_NAME = 1024;
const MAX_IDEMPOTENCY_KEY_BYTES = 1024;
const SEQUENCE_KEY_PREFIX = sequenceStorageKey('');

function isLockOperation(operation: { readonly kind: string }): operation is LockOperation {
  return operation.kind.startsWith('lock-');
}

function isSequenceOperation(operation: { readonly kind: string }): operation is SequenceOperation {
  return operation.kind.startsWith('sequence-');
}

export function isPlacedByHash(operation: ClientOperation): boolean {
  return isLockOperation(operation) || isSequenceOperation(operation);
}

/** The operation as it is to be served (names of sequences trimmed), or undefined if its input is invalid. */
export function admitted(operation: ClientOperation): ClientOperation | undefined {
  if (isLockOperation(operation)) return isValidLock(operation) ? operation : undefined;
  if (isSequenceOperation(operation)) return trimmedSequence(operation);
  if (operation.key === '' || isReservedKey(operation.key)) return undefined;
  // Followers would read another durability from the log than the leader evaluates.
  if (operation.durability !== 0 && operation.durability !== 1) return undefined;
  if (operation.kind === 'set' && requestBytes(operation) > MAX_ITEM_BYTES) return undefined;
  return 'expiresMs' in operation && operation.expiresMs < 0 ? undefined : operation;
}

/**
 * Whether an operation that another node has forwarded may be evaluated. Its node has judged it already; but what a faulty one lets
 * through would stand in the log and stop every replica that applies it, again after each restart. Keys and values need no
 * second look: their evaluation refuses what it cannot take.
 */
export function isAdmittedFromPeer(operation: ForwardedOperation): boolean {
  if (isHistoryCommand(operation)) {
    // Only the leader of a partition removes its history; without keys the command takes note of the time and nothing else.
    if (operation.kind === 'prune-history') return operation.keys.length === 0;
    return operation.kind === 'raise-ceiling' || isValidHold(operation);
  }
  return !isPlacedByHash(operation) || admitted(operation) !== undefined;
}

/** The text whose key space decides the partition, where that is not the key itself. */
export function placementKeyOf(operation: ClientOperation): string {
  return isSequenceOperation(operation) ? sequenceStorageKey(operation.key) : operation.key;
}

function isValidLock(operation: LockOperation): boolean {
  const { kind, key, owner, expiresMs, durability } = operation;
  if (key === '' || !isWellFormed(key)) return false;
  if (durability !== 0 && durability !== 1) return false;
  if (kind !== 'lock-info' && owner.length === 0) return false;
  return (kind !== 'lock-acquire' && kind !== 'lock-extend') || isCount(expiresMs);
}

/** int32 from 1. */
function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= MAX_INT32;
}

function trimmedSequence(operation: SequenceOperation): SequenceOperation | undefined {
  const key = operation.key.trim();
  if (key === '' || key.length > MAX_SEQUENCE_NAME || key.startsWith(SEQUENCE_KEY_PREFIX) || !isWellFormed(key)) return undefined;
  if (!hasValidFields(operation)) return undefined;
  if (operation.kind !== 'sequence-reserve') return key === operation.key ? operation : { ...operation, key };
  const idempotencyKey = operation.idempotencyKey.trim();
  if (!isIdempotencyKey(idempotencyKey)) return undefined;
  return key === operation.key && idempotencyKey === operation.idempotencyKey ? operation : { ...operation, key, idempotencyKey };
}

function hasValidFields(operation: SequenceOperation): boolean {
  switch (operation.kind) {
    case 'sequence-get':
    case 'sequence-delete':
      return true;
    case 'sequence-reserve':
      return isCount(operation.count);
    case 'sequence-create': {
      const { initialValue, increment, maxValue, blockSize } = operation;
      if (!isInt64(initialValue) || !isIncrement(increment)) return false;
      if (maxValue !== undefined && (!isInt64(maxValue) || maxValue < initialValue)) return false;
      return blockSize === undefined || isCount(blockSize);
    }
    case 'sequence-update':
      return isValidUpdate(operation);
  }
}

function isValidUpdate(update: SequenceUpdate): boolean {
  const { currentValue, increment, initialValue, maxValue, removeMaxValue, blockSize, removeBlockSize } = update;
  if (
    currentValue === undefined &&
    increment === undefined &&
    initialValue === undefined &&
    maxValue === undefined &&
    blockSize === undefined &&
    !removeMaxValue &&
    !removeBlockSize
  )
    return false;
  if (removeMaxValue && maxValue !== undefined) return false;
  if (removeBlockSize && blockSize !== undefined) return false;
  if (increment !== undefined && !isIncrement(increment)) return false;
  if (blockSize !== undefined && !isCount(blockSize)) return false;
  return [currentValue, initialValue, maxValue].every(value => value === undefined || isInt64(value));
}

function isInt64(value: bigint): boolean {
  return value >= INT64_MIN && value <= INT64_MAX;
}

function isIncrement(value: bigint): boolean {
  return value > 0n && value <= INT64_MAX;
}

function isIdempotencyKey(key: string): boolean {
  if (key.length * 3 <= MAX_IDEMPOTENCY_KEY_BYTES) return isWellFormed(key);
  return key.length <= MAX_IDEMPOTENCY_KEY_BYTES && isWellFormed(key) && utf8Length(key) <= MAX_IDEMPOTENCY_KEY_BYTES;
}

/** Of a well-formed text. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Each half of a surrogate pair stands for two of the four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3;
  }
  return bytes;
}

/** An answer without effect, shaped as the operation's own table wants it (spec sequences §3: revision -1 where a record would show). */
export function refusalOf(operation: { readonly kind: string }, type: ResponseType): OperationResult {
  const answer = emptyResult(type);
  const { kind } = operation;
  if (kind === 'sequence-create' || kind === 'sequence-get' || kind === 'sequence-update') answer.revision = -1;
  return answer;
}

export function mustRetryOf(operation: { readonly kind: string }): OperationResult {
  return refusalOf(operation, ResponseType.MustRetry);
}
