import type { Hlc, PartitionId, RowBatch, Term } from '@kahuna/base';
import { isWellFormed, sequenceStorageKey } from '@kahuna/range-router';
import type { HeadCache } from './head-cache.ts';
import type { ListingQuery } from './listing.ts';
import { type ListingScan, TableListing } from './listing-scan.ts';
import type { LockOperation } from './lock-operation.ts';
import { type AppliedLock, LockTable, lockRow } from './lock-table.ts';
import type { Lock } from './locks.ts';
import { Durability, type OperationResult } from './operation.ts';
import type { NamedRow } from './row-table.ts';
import type { EntryNeed, FetchedRow, ReadNeed, StoredKey } from './rows.ts';
import { SequenceTable } from './sequence-table.ts';
import { entryOf, type SequenceCommand, type SequencePolicy, type SequenceRecord } from './sequences.ts';
import { Family } from './stored-keys.ts';

/** Whether a placed text belongs to the partition (P2 of the machine). */
interface Fence {
  owns(key: string): boolean;
}

/**
 * Locks and sequences of one data partition. What is asked of a name that the partition does not take answers undefined: whether the
 * name is no name at all or another partition's is the caller's to say.
 */
export class NameTables {
  private readonly fence: Fence;
  private readonly locks: LockTable;
  private readonly sequences: SequenceTable;

  constructor(bucket: number, cache: HeadCache, fence: Fence) {
    this.fence = fence;
    this.locks = new LockTable(bucket, cache);
    this.sequences = new SequenceTable(bucket, cache);
  }

  private takesLock(operation: LockOperation): boolean {
    return isLockName(operation) && (this.locks.get(operation.key) !== undefined || this.fence.owns(operation.key));
  }

  private takesSequence(name: string): boolean {
    return isName(name) && (this.sequences.get(name) !== undefined || this.fence.owns(sequenceStorageKey(name)));
  }

  // ---- apply ---------------------------------------------------------------------------------------------------------------

  /** Holds the lock for the next entry. Returns the key of its row if that must be fetched. */
  pinLock(command: LockOperation): StoredKey | undefined {
    return this.takesLock(command) ? this.locks.pin(command.key) : undefined;
  }

  /** The same for a sequence. */
  pinSequence(command: SequenceCommand): StoredKey | undefined {
    return this.takesSequence(command.key) ? this.sequences.pin(command.key) : undefined;
  }

  supply(row: FetchedRow): void {
    if (row.key[0] === Family.Locks) this.locks.supply(row);
    else this.sequences.supply(row);
  }

  unpin(): void {
    this.locks.unpin();
    this.sequences.unpin();
  }

  executeLock(command: LockOperation, stamp: Hlc, term: Term, skewMs: number): AppliedLock | undefined {
    return this.takesLock(command) ? this.locks.execute(command, stamp, term, skewMs) : undefined;
  }

  executeSequence(
    command: SequenceCommand,
    stamp: Hlc,
    policy: SequencePolicy,
  ): ReturnType<SequenceTable['execute']> | undefined {
    return this.takesSequence(command.key) ? this.sequences.execute(command, stamp, policy) : undefined;
  }

  // ---- reads ---------------------------------------------------------------------------------------------------------------

  readLock(operation: LockOperation, nowMs: number, term: Term): OperationResult | ReadNeed | EntryNeed | undefined {
    return this.takesLock(operation) ? this.locks.read(operation, nowMs, term) : undefined;
  }

  readSequence(name: string): OperationResult | ReadNeed | undefined {
    return this.takesSequence(name) ? this.sequences.read(name) : undefined;
  }

  /** The row of a lock for a reader, who supplies it if it has to be asked for. */
  lock(name: string): NamedRow<Lock> | undefined {
    return isName(name) && this.fence.owns(name) ? this.locks.look(name) : undefined;
  }

  /** The same of a sequence. */
  sequence(name: string): NamedRow<SequenceRecord> | undefined {
    return this.takesSequence(name) ? this.sequences.look(name) : undefined;
  }

  /** As `PartitionMachine.isHeld`. */
  isHeld(operation: LockOperation, nowMs: number, term: Term): boolean {
    return this.locks.isHeld(operation, nowMs, term);
  }

  /** As `PartitionMachine.expiredAt`. */
  expiredAt(operation: LockOperation, nowMs: number, term: Term): number {
    return this.locks.expiredAt(operation, nowMs, term);
  }

  /** `ephemeral`: locks that are in the leader's memory only. */
  openListing(
    query: ListingQuery,
    nowMs: number,
    term: Term,
    partitionId: PartitionId,
    ephemeral: Iterable<readonly [name: string, lock: Lock]>,
  ): ListingScan {
    if (query.kind === 'sequences') {
      return new TableListing(query, this.sequences, (name, record) =>
        record.live === undefined ? undefined : { entry: entryOf(name, record, record.live), partitionId },
      );
    }
    const listing = new TableListing(query, this.locks, (name, lock) =>
      lockRow(name, lock, Durability.Persistent, nowMs, term, partitionId),
    );
    for (const [name, lock] of ephemeral) listing.add(name, lockRow(name, lock, Durability.Ephemeral, nowMs, term, partitionId));
    return listing;
  }

  // ---- engine --------------------------------------------------------------------------------------------------------------

  get dirtyRows(): number {
    return this.locks.dirtyRows + this.sequences.dirtyRows;
  }

  takeFlush(into: RowBatch): void {
    this.locks.takeFlush(into);
    this.sequences.takeFlush(into);
  }

  flushed(): void {
    this.locks.flushed();
    this.sequences.flushed();
  }

  forget(): void {
    this.locks.forget();
    this.sequences.forget();
  }

  /** For `checkInvariants` of the machine; throws AssertionError. */
  check(): void {
    this.locks.check(name => this.fence.owns(name));
    this.sequences.check(name => this.fence.owns(sequenceStorageKey(name)));
  }
}

/** Names are ordinary texts, but they must survive a journey through UTF-8. */
export function isName(name: string): boolean {
  return name !== '' && isWellFormed(name);
}

export function isLockName({ key, durability }: LockOperation): boolean {
  return durability === Durability.Persistent && isName(key);
}
