import {
  type EphemeralLocks,
  type EphemeralTable,
  type Lock,
  LockResponseType,
  type LockRow,
  type Operation,
  type OperationResult,
} from '@kahuna/partition';
import { LockContention } from '../lock-contention.ts';
import type { PendingRequest } from '../request.ts';
import type { Sequencer } from '../sequencer.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';

/**
 * What a leader has in memory only, each made when it is first needed: ephemeral records, ephemeral locks, blocks of sequence values,
 * and who was told lately that a lock is busy.
 *
 * M1 It belongs to one term and goes with it (design §2): the next leader begins with nothing, and so does this one should it lead again.
 * M2 What is evaluated here has happened, but its answer leaves only once leadership is confirmed for an instant after that (see
 *    `read-gate.ts`).
 */
export class TermMemory<R extends OwnReplica> {
  private readonly replica: R;
  private readonly host: ReplicaHostOf<R>;
  private table: EphemeralTable | undefined;
  private locks: EphemeralLocks | undefined;
  private sequencer: Sequencer | undefined;
  private readonly contention = new LockContention();

  constructor(replica: R, host: ReplicaHostOf<R>) {
    this.replica = replica;
    this.host = host;
  }

  /** Evaluates an operation on ephemeral records or locks. */
  execute(request: PendingRequest): OperationResult {
    if (request.isLock) {
      this.locks ??= this.host.createEphemeralLocks(this.replica);
      const result = this.locks.execute(request.lock, this.host.hlc.now());
      this.noteRefusal(request, result);
      return result;
    }
    this.table ??= this.host.createEphemeralTable(this.replica);
    const { task } = request;
    if (task !== undefined) return task.run(this.table);
    return this.table.execute(request.operation as Operation, this.host.hlc.now());
  }

  /** Values out of a block; undefined if the request waits for an entry that reserves one, or for a row. */
  takeValues(request: PendingRequest): OperationResult | undefined {
    this.sequencer ??= this.host.createSequencer(this.replica);
    return this.sequencer.take(request);
  }

  /** The answer to a lock operation, persistent ones too. */
  noteRefusal(request: PendingRequest, result: OperationResult): void {
    if (result.type === LockResponseType.Busy) this.contention.note(request.lock, this.host.hlc.current().l);
  }

  /** The row with what this leader remembers of those who want the lock too. */
  withContenders(row: LockRow): LockRow {
    return this.contention.describe(row, this.host.hlc.current().l);
  }

  lock(name: string): Lock | undefined {
    return this.locks?.lock(name);
  }

  lockEntries(): Iterable<readonly [name: string, lock: Lock]> {
    return this.locks?.entries() ?? [];
  }

  expire(startedBefore: number): void {
    this.sequencer?.expire(startedBefore);
  }

  /** Leadership is gone. */
  drop(): void {
    this.table?.drop();
    this.table = undefined;
    this.locks?.drop();
    this.locks = undefined;
    this.contention.clear();
    this.sequencer?.drop();
    this.sequencer = undefined;
  }

  /** The node stops: nothing that waits here will be answered any more. */
  giveUp(): void {
    this.sequencer?.drop();
  }
}
