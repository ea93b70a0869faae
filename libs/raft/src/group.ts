import { assert, type LogIndex, type NodeId, type ReplicaId, type Term, unreachable } from '@kahuna/base';
import { encodeConfiguration } from './codec.ts';
import { allMembers, ConfigurationHistory, includes, isVoter, leaveJoint, planChange } from './configuration.ts';
import { RaftLog } from './log.ts';
import { ENTRY_OVERHEAD_BYTES, makeMessage, NO_DATA, NO_ENTRIES } from './message.ts';
import { Progress } from './progress.ts';
import { hasQuorum, isJoint, majorityValue, quorumValue } from './quorum.ts';
import { ReadRounds } from './read-rounds.ts';
import {
  type Configuration,
  type ConfigurationChange,
  type Entry,
  EntryKind,
  type Member,
  type Message,
  MessageType,
  type ProgressView,
  type ProposeResult,
  type RaftGroup,
  type RaftOptions,
  type ReadState,
  type Ready,
  type Role,
} from './types.ts';

/**
 * Raft, as a pure state machine (Ongaro and Ousterhout 2014, here "Raft"; Ongaro's dissertation 2014, "D").
 *
 * A group of replicas keeps one log. In each *term* at most one of them leads; only the leader adds entries; an entry that a
 * quorum holds durably in the leader's own term is *committed* and will stand at its index for ever. Three rules carry the proof:
 *
 * 1. A replica votes once per term, durably, and only for a candidate whose log is at least as new as its own (Raft §5.4.1).
 *    Two quorums share a replica, so a term has one leader, and that leader holds everything committed before.
 * 2. A follower takes entries only behind an entry that it shares with the leader (Raft §5.3). So two logs that agree at one
 *    (index, term) agree on everything before it.
 * 3. A leader commits by counting copies only for entries of its own term; older ones are committed by what stands behind them
 *    (Raft §5.4.2, figure 8).
 *
 * ## A worked example
 *
 * Replicas 1, 2, 3; all hold entry 1 of term 1; 1 leads term 1 and has appended entries 2 and 3, but only replica 2 got entry 2:
 *
 *     replica 1   1:t1  2:t1  3:t1      leader of term 1, cut off now
 *     replica 2   1:t1  2:t1
 *     replica 3   1:t1
 *
 * Entry 2 stands on a quorum (1, 2), so replica 1 may have committed it; entry 3 does not. Replicas 2 and 3 stop hearing from 1.
 *
 * - Replica 3 asks first: PreVote "would you elect me in term 2, my log ends at 1:t1?". Replica 2 refuses: its own log is newer.
 *   Nothing has changed anywhere: a pre-vote promises nothing and raises no term (D §9.6).
 * - Replica 2 asks: PreVote(term 2, 2:t1). Replica 3 would. So 2 goes to term 2, votes for itself, and **only when that is on
 *   disk** (`promises`) sends Vote. Replica 3 adopts term 2 and the vote in one hard state, and answers when *that* is on disk.
 * - Replica 2 leads. It appends an empty entry 3:t2 and sends Append(after 2:t1, [3:t2]) at once (`appends`), without waiting
 *   for its disk. Replica 3 has no entry 2: it refuses and hints "my log ends at 1:t1". Replica 2 sends from entry 2 on.
 * - Replica 3 writes 2:t1 and 3:t2, then acknowledges 3. As soon as replica 2's own disk has 3:t2 (`persisted(3, t2)`), two
 *   durable copies stand: 3 is committed, and with it 2. No client hears about either before that.
 * - Replica 1 comes back and appends to others in term 1. They answer in term 2; it becomes a follower, and the next append
 *   finds 3:t1 in its way: cut off, replaced by 3:t2. Entry 3:t1 was never committed, so nobody was told that it had happened.
 *
 * ## How this file is laid out
 *
 * State, then inputs (tick, step, propose, disk, host's reports), then the roles' transitions, then each message, then the
 * leader's sending, then {@link RaftCore.ready}. Inputs only change state and mark the group dirty; appends are built in `ready`, so
 * that everything proposed in one turn of the host travels in one message per peer.
 *
 * The safety properties are checked after every step of `raft.sim.test.ts`; single rules are pinned in `group.test.ts`.
 */
export class RaftCore implements RaftGroup {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
  role: Role = 'follower';
  term: Term;
  leaderId: ReplicaId = 0;
  /**
   * Highest index known to be committed. After a restart it begins at appliedIndex and is relearned, so a low value says nothing
   * about what was acknowledged. Never decreases, never beyond lastIndex (asserted in `commitTo`).
   */
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  leaseForfeited = false;

  private readonly options: RaftOptions;
  private readonly log: RaftLog;
  private readonly history: ConfigurationHistory;
  private vote: ReplicaId;
  private hardStateChanged = false;
  /** Last committed entry that a Ready carried. */
  private handedIndex: LogIndex;

  private electionElapsed = 0;
  private electionTimeout = 0;
  /** Candidate and precandidate: who answered what. */
  private readonly votes = new Map<ReplicaId, boolean>();

  /** Leader: everyone but itself, in replicaId order. */
  private peers: Progress[] = [];
  private self: Progress;
  /** Leader: the voters in force, itself included if it is one; `outgoing` is empty unless the configuration is joint. */
  private incoming: Progress[] = [];
  private outgoing: Progress[] = [];
  /** Leader: the empty entry that opened this term. */
  private termStartIndex: LogIndex = 0;
  private uncommittedBytes = 0;
  private transferTarget: ReplicaId = 0;
  private transferTicks = 0;
  /**
   * False while this leader won by its own vote alone and cannot know that vote durable. It must not be heard of before: after a
   * crash it would lead the same term again, with other entries. Its appends then wait like promises.
   */
  private ownVoteDurable = true;
  private readonly rounds = new ReadRounds();
  private roundTicks = 0;
  /** Ticks after which what was not answered is asked again. */
  private readonly retryTicks: number;
  /** Ticks of silence after which a peer counts as unreachable and keeps no leader awake. */
  private readonly graceTicks: number;

