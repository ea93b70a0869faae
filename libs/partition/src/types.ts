import type { Hlc, LogIndex, PartitionId, RowBatch, Term } from '@kahuna/base';
import type { Configuration } from '@kahuna/raft';
import type { HistoryCommand } from './history-commands.ts';
import type { HoldState } from './holds.ts';
import type { ListingQuery } from './listing.ts';
import type { ListingScan } from './listing-scan.ts';
import type { LockOperation } from './lock-operation.ts';
import type { Lock } from './locks.ts';
import type { GetOperation, OperationResult, WriteOperation } from './operation.ts';
import type { NamedRow } from './row-table.ts';
import type { EntryNeed, FetchedRow, FlushBatch, ReadNeed, StoredKey } from './rows.ts';
import type { PartitionQuery, PartitionScan } from './scan.ts';
import type { SequenceGet } from './sequence-operation.ts';
import type { SequenceCommand, SequencePolicy, SequenceRecord } from './sequences.ts';
import type { CapturedKey, ChangeObserver, NameObserver } from './watch.ts';

export * from './rows.ts';

/**
 * The replicated state machine of one partition, as its host sees it.
 *
 * The log holds commands, not effects ("evaluate at apply"): each replica evaluates them at the same index to the same result.
 * Apply reads its entry and the replicated state, nothing else: no clock, no flag of this node, no unordered iteration.
 * Memory runs ahead of the engine: effects are visible at once, the host writes them behind with {@link PartitionMachine.takeFlush};
 * the log makes them durable meanwhile, so nothing is lost by a crash between the two.
 */

/** Who asked, forever: the node that received the request, its boot number, and a number of its own. Travels over forwards and re-proposals. */
export interface OperationId {
  readonly node: number;
  readonly boot: number;
  readonly number: number;
}

/** First command of P0: founds the cluster. A second one has no effect. */
export interface FoundCluster {
  readonly kind: 'found-cluster';
  readonly clusterId: string;
  /** Hash pool: partitions 2 … poolSize + 1. */
  readonly poolSize: number;
  readonly members: readonly FoundingMember[];
}

export interface FoundingMember {
  readonly endpoint: string;
  readonly nodeId: number;
  readonly name: string;
  /** Random identity of the data directory: the same endpoint with another one is a new member. */
  readonly storageId: number;
  readonly clientUrl: string;
  readonly consoleUrl: string;
}

/** P0: a member says what it is called and where clients reach it. Unknown endpoint: no effect. */
export interface DescribeMember {
  readonly kind: 'describe-member';
  readonly endpoint: string;
  readonly name: string;
  readonly clientUrl: string;
  readonly consoleUrl: string;
}

/** First command of P1: range map version 1, no key space registered. */
export interface FoundRangeMap {
  readonly kind: 'found-range-map';
}

export type Command =
  | WriteOperation
  | LockOperation
  | SequenceCommand
  | HistoryCommand
  | FoundCluster
  | DescribeMember
  | FoundRangeMap;

/** A command with its identity. `receipt`: clock of the receiving node when the request came in. */
export interface Proposal {
  readonly id: OperationId;
  readonly receipt: Hlc;
  readonly command: Command;
}

/** Settings of the proposing leader that shape what its commands do: they stand in the entry, or replicas would differ. */
export interface CommandPolicy extends SequencePolicy {
  /** Clock skew allowed between nodes when a lease of an earlier term is judged. Milliseconds. */
  readonly lockSkewMs: number;
}

/** Payload of one log entry. Command i carries the stamp `stampAfter(stamp, i)`. `level`: feature level to evaluate at. */
export interface CommandBatch {
  readonly stamp: Hlc;
  readonly level: number;
  /** Always there if a command is about a lock or a sequence. */
  readonly policy?: CommandPolicy;
  readonly proposals: readonly Proposal[];
}

/** Feature level of this release; an entry of a higher one stops the node. */
export const FEATURE_LEVEL = 1;

export interface RosterMember extends FoundingMember {
  readonly role: 'Learner' | 'Voter' | 'Leaving';
  readonly joinedVersion: number;
}

/** State of P0. */
export interface SystemState {
  readonly clusterId: string;
  readonly poolSize: number;
  readonly membershipVersion: number;
  /** Sorted by endpoint. */
  readonly members: readonly RosterMember[];
}

/** State of P1. */
export interface MetaState {
  readonly mapVersion: number;
}

/** Reads of one partition by name; `lock-acquire` is one only as long as the lock is held. */
export type ReadOperation = GetOperation | LockOperation | SequenceGet;

