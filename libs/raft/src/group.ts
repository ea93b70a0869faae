import { assert, type LogIndex, type NodeId, type ReplicaId, type Term, unreachable } from '@kahuna/base';
import { Election } from './election.ts';
import { refuseAppend, takeAppend, takeHeartbeat } from './following.ts';
import { Leadership } from './leadership.ts';
import { NO_ENTRIES } from './message.ts';
import { Output } from './output.ts';
import { hasQuorum, quorumValue } from './quorum.ts';
import { ReadRounds } from './read-rounds.ts';
import { ReplicaState } from './replica-state.ts';
import {
  type Configuration,
  type ConfigurationChange,
  type Entry,
  type Member,
  type Message,
  MessageType,
  type ProgressView,
  type ProposeResult,
  type RaftGroup,
  type RaftOptions,
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
 * ## The rooms
 *
 *     group.ts          inputs, terms and roles: which room an input belongs to
 *     replica-state.ts  what every role has: term, vote, log, configurations, indexes
 *     output.ts         what the next Ready carries, and what has to be durable before it leaves
 *     election.ts       timer, votes, pre-votes, from both sides
 *     following.ts      entries and commit indexes of a leader
 *     leadership.ts     one term led: proposals, commit rule, configuration changes, transfer
 *       peers.ts        the progress of every member, and what a quorum has reached
 *       replication.ts  appends, answers, retries, peers that need a snapshot
 *       read-index.ts   the confirmation of leadership that reads wait for
 *
 * Inputs only change state and mark the group dirty; appends are built when the Ready is taken, so that everything proposed in one
 * turn of the host travels in one message per peer.
 *
 * G1 There is a {@link Leadership} exactly while the role is leader, and none outlives its term.
 *
 * The safety properties are checked after every step of `raft.sim.test.ts`; single rules are pinned in the tests beside the rooms.
 */
export class RaftCore implements RaftGroup {
  private readonly state: ReplicaState;
  private readonly output: Output;
  private readonly election: Election;
  private readonly options: RaftOptions;
  /** Outlives a leadership: the number of a round is never used again. */
  private readonly rounds = new ReadRounds();
  private leadership: Leadership | undefined = undefined;
  /** The last term that this replica gave up because a committed change took its vote, 0 = none; and the ticks since. */
  private resignedTerm: Term = 0;
  private resignedTicks = 0;

  constructor(options: RaftOptions) {
    assert(options.electionTicksMin >= 1 && options.electionTicksMin <= options.electionTicksMax, 'election timeout is a range');
    this.options = options;
    this.state = new ReplicaState(options);
    this.output = new Output(this.state);
    this.election = new Election(this.state, this.output, options);
  }

  // ---- what the host sees --------------------------------------------------------------------------------------------------

  get replicaId(): ReplicaId {
    return this.state.replicaId;
  }

  get nodeId(): NodeId {
    return this.state.nodeId;
  }

  get role(): Role {
    return this.state.role;
  }

  get term(): Term {
    return this.state.term;
  }

  get leaderId(): ReplicaId {
    return this.state.leaderId;
  }

  get commitIndex(): LogIndex {
    return this.state.commitIndex;
  }

  get appliedIndex(): LogIndex {
    return this.state.appliedIndex;
  }

  get firstIndex(): LogIndex {
    return this.state.log.startIndex + 1;
  }

  get lastIndex(): LogIndex {
    return this.state.log.lastIndex;
  }

  get lastTerm(): Term {
    return this.state.log.lastTerm;
  }

  get logBytes(): number {
    return this.state.log.dataBytes;
  }

  get configuration(): Configuration {
    return this.state.configuration;
  }

  get leaderReady(): boolean {
    return this.leadership?.isReady === true;
  }

  get leaseForfeited(): boolean {
    return this.leadership?.leaseForfeited === true;
  }

  get quiet(): boolean {
    const { role, leaderId } = this.state;
    if (role === 'follower') return leaderId !== 0 || !this.election.mayStand;
    return this.leadership?.quiet === true;
  }

  get owing(): boolean {
    return this.leadership?.owing === true;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.state.log.termAt(index);
  }

  entriesBetween(from: LogIndex, to: LogIndex): readonly Entry[] {
    return this.state.log.slice(from, to);
  }

  progress(): readonly ProgressView[] {
    return this.leadership?.peers.others.map(peer => peer.view()) ?? [];
  }

  hasAnswered(peer: ReplicaId): boolean {
    const { leadership } = this;
    return leadership !== undefined && (peer === this.replicaId || leadership.peers.find(peer)?.answered === true);
  }

  quorum(has: (member: Member) => boolean): boolean {
    return hasQuorum(this.configuration, has);
  }

  quorumValue(value: (member: Member) => number): number {
    return quorumValue(this.configuration, value);
  }

  // ---- inputs: time --------------------------------------------------------------------------------------------------------

  tick(): void {
    if (this.leadership !== undefined) this.leadership.tick();
    else if (this.election.tick()) this.campaign();
    else if (this.resignedTerm !== 0 && !this.election.mayStand) this.releaseFollowers();
  }

  leaderAlive(): void {
    if (this.state.role === 'follower') this.election.postpone();
  }

  leaderLost(): void {
    if (this.state.role !== 'follower') return;
    this.state.leaderId = 0;
    this.election.postpone();
  }

  campaign(force = false): void {
    if (this.leadership !== undefined || !this.election.mayStand) return;
    if (force) this.becomeCandidate(true);
    else this.becomePrecandidate();
  }

  // ---- inputs: messages ----------------------------------------------------------------------------------------------------

  step(message: Message, leaderPromised: boolean): void {
    const { state, election } = this;
    // Replica ids are never used again, so a message for another one is for a membership that is gone.
    if (message.to !== state.replicaId || message.from === state.replicaId) return;
    if (message.type === MessageType.PreVote) {
      election.answerPreVote(message, leaderPromised);
      this.showLeadershipTo(message.from);
      return;
    }
    if (message.type === MessageType.Vote && election.isForbidden(message, leaderPromised)) {
      // Its term is not adopted either: that alone would depose the leader we promised to keep (D §4.2.3).
      this.refuseVote(message.from);
      return;
    }
    if (message.term > state.term) {
      // A granted pre-vote names the term that *would* be; nobody is in it yet.
      if (message.type !== MessageType.PreVoteResponse || message.reject) this.adoptTerm(message);
    } else if (message.term < state.term) {
      this.onStaleTerm(message);
      return;
    }
    switch (message.type) {
      case MessageType.Append:
        this.follow(message.from);
        takeAppend(state, this.output, message);
        return;
      case MessageType.Heartbeat:
        this.follow(message.from);
        takeHeartbeat(state, this.output, message);
        return;
      case MessageType.Vote:
        election.answerVote(message);
        this.showLeadershipTo(message.from);
        return;
      case MessageType.TimeoutNow:
        // The leader asks: its own promise to others is void (D §3.10), so pre-vote and leases do not stand in the way.
        this.campaign(true);
        return;
      case MessageType.AppendResponse:
        this.leadership?.takeAppendAnswer(message);
        this.leaveIfRemoved();
        return;
      case MessageType.HeartbeatResponse:
        this.leadership?.reads.takeAnswer(message);
        return;
      case MessageType.SnapshotInstalled:
        this.leadership?.takeSnapshotInstalled(message);
        this.leaveIfRemoved();
        return;
      case MessageType.PreVoteResponse:
        if (state.role === 'precandidate') this.countVote(message.from, !message.reject && message.term === state.term + 1);
        return;
      case MessageType.VoteResponse:
        if (state.role === 'candidate') this.countVote(message.from, !message.reject);
        return;
      default:
        unreachable(message.type, 'message type');
    }
  }

  /** A higher term: adopted before anything else, whatever the message goes on to ask (Raft §5.1). */
  private adoptTerm(message: Message): void {
    this.becomeFollower(message.term, isFromLeader(message.type) ? message.from : 0);
  }

  private onStaleTerm(message: Message): void {
    const { state } = this;
    if (message.type === MessageType.Vote) {
      this.refuseVote(message.from);
    } else if (isFromLeader(message.type)) {
      // The sender was deposed and does not know: our term in the answer tells it.
      refuseAppend(state, this.output, message, state.log.lastIndex, state.log.lastTerm);
    }
  }

  private refuseVote(candidate: ReplicaId): void {
    this.election.refuseVote(candidate);
    this.showLeadershipTo(candidate);
  }

  /** A peer that asks for votes does not know its leader (it restarted, say): make it hear from us. */
  private showLeadershipTo(replicaId: ReplicaId): void {
    this.leadership?.replication.restart(replicaId);
  }

  // ---- inputs: proposals ---------------------------------------------------------------------------------------------------

  propose(data: Uint8Array): ProposeResult {
    return this.leadership === undefined ? NOT_LEADER : this.leadership.propose(data);
  }

  proposeChange(change: ConfigurationChange): ProposeResult {
    return this.leadership === undefined ? NOT_LEADER : this.leadership.proposeChange(change);
  }

  transferLeadership(to: ReplicaId): boolean {
    return this.leadership?.transferTo(to) === true;
  }

  readIndex(context: number): boolean {
    const { leadership } = this;
    if (leadership === undefined || !leadership.isReady) return false;
    leadership.reads.ask(context);
    return true;
  }

  stepDown(): void {
    if (this.state.role !== 'follower') this.becomeFollower(this.term, 0);
  }

  // ---- inputs: what the host did ---------------------------------------------------------------------------------------------

  persisted(index: LogIndex, term: Term): void {
    if (!this.state.log.persisted(index, term) || this.leadership === undefined) return;
    this.leadership.persisted(term);
    this.leaveIfRemoved();
  }

  applied(index: LogIndex): void {
    this.state.applied(index);
  }

  tellCommit(): boolean {
    return this.leadership?.replication.tellCommit() === true;
  }

  peerReset(peer: ReplicaId): void {
    this.leadership?.replication.restart(peer);
  }

  snapshotSent(peer: ReplicaId, index: LogIndex): void {
    this.leadership?.replication.snapshotSent(peer, index);
  }

  snapshotFailed(peer: ReplicaId): void {
    this.leadership?.replication.snapshotFailed(peer);
  }

  restore(index: LogIndex, term: Term, configuration: Configuration): boolean {
    const { state, output } = this;
    if (index <= state.commitIndex) return false;
    assert(this.leadership === undefined, 'a leader holds everything that is committed');
    if (state.role !== 'follower') this.becomeFollower(state.term, 0);
    state.restore(index, term, configuration);
    output.forgetAcknowledgement();
    const { leaderId } = state;
    if (leaderId !== 0) {
      output.onceDurable(output.message(MessageType.SnapshotInstalled, leaderId, index, term, index, NO_ENTRIES, false, 0));
    }
    return true;
  }

  rewind(index: LogIndex): void {
    assert(this.leadership === undefined, 'a leader has answered by the state it has');
    this.state.rewind(index);
  }

  compact(index: LogIndex): void {
    if (this.state.compact(index)) this.leadership?.replication.batch.clear();
  }

  // ---- roles ---------------------------------------------------------------------------------------------------------------

  /** A message of the present term's leader. */
  private follow(leaderId: ReplicaId): void {
    const { state } = this;
    if (state.role === 'follower' && state.leaderId === leaderId) {
      this.election.postpone();
      return;
    }
    assert(state.role !== 'leader', 'one leader per term');
    assert(state.leaderId === 0 || state.leaderId === leaderId, 'one leader per term');
    this.becomeFollower(state.term, leaderId);
  }

  private becomeFollower(term: Term, leaderId: ReplicaId): void {
    const { state, election } = this;
    if (term !== state.term) this.enterTerm(term, 0);
    this.leadership?.end();
    this.leadership = undefined;
    state.role = 'follower';
    state.leaderId = leaderId;
    election.endCount();
    election.restartTimer();
  }

  private becomePrecandidate(): void {
    const { state, election } = this;
    state.role = 'precandidate';
    state.leaderId = 0;
    election.restartTimer();
    if (election.beginCount()) this.becomeCandidate(false);
    else election.askForPreVotes();
  }

  private becomeCandidate(force: boolean): void {
    const { state, election } = this;
    state.role = 'candidate';
    state.leaderId = 0;
    this.enterTerm(state.term + 1, state.replicaId);
    election.restartTimer();
    if (election.beginCount()) this.becomeLeader(false);
    else election.askForVotes(force);
  }

  private becomeLeader(ownVoteDurable: boolean): void {
    const { state } = this;
    assert(state.role === 'candidate', 'only a candidate wins');
    state.role = 'leader';
    state.leaderId = state.replicaId;
    this.election.endCount();
    this.resignedTerm = 0;
    this.leadership = new Leadership(state, this.output, this.rounds, this.options, ownVoteDurable);
  }

  private countVote(from: ReplicaId, granted: boolean): void {
    const outcome = this.election.count(from, granted);
    if (outcome === 'lost') this.becomeFollower(this.term, 0);
    if (outcome !== 'won') return;
    if (this.state.role === 'precandidate') this.becomeCandidate(false);
    else this.becomeLeader(true);
  }

  private leaveIfRemoved(): void {
    if (this.leadership?.removed !== true) return;
    this.becomeFollower(this.term, 0);
    this.resignedTerm = this.term;
    this.resignedTicks = 0;
  }

  /**
   * The word to the successor may be lost, or come to one that cannot take over. The others go on following this replica as long as its
   * host lives, and it may not stand itself any more to tell them better. So it turns to one voter after the other: in its old term, which
   * nobody leads any more, with the same word; later with the term that it knows now, which frees whoever is still in the old one.
   */
  private releaseFollowers(): void {
    const { state, output } = this;
    const { voters } = state.configuration;
    const { electionTicksMin } = this.options;
    if (++this.resignedTicks % electionTicksMin !== 0) return;
    const { replicaId } = voters[(this.resignedTicks / electionTicksMin) % voters.length] as Member;
    if (state.term !== this.resignedTerm) this.election.refuseVote(replicaId);
    else output.onceDurable(output.message(MessageType.TimeoutNow, replicaId, 0, 0, 0, NO_ENTRIES, false, 0));
  }

  private enterTerm(term: Term, vote: ReplicaId): void {
    this.state.enterTerm(term, vote);
    this.output.forgetAcknowledgement();
  }

  // ---- outputs -------------------------------------------------------------------------------------------------------------

  ready(): Ready | undefined {
    if (!this.state.dirty) return undefined;
    this.leadership?.sendDue();
    return this.output.take(this.leadership?.replication.batch);
  }
}

const NOT_LEADER: ProposeResult = Object.freeze({ ok: false, reason: 'not-leader' });

/** One replica of one Raft group; see {@link RaftGroup} for the contract. */
export function createRaftGroup(options: RaftOptions): RaftGroup {
  return new RaftCore(options);
}

function isFromLeader(type: MessageType): boolean {
  return type === MessageType.Append || type === MessageType.Heartbeat || type === MessageType.TimeoutNow;
}
