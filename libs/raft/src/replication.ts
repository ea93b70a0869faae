import type { LogIndex, ReplicaId, Term } from '@kahuna/base';
import { AppendBatch } from './append-batch.ts';
import { NO_ENTRIES } from './message.ts';
import type { Output } from './output.ts';
import type { Peers } from './peers.ts';
import type { Progress } from './progress.ts';
import type { ReplicaState } from './replica-state.ts';
import { type Entry, type Message, MessageType, type RaftOptions } from './types.ts';

/**
 * Brings the leader's log to its peers, and its commit index. What a single peer lacks stands in its {@link Progress}.
 *
 *     proposals of one turn ──wake──▶ sendDue (once per Ready) ──▶ one Append per peer, bounded in bytes
 *     refusal ──▶ probe at the hint, or below the compacted start: a snapshot, which the host sends and reports
 *
 * L1 Inputs only wake the sender; entries leave when a Ready is taken, so all that a turn brought travels in one message per peer.
 * L2 A peer that does not answer is sent a window of bytes at most, and then one empty append per retry interval; one that holds
 *    everything and knows it costs nothing.
 */
export class Replication {
  /** What was sent last. */
  readonly batch = new AppendBatch();
  private readonly state: ReplicaState;
  private readonly output: Output;
  private readonly peers: Peers;
  private readonly options: RaftOptions;
  /** Ticks after which what was not answered is asked again. */
  private readonly retryTicks: number;
  /** Ticks of silence after which a peer counts as unreachable and keeps no leader awake. */
  private readonly graceTicks: number;
  /** Some peer may be sent entries. */
  private due = false;

  constructor(state: ReplicaState, output: Output, peers: Peers, options: RaftOptions, retryTicks: number) {
    this.state = state;
    this.output = output;
    this.peers = peers;
    this.options = options;
    this.retryTicks = retryTicks;
    this.graceTicks = 2 * options.electionTicksMax;
  }

  // ---- when ----------------------------------------------------------------------------------------------------------------

  wake(): void {
    this.due = true;
    this.state.dirty = true;
  }

  sendDue(): void {
    if (!this.due) return;
    this.due = false;
    for (const peer of this.peers.others) this.replicateTo(peer);
  }

  tick(): void {
    for (const peer of this.peers.others) this.tickPeer(peer);
  }

  private tickPeer(peer: Progress): void {
    if (this.settled(peer)) return;
    peer.silentTicks += 1;
    peer.waitTicks += 1;
    // The commit index travels with the next append. If none came within a tick, it travels by itself.
    if (this.lacksOnlyCommit(peer) || peer.waitTicks >= this.retryTicks) this.sendEmptyAppend(peer);
  }

  /** To those who lack nothing else. True if there are any. */
  tellCommit(): boolean {
    let told = false;
    for (const peer of this.peers.others) {
      if (!this.lacksOnlyCommit(peer)) continue;
      this.sendEmptyAppend(peer);
      told = true;
    }
    return told;
  }

  /** Nobody is owed anything, but for those who do not answer. */
  get quiet(): boolean {
    for (const peer of this.peers.others) {
      if (!this.settled(peer) && peer.silentTicks < this.graceTicks) return false;
    }
    return true;
  }

  /** Somebody lacks something, be it one who does not answer. */
  get owing(): boolean {
    return this.peers.others.some(peer => !this.settled(peer));
  }

  private lacksOnlyCommit(peer: Progress): boolean {
    const { log, commitIndex } = this.state;
    return peer.state === 'replicate' && peer.match === log.lastIndex && peer.commitSent < commitIndex;
  }

  /** Nothing is owed to this peer: it holds everything and knows it, or a snapshot is on its way (then the host reports). */
  private settled(peer: Progress): boolean {
    if (peer.state === 'snapshot') return true;
    const { log, commitIndex } = this.state;
    return peer.state === 'replicate' && peer.answered && peer.match === log.lastIndex && peer.commitKnown >= commitIndex;
  }

  // ---- answers, and reports of the host --------------------------------------------------------------------------------------

  /** The peer, if it has acknowledged entries. */
  takeAnswer(message: Message): Progress | undefined {
    const { log } = this.state;
    const peer = this.peers.find(message.from);
    if (peer === undefined || message.index > log.lastIndex) return undefined;
    peer.heard(message.commit);
    if (message.reject) {
      this.takeRefusal(peer, message);
      return undefined;
    }
    peer.acknowledged(message.index);
    if (peer.state === 'probe' || (peer.state === 'snapshot' && peer.match >= log.startIndex)) peer.becomeReplicate();
    if (peer.next <= log.lastIndex) this.wake();
    return peer;
  }