  private dirty = false;
  /** Leader: some peer may be sent entries. */
  private sendDue = false;
  private appends: Message[] = [];
  private promises: Message[] = [];
  private confirmedReads: ReadState[] = [];
  private droppedReads: number[] = [];
  private snapshots: Member[] = [];
  /** One acknowledgement per Ready says what the last of several appends would: to whom (0 = none owed) and the greatest match. */
  private ackTo: ReplicaId = 0;
  private ackIndex: LogIndex = 0;

  /** The last slice built: peers at the same position share one array, so the host may encode it once. */
  private sharedFrom: LogIndex = 0;
  private sharedTo: LogIndex = 0;
  private sharedEntries: readonly Entry[] = NO_ENTRIES;
  private sharedBytes = 0;

  constructor(options: RaftOptions) {
    this.options = options;
    this.replicaId = options.replicaId;
    this.nodeId = options.nodeId;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.log = new RaftLog(options.startIndex, options.startTerm, options.entries);
    this.history = new ConfigurationHistory(options.startIndex, options.configuration);
    for (const entry of options.entries) this.history.append(entry);
    this.commitIndex = options.appliedIndex;
    this.appliedIndex = options.appliedIndex;
    this.handedIndex = options.appliedIndex;
    this.self = this.newSelf();
    this.retryTicks = Math.max(1, Math.floor(options.electionTicksMin / 3));
    this.graceTicks = 2 * options.electionTicksMax;
    assert(options.replicaId > 0, 'replica ids begin at 1: 0 means none');
    assert(options.electionTicksMin >= 1 && options.electionTicksMin <= options.electionTicksMax, 'election timeout is a range');
    assert(
      options.appliedIndex >= options.startIndex && options.appliedIndex <= this.log.lastIndex,
      'applied entries stand in the log or before its start',
    );
    if (this.term < options.startTerm) {
      // The engine is ahead of the log: it had applied what the log lost. The term that stood in the lost hard state was never
      // promised to anyone (promises wait for the disk), so it is adopted anew, without a vote.
      this.term = options.startTerm;
      this.vote = 0;
      this.hardStateChanged = true;
      this.dirty = true;
    }
    assert(this.term >= this.log.lastTerm, 'no entry is newer than the term');
    this.restartElectionTimer();
  }

  // ---- what the host sees --------------------------------------------------------------------------------------------------

  get firstIndex(): LogIndex {
    return this.log.startIndex + 1;
  }

  get lastIndex(): LogIndex {
    return this.log.lastIndex;
  }

  get lastTerm(): Term {
    return this.log.lastTerm;
  }

  get logBytes(): number {
    return this.log.dataBytes;
  }

  get configuration(): Configuration {
    return this.history.current;
  }

  get leaderReady(): boolean {
    return this.role === 'leader' && this.handedIndex >= this.termStartIndex;
  }

  get quiet(): boolean {
    if (this.role === 'follower') return this.leaderId !== 0 || !this.promotable();
    if (this.role !== 'leader') return false;
    if (this.commitIndex !== this.log.lastIndex || this.transferTarget !== 0 || !this.rounds.idle) return false;
    for (const peer of this.peers) {
      if (!this.settled(peer) && peer.silentTicks < this.graceTicks) return false;
    }
    return true;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.log.termAt(index);
  }

  entriesBetween(from: LogIndex, to: LogIndex): readonly Entry[] {
    return this.log.slice(from, to);
  }

  progress(): readonly ProgressView[] {
    return this.peers.map(peer => peer.view());
  }

  hasAnswered(peer: ReplicaId): boolean {
    return this.role === 'leader' && (peer === this.replicaId || this.findPeer(peer)?.answered === true);
  }

  quorum(has: (member: Member) => boolean): boolean {
    return hasQuorum(this.history.current, has);
  }

  quorumValue(value: (member: Member) => number): number {
    return quorumValue(this.history.current, value);
  }

  // ---- inputs: time --------------------------------------------------------------------------------------------------------

  tick(): void {
    if (this.role === 'leader') {
      this.tickLeader();
      return;
    }
    if (!this.promotable()) return;
    this.electionElapsed += 1;
    if (this.electionElapsed >= this.electionTimeout) this.campaign();
  }

  leaderAlive(): void {
    if (this.role === 'follower') this.electionElapsed = 0;
  }

  leaderLost(): void {
    if (this.role !== 'follower') return;
    this.leaderId = 0;
    this.electionElapsed = 0;
  }

  campaign(force = false): void {
    if (this.role === 'leader' || !this.promotable()) return;
    if (force) this.becomeCandidate(true);
    else this.becomePrecandidate();
  }

  // ---- inputs: messages ----------------------------------------------------------------------------------------------------

