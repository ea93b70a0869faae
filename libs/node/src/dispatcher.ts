import type { ByteReader, Clock, Hlc, HybridClock } from '@kahuna/base';
import { type HistoryCommand, type OperationResult, ResponseType, type Route } from '@kahuna/partition';
import { keySpaceOf, type RoutingTable } from '@kahuna/range-router';
import type { ResultSink } from './api.ts';
import type { LatencyHistogram } from './latency.ts';
import type { Meters } from './meters.ts';
import {
  admitted,
  type ClientOperation,
  isAdmittedFromPeer,
  isPlacedByHash,
  mustRetryOf,
  placementKeyOf,
  refusalOf,
} from './operation-input.ts';
import type { Peer } from './peer.ts';
import {
  type ForwardedOperation,
  ForwardStatus,
  type FrameHeader,
  ItemKind,
  MAX_FORWARDED_REVISION,
  readHlc,
  readOperation,
  readResult,
  writeHlc,
  writeOperation,
  writeResult,
} from './peer-frame.ts';
import type { Replica } from './replica.ts';
import { PendingRequest, type RequestOrigin } from './request.ts';

/** What the dispatcher needs of its node. */
export interface DispatchHost {
  readonly nodeId: number;
  readonly boot: number;
  readonly clock: Clock;
  readonly hlc: HybridClock;
  /** undefined until the node is initialised. */
  routingTable(): RoutingTable | undefined;
  replica(partitionId: number): Replica | undefined;
  peerByNode(nodeId: number): Peer | undefined;
  /** Opens the frame for a peer and makes sure that it leaves at the end of this turn. */
  writeTo(peer: Peer): ReturnType<Peer['openFrame']>;
  /** Something was queued that the next flush must look at. */
  scheduleFlush(): void;
  readonly accepting: boolean;
  readonly meters: Meters;
}

export interface WaitLimits {
  /** For a leader, an election, a transfer. Milliseconds (spec keyvalues §15.3). */
  readonly leaderMs: number;
  /** For the outcome of a write that was proposed or forwarded. Milliseconds. */
  readonly outcomeMs: number;
  /** Requests waiting or forwarded at once on this node; beyond it: MustRetry. */
  readonly maxRequests: number;
}

/**
 * Brings each request to the leader of its partition, here or on another node, and back; keeps what finds no leader for a while,
 * because clients give up within milliseconds (spec keyvalues §15.3).
 *
 * D1 Every request that `submit` took is answered exactly once.
 * D2 A write is sent again only under its first identity; the next leader looks for it before it proposes (design §5, Identity).
 * D3 A leader takes a write for a first attempt only if it was sent to this leadership.
 */
export class Dispatcher implements RequestOrigin {
  private readonly host: DispatchHost;
  private readonly limits: WaitLimits;
  private nextNumber = 1;
  private readonly parked = new Map<number, PendingRequest[]>();
  private parkedCount = 0;
  private readonly forwarded = new Map<number, PendingRequest>();
  private deferred: { sink: ResultSink; token: number; result: OperationResult }[] = [];
  private readonly routes = new Map<number, Route>();
  private readonly peerOrigins = new Map<Peer, ForwardedOrigin>();
  /** Clocks of this turn of the event loop, read when first asked for: what is taken in one turn came together, and so do its answers. */
  private arrival: { readonly now: number; readonly receipt: Hlc } | undefined;
  private answeredAt = 0;
  /** The reservation placed last: a crowd asks for one sequence, often many times in one frame. */
  private lastReserve: { readonly table: RoutingTable; readonly name: string; readonly partitionId: number } | undefined;
  private readonly readLatency: LatencyHistogram;
  private readonly writeLatency: LatencyHistogram;
  readonly counters = { reads: 0, writes: 0, retries: 0, forwards: 0, forwardsServed: 0 };

  constructor(host: DispatchHost, limits: WaitLimits, readLatency: LatencyHistogram, writeLatency: LatencyHistogram) {
    this.host = host;
    this.limits = limits;
    this.readLatency = readLatency;
    this.writeLatency = writeLatency;
  }

  get waiting(): number {
    return this.parkedCount + this.forwarded.size;
  }

