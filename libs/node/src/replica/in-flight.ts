import type { LogIndex, Term } from '@kahuna/base';
import type { CommandBatch } from '@kahuna/partition';
import type { PendingRequest } from '../request.ts';

/** One entry that was proposed here. */
export interface Proposed {
  readonly index: LogIndex;
  readonly term: Term;
  readonly batch: CommandBatch;
  /** Monotonic instant. Milliseconds. */
  readonly proposedAt: number;
  readonly requests: readonly PendingRequest[];
}

/**
 * What was proposed here and is not decided yet, in order of its indexes.
 *
 *     index     7      8      9      9      10         two leaderships of this replica, terms 3 and 5: what the first proposed
 *     term      3      3      3      5      5          and others cut off stays undecided until something later is committed
 *
 * R2 A proposal is lost only when another term's entry is committed at its index, or a later term's before it: terms never fall along
 *    the log, so nothing of its own term will be committed behind that.
 */
export class InFlight {
  /** Requests in all proposals. */
  items = 0;
  private list: Proposed[] = [];
  /** Of the last entry that was decided: nothing of an earlier one is in flight. */
  private decidedTerm: Term = 0;

  get all(): readonly Proposed[] {
    return this.list;
  }

  add(proposal: Proposed): void {
    this.items += proposal.requests.length;
    let at = this.list.length;
    while (at > 0 && (this.list[at - 1] as Proposed).index > proposal.index) at--;
    if (at === this.list.length) this.list.push(proposal);
    else this.list.splice(at, 0, proposal);
  }

  /** The proposal that became the next entry to be decided, if that came from here. */
  proposedAs({ index, term }: Pick<Proposed, 'index' | 'term'>): Proposed | undefined {
    for (const proposal of this.list) {
      if (proposal.index !== index) return undefined;
      if (proposal.term === term) return proposal;
    }
    return undefined;
  }

  /** Takes out a proposal whose index is this one, which is decided now; undefined if there is none, or no other. */
  takeAt(index: LogIndex): Proposed | undefined {
    const first = this.list[0];
    if (first === undefined || first.index !== index) return undefined;
    this.list.shift();
    this.items -= first.requests.length;
    return first;
  }

  /** Takes out what an entry of `term`, decided now, proves lost: everything proposed behind it in an earlier term. */
  takePassed(term: Term): readonly Proposed[] {
    if (term <= this.decidedTerm) return NONE;
    this.decidedTerm = term;
    const lost = this.list.filter(proposal => proposal.term < term);
    if (lost.length === 0) return NONE;
    this.list = this.list.filter(proposal => proposal.term >= term);
    for (const proposal of lost) this.items -= proposal.requests.length;
    return lost;
  }

  takeAll(): readonly Proposed[] {
    this.items = 0;
    return this.list.splice(0);
  }
}

const NONE: readonly Proposed[] = Object.freeze([]);
