import { ByteWriter, type Term } from '@kahuna/base';
import { type CommandBatch, encodeBatch, FEATURE_LEVEL, type OperationResult } from '@kahuna/partition';
import type { Entry } from '@kahuna/raft';
import { KeysAhead } from '../keys-ahead.ts';
import { ForwardStatus } from '../peer-frame.ts';
import { type PendingRequest, requestBytes } from '../request.ts';
import { InFlight, type Proposed } from './in-flight.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';
import type { TermMemory } from './term-memory.ts';

/** A batch is encoded into this much memory, which it may outgrow; always the same. */
const BATCH_BYTES = 256 * 1024;

/**
 * Requests that go into the log: gathered, proposed as one entry per batch, in flight until their index is decided, answered.
 *
 *     enqueue ──▶ queue ──turn──▶ stamped, encoded, proposed ──▶ in flight ──committed──▶ answered, or refused as lost (R2)
 *
 * W1 Items and bytes, queued and in flight together, are bounded: what comes on top is refused as not executed.
 * W2 Stamps grow with the log: a batch is stamped in the same synchronous step that gives it its index.
 * W3 A repeat is proposed only once every older attempt is decided, and if the answers remembered since its receipt lack it
 *    (invariant 15).
 */
export class Proposals<R extends OwnReplica> {
  private readonly replica: R;
  private readonly host: ReplicaHostOf<R>;
  private readonly memory: TermMemory<R>;
  private queue: PendingRequest[] = [];
  /** So many at the head of the queue have their place in it while nothing can be stamped, and they are so large. */
  private judged = 0;
  private judgedBytes = 0;
  /** Requests that came since all of them were looked at. */
  private judgedSince = 0;
  private readonly inFlight = new InFlight();
  /** Of what is in flight. */
  private inFlightBytes = 0;
  private readonly locksAhead = new KeysAhead();
  private readonly writer = new ByteWriter(BATCH_BYTES);

  constructor(replica: R, host: ReplicaHostOf<R>, memory: TermMemory<R>) {
    this.replica = replica;
    this.host = host;
    this.memory = memory;
  }

  get queuedItems(): number {
    return this.queue.length;
  }

  /** Waiting or in flight. */
  get items(): number {
    return this.queue.length + this.inFlight.items;
  }

  get proposedBytes(): number {
    return this.inFlightBytes;
  }

  // ---- queue ---------------------------------------------------------------------------------------------------------------

  /** Whether the request goes into the log. Reserve does not by itself: its values may be in memory. */
  takes(request: PendingRequest): boolean {
    const { operation } = request;
    if (!request.isWrite || request.isEphemeral || operation.kind === 'sequence-reserve') return false;
    if (operation.kind !== 'lock-acquire' || request.repeat || this.locksAhead.has(operation.key)) return true;
    // Contended locks are refused without an entry (design §5, Commands).
    return !this.replica.machine.isHeld(operation, this.host.hlc.current().l);
  }

  enqueue(request: PendingRequest): void {
    this.queue.push(request);
    if (request.isLock) this.locksAhead.add(request.lock.key);
  }

  /** Proposes what has gathered. Refuses what is beyond the bounds, so that memory stays bounded and nobody waits in vain. */
  proposeQueued(): void {
    if (this.queue.length === 0) return;
    const { mayServe } = this.replica;
    if (mayServe && (this.host.hlc.isHeldBack || this.host.stateIsBehind)) {
      this.boundQueue();
      return;
    }
    const queue = this.queue;
    this.queue = [];
    this.judgeAnew();
    this.locksAhead.queueTaken();
    if (!mayServe) {
      for (const request of queue) request.refuse(ForwardStatus.NotLeader);
      return;
    }
    const { maxBatchItems, maxBatchBytes, maxQueuedItems, maxQueuedBytes } = this.host.limits;
    let batch: PendingRequest[] = [];
    let bytes = 0;
    for (const request of queue) {
      if (request.done) continue;
      if (request.repeat && !this.mayPropose(request, batch)) continue;
      const size = requestBytes(request.operation);
      if (this.inFlight.items + batch.length >= maxQueuedItems || this.inFlightBytes + bytes + size > maxQueuedBytes) {
        this.host.meters.rejections.queue_full++;
        request.refuse(ForwardStatus.Overloaded);
        continue;
      }
      if (batch.length >= maxBatchItems || (batch.length > 0 && bytes + size > maxBatchBytes)) {
        this.propose(batch, bytes);
        batch = [];
        bytes = 0;
      }
      batch.push(request);
      bytes += size;
    }
    if (batch.length > 0) this.propose(batch, bytes);
  }