  submit(operation: ClientOperation, sink: ResultSink, token: number, deadline: number): void {
    const table = this.host.accepting ? this.host.routingTable() : undefined;
    const known = this.placedLikeTheLast(operation, table);
    const valid = known === undefined ? admitted(operation) : operation;
    if (valid === undefined) {
      this.defer(sink, token, refusalOf(operation, ResponseType.InvalidInput));
      return;
    }
    if (table === undefined || this.waiting >= this.limits.maxRequests) {
      if (operation.kind !== 'get' && operation.kind !== 'exists') {
        const { rejections } = this.host.meters;
        if (table === undefined) rejections.stopping++;
        else rejections.inbox_full++;
      }
      this.defer(sink, token, mustRetryOf(operation));
      return;
    }
    const { now, receipt } = this.arrivalOfTurn();
    const { nodeId, boot } = this.host;
    const partitionId = known ?? this.place(table, valid);
    const number = this.nextNumber++;
    this.route(new PendingRequest(valid, partitionId, this, sink, token, now, deadline, nodeId, boot, number, receipt, false));
  }

  /** The partition of an unkeyed reservation that differs from the last one in nothing that is judged or placed. */
  private placedLikeTheLast(operation: ClientOperation, table: RoutingTable | undefined): number | undefined {
    const { lastReserve } = this;
    if (lastReserve === undefined || operation.kind !== 'sequence-reserve' || operation.key !== lastReserve.name)
      return undefined;
    const { count, idempotencyKey } = operation;
    return lastReserve.table === table && count === 1 && idempotencyKey === '' ? lastReserve.partitionId : undefined;
  }

  private place(table: RoutingTable, operation: ClientOperation): number {
    const partitionId = partitionOf(table, operation);
    if (operation.kind === 'sequence-reserve') this.lastReserve = { table, name: operation.key, partitionId };
    return partitionId;
  }

  private arrivalOfTurn(): { readonly now: number; readonly receipt: Hlc } {
    if (this.arrival === undefined) {
      this.arrival = { now: this.host.clock.monotonicMs(), receipt: this.host.hlc.current() };
      this.answeredAt = 0;
      // Which ends the turn.
      this.host.scheduleFlush();
    }
    return this.arrival;
  }

  /** A command about history, whose partition does not follow from a key. */
  submitCommand(command: HistoryCommand, partitionId: number, sink: ResultSink, token: number, deadline: number): void {
    if (!this.host.accepting || this.host.routingTable() === undefined || this.waiting >= this.limits.maxRequests) {
      this.defer(sink, token, mustRetryOf(command));
      return;
    }
    const { now, receipt } = this.arrivalOfTurn();
    const { nodeId, boot } = this.host;
    const number = this.nextNumber++;
    this.route(new PendingRequest(command, partitionId, this, sink, token, now, deadline, nodeId, boot, number, receipt, false));
  }

  /** A number for an operation that this node itself begins. */
  takeNumber(): number {
    return this.nextNumber++;
  }

  private defer(sink: ResultSink, token: number, result: OperationResult): void {
    this.deferred.push({ sink, token, result });
    this.host.scheduleFlush();
  }

  /** Ends a turn: answers what was decided inside `submit`. */
  completeDeferred(): void {
    this.arrival = undefined;
    this.answeredAt = 0;
    if (this.deferred.length === 0) return;
    const deferred = this.deferred;
    this.deferred = [];
    for (const { sink, token, result } of deferred) sink.complete(token, result);
  }

  private route(request: PendingRequest): void {
    const replica = this.host.replica(request.partitionId);
    if (replica?.leads) {
      request.forwardedTo = 0;
      replica.accept(request);
      return;
    }
    const leader = replica?.leaderNode ?? 0;
    const peer = leader === 0 ? undefined : this.host.peerByNode(leader);
    if (peer?.connected) this.forward(request, peer);
    else this.park(request);
  }

  private park(request: PendingRequest): void {
    let list = this.parked.get(request.partitionId);
    if (list === undefined) {
      list = [];
      this.parked.set(request.partitionId, list);
    }
    list.push(request);
    this.parkedCount++;
  }

  private forward(request: PendingRequest, peer: Peer): void {
    request.forwardedTo = peer.nodeId;
    // An attempt is stamped above its receipt: above what the leader's clock has shown, that is. It need not follow ours.
    if (request.receipt.l > peer.toldClock.l) request.receipt = { n: 0, l: peer.toldClock.l, c: 0 };
    this.forwarded.set(request.number, request);
    this.counters.forwards++;
    const writer = this.host.writeTo(peer);
    writer.u8(ItemKind.Forward);
    writer.varint(request.number);
    writer.varint(request.partitionId);
    writer.u8(request.repeat ? 1 : 0);
    writeHlc(writer, request.receipt);
    writeOperation(writer, request.operation as ForwardedOperation);
  }

