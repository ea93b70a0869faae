import {
  assert,
  ByteWriter,
  compareHlc,
  HLC_ZERO,
  type Hlc,
  type HybridClock,
  type LogIndex,
  type NodeId,
  type PartitionId,
  type Term,
} from '@kahuna/base';
import {
  type CommandBatch,
  type CommandPolicy,
  decodeBatch,
  type EphemeralLocks,
  type EphemeralTable,
  encodeBatch,
  FEATURE_LEVEL,
  type FetchedRow,
  type FlushBatch,
  type ListingQuery,
  type ListingScan,
  type Lock,
  LockResponseType,
  type LockRow,
  type Operation,
  type OperationResult,
  type PartitionMachine,
  type ReadNeed,
  ResponseType,
} from '@kahuna/partition';
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  EntryKind,
  type Member,
  type RaftGroup,
  type Ready,
} from '@kahuna/raft';
import { KeysAhead } from './keys-ahead.ts';
import { LockContention } from './lock-contention.ts';
import type { Meters } from './meters.ts';
import { ForwardStatus } from './peer-frame.ts';
import { type PendingRequest, requestBytes } from './request.ts';
import type { Sequencer } from './sequencer.ts';

/** What a replica needs of its node. */
export interface ReplicaHost {
  readonly hlc: HybridClock;
  readonly limits: ReplicaLimits;
  /** Reads, and operations on what is in memory only, that wait for their leadership to be confirmed or for entries to be applied. */
  readonly maxWaitingReads: number;
  /** Reads of the node for which rows are under way. */
  readonly readsInFetch: number;
  readonly meters: Meters;
  /** This replica has something to do in the next flush. */
  wake(replica: Replica): void;
  monotonicMs(): number;
  /** A promise of a quorum not to elect anybody else has not run out. */
  hasLease(replica: Replica): boolean;
  /** Members of a quorum, in this term, have clocks at or above `t`. */
  quorumHasPassed(replica: Replica, t: Hlc): boolean;
  /** Reads rows of the engine for a read that could not be answered from memory; the replica is called back. */
  fetchForRead(replica: Replica, request: PendingRequest, need: ReadNeed): void;
  /** Reads head rows that the next entry needs; `resume` follows. */
  fetchForApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void;
  createEphemeralTable(replica: Replica): EphemeralTable;
  createEphemeralLocks(replica: Replica): EphemeralLocks;
  createSequencer(replica: Replica): Sequencer;
  /** Stands in every entry with commands that it shapes. */
  readonly policy: CommandPolicy;
  /** A read as of `t` was aborted, because history was pruned. */
  historyMissing(t: Hlc): void;
  /** Runs `task` when the wall clock has advanced by `ms`. */
  after(ms: number, task: () => void): void;
  /** The log asks for something that this node cannot evaluate, or its state contradicts itself. Never returns to normal. */
  fatal(reason: string): void;
  /** The entry at `comparedIndex` has been applied. */
  comparedIndexReached(replica: Replica): void;
  /** Committed results of this replica changed what the node knows about the cluster (P0, P1). */
  systemChanged(replica: Replica): void;
}

export interface ReplicaLimits {
  /** Commands in one log entry. */
  readonly maxBatchItems: number;
  readonly maxBatchBytes: number;
  /** Requests waiting for or under proposal. */
  readonly maxQueuedItems: number;
  readonly maxQueuedBytes: number;
}

interface InFlight {
  readonly index: LogIndex;
  readonly term: Term;
  readonly batch: CommandBatch;
  /** Monotonic instant. Milliseconds. */
  readonly proposedAt: number;
  readonly requests: readonly PendingRequest[];
}

/** How far ahead of the clock a read timestamp is waited for (spec keyvalues §8.3). Milliseconds. */
const READ_AHEAD_MS = 5000;

/**
 * One replica of one partition on this node: its Raft group, its state machine, and the requests between the two.
 *
 *     accept -> queue -> propose (one entry per batch) -> in flight -> apply -> answer
 *     accept -> reads -> lease, or a round of ReadIndex -> applied far enough -> evaluate -> answer
 *     accept -> reads -> evaluate in memory (ephemeral, values of sequences) -> lease, or a round -> answer
 *
 * R1 A request is in exactly one place: queue, in flight, reads, round, waiting for an index or for the clock, under way to the engine,
 *    with the sequencer, or given back to its origin. Each place is bounded.
 * R2 A proposed request is refused as "not executed" only when another term's entry is committed at its index, or a later term's before
 *    it: terms never fall along the log, so nothing of its own term will be committed behind that.
 * R3 A read is evaluated only while this replica leads, after the first entry of its term is applied, and after leadership was
 *    confirmed for an instant at or after the read's arrival.
 */