export interface PartitionMachine {
  readonly partitionId: PartitionId;
  readonly appliedIndex: LogIndex;
  readonly appliedTerm: Term;
  /** Stamp of the last applied command; every later one is above it. */
  readonly lastStamp: Hlc;
  /** Running checksum over all effects so far: equal at equal indexes on every replica. uint32. */
  readonly checksum: number;
  /** Live and dead heads known to be stored; approximate count for display. */
  readonly keyCount: number;
  /** Keys, locks and sequences that the next flush would write: for the host's decision when to flush. */
  readonly dirtyRecords: number;
  /** Last applied configuration, or that of the group row; undefined if neither had one. */
  readonly configuration: Configuration | undefined;
  readonly system: SystemState | undefined;
  readonly meta: MetaState | undefined;
  /** P1: snapshot holds and the ceiling of pruning. */
  readonly holds: HoldState;
  /** Told the key whenever a version is superseded; whoever leads and prunes sets it. */
  onSuperseded: ((key: string) => void) | undefined;
  /** Told every change of a key, in order, while somebody watches; undefined costs nothing. */
  observer: ChangeObserver | undefined;
  /** Told what happens to locks and sequences, watched or not. */
  names: NameObserver | undefined;
  /** History whose end lies at or below this may be gone. */
  readonly prunedFloor: Hlc;
  /** Keys of which memory knows more than the engine, at this instant; the host takes its view of the engine in the same step. */
  captureForWatch(watched: (key: string) => boolean): CapturedKey[];

  /** Stored keys whose heads must be supplied before `apply(batch)`; a shared empty array in the hot case. */
  needs(batch: CommandBatch): readonly StoredKey[];
  /** Heads read from the engine after `needs` or `read` asked. Pinned until the next `apply`. */
  supply(rows: readonly FetchedRow[]): void;
  /** Evaluates one committed entry. `index` = appliedIndex + 1. Results are aligned with the proposals. Every command is evaluated, also one whose id was seen before: the memory of answers is not replicated, so only the leader may consult it, before it proposes. */
  apply(index: LogIndex, term: Term, batch: CommandBatch): OperationResult[];
  /** An entry without commands (no-op, configuration): advances the applied index; the configuration is remembered for snapshots. */
  applyEmpty(index: LogIndex, term: Term, configuration: Configuration | undefined): void;

  /**
   * Evaluates a read at the applied state. `nowMs`: physical part of the leader's clock, for expiry of latest reads. Returns the
   * answer, or what must be fetched first; then call again with `fetched`. That call may ask again: fetch *its* need and pass those
   * rows. Asking anew without rows starts the search over (an as-of read of a long history takes several rounds).
   */
  read(
    operation: ReadOperation,
    nowMs: number,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed | EntryNeed;
  /** An acquire that the applied state already refuses or repeats, as far as memory knows: it may be tried as a read. */
  isHeld(operation: LockOperation, nowMs: number): boolean;
  /** The record of a sequence as applied, for the leader, which serves values of blocks from its own memory. undefined: not this partition's. */
  sequence(name: string): NamedRow<SequenceRecord> | undefined;
  /** The record of a lock as applied. undefined: not this partition's. */
  lock(name: string): NamedRow<Lock> | undefined;
  /** Begins a read of many keys at this instant; the host takes a view of the engine in the same step. undefined: not this partition's. */
  openScan(query: PartitionQuery, nowMs: number): PartitionScan | undefined;
  /** Expiry instant (ms) that made this key answer as expired at `nowMs`, or 0: such an answer needs a quorum's clocks at or above it. */
  expiredAt(operation: ReadOperation, nowMs: number): number;

  /** The answer remembered for an id; 'unknown' if the memory does not reach back to `receipt`; undefined if it surely was not applied. */
  remembered(id: OperationId, receipt: Hlc): OperationResult | 'unknown' | undefined;

  /**
   * Begins a listing of locks or sequences as of now; `ephemeral`: what else the leader has in memory. The host scans the engine for it.
   * undefined: the partition holds none.
   */
  openListing(
    query: ListingQuery,
    nowMs: number,
    ephemeral: Iterable<readonly [name: string, lock: Lock]>,
  ): ListingScan | undefined;

  /**
   * Adds the effects since the last call to what goes to the engine in one atomic batch, together with those of other partitions;
   * undefined if there are none. They stay visible in memory until `flushed` is called with the result. One at a time.
   */
  takeFlush(into: RowBatch): FlushBatch | undefined;
  flushed(batch: FlushBatch): void;

  /** Everything this partition owns in the engine: intervals for snapshot, install and destruction. */
  extent(): readonly { readonly from: Uint8Array; readonly to: Uint8Array }[];
  /** The engine now holds another state (snapshot installed): forget memory and begin from this meta row. */
  restore(metaRow: Uint8Array): void;
}