  /**
   * Nothing can be stamped as long as the disk owes the clock its bound, and nothing more is taken while the engine is far behind: what waits
   * for that is bounded like what is proposed. A stall may last, with thousands waiting and a few more in each turn: those are judged, and all
   * anew only after as many have come as there are, which finds the places of requests that were given up meanwhile.
   */
  private boundQueue(): void {
    const { queue } = this;
    const { maxQueuedItems, maxQueuedBytes } = this.host.limits;
    const fresh = queue.length - this.judged;
    if (this.judgedSince >= this.judged) this.judgeAnew();
    this.judgedSince += fresh;
    const excess: PendingRequest[] = [];
    for (let at = this.judged; at < queue.length; at++) {
      const request = queue[at] as PendingRequest;
      if (request.done) continue;
      const size = requestBytes(request.operation);
      const fits = this.inFlight.items + this.judged < maxQueuedItems;
      if (!fits || this.inFlightBytes + this.judgedBytes + size > maxQueuedBytes) excess.push(request);
      else {
        queue[this.judged++] = request;
        this.judgedBytes += size;
      }
    }
    queue.length = this.judged;
    this.host.meters.rejections.queue_full += excess.length;
    for (const request of excess) request.refuse(ForwardStatus.Overloaded);
  }

  private judgeAnew(): void {
    this.judged = 0;
    this.judgedBytes = 0;
    this.judgedSince = 0;
  }

  /**
   * A repeat may be proposed only once this leadership's first entry is applied, because every older attempt is decided by then, and
   * only if the answers remembered since its receipt lack it. Returns false if it was answered, refused, or put back to wait.
   */
  private mayPropose(request: PendingRequest, batch: readonly PendingRequest[]): boolean {
    const { group, machine } = this.replica;
    if (!group.leaderReady || machine.appliedTerm < group.term) {
      if (this.queue.length < this.host.limits.maxQueuedItems) this.enqueue(request);
      else request.refuse(ForwardStatus.Unknown);
      return false;
    }
    const same = (other: PendingRequest): boolean => sameId(other, request);
    if (batch.some(same) || this.inFlight.all.some(({ requests }) => requests.some(same))) {
      // The earlier attempt is on its way here: its answer bears the same number and serves the asking node as well.
      request.done = true;
      return false;
    }
    const remembered = machine.remembered(request.id, request.receipt);
    if (remembered === undefined) return true;
    if (remembered === 'unknown') request.refuse(ForwardStatus.Unknown);
    else request.answer(remembered);
    return false;
  }

  private propose(requests: PendingRequest[], bytes: number): void {
    const stamp = this.host.hlc.now(requests.length);
    const batch: CommandBatch = requests.some(request => request.isPolicied)
      ? { stamp, level: FEATURE_LEVEL, policy: this.host.policy, proposals: requests }
      : { stamp, level: FEATURE_LEVEL, proposals: requests };
    const proposed = this.replica.group.propose(encodeBatch(this.writer, batch));
    if (!proposed.ok) {
      const status = proposed.reason === 'too-many-uncommitted' ? ForwardStatus.Overloaded : ForwardStatus.NotLeader;
      for (const request of requests) request.refuse(status);
      return;
    }
    const proposedAt = this.host.monotonicMs();
    const proposal: Proposed = { index: proposed.index, term: proposed.term, batch, proposedAt, requests };
    this.inFlight.add(proposal);
    this.inFlightBytes += bytes;
    for (const request of requests) if (request.isLock) this.locksAhead.proposedIn(request.lock.key, proposal);
    const { meters } = this.host;
    meters.batches++;
    meters.entries += requests.length;
    meters.steps.client++;
    meters.batchItems.record(requests.length);
    meters.batchBytes.record(bytes);
    meters.queueAgeMs.record(proposedAt - (requests[0] as PendingRequest).startedAt);
  }