export class Replica {
  readonly partitionId: PartitionId;
  readonly group: RaftGroup;
  readonly machine: PartitionMachine;
  private readonly host: ReplicaHost;

  private queue: PendingRequest[] = [];
  private queuedBytes = 0;
  /**
   * By index. Several can have one index: what an earlier leadership of this replica proposed and others cut off is undecided until
   * something of a later term is committed, and this leadership proposes at the same indexes meanwhile.
   */
  private inFlight: InFlight[] = [];
  /** Of the last entry that was applied: nothing of an earlier one is in flight. */
  private decidedTerm: Term = 0;
  private inFlightItems = 0;

  private reads: PendingRequest[] = [];
  private round: { readonly context: number; readonly requests: PendingRequest[] } | undefined;
  private nextContext = 1;
  private readonly waitingForApply: { readonly index: LogIndex; readonly requests: PendingRequest[] }[] = [];
  /** Requests in it. */
  private waitingForApplyItems = 0;
  /** Reads as of a time that is a little ahead. */
  private readonly waitingForClock = new Set<PendingRequest>();

  private gaveUp = false;
  private committed: Entry[] = [];
  private committedAt = 0;
  private fetching = false;
  private ephemeral: EphemeralTable | undefined;
  private ephemeralLocks: EphemeralLocks | undefined;
  private sequencer: Sequencer | undefined;
  private readonly locksAhead = new KeysAhead();
  private readonly contention = new LockContention();
  private readonly writer = new ByteWriter(256 * 1024);

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
  /** Boot and allegiance of each peer replica when it last answered this leadership. */
  readonly answered = new Map<number, { boot: number; allegiance: number }>();
  /** Lease computed from answered heartbeats; both clocks must agree that it has not run out. */
  leaseTerm: Term = 0;
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

  get queuedItems(): number {
    return this.queue.length + this.inFlightItems;
  }

  /** Bytes of the writes under proposal. */
  get proposedBytes(): number {
    return this.queuedBytes;
  }

  /** Entries decided and not yet applied. */
  get applyBacklog(): number {
    return this.committed.length - this.committedAt;
  }

  // ---- taking requests ------------------------------------------------------------------------------------------------------

  /** A request for this partition, while this replica leads. It is refused or answered later, never inside this call. */
  accept(request: PendingRequest): void {
    request.settlesFor = HLC_ZERO;
    request.evaluated = undefined;
    if (this.takesEntry(request)) {
      this.enqueue(request);
      this.host.meters.admitted++;
    } else {
      this.reads.push(request);
    }
    this.host.wake(this);
  }

  /** The request goes into the log. Reserve does not by itself: its values may be in memory. */
  private takesEntry(request: PendingRequest): boolean {
    const { operation } = request;
    if (!request.isWrite || request.isEphemeral || operation.kind === 'sequence-reserve') return false;
    if (operation.kind !== 'lock-acquire' || request.repeat || this.locksAhead.has(operation.key)) return true;
    // Contended locks are refused without an entry (design §5, Commands).
    return !this.machine.isHeld(operation, this.host.hlc.current().l);
  }

  private enqueue(request: PendingRequest): void {
    this.queue.push(request);
    if (request.isLock) this.locksAhead.add(request.lock.key);
  }

