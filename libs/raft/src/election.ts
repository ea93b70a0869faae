import type { ReplicaId, Term } from '@kahuna/base';
import { allMembers, isVoter } from './configuration.ts';
import { makeMessage, NO_ENTRIES } from './message.ts';
import type { Output } from './output.ts';
import { hasQuorum } from './quorum.ts';
import type { ReplicaState } from './replica-state.ts';
import { type Message, MessageType, type RaftOptions } from './types.ts';

/** How a count of votes stands: `open` until a quorum agrees or none can any more. */
export type Outcome = 'won' | 'lost' | 'open';

/**
 * Elections as both sides see them: when to stand for one, whom to ask, what the answers amount to, and what to answer (Raft §5.2,
 * §5.4.1; pre-vote D §9.6). Which role follows from it is the group's.
 *
 * E1 One vote per term, durable before it is told, and only for a candidate whose log is at least as new as ours.
 * E2 A pre-vote promises nothing: it changes neither term nor vote, and its answer waits for no disk.
 * E3 While a promise to the leader we follow holds, only that leader, or whoever stands by its wish, is helped.
 */
export class Election {
  private readonly state: ReplicaState;
  private readonly output: Output;
  private readonly options: RaftOptions;
  private elapsedTicks = 0;
  private timeoutTicks = 0;
  /** Candidate and precandidate: who answered what. */
  private readonly votes = new Map<ReplicaId, boolean>();

  constructor(state: ReplicaState, output: Output, options: RaftOptions) {
    this.state = state;
    this.output = output;
    this.options = options;
    this.restartTimer();
  }

  // ---- the timer -----------------------------------------------------------------------------------------------------------

  /** True if nothing was heard of a leader for a whole timeout, and this replica may do something about it. */
  tick(): boolean {
    if (!this.mayStand) return false;
    this.elapsedTicks += 1;
    return this.elapsedTicks >= this.timeoutTicks;
  }

  /** The timeout begins anew, as long as before. */
  postpone(): void {
    this.elapsedTicks = 0;
  }

  /** A new random timeout each time: equal ones would split the votes for ever (Raft §5.2). */
  restartTimer(): void {
    this.elapsedTicks = 0;
    this.timeoutTicks = this.options.randomInt(this.options.electionTicksMin, this.options.electionTicksMax);
  }

  // ---- standing ------------------------------------------------------------------------------------------------------------

  /**
   * May this replica stand for election? A voter may. So may one that the configuration in force no longer lists, as long as that
   * configuration is not known to be committed: nobody else may have it yet, and then only this log can win (D §4.2.2).
   */
  get mayStand(): boolean {
    const { history, replicaId, commitIndex } = this.state;
    if (isVoter(history.current, replicaId)) return true;
    const { previous } = history;
    return previous !== undefined && history.index > commitIndex && isVoter(previous, replicaId);
  }

  /** A count begins with the own vote. True if that one is enough. */
  beginCount(): boolean {
    this.votes.clear();
    this.votes.set(this.state.replicaId, true);
    return this.hasWon();
  }

  endCount(): void {
    this.votes.clear();
  }

  count(from: ReplicaId, granted: boolean): Outcome {
    // First answer counts: a repeated message must not turn a vote.
    if (!this.votes.has(from)) this.votes.set(from, granted);
    if (this.hasWon()) return 'won';
    return this.hasLost() ? 'lost' : 'open';
  }

  /** Would the others elect this replica in the next term? */
  askForPreVotes(): void {
    for (const to of this.otherVoters()) this.output.atOnce(this.question(MessageType.PreVote, to, this.state.term + 1, false));
    this.state.dirty = true;
  }

  /** Asks them to, in the present term, whose own vote must be durable first (E1). `force`: over promises to a leader, by its wish. */
  askForVotes(force: boolean): void {
    for (const to of this.otherVoters()) this.output.onceDurable(this.question(MessageType.Vote, to, this.state.term, force));
    this.state.dirty = true;
  }

  private hasWon(): boolean {
    return hasQuorum(this.state.configuration, member => this.votes.get(member.replicaId) === true);
  }

  private hasLost(): boolean {
    return !hasQuorum(this.state.configuration, member => this.votes.get(member.replicaId) !== false);
  }

  private otherVoters(): ReplicaId[] {
    const { configuration, replicaId } = this.state;
    return allMembers(configuration)
      .map(member => member.replicaId)
      .filter(id => id !== replicaId && isVoter(configuration, id));
  }

  private question(type: MessageType, to: ReplicaId, term: Term, force: boolean): Message {
    const { replicaId, log } = this.state;
    return makeMessage(type, replicaId, to, term, log.lastIndex, log.lastTerm, 0, NO_ENTRIES, false, force, 0);
  }

  // ---- being asked ---------------------------------------------------------------------------------------------------------

  /** A promise to the leader we follow forbids helping anyone else; a transfer (`force`) is that leader's own wish. */
  isForbidden(message: Message, leaderPromised: boolean): boolean {
    return leaderPromised && !message.force && message.from !== this.state.leaderId;
  }

  answerPreVote(message: Message, leaderPromised: boolean): void {
    const { state, output } = this;
    const granted =
      state.role !== 'leader' &&
      message.term > state.term &&
      !this.isForbidden(message, leaderPromised) &&
      this.isUpToDate(message);
    const term = granted ? message.term : state.term;
    const type = MessageType.PreVoteResponse;
    output.atOnce(makeMessage(type, state.replicaId, message.from, term, 0, 0, 0, NO_ENTRIES, !granted, false, 0));
  }

  /** A question of the present term. */
  answerVote(message: Message): void {
    const { state } = this;
    const granted = state.vote === message.from || (state.vote === 0 && state.leaderId === 0 && this.isUpToDate(message));
    if (granted && state.vote === 0) state.castVote(message.from);
    if (granted) this.postpone();
    this.tellVote(message.from, granted);
  }

  refuseVote(to: ReplicaId): void {
    this.tellVote(to, false);
  }

  private tellVote(to: ReplicaId, granted: boolean): void {
    this.output.onceDurable(this.output.message(MessageType.VoteResponse, to, 0, 0, 0, NO_ENTRIES, !granted, 0));
  }

  /** Whether the candidate's log is at least as new as ours (Raft §5.4.1). */
  private isUpToDate(message: Message): boolean {
    const { lastIndex, lastTerm } = this.state.log;
    return message.logTerm > lastTerm || (message.logTerm === lastTerm && message.index >= lastIndex);
  }
}
