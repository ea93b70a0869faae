import { compareHlc, type Hlc } from '@kahuna/base';
import { ForwardStatus } from '../peer-frame.ts';
import type { PendingRequest } from '../request.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';

/** How far ahead of the clock a read timestamp is waited for (spec keyvalues §8.3). Milliseconds. */
const READ_AHEAD_MS = 5000;

/** What an answer about a time lacks; a round of ReadIndex brings `quorum`, or an entry does ({@link ReadTimes.tell}). */
export type Missing = 'entries' | 'quorum';

/**
 * When an answer about a time can no longer be made untrue by a later write (design §5).
 *
 * D1 A time t is settled when every entry of the leader's log stamped at or below t is applied, and a quorum that answered in this term
 *    has clocks at or above t, so that any successor stamps above it.
 * D2 Reads that wait for the clock are bounded (invariant 13), and end with the node.
 */
export class ReadTimes<R extends OwnReplica> {
  private readonly replica: R;
  private readonly host: ReplicaHostOf<R>;
  /** Reads as of a time that is a little ahead. */
  private readonly waiting = new Set<PendingRequest>();
  private gaveUp = false;
  private telling = false;

  constructor(replica: R, host: ReplicaHostOf<R>) {
    this.replica = replica;
    this.host = host;
  }

  /**
   * The time that the read is about, if that has to be settled first; undefined if it asks for the present or a revision, or for a time
   * far ahead, which is answered from the present state.
   */
  timeToSettle({ read }: PendingRequest, now: number): Hlc | undefined {
    if (!('readTimestamp' in read)) return undefined;
    const { revision, readTimestamp } = read;
    if (revision >= 0 || readTimestamp.l === 0 || readTimestamp.l - now > READ_AHEAD_MS) return undefined;
    return readTimestamp;
  }

  /**
   * A read timestamp a little ahead is waited for; one far ahead is answered from the present state. A stamp that the clock has reached is never waited
   * for, though it be of the present millisecond: after the wall clock was set back that one may last for minutes.
   *
   * True if the read waits, and comes again as if new, or was refused.
   */
  waitsForClock(request: PendingRequest): boolean {
    const { read } = request;
    if (!('readTimestamp' in read)) return false;
    const { revision, readTimestamp } = read;
    if (revision >= 0 || readTimestamp.l === 0) return false;
    const now = this.host.hlc.current();
    const ahead = readTimestamp.l - now.l;
    if (compareHlc(now, readTimestamp) >= 0 || ahead > READ_AHEAD_MS) return false;
    if (this.gaveUp || this.waiting.size >= this.host.maxWaitingReads) {
      request.refuse(ForwardStatus.Overloaded);
      return true;
    }
    this.waiting.add(request);
    this.host.after(ahead + 1, () => {
      if (this.waiting.delete(request)) this.replica.accept(request);
    });
    return true;
  }

  /**
   * What an answer about `t` lacks, undefined if `t` is settled (D1). `entries`: those up to `request.settlesWith`.
   *
   * The node's clock is at or past t, so what is appended from now on is stamped above it: only entries that stand in the log at
   * the first look count, or a busy writer would keep the read waiting for ever.
   */
  missingFor(request: PendingRequest, t: Hlc): Missing | undefined {
    const { machine, group } = this.replica;
    if (compareHlc(t, request.settlesFor) > 0) {
      request.settlesFor = t;
      request.settlesWith = group.lastIndex;
    }
    if (machine.appliedIndex < request.settlesWith) return 'entries';
    return this.host.quorumHasPassed(this.replica, t) ? undefined : 'quorum';
  }

  /**
   * A round has not brought the clocks of a quorum up to this one's present: they are so far behind that they do not trust it. An entry's
   * stamp is honoured however far ahead it is.
   */
  tell(): void {
    if (this.telling) return;
    this.telling = true;
    this.host.noteTime(this.replica, () => {
      this.telling = false;
    });
  }

  /** The node stops or has failed. */
  giveUp(): void {
    this.gaveUp = true;
    for (const request of this.waiting) request.refuse(ForwardStatus.Unknown);
    this.waiting.clear();
  }
}
