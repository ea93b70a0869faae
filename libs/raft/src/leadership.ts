import type { LogIndex, ReplicaId, Term } from '@kahuna/base';
import { encodeConfiguration } from './codec.ts';
import { includes, leaveJoint, planChange } from './configuration.ts';
import { ENTRY_OVERHEAD_BYTES, NO_DATA, NO_ENTRIES } from './message.ts';
import type { Output } from './output.ts';
import { Peers } from './peers.ts';
import type { Progress } from './progress.ts';
import { isJoint } from './quorum.ts';
import { ReadIndex } from './read-index.ts';
import type { ReadRounds } from './read-rounds.ts';
import type { ReplicaState } from './replica-state.ts';
import { Replication } from './replication.ts';
import {
  type ConfigurationChange,
  type Entry,
  EntryKind,
  type Message,
  MessageType,
  type ProposeResult,
  type RaftOptions,
} from './types.ts';

/**
 * One term that this replica leads, from the election to its end: what it appends, when that is committed, how the membership
 * changes, and whom leadership is handed to. Sending is done in `replication.ts`, reads are confirmed in `read-index.ts`.
 *
 * T1 Only an entry of this term is committed by counting copies (Raft §5.4.2, figure 8); the own copy counts when it is durable.
 * T2 At most one configuration change is uncommitted or unapplied, and none begins before an entry of this term is committed.
 * T3 Proposed and uncommitted bytes are bounded, but for a single proposal.
 */
export class Leadership {
  readonly replication: Replication;
  readonly reads: ReadIndex;
  readonly peers: Peers;
  /** TimeoutNow was sent: from then on the target may win at any moment, whatever others promised us. No lease for the rest of the term. */
  leaseForfeited = false;
  /** A committed change does not list this leader as a voter any more, and the others know: it has to stop leading. */
  removed = false;
  private readonly state: ReplicaState;
  private readonly output: Output;
  private readonly options: RaftOptions;
  /** The empty entry that opened this term. */
  private readonly openingIndex: LogIndex;
  private uncommittedBytes: number;
  private transferTarget: ReplicaId = 0;
  private transferTicks = 0;

  /** Begins the term; `ownVoteDurable` as in {@link Output}. */
  constructor(state: ReplicaState, output: Output, rounds: ReadRounds, options: RaftOptions, ownVoteDurable: boolean) {
    const { log, replicaId, nodeId } = state;
    const retryTicks = Math.max(1, Math.floor(options.electionTicksMin / 3));
    this.state = state;
    this.output = output;
    this.options = options;
    this.peers = new Peers({ replicaId, nodeId }, log.durableIndex);
    this.replication = new Replication(state, output, this.peers, options, retryTicks);
    this.reads = new ReadIndex(state, output, this.peers, rounds, retryTicks);
    this.uncommittedBytes = log.bytesBetween(state.commitIndex + 1, log.lastIndex);
    output.ownVoteDurable = ownVoteDurable;
    this.rebuildPeers();
    // Older entries become committed, and reads and changes possible, only behind an entry of the own term (Raft §5.4.2, §8).
    this.openingIndex = this.append(EntryKind.Noop, NO_DATA);
  }

  /** Nothing of it outlives its term. */
  end(): void {
    this.output.ownVoteDurable = true;
    this.reads.drop();
    this.state.dirty = true;
  }

  /** An entry of this term is committed and handed out. */
  get isReady(): boolean {
    return this.state.handedIndex >= this.openingIndex;
  }

  get quiet(): boolean {
    const { commitIndex, log } = this.state;
    if (commitIndex !== log.lastIndex || this.transferTarget !== 0 || !this.reads.idle) return false;
    return this.replication.quiet;
  }

  get owing(): boolean {
    return this.replication.owing;
  }

  tick(): void {
    this.replication.tick();
    this.reads.tick();
    if (this.transferTarget !== 0 && ++this.transferTicks >= this.options.electionTicksMax) this.transferTarget = 0;
  }

  /** What waits for a Ready to be taken. */
  sendDue(): void {
    this.replication.sendDue();
    this.reads.sendDue();
  }

  // ---- proposals -----------------------------------------------------------------------------------------------------------

  propose(data: Uint8Array): ProposeResult {
    if (this.transferTarget !== 0) return TRANSFERRING;
    if (this.wouldOverflow(data.length)) return TOO_MANY_UNCOMMITTED;
    const index = this.append(EntryKind.Command, data);
    return { ok: true, index, term: this.state.term };
  }

  proposeChange(change: ConfigurationChange): ProposeResult {
    const { state } = this;
    if (this.transferTarget !== 0) return TRANSFERRING;
    // Before the term's first entry is committed, an uncommitted change of an earlier leader may still be in force somewhere else:
    // two changes, each safe by itself, could then build disjoint quorums (Ongaro's erratum of 2015 to D §4.1).
    if (!this.isReady || isJoint(state.configuration) || state.history.index > state.appliedIndex) return CHANGE_PENDING;
    const next = planChange(state.configuration, change);
    if (next === undefined) return INVALID_CHANGE;
    const data = encodeConfiguration(next);
    if (this.wouldOverflow(data.length)) return TOO_MANY_UNCOMMITTED;
    const index = this.append(EntryKind.Configuration, data);
    return { ok: true, index, term: state.term };
  }