  step(message: Message, leaderPromised: boolean): void {
    // Replica ids are never used again, so a message for another one is for a membership that is gone.
    if (message.to !== this.replicaId || message.from === this.replicaId) return;
    if (message.type === MessageType.PreVote) {
      this.onPreVote(message, leaderPromised);
      return;
    }
    if (message.type === MessageType.Vote && this.promiseForbids(message, leaderPromised)) {
      // Its term is not adopted either: that alone would depose the leader we promised to keep (D §4.2.3).
      this.answerVote(message.from, false);
      return;
    }
    if (message.term > this.term) {
      // A granted pre-vote names the term that *would* be; nobody is in it yet.
      if (message.type !== MessageType.PreVoteResponse || message.reject) this.adoptTerm(message);
    } else if (message.term < this.term) {
      this.onStaleTerm(message);
      return;
    }
    switch (message.type) {
      case MessageType.Append:
        this.onAppend(message);
        return;
      case MessageType.Heartbeat:
        this.onHeartbeat(message);
        return;
      case MessageType.Vote:
        this.onVote(message);
        return;
      case MessageType.TimeoutNow:
        // The leader asks: its own promise to others is void (D §3.10), so pre-vote and leases do not stand in the way.
        this.campaign(true);
        return;
      case MessageType.AppendResponse:
        this.onAppendResponse(message);
        return;
      case MessageType.HeartbeatResponse:
        this.onHeartbeatResponse(message);
        return;
      case MessageType.SnapshotInstalled:
        this.onSnapshotInstalled(message);
        return;
      case MessageType.PreVoteResponse:
        if (this.role === 'precandidate') this.onVoteCounted(message.from, !message.reject && message.term === this.term + 1);
        return;
      case MessageType.VoteResponse:
        if (this.role === 'candidate') this.onVoteCounted(message.from, !message.reject);
        return;
      default:
        unreachable(message.type, 'message type');
    }
  }

  // ---- inputs: proposals ---------------------------------------------------------------------------------------------------

  propose(data: Uint8Array): ProposeResult {
    if (this.role !== 'leader') return NOT_LEADER;
    if (this.transferTarget !== 0) return TRANSFERRING;
    if (this.wouldOverflow(data.length)) return TOO_MANY_UNCOMMITTED;
    const index = this.appendOwn(EntryKind.Command, data);
    return { ok: true, index, term: this.term };
  }

  proposeChange(change: ConfigurationChange): ProposeResult {
    if (this.role !== 'leader') return NOT_LEADER;
    if (this.transferTarget !== 0) return TRANSFERRING;
    // Before the term's first entry is committed, an uncommitted change of an earlier leader may still be in force somewhere else:
    // two changes, each safe by itself, could then build disjoint quorums (Ongaro's erratum of 2015 to D §4.1).
    if (!this.leaderReady || isJoint(this.history.current) || this.history.index > this.appliedIndex) return CHANGE_PENDING;
    const next = planChange(this.history.current, change);
    if (next === undefined) return INVALID_CHANGE;
    const data = encodeConfiguration(next);
    if (this.wouldOverflow(data.length)) return TOO_MANY_UNCOMMITTED;
    const index = this.appendOwn(EntryKind.Configuration, data);
    return { ok: true, index, term: this.term };
  }

  transferLeadership(to: ReplicaId): boolean {
    if (this.role !== 'leader' || to === this.replicaId || !includes(this.history.current.voters, to)) return false;
    if (this.transferTarget !== 0) return this.transferTarget === to;
    this.transferTarget = to;
    this.transferTicks = 0;
    this.finishTransferIfCaughtUp();
    return true;
  }

  readIndex(context: number): boolean {
    if (!this.leaderReady) return false;
    if (this.decidesAlone()) this.confirmedReads.push({ context, index: this.commitIndex });
    else this.rounds.add(context, this.commitIndex);
    this.dirty = true;
    return true;
  }

  stepDown(): void {
    if (this.role !== 'follower') this.becomeFollower(this.term, 0);
  }

  // ---- inputs: what the host did ---------------------------------------------------------------------------------------------

  persisted(index: LogIndex, term: Term): void {
    if (!this.log.persisted(index, term) || this.role !== 'leader') return;
    // Writes complete in order, so an entry of this term on disk has the hard state of this term before it.
    if (term === this.term) this.ownVoteDurable = true;
    this.self.match = this.log.durableIndex;
    this.commitIfQuorum();
  }

  applied(index: LogIndex): void {
    assert(index <= this.handedIndex, 'only what a Ready carried is applied');
    if (index > this.appliedIndex) this.appliedIndex = index;
  }

  tellCommit(): boolean {
    if (this.role !== 'leader') return false;
    let told = false;
    for (const peer of this.peers) {
      if (!this.lacksOnlyCommit(peer)) continue;
      this.sendEmptyAppend(peer);
      told = true;
    }
    return told;
  }

  peerReset(peer: ReplicaId): void {
    const progress = this.findPeer(peer);
    if (progress !== undefined) this.restartPeer(progress);
  }

  snapshotSent(peer: ReplicaId, index: LogIndex): void {
    const progress = this.findPeer(peer);
    if (progress === undefined || progress.state !== 'snapshot') return;
    progress.becomeProbe(Math.min(index, this.log.lastIndex) + 1);
    this.sendEmptyAppend(progress);
  }

  snapshotFailed(peer: ReplicaId): void {
    const progress = this.findPeer(peer);
    if (progress === undefined || progress.state !== 'snapshot') return;
    progress.becomeProbe(progress.match + 1);
    // Asked again by the next retry tick and not now: a transfer that fails at once must not spin.
    progress.probeSent = true;
    progress.waitTicks = 0;
  }

  restore(index: LogIndex, term: Term, configuration: Configuration): boolean {
    if (index <= this.commitIndex) return false;
    assert(this.role !== 'leader', 'a leader holds everything that is committed');
    if (this.role !== 'follower') this.becomeFollower(this.term, 0);
    if (this.log.termAt(index) === term) {
      // The log reaches beyond the snapshot, and what lies behind it may have been acknowledged: it stays, and is written again.
      this.log.compact(index);
      this.log.durableIndex = index;
      this.log.unsavedFrom = index + 1;
      this.history.compact(index);
    } else {
      this.log.reset(index, term);
      this.history.reset(index, configuration);
    }
    this.sharedEntries = NO_ENTRIES;
    this.sharedFrom = 0;
    this.commitIndex = index;
    this.handedIndex = index;
    this.appliedIndex = index;
    this.ackTo = 0;
    if (this.leaderId !== 0) {
      this.promises.push(this.message(MessageType.SnapshotInstalled, this.leaderId, index, term, index, NO_ENTRIES, false, 0));
    }
    this.dirty = true;
    return true;
  }

