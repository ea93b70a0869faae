import { assert, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import {
  Durability,
  type EphemeralTable,
  type OperationResult,
  type PartitionScan,
  ResponseType,
  rowBytes,
  type ScanNeed,
  type ScanRow,
} from '@kahuna/partition';
import type { NodeInternals } from '../internals.ts';
import type { Peer } from '../peer.ts';
import { ForwardStatus, ItemKind } from '../peer-frame.ts';
import type { EngineSnapshot, ScanPage, StateEngine } from '../ports.ts';
import type { Replica } from '../replica.ts';
import { emptyResult, PendingRequest, type ReadTask, type RequestOrigin } from '../request.ts';
import { type PartPage, type PartRequest, writePartPage } from './scan-frames.ts';

/** Who asked for a part. Each page but the last is followed by nothing until `more` is called. */
export interface PartSink {
  page(page: PartPage): void;
  /** Not decided here; the session is over. */
  refused(status: ForwardStatus): void;
}

/** Heads looked at in one step of the event loop: about two milliseconds of decoding. */
const SLICE_ROWS = 1024;
/** Dead heads among them that cost no second slice. */
const SLICE_SPARE_ROWS = 16;
const SLICE_BYTES = 512 * 1024;
/** A page is handed over once its rows take this much. */
const PAGE_BYTES = 512 * 1024;
/** A scan that holds more rows than this is given up as overload. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** Scans open on this node as leader; each holds a view of the engine. */
const MAX_SESSIONS = 512;
/** A view is given up when nobody has asked for its next page for so long. Milliseconds. */
const IDLE_MS = 20_000;

/**
 * Scans of partitions that this node leads. A session passes the gate of linearizable reads once, then shows that one instant over
 * as many pages as are asked for, from a view of the engine frozen with it: what happens to the leadership later changes nothing
 * about what was true at that instant.
 */
export class ScanSessions {
  readonly node: NodeInternals;
  readonly engine: StateEngine;
  private readonly sessions = new Set<ScanSession>();
  private readonly forwarded = new Map<Peer, Map<number, ScanSession>>();

  constructor(node: NodeInternals, engine: StateEngine) {
    this.node = node;
    this.engine = engine;
  }

  get open(): number {
    return this.sessions.size;
  }

  /** Answers through `sink`, never inside this call. */
  begin(replica: Replica, request: PartRequest, sink: PartSink): ScanSession {
    const session = new ScanSession(this, replica, request, sink);
    this.sessions.add(session);
    session.begin();
    return session;
  }

  /** A part that a peer asked for. */
  beginForwarded(peer: Peer, number: number, partitionId: number, request: PartRequest): void {
    const sink = new ForwardedSink(this.node, peer, number, () => this.forwarded.get(peer)?.delete(number));
    const replica = this.node.replica(partitionId);
    if (!this.node.accepting || !replica?.leads) sink.refused(ForwardStatus.NotLeader);
    else if (this.sessions.size >= MAX_SESSIONS) sink.refused(ForwardStatus.Overloaded);
    else {
      let ofPeer = this.forwarded.get(peer);
      if (ofPeer === undefined) {
        ofPeer = new Map();
        this.forwarded.set(peer, ofPeer);
      }
      ofPeer.set(number, this.begin(replica, request, sink));
    }
  }

  more(peer: Peer, number: number): void {
    const session = this.forwarded.get(peer)?.get(number);
    if (session !== undefined) session.more();
    else new ForwardedSink(this.node, peer, number, nothing).refused(ForwardStatus.NotLeader);
  }

  end(peer: Peer, number: number): void {
    const ofPeer = this.forwarded.get(peer);
    ofPeer?.get(number)?.close();
    ofPeer?.delete(number);
  }

  linkLost(peer: Peer): void {
    for (const session of this.forwarded.get(peer)?.values() ?? []) session.close();
    this.forwarded.delete(peer);
  }

  tick(now: number): void {
    for (const session of this.sessions) if (session.isIdle && now - session.touchedAt > IDLE_MS) session.abandon();
  }

  /** The node stops or has failed: what peers still read here is refused, and no view of the engine stays open. */
  abandonAll(): void {
    for (const session of this.sessions) session.abandon();
  }

  closed(session: ScanSession): void {
    this.sessions.delete(session);
  }
}

function nothing(): void {
  // A refusal of what is not open has nothing to forget.
}

/**
 * One part on its leader.
 *
 *     gate ──▶ (fix the time: gate again) ──▶ open ──▶ drive ⇄ engine ──▶ page ──▶ paused ──more──▶ drive …
 *                                                        └─ a row was hidden by its expiry: gate for that time first
 */
export class ScanSession implements ReadTask, RequestOrigin {
  touchedAt: number;
  private readonly sessions: ScanSessions;
  private readonly replica: Replica;
  private readonly request: PartRequest;
  private readonly sink: PartSink;
  private time: Hlc;
  private stage: 'gate' | 'open' | 'settle' | 'paused' | 'over' = 'gate';
  private scan: PartitionScan | undefined;
  private view: EngineSnapshot | undefined;
  /** Expiries up to here are settled: a quorum's clocks are past them. */
  private settledMs = 0;
  private finished: PartPage | undefined;
  /** Found, and not handed over yet. */
  private rest: ScanRow[] = [];

  constructor(sessions: ScanSessions, replica: Replica, request: PartRequest, sink: PartSink) {
    this.sessions = sessions;
    this.replica = replica;
    this.request = request;
    this.sink = sink;
    this.time = request.readTimestamp;
    this.touchedAt = sessions.node.monotonicMs();
  }

  get isIdle(): boolean {
    return this.stage === 'paused';
  }

  begin(): void {
    this.pass(this.time);
  }

  /** Goes through the gate of reads: leadership confirmed, everything committed applied, and `time` settled if it is one. */
  private pass(time: Hlc): void {
    const { node } = this.sessions;
    const { durability } = this.request;
    const gate = new PendingRequest(
      { kind: 'get', key: '', revision: -1, readTimestamp: time, durability },
      this.replica.partitionId,
      this,
      undefined,
      0,
      node.monotonicMs(),
      0,
      node.nodeId,
      node.boot,
      0,
      HLC_ZERO,
      false,
    );
    gate.task = this;
    this.replica.accept(gate);
  }

  /** The gate is open at this instant. What this returns only says that there will be an answer. */
  run(ephemeral: EphemeralTable | undefined): OperationResult {
    if (this.stage === 'gate' && (ephemeral !== undefined || !this.fixesTime())) this.openScan(ephemeral);
    return emptyResult(ResponseType.Get);
  }

  /** True if the time was fixed only now: it has to be settled before anything is read at it. */
  private fixesTime(): boolean {
    if (!this.request.fixTime || !isZeroHlc(this.time)) return false;
    this.time = this.sessions.node.hlc.current();
    return true;
  }

  private openScan(ephemeral: EphemeralTable | undefined): void {
    this.stage = 'open';
    // Memory's own stamps are as they are minted: its time needs no settling.
    if (ephemeral !== undefined) this.fixesTime();
    const query = { ...this.request, readTimestamp: this.time };
    const nowMs = this.sessions.node.hlc.current().l;
    if (ephemeral === undefined) this.openHeads(query, nowMs, false);
    else this.scan = ephemeral.scan(query, nowMs);
  }

  /**
   * Most scans end within their first page, and one read of the engine is one instant by itself. Only when it was not enough the scan
   * begins again, with a view that stays: what is read later is not older (R3 of `read-gate.ts`).
   */
  private openHeads(query: PartRequest, nowMs: number, frozen: boolean): void {
    const { node, engine } = this.sessions;
    this.scan = this.replica.machine.openScan(query, nowMs);
    const need = this.scan?.need();
    if (this.scan === undefined) return;
    if (need === undefined) {
      node.soon(() => this.driveUnlessOver());
    } else if (need.kind === 'page' && !frozen) {
      engine.scan(this.slice(need), (error, page) => {
        if (!node.failedEngine(error)) this.takeOnlyPage(query, page);
      });
    } else {
      engine.snapshot((error, view) => {
        if (node.failedEngine(error) || view === undefined || this.stage === 'over') {
          // Nobody else knows of a view that comes too late.
          view?.close();
          return;
        }
        this.view = view;
        this.drive();
      });
    }
  }

  private takeOnlyPage(query: PartRequest, page: ScanPage): void {
    const { scan, replica } = this;
    if (this.stage === 'over' || scan === undefined) return;
    scan.takePage(page.rows, page.more);
    if (scan.need() === undefined) {
      this.drive();
    } else if (replica.mayServe) {
      this.openHeads(query, this.sessions.node.hlc.current().l, true);
    } else {
      this.close();
      this.sink.refused(ForwardStatus.NotLeader);
    }
  }

  private driveUnlessOver(): void {
    if (this.stage !== 'over') this.drive();
  }

  answer(request: PendingRequest): void {
    switch (this.stage) {
      case 'gate':
        this.pass(this.time);
        return;
      case 'settle':
        this.deliver();
        return;
      case 'open':
        if (this.scan === undefined) this.refuse(request, ForwardStatus.NotLeader);
        else if (this.request.durability === Durability.Ephemeral) this.drive();
        return;
      default:
        return;
    }
  }

  refuse(request: PendingRequest, status: ForwardStatus): void {
    request.done = true;
    if (this.stage === 'over') return;
    this.close();
    this.sink.refused(status);
  }

  private drive(): void {
    const { scan } = this;
    assert(scan !== undefined, 'a scan is driven once it is open');
    if (scan.heldBytes > MAX_HELD_BYTES) {
      this.close();
      this.sink.refused(ForwardStatus.Overloaded);
      return;
    }
    const need = scan.need();
    const { maxLooked } = this.request;
    const short = need?.kind === 'page' && maxLooked > 0 && scan.looked >= maxLooked;
    if (need !== undefined && !short && this.rest.length === 0 && scan.bytes < PAGE_BYTES) {
      this.fetch(need);
      return;
    }
    this.finished = {
      rows: this.takeRows(scan),
      last: (need === undefined || short) && this.rest.length === 0,
      aborted: scan.aborted,
      position: short ? scan.position : undefined,
      readTimestamp: this.time,
    };
    if (scan.aborted && this.request.durability === Durability.Persistent) this.sessions.node.historyMissing(this.time);
    this.settle(scan.hiddenUntilMs);
  }

  /** Rows for one page. What comes out of a scan at its end all at once is handed over in several. */
  private takeRows(scan: PartitionScan): readonly ScanRow[] {
    const rows = this.rest.length === 0 ? scan.drain() : this.rest;
    let bytes = 0;
    let count = 0;
    while (count < rows.length && bytes < PAGE_BYTES) bytes += rowBytes(rows[count++] as ScanRow);
    this.rest = count === rows.length ? [] : rows.slice(count);
    return count === rows.length ? rows : rows.slice(0, count);
  }

  /** That a row has expired may be said only when no successor can contradict it (keyvalues §9). */
  private settle(hiddenUntilMs: number): void {
    if (hiddenUntilMs <= this.settledMs || this.request.durability === Durability.Ephemeral) {
      this.deliver();
      return;
    }
    this.settledMs = hiddenUntilMs;
    this.stage = 'settle';
    this.pass({ n: 0, l: hiddenUntilMs + 1, c: 0 });
  }

  private deliver(): void {
    const page = this.finished as PartPage;
    this.finished = undefined;
    this.touchedAt = this.sessions.node.monotonicMs();
    this.stage = 'paused';
    if (page.last) this.close();
    this.sink.page(page);
  }

  private fetch(need: ScanNeed): void {
    const { view, scan } = this;
    assert(view !== undefined && scan !== undefined, 'a scan that needs rows has a view');
    const { node } = this.sessions;
    if (need.kind === 'page') {
      view.scan(this.slice(need), (error, page) => {
        if (node.failedEngine(error) || this.stage === 'over') return;
        scan.takePage(page.rows, page.more);
        this.drive();
      });
      return;
    }
    view.getMany(need.keys, (error, values) => {
      if (node.failedEngine(error) || this.stage === 'over') return;
      scan.takeRows(need.keys.map((key, i) => ({ key, value: values[i] })));
      this.drive();
    });
  }

  /** Short answers take short slices. */
  private slice(need: { readonly from: Uint8Array; readonly to: Uint8Array }) {
    const { shape, maxRows } = this.request;
    const rows = shape.kind === 'space' ? Math.min(SLICE_ROWS, maxRows + SLICE_SPARE_ROWS) : SLICE_ROWS;
    return { from: need.from, to: need.to, maxRows: rows, maxBytes: SLICE_BYTES };
  }

  /** The next page is wanted. */
  more(): void {
    if (this.stage !== 'paused') return;
    this.stage = 'open';
    this.touchedAt = this.sessions.node.monotonicMs();
    this.drive();
  }

  /** Nobody takes the pages any more. */
  abandon(): void {
    this.close();
    this.sink.refused(ForwardStatus.NotLeader);
  }

  close(): void {
    if (this.stage === 'over') return;
    this.stage = 'over';
    this.view?.close();
    this.view = undefined;
    this.sessions.closed(this);
  }
}

/** Pages go back over the link that asked; a process that has restarted since did not ask. */
class ForwardedSink implements PartSink {
  private readonly node: NodeInternals;
  private readonly peer: Peer;
  private readonly boot: number;
  private readonly number: number;
  private readonly over: () => void;

  constructor(node: NodeInternals, peer: Peer, number: number, over: () => void) {
    this.node = node;
    this.peer = peer;
    this.boot = peer.boot;
    this.number = number;
    this.over = over;
  }

  page(page: PartPage): void {
    if (page.last) this.over();
    const writer = this.open(ForwardStatus.Executed);
    if (writer !== undefined) writePartPage(writer, page);
  }

  refused(status: ForwardStatus): void {
    this.over();
    this.open(status);
  }

  private open(status: ForwardStatus): ReturnType<NodeInternals['writeTo']> | undefined {
    if (!this.peer.connected || this.peer.boot !== this.boot) return undefined;
    const writer = this.node.writeTo(this.peer);
    writer.u8(ItemKind.ScanPage);
    writer.varint(this.number);
    writer.u8(status);
    return writer;
  }
}