  /** Proposes what has gathered. Refuses what is beyond the bounds, so that memory stays bounded and nobody waits in vain. */
  proposeQueued(): void {
    if (this.queue.length === 0) return;
    if (this.mayServe && this.host.hlc.isHeldBack) {
      this.boundQueue();
      return;
    }
    const queue = this.queue;
    this.queue = [];
    this.locksAhead.queueTaken();
    if (!this.mayServe) {
      for (const request of queue) request.refuse(ForwardStatus.NotLeader);
      return;
    }
    const { maxBatchItems, maxBatchBytes, maxQueuedItems, maxQueuedBytes } = this.host.limits;
    let batch: PendingRequest[] = [];
    let bytes = 0;
    for (const request of queue) {
      if (request.done) continue;
      if (request.repeat && !this.mayPropose(request, batch)) continue;
      const size = requestBytes(request.operation);
      if (this.inFlightItems + batch.length >= maxQueuedItems || this.queuedBytes + bytes + size > maxQueuedBytes) {
        this.host.meters.rejections.queue_full++;
        request.refuse(ForwardStatus.Overloaded);
        continue;
      }
      if (batch.length >= maxBatchItems || (batch.length > 0 && bytes + size > maxBatchBytes)) {
        this.propose(batch, bytes);
        batch = [];
        bytes = 0;
      }
      batch.push(request);
      bytes += size;
    }
    if (batch.length > 0) this.propose(batch, bytes);
  }

  /** Nothing can be stamped as long as the disk owes the clock its bound: what waits for that is bounded like what is proposed. */
  private boundQueue(): void {
    const { maxQueuedItems, maxQueuedBytes } = this.host.limits;
    let items = this.inFlightItems;
    let bytes = this.queuedBytes;
    const excess: PendingRequest[] = [];
    this.queue = this.queue.filter(request => {
      if (request.done) return false;
      const size = requestBytes(request.operation);
      const fits = items < maxQueuedItems && bytes + size <= maxQueuedBytes;
      if (fits) {
        items++;
        bytes += size;
      } else excess.push(request);
      return fits;
    });
    this.host.meters.rejections.queue_full += excess.length;
    for (const request of excess) request.refuse(ForwardStatus.Overloaded);
  }

  /**
   * A repeat may be proposed only once this leadership's first entry is applied, because every older attempt is decided by then, and
   * only if the answers remembered since its receipt lack it. Returns false if it was answered, refused, or put back to wait.
   */
  private mayPropose(request: PendingRequest, batch: readonly PendingRequest[]): boolean {
    if (!this.group.leaderReady || this.machine.appliedTerm < this.group.term) {
      if (this.queue.length < this.host.limits.maxQueuedItems) this.enqueue(request);
      else request.refuse(ForwardStatus.Unknown);
      return false;
    }
    const same = (other: PendingRequest): boolean => sameId(other, request);
    if (batch.some(same) || this.inFlight.some(entry => entry.requests.some(same))) {
      // The earlier attempt is on its way here: its answer bears the same number and serves the asking node as well.
      request.done = true;
      return false;
    }
    const remembered = this.machine.remembered(request.id, request.receipt);
    if (remembered === undefined) return true;
    if (remembered === 'unknown') request.refuse(ForwardStatus.Unknown);
    else request.answer(remembered);
    return false;
  }

  private propose(requests: PendingRequest[], bytes: number): void {
    // The stamp is taken in the same synchronous step that gives the entry its index, so stamps grow with the log.
    const stamp = this.host.hlc.now(requests.length);
    const batch: CommandBatch = requests.some(request => request.isPolicied)
      ? { stamp, level: FEATURE_LEVEL, policy: this.host.policy, proposals: requests }
      : { stamp, level: FEATURE_LEVEL, proposals: requests };
    const proposed = this.group.propose(encodeBatch(this.writer, batch));
    if (!proposed.ok) {
      const status = proposed.reason === 'too-many-uncommitted' ? ForwardStatus.Overloaded : ForwardStatus.NotLeader;
      for (const request of requests) request.refuse(status);
      return;
    }
    const proposedAt = this.host.monotonicMs();
    this.track({ index: proposed.index, term: proposed.term, batch, proposedAt, requests });
    this.inFlightItems += requests.length;
    this.queuedBytes += bytes;
    for (const request of requests) if (request.isLock) this.locksAhead.proposedAt(request.lock.key, proposed.index);
    const { meters } = this.host;
    meters.batches++;
    meters.entries += requests.length;
    meters.steps.client++;
    meters.batchItems.record(requests.length);
    meters.batchBytes.record(bytes);
    meters.queueAgeMs.record(proposedAt - (requests[0] as PendingRequest).startedAt);
  }

  private track(proposal: InFlight): void {
    let at = this.inFlight.length;
    while (at > 0 && (this.inFlight[at - 1] as InFlight).index > proposal.index) at--;
    if (at === this.inFlight.length) this.inFlight.push(proposal);
    else this.inFlight.splice(at, 0, proposal);
  }

