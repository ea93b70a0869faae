import type { Hlc, PartitionId, Term } from '@kahuna/base';
import type { HeadCache } from './head-cache.ts';
import type { LockRow } from './listing.ts';
import type { LockOperation } from './lock-operation.ts';
import { acquireDecided, evaluateLock, hasExpired, isContestable, LOCK_ROWS, type Lock, type LockMoment } from './locks.ts';
import type { Durability, OperationResult } from './operation.ts';
import { RowTable } from './row-table.ts';
import type { EntryNeed, ReadNeed } from './rows.ts';

/** Clock skew allowed between nodes when a lease is judged in a later term than it was granted in (spec locks §4). Milliseconds. */
export const LOCK_CLOCK_SKEW_MS = 500;

const NEEDS_ENTRY: EntryNeed = Object.freeze({ kind: 'entry' });

export interface AppliedLock {
  readonly answer: OperationResult;
  readonly before: Lock | undefined;
  /** The state after the command, if it changed. */
  readonly changed: Lock | undefined;
}

/** Persistent locks of one partition. */
export class LockTable extends RowTable<Lock> {
  constructor(bucket: number, cache: HeadCache) {
    super(LOCK_ROWS, bucket, cache);
  }

  /** Evaluates a command of the log; its row is pinned and here. */
  execute(operation: LockOperation, stamp: Hlc, term: Term, skewMs: number): AppliedLock {
    const row = this.pinnedRow(operation.key);
    const before = row.state;
    const outcome = evaluateLock(before, operation, { now: stamp, term, skewMs, tokenFloor: -1 });
    row.used = true;
    if (outcome.lock === before || outcome.lock === undefined) return { answer: outcome.answer, before, changed: undefined };
    this.changed(row, outcome.lock);
    return { answer: outcome.answer, before, changed: outcome.lock };
  }

  /**
   * Answers lock-info, and an acquire of a lock that is held, from the applied state. Everything else takes an entry: also the
   * information that a lease has just run out, because a later leader might not see that yet ({@link isContestable}).
   */
  read(operation: LockOperation, nowMs: number, term: Term): OperationResult | ReadNeed | EntryNeed {
    const row = this.look(operation.key);
    if (row.asked !== undefined) return { kind: 'rows', keys: [row.asked] };
    const moment = momentOf(nowMs, term);
    if (operation.kind === 'lock-acquire') return acquireDecided(row.state, operation, moment) ?? NEEDS_ENTRY;
    const outcome = evaluateLock(row.state, operation, moment);
    return outcome.lock === row.state ? outcome.answer : NEEDS_ENTRY;
  }

  /** Memory alone says that this acquire would change nothing. */
  isHeld(operation: LockOperation, nowMs: number, term: Term): boolean {
    const row = this.get(operation.key);
    return row?.state !== undefined && acquireDecided(row.state, operation, momentOf(nowMs, term)) !== undefined;
  }

  /** As `PartitionMachine.expiredAt`: the instant from which on every leader agrees that the lease is over. */
  expiredAt(operation: LockOperation, nowMs: number, term: Term): number {
    const lock = this.get(operation.key)?.state;
    if (lock?.owner === undefined || lock.lapsed || isContestable(lock, momentOf(nowMs, term))) return 0;
    return lock.expires.l + LOCK_CLOCK_SKEW_MS;
  }
}

function momentOf(nowMs: number, term: Term): LockMoment {
  return { now: { n: 0, l: nowMs, c: 0 }, term, skewMs: LOCK_CLOCK_SKEW_MS, tokenFloor: -1 };
}

/** A lock as listings show it. */
export function lockRow(
  name: string,
  lock: Lock,
  durability: Durability,
  nowMs: number,
  term: Term,
  partitionId: PartitionId,
): LockRow {
  const { owner, expires, token } = lock;
  const held = owner !== undefined && !hasExpired(lock, momentOf(nowMs, term));
  return { name, durability, held, owner: owner ?? null, expires, token, partitionId };
}
