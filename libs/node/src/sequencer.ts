import {
  allocationAnswer,
  type BlockAllocation,
  fits,
  type LiveSequence,
  type NamedRow,
  type OperationResult,
  replayAnswer,
  type SequenceAllocate,
  type SequenceAllocation,
  type SequencePolicy,
  type SequenceRecord,
  type SequenceReserve,
  SequenceResponseType,
  sequenceAnswer,
} from '@kahuna/partition';
import { ForwardStatus } from './peer-frame.ts';
import { CROWD, Demand, MAX_BLOCKS } from './read-ahead.ts';
import type { PendingRequest, RequestOrigin } from './request.ts';

/** What a sequencer needs of its replica. */
export interface SequencerHost {
  readonly policy: SequencePolicy;
  /** Sequences with a block in memory, at most; 0 = no limit. */
  readonly maxBlocks: number;
  /** Requests that wait for entries, at most; beyond it: MustRetry. */
  readonly maxWaiting: number;
  /** Physical part of the leader's clock. */
  nowMs(): number;
  sequence(name: string): NamedRow<SequenceRecord> | undefined;
  /** Reads the row; the request is taken again when it is here. */
  fetch(request: PendingRequest, row: Uint8Array): void;
  propose(command: SequenceAllocate, origin: RequestOrigin): void;
  /** The answer leaves once leadership is confirmed for an instant after this. */
  evaluated(request: PendingRequest, result: OperationResult): void;
}

/**
 * Values of sequences in the memory of a partition's leader: one sequencer per term led, dropped with the leadership.
 *
 *     take ──▶ block ──▶ answer, once leadership is confirmed                     no entry
 *        │       └─ keyed ──▶ entry that records run and key ──▶ answer
 *        └─▶ waits ──▶ entry that reserves a block ──▶ served from it, in order of arrival
 *     blocks of a sequence in demand (see `read-ahead.ts`) ──▶ entry that reserves the next ones, which nobody waits for
 *
 * Q1 A value leaves a block once: blocks are reserved by entries of this term, end with the term, and a run handed to a proposal that
 *    failed is not taken back.
 * Q2 A block serves only while the applied record is still in the stream it was reserved in: update and delete void it by being
 *    applied. It is looked at for every run, so no lease of blocks is needed.
 * Q3 Blocks are used in the order in which they were reserved, and none again once a later one was. While somebody waits for a reservation,
 *    whoever comes waits behind: runs are answered in the order of their values.
 * Q4 One proposal per idempotency key at a time; equal keys wait for it and then find it in the record. Should a key be proposed
 *    twice after all, applying finds it too.
 * Q5 `waiting` counts the requests in the lists of proposals and of keys: what waits is bounded.
 */
export class Sequencer {
  private readonly host: SequencerHost;
  /** Least recently opened first; see {@link makeRoom}. */
  private readonly streams = new Map<string, Stream>();
  private readonly busy = new Set<Stream>();
  private waiting = 0;

  constructor(host: SequencerHost) {
    this.host = host;
  }

  /** The answer, which leaves once leadership is confirmed; undefined if the request waits for an entry or a row. */
  take(request: PendingRequest): OperationResult | undefined {
    const { key: name, count, idempotencyKey } = request.operation as SequenceReserve;
    const row = this.host.sequence(name);
    if (row === undefined) return sequenceAnswer(SequenceResponseType.MustRetry, 0);
    if (row.asked !== undefined) {
      this.host.fetch(request, row.asked);
      return undefined;
    }
    const live = row.state?.live;
    if (live === undefined) return sequenceAnswer(SequenceResponseType.NotFound, 0);
    const replay = replayAnswer(name, live, idempotencyKey, count, this.host.nowMs(), this.host.policy);
    if (replay !== undefined) return replay;
    const stream = this.streams.get(name);
    const followers = idempotencyKey === '' ? undefined : stream?.keyed.get(idempotencyKey);
    if (followers !== undefined) {
      if (this.waiting >= this.host.maxWaiting) return sequenceAnswer(SequenceResponseType.MustRetry, 0);
      this.waiting++;
      followers.push(request);
      return undefined;
    }
    if (stream === undefined || !stream.isWaitedFor) {
      if (stream?.serves(live, count)) return this.serve(stream, live, request);
      if (!fits(live, count)) return sequenceAnswer(SequenceResponseType.MaxValueExceeded, 0);
    }
    if (this.waiting >= this.host.maxWaiting) return sequenceAnswer(SequenceResponseType.MustRetry, 0);
    this.wait(stream ?? this.open(name), live, request);
    return undefined;
  }