  private wouldOverflow(dataBytes: number): boolean {
    // One proposal is always let in: otherwise one larger than the bound would be refused for ever.
    const bytes = dataBytes + ENTRY_OVERHEAD_BYTES;
    return this.uncommittedBytes > 0 && this.uncommittedBytes + bytes > this.options.maxUncommittedBytes;
  }

  private append(kind: EntryKind, data: Uint8Array): LogIndex {
    const { log, history, term } = this.state;
    const entry: Entry = { index: log.lastIndex + 1, term, kind, data };
    if (history.append(entry)) this.rebuildPeers();
    log.append(entry);
    this.uncommittedBytes += data.length + ENTRY_OVERHEAD_BYTES;
    this.replication.wake();
    return entry.index;
  }

  /** The configuration in force is a new one, from the next entry on. */
  private rebuildPeers(): void {
    const { configuration, log } = this.state;
    this.peers.rebuild(configuration, log.lastIndex + 1);
    if (this.transferTarget !== 0 && !includes(configuration.voters, this.transferTarget)) this.transferTarget = 0;
  }

  // ---- commit --------------------------------------------------------------------------------------------------------------

  /** The own disk has completed an entry of `term`. */
  persisted(term: Term): void {
    const { state } = this;
    // Writes complete in order, so an entry of this term on disk has the hard state of this term before it.
    if (term === state.term) this.output.ownVoteDurable = true;
    this.peers.self.match = state.log.durableIndex;
    this.commitIfQuorum();
  }

  takeAppendAnswer(message: Message): void {
    const peer = this.replication.takeAnswer(message);
    if (peer === undefined) return;
    this.commitIfQuorum();
    if (this.transferTarget === peer.member.replicaId) this.finishTransferIfCaughtUp(peer);
  }

  takeSnapshotInstalled(message: Message): void {
    if (this.replication.takeInstalled(message) !== undefined) this.commitIfQuorum();
  }

  /**
   * Commits what a quorum holds durably, if that is an entry of this term (T1): an older one, even on a quorum, can still be replaced
   * by a candidate with a newer last term. Own copy: only as far as the disk completed.
   */
  private commitIfQuorum(): void {
    const { state } = this;
    const { log } = state;
    const index = this.peers.quorumValue(matchOf);
    if (index <= state.commitIndex || log.termAt(index) !== state.term) return;
    this.uncommittedBytes -= log.bytesBetween(state.commitIndex + 1, index);
    state.commitTo(index);
    if (state.history.index <= index) this.afterChangeCommitted();
  }

  private afterChangeCommitted(): void {
    const { configuration, replicaId } = this.state;
    if (isJoint(configuration)) {
      this.append(EntryKind.Configuration, encodeConfiguration(leaveJoint(configuration)));
    } else if (!includes(configuration.voters, replicaId)) {
      this.resign();
    }
  }

  /** The committed configuration does not list this leader as a voter: its work is done (D §4.2.2). The best of the others takes over at once. */
  private resign(): void {
    let successor: Progress | undefined;
    for (const peer of this.peers.others) {
      this.replication.sendEmptyAppend(peer);
      if (peer.voter && (successor === undefined || peer.match > successor.match)) successor = peer;
    }
    if (successor !== undefined) this.sendTimeoutNow(successor);
    this.transferTarget = 0;
    this.removed = true;
  }

  // ---- transfer (D §3.10) ---------------------------------------------------------------------------------------------------

  /** Returns false if `to` is no other voter, or another transfer is under way. */
  transferTo(to: ReplicaId): boolean {
    const { configuration, replicaId } = this.state;
    if (to === replicaId || !includes(configuration.voters, to)) return false;
    if (this.transferTarget !== 0) return this.transferTarget === to;
    this.transferTarget = to;
    this.transferTicks = 0;
    this.finishTransferIfCaughtUp(this.peers.find(to) as Progress);
    return true;
  }

  private finishTransferIfCaughtUp(target: Progress): void {
    if (target.match === this.state.log.lastIndex) this.sendTimeoutNow(target);
  }

  private sendTimeoutNow(target: Progress): void {
    this.leaseForfeited = true;
    this.output.asLeader(this.output.message(MessageType.TimeoutNow, target.member.replicaId, 0, 0, 0, NO_ENTRIES, false, 0));
  }
}

const TRANSFERRING: ProposeResult = Object.freeze({ ok: false, reason: 'transferring' });
const TOO_MANY_UNCOMMITTED: ProposeResult = Object.freeze({ ok: false, reason: 'too-many-uncommitted' });
const CHANGE_PENDING: ProposeResult = Object.freeze({ ok: false, reason: 'change-pending' });
const INVALID_CHANGE: ProposeResult = Object.freeze({ ok: false, reason: 'invalid-change' });

function matchOf(progress: Progress): number {
  return progress.match;
}