  // ---- decisions -----------------------------------------------------------------------------------------------------------

  /** The batch of an entry about to be applied, if it was proposed here: it need not be decoded. */
  batchOf(entry: Entry): CommandBatch | undefined {
    return this.inFlight.proposedAs(entry)?.batch;
  }

  /** What was proposed at this index is decided now, and what was proposed behind it in an earlier term. */
  settleAt({ index, term }: Entry, results: readonly OperationResult[] | undefined): void {
    for (let mine = this.inFlight.takeAt(index); mine !== undefined; mine = this.inFlight.takeAt(index)) {
      this.settle(mine, term, results);
    }
    for (const lost of this.inFlight.takePassed(term)) this.settle(lost, term, undefined);
  }

  /** A proposal is decided: ours if the terms agree, lost otherwise (R2). */
  private settle(mine: Proposed, term: Term, results: readonly OperationResult[] | undefined): void {
    const { requests } = mine;
    for (const request of requests) {
      this.inFlightBytes -= requestBytes(request.operation);
      if (request.isLock) this.locksAhead.decided(request.lock.key, mine);
    }
    const { meters } = this.host;
    meters.raftMs.record(this.host.monotonicMs() - mine.proposedAt);
    if (this.replica.diverged && mine.term === term) {
      // What a quorum made of it is not what came out here.
      for (const request of requests) request.refuse(ForwardStatus.Unknown);
      return;
    }
    if (mine.term === term && results !== undefined) {
      meters.outcomes.success += requests.length;
      for (let i = 0; i < requests.length; i++) {
        const request = requests[i] as PendingRequest;
        const result = results[i] as OperationResult;
        if (request.isLock) this.memory.noteRefusal(request, result);
        request.answer(result);
      }
      return;
    }
    meters.outcomes.transient += requests.length;
    for (const request of requests) request.refuse(ForwardStatus.NotLeader);
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------

  /** In flight longer than allowed: the outcome is unknown. */
  expireInFlight(startedBefore: number): void {
    for (const { requests } of this.inFlight.all) {
      for (const request of requests) {
        if (request.done || request.startedAt > startedBefore) continue;
        this.host.meters.outcomes.permanent++;
        request.refuse(ForwardStatus.Unknown);
      }
    }
  }

  /** Repeats that still wait for their leader to be ready, and whatever waits for the clock: nothing was done yet. */
  expireQueued(startedBefore: number): void {
    const before = this.queue.length;
    this.judgeAnew();
    this.queue = this.queue.filter(request => {
      if (request.done) return false;
      if (request.startedAt > startedBefore) return true;
      request.refuse(ForwardStatus.NotLeader);
      return false;
    });
    this.host.meters.rejections.queue_expired += before - this.queue.length;
  }

  /** The node stops or has failed: nothing more will be decided here. */
  giveUp(): void {
    this.judgeAnew();
    for (const request of this.queue.splice(0)) request.refuse(ForwardStatus.NotLeader);
    for (const { requests } of this.inFlight.all) for (const request of requests) request.refuse(ForwardStatus.Unknown);
  }

  /** A snapshot replaced the state: what is in flight refers to a log that is gone. */
  restored(): void {
    for (const { requests } of this.inFlight.takeAll()) {
      for (const request of requests) request.refuse(ForwardStatus.Unknown);
    }
    this.inFlightBytes = 0;
    this.locksAhead.clear();
  }
}

function sameId(a: PendingRequest, b: PendingRequest): boolean {
  return a.number === b.number && a.boot === b.boot && a.node === b.node;
}