  private serve(stream: Stream, live: LiveSequence, request: PendingRequest): OperationResult | undefined {
    const { count, idempotencyKey } = request.operation as SequenceReserve;
    const allocation = stream.take(count);
    if ((stream.block as Block).left <= stream.lookAt) this.lookAhead(stream, live);
    if (idempotencyKey === '') return allocationAnswer(allocation);
    const from = { start: allocation.start, revision: allocation.revision };
    this.propose(new Proposal(this, stream, count, idempotencyKey, from, request, 0));
    return undefined;
  }

  /** Of a stream in demand: reserves the next blocks where those in hand will not last. */
  private lookAhead(stream: Stream, live: LiveSequence): void {
    const { demand } = stream;
    if (demand === undefined) return;
    const blockSize = live.blockSize ?? this.host.policy.blockSize;
    const wanted = demand.blocksWanted(this.host.nowMs(), stream.inHand, blockSize);
    stream.looked(wanted);
    if (typeof wanted !== 'number' || stream.reservations.length > 0) return;
    // Near the maximum a reservation too early would refuse a run that still fits.
    if (!fits(live, 2 * MAX_BLOCKS * blockSize)) return;
    for (let i = 0; i < wanted; i++) this.reserve(stream, new Proposal(this, stream, 1, '', undefined, undefined, blockSize));
  }

  private reserve(stream: Stream, reservation: Proposal): void {
    stream.reservations.push(reservation);
    this.propose(reservation);
  }

  /** Behind the last reservation if its block will have room; else a further block is reserved. */
  private wait(stream: Stream, live: LiveSequence, request: PendingRequest): void {
    const { count, idempotencyKey } = request.operation as SequenceReserve;
    const last = stream.reservations.at(-1);
    if (last !== undefined && last.room >= count) {
      if (idempotencyKey !== '') stream.keyed.set(idempotencyKey, []);
      last.room -= count;
      this.waiting++;
      last.waiting.push(request);
      return;
    }
    const room = Math.max(live.blockSize ?? this.host.policy.blockSize, 1, count) - count;
    const keyed = idempotencyKey !== '';
    const reservation = new Proposal(this, stream, count, idempotencyKey, undefined, keyed ? request : undefined, room);
    if (!keyed) {
      this.waiting++;
      reservation.waiting.push(request);
    }
    this.reserve(stream, reservation);
  }

  private propose(proposal: Proposal): void {
    const { stream, count, idempotencyKey, from } = proposal;
    if (idempotencyKey !== '' && !stream.keyed.has(idempotencyKey)) stream.keyed.set(idempotencyKey, []);
    stream.proposals.add(proposal);
    this.busy.add(stream);
    this.host.propose({ kind: 'sequence-allocate', key: stream.name, count, idempotencyKey, from }, proposal);
  }

  /** A proposal is applied. */
  settled(proposal: Proposal, result: OperationResult): void {
    const { stream, client } = proposal;
    if (!stream.proposals.delete(proposal)) return;
    this.waiting -= proposal.waiting.length;
    const allocation = result.type === SequenceResponseType.Success ? (result.detail as BlockAllocation) : undefined;
    if (proposal.from === undefined) {
      stream.reservations.shift();
      if (proposal.waiting.length >= CROWD) stream.demand ??= new Demand(this.host.nowMs());
      if (allocation !== undefined) this.install(stream, proposal, allocation);
    }
    if (client !== undefined) {
      // The stream ended between taking the run and recording it: the request begins anew.
      if (result.type === SequenceResponseType.MustRetry) this.again(stream, client);
      else {
        const followers = this.release(stream, client);
        client.answer(result);
        for (const follower of followers) this.retake(follower);
      }
    }
    for (const request of proposal.waiting) this.serveWaiting(stream, request);
    this.closeIfIdle(stream);
  }

  private install(stream: Stream, proposal: Proposal, allocation: BlockAllocation): void {
    const live = this.host.sequence(stream.name)?.state?.live;
    if (live === undefined || allocation.revision < live.stream) return;
    const { start, end, count, revision, blockLeft } = allocation;
    if (proposal.client === undefined) {
      stream.add(new Block(start, count + blockLeft, live.increment, revision));
      return;
    }
    // Its run is answered now: smaller values are over.
    stream.leaveBlocks();
    stream.add(new Block(end + live.increment, blockLeft, live.increment, revision));
  }

