import type { LogIndex, NodeId, ReplicaId, Term } from '@kahuna/base';

/**
 * The public language of one Raft group (Ongaro and Ousterhout 2014; Ongaro's dissertation 2014 for pre-vote §9.6, leadership
 * transfer §3.10, membership §4, ReadIndex §6.4). Nothing here does I/O, reads a clock, draws a number or returns a promise.
 */

export const EntryKind = { Noop: 0, Command: 1, Configuration: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** One slot of the log. `data` is opaque for commands and an encoded {@link Configuration} for configuration entries. */
export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What a replica must never forget. `vote` 0 = none in this term. */
export interface HardState {
  readonly term: Term;
  readonly vote: ReplicaId;
}

export interface Member {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
}

/**
 * Who takes part. While `outgoing` is not empty the configuration is joint: every quorum, of whatever kind, is a majority of
 * `voters` and a majority of `outgoing`. Lists are sorted by replicaId.
 */
export interface Configuration {
  readonly voters: readonly Member[];
  readonly outgoing: readonly Member[];
  readonly learners: readonly Member[];
}

/** A wish for another membership; at most one is under way at a time. */
export type ConfigurationChange =
  | { readonly kind: 'simple'; readonly voters: readonly Member[]; readonly learners: readonly Member[] }
  /** Passes through a joint configuration; the leader leaves it by itself once the joint entry is committed. */
  | { readonly kind: 'joint'; readonly voters: readonly Member[]; readonly learners: readonly Member[] };

export const MessageType = {
  Append: 1,
  AppendResponse: 2,
  Heartbeat: 3,
  HeartbeatResponse: 4,
  PreVote: 5,
  PreVoteResponse: 6,
  Vote: 7,
  VoteResponse: 8,
  TimeoutNow: 9,
  /** "Log below my first entry": the receiver is offered a snapshot; its rows travel outside the core. */
  SnapshotInstalled: 10,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One message between two replicas of a group. A single shape for all types keeps the hot path monomorphic; a field that a type
 * does not use is 0, false or empty.
 */
export interface Message {
  readonly type: MessageType;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
  /** Append: index before the entries. Vote, PreVote: the candidate's last index. AppendResponse: match index, or the hint when rejected. SnapshotInstalled: snapshot index. */
  readonly index: LogIndex;
  /** Append: term at `index`. Vote, PreVote: the candidate's last term. AppendResponse rejected: term at the hint. */
  readonly logTerm: Term;
  /** Append, Heartbeat: the leader's commit index (Heartbeat: capped to what the receiver is known to match). */
  readonly commit: LogIndex;
  readonly entries: readonly Entry[];
  /** AppendResponse, votes: refused. */
  readonly reject: boolean;
  /** Vote, PreVote: sent on behalf of a leadership transfer, so a live leader's promise does not forbid the answer. */
  readonly force: boolean;
  /** Heartbeat and its response: number of the ReadIndex round it confirms, 0 = none. Append rejected: the index that was refused. */
  readonly context: number;
}

/**
 * What has to happen because of the inputs so far.
 *
 * Durability contract. Leaves at once: `appends` (they promise nothing of ours). Leaves only after `hardState` and `entries` of
 * this Ready *and of every earlier one* are durable: `promises` (votes, acknowledgements, campaign messages of a term we voted
 * ourselves in). `entries` replace everything the log holds from `entries[0].index` on. When they are durable the host calls
 * {@link RaftGroup.persisted} with the last entry's index and term. Several Readies may be under way; they complete in order.
 */
export interface Ready {
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly appends: readonly Message[];
  readonly promises: readonly Message[];
  /** Committed, in index order, each handed out exactly once; to be applied. May run ahead of this replica's own disk. */
  readonly committed: readonly Entry[];
  /** ReadIndex rounds that a quorum confirmed: the reads of `context` may be served once `index` is applied. */
  readonly reads: readonly ReadState[];
  /** Reads whose round will never be confirmed: leadership was lost. */
  readonly droppedReads: readonly number[];
  /** Replicas whose log lies below ours: send them a snapshot and report with {@link RaftGroup.snapshotSent} or `snapshotFailed`. */
  readonly snapshots: readonly Member[];
}

export interface ReadState {
  readonly context: number;
  readonly index: LogIndex;
}

export type Role = 'follower' | 'precandidate' | 'candidate' | 'leader';

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | {
      readonly ok: false;
      readonly reason: 'not-leader' | 'transferring' | 'too-many-uncommitted' | 'change-pending' | 'invalid-change';
    };

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** The leader's picture of one peer, for metrics and the console. */
export interface ProgressView {
  readonly member: Member;
  readonly role: 'voter' | 'learner';
  readonly state: ProgressState;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly inflightBytes: number;
}

export interface RaftOptions {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
  /** Applied configuration at the log's start (from bootstrap or the snapshot). */
  readonly configuration: Configuration;
  readonly hardState: HardState;
  /** The entry before the first one kept: 0/0 for a fresh log. Everything up to it is applied and durable in the engine. */
  readonly startIndex: LogIndex;
  readonly startTerm: Term;
  /** Durable entries found on disk, contiguous from `startIndex + 1`. */
  readonly entries: readonly Entry[];
  /** Already applied in the engine: `startIndex <= appliedIndex <= last index`. */
  readonly appliedIndex: LogIndex;
  /** Election timeout is drawn from [min, max] ticks. */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  /** Uniform integer in [low, high]; seeded by the caller. */
  readonly randomInt: (low: number, high: number) => number;
  /** Largest batch of entries in one Append, bytes of data. */
  readonly maxAppendBytes: number;
  /** Bytes of entries sent to one peer and not acknowledged; beyond it the leader waits for an answer. */
  readonly maxInflightBytes: number;
  /** Proposed and not committed, bytes; beyond it proposals are refused. */
  readonly maxUncommittedBytes: number;
}

/**
 * One replica of one Raft group.
 *
 * Invariants (checked by assertions): snapshot start <= appliedIndex <= commitIndex <= lastIndex; commitIndex never decreases in
 * this object's life and a leader raises it only over an entry of its own term (§5.4.2, figure 8), counting its own copy only
 * when durable; term and vote change only together with a `hardState` in the next Ready; at most one configuration change is
 * uncommitted or unapplied; in a joint configuration every quorum is both majorities.
 *
 * Heartbeats per group do not exist in quiet times: the host keeps node pairs alive and tells the group by
 * {@link RaftGroup.leaderAlive}. `Heartbeat` messages of the core carry ReadIndex rounds, and commit indexes that have no
 * append to travel on.
 */
export interface RaftGroup {
  readonly replicaId: ReplicaId;
  readonly role: Role;
  readonly term: Term;
  /** 0 = unknown. Equal to `replicaId` when this replica leads. */
  readonly leaderId: ReplicaId;
  readonly commitIndex: LogIndex;
  /** Handed out in a Ready; the host applies it and calls {@link RaftGroup.applied}. */
  readonly appliedIndex: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Bytes of entry data held in memory. */
  readonly logBytes: number;
  /** The configuration in force: the latest in the log, committed or not. */
  readonly configuration: Configuration;
  /** The leader has committed an entry of its own term: before that no read of any kind and no configuration change. */
  readonly leaderReady: boolean;
  /** Nothing to do until a message or proposal comes: a leader whose peers all match and know the commit index, or a follower with a leader. */
  readonly quiet: boolean;
  /** A leader whose peers are not all settled: one that did not answer for long keeps nobody awake, but still lacks something. */
  readonly owing: boolean;
  /** True after TimeoutNow was sent: no lease for the rest of the term. */
  readonly leaseForfeited: boolean;

  /** One step of logical time. Only awake groups need it. Followers and candidates count towards an election; leaders retry what was not answered and bound transfers. */
  tick(): void;
  /** The leader's node answers and follows this leadership: the election timer starts anew. */
  leaderAlive(): void;
  /** The host lost the leader's node, or it restarted: forget the leader so that the next election timeout campaigns. */
  leaderLost(): void;
  /** Starts a (pre-)election now; `force` skips pre-vote and overrides live leaders (after TimeoutNow, or after a split). */
  campaign(force?: boolean): void;
  /**
   * A message from a peer. `leaderPromised`: this node gave the leader it follows a promise not to vote that has not run out
   * (host's lease rule); then votes and pre-votes of others are refused, except forced ones and those of that very leader.
   */
  step(message: Message, leaderPromised: boolean): void;
  /** Appends a command to the log if this replica leads. The caller stamps `data` in the same synchronous step. */
  propose(data: Uint8Array): ProposeResult;
  proposeChange(change: ConfigurationChange): ProposeResult;
  /** Hands leadership to a voter: brings it up to date, then sends TimeoutNow. Refuses proposals meanwhile; gives up after an election timeout. */
  transferLeadership(to: ReplicaId): boolean;
  /** Leader only: a peer answered in this term, and what it matched. For check-quorum and leases: has this peer answered this leadership? */
  hasAnswered(peer: ReplicaId): boolean;
  /** Asks for confirmation of leadership; the answer comes in `Ready.reads` or `droppedReads` under the same context. Returns false if not leader or not ready. */
  readIndex(context: number): boolean;
  /** Steps down to follower in the same term (check-quorum failed, disk failed, barrier timed out). */
  stepDown(): void;
  /** A quorum test over the configuration in force, joint-aware: `has(member)` for this replica itself too. */
  quorum(has: (member: Member) => boolean): boolean;
  /** The k-th best value that a quorum reaches: e.g. the send time up to which a quorum has answered. Joint-aware. */
  quorumValue(value: (member: Member) => number): number;

  /** Takes what must be done since the last call; undefined when there is nothing. */
  ready(): Ready | undefined;
  /** The log is durable up to this entry. A completion for an entry that has been truncated since counts for nothing. */
  persisted(index: LogIndex, term: Term): void;
  /** The host has applied everything up to `index`. */
  applied(index: LogIndex): void;

  /**
   * Tells the commit index to peers that hold every entry and lack nothing else; a tick would do so too. The host calls it when no
   * append has followed a commit for a while. True: messages wait in the next Ready.
   */
  tellCommit(): boolean;

  /** A connection to the peer was made anew or broke: what is in flight is unknown, so probing starts again. */
  peerReset(peer: ReplicaId): void;
  /** The transfer of a snapshot to `peer` ended: replication goes on behind `index`. */
  snapshotSent(peer: ReplicaId, index: LogIndex): void;
  snapshotFailed(peer: ReplicaId): void;
  /**
   * This replica's state was replaced by a snapshot (all of it durable): the log restarts behind it. Ready then carries the
   * acknowledgement for the leader. Returns false if the snapshot is not newer than the commit index.
   */
  restore(index: LogIndex, term: Term, configuration: Configuration): boolean;
  /**
   * The state was replaced by what it is after the entry at `index`, which stands in the log: what is committed behind it is handed out
   * again. Neither entries nor votes change. Not of a leader.
   */
  rewind(index: LogIndex): void;

  /** Forgets entries up to `index` (at most appliedIndex); their term stays known. */
  compact(index: LogIndex): void;
  /** Term of an entry that is still known, else undefined. */
  termAt(index: LogIndex): Term | undefined;
  entriesBetween(from: LogIndex, to: LogIndex): readonly Entry[];
  /** Leader's picture of its peers; empty when not leading. */
  progress(): readonly ProgressView[];
}
