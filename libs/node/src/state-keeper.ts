import { type PartitionId, RowBatch } from '@kahuna/base';
import type { FlushBatch } from '@kahuna/partition';
import type { Configuration } from '@kahuna/raft';
import type { NodeInternals } from './internals.ts';
import type { LogStore, StateEngine } from './ports.ts';
import type { Replica } from './replica.ts';

/**
 * So many records are written at once without waiting for their time: a flush encodes them in one go, in which the node does nothing else (some 3 µs
 * for each), which is time that clients in step wait for. Rows that were just applied are also still near the processor. Measured against 512 with
 * 64 workers: 16 % more puts, p99 15 instead of 20 ms; with 256, where an entry has 256 records, no difference.
 */
const FULL_RECORDS = 128;
/**
 * A checkpoint comes before its time when groups hold so much more log than they are to keep, in memory and on disk: what a busy group writes in
 * the usual interval is many times that, a restart would replay it, and the log would go on making new files where it could use freed ones again.
 */
const LONG_LOG_BYTES = 32 * 1024 * 1024;
/** But not more often. */
const CHECKPOINT_PAUSE_MS = 1000;
/**
 * Beyond this no more is proposed here until the engine has caught up: it is slower than the log, or stands still, and whatever is acknowledged
 * meanwhile stays in memory and in the log's files. Rows of so much are also what one flush may have to encode.
 */
const MAX_EXCESS_BYTES = 128 * 1024 * 1024;
/** Up to 16 of these are kept from flush to flush. */
const BATCH_SLAB_BYTES = 256 * 1024;
/** Compaction waits until this much more than what is to be kept has gathered, so that it is not done entry by entry. */
const SLACK = 1.1;

/**
 * Brings applied state into the engine behind the requests, and takes from the log what the engine holds.
 *
 * K1 One atomic batch at a time carries the changes of all partitions with their applied indexes.
 * K2 A log is compacted only up to an index whose effects the engine has made durable (invariant 6).
 * K3 What the engine does not have yet is bounded: see {@link isBehind} (invariant 13).
 */
export class StateKeeper {
  private readonly node: NodeInternals;
  private readonly engine: StateEngine;
  private readonly log: LogStore;
  /** With so many records to flush each. */
  private readonly dirty = new Map<Replica, number>();
  /** The sum of these. */
  private gathered = 0;
  /** Of the flush that is being taken; always the same memory. */
  private readonly rows = new RowBatch(BATCH_SLAB_BYTES);
  private readonly waiting: (() => void)[] = [];
  private flushing = false;
  /** Enough has gathered; a flush is scheduled, or follows the one under way. */
  private full = false;
  /** Monotonic instant of the next flush, 0 = nothing to flush. */
  private flushDue = 0;
  private checkpointDue = 0;
  private checkpointedAt = 0;
  private checkpointing = false;
  /** Looked at in every tick. */
  isBehind = false;

  constructor(node: NodeInternals, engine: StateEngine, log: LogStore) {
    this.node = node;
    this.engine = engine;
    this.log = log;
  }

  begin(now: number): void {
    this.checkpointedAt = now;
    this.checkpointDue = now + this.node.settings.checkpointMs;
  }

  /** The machine has moved past what the engine was given. */
  applied(replica: Replica): void {
    if (replica.machine.appliedIndex <= replica.flushedIndex) return;
    const { dirtyRecords } = replica.machine;
    this.gathered += dirtyRecords - (this.dirty.get(replica) ?? 0);
    this.dirty.set(replica, dirtyRecords);
    if (this.flushDue === 0) this.flushDue = this.node.monotonicMs() + this.node.settings.stateFlushMs;
    if (this.full || this.gathered < FULL_RECORDS) return;
    this.full = true;
    // Behind the answers to what was applied.
    if (!this.flushing) this.node.soon(() => this.flushFull());
  }

  tick(now: number): void {
    if (this.flushDue !== 0 && now >= this.flushDue) this.flush();
    const excess = this.logExcess();
    // A log that is long for another reason would not become shorter by waiting.
    this.isBehind = excess >= MAX_EXCESS_BYTES && (this.flushing || this.checkpointing);
    const early = excess >= LONG_LOG_BYTES && now >= this.checkpointedAt + CHECKPOINT_PAUSE_MS;
    if (early || now >= this.checkpointDue) this.checkpoint(now);
  }