  // ---- committed entries ----------------------------------------------------------------------------------------------------

  take(ready: Ready): void {
    for (const entry of ready.committed) this.committed.push(entry);
    for (const context of ready.droppedReads) {
      if (this.round?.context === context) this.dropRound();
    }
    for (const read of ready.reads) {
      if (this.round?.context !== read.context) continue;
      const { requests } = this.round;
      this.round = undefined;
      const reads: PendingRequest[] = [];
      for (const request of requests) {
        request.needsRound = false;
        if (request.evaluated === undefined) reads.push(request);
        else request.answer(request.evaluated);
      }
      this.waitForApply(read.index, reads);
    }
  }

  /**
   * Applies committed entries until there are none, a row must be fetched, or `budgetMs` is used up.
   * Returns true if it wants to go on in a later turn.
   */
  pumpApply(budgetMs: number): boolean {
    if (this.fetching || this.installing) return false;
    const until = this.host.monotonicMs() + budgetMs;
    let count = 0;
    while (this.committedAt < this.committed.length) {
      const entry = this.committed[this.committedAt] as Entry;
      if (!this.applyOne(entry)) return false;
      this.committedAt++;
      if ((++count & 15) === 0 && this.host.monotonicMs() > until) {
        this.dropAppliedPrefix();
        return true;
      }
    }
    this.committed.length = 0;
    this.committedAt = 0;
    return false;
  }

  private dropAppliedPrefix(): void {
    this.committed.splice(0, this.committedAt);
    this.committedAt = 0;
  }

  /** Returns false if rows must be fetched first; then the pump is started again when they are here. */
  private applyOne(entry: Entry): boolean {
    if (entry.kind === EntryKind.Command) {
      const batch = this.proposedAs(entry)?.batch ?? this.decode(entry);
      if (batch === undefined) return false;
      const keys = this.machine.needs(batch);
      if (keys.length > 0) {
        this.fetching = true;
        this.host.fetchForApply(this, keys, () => {
          this.fetching = false;
          this.host.wake(this);
        });
        return false;
      }
      const results = this.machine.apply(entry.index, entry.term, batch);
      this.writeCount += results.length;
      this.settleAt(entry, results);
    } else {
      const configuration = entry.kind === EntryKind.Configuration ? decodeConfigurationEntry(entry) : undefined;
      this.machine.applyEmpty(entry.index, entry.term, configuration);
      // A first entry of a term lets repeats and reads go on; a configuration may be followed by its second half.
      this.host.wake(this);
      this.settleAt(entry, undefined);
    }
    this.group.applied(entry.index);
    if (entry.index === this.comparedIndex) this.host.comparedIndexReached(this);
    if (this.partitionId < 2) this.host.systemChanged(this);
    return true;
  }

  private decode(entry: Entry): CommandBatch | undefined {
    try {
      return decodeBatch(entry.data);
    } catch (error) {
      // Skipping it would let replicas diverge (design §5, Commands).
      this.host.fatal(
        `partition ${this.partitionId}: entry ${entry.index} cannot be evaluated by this version: ${error instanceof Error ? error.message : String(error)}`,
      );
      return undefined;
    }
  }

  /** The proposal that this entry is, if it came from here. */
  private proposedAs(entry: Entry): InFlight | undefined {
    for (const proposal of this.inFlight) {
      if (proposal.index !== entry.index) return undefined;
      if (proposal.term === entry.term) return proposal;
    }
    return undefined;
  }

  /** What was proposed at this index is decided now, and what was proposed behind it in an earlier term. */
  private settleAt({ index, term }: Entry, results: readonly OperationResult[] | undefined): void {
    while (this.inFlight[0]?.index === index) this.settle(this.inFlight.shift() as InFlight, term, results);
    if (term <= this.decidedTerm) return;
    this.decidedTerm = term;
    const lost = this.inFlight.filter(proposal => proposal.term < term);
    if (lost.length === 0) return;
    this.inFlight = this.inFlight.filter(proposal => proposal.term >= term);
    for (const proposal of lost) this.settle(proposal, term, undefined);
  }