  rewind(index: LogIndex): void {
    assert(this.role !== 'leader', 'a leader has answered by the state it has');
    assert(index >= this.log.startIndex && index <= this.log.lastIndex, 'a state is rewound to an entry of the log');
    if (index > this.commitIndex) this.commitTo(index);
    this.handedIndex = index;
    this.appliedIndex = index;
    this.dirty = true;
  }

  compact(index: LogIndex): void {
    assert(index <= this.appliedIndex, 'only applied entries are compacted');
    if (index <= this.log.startIndex) return;
    this.log.compact(index);
    this.history.compact(index);
    // Lets go of entries that only the shared slice still holds.
    this.sharedEntries = NO_ENTRIES;
    this.sharedFrom = 0;
  }

  // ---- roles ---------------------------------------------------------------------------------------------------------------

  /**
   * May this replica stand for election? A voter may. So may one that the configuration in force no longer lists, as long as that
   * configuration is not known to be committed: nobody else may have it yet, and then only this log can win (D §4.2.2).
   */
  private promotable(): boolean {
    if (isVoter(this.history.current, this.replicaId)) return true;
    const previous = this.history.previous;
    return previous !== undefined && this.history.index > this.commitIndex && isVoter(previous, this.replicaId);
  }

  private becomeFollower(term: Term, leaderId: ReplicaId): void {
    assert(term >= this.term, 'terms never fall');
    if (term > this.term) {
      this.term = term;
      this.vote = 0;
      this.hardStateChanged = true;
      this.dirty = true;
      this.ackTo = 0;
    }
    if (this.role === 'leader') this.leaveLeadership();
    this.role = 'follower';
    this.leaderId = leaderId;
    this.votes.clear();
    this.restartElectionTimer();
  }

  private leaveLeadership(): void {
    this.peers = [];
    this.incoming = [];
    this.outgoing = [];
    this.self = this.newSelf();
    this.transferTarget = 0;
    this.leaseForfeited = false;
    this.ownVoteDurable = true;
    this.sendDue = false;
    this.sharedEntries = NO_ENTRIES;
    this.sharedFrom = 0;
    for (const context of this.rounds.drop()) this.droppedReads.push(context);
    this.dirty = true;
  }

  private becomePrecandidate(): void {
    this.role = 'precandidate';
    this.leaderId = 0;
    this.restartElectionTimer();
    this.startCount();
    if (this.hasWon()) {
      this.becomeCandidate(false);
      return;
    }
    this.askForVotes(MessageType.PreVote, this.term + 1, false, this.appends);
  }

  private becomeCandidate(force: boolean): void {
    this.role = 'candidate';
    this.leaderId = 0;
    this.term += 1;
    this.vote = this.replicaId;
    this.hardStateChanged = true;
    this.dirty = true;
    this.ackTo = 0;
    this.restartElectionTimer();
    this.startCount();
    if (this.hasWon()) {
      this.becomeLeader(false);
      return;
    }
    this.askForVotes(MessageType.Vote, this.term, force, this.promises);
  }

  private becomeLeader(ownVoteDurable: boolean): void {
    assert(this.role === 'candidate', 'only a candidate wins');
    this.role = 'leader';
    this.leaderId = this.replicaId;
    this.votes.clear();
    this.ownVoteDurable = ownVoteDurable;
    this.leaseForfeited = false;
    this.self = this.newSelf();
    this.self.match = this.log.durableIndex;
    this.uncommittedBytes = this.log.bytesBetween(this.commitIndex + 1, this.log.lastIndex);
    this.rebuildProgress();
    // Older entries become committed, and reads and changes possible, only behind an entry of the own term (Raft §5.4.2, §8).
    this.termStartIndex = this.appendOwn(EntryKind.Noop, NO_DATA);
  }

  private startCount(): void {
    this.votes.clear();
    this.votes.set(this.replicaId, true);
  }

  private hasWon(): boolean {
    return this.quorum(member => this.votes.get(member.replicaId) === true);
  }

  private hasLost(): boolean {
    return !this.quorum(member => this.votes.get(member.replicaId) !== false);
  }

  private askForVotes(type: MessageType, term: Term, force: boolean, out: Message[]): void {
    const { lastIndex, lastTerm } = this.log;
    for (const member of allMembers(this.history.current)) {
      if (member.replicaId === this.replicaId || !isVoter(this.history.current, member.replicaId)) continue;
      out.push(makeMessage(type, this.replicaId, member.replicaId, term, lastIndex, lastTerm, 0, NO_ENTRIES, false, force, 0));
    }
    this.dirty = true;
  }

  private onVoteCounted(from: ReplicaId, granted: boolean): void {
    // First answer counts: a repeated message must not turn a vote.
    if (!this.votes.has(from)) this.votes.set(from, granted);
    if (this.hasWon()) {
      if (this.role === 'precandidate') this.becomeCandidate(false);
      else this.becomeLeader(true);
    } else if (this.hasLost()) {
      this.becomeFollower(this.term, 0);
    }
  }

  /** A higher term: adopted before anything else, whatever the message goes on to ask (Raft §5.1). */
  private adoptTerm(message: Message): void {
    this.becomeFollower(message.term, isFromLeader(message.type) ? message.from : 0);
  }

  // ---- messages: elections -------------------------------------------------------------------------------------------------