  // ---- the other side of a forward --------------------------------------------------------------------------------------------

  takeForward(reader: ByteReader, header: FrameHeader, peer: Peer): void {
    const number = reader.varint();
    const partitionId = reader.varint();
    const repeat = reader.u8() === 1;
    const receipt = readHlc(reader);
    const operation = readOperation(reader);
    let origin = this.peerOrigins.get(peer);
    if (origin === undefined) {
      origin = new ForwardedOrigin(this.host, peer);
      this.peerOrigins.set(peer, origin);
    }
    const now = this.host.clock.monotonicMs();
    const request = new PendingRequest(
      operation,
      partitionId,
      origin,
      undefined,
      number,
      now,
      0,
      peer.nodeId,
      header.senderBoot,
      number,
      receipt,
      repeat,
    );
    const replica = this.host.replica(partitionId);
    // A request that was forwarded once is not forwarded again (spec routing §2).
    const mayAccept = this.host.accepting && replica?.leads === true && !isFromBefore(replica, request);
    if (replica === undefined || !mayAccept) {
      request.refuse(ForwardStatus.NotLeader);
      return;
    }
    this.counters.forwardsServed++;
    if (isAdmittedFromPeer(operation)) replica.accept(request);
    else request.answer(refusalOf(operation, ResponseType.InvalidInput));
  }

  takeForwardAnswer(reader: ByteReader): void {
    const number = reader.varint();
    const status = reader.u8() as ForwardStatus;
    const result = status === ForwardStatus.Executed ? readResult(reader) : undefined;
    const request = this.forwarded.get(number);
    if (request === undefined) return;
    this.forwarded.delete(number);
    if (result === undefined) {
      request.refuse(status);
      return;
    }
    restoreRevision(request, result);
    request.answer(result);
  }

  // ---- answers to our own requests -------------------------------------------------------------------------------------------

  answer(request: PendingRequest, result: OperationResult): void {
    const sink = request.sink;
    if (sink === undefined) return;
    if (this.answeredAt === 0) this.answeredAt = this.host.clock.monotonicMs();
    const elapsed = this.answeredAt - request.startedAt;
    if (request.isWrite) {
      this.counters.writes++;
      this.writeLatency.record(elapsed);
    } else {
      this.counters.reads++;
      this.readLatency.record(elapsed);
    }
    if (result.type === ResponseType.MustRetry) this.counters.retries++;
    else result.route = this.routeOf(request);
    sink.complete(request.token, result);
  }

  refuse(request: PendingRequest, status: ForwardStatus): void {
    const now = this.host.clock.monotonicMs();
    const isOver = now - request.startedAt >= this.limits.leaderMs || this.waiting >= this.limits.maxRequests;
    if (status !== ForwardStatus.NotLeader || isOver) {
      request.answer(mustRetryOf(request.operation));
      return;
    }
    // Here or there, the leader is not where it was thought to be: look again when something changes, or at the next tick.
    request.forwardedTo = 0;
    this.park(request);
  }

  private routeOf(request: PendingRequest): Route {
    const node = request.forwardedTo === 0 ? this.host.nodeId : request.forwardedTo;
    const known = this.routes.get(request.partitionId);
    if (known?.nodeId === node) return known;
    const route: Route = { partitionId: request.partitionId, nodeId: node, forwarded: node !== this.host.nodeId, generation: 0 };
    this.routes.set(request.partitionId, route);
    return route;
  }

  // ---- changes and time ------------------------------------------------------------------------------------------------------

  /** The leader of a partition is another one now, or known again: what waits for it or went to the old one is sent anew. */
  leaderChanged(partitionId: number): void {
    this.retryForwards(request => request.partitionId === partitionId);
    this.retryParked(partitionId);
  }

  linkLost(nodeId: number): void {
    this.retryForwards(request => request.forwardedTo === nodeId);
  }

  private retryForwards(lost: (request: PendingRequest) => boolean): void {
    for (const [number, request] of this.forwarded) {
      if (!lost(request)) continue;
      this.forwarded.delete(number);
      request.forwardedTo = 0;
      // The attempt was not refused: the next one can not be sure that it came to nothing.
      if (request.isWrite) request.repeat = true;
      this.park(request);
    }
  }

  private retryParked(partitionId: number): void {
    const list = this.parked.get(partitionId);
    if (list === undefined) return;
    this.parked.delete(partitionId);
    this.parkedCount -= list.length;
    for (const request of list) if (!request.done) this.route(request);
  }