  /** A proposal is decided: ours if the terms agree, lost otherwise (R2). */
  private settle(mine: InFlight, term: Term, results: readonly OperationResult[] | undefined): void {
    this.inFlightItems -= mine.requests.length;
    const { requests } = mine;
    for (const request of requests) {
      this.queuedBytes -= requestBytes(request.operation);
      if (request.isLock) this.locksAhead.decided(request.lock.key, mine.index);
    }
    const { meters } = this.host;
    meters.raftMs.record(this.host.monotonicMs() - mine.proposedAt);
    if (this.diverged && mine.term === term) {
      // What a quorum made of it is not what came out here.
      for (const request of requests) request.refuse(ForwardStatus.Unknown);
      return;
    }
    if (mine.term === term && results !== undefined) {
      meters.outcomes.success += requests.length;
      for (let i = 0; i < requests.length; i++) {
        const request = requests[i] as PendingRequest;
        const result = results[i] as OperationResult;
        if (request.isLock) this.noteRefusal(request, result);
        request.answer(result);
      }
      return;
    }
    meters.outcomes.transient += requests.length;
    for (const request of requests) request.refuse(ForwardStatus.NotLeader);
  }

  // ---- reads ----------------------------------------------------------------------------------------------------------------

  private dropRound(): void {
    const round = this.round;
    if (round === undefined) return;
    this.round = undefined;
    for (const request of round.requests) request.refuse(statusOfUnconfirmed(request));
  }

  private waitForApply(index: LogIndex, requests: PendingRequest[]): void {
    this.waitingForApply.push({ index, requests });
    this.waitingForApplyItems += requests.length;
  }

  /** Serves what may be served now. Called after applying, so that a read sees what was decided before it. */
  serveReads(): void {
    if (this.reads.length === 0 && this.waitingForApply.length === 0) return;
    if (!this.mayServe) {
      this.giveBackReads();
      return;
    }
    // Before the first entry of the term is applied nobody knows what older terms committed (dissertation §6.4, step 1).
    if (!this.group.leaderReady || this.machine.appliedTerm < this.group.term) {
      this.refuseExcess();
      return;
    }
    this.serveWaiting();
    if (this.reads.length === 0) return;
    const leased = this.host.hasLease(this);
    const reads = this.reads;
    this.reads = [];
    const forRound: PendingRequest[] = [];
    let direct: PendingRequest[] | undefined;
    for (const request of reads) {
      if (request.done) continue;
      if (request.evaluated !== undefined) {
        if (leased) request.answer(request.evaluated);
        else forRound.push(request);
      } else if (request.operation.kind === 'sequence-reserve') {
        if (this.takeValues(request, leased)) forRound.push(request);
      } else if (request.isEphemeral) {
        if (request.isWrite && this.host.hlc.isHeldBack) this.reads.push(request);
        else if (this.executeEphemeral(request, leased)) forRound.push(request);
      } else if (!leased || request.needsRound) forRound.push(request);
      else if (this.machine.appliedIndex >= this.group.commitIndex) this.evaluate(request);
      else {
        direct ??= [];
        if (this.waitingForApplyItems + direct.length < this.host.maxWaitingReads) direct.push(request);
        else request.refuse(ForwardStatus.Overloaded);
      }
    }
    if (direct !== undefined) this.waitForApply(this.group.commitIndex, direct);
    if (forRound.length > 0) this.startRound(forRound);
    this.refuseExcess();
  }

  /** What could not be served may wait, but not without bound (invariant 13): those that came last are refused. */
  private refuseExcess(): void {
    if (this.reads.length === 0) return;
    const { maxWaitingReads, limits } = this.host;
    let items = (this.round?.requests.length ?? 0) + this.waitingForApplyItems;
    let bytes = 0;
    const kept: PendingRequest[] = [];
    for (const request of this.reads) {
      if (request.done) continue;
      bytes += request.isWrite ? requestBytes(request.operation) : 0;
      if (items < maxWaitingReads && bytes <= limits.maxQueuedBytes) {
        items++;
        kept.push(request);
      } else {
        request.refuse(isUntouched(request) ? ForwardStatus.Overloaded : ForwardStatus.Unknown);
      }
    }
    this.reads = kept;
  }

  /**
   * Ephemeral state is evaluated at once; its answer leaves under a lease, or after a round that began later. Returns true if it
   * needs that round.
   */
  private executeEphemeral(request: PendingRequest, leased: boolean): boolean {
    // What repeating a lock operation may answer is a rule of locks (spec locks §9).
    if (request.isWrite && request.repeat && !request.isLock) {
      // An earlier attempt may stand in this very table, and nothing remembers it.
      request.refuse(ForwardStatus.Unknown);
      return false;
    }
    if (!request.isWrite && this.waitsForClock(request)) return false;
    return this.leaveConfirmed(request, this.evaluateEphemeral(request), leased);
  }