  /** A promise to the leader we follow forbids helping anyone else; a transfer (`force`) is that leader's own wish. */
  private promiseForbids(message: Message, leaderPromised: boolean): boolean {
    return leaderPromised && !message.force && message.from !== this.leaderId;
  }

  private onPreVote(message: Message, leaderPromised: boolean): void {
    const granted =
      this.role !== 'leader' &&
      message.term > this.term &&
      !this.promiseForbids(message, leaderPromised) &&
      this.isUpToDate(message);
    this.appends.push(
      makeMessage(
        MessageType.PreVoteResponse,
        this.replicaId,
        message.from,
        granted ? message.term : this.term,
        0,
        0,
        0,
        NO_ENTRIES,
        !granted,
        false,
        0,
      ),
    );
    this.dirty = true;
    this.showLeadershipTo(message.from);
  }

  private onVote(message: Message): void {
    const granted = this.vote === message.from || (this.vote === 0 && this.leaderId === 0 && this.isUpToDate(message));
    if (granted && this.vote === 0) {
      this.vote = message.from;
      this.hardStateChanged = true;
    }
    if (granted) this.electionElapsed = 0;
    this.answerVote(message.from, granted);
  }

  private answerVote(to: ReplicaId, granted: boolean): void {
    this.promises.push(this.message(MessageType.VoteResponse, to, 0, 0, 0, NO_ENTRIES, !granted, 0));
    this.dirty = true;
    this.showLeadershipTo(to);
  }

  /** Whether the candidate's log is at least as new as ours (Raft §5.4.1). */
  private isUpToDate(message: Message): boolean {
    const { lastIndex, lastTerm } = this.log;
    return message.logTerm > lastTerm || (message.logTerm === lastTerm && message.index >= lastIndex);
  }

  /** A peer that asks for votes does not know its leader (it restarted, say): make it hear from us. */
  private showLeadershipTo(replicaId: ReplicaId): void {
    const progress = this.findPeer(replicaId);
    if (progress !== undefined) this.restartPeer(progress);
  }

  private onStaleTerm(message: Message): void {
    if (message.type === MessageType.Vote) {
      this.answerVote(message.from, false);
    } else if (isFromLeader(message.type)) {
      // The sender was deposed and does not know: our term in the answer tells it.
      this.refuseAppend(message.from, message.index, this.log.lastIndex, this.log.lastTerm);
    }
  }

  // ---- messages: following -------------------------------------------------------------------------------------------------

  private follow(leaderId: ReplicaId): void {
    if (this.role === 'follower' && this.leaderId === leaderId) {
      this.electionElapsed = 0;
      return;
    }
    assert(this.role !== 'leader', 'one leader per term');
    assert(this.leaderId === 0 || this.leaderId === leaderId, 'one leader per term');
    this.becomeFollower(this.term, leaderId);
  }

  private onAppend(message: Message): void {
    this.follow(message.from);
    const entries = message.entries;
    const last = message.index + entries.length;
    if (last <= this.commitIndex) {
      this.acknowledge(message.from, this.commitIndex);
      return;
    }
    // What is committed is the same here and at the leader (Raft §5.4.3), so the check may begin there.
    const skip = Math.max(0, this.commitIndex - message.index);
    const before = message.index + skip;
    const termBefore = skip === 0 ? message.logTerm : (entries[skip - 1] as Entry).term;
    if (this.log.termAt(before) !== termBefore) {
      assert(skip === 0, 'a committed entry never changes');
      const hint = this.log.agreementAtMost(before, message.logTerm);
      assert(hint !== undefined, 'the log agrees with every leader at its start');
      this.refuseAppend(message.from, message.index, hint, this.log.termAt(hint) as Term);
      return;
    }
    this.takeEntries(entries, skip);
    const commit = message.commit < last ? message.commit : last;
    if (commit > this.commitIndex) this.commitTo(commit);
    this.acknowledge(message.from, last);
  }

  /** Appends what is new of `entries` from position `skip` on; entries of ours that differ go first (Raft §5.3). */
  private takeEntries(entries: readonly Entry[], skip: number): void {
    let i = skip;
    while (i < entries.length) {
      const entry = entries[i] as Entry;
      if (this.log.termAt(entry.index) !== entry.term) break;
      i++;
    }
    if (i === entries.length) return;
    this.dirty = true;
    const first = entries[i] as Entry;
    if (first.index <= this.log.lastIndex) {
      assert(first.index > this.commitIndex, 'committed entries are never truncated');
      this.log.truncateFrom(first.index);
      this.history.truncateFrom(first.index);
    }
    for (; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      this.history.append(entry);
      this.log.append(entry);
    }
  }

  /** The log is as the leader's up to `index`: said once durable, so at the next Ready. */
  private acknowledge(to: ReplicaId, index: LogIndex): void {
    if (this.ackTo !== to || index > this.ackIndex) this.ackIndex = index;
    this.ackTo = to;
    this.dirty = true;
  }

  private refuseAppend(to: ReplicaId, refused: LogIndex, hint: LogIndex, hintTerm: Term): void {
    this.appends.push(this.message(MessageType.AppendResponse, to, hint, hintTerm, this.commitIndex, NO_ENTRIES, true, refused));
    this.dirty = true;
  }

  private onHeartbeat(message: Message): void {
    this.follow(message.from);
    // The leader caps the commit index at what we acknowledged. Beyond our log: we lost what we promised, and must not guess.
    if (message.commit > this.commitIndex && message.commit <= this.log.lastIndex) this.commitTo(message.commit);
    // Needs no write: it says "no newer term yet", and what could break that, our vote for one, waits for the disk by itself.
    this.appends.push(
      this.message(MessageType.HeartbeatResponse, message.from, 0, 0, this.commitIndex, NO_ENTRIES, false, message.context),
    );
    this.dirty = true;
  }