  private serveWaiting(stream: Stream, request: PendingRequest): void {
    const { count } = request.operation as SequenceReserve;
    const live = this.host.sequence(stream.name)?.state?.live;
    if (request.done || live === undefined || !stream.serves(live, count)) {
      this.again(stream, request);
      return;
    }
    const result = this.serve(stream, live, request);
    if (result !== undefined) this.host.evaluated(request, result);
  }

  /** The request, and those that wait for its key, are taken as if they had just come. */
  private again(stream: Stream, request: PendingRequest): void {
    const followers = this.release(stream, request);
    this.retake(request);
    for (const follower of followers) this.retake(follower);
  }

  private release(stream: Stream, request: PendingRequest): readonly PendingRequest[] {
    const followers = stream.release(request);
    this.waiting -= followers.length;
    return followers;
  }

  private retake(request: PendingRequest): void {
    if (request.done) return;
    const result = this.take(request);
    if (result !== undefined) this.host.evaluated(request, result);
  }

  /** A proposal came to nothing (`NotLeader`, `Overloaded`) or nobody knows (`Unknown`): its stream starts over. */
  refused(proposal: Proposal, status: ForwardStatus): void {
    const { stream } = proposal;
    if (!stream.proposals.has(proposal)) return;
    this.close(stream, status);
  }

  private close(stream: Stream, status: ForwardStatus): void {
    this.streams.delete(stream.name);
    this.busy.delete(stream);
    const proposals = [...stream.proposals];
    stream.proposals.clear();
    for (const proposal of proposals) {
      this.waiting -= proposal.waiting.length;
      proposal.client?.refuse(status);
      for (const request of proposal.waiting) request.refuse(status);
    }
    for (const followers of stream.keyed.values()) {
      this.waiting -= followers.length;
      for (const request of followers) request.refuse(status);
    }
    stream.keyed.clear();
  }

  /** Leadership is over: what was taken is a gap, what waits looks for the next leader. A keyed run that is decided later is found there. */
  drop(): void {
    for (const stream of [...this.busy]) this.close(stream, ForwardStatus.NotLeader);
    this.streams.clear();
  }

  /** Requests that waited too long; the entries they wait for may still come. */
  expire(startedBefore: number): void {
    const expire = (request: PendingRequest): void => {
      if (!request.done && request.startedAt <= startedBefore) request.refuse(ForwardStatus.NotLeader);
    };
    for (const stream of this.busy) {
      for (const proposal of stream.proposals) proposal.waiting.forEach(expire);
      for (const followers of stream.keyed.values()) followers.forEach(expire);
    }
  }

  private open(name: string): Stream {
    this.makeRoom();
    const stream = new Stream(name);
    this.streams.set(name, stream);
    return stream;
  }

  private closeIfIdle(stream: Stream): void {
    if (stream.proposals.size > 0) return;
    this.busy.delete(stream);
    if (stream.inHand === 0) this.streams.delete(stream.name);
  }

  /** Second chance: what was used since the last look goes to the end of the line; a block that goes is a gap. */
  private makeRoom(): void {
    const { maxBlocks } = this.host;
    if (maxBlocks === 0) return;
    let looks = LOOKS;
    for (const [name, stream] of this.streams) {
      if (this.streams.size < maxBlocks || looks-- === 0) return;
      this.streams.delete(name);
      if (!stream.used && stream.proposals.size === 0) continue;
      stream.used = false;
      this.streams.set(name, stream);
    }
  }
}

const LOOKS = 64;
const NO_REQUESTS: readonly PendingRequest[] = Object.freeze([]);

/** What the leader has under way for one sequence. */
class Stream {
  readonly name: string;
  /** In use; those after it in the order of their values. */
  block: Block | undefined = undefined;
  private readonly ahead: Block[] = [];
  /** Set while the sequence is in demand. */
  demand: Demand | undefined = undefined;
  /** Values left in the block at which to look ahead, -1 = not in this block. */
  lookAt = -1;
  used = true;
  /** Not yet applied; in log order where they reserve. */
  readonly proposals = new Set<Proposal>();
  readonly reservations: Proposal[] = [];
  /** Idempotency keys under way, with the requests that wait for them. */
  readonly keyed = new Map<string, PendingRequest[]>();

  constructor(name: string) {
    this.name = name;
  }

