import { addMs, equalBytes, HLC_ZERO, type Hlc, unreachable } from '@kahuna/base';
import { isReservedKey, isWellFormed } from '@kahuna/range-router';
import { isExpiredAt, isLiveAt, isVisibleAsOf } from '@kahuna/txn';
import type { KeyRecord } from './head-cache.ts';
import {
  type DeleteOperation,
  type ExtendOperation,
  type GetOperation,
  type OperationResult,
  ResponseType,
  SetFlag,
  type SetOperation,
  type WriteOperation,
} from './operation.ts';
import { Version } from './version.ts';

/**
 * What one operation does to one record: the rules of keyvalues §6 to §9, for both durabilities. Time is the stamp of the command,
 * so every replica judges an expiry alike. Nothing here knows where records are kept.
 */

const CONDITIONS = SetFlag.IfExists | SetFlag.IfNotExists | SetFlag.IfEqualToValue | SetFlag.IfEqualToRevision;

/** Keys that operations accept (keyvalues §3). */
export function isUsableKey(key: string): boolean {
  return key.length > 0 && !isReservedKey(key) && isWellFormed(key);
}

export function result(type: ResponseType, revision: number, lastModified: Hlc = HLC_ZERO): OperationResult {
  return {
    type,
    revision,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified,
    state: 0,
    route: undefined,
  };
}

/** The command changed the record (a refused one never does). */
export function hasEffect(type: number): boolean {
  return type === ResponseType.Set || type === ResponseType.Deleted || type === ResponseType.Extended;
}

/** Evaluates a write whose key is usable. Changes the record only if the answer {@link hasEffect}. */
export function evaluateWrite(record: KeyRecord, operation: WriteOperation, stamp: Hlc): OperationResult {
  switch (operation.kind) {
    case 'set':
      return evaluateSet(record, operation, stamp);
    case 'delete':
      return evaluateDelete(record, operation, stamp);
    case 'extend':
      return evaluateExtend(record, operation, stamp);
    default:
      return unreachable(operation, 'write');
  }
}

function evaluateSet(record: KeyRecord, operation: SetOperation, stamp: Hlc): OperationResult {
  if (operation.expiresMs < 0) return result(ResponseType.InvalidInput, 0);
  const head = record.current;
  const { flags } = operation;
  if ((flags & CONDITIONS) !== 0 && !conditionsHold(operation, head, stamp.l)) {
    return head === undefined ? result(ResponseType.NotSet, -1) : result(ResponseType.NotSet, head.revision, head.lastModified);
  }
  const revision = head === undefined ? 0 : head.revision + 1;
  const expires = operation.expiresMs === 0 ? HLC_ZERO : addMs(stamp, operation.expiresMs);
  if (head !== undefined && !head.archived) head.value = null;
  record.current = new Version(revision, operation.value, stamp, expires, (flags & SetFlag.NoRevision) === 0, head);
  record.lastUsed = stamp;
  return result(ResponseType.Set, revision, stamp);
}

/** All conditions that are asked for hold (keyvalues §6.2 to §6.4), judged against the same state. */
function conditionsHold(operation: SetOperation, head: Version | undefined, nowMs: number): boolean {
  const { flags } = operation;
  const live = head !== undefined && isLiveAt(head, nowMs) ? head : undefined;
  if ((flags & SetFlag.IfExists) !== 0 && live === undefined) return false;
  if ((flags & SetFlag.IfNotExists) !== 0 && live !== undefined) return false;
  if ((flags & SetFlag.IfEqualToValue) !== 0 && !matchesValue(operation.compareValue, live)) return false;
  return (flags & SetFlag.IfEqualToRevision) === 0 || matchesRevision(operation.compareRevision, head, live);
}

/** For this comparison null, zero bytes and "no live value" are one and the same (keyvalues §6.3). */
function matchesValue(compare: Uint8Array | null, live: Version | undefined): boolean {
  const value = live?.value ?? null;
  const empty = value === null || value.length === 0;
  if (compare === null || compare.length === 0) return empty;
  return !empty && equalBytes(compare, value);
}