  // ---- messages: leading ---------------------------------------------------------------------------------------------------

  private onAppendResponse(message: Message): void {
    const peer = this.findPeer(message.from);
    if (peer === undefined || message.index > this.log.lastIndex) return;
    peer.heard(message.commit);
    if (message.reject) {
      this.onRefused(peer, message);
      return;
    }
    peer.acknowledged(message.index);
    if (peer.state === 'probe' || (peer.state === 'snapshot' && peer.match >= this.log.startIndex)) peer.becomeReplicate();
    if (peer.next <= this.log.lastIndex) this.wakeSender();
    this.commitIfQuorum();
    if (this.transferTarget === peer.member.replicaId) this.finishTransferIfCaughtUp();
  }

  private onRefused(peer: Progress, message: Message): void {
    if (peer.state === 'snapshot') return;
    // An answer to an append before the one that is under way now: already acted upon.
    if (peer.state === 'replicate' ? message.context <= peer.match : message.context !== peer.next - 1) return;
    const agreement = this.log.agreementAtMost(message.index, message.logTerm);
    if (agreement === undefined) {
      peer.becomeSnapshot();
      this.snapshots.push(peer.member);
      this.dirty = true;
      return;
    }
    // Below what it acknowledged: an old answer, or a peer whose disk forgot. Asking on by tick heals the one and never spins on the other.
    if (peer.state === 'probe' && agreement < peer.match) return;
    peer.becomeProbe(agreement + 1);
    this.wakeSender();
  }

  private onHeartbeatResponse(message: Message): void {
    const peer = this.findPeer(message.from);
    if (peer === undefined || message.context > this.rounds.round) return;
    peer.heard(message.commit);
    if (message.context > peer.readRound) peer.readRound = message.context;
    this.confirmRoundIfQuorum();
  }

  private confirmRoundIfQuorum(): void {
    if (!this.rounds.underWay || this.majorityOf(readRoundOf) < this.rounds.round) return;
    for (const read of this.rounds.confirm()) this.confirmedReads.push(read);
    this.dirty = true;
  }

  private onSnapshotInstalled(message: Message): void {
    const peer = this.findPeer(message.from);
    if (peer === undefined || message.index > this.log.lastIndex) return;
    peer.heard(message.commit);
    peer.acknowledged(message.index);
    peer.becomeReplicate();
    this.wakeSender();
    this.commitIfQuorum();
  }

  // ---- leading: commit -----------------------------------------------------------------------------------------------------

  /**
   * Commits what a quorum holds durably, if that is an entry of this term (Raft §5.4.2, figure 8): an older one, even on a quorum,
   * can still be replaced by a candidate with a newer last term. Own copy: only as far as the disk completed.
   */
  private commitIfQuorum(): void {
    const index = this.majorityOf(matchOf);
    if (index <= this.commitIndex || this.log.termAt(index) !== this.term) return;
    this.uncommittedBytes -= this.log.bytesBetween(this.commitIndex + 1, index);
    this.commitTo(index);
    if (this.history.index <= this.commitIndex) this.afterChangeCommitted();
  }

  private commitTo(index: LogIndex): void {
    assert(index > this.commitIndex && index <= this.log.lastIndex, 'the commit index grows inside the log');
    this.commitIndex = index;
    this.dirty = true;
  }

  private afterChangeCommitted(): void {
    const configuration = this.history.current;
    if (isJoint(configuration)) {
      this.appendOwn(EntryKind.Configuration, encodeConfiguration(leaveJoint(configuration)));
    } else if (!includes(configuration.voters, this.replicaId)) {
      this.resignAfterRemoval();
    }
  }

  /** The committed configuration does not list this leader as a voter: its work is done (D §4.2.2). The best of the others takes over at once. */
  private resignAfterRemoval(): void {
    let successor: Progress | undefined;
    for (const peer of this.peers) {
      this.sendEmptyAppend(peer);
      if (peer.voter && (successor === undefined || peer.match > successor.match)) successor = peer;
    }
    if (successor !== undefined) this.sendTimeoutNow(successor);
    this.becomeFollower(this.term, 0);
  }

  private majorityOf(value: (progress: Progress) => number): number {
    const incoming = majorityValue(this.incoming, value);
    return this.outgoing.length === 0 ? incoming : Math.min(incoming, majorityValue(this.outgoing, value));
  }

  /** Whether this leader is a quorum by itself. */
  private decidesAlone(): boolean {
    return this.incoming.length === 1 && this.incoming[0] === this.self && this.outgoing.length === 0;
  }

  private wouldOverflow(dataBytes: number): boolean {
    // One proposal is always let in: otherwise one larger than the bound would be refused for ever.
    const bytes = dataBytes + ENTRY_OVERHEAD_BYTES;
    return this.uncommittedBytes > 0 && this.uncommittedBytes + bytes > this.options.maxUncommittedBytes;
  }

  private appendOwn(kind: EntryKind, data: Uint8Array): LogIndex {
    const entry: Entry = { index: this.log.lastIndex + 1, term: this.term, kind, data };
    if (this.history.append(entry)) this.rebuildProgress();
    this.log.append(entry);
    this.uncommittedBytes += data.length + ENTRY_OVERHEAD_BYTES;
    this.wakeSender();
    return entry.index;
  }