  private logExcess(): number {
    const kept = this.node.settings.keepBytes * SLACK;
    let excess = 0;
    for (const { group } of this.node.replicas.values()) excess += Math.max(0, group.logBytes - kept);
    return excess;
  }

  private flushFull(): void {
    if (this.full && this.node.running) this.flush();
  }

  /** Writes what was applied; `done` follows once everything applied before the call is in the engine. */
  flush(done?: () => void): void {
    if (this.flushing) {
      if (done !== undefined) this.waiting.push(() => this.flush(done));
      return;
    }
    this.flushDue = 0;
    this.full = false;
    const batches: { replica: Replica; batch: FlushBatch }[] = [];
    const { rows } = this;
    rows.clear();
    for (const replica of this.dirty.keys()) {
      // Its old state is being replaced: nothing of it may be written any more.
      if (replica.installing) continue;
      const batch = replica.machine.takeFlush(rows);
      if (batch === undefined) continue;
      batches.push({ replica, batch });
    }
    this.dirty.clear();
    this.gathered = 0;
    if (rows.count === 0) {
      done?.();
      return;
    }
    this.flushing = true;
    this.engine.write(rows, error => {
      this.flushing = false;
      if (error !== undefined) {
        this.node.fatal(`state engine failed: ${error.message}`);
        return;
      }
      for (const { replica, batch } of batches) replica.flushed(batch);
      done?.();
      for (const next of this.waiting.splice(0)) next();
      this.flushFull();
    });
  }

  private checkpoint(now: number): void {
    this.checkpointedAt = now;
    this.checkpointDue = now + this.node.settings.checkpointMs;
    if (this.checkpointing) return;
    this.checkpointing = true;
    this.flush(() => {
      const flushed = new Map<PartitionId, number>();
      const states = new Map<Replica, number>();
      for (const replica of this.node.replicas.values()) {
        flushed.set(replica.partitionId, replica.flushedIndex);
        states.set(replica, replica.restorations);
      }
      this.engine.sync(error => {
        this.checkpointing = false;
        if (this.node.failedEngine(error)) return;
        this.node.counters.checkpoints++;
        for (const [partitionId, index] of flushed) {
          const replica = this.node.replica(partitionId);
          if (replica === undefined || replica.installing) continue;
          if (states.get(replica) !== replica.restorations) {
            // A snapshot came in between, and may have led back.
            flushed.set(partitionId, replica.durableIndex);
            continue;
          }
          replica.durableIndex = Math.max(replica.durableIndex, index);
          this.compact(replica);
        }
        this.log.release(flushed);
      });
    });
  }

  /** Keeps some entries behind the durable state for followers that lag; those further behind get a snapshot. */
  private compact(replica: Replica): void {
    const { group } = replica;
    const { keepEntries, keepBytes } = this.node.settings;
    const entries = group.lastIndex - group.firstIndex + 1;
    if (entries <= keepEntries * SLACK && group.logBytes <= keepBytes * SLACK) return;
    // Bytes are spread evenly enough over the entries to estimate how many fit.
    const fit = group.logBytes > keepBytes ? Math.floor((entries * keepBytes) / group.logBytes) : entries;
    const index = Math.min(replica.durableIndex, group.lastIndex - Math.min(fit, keepEntries));
    const term = index < group.firstIndex ? undefined : group.termAt(index);
    if (term === undefined) return;
    group.compact(index);
    replica.compactions++;
    this.node.meters.steps.maintenance++;
    const configuration = replica.machine.configuration ?? replica.baseConfiguration;
    this.writeStart(replica.partitionId, replica.replicaId, index, term, configuration, false);
  }

  /** The log of a group begins behind `index` from now on; with `reset` the entries at hand are void. */
  writeStart(
    partitionId: PartitionId,
    replicaId: number,
    index: number,
    term: number,
    configuration: Configuration,
    reset: boolean,
    done?: () => void,
  ): void {
    const start = { index, term, configuration, reset };
    this.log.append([{ partitionId, replicaId, hardState: undefined, entries: [], start }], undefined, error => {
      if (error !== undefined) this.node.fatal(`log write failed: ${error.message}`);
      else done?.();
    });
  }
}