  /** Somebody waits for a reservation that is under way. */
  get isWaitedFor(): boolean {
    const last = this.reservations.at(-1);
    return last !== undefined && (last.client !== undefined || last.waiting.length > 0);
  }

  /** Values in all blocks. */
  get inHand(): number {
    return this.ahead.reduce((sum, { left }) => sum + left, this.block?.left ?? 0);
  }

  /** Brings to hand the first block that has so many values of the present stream; false if none has: then all stay. */
  serves(live: LiveSequence, count: number): boolean {
    const { block, ahead } = this;
    const has = ({ left, revision }: Block): boolean => left >= count && revision >= live.stream;
    if (block !== undefined && has(block)) return true;
    const at = ahead.findIndex(has);
    if (at < 0) return false;
    this.use(ahead[at] as Block);
    ahead.splice(0, at + 1);
    return true;
  }

  take(count: number): SequenceAllocation {
    this.used = true;
    if (this.demand !== undefined) this.demand.issued += count;
    return (this.block as Block).take(this.name, count);
  }

  add(block: Block): void {
    if (this.block === undefined) this.use(block);
    else this.ahead.push(block);
  }

  leaveBlocks(): void {
    this.block = undefined;
    this.ahead.length = 0;
  }

  private use(block: Block): void {
    this.block = block;
    this.lookAt = this.demand === undefined ? -1 : block.left >>> 1;
  }

  /** What the look came to says when the next one is due. */
  looked(wanted: number | 'unknown' | 'over'): void {
    if (wanted === 'over') this.demand = undefined;
    this.lookAt = wanted === 'unknown' ? (this.block as Block).left >>> 1 : -1;
  }

  /** The request's key is not under way any more. Returns who waited for it. */
  release(request: PendingRequest): readonly PendingRequest[] {
    const { idempotencyKey } = request.operation as SequenceReserve;
    const followers = this.keyed.get(idempotencyKey);
    if (followers === undefined) return NO_REQUESTS;
    this.keyed.delete(idempotencyKey);
    return followers;
  }
}

/** A run of reserved values, handed out from its start. */
class Block {
  left: number;
  readonly revision: number;
  private readonly increment: bigint;
  private next: bigint;
  // The same as numbers while every value, and the one after the last, is a safe integer: bigint arithmetic costs more.
  private readonly isSafe: boolean;
  private readonly step: number;
  private at: number;

  constructor(first: bigint, count: number, increment: bigint, revision: number) {
    this.left = count;
    this.revision = revision;
    this.increment = increment;
    this.next = first;
    this.isSafe = isSafe(first) && isSafe(first + increment * BigInt(count));
    this.step = this.isSafe ? Number(increment) : 0;
    this.at = this.isSafe ? Number(first) : 0;
  }

  take(name: string, count: number): SequenceAllocation {
    this.left -= count;
    if (this.isSafe) {
      const start = BigInt(this.at);
      const end = count === 1 ? start : BigInt(this.at + this.step * (count - 1));
      this.at += this.step * count;
      return { kind: 'sequence-allocation', name, start, end, count, revision: this.revision };
    }
    const start = this.next;
    const end = start + this.increment * BigInt(count - 1);
    this.next = end + this.increment;
    return { kind: 'sequence-allocation', name, start, end, count, revision: this.revision };
  }
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

/** An entry on its way for one sequence: a reservation, or a keyed run out of the block (`from`). */
class Proposal implements RequestOrigin {
  private readonly sequencer: Sequencer;
  readonly stream: Stream;
  readonly count: number;
  readonly idempotencyKey: string;
  readonly from: SequenceAllocate['from'];
  /** Whose key the entry records, and who gets its answer. */
  readonly client: PendingRequest | undefined;
  /** Values that the block will have beyond those that are spoken for; an estimate. */
  room: number;
  /** In order of arrival; served from the block. */
  readonly waiting: PendingRequest[] = [];

  constructor(
    sequencer: Sequencer,
    stream: Stream,
    count: number,
    idempotencyKey: string,
    from: SequenceAllocate['from'],
    client: PendingRequest | undefined,
    room: number,
  ) {
    this.sequencer = sequencer;
    this.stream = stream;
    this.count = count;
    this.idempotencyKey = idempotencyKey;
    this.from = from;
    this.client = client;
    this.room = room;
  }

  answer(_request: PendingRequest, result: OperationResult): void {
    this.sequencer.settled(this, result);
  }

  refuse(request: PendingRequest, status: ForwardStatus): void {
    request.done = true;
    this.sequencer.refused(this, status);
  }
}
