import { compareHlc, type Hlc, type LogIndex } from '@kahuna/base';
import { type FetchedRow, LockResponseType, type OperationResult, ResponseType } from '@kahuna/partition';
import type { Ready } from '@kahuna/raft';
import { ForwardStatus } from '../peer-frame.ts';
import { type PendingRequest, requestBytes } from '../request.ts';
import type { Proposals } from './proposals.ts';
import { ReadTimes } from './read-times.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';
import type { TermMemory } from './term-memory.ts';

interface Round {
  readonly context: number;
  readonly requests: PendingRequest[];
}

interface WaitingForApply {
  readonly index: LogIndex;
  readonly requests: PendingRequest[];
}

/**
 * Lets reads look at the state, and answers from the leader's memory leave, once it is certain that this replica leads.
 *
 *     add ──▶ reads ──turn──▶ lease, or a round of ReadIndex ──▶ applied far enough ──▶ evaluate ──▶ answer
 *                       └───▶ evaluate in memory (ephemeral, values of sequences) ──▶ lease, or a round ──▶ answer
 *
 * R3 A read is evaluated only while this replica leads, after the first entry of its term is applied, and after leadership was
 *    confirmed for an instant at or after the read's arrival.
 * R4 What waits here is bounded (invariant 13); what is refused although it may have been done is refused as unknown (invariant 15).
 */
export class ReadGate<R extends OwnReplica> {
  private readonly replica: R;
  private readonly host: ReplicaHostOf<R>;
  private readonly memory: TermMemory<R>;
  private readonly proposals: Proposals<R>;
  private readonly times: ReadTimes<R>;
  private reads: PendingRequest[] = [];
  /** One is under way at a time; what comes meanwhile shares the next one. */
  private round: Round | undefined;
  private nextContext = 1;
  private readonly waitingForApply: WaitingForApply[] = [];
  /** Requests in it. */
  private waitingForApplyItems = 0;

  constructor(replica: R, host: ReplicaHostOf<R>, memory: TermMemory<R>, proposals: Proposals<R>) {
    this.replica = replica;
    this.host = host;
    this.memory = memory;
    this.proposals = proposals;
    this.times = new ReadTimes(replica, host);
  }

  /** Something is here that only another turn brings on. */
  get hasWork(): boolean {
    return this.reads.length > 0 && this.round === undefined;
  }

  add(request: PendingRequest): void {
    this.reads.push(request);
  }

  // ---- a turn --------------------------------------------------------------------------------------------------------------

  /** Serves what may be served now. Called after applying, so that a read sees what was decided before it. */
  serve(): void {
    if (this.reads.length === 0 && this.waitingForApply.length === 0) return;
    const { replica } = this;
    const { group, machine } = replica;
    if (!replica.mayServe) {
      this.giveBack();
      return;
    }
    // Before the first entry of the term is applied nobody knows what older terms committed (dissertation §6.4, step 1).
    if (!group.leaderReady || machine.appliedTerm < group.term) {
      this.refuseExcess();
      return;
    }
    this.serveApplied();
    if (this.reads.length === 0) return;
    const leased = this.host.hasLease(replica);
    const reads = this.reads;
    this.reads = [];
    const forRound: PendingRequest[] = [];
    let direct: PendingRequest[] | undefined;
    for (const request of reads) {
      if (request.done) continue;
      if (request.evaluated !== undefined) {
        if (leased) request.answer(request.evaluated);
        else forRound.push(request);
      } else if (request.operation.kind === 'sequence-reserve') {
        if (this.takeValues(request, leased)) forRound.push(request);
      } else if (request.isEphemeral) {
        if (request.isWrite && this.host.hlc.isHeldBack) this.reads.push(request);
        else if (this.executeEphemeral(request, leased)) forRound.push(request);
      } else if (!leased || request.needsRound) forRound.push(request);
      else if (machine.appliedIndex >= group.commitIndex) this.evaluate(request);
      else {
        direct ??= [];
        if (this.waitingForApplyItems + direct.length < this.host.maxWaitingReads) direct.push(request);
        else request.refuse(ForwardStatus.Overloaded);
      }
    }
    if (direct !== undefined) this.waitForApply(group.commitIndex, direct);
    if (forRound.length > 0) this.startRound(forRound);
    this.refuseExcess();
  }

