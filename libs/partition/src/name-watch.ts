import { HLC_ZERO, type Hlc } from '@kahuna/base';
import { LOCK_CLOCK_SKEW_MS } from './lock-table.ts';
import type { Lock } from './locks.ts';
import type { SequenceEntry } from './sequence-operation.ts';
import { entryOf, type SequenceRecord } from './sequences.ts';

/**
 * What a watch of one lock or one sequence tells (docs/decisions/0006-watch.md). They keep no history: a watch begins, and begins
 * again, with a snapshot; what follows is what the log did, and is the same on all replicas.
 *
 *     lock:      snapshot ── acquired ── extended* ── released | expired ── acquired ── …
 *     sequence:  snapshot ── created ── (reserved | updated)* ── deleted ── created ── …
 */

/** Of a resource or a name. */
interface NamedChange {
  readonly name: string;
  /** Stamp of the command that brought it about; of a snapshot, of the last command that it shows. */
  readonly stamp: Hlc;
}

export interface LockChange extends NamedChange {
  readonly kind: 'snapshot' | 'acquired' | 'extended' | 'released' | 'expired';
  /** Somebody holds the lock after this. */
  readonly held: boolean;
  /** The holder; of a release or an expiry, who held it. undefined: a snapshot of a lock that nobody holds. */
  readonly owner: Uint8Array | undefined;
  /** End of the lease that is, or was, held; zero as the owner is undefined. */
  readonly expires: Hlc;
  /** Last fencing token granted; -1: none yet. */
  readonly token: number;
}

export interface SequenceChange extends NamedChange {
  readonly kind: 'snapshot' | 'created' | 'updated' | 'reserved' | 'deleted';
  /** undefined: there is no such sequence. */
  readonly entry: SequenceEntry | undefined;
}

const FREE = { owner: undefined, expires: HLC_ZERO } as const;

/** Commands that change a sequence, as {@link SequenceChange} calls what they do. */
const SEQUENCE_KINDS = {
  'sequence-create': 'created',
  'sequence-update': 'updated',
  'sequence-delete': 'deleted',
  'sequence-allocate': 'reserved',
} as const;

/**
 * The lease may still be honoured by somebody who evaluates a command stamped above `stamp`. A later leader grants an allowance for the
 * clock that set its end, so only what was seen to have run out, or lies behind the allowance, is over for certain.
 */
export function mayBeHeld(lock: Lock | undefined, stamp: Hlc): boolean {
  return lock?.owner !== undefined && !lock.lapsed && lock.expires.l + LOCK_CLOCK_SKEW_MS >= stamp.l;
}

/** The state of a lock after everything up to `stamp`. `lease`: if it is held. `token`: the last one granted. */
export function lockSnapshot(name: string, lease: Lock | undefined, token: number, stamp: Hlc): LockChange {
  const { owner, expires } = lease ?? FREE;
  return { kind: 'snapshot', name, stamp, held: lease !== undefined, owner, expires, token };
}

/**
 * What a command stamped `stamp` did to a lock. An acquire that takes over a lease that had run out without anybody noticing is an
 * expiry and a grant; the release of one that everybody knew to be over is nothing.
 */
export function lockChanges(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): readonly LockChange[] {
  const changes: LockChange[] = [];
  const wasHeld = before?.owner !== undefined && !before.lapsed;
  const granted = after.owner !== undefined && after.token !== before?.token;
  if (wasHeld && (granted || after.lapsed)) changes.push(lockEnd('expired', name, before, stamp));
  if (granted) changes.push(lockHeld('acquired', name, after, stamp));
  else if (wasHeld && after.owner === undefined) changes.push(lockEnd('released', name, before, stamp));
  else if (wasHeld && !after.lapsed) changes.push(lockHeld('extended', name, after, stamp));
  return changes;
}

function lockHeld(kind: 'acquired' | 'extended', name: string, lock: Lock, stamp: Hlc): LockChange {
  return { kind, name, stamp, held: true, owner: lock.owner, expires: lock.expires, token: lock.token };
}

export function lockEnd(kind: 'released' | 'expired', name: string, lock: Lock, stamp: Hlc): LockChange {
  return { kind, name, stamp, held: false, owner: lock.owner, expires: lock.expires, token: lock.token };
}

export function sequenceChange(
  name: string,
  command: keyof typeof SEQUENCE_KINDS,
  record: SequenceRecord,
  stamp: Hlc,
): SequenceChange {
  return { kind: SEQUENCE_KINDS[command], name, stamp, entry: sequenceEntryIn(name, record) };
}

/** A copy: the record goes on changing. */
export function sequenceEntryIn(name: string, record: SequenceRecord | undefined): SequenceEntry | undefined {
  return record?.live === undefined ? undefined : entryOf(name, record, record.live);
}
