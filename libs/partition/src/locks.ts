import {
  addMs,
  ByteReader,
  type ByteWriter,
  DecodeError,
  equalBytes,
  HLC_ZERO,
  type Hlc,
  ownBytes,
  type Term,
} from '@kahuna/base';
import { readHlc, writeHlc } from './hlc-codec.ts';
import { type LockOperation, LockResponseType } from './lock-operation.ts';
import type { OperationResult } from './operation.ts';
import type { RowFormat } from './row-table.ts';
import { Family } from './stored-keys.ts';

/**
 * Named leases (spec locks). One function per operation, on one lock, for both durabilities:
 *
 *     free ──acquire──▶ held ──extend──▶ held          token: one more with every grant, else untouched
 *       ▲                │
 *       └──release, or the lease runs out
 *
 * L1 Tokens never fall: a grant takes the last token plus one, and a free lock keeps its record.
 * L2 A lease that was said to have run out has run out for good, whoever leads: within the clock skew allowance, where a later
 *    leader would still honour it, the record says so (`lapsed`) before the answer does.
 */

/** State of a lock that was granted at least once. Never changed in place. */
export interface Lock {
  /** undefined after a release. */
  readonly owner: Uint8Array | undefined;
  /** End of the lease; zero after a release. */
  readonly expires: Hlc;
  /** Raft term of the last grant or extend: whose clock `expires` was computed with. */
  readonly term: Term;
  /** Last fencing token granted. */
  readonly token: number;
  /** The lease was seen to have run out, by a clock that a later leader need not agree with. */
  readonly lapsed: boolean;
}

/** When an operation is evaluated. */
export interface LockMoment {
  readonly now: Hlc;
  readonly term: Term;
  /** A lease of an earlier term counts as held for so long after its end (spec locks §4). Milliseconds. */
  readonly skewMs: number;
  /** A lock without record begins above this token; -1 unless records were evicted (ephemeral locks, spec locks §9). */
  readonly tokenFloor: number;
}

export interface LockOutcome {
  readonly answer: OperationResult;
  /** The very lock that was given, if nothing changed. */
  readonly lock: Lock | undefined;
}

export function evaluateLock(lock: Lock | undefined, operation: LockOperation, moment: LockMoment): LockOutcome {
  switch (operation.kind) {
    case 'lock-acquire':
      return acquire(lock, operation, moment);
    case 'lock-extend':
      return extend(lock, operation, moment);
    case 'lock-release':
      return release(lock, operation);
    case 'lock-info':
      return info(lock, moment);
  }
}

function acquire(lock: Lock | undefined, operation: LockOperation, moment: LockMoment): LockOutcome {
  const decided = acquireDecided(lock, operation, moment);
  if (decided !== undefined) return { answer: decided, lock };
  const token = (lock?.token ?? moment.tokenFloor) + 1;
  const expires = addMs(moment.now, operation.expiresMs);
  const granted = { owner: kept(operation.owner), expires, term: moment.term, token, lapsed: false };
  return { answer: lockAnswer(LockResponseType.Locked, token), lock: granted };
}

/** The answer of an acquire that changes nothing, because the lock is held; undefined if there is something to grant. */
export function acquireDecided(
  lock: Lock | undefined,
  operation: LockOperation,
  moment: LockMoment,
): OperationResult | undefined {
  if (lock?.owner === undefined || hasExpired(lock, moment)) return undefined;
  return equalBytes(lock.owner, operation.owner)
    ? lockAnswer(LockResponseType.Locked, lock.token)
    : lockAnswer(LockResponseType.Busy, 0);
}

function extend(lock: Lock | undefined, operation: LockOperation, moment: LockMoment): LockOutcome {
  if (lock?.owner === undefined) return { answer: lockAnswer(LockResponseType.LockDoesNotExist, 0), lock };
  if (hasExpired(lock, moment)) return saidToHaveExpired(lock, moment);
  if (!equalBytes(lock.owner, operation.owner)) return { answer: lockAnswer(LockResponseType.InvalidOwner, 0), lock };
  const extended = { ...lock, expires: addMs(moment.now, operation.expiresMs), term: moment.term };
  return { answer: lockAnswer(LockResponseType.Extended, lock.token), lock: extended };
}

/** The owner may release what has run out as well, as long as nobody acquired it since. */
function release(lock: Lock | undefined, operation: LockOperation): LockOutcome {
  if (lock?.owner === undefined) return { answer: lockAnswer(LockResponseType.LockDoesNotExist, 0), lock };
  if (!equalBytes(lock.owner, operation.owner)) return { answer: lockAnswer(LockResponseType.InvalidOwner, 0), lock };
  const released = { owner: undefined, expires: HLC_ZERO, term: 0, token: lock.token, lapsed: false };
  return { answer: lockAnswer(LockResponseType.Unlocked, 0), lock: released };
}

function info(lock: Lock | undefined, moment: LockMoment): LockOutcome {
  if (lock?.owner === undefined) return { answer: lockAnswer(LockResponseType.LockDoesNotExist, 0), lock };
  if (hasExpired(lock, moment)) return saidToHaveExpired(lock, moment);
  return {
    answer: { ...lockAnswer(LockResponseType.Got, lock.token), value: lock.owner, expires: lock.expires, state: 1 },
    lock,
  };
}

/** L2. */
function saidToHaveExpired(lock: Lock, moment: LockMoment): LockOutcome {
  const answer = lockAnswer(LockResponseType.LockDoesNotExist, 0);
  return { answer, lock: isContestable(lock, moment) ? { ...lock, lapsed: true } : lock };
}

/** All operations use this test. In the very millisecond of its end a lease is still held. */
export function hasExpired(lock: Lock, moment: LockMoment): boolean {
  if (lock.lapsed) return true;
  const allowance = lock.term < moment.term ? moment.skewMs : 0;
  return lock.expires.l + allowance < moment.now.l;
}

/** A lease that has run out by the clock of its own term, but that a later leader would still honour. */
export function isContestable(lock: Lock, moment: LockMoment): boolean {
  return !lock.lapsed && lock.expires.l + moment.skewMs >= moment.now.l;
}

export function lockAnswer(type: LockResponseType, token: number): OperationResult {
  return {
    type,
    revision: token,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    route: undefined,
  };
}

function kept(owner: Uint8Array): Uint8Array {
  return ownBytes(owner);
}

const FORMAT = 1;
const HAS_OWNER = 1;
const LAPSED = 2;

export const LOCK_ROWS: RowFormat<Lock> = {
  family: Family.Locks,

  write(writer: ByteWriter, lock: Lock): void {
    writer.u8(FORMAT);
    writer.u8((lock.owner === undefined ? 0 : HAS_OWNER) | (lock.lapsed ? LAPSED : 0));
    writer.varint(lock.token);
    if (lock.owner !== undefined) {
      writer.varint(lock.term);
      writeHlc(writer, lock.expires);
      writer.raw(lock.owner);
    }
  },

  decode(row: Uint8Array): Lock {
    const reader = new ByteReader(row);
    const format = reader.u8();
    if (format !== FORMAT) throw new DecodeError(`lock row format ${format} is newer than this release`);
    const shape = reader.u8();
    const token = reader.varint();
    if ((shape & HAS_OWNER) === 0) return { owner: undefined, expires: HLC_ZERO, term: 0, token, lapsed: false };
    const term = reader.varint();
    const expires = readHlc(reader);
    const owner = reader.raw(reader.remaining).slice();
    return { owner, expires, term, token, lapsed: (shape & LAPSED) !== 0 };
  },

  sizeOf: lock => 160 + (lock.owner?.length ?? 0),
};
