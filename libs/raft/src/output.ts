import type { LogIndex, ReplicaId, Term } from '@kahuna/base';
import type { AppendBatch } from './append-batch.ts';
import { makeMessage, NO_ENTRIES } from './message.ts';
import type { ReplicaState } from './replica-state.ts';
import { type Entry, type Member, type Message, MessageType, type ReadState, type Ready } from './types.ts';

/**
 * What the next {@link Ready} carries, and with it the durability contract: every message is given to the method that says when
 * it may leave.
 *
 * O1 What promises something of this replica (votes, acknowledgements, and whatever shows that it voted for itself) leaves behind
 *    the hard state and the entries of its Ready: {@link onceDurable}.
 * O2 A leader is not heard of before the vote that made it one is durable: {@link asLeader}.
 * O3 Everything is handed out exactly once, and a Ready that was handed out never changes.
 */
export class Output {
  /**
   * False while this leader won by its own vote alone and cannot know that vote durable. It must not be heard of before: after a
   * crash it would lead the same term again, with other entries. Its appends then wait like promises.
   */
  ownVoteDurable = true;
  private readonly state: ReplicaState;
  private appends: Message[] = [];
  private promises: Message[] = [];
  private confirmedReads: ReadState[] = [];
  private droppedReads: number[] = [];
  private snapshots: Member[] = [];
  /** One acknowledgement per Ready says what the last of several appends would: to whom (0 = none owed) and the greatest match. */
  private ackTo: ReplicaId = 0;
  private ackIndex: LogIndex = 0;

  constructor(state: ReplicaState) {
    this.state = state;
  }

  /** A message of this replica in its term. */
  message(
    type: MessageType,
    to: ReplicaId,
    index: LogIndex,
    logTerm: Term,
    commit: LogIndex,
    entries: readonly Entry[],
    reject: boolean,
    context: number,
  ): Message {
    const { replicaId, term } = this.state;
    return makeMessage(type, replicaId, to, term, index, logTerm, commit, entries, reject, false, context);
  }

  /** Promises nothing of ours. */
  atOnce(message: Message): void {
    this.appends.push(message);
    this.state.dirty = true;
  }

  onceDurable(message: Message): void {
    this.promises.push(message);
    this.state.dirty = true;
  }

  asLeader(message: Message): void {
    if (this.ownVoteDurable) this.atOnce(message);
    else this.onceDurable(message);
  }

  /** The log is as the leader's up to `index`: said once durable, with the next Ready. */
  acknowledge(to: ReplicaId, index: LogIndex): void {
    if (this.ackTo !== to || index > this.ackIndex) this.ackIndex = index;
    this.ackTo = to;
    this.state.dirty = true;
  }

  /** What was owed to a leader is void: the term is another one, or a snapshot took the log's place. */
  forgetAcknowledgement(): void {
    this.ackTo = 0;
  }

  confirmRead(read: ReadState): void {
    this.confirmedReads.push(read);
    this.state.dirty = true;
  }

  dropRead(context: number): void {
    this.droppedReads.push(context);
    this.state.dirty = true;
  }

  offerSnapshot(to: Member): void {
    this.snapshots.push(to);
    this.state.dirty = true;
  }

  /** `batch`: of a leader, what it has just sent. Undefined if there is nothing to do. */
  take(batch: AppendBatch | undefined): Ready | undefined {
    const { state } = this;
    state.dirty = false;
    if (this.ackTo !== 0) {
      this.promises.push(
        this.message(MessageType.AppendResponse, this.ackTo, this.ackIndex, 0, state.commitIndex, NO_ENTRIES, false, 0),
      );
      this.ackTo = 0;
    }
    // An empty list is handed out as the shared one, never as ours: what is pushed later must not show in this Ready.
    const result: Ready = {
      hardState: state.takeHardState(),
      entries: this.takeUnsaved(batch),
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

  private takeUnsaved(batch: AppendBatch | undefined): readonly Entry[] {
    const { log } = this.state;
    const from = log.unsavedFrom;
    const to = log.lastIndex;
    if (from > to) return NO_ENTRIES;
    log.unsavedFrom = to + 1;
    return batch?.exactly(from, to) ?? log.slice(from, to);
  }

  private takeCommitted(): readonly Entry[] {
    const { state } = this;
    if (state.commitIndex === state.handedIndex) return NO_ENTRIES;
    const committed = state.log.slice(state.handedIndex + 1, state.commitIndex);
    state.handedIndex = state.commitIndex;
    return committed;
  }
}

const NO_MESSAGES: readonly Message[] = Object.freeze([]);
const NO_READS: readonly ReadState[] = Object.freeze([]);
const NO_CONTEXTS: readonly number[] = Object.freeze([]);
const NO_MEMBERS: readonly Member[] = Object.freeze([]);

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
