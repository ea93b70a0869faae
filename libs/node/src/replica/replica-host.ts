import type { Hlc, HybridClock, LogIndex, PartitionId } from '@kahuna/base';
import type { CommandPolicy, EphemeralLocks, EphemeralTable, PartitionMachine, ReadNeed } from '@kahuna/partition';
import type { RaftGroup } from '@kahuna/raft';
import type { Meters } from '../meters.ts';
import type { PendingRequest } from '../request.ts';
import type { Sequencer } from '../sequencer.ts';

/** What a replica and its rooms need of their node; `R` is what the node knows the replica as. */
export interface ReplicaHostOf<R> {
  readonly hlc: HybridClock;
  readonly limits: ReplicaLimits;
  /** Reads, and operations on what is in memory only, that wait for their leadership to be confirmed or for entries to be applied. */
  readonly maxWaitingReads: number;
  /** Reads of the node for which rows are under way. */
  readonly readsInFetch: number;
  /** The engine has fallen so far behind that nothing more is proposed for now. */
  readonly stateIsBehind: boolean;
  readonly meters: Meters;
  /** This replica has something to do in the next flush. */
  wake(replica: R): void;
  monotonicMs(): number;
  /** A promise of a quorum not to elect anybody else has not run out. */
  hasLease(replica: R): boolean;
  /** Members of a quorum, in this term, have clocks at or above `t`. */
  quorumHasPassed(replica: R, t: Hlc): boolean;
  /** Proposes an entry without effect, whose stamp those who take it have clocks above from then on; `done` follows. */
  noteTime(replica: R, done: () => void): void;
  /** Reads rows of the engine for a read that could not be answered from memory; the replica is called back. */
  fetchForRead(replica: R, request: PendingRequest, need: ReadNeed): void;
  /** Reads head rows that the next entry needs; `resume` follows. */
  fetchForApply(replica: R, keys: readonly Uint8Array[], resume: () => void): void;
  createEphemeralTable(replica: R): EphemeralTable;
  createEphemeralLocks(replica: R): EphemeralLocks;
  createSequencer(replica: R): Sequencer;
  /** Stands in every entry with commands that it shapes. */
  readonly policy: CommandPolicy;
  /** A read as of `t` was aborted, because history was pruned. */
  historyMissing(t: Hlc): void;
  /** Runs `task` when the wall clock has advanced by `ms`. */
  after(ms: number, task: () => void): void;
  /** The log asks for something that this node cannot evaluate, or its state contradicts itself. Never returns to normal. */
  fatal(reason: string): void;
  /** The entry at `comparedIndex` has been applied. */
  comparedIndexReached(replica: R): void;
  /** Committed results of this replica changed what the node knows about the cluster (P0, P1). */
  systemChanged(replica: R): void;
}

export interface ReplicaLimits {
  /** Commands in one log entry. */
  readonly maxBatchItems: number;
  readonly maxBatchBytes: number;
  /** Requests waiting for or under proposal. */
  readonly maxQueuedItems: number;
  readonly maxQueuedBytes: number;
}

/** The replica as its own rooms see it. */
export interface OwnReplica {
  readonly partitionId: PartitionId;
  readonly group: RaftGroup;
  readonly machine: PartitionMachine;
  /** Leads from a state that may be shown. */
  readonly mayServe: boolean;
  /** A snapshot is taking the place of its state. */
  readonly installing: boolean;
  /** Its state is not what a quorum has. */
  readonly diverged: boolean;
  /** The node is told when this entry has been applied, 0 = none. */
  readonly comparedIndex: LogIndex;
  readCount: number;
  writeCount: number;
  /** Takes a request as if it came now. */
  accept(request: PendingRequest): void;
}
