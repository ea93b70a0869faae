import { NO_ENTRIES } from './message.ts';
import type { Output } from './output.ts';
import type { Peers } from './peers.ts';
import type { Progress } from './progress.ts';
import type { ReadRounds } from './read-rounds.ts';
import type { ReplicaState } from './replica-state.ts';
import { type Message, MessageType } from './types.ts';

/**
 * Confirms for reads that this replica still leads (dissertation §6.4): a round of heartbeats that a quorum has to answer. Which reads
 * share a round is told by {@link ReadRounds}.
 *
 * I1 A read is confirmed only after a quorum, in the configuration then in force, has answered its round or a later one.
 * I2 A read that was taken is confirmed or dropped, never forgotten.
 */
export class ReadIndex {
  private readonly state: ReplicaState;
  private readonly output: Output;
  private readonly peers: Peers;
  private readonly rounds: ReadRounds;
  private readonly retryTicks: number;
  /** Since the round's heartbeats last left. */
  private roundTicks = 0;

  constructor(state: ReplicaState, output: Output, peers: Peers, rounds: ReadRounds, retryTicks: number) {
    this.state = state;
    this.output = output;
    this.peers = peers;
    this.rounds = rounds;
    this.retryTicks = retryTicks;
  }

  get idle(): boolean {
    return this.rounds.idle;
  }

  ask(context: number): void {
    const { commitIndex } = this.state;
    if (this.peers.decidesAlone) this.output.confirmRead({ context, index: commitIndex });
    else this.rounds.add(context, commitIndex);
    this.state.dirty = true;
  }

  /** Begins a round if reads wait and none is under way. */
  sendDue(): void {
    if (this.rounds.begin()) this.sendRound();
  }

  tick(): void {
    if (this.rounds.underWay && ++this.roundTicks >= this.retryTicks) this.sendRound();
  }

  takeAnswer(message: Message): void {
    const peer = this.peers.find(message.from);
    if (peer === undefined || message.context > this.rounds.round) return;
    peer.heard(message.commit);
    if (message.context > peer.readRound) peer.readRound = message.context;
    this.confirmIfQuorum();
  }

  /** Leadership is over: what was not confirmed never will be. */
  drop(): void {
    for (const context of this.rounds.drop()) this.output.dropRead(context);
  }

  /** Heartbeats of the round under way, to the voters that have not answered it. */
  private sendRound(): void {
    const { round } = this.rounds;
    const { output } = this;
    this.roundTicks = 0;
    this.peers.self.readRound = round;
    for (const peer of this.peers.others) {
      if (!peer.voter || peer.readRound >= round) continue;
      const commit = Math.min(this.state.commitIndex, peer.match);
      output.asLeader(output.message(MessageType.Heartbeat, peer.member.replicaId, 0, 0, commit, NO_ENTRIES, false, round));
    }
    this.state.dirty = true;
    // No answer will come if a change made this leader a quorum by itself meanwhile.
    this.confirmIfQuorum();
  }

  private confirmIfQuorum(): void {
    if (!this.rounds.underWay || this.peers.quorumValue(readRoundOf) < this.rounds.round) return;
    for (const read of this.rounds.confirm()) this.output.confirmRead(read);
  }
}

function readRoundOf(progress: Progress): number {
  return progress.readRound;
}