  private evaluateEphemeral(request: PendingRequest): OperationResult {
    if (request.isLock) {
      this.ephemeralLocks ??= this.host.createEphemeralLocks(this);
      const result = this.ephemeralLocks.execute(request.lock, this.host.hlc.now());
      this.noteRefusal(request, result);
      return result;
    }
    this.ephemeral ??= this.host.createEphemeralTable(this);
    const { task } = request;
    if (task !== undefined) return task.run(this.ephemeral);
    return this.ephemeral.execute(request.operation as Operation, this.host.hlc.now());
  }

  /** Values out of a block in memory, or a wait for the entry that reserves one. */
  private takeValues(request: PendingRequest, leased: boolean): boolean {
    if (this.host.readsInFetch >= this.host.maxWaitingReads) {
      request.refuse(ForwardStatus.Overloaded);
      return false;
    }
    this.sequencer ??= this.host.createSequencer(this);
    const result = this.sequencer.take(request);
    return result !== undefined && this.leaveConfirmed(request, result, leased);
  }

  /** What memory alone answered leaves under a lease valid now, or after a round that begins later. Returns true if it needs that. */
  private leaveConfirmed(request: PendingRequest, result: OperationResult, leased: boolean): boolean {
    if (request.isWrite) this.writeCount++;
    else this.readCount++;
    if (leased) {
      request.answer(result);
      return false;
    }
    request.evaluated = result;
    return true;
  }

  /** An answer from memory that came about outside {@link serveReads}, which confirms it next. */
  confirmLater(request: PendingRequest, result: OperationResult): void {
    this.writeCount++;
    request.evaluated = result;
    this.reads.push(request);
    this.host.wake(this);
  }

  /** One round is under way at a time; what comes meanwhile shares the next one. */
  private startRound(requests: PendingRequest[]): void {
    if (this.round !== undefined) {
      for (const request of requests) this.reads.push(request);
      return;
    }
    const context = this.nextContext++;
    this.round = { context, requests };
    // The messages of this turn are taken already: without another one the round would begin with the next tick.
    if (this.group.readIndex(context)) this.host.wake(this);
    else this.dropRound();
  }

  private serveWaiting(): void {
    const applied = this.machine.appliedIndex;
    for (let i = 0; i < this.waitingForApply.length; ) {
      const waiting = this.waitingForApply[i] as { index: LogIndex; requests: PendingRequest[] };
      if (waiting.index > applied) {
        i++;
        continue;
      }
      this.waitingForApply.splice(i, 1);
      this.waitingForApplyItems -= waiting.requests.length;
      for (const request of waiting.requests) if (!request.done) this.evaluate(request);
    }
  }

  /** True while reads wait for something that only another flush brings. */
  get hasWork(): boolean {
    return this.queue.length > 0 || (this.reads.length > 0 && this.round === undefined);
  }

  /** Leadership of this instant is confirmed and everything committed by then is applied (R3). */
  private evaluate(request: PendingRequest): void {
    const now = this.host.hlc.current().l;
    if (this.waitsForTime(request, now)) return;
    this.readWith(request, now, undefined);
  }

  /** Goes on with a read whose rows are here. Its instant was confirmed when it was first evaluated: what is read now is not older. */
  evaluateWith(request: PendingRequest, rows: readonly FetchedRow[]): void {
    if (request.operation.kind === 'sequence-reserve') {
      this.machine.supply(rows);
      this.reads.push(request);
      this.host.wake(this);
      return;
    }
    this.readWith(request, this.host.hlc.current().l, rows);
  }

  private readWith(request: PendingRequest, now: number, rows: readonly FetchedRow[] | undefined): void {
    if (request.task !== undefined) {
      this.readCount++;
      request.answer(request.task.run(undefined));
      return;
    }
    if (rows === undefined && this.host.readsInFetch >= this.host.maxWaitingReads) {
      // The engine is slower than what is asked of it; what it would have to be asked for is not known before.
      request.refuse(ForwardStatus.Overloaded);
      return;
    }
    const outcome = this.machine.read(request.read, now, rows);
    if (!('kind' in outcome)) this.finishRead(request, outcome, now);
    else if (outcome.kind !== 'entry') this.host.fetchForRead(this, request, outcome);
    else {
      this.enqueue(request);
      this.host.wake(this);
    }
  }

