import type { Hlc, Term } from '@kahuna/base';
import { CachedRecord, type HeadCache, type RecordOwner } from './head-cache.ts';
import type { LockOperation } from './lock-operation.ts';
import { LockResponseType } from './lock-operation.ts';
import { evaluateLock, hasExpired, type Lock, type LockMoment, lockAnswer } from './locks.ts';
import type { OperationResult } from './operation.ts';

/** When idle free locks are forgotten (spec locks §9). */
export interface LockEviction {
  /** Idle time before a free lock may go. Milliseconds. */
  readonly idleMs: number;
  /** Fewer locks than this are left alone. */
  readonly minLocks: number;
  /** Locks that go in one pass, at most. */
  readonly maxPerPass: number;
  /** Operations between passes. */
  readonly operationsPerPass: number;
}

export const DEFAULT_LOCK_EVICTION: LockEviction = {
  idleMs: 1_800_000,
  minLocks: 200,
  maxPerPass: 100,
  operationsPerPass: 500,
};

const LOOKS_PER_PASS = 1000;

class EphemeralLock extends CachedRecord {
  lock: Lock;
  lastUsedMs: number;

  constructor(name: string, owner: RecordOwner, lock: Lock, nowMs: number) {
    super(name, owner);
    this.lock = lock;
    this.lastUsedMs = nowMs;
  }
}

/**
 * Ephemeral locks of one partition, in the memory of its leader: one table per term led, dropped with the leadership. Tokens grow as
 * long as the table lives: a lock that is not here begins above the highest token that was evicted.
 * A held lock is never evicted; if nothing else is left to go, new names are refused.
 */
/** Told of every change, in the step that makes it: nobody knows yet whether its leader still leads. */
export interface EphemeralLockObserver {
  changed(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void;
}

export class EphemeralLocks implements RecordOwner {
  private readonly term: Term;
  private readonly cache: HeadCache;
  private readonly eviction: LockEviction;
  private readonly locks = new Map<string, EphemeralLock>();
  /** Highest token of an evicted lock; -1 while none was. */
  private tokenFloor = -1;
  private operations = 0;
  private cursor: IterableIterator<EphemeralLock> | undefined;
  observer: EphemeralLockObserver | undefined;

  constructor(term: Term, cache: HeadCache, eviction: LockEviction = DEFAULT_LOCK_EVICTION) {
    this.term = term;
    this.cache = cache;
    this.eviction = eviction;
  }

  get size(): number {
    return this.locks.size;
  }

  /** What memory knows of a lock, be it free. */
  lock(name: string): Lock | undefined {
    return this.locks.get(name)?.lock;
  }

  /** Evaluates one operation now: `stamp` is freshly minted by the leader. The name is one of this partition. */
  execute(operation: LockOperation, stamp: Hlc): OperationResult {
    const record = this.locks.get(operation.key);
    if (record === undefined && operation.kind === 'lock-acquire' && this.cache.overloaded) {
      this.cache.shrink(stamp.l);
      return lockAnswer(LockResponseType.MustRetry, 0);
    }
    const before = record?.lock;
    const { answer, lock } = evaluateLock(before, operation, this.moment(stamp));
    if (lock !== before && lock !== undefined) this.observer?.changed(operation.key, before, lock, stamp);
    if (record !== undefined) {
      record.used = true;
      record.lastUsedMs = stamp.l;
      if (lock !== undefined && lock !== record.lock) this.replace(record, lock);
    } else if (lock !== undefined) this.add(new EphemeralLock(operation.key, this, lock, stamp.l));
    if (++this.operations >= this.eviction.operationsPerPass) this.pass(stamp.l);
    return answer;
  }

  private add(record: EphemeralLock): void {
    this.locks.set(record.key, record);
    this.cache.add(record);
    this.cache.grow(record, record.lock.owner?.length ?? 0);
    this.cache.release(record);
    this.cache.shrink(record.lastUsedMs);
  }

  private replace(record: EphemeralLock, lock: Lock): void {
    this.cache.resize(record, lock.owner?.length ?? 0);
    record.lock = lock;
  }

  /** The term is always this one's: nobody else's clock granted anything. */
  private moment(now: Hlc): LockMoment {
    return { now, term: this.term, skewMs: 0, tokenFloor: this.tokenFloor };
  }

  /** Goes on where the last pass stopped, so that each lock is looked at once before any is looked at twice. */
  private pass(nowMs: number): void {
    this.operations = 0;
    let evicted = 0;
    for (let looks = 0; looks < LOOKS_PER_PASS && evicted < this.eviction.maxPerPass; looks++) {
      if (this.locks.size < this.eviction.minLocks) return;
      this.cursor ??= this.locks.values();
      const { value, done } = this.cursor.next();
      if (done === true) {
        this.cursor = undefined;
        return;
      }
      if (nowMs - value.lastUsedMs < this.eviction.idleMs || !this.mayEvict(value, nowMs)) continue;
      this.cache.remove(value);
      this.evicted(value);
      evicted++;
    }
  }

  mayEvict(record: EphemeralLock, nowMs: number): boolean {
    const { lock } = record;
    return lock.owner === undefined || hasExpired(lock, this.moment({ n: 0, l: nowMs, c: 0 }));
  }

  evicted(record: EphemeralLock): void {
    this.tokenFloor = Math.max(this.tokenFloor, record.lock.token);
    this.locks.delete(record.key);
  }

  /** Names with their locks, in no order; for listings. */
  *entries(): Iterable<readonly [name: string, lock: Lock]> {
    for (const record of this.locks.values()) yield [record.key, record.lock];
  }

  /** Leadership is over. */
  drop(): void {
    for (const record of this.locks.values()) this.cache.remove(record);
    this.locks.clear();
  }
}
