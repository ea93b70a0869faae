import { HLC_ZERO, isZeroHlc } from '@kahuna/base';
import {
  Durability,
  type HoldAnswer,
  type HoldOperation,
  type LockOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type ScanAnswer,
  type ScanQuery,
  type SetOperation,
} from '@kahuna/partition';
import type { RequestedGet, RequestedLock, RequestedOperation, RequestedScan, RequestedSet } from '@kahuna/wire';

/**
 * What every gateway checks before it hands an operation to the node (keyvalues §2.3, §3, §6.2, §14): rules that hold on every
 * transport and need no leader. What they refuse is answered InvalidInput, and nothing of it is executed.
 */

/** Names that begin with it belong to the system (keyvalues §3). */
export const RESERVED_KEY_PREFIX = '__kahuna:';

/** Longest accepted key in UTF-8 bytes: the length that the contract promises to accept (keyvalues §3), and no more, so that memory per key is bounded. */
export const MAX_KEY_BYTES = 65_535;

/** Most items in one multi-key request: it is held in memory whole, with its answer. More are refused. */
export const MAX_MANY_ITEMS = 100_000;

/** No UTF-16 code unit needs more than three bytes of UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

/** May a client name this key (or prefix)? */
export function isValidKey(key: string): boolean {
  return key.length > 0 && !key.startsWith(RESERVED_KEY_PREFIX) && isWithin(key, MAX_KEY_BYTES);
}

function isWithin(text: string, maxBytes: number): boolean {
  return text.length * MAX_BYTES_PER_UNIT <= maxBytes || Buffer.byteLength(text, 'utf8') <= maxBytes;
}

/** False if the text holds an unpaired surrogate: such a text has no UTF-8 form, so no transport may accept it as a key. */
export function isWellFormedText(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

export function isDurability(value: number): value is Durability {
  return value === Durability.Ephemeral || value === Durability.Persistent;
}

/** Lifetimes are int32 milliseconds, 0 = never expires; negative ones are refused (keyvalues §6.2, §7.2). */
export function isValidExpiresMs(expiresMs: number): boolean {
  return expiresMs >= 0 && expiresMs <= 0x7fff_ffff;
}

function isValidRead(operation: RequestedGet): boolean {
  return operation.readTimestamp.l >= 0;
}

/** All checks of one plain operation. */
export function isValidOperation(operation: RequestedOperation): operation is Operation {
  if (!isValidKey(operation.key) || !isDurability(operation.durability)) return false;
  switch (operation.kind) {
    case 'set':
    case 'extend':
      return isValidExpiresMs(operation.expiresMs);
    case 'get':
    case 'exists':
      return isValidRead(operation);
    case 'delete':
      return true;
  }
}

/** Longest accepted owner of a lock: the length that the contract promises to accept (locks §3). Bytes. */
const MAX_OWNER_BYTES = 4096;

/** Bounds of what a lock keeps in memory; the rest of its input rules is the node's to check (locks §3). */
export function isValidLock(operation: RequestedLock): operation is LockOperation {
  const { key, owner, durability } = operation;
  return isWithin(key, MAX_KEY_BYTES) && owner.length <= MAX_OWNER_BYTES && isDurability(durability);
}

/** The only durability of sequences (sequences §2.2); the rest of their input rules is the node's to check. */
export const SEQUENCE_DURABILITY = 1;

/** An empty or reserved prefix finds nothing that a client may see; it is refused rather than answered (keyvalues §11 to §13). */
export function isValidScan(query: RequestedScan): query is ScanQuery {
  return isValidKey(query.prefix) && isDurability(query.durability) && query.readTimestamp.l >= 0;
}

/** Keyvalues §10.3. */
export function isValidHold(operation: HoldOperation): boolean {
  switch (operation.kind) {
    case 'hold-acquire':
      return isValidHoldName(operation.holderId) && operation.leaseMs > 0 && !isZeroHlc(operation.timestamp);
    case 'hold-renew':
      return isValidHoldName(operation.holdId) && operation.leaseMs > 0;
    case 'hold-release':
      return isValidHoldName(operation.holdId);
    case 'hold-floor':
      return true;
  }
}

function isValidHoldName(name: string): boolean {
  return name !== '' && isWithin(name, MAX_KEY_BYTES);
}

/** One bad item refuses a whole set-many; in the other many-variants a bad item fails alone (keyvalues §14). */
export function setManyIsValid(items: readonly RequestedSet[]): items is readonly SetOperation[] {
  return items.every(isValidOperation);
}

/** An answer that says nothing but its type: refusals have revision 0, no value, no times and no route (grpc §4.5, §4.9). */
export function refusal(type: ResponseType): OperationResult {
  return {
    type,
    revision: 0,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    route: undefined,
  };
}

export function invalidInput(): OperationResult {
  return refusal(ResponseType.InvalidInput);
}

/** An answer without rows. */
export function scanRefusal(type: ResponseType): ScanAnswer {
  return { type, rows: [], hasMore: false, nextCursor: undefined };
}

export function holdRefusal(type: ResponseType): HoldAnswer {
  return { type, holdId: '', leaseExpiry: HLC_ZERO, effectiveFloor: HLC_ZERO, liveHolds: 0 };
}