  private finishRead(request: PendingRequest, outcome: OperationResult, now: number): void {
    if (outcome.state === 0 && isAbsence(outcome.type)) {
      const expired = this.machine.expiredAt(request.read, now);
      if (expired > 0 && !this.timeIsSettled(request, { n: 0, l: expired + 1, c: 0 })) return;
    }
    if (outcome.type === ResponseType.Aborted && 'readTimestamp' in request.read) {
      this.host.historyMissing(request.read.readTimestamp);
    }
    this.readCount++;
    if (request.isLock) this.noteRefusal(request, outcome);
    request.answer(outcome);
  }

  private noteRefusal(request: PendingRequest, result: OperationResult): void {
    if (result.type === LockResponseType.Busy) this.contention.note(request.lock, this.host.hlc.current().l);
  }

  /** The row with what this leader remembers of those who want the lock too. */
  withContenders(row: LockRow): LockRow {
    return this.contention.describe(row, this.host.hlc.current().l);
  }

  /** As-of reads wait until no later entry can be stamped at or below their time. Returns true if the read has to wait. */
  private waitsForTime(request: PendingRequest, now: number): boolean {
    const { read } = request;
    if (!('readTimestamp' in read)) return false;
    const { revision, readTimestamp } = read;
    if (revision >= 0 || readTimestamp.l === 0 || readTimestamp.l - now > READ_AHEAD_MS) return false;
    return this.waitsForClock(request) || !this.timeIsSettled(request, readTimestamp);
  }

  /**
   * A read timestamp a little ahead is waited for; one far ahead is answered from the present state. A stamp that the clock has reached is never waited
   * for, though it be of the present millisecond: after the wall clock was set back that one may last for minutes.
   */
  private waitsForClock(request: PendingRequest): boolean {
    const { read } = request;
    if (!('readTimestamp' in read)) return false;
    const { revision, readTimestamp } = read;
    if (revision >= 0 || readTimestamp.l === 0) return false;
    const now = this.host.hlc.current();
    const ahead = readTimestamp.l - now.l;
    if (compareHlc(now, readTimestamp) >= 0 || ahead > READ_AHEAD_MS) return false;
    if (this.gaveUp || this.waitingForClock.size >= this.host.maxWaitingReads) {
      request.refuse(ForwardStatus.Overloaded);
      return true;
    }
    this.waitingForClock.add(request);
    this.host.after(ahead + 1, () => {
      if (this.waitingForClock.delete(request)) this.accept(request);
    });
    return true;
  }

  /**
   * An answer about a time t (design §5): every entry of the leader's log stamped at or below t is applied, and a quorum that answered in this term has
   * clocks at or above t, so that any successor stamps above it. If not, the request goes through a round of ReadIndex, which brings both.
   *
   * The node's clock is at or past t, so what is appended from now on is stamped above it: only entries that stand in the log at
   * the first look count, or a busy writer would keep the read waiting for ever.
   */
  private timeIsSettled(request: PendingRequest, t: Hlc): boolean {
    if (compareHlc(t, request.settlesFor) > 0) {
      request.settlesFor = t;
      request.settlesWith = this.group.lastIndex;
    }
    const applied = this.machine.appliedIndex >= request.settlesWith;
    if (applied && this.host.quorumHasPassed(this, t)) return true;
    request.needsRound = !applied ? request.needsRound : true;
    if (applied) {
      this.reads.push(request);
      this.host.wake(this);
    } else {
      this.waitForApply(request.settlesWith, [request]);
    }
    return false;
  }

  /** An ephemeral lock as this leader's memory has it; whether it still leads is not asked. */
  ephemeralLock(name: string): Lock | undefined {
    return this.ephemeralLocks?.lock(name);
  }

  /** A page of locks or sequences, as this leader knows them now. */
  openListing(query: ListingQuery): ListingScan | undefined {
    return this.machine.openListing(query, this.host.hlc.current().l, this.ephemeralLocks?.entries() ?? []);
  }