  /** The configuration in force changed, or leadership began: one progress per member, those known before kept. */
  private rebuildProgress(): void {
    const configuration = this.history.current;
    const known = this.peers;
    const next = this.log.lastIndex + 1;
    this.peers = [];
    for (const member of allMembers(configuration)) {
      if (member.replicaId === this.replicaId) continue;
      const voter = isVoter(configuration, member.replicaId);
      const progress = known.find(peer => peer.member.replicaId === member.replicaId) ?? new Progress(member, voter, next);
      progress.voter = voter;
      this.peers.push(progress);
    }
    this.incoming = this.progressOf(configuration.voters);
    this.outgoing = this.progressOf(configuration.outgoing);
    if (this.transferTarget !== 0 && !includes(configuration.voters, this.transferTarget)) this.transferTarget = 0;
  }

  private progressOf(voters: readonly Member[]): Progress[] {
    return voters.map(voter => (voter.replicaId === this.replicaId ? this.self : (this.findPeer(voter.replicaId) as Progress)));
  }

  private finishTransferIfCaughtUp(): void {
    const target = this.findPeer(this.transferTarget);
    if (target !== undefined && target.match === this.log.lastIndex) this.sendTimeoutNow(target);
  }

  private sendTimeoutNow(target: Progress): void {
    // From here on the target may win at any moment, whatever others promised us: no lease for the rest of the term.
    this.leaseForfeited = true;
    this.outbox().push(this.message(MessageType.TimeoutNow, target.member.replicaId, 0, 0, 0, NO_ENTRIES, false, 0));
    this.dirty = true;
  }

  // ---- leading: sending ----------------------------------------------------------------------------------------------------

  private wakeSender(): void {
    this.sendDue = true;
    this.dirty = true;
  }

  private tickLeader(): void {
    for (const peer of this.peers) this.tickPeer(peer);
    if (this.rounds.underWay && ++this.roundTicks >= this.retryTicks) this.sendRound();
    if (this.transferTarget !== 0 && ++this.transferTicks >= this.options.electionTicksMax) this.transferTarget = 0;
  }

  private tickPeer(peer: Progress): void {
    if (this.settled(peer)) return;
    peer.silentTicks += 1;
    peer.waitTicks += 1;
    // The commit index travels with the next append. If none came within a tick, it travels by itself.
    if (this.lacksOnlyCommit(peer) || peer.waitTicks >= this.retryTicks) this.sendEmptyAppend(peer);
  }

  private lacksOnlyCommit(peer: Progress): boolean {
    return peer.state === 'replicate' && peer.match === this.log.lastIndex && peer.commitSent < this.commitIndex;
  }

  /** Nothing is owed to this peer: it holds everything and knows it, or a snapshot is on its way (then the host reports). */
  private settled(peer: Progress): boolean {
    if (peer.state === 'snapshot') return true;
    return (
      peer.state === 'replicate' && peer.answered && peer.match === this.log.lastIndex && peer.commitKnown >= this.commitIndex
    );
  }

  private restartPeer(peer: Progress): void {
    peer.becomeProbe(peer.match + 1);
    peer.answered = false;
    peer.commitKnown = 0;
    peer.silentTicks = 0;
    this.sendEmptyAppend(peer);
  }

  /** Asks "do you have everything I sent you?", and tells the commit index. Small: the peer may be down. */
  private sendEmptyAppend(peer: Progress): void {
    if (peer.state === 'snapshot') return;
    peer.waitTicks = 0;
    this.pushAppend(peer, NO_ENTRIES);
  }

  /** Sends as much as state and bounds allow. */
  private replicateTo(peer: Progress): void {
    while (peer.state === 'replicate' && peer.next <= this.log.lastIndex && peer.inflightBytes < this.options.maxInflightBytes) {
      if (peer.next <= this.log.startIndex) peer.becomeProbe(this.log.startIndex + 1);
      else this.sendEntries(peer);
    }
    if (peer.state !== 'probe' || peer.probeSent) return;
    if (peer.next > this.log.startIndex && peer.next <= this.log.lastIndex) this.sendEntries(peer);
    else this.pushAppend(peer, NO_ENTRIES);
  }

  private sendEntries(peer: Progress): void {
    const from = peer.next;
    if (this.sharedFrom !== from || this.sharedTo > this.log.lastIndex || this.sharedEntries.length === 0) this.share(from);
    const entries = this.sharedEntries;
    const bytes = this.sharedBytes;
    const last = this.sharedTo;
    this.pushAppend(peer, entries);
    if (peer.state === 'replicate') peer.sent(last, bytes);
  }

  private share(from: LogIndex): void {
    const to = this.log.batchEnd(from, this.options.maxAppendBytes);
    this.sharedFrom = from;
    this.sharedTo = to;
    this.sharedEntries = this.log.slice(from, to);
    this.sharedBytes = this.log.bytesBetween(from, to);
  }

  private pushAppend(peer: Progress, entries: readonly Entry[]): void {
    // Below the compacted start the term is not known: ask there instead. A refusal shows that only a snapshot helps, and costs a
    // peer that is down nothing.
    if (peer.next <= this.log.startIndex) peer.becomeProbe(this.log.startIndex + 1);
    const before = peer.next - 1;
    const last = before + entries.length;
    peer.commitSent = Math.min(this.commitIndex, last);
    if (peer.state === 'probe') peer.probeSent = true;
    this.outbox().push(
      this.message(
        MessageType.Append,
        peer.member.replicaId,
        before,
        this.log.termAt(before) as Term,
        this.commitIndex,
        entries,
        false,
        0,
      ),
    );
    this.dirty = true;
  }

  /** Heartbeats of the ReadIndex round under way, to the voters that have not answered it. */
  private sendRound(): void {
    this.roundTicks = 0;
    this.self.readRound = this.rounds.round;
    for (const peer of this.peers) {
      if (!peer.voter || peer.readRound >= this.rounds.round) continue;
      const commit = Math.min(this.commitIndex, peer.match);
      const to = peer.member.replicaId;
      this.outbox().push(this.message(MessageType.Heartbeat, to, 0, 0, commit, NO_ENTRIES, false, this.rounds.round));
    }
    this.dirty = true;
    // No answer will come if a change made this leader a quorum by itself meanwhile.
    this.confirmRoundIfQuorum();
  }