  private takeRefusal(peer: Progress, message: Message): void {
    if (peer.state === 'snapshot') return;
    // An answer to an append before the one that is under way now: already acted upon.
    if (peer.state === 'replicate' ? message.context <= peer.match : message.context !== peer.next - 1) return;
    const agreement = this.state.log.agreementAtMost(message.index, message.logTerm);
    if (agreement === undefined) {
      peer.becomeSnapshot();
      this.output.offerSnapshot(peer.member);
      return;
    }
    // Below what it acknowledged: an old answer, or a peer whose disk forgot. Asking on by tick heals the one and never spins on the other.
    if (peer.state === 'probe' && agreement < peer.match) return;
    peer.becomeProbe(agreement + 1);
    this.wake();
  }

  /** The peer, if it is one, says that a snapshot has become its state. */
  takeInstalled(message: Message): Progress | undefined {
    const peer = this.peers.find(message.from);
    if (peer === undefined || message.index > this.state.log.lastIndex) return undefined;
    peer.heard(message.commit);
    peer.acknowledged(message.index);
    peer.becomeReplicate();
    this.wake();
    return peer;
  }

  /** What is in flight to the peer is unknown, or it has forgotten its leader: it is asked where it stands. */
  restart(replicaId: ReplicaId): void {
    const peer = this.peers.find(replicaId);
    if (peer === undefined) return;
    peer.becomeProbe(peer.match + 1);
    peer.answered = false;
    peer.commitKnown = 0;
    peer.silentTicks = 0;
    this.sendEmptyAppend(peer);
  }

  snapshotSent(replicaId: ReplicaId, index: LogIndex): void {
    const peer = this.peers.find(replicaId);
    if (peer === undefined || peer.state !== 'snapshot') return;
    peer.becomeProbe(Math.min(index, this.state.log.lastIndex) + 1);
    this.sendEmptyAppend(peer);
  }

  snapshotFailed(replicaId: ReplicaId): void {
    const peer = this.peers.find(replicaId);
    if (peer === undefined || peer.state !== 'snapshot') return;
    peer.becomeProbe(peer.match + 1);
    // Asked again by the next retry tick and not now: a transfer that fails at once must not spin.
    peer.probeSent = true;
    peer.waitTicks = 0;
  }

  // ---- appends -------------------------------------------------------------------------------------------------------------

  /** Asks "do you have everything I sent you?", and tells the commit index. Small: the peer may be down. */
  sendEmptyAppend(peer: Progress): void {
    if (peer.state === 'snapshot') return;
    peer.waitTicks = 0;
    this.pushAppend(peer, NO_ENTRIES);
  }

  /** Sends as much as state and bounds allow. */
  private replicateTo(peer: Progress): void {
    const { log } = this.state;
    while (peer.state === 'replicate' && peer.next <= log.lastIndex && peer.inflightBytes < this.options.maxInflightBytes) {
      if (peer.next <= log.startIndex) peer.becomeProbe(log.startIndex + 1);
      else this.sendEntries(peer);
    }
    if (peer.state !== 'probe' || peer.probeSent) return;
    if (peer.next > log.startIndex && peer.next <= log.lastIndex) this.sendEntries(peer);
    else this.pushAppend(peer, NO_ENTRIES);
  }

  private sendEntries(peer: Progress): void {
    const { batch } = this;
    batch.loadFrom(this.state.log, peer.next, this.options.maxAppendBytes);
    this.pushAppend(peer, batch.entries);
    if (peer.state === 'replicate') peer.sent(batch.to, batch.bytes);
  }

  private pushAppend(peer: Progress, entries: readonly Entry[]): void {
    const { log, commitIndex } = this.state;
    // Below the compacted start the term is not known: ask there instead. A refusal shows that only a snapshot helps, and costs a
    // peer that is down nothing.
    if (peer.next <= log.startIndex) peer.becomeProbe(log.startIndex + 1);
    const before = peer.next - 1;
    const term = log.termAt(before) as Term;
    peer.commitSent = Math.min(commitIndex, before + entries.length);
    if (peer.state === 'probe') peer.probeSent = true;
    this.output.asLeader(
      this.output.message(MessageType.Append, peer.member.replicaId, before, term, commitIndex, entries, false, 0),
    );
  }
}