  /** What could not be served may wait, but not without bound (R4): those that came last are refused. */
  private refuseExcess(): void {
    if (this.reads.length === 0) return;
    const { maxWaitingReads, limits } = this.host;
    let items = (this.round?.requests.length ?? 0) + this.waitingForApplyItems;
    let bytes = 0;
    const kept: PendingRequest[] = [];
    for (const request of this.reads) {
      if (request.done) continue;
      bytes += request.isWrite ? requestBytes(request.operation) : 0;
      if (items < maxWaitingReads && bytes <= limits.maxQueuedBytes) {
        items++;
        kept.push(request);
      } else {
        request.refuse(isUntouched(request) ? ForwardStatus.Overloaded : ForwardStatus.Unknown);
      }
    }
    this.reads = kept;
  }

  // ---- confirmation --------------------------------------------------------------------------------------------------------

  private startRound(requests: PendingRequest[]): void {
    if (this.round !== undefined) {
      for (const request of requests) this.reads.push(request);
      return;
    }
    const context = this.nextContext++;
    this.round = { context, requests };
    // The messages of this turn are taken already: without another one the round would begin with the next tick.
    if (this.replica.group.readIndex(context)) this.host.wake(this.replica);
    else this.dropRound();
  }

  /** Rounds that were confirmed, or never will be. */
  takeRounds({ reads, droppedReads }: Ready): void {
    for (const context of droppedReads) {
      if (this.round?.context === context) this.dropRound();
    }
    for (const read of reads) {
      if (this.round?.context !== read.context) continue;
      const { requests } = this.round;
      this.round = undefined;
      const confirmed: PendingRequest[] = [];
      for (const request of requests) {
        request.needsRound = false;
        if (request.evaluated === undefined) confirmed.push(request);
        else request.answer(request.evaluated);
      }
      this.waitForApply(read.index, confirmed);
    }
  }

  private dropRound(): void {
    const { round } = this;
    if (round === undefined) return;
    this.round = undefined;
    for (const request of round.requests) request.refuse(statusOfUnconfirmed(request));
  }

  private waitForApply(index: LogIndex, requests: PendingRequest[]): void {
    this.waitingForApply.push({ index, requests });
    this.waitingForApplyItems += requests.length;
  }

  private serveApplied(): void {
    const applied = this.replica.machine.appliedIndex;
    for (let i = 0; i < this.waitingForApply.length; ) {
      const { index, requests } = this.waitingForApply[i] as WaitingForApply;
      if (index > applied) {
        i++;
        continue;
      }
      this.waitingForApply.splice(i, 1);
      this.waitingForApplyItems -= requests.length;
      for (const request of requests) if (!request.done) this.evaluate(request);
    }
  }

  // ---- answers from memory alone ---------------------------------------------------------------------------------------------

  /**
   * Ephemeral state is evaluated at once; its answer leaves under a lease, or after a round that began later. Returns true if it
   * needs that round.
   */
  private executeEphemeral(request: PendingRequest, leased: boolean): boolean {
    // What repeating a lock operation may answer is a rule of locks (spec locks §9).
    if (request.isWrite && request.repeat && !request.isLock) {
      // An earlier attempt may stand in this very table, and nothing remembers it.
      request.refuse(ForwardStatus.Unknown);
      return false;
    }
    if (!request.isWrite && this.times.waitsForClock(request)) return false;
    return this.leaveConfirmed(request, this.memory.execute(request), leased);
  }

  /** Values out of a block in memory, or a wait for the entry that reserves one. */
  private takeValues(request: PendingRequest, leased: boolean): boolean {
    if (this.host.readsInFetch >= this.host.maxWaitingReads) {
      request.refuse(ForwardStatus.Overloaded);
      return false;
    }
    const result = this.memory.takeValues(request);
    return result !== undefined && this.leaveConfirmed(request, result, leased);
  }

  /** What memory alone answered leaves under a lease valid now, or after a round that begins later. Returns true if it needs that. */
  private leaveConfirmed(request: PendingRequest, result: OperationResult, leased: boolean): boolean {
    if (request.isWrite) this.replica.writeCount++;
    else this.replica.readCount++;
    if (leased) {
      request.answer(result);
      return false;
    }
    request.evaluated = result;
    return true;
  }

  /** An answer from memory that came about outside {@link serve}, which confirms it next. */
  confirmLater(request: PendingRequest, result: OperationResult): void {
    this.replica.writeCount++;
    request.evaluated = result;
    this.addInTurn(request);
  }

  private addInTurn(request: PendingRequest): void {
    this.reads.push(request);
    this.host.wake(this.replica);
  }

  // ---- reads of the state ----------------------------------------------------------------------------------------------------

  /** Leadership of this instant is confirmed and everything committed by then is applied (R3). */
  private evaluate(request: PendingRequest): void {
    const now = this.host.hlc.current().l;
    const time = this.times.timeToSettle(request, now);
    if (time !== undefined && (this.times.waitsForClock(request) || !this.isSettled(request, time))) return;
    this.readWith(request, now, undefined);
  }