  private outbox(): Message[] {
    return this.ownVoteDurable ? this.appends : this.promises;
  }

  private message(
    type: MessageType,
    to: ReplicaId,
    index: LogIndex,
    logTerm: Term,
    commit: LogIndex,
    entries: readonly Entry[],
    reject: boolean,
    context: number,
  ): Message {
    return makeMessage(type, this.replicaId, to, this.term, index, logTerm, commit, entries, reject, false, context);
  }

  // ---- outputs -------------------------------------------------------------------------------------------------------------

  ready(): Ready | undefined {
    if (!this.dirty) return undefined;
    if (this.role === 'leader') this.sendWhatIsDue();
    this.dirty = false;
    if (this.ackTo !== 0) {
      this.promises.push(
        this.message(MessageType.AppendResponse, this.ackTo, this.ackIndex, 0, this.commitIndex, NO_ENTRIES, false, 0),
      );
      this.ackTo = 0;
    }
    const hardState = this.hardStateChanged ? { term: this.term, vote: this.vote } : undefined;
    this.hardStateChanged = false;
    // An empty list is handed out as the shared one, never as ours: what is pushed later must not show in this Ready.
    const result: Ready = {
      hardState,
      entries: this.takeUnsaved(),
      appends: this.appends.length === 0 ? NO_MESSAGES : this.appends,
      promises: this.promises.length === 0 ? NO_MESSAGES : this.promises,
      committed: this.takeCommitted(),
      reads: this.confirmedReads.length === 0 ? NO_READS : this.confirmedReads,
      droppedReads: this.droppedReads.length === 0 ? NO_CONTEXTS : this.droppedReads,
      snapshots: this.snapshots.length === 0 ? NO_MEMBERS : this.snapshots,
    };
    if (this.appends.length > 0) this.appends = [];
    if (this.promises.length > 0) this.promises = [];
    if (this.confirmedReads.length > 0) this.confirmedReads = [];
    if (this.droppedReads.length > 0) this.droppedReads = [];
    if (this.snapshots.length > 0) this.snapshots = [];
    return isEmpty(result) ? undefined : result;
  }

  private sendWhatIsDue(): void {
    if (this.sendDue) {
      this.sendDue = false;
      for (const peer of this.peers) this.replicateTo(peer);
    }
    if (this.rounds.begin()) this.sendRound();
  }

  private takeUnsaved(): readonly Entry[] {
    const from = this.log.unsavedFrom;
    const to = this.log.lastIndex;
    if (from > to) return NO_ENTRIES;
    this.log.unsavedFrom = to + 1;
    // The leader's own write usually carries what it has just sent.
    return this.sharedFrom === from && this.sharedTo === to ? this.sharedEntries : this.log.slice(from, to);
  }

  private takeCommitted(): readonly Entry[] {
    if (this.commitIndex === this.handedIndex) return NO_ENTRIES;
    const committed = this.log.slice(this.handedIndex + 1, this.commitIndex);
    this.handedIndex = this.commitIndex;
    return committed;
  }

  // ---- small things --------------------------------------------------------------------------------------------------------

  private findPeer(replicaId: ReplicaId): Progress | undefined {
    for (const peer of this.peers) if (peer.member.replicaId === replicaId) return peer;
    return undefined;
  }

  private newSelf(): Progress {
    return new Progress({ replicaId: this.replicaId, nodeId: this.nodeId }, true, 0);
  }

  /** A new random timeout each time: equal ones would split the votes for ever (Raft §5.2). */
  private restartElectionTimer(): void {
    this.electionElapsed = 0;
    this.electionTimeout = this.options.randomInt(this.options.electionTicksMin, this.options.electionTicksMax);
  }
}

const NO_MESSAGES: readonly Message[] = Object.freeze([]);
const NO_READS: readonly ReadState[] = Object.freeze([]);
const NO_CONTEXTS: readonly number[] = Object.freeze([]);
const NO_MEMBERS: readonly Member[] = Object.freeze([]);

const NOT_LEADER: ProposeResult = Object.freeze({ ok: false, reason: 'not-leader' });
const TRANSFERRING: ProposeResult = Object.freeze({ ok: false, reason: 'transferring' });
const TOO_MANY_UNCOMMITTED: ProposeResult = Object.freeze({ ok: false, reason: 'too-many-uncommitted' });
const CHANGE_PENDING: ProposeResult = Object.freeze({ ok: false, reason: 'change-pending' });
const INVALID_CHANGE: ProposeResult = Object.freeze({ ok: false, reason: 'invalid-change' });

/** One replica of one Raft group; see {@link RaftGroup} for the contract. */
export function createRaftGroup(options: RaftOptions): RaftGroup {
  return new RaftCore(options);
}

function matchOf(progress: Progress): number {
  return progress.match;
}

function readRoundOf(progress: Progress): number {
  return progress.readRound;
}

function isFromLeader(type: MessageType): boolean {
  return type === MessageType.Append || type === MessageType.Heartbeat || type === MessageType.TimeoutNow;
}

function isEmpty(ready: Ready): boolean {
  return (
    ready.hardState === undefined &&
    ready.entries.length === 0 &&
    ready.appends.length === 0 &&
    ready.promises.length === 0 &&
    ready.committed.length === 0 &&
    ready.reads.length === 0 &&
    ready.droppedReads.length === 0 &&
    ready.snapshots.length === 0
  );
}