  tick(now: number): void {
    for (const partitionId of [...this.parked.keys()]) {
      this.expireParked(partitionId, now);
      this.retryParked(partitionId);
    }
    for (const [number, request] of this.forwarded) {
      const limit = request.isWrite ? this.limits.outcomeMs : this.limits.leaderMs;
      if (!this.isOver(request, now, limit)) continue;
      this.forwarded.delete(number);
      request.answer(mustRetryOf(request.operation));
    }
  }

  private isOver(request: PendingRequest, now: number, limitMs: number): boolean {
    return now - request.startedAt >= limitMs || (request.deadline > 0 && now >= request.deadline);
  }

  private expireParked(partitionId: number, now: number): void {
    const list = this.parked.get(partitionId) ?? [];
    const kept: PendingRequest[] = [];
    for (const request of list) {
      // A repeat may have been executed: its outcome is worth waiting for longer.
      const limit = request.repeat ? this.limits.outcomeMs : this.limits.leaderMs;
      if (this.isOver(request, now, limit)) request.answer(mustRetryOf(request.operation));
      else kept.push(request);
    }
    this.parkedCount -= list.length - kept.length;
    this.parked.set(partitionId, kept);
  }

  /** The node stops: nothing more will be decided here. */
  refuseAll(): void {
    for (const list of this.parked.values()) for (const request of list) request.answer(mustRetryOf(request.operation));
    this.parked.clear();
    this.parkedCount = 0;
    for (const request of this.forwarded.values()) request.answer(mustRetryOf(request.operation));
    this.forwarded.clear();
    this.completeDeferred();
  }
}

/**
 * A write may have been sent to an earlier leadership of this replica and have come late: meanwhile its node has perhaps sent it to another leader,
 * under whom it took effect. Frames keep their order, and nobody forwards to a leader of a term that has passed: so that is ruled out once that node's
 * replica has been heard from in the present one (design §5, Identity). Until then the write is taken for a repeat, which is looked up first; what is
 * in memory only is remembered by nobody, so it is sent again: true.
 */
function isFromBefore(replica: Replica, request: PendingRequest): boolean {
  if (!request.isWrite || request.repeat || isHeardInTerm(replica, request)) return false;
  if (request.isEphemeral) return true;
  request.repeat = true;
  return false;
}

function isHeardInTerm(replica: Replica, { node, boot }: PendingRequest): boolean {
  for (const [member, heardBoot] of replica.heardInTerm) {
    if (heardBoot === boot && replica.memberById(member)?.nodeId === node) return true;
  }
  return false;
}

/** Locks and sequences are always placed by hash, whatever the range map says of a key space of that name (spec routing §1.3). */
export function partitionOf(table: RoutingTable, operation: ClientOperation): number {
  const key = placementKeyOf(operation);
  return (isPlacedByHash(operation) ? table.lookupSpace(keySpaceOf(key)) : table.lookup(key)).partitionId;
}

/** A miss at a revision repeats the one that was asked for (keyvalues §8.1), also one that could not be forwarded as it was. */
function restoreRevision({ operation }: PendingRequest, result: OperationResult): void {
  if (operation.kind !== 'get' && operation.kind !== 'exists') return;
  if (operation.revision > MAX_FORWARDED_REVISION && result.type === ResponseType.DoesNotExist)
    result.revision = operation.revision;
}

/** A request that another node received: its answer goes back over the link. */
class ForwardedOrigin implements RequestOrigin {
  private readonly host: DispatchHost;
  private readonly peer: Peer;

  constructor(host: DispatchHost, peer: Peer) {
    this.host = host;
    this.peer = peer;
  }

  /** A process counts its requests from one: an answer to its predecessor's would be taken for one to its own. */
  private isThere(request: PendingRequest): boolean {
    return this.peer.connected && this.peer.boot === request.boot;
  }

  answer(request: PendingRequest, result: OperationResult): void {
    if (!this.isThere(request)) return;
    const writer = this.host.writeTo(this.peer);
    writer.u8(ItemKind.ForwardAnswer);
    writer.varint(request.number);
    writer.u8(ForwardStatus.Executed);
    writeResult(writer, result);
  }

  refuse(request: PendingRequest, status: ForwardStatus): void {
    request.done = true;
    if (!this.isThere(request)) return;
    const writer = this.host.writeTo(this.peer);
    writer.u8(ItemKind.ForwardAnswer);
    writer.varint(request.number);
    writer.u8(status);
  }
}