  /** Goes on with a read whose rows are here. Its instant was confirmed when it was first evaluated: what is read now is not older. */
  evaluateWith(request: PendingRequest, rows: readonly FetchedRow[]): void {
    if (request.operation.kind === 'sequence-reserve') {
      this.replica.machine.supply(rows);
      this.addInTurn(request);
      return;
    }
    this.readWith(request, this.host.hlc.current().l, rows);
  }

  private readWith(request: PendingRequest, now: number, rows: readonly FetchedRow[] | undefined): void {
    const { replica, host } = this;
    if (request.task !== undefined) {
      replica.readCount++;
      request.answer(request.task.run(undefined));
      return;
    }
    if (rows === undefined && host.readsInFetch >= host.maxWaitingReads) {
      // The engine is slower than what is asked of it; what it would have to be asked for is not known before.
      request.refuse(ForwardStatus.Overloaded);
      return;
    }
    const outcome = replica.machine.read(request.read, now, rows);
    if (!('kind' in outcome)) this.finishRead(request, outcome, now);
    else if (outcome.kind !== 'entry') host.fetchForRead(replica, request, outcome);
    else {
      this.proposals.enqueue(request);
      host.wake(replica);
    }
  }

  private finishRead(request: PendingRequest, outcome: OperationResult, now: number): void {
    const { read } = request;
    if (outcome.state === 0 && isAbsence(outcome.type)) {
      const expired = this.replica.machine.expiredAt(read, now);
      if (expired > 0 && !this.isSettled(request, { n: 0, l: expired + 1, c: 0 })) return;
    }
    if (outcome.type === ResponseType.Aborted && 'readTimestamp' in read) this.host.historyMissing(read.readTimestamp);
    this.replica.readCount++;
    if (request.isLock) this.memory.noteRefusal(request, outcome);
    request.answer(outcome);
  }

  /** Whether an answer about `t` may leave. If not, the request waits for what is missing, and is then evaluated anew. */
  private isSettled(request: PendingRequest, t: Hlc): boolean {
    const missing = this.times.missingFor(request, t);
    if (missing === undefined) return true;
    if (missing === 'entries') {
      this.waitForApply(request.settlesWith, [request]);
    } else {
      if (compareHlc(request.askedQuorumFor, t) >= 0) this.times.tell();
      request.askedQuorumFor = t;
      request.needsRound = true;
      this.addInTurn(request);
    }
    return false;
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------

  leadershipLost(): void {
    this.dropRound();
    this.giveBack();
  }

  /** The node stops or has failed. */
  giveUp(): void {
    this.leadershipLost();
    this.times.giveUp();
  }

  /** Reads that found no confirmation in time. */
  expireUnconfirmed(startedBefore: number): void {
    this.reads = this.reads.filter(request => !request.done && !expired(request, startedBefore));
  }

  /** And those whose confirmation is under way, or that wait for entries to be applied. */
  expireUnderWay(startedBefore: number): void {
    for (const { requests } of this.waitingForApply) for (const request of requests) expired(request, startedBefore);
    if (this.round !== undefined) for (const request of this.round.requests) expired(request, startedBefore);
  }

  private giveBack(): void {
    const { reads } = this;
    this.reads = [];
    for (const request of reads) request.refuse(ForwardStatus.NotLeader);
    const waiting = this.waitingForApply.splice(0);
    this.waitingForApplyItems = 0;
    for (const { requests } of waiting) for (const request of requests) request.refuse(ForwardStatus.NotLeader);
  }
}

/** Refuses the request if it came that long ago. Not as undone: this replica may lead still, with what an ephemeral write has changed. */
function expired(request: PendingRequest, startedBefore: number): boolean {
  if (request.startedAt > startedBefore) return false;
  request.refuse(statusOfUnconfirmed(request));
  return true;
}

/** Of a request that waited for its leadership to be confirmed: what is certain without it. */
function statusOfUnconfirmed(request: PendingRequest): ForwardStatus {
  return isUntouched(request) ? ForwardStatus.NotLeader : ForwardStatus.Unknown;
}

/** Nothing was done yet that a second attempt would do again. */
function isUntouched(request: PendingRequest): boolean {
  // A value of a sequence that was taken in vain is a gap, nothing more: the next leader may give another.
  return request.evaluated === undefined || request.operation.kind === 'sequence-reserve';
}

/** The name is not there, or what stood under it has run out: the numbers for keys and for locks. */
function isAbsence(type: number): boolean {
  return type === ResponseType.DoesNotExist || type === LockResponseType.LockDoesNotExist;
}
