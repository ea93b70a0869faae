import type { LogIndex } from '@kahuna/base';
import type { Member, ProgressState, ProgressView } from './types.ts';

/**
 * The leader's picture of one replica, itself included (for itself only `match` and `readRound` mean anything).
 *
 *               acknowledged                       below our first entry
 *     probe ──────────────────▶ replicate    probe ─────────────────────▶ snapshot
 *       ▲                           │          ▲                              │
 *       └── refused, connection lost┘          └── installed, sent or failed ─┘
 *
 * - **probe**: where the logs agree is not known. One append at a time, then silence until an answer or the retry tick.
 * - **replicate**: logs agree up to `match`; appends are pipelined, `next` runs ahead of the answers, bytes in flight are bounded.
 * - **snapshot**: what the peer lacks is compacted. Nothing is sent until the host reports on the transfer.
 *
 * Invariant: match < next. `match` is durable at the peer and never falls within a term (acknowledgements are promises).
 */
export class Progress {
  readonly member: Member;
  voter: boolean;
  state: ProgressState = 'probe';
  match: LogIndex = 0;
  next: LogIndex;
  /** Probe only: one is under way. */
  probeSent = false;
  /** The peer has answered this leadership since its connection was last made. */
  answered = false;
  /** Highest commit index that the peer said it knows. */
  commitKnown: LogIndex = 0;
  /** Highest commit index that was sent to it, and may have been lost. */
  commitSent: LogIndex = 0;
  /** Latest ReadIndex round the peer confirmed. */
  readRound = 0;
  /** Ticks since we last sent it something that it owes an answer to. */
  waitTicks = 0;
  /** Ticks without any answer while one was owed. */
  silentTicks = 0;
  inflightBytes = 0;
  /** Last index and size of each append under way, oldest first from `inflightHead` on. */
  private inflightIndexes: number[] = [];
  private inflightSizes: number[] = [];
  private inflightHead = 0;

  constructor(member: Member, voter: boolean, next: LogIndex) {
    this.member = member;
    this.voter = voter;
    this.next = next;
  }

  becomeProbe(next: LogIndex): void {
    this.state = 'probe';
    this.next = next > this.match ? next : this.match + 1;
    this.probeSent = false;
    this.clearInflight();
  }

  becomeReplicate(): void {
    this.state = 'replicate';
    this.next = this.match + 1;
    this.probeSent = false;
    this.clearInflight();
  }

  becomeSnapshot(): void {
    this.state = 'snapshot';
    this.probeSent = false;
    this.clearInflight();
  }

  /** Any answer of this term: the peer lives and follows. */
  heard(commit: LogIndex): void {
    this.answered = true;
    this.waitTicks = 0;
    this.silentTicks = 0;
    if (commit > this.commitKnown) this.commitKnown = commit;
  }

  /** The peer holds our log durably up to `index`. */
  acknowledged(index: LogIndex): void {
    if (index > this.match) this.match = index;
    if (this.next <= this.match) this.next = this.match + 1;
    this.freeInflight(index);
  }

  sent(last: LogIndex, bytes: number): void {
    this.next = last + 1;
    this.inflightIndexes.push(last);
    this.inflightSizes.push(bytes);
    this.inflightBytes += bytes;
  }

  view(): ProgressView {
    return {
      member: this.member,
      role: this.voter ? 'voter' : 'learner',
      state: this.state,
      match: this.match,
      next: this.next,
      inflightBytes: this.inflightBytes,
    };
  }

  private freeInflight(upTo: LogIndex): void {
    const indexes = this.inflightIndexes;
    let head = this.inflightHead;
    while (head < indexes.length && (indexes[head] as number) <= upTo) {
      this.inflightBytes -= this.inflightSizes[head] as number;
      head++;
    }
    if (head === indexes.length) {
      indexes.length = 0;
      this.inflightSizes.length = 0;
      head = 0;
    } else if (head >= 64 && head * 2 >= indexes.length) {
      indexes.splice(0, head);
      this.inflightSizes.splice(0, head);
      head = 0;
    }
    this.inflightHead = head;
  }

  private clearInflight(): void {
    this.inflightIndexes.length = 0;
    this.inflightSizes.length = 0;
    this.inflightHead = 0;
    this.inflightBytes = 0;
  }
}
