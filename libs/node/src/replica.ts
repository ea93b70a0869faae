import { assert, HLC_ZERO, type LogIndex, type NodeId, type PartitionId, type Term } from '@kahuna/base';
import type {
  FetchedRow,
  FlushBatch,
  ListingQuery,
  ListingScan,
  Lock,
  LockRow,
  OperationResult,
  PartitionMachine,
} from '@kahuna/partition';
import type { Configuration, Member, RaftGroup, Ready } from '@kahuna/raft';
import { ApplyPump } from './replica/apply-pump.ts';
import { Proposals } from './replica/proposals.ts';
import { ReadGate } from './replica/read-gate.ts';
import type { OwnReplica, ReplicaHostOf } from './replica/replica-host.ts';
import { TermMemory } from './replica/term-memory.ts';
import type { PendingRequest } from './request.ts';

/** What a replica needs of its node. */
export type ReplicaHost = ReplicaHostOf<Replica>;

/**
 * One replica of one partition on this node: its Raft group, its state machine, and the requests between the two. The rooms of that
 * stand in `replica/`; what the node's own rooms note of a replica (leases, leadership, snapshots, the state flush) stands here.
 *
 *     accept ─▶ proposals.ts   one entry per batch ─▶ in-flight.ts, until its index is decided ◀─ apply-pump.ts   committed entries
 *        └────▶ read-gate.ts   leadership confirmed, applied far enough ─▶ answer;   read-times.ts   reads about a time
 *                  └─▶ term-memory.ts   ephemeral records and locks, values of sequences
 *
 * R1 A request is in exactly one place: queue, in flight, reads, round, waiting for an index or for the clock, under way to the engine,
 *    with the sequencer, or given back to its origin. Each place is bounded.
 * R2 What is refused as "not executed" never takes effect later: see `in-flight.ts`.
 * R3 A read sees every write that was acknowledged before it came: see `read-gate.ts`.
 */
export class Replica implements OwnReplica {
  readonly partitionId: PartitionId;
  readonly group: RaftGroup;
  readonly machine: PartitionMachine;
  private readonly host: ReplicaHost;
  private readonly memory: TermMemory<Replica>;
  private readonly proposals: Proposals<Replica>;
  private readonly pump: ApplyPump<Replica>;
  private readonly gate: ReadGate<Replica>;

  /** In the host's dirty list. */
  dirty = false;
  /** Leader (replica id) at the last look, to notice changes. */
  knownLeader = 0;
  knownTerm: Term = 0;
  knownLeaderNode: NodeId = 0;
  /** Wall-clock instant of that look. */
  leaderSinceMs = 0;
  /** Next attempt to replace a leader whose link broke, 0 = none; and how many are left. Monotonic. */
  replaceLeaderAt = 0;
  replaceLeaderTries = 0;
  /** Monotonic instant at which this replica became leader. */
  electedAt = 0;
  /** Leads, and the first entry of its term is committed: said to those who wait for it. */
  servesAsLeader = false;
  flushedIndex: LogIndex;
  /** Durable in the engine; the log may be compacted up to here. */
  durableIndex: LogIndex;
  /** A snapshot is being installed: this replica neither votes, campaigns nor serves. */
  installing = false;

  /** Monotonic instant until which what was promised to leaders that this replica has left binds its vote. */
  votesBoundUntil = Number.NEGATIVE_INFINITY;
  /** Boot of each peer replica that has said anything in the term of this leadership. */
  readonly heardInTerm = new Map<number, number>();
  /** Boot and allegiance of each peer replica when it last answered this leadership. */
  readonly answered = new Map<number, { boot: number; allegiance: number }>();
  /** Lease computed from answered heartbeats; both clocks must agree that it has not run out. */
  leaseTerm: Term = 0;
  /** The configuration whose quorum has promised it. */
  leaseConfiguration: Configuration | undefined;
  leaseMonotonicUntil = 0;
  leaseWallUntil = 0;

  /** No replica was found with another checksum at the same applied index. */
  checksumAgrees = true;
  /** Its state is not what a quorum has: it neither leads nor campaigns, also after a restart (see `checksum-exchange.ts`). */
  diverged = false;
  /** Times that a snapshot has replaced the state: an index of before says nothing about the state of after. */
  restorations = 0;
  /** The host is told when this entry has been applied, 0 = none. */
  comparedIndex: LogIndex = 0;

  readCount = 0;
  writeCount = 0;
  electionsStarted = 0;
  /** Log writes that were done for entries replaced meanwhile. */
  staleCompletions = 0;
  snapshotFailures = 0;
  compactions = 0;

  /** In force while none stands in the applied state: that of the founding, or of the log's start. */
  baseConfiguration: Configuration;

  constructor(
    partitionId: PartitionId,
    group: RaftGroup,
    machine: PartitionMachine,
    baseConfiguration: Configuration,
    host: ReplicaHost,
  ) {
    this.partitionId = partitionId;
    this.baseConfiguration = baseConfiguration;
    this.group = group;
    this.machine = machine;
    this.host = host;
    this.flushedIndex = machine.appliedIndex;
    this.durableIndex = machine.appliedIndex;
    this.memory = new TermMemory<Replica>(this, host);
    this.proposals = new Proposals<Replica>(this, host, this.memory);
    this.pump = new ApplyPump<Replica>(this, host, this.proposals);
    this.gate = new ReadGate<Replica>(this, host, this.memory, this.proposals);
  }