/** A dead key's counter never matches; -1 is "never written" (keyvalues §6.4). */
function matchesRevision(compare: number, head: Version | undefined, live: Version | undefined): boolean {
  if (compare === -1) return head === undefined;
  return live !== undefined && live.revision === compare;
}

function evaluateDelete(record: KeyRecord, _operation: DeleteOperation, stamp: Hlc): OperationResult {
  const head = record.current;
  if (head === undefined) return result(ResponseType.DoesNotExist, -1);
  if (!isLiveAt(head, stamp.l)) return result(ResponseType.DoesNotExist, head.revision);
  head.deletedAt = stamp;
  record.lastUsed = stamp;
  return result(ResponseType.Deleted, head.revision, stamp);
}

function evaluateExtend(record: KeyRecord, operation: ExtendOperation, stamp: Hlc): OperationResult {
  if (operation.expiresMs < 0) return result(ResponseType.InvalidInput, 0);
  const head = record.current;
  if (head === undefined) return result(ResponseType.DoesNotExist, -1);
  if (!isLiveAt(head, stamp.l)) return result(ResponseType.DoesNotExist, head.revision);
  head.expires = operation.expiresMs === 0 ? HLC_ZERO : addMs(stamp, operation.expiresMs);
  head.lastModified = stamp;
  record.lastUsed = stamp;
  return result(ResponseType.Extended, head.revision, stamp);
}

// ---- reads -----------------------------------------------------------------------------------------------------------------

export type ReadMode = 'latest' | 'at-revision' | 'as-of';

/** Which of the three reads is asked for (keyvalues §8); undefined: the input is invalid whatever the state. */
export function readModeOf(operation: GetOperation): ReadMode | undefined {
  if (operation.revision >= 0) return 'at-revision';
  const t = operation.readTimestamp;
  if (t.l < 0) return undefined;
  return t.l === 0 && t.c === 0 && t.n === 0 ? 'latest' : 'as-of';
}

export function miss(revision: number): OperationResult {
  return result(ResponseType.DoesNotExist, revision);
}

function hit(operation: GetOperation, version: Version, expires: Hlc, lastModified: Hlc, lastUsed: Hlc): OperationResult {
  const exists = operation.kind === 'exists';
  return {
    type: exists ? ResponseType.Exists : ResponseType.Get,
    revision: version.revision,
    value: exists ? null : version.value,
    expires,
    lastUsed,
    lastModified,
    state: 1,
    route: undefined,
  };
}

export function readLatest(record: KeyRecord, operation: GetOperation, nowMs: number): OperationResult {
  const head = record.current;
  if (head === undefined) return miss(-1);
  if (!isLiveAt(head, nowMs)) return miss(head.revision);
  const answer = latestHit(operation, head, record.lastUsed);
  if (record.lastUsed.l < nowMs) record.lastUsed = { n: 0, l: nowMs, c: 0 };
  return answer;
}

/** Answer of a latest read of a live head. */
export function latestHit(operation: GetOperation, head: Version, lastUsed: Hlc): OperationResult {
  return hit(operation, head, head.expires, head.lastModified, lastUsed);
}

/** Answer of a read at a revision, once its version is at hand. `superseded`: it is not the head. */
export function readVersion(operation: GetOperation, version: Version, superseded: boolean): OperationResult {
  if (superseded && !version.archived) return miss(version.revision);
  return hit(operation, version, HLC_ZERO, HLC_ZERO, HLC_ZERO);
}

/** Answer of an as-of read, once the newest version at or before its time is at hand. */
export function asOfAnswer(operation: GetOperation, version: Version, superseded: boolean): OperationResult {
  return isVisibleAsOf(version, operation.readTimestamp, superseded)
    ? hit(operation, version, version.expires, version.commit, HLC_ZERO)
    : miss(version.revision);
}

/** Instant (milliseconds) of the expiry, and of nothing else, that hides the head at `nowMs`; 0 if none does. */
export function expiryHiding(head: Version | undefined, nowMs: number): number {
  if (head === undefined || head.deletedAt.l !== 0) return 0;
  return isExpiredAt(head.expires, nowMs) ? head.expires.l : 0;
}