  private giveBackReads(): void {
    const reads = this.reads;
    this.reads = [];
    for (const request of reads) request.refuse(ForwardStatus.NotLeader);
    const waiting = this.waitingForApply.splice(0);
    this.waitingForApplyItems = 0;
    for (const { requests } of waiting) for (const request of requests) request.refuse(ForwardStatus.NotLeader);
  }

  /** Leadership is gone: what was not proposed goes back; what was proposed waits for its index to be decided. */
  leadershipLost(): void {
    this.answered.clear();
    this.leaseTerm = 0;
    // Ephemeral state belongs to one term and goes with it (design §2).
    this.ephemeral?.drop();
    this.ephemeral = undefined;
    this.ephemeralLocks?.drop();
    this.ephemeralLocks = undefined;
    this.contention.clear();
    this.sequencer?.drop();
    this.sequencer = undefined;
    this.dropRound();
    this.giveBackReads();
    this.proposeQueued();
  }

  /** The node stops or has failed: nothing more will be decided here. */
  giveUp(): void {
    this.gaveUp = true;
    this.sequencer?.drop();
    this.dropRound();
    this.giveBackReads();
    for (const request of this.waitingForClock) request.refuse(ForwardStatus.Unknown);
    this.waitingForClock.clear();
    for (const request of this.queue.splice(0)) request.refuse(ForwardStatus.NotLeader);
    for (const { requests } of this.inFlight) for (const request of requests) request.refuse(ForwardStatus.Unknown);
  }

  /** Requests in flight longer than allowed: their outcome is unknown. */
  expireInFlight(startedBefore: number): void {
    for (const entry of this.inFlight) {
      const first = entry.requests[0];
      if (first === undefined || first.startedAt > startedBefore) continue;
      for (const request of entry.requests) {
        if (request.done || request.startedAt > startedBefore) continue;
        this.host.meters.outcomes.permanent++;
        request.refuse(ForwardStatus.Unknown);
      }
    }
  }

  /** Reads that found no confirmation in time, and repeats that still wait for their leader to be ready. */
  expireWaiting(startedBefore: number): void {
    const expired = (request: PendingRequest): boolean => {
      if (request.startedAt > startedBefore) return false;
      // This replica may lead still, with what an ephemeral write has changed: whoever asks again must not do it twice.
      request.refuse(statusOfUnconfirmed(request));
      return true;
    };
    this.reads = this.reads.filter(request => !request.done && !expired(request));
    const waiting = this.queue.length;
    this.queue = this.queue.filter(request => !request.done && !expired(request));
    this.host.meters.rejections.queue_expired += waiting - this.queue.length;
    this.sequencer?.expire(startedBefore);
    for (const waiting of this.waitingForApply) for (const request of waiting.requests) expired(request);
    if (this.round !== undefined) for (const request of this.round.requests) expired(request);
  }

  // ---- state flush ----------------------------------------------------------------------------------------------------------

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
    this.committed.length = 0;
    this.committedAt = 0;
    this.flushedIndex = this.machine.appliedIndex;
    this.durableIndex = this.machine.appliedIndex;
    for (const entry of this.inFlight.splice(0)) {
      for (const request of entry.requests) request.refuse(ForwardStatus.Unknown);
    }
    this.inFlightItems = 0;
    this.queuedBytes = 0;
    this.locksAhead.clear();
  }
}

/** Of a request that waited for its leadership to be confirmed: what is certain without it. */
function statusOfUnconfirmed(request: PendingRequest): ForwardStatus {
  return isUntouched(request) ? ForwardStatus.NotLeader : ForwardStatus.Unknown;
}

/** Nothing was done yet that a second attempt would do again. */
function isUntouched(request: PendingRequest): boolean {
  // A value of a sequence that was taken in vain is a gap, nothing more: the next leader may give another.
  return request.evaluated === undefined || request.operation.kind === 'sequence-reserve';
}

/** The name is not there, or what stood under it has run out: the numbers for keys and for locks. */
function isAbsence(type: number): boolean {
  return type === ResponseType.DoesNotExist || type === LockResponseType.LockDoesNotExist;
}

function sameId(a: PendingRequest, b: PendingRequest): boolean {
  return a.number === b.number && a.boot === b.boot && a.node === b.node;
}

function decodeConfigurationEntry(entry: Entry): Configuration {
  return decodeConfiguration(entry.data);
}