  get leads(): boolean {
    return this.group.role === 'leader';
  }

  /** Leads from a state that may be shown. */
  get mayServe(): boolean {
    return this.leads && !this.installing && !this.diverged;
  }

  get replicaId(): number {
    return this.group.replicaId;
  }

  /** Node of the leader that this replica knows, 0 = none. */
  get leaderNode(): NodeId {
    const id = this.group.leaderId;
    return id === 0 ? 0 : (this.memberById(id)?.nodeId ?? 0);
  }

  get isOnlyVoter(): boolean {
    const { voters, outgoing } = this.group.configuration;
    return voters.length === 1 && outgoing.length === 0 && voters[0]?.replicaId === this.replicaId;
  }

  memberById(replicaId: number): Member | undefined {
    const { voters, outgoing, learners } = this.group.configuration;
    const is = (member: Member): boolean => member.replicaId === replicaId;
    return voters.find(is) ?? outgoing.find(is) ?? learners.find(is);
  }

  /** Writes that wait for a proposal or for being decided. */
  get queuedItems(): number {
    return this.proposals.items;
  }

  /** Bytes of the writes under proposal. */
  get proposedBytes(): number {
    return this.proposals.proposedBytes;
  }

  /** Entries decided and not yet applied. */
  get applyBacklog(): number {
    return this.pump.backlog;
  }

  /** True while something waits that only another flush brings on. */
  get hasWork(): boolean {
    return this.proposals.queuedItems > 0 || this.gate.hasWork;
  }

  // ---- requests ------------------------------------------------------------------------------------------------------------

  /** A request for this partition, while this replica leads. It is refused or answered later, never inside this call. */
  accept(request: PendingRequest): void {
    request.settlesFor = HLC_ZERO;
    request.askedQuorumFor = HLC_ZERO;
    request.evaluated = undefined;
    if (this.proposals.takes(request)) {
      this.proposals.enqueue(request);
      this.host.meters.admitted++;
    } else {
      this.gate.add(request);
    }
    this.host.wake(this);
  }

  /** An answer from the leader's memory that came about by itself: leadership is confirmed before it leaves. */
  confirmLater(request: PendingRequest, result: OperationResult): void {
    this.gate.confirmLater(request, result);
  }

  /** Goes on with a read whose rows are here. */
  evaluateWith(request: PendingRequest, rows: readonly FetchedRow[]): void {
    this.gate.evaluateWith(request, rows);
  }

  /** Requests in flight longer than allowed. */
  expireInFlight(startedBefore: number): void {
    this.proposals.expireInFlight(startedBefore);
  }

  /** Whatever else has waited that long. */
  expireWaiting(startedBefore: number): void {
    this.gate.expireUnconfirmed(startedBefore);
    this.proposals.expireQueued(startedBefore);
    this.memory.expire(startedBefore);
    this.gate.expireUnderWay(startedBefore);
  }

  // ---- a turn of the node ----------------------------------------------------------------------------------------------------

  /** Proposes what has gathered. */
  proposeQueued(): void {
    this.proposals.proposeQueued();
  }

  take(ready: Ready): void {
    this.pump.take(ready.committed);
    this.gate.takeRounds(ready);
  }

  /** Applies what is committed, for `budgetMs` at most. Returns true if it wants to go on in a later turn. */
  pumpApply(budgetMs: number): boolean {
    return this.pump.run(budgetMs);
  }

  /** Serves the reads that may be served now. Called after applying, so that a read sees what was decided before it. */
  serveReads(): void {
    this.gate.serve();
  }

  // ---- what this leader has in memory ----------------------------------------------------------------------------------------

  /** The row with what this leader remembers of those who want the lock too. */
  withContenders(row: LockRow): LockRow {
    return this.memory.withContenders(row);
  }

  /** An ephemeral lock as this leader's memory has it; whether it still leads is not asked. */
  ephemeralLock(name: string): Lock | undefined {
    return this.memory.lock(name);
  }

  /** A page of locks or sequences, as this leader knows them now. */
  openListing(query: ListingQuery): ListingScan | undefined {
    return this.machine.openListing(query, this.host.hlc.current().l, this.memory.lockEntries());
  }

  // ---- turns of fate -------------------------------------------------------------------------------------------------------

  /** Leadership is gone: what was not proposed goes back; what was proposed waits for its index to be decided. */
  leadershipLost(): void {
    this.answered.clear();
    this.heardInTerm.clear();
    this.leaseTerm = 0;
    this.memory.drop();
    this.gate.leadershipLost();
    this.proposals.proposeQueued();
  }

  /** The node stops or has failed: nothing more will be decided here. */
  giveUp(): void {
    this.memory.giveUp();
    this.gate.giveUp();
    this.proposals.giveUp();
  }

  /** The changes up to the batch's index are in the engine. */
  flushed(batch: FlushBatch): void {
    this.machine.flushed(batch);
    assert(batch.appliedIndex >= this.flushedIndex, 'flushes complete in order');
    this.flushedIndex = batch.appliedIndex;
  }

  /** A snapshot replaced the state: what waits refers to a log that is gone. */
  restored(configuration: Configuration): void {
    this.baseConfiguration = configuration;
    this.restorations++;
    this.installing = false;
    this.diverged = false;
    this.checksumAgrees = true;
    this.pump.clear();
    this.flushedIndex = this.machine.appliedIndex;
    this.durableIndex = this.machine.appliedIndex;
    this.proposals.restored();
  }
}
