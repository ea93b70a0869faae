import { type ByteReader, compareHlc, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import {
  Durability,
  type KeySpaceAnswer,
  type KeySpaceQuery,
  ResponseType,
  rowBytes,
  type ScanAnswer,
  type ScanQuery,
  type ScanRow,
} from '@kahuna/partition';
import { compareOrdinal, isReservedKey, isWellFormed, keySpaceOfPrefix } from '@kahuna/range-router';
import type { NodeInternals } from '../internals.ts';
import type { Peer } from '../peer.ts';
import { ForwardStatus, ItemKind } from '../peer-frame.ts';
import type { StateEngine } from '../ports.ts';
import { decodeCursor, encodeCursor } from './range-cursor.ts';
import { type PartPage, type PartRequest, readPartPage, readPartRequest, writePartRequest } from './scan-frames.ts';
import { type PartSink, type ScanSession, ScanSessions } from './scan-sessions.ts';

/** Rows of a bucket or prefix answer (keyvalues §11, §12). */
const MAX_ROWS = 4096;
/** Spaces on one page of a listing. */
const MAX_SPACES = 1000;
/** A range page ends before it grows beyond this, so that it fits one message of 4 MiB. */
const RANGE_PAGE_BYTES = 3 * 1024 * 1024;
/** A whole answer never takes more memory than this; a larger one is refused as overload (keyvalues §15.3). */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** A range page ends short once so many heads were looked at: most of them are dead, and the caller must not wait for all. */
const RANGE_MAX_LOOKED = 100_000;
/** Partitions asked at once by one call. */
const PARTS_AT_ONCE = 8;
/** Calls under way on this node. */
const MAX_CALLS = 1024;
/** Time a read is given in all (keyvalues §15.3). Milliseconds. */
const READ_WAIT_MS = 16_500;

/**
 * Reads of many keys, as the node that was asked runs them: finds the leader of each partition, takes its pages, here or over the
 * link, merges, and gives up as a whole if a partition cannot be read in time. The leader's side is `scan-sessions.ts`.
 */
export class Scans {
  private readonly node: NodeInternals;
  private readonly sessions: ScanSessions;
  private readonly calls = new Set<ManyParts>();
  private readonly forwarded = new Map<number, PartReader>();
  private nextNumber = 1;
  private gatheredBytes = 0;
  readonly counters = { scans: 0, scanRows: 0, scansRefused: 0 };

  constructor(node: NodeInternals, engine: StateEngine) {
    this.node = node;
    this.sessions = new ScanSessions(node, engine);
  }

  // ---- calls of the gateways -------------------------------------------------------------------------------------------------

  /** `deadline`: monotonic instant, 0 = the spec's own bound. `done` is called exactly once, never inside this call. */
  scan(query: ScanQuery, deadline: number, done: (answer: ScanAnswer) => void): void {
    this.counters.scans++;
    if (!isValid(query)) {
      this.later(() => done(refusal(ResponseType.InvalidInput)));
      return;
    }
    if (query.kind === 'range') {
      this.scanRange(query, deadline, done);
      return;
    }
    const shape =
      query.kind === 'prefix'
        ? ({ kind: 'prefix', prefix: query.prefix } as const)
        : ({ kind: 'space', keySpace: keySpaceOfPrefix(query.prefix), lower: undefined, upper: undefined } as const);
    const request = { ...WHOLE, shape, readTimestamp: query.readTimestamp, durability: query.durability, maxRows: MAX_ROWS };
    this.run(shape.kind === 'prefix' ? undefined : shape.keySpace, request, deadline, MAX_ANSWER_BYTES, parts => {
      const rows = parts.rows.length > MAX_ROWS ? parts.rows.slice(0, MAX_ROWS) : parts.rows;
      done(parts.type === ResponseType.Get ? this.counted({ ...EMPTY, rows }) : refusal(parts.type));
    });
  }

  private scanRange(query: RangeQueryOf<ScanQuery>, deadline: number, done: (answer: ScanAnswer) => void): void {
    const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
    if (query.cursor !== undefined && (cursor?.prefix !== query.prefix || cursor.durability !== query.durability)) {
      this.later(() => done(refusal(ResponseType.InvalidInput)));
      return;
    }
    const limit = query.limit <= 0 ? Number.MAX_SAFE_INTEGER - 1 : query.limit;
    const { startKey, endKey } = query;
    const lower =
      cursor !== undefined
        ? { key: cursor.lastKey, inclusive: false }
        : startKey === undefined
          ? undefined
          : { key: startKey, inclusive: query.startInclusive };
    const keySpace = keySpaceOfPrefix(query.prefix);
    const readTimestamp = cursor?.readTimestamp ?? query.readTimestamp;
    const plain = cursor?.plain ?? isZeroHlc(readTimestamp);
    const upper = endKey === undefined ? undefined : { key: endKey, inclusive: query.endInclusive };
    const request: PartRequest = {
      shape: { kind: 'space', keySpace, lower, upper },
      readTimestamp,
      plain,
      fixTime: isZeroHlc(readTimestamp),
      durability: query.durability,
      maxRows: limit + 1,
      maxLooked: RANGE_MAX_LOOKED,
    };
    this.run(keySpace, request, deadline, RANGE_PAGE_BYTES, parts => {
      if (parts.type !== ResponseType.Get) {
        done(refusal(parts.type));
        return;
      }
      const rows = cut(parts.rows, limit);
      const lastKey = rows.length < parts.rows.length || parts.full ? rows.at(-1)?.key : parts.position;
      const nextCursor =
        lastKey === undefined
          ? undefined
          : encodeCursor({ prefix: query.prefix, durability: query.durability, readTimestamp: parts.time, plain, lastKey });
      done(this.counted({ type: ResponseType.Get, rows, hasMore: nextCursor !== undefined, nextCursor }));
    });
  }

  /** As {@link Scans.scan}. */
  keySpaces(query: KeySpaceQuery, deadline: number, done: (answer: KeySpaceAnswer) => void): void {
    const { prefix, after, durability } = query;
    if (!isDurability(durability) || !isWellFormed(prefix) || (after !== undefined && !isWellFormed(after))) {
      this.later(() => done({ type: ResponseType.InvalidInput, rows: [], hasMore: false }));
      return;
    }
    const limit = Math.max(1, Math.min(MAX_SPACES, Math.floor(query.limit)));
    const request = { ...WHOLE, shape: { kind: 'spaces', prefix, after }, durability, maxRows: limit + 1 } as const;
    this.run(undefined, request, deadline, MAX_ANSWER_BYTES, ({ type, rows }) => {
      const page = rows.slice(0, limit).map(({ key, result }) => ({
        keySpace: key,
        keys: result.revision,
        more: result.state === 1,
      }));
      done({ type, rows: page, hasMore: rows.length > limit });
    });
  }

  private counted(answer: ScanAnswer): ScanAnswer {
    this.counters.scanRows += answer.rows.length;
    return answer;
  }

  /** `keySpace` undefined: all partitions. */
  private run(
    keySpace: string | undefined,
    request: PartRequest,
    deadline: number,
    maxBytes: number,
    done: (parts: ManyParts) => void,
  ): void {
    const table = this.node.accepting ? this.node.routingTable() : undefined;
    const latest = this.node.monotonicMs() + READ_WAIT_MS;
    const until = deadline > 0 ? Math.min(deadline, latest) : latest;
    const partitions =
      table === undefined || this.calls.size >= MAX_CALLS
        ? []
        : keySpace === undefined
          ? table.poolPartitions()
          : [table.lookupSpace(keySpace).partitionId];
    const call = new ManyParts(this, request, partitions, until, maxBytes, parts => {
      this.calls.delete(parts);
      this.gatheredBytes -= parts.bytes;
      if (parts.type === ResponseType.MustRetry) this.counters.scansRefused++;
      done(parts);
    });
    this.calls.add(call);
    this.later(() => (partitions.length === 0 ? call.finish(ResponseType.MustRetry) : call.begin()));
  }

  /** A call holds so much more than before. Returns false if that is more than all calls may. */
  gathered(call: ManyParts, bytes: number): boolean {
    this.gatheredBytes += bytes;
    return this.gatheredBytes <= this.node.settings.maxGatheredBytes || this.gatheredBytes === call.bytes;
  }

  private later(task: () => void): void {
    this.node.soon(task);
  }

  // ---- parts -----------------------------------------------------------------------------------------------------------------

  /** Asks the leader of the reader's partition, if one is known and in reach. */
  ask(reader: PartReader, request: PartRequest): boolean {
    const { node } = this;
    const replica = node.replica(reader.partitionId);
    if (replica?.leads) {
      reader.session = this.sessions.begin(replica, request, reader.attempt());
      return true;
    }
    const leader = replica?.leaderNode ?? 0;
    const peer = leader === 0 ? undefined : node.peerByNode(leader);
    if (!peer?.connected) return false;
    reader.peer = peer;
    reader.number = this.nextNumber++;
    this.forwarded.set(reader.number, reader);
    reader.attempt();
    const writer = node.writeTo(peer);
    writer.u8(ItemKind.Scan);
    writer.varint(reader.number);
    writer.varint(reader.partitionId);
    writePartRequest(writer, request);
    return true;
  }

  askMore(reader: PartReader): void {
    if (reader.session !== undefined) reader.session.more();
    else if (reader.peer !== undefined) this.say(reader.peer, ItemKind.ScanMore, reader.number);
  }

  /** The reader wants no more of this attempt. */
  release(reader: PartReader, ended: boolean): void {
    reader.session?.close();
    reader.session = undefined;
    if (reader.peer === undefined) return;
    this.forwarded.delete(reader.number);
    if (!ended && reader.peer.connected) this.say(reader.peer, ItemKind.ScanEnd, reader.number);
    reader.peer = undefined;
  }

  private say(peer: Peer, kind: number, number: number): void {
    const writer = this.node.writeTo(peer);
    writer.u8(kind);
    writer.varint(number);
  }

  get monotonicMs(): number {
    return this.node.monotonicMs();
  }

  get leaderWaitMs(): number {
    return this.node.settings.leaderWaitMs;
  }

  // ---- the host's hooks ------------------------------------------------------------------------------------------------------

  takeItem(kind: number, peer: Peer, reader: ByteReader): void {
    const number = reader.varint();
    switch (kind) {
      case ItemKind.Scan: {
        const partitionId = reader.varint();
        this.sessions.beginForwarded(peer, number, partitionId, readPartRequest(reader));
        return;
      }
      case ItemKind.ScanMore:
        this.sessions.more(peer, number);
        return;
      case ItemKind.ScanEnd:
        this.sessions.end(peer, number);
        return;
      case ItemKind.ScanPage:
        this.takePage(number, reader);
        return;
    }
  }

  private takePage(number: number, reader: ByteReader): void {
    const status = reader.u8() as ForwardStatus;
    const part = this.forwarded.get(number);
    const page = status === ForwardStatus.Executed ? readPartPage(reader, part?.durability ?? Durability.Ephemeral) : undefined;
    if (part === undefined) return;
    if (page !== undefined) part.page(page);
    else part.refused(status);
  }

  linkLost(peer: Peer): void {
    this.sessions.linkLost(peer);
    for (const part of [...this.forwarded.values()]) if (part.peer === peer) part.refused(ForwardStatus.NotLeader);
  }

  tick(now: number): void {
    this.sessions.tick(now);
    for (const call of [...this.calls]) call.tick(now);
  }

  refuseAll(): void {
    for (const call of [...this.calls]) call.finish(ResponseType.MustRetry);
    this.sessions.abandonAll();
  }
}

type RangeQueryOf<Q> = Extract<Q, { readonly kind: 'range' }>;

const WHOLE = { readTimestamp: HLC_ZERO, plain: false, fixTime: false, maxLooked: 0 } as const;
const EMPTY: ScanAnswer = { type: ResponseType.Get, rows: [], hasMore: false, nextCursor: undefined };

function refusal(type: number): ScanAnswer {
  return { type, rows: [], hasMore: false, nextCursor: undefined };
}

function isDurability(value: number): boolean {
  return value === Durability.Persistent || value === Durability.Ephemeral;
}

function isValid(query: ScanQuery): boolean {
  const { prefix, readTimestamp, durability } = query;
  return (
    prefix !== '' && !isReservedKey(prefix) && isWellFormed(prefix) && isTimestamp(readTimestamp) && isDurability(durability)
  );
}

/** A time before 1970 is refused; one that a number cannot hold exactly lies so far ahead that nobody means it. */
function isTimestamp({ n, l, c }: Hlc): boolean {
  return Number.isSafeInteger(l) && l >= 0 && Number.isInteger(c) && c >= 0 && Number.isInteger(n);
}

function cut(rows: ScanRow[], limit: number): ScanRow[] {
  return rows.length > limit ? rows.slice(0, limit) : rows;
}

/** One call: all its partitions, a few at a time, and what they have answered so far. */
class ManyParts {
  type: number = ResponseType.Get;
  /** Ordinal order; each key once. */
  rows: ScanRow[] = [];
  /** Of the rows that its parts hold or have held. */
  bytes = 0;
  /** Ended by its size before the partition did. */
  full = false;
  position: string | undefined;
  /** Time that the rows show. */
  time = HLC_ZERO;
  private readonly scans: Scans;
  private readonly request: PartRequest;
  private readonly waiting: number[];
  private readonly active = new Set<PartReader>();
  private readonly deadline: number;
  private readonly maxBytes: number;
  private readonly done: (parts: ManyParts) => void;
  private over = false;

  constructor(
    scans: Scans,
    request: PartRequest,
    partitions: readonly number[],
    deadline: number,
    maxBytes: number,
    done: (parts: ManyParts) => void,
  ) {
    this.scans = scans;
    this.request = request;
    this.waiting = [...partitions];
    this.deadline = deadline;
    this.maxBytes = maxBytes;
    this.done = done;
  }

  begin(): void {
    while (!this.over && this.active.size < PARTS_AT_ONCE) {
      const partitionId = this.waiting.shift();
      if (partitionId === undefined) break;
      const reader = new PartReader(this.scans, this, partitionId, this.request);
      this.active.add(reader);
      reader.begin();
    }
    if (!this.over && this.active.size === 0) this.finish(ResponseType.Get);
  }

  /** A page of so many bytes has been added to a part. Returns whether the next one is wanted. */
  took(reader: PartReader, page: PartPage, bytes: number): boolean {
    if (page.aborted) {
      this.finish(ResponseType.Aborted);
      return false;
    }
    this.bytes += bytes;
    if (!this.scans.gathered(this, bytes)) {
      this.finish(ResponseType.MustRetry);
      return false;
    }
    const tooLarge = reader.bytes > this.maxBytes;
    const mayEndShort = this.request.maxLooked > 0;
    if (tooLarge && !mayEndShort) {
      this.finish(ResponseType.MustRetry);
      return false;
    }
    this.time = page.readTimestamp;
    this.position = page.position;
    if (tooLarge) {
      this.full = reader.trim(this.maxBytes) || !page.last;
      this.complete(reader);
      return false;
    }
    if (page.last) this.complete(reader);
    return !page.last;
  }

  private complete(reader: PartReader): void {
    this.active.delete(reader);
    reader.stop();
    this.rows = this.rows.length === 0 ? reader.rows : mergeRows(this.rows, reader.rows, this.request.maxRows);
    this.begin();
  }

  finish(type: number): void {
    if (this.over) return;
    this.over = true;
    this.type = type;
    if (type !== ResponseType.Get) this.rows = [];
    for (const reader of this.active) reader.stop();
    this.active.clear();
    this.done(this);
  }

  tick(now: number): void {
    if (now >= this.deadline) this.finish(ResponseType.MustRetry);
    else for (const reader of [...this.active]) reader.retry();
  }
}

/** One partition's part of a call: attempts one after the other until a leader has answered it whole. */
class PartReader implements PartSink {
  readonly partitionId: number;
  rows: ScanRow[] = [];
  bytes = 0;
  session: ScanSession | undefined = undefined;
  peer: Peer | undefined = undefined;
  number = 0;
  private readonly scans: Scans;
  private readonly call: ManyParts;
  private readonly request: PartRequest;
  private readonly waitsUntil: number;
  private asked = false;
  private attempts = 0;

  constructor(scans: Scans, call: ManyParts, partitionId: number, request: PartRequest) {
    this.scans = scans;
    this.call = call;
    this.partitionId = partitionId;
    this.request = request;
    this.waitsUntil = scans.monotonicMs + scans.leaderWaitMs;
  }

  get durability(): Durability {
    return this.request.durability;
  }

  begin(): void {
    this.rows = [];
    this.bytes = 0;
    this.asked = this.scans.ask(this, this.request);
  }

  /** Takes the pages of one attempt; those of earlier ones come to nothing. */
  attempt(): PartSink {
    const attempt = ++this.attempts;
    return {
      page: page => {
        if (attempt === this.attempts) this.page(page);
      },
      refused: status => {
        if (attempt === this.attempts) this.refused(status);
      },
    };
  }

  page(page: PartPage): void {
    const before = this.bytes;
    for (const row of page.rows) {
      this.rows.push(row);
      this.bytes += rowBytes(row);
    }
    if (this.call.took(this, page, this.bytes - before)) this.scans.askMore(this);
  }

  refused(status: ForwardStatus): void {
    this.attempts++;
    this.scans.release(this, true);
    this.asked = false;
    const lost = status !== ForwardStatus.NotLeader || this.scans.monotonicMs >= this.waitsUntil;
    if (lost) this.call.finish(ResponseType.MustRetry);
  }

  /** Looks for the leader again, if the last attempt found none. */
  retry(): void {
    if (this.asked) return;
    if (this.scans.monotonicMs >= this.waitsUntil) this.call.finish(ResponseType.MustRetry);
    else this.begin();
  }

  /** Drops rows from the end until the rest fits; at least one stays. Returns whether any was dropped. */
  trim(maxBytes: number): boolean {
    const before = this.rows.length;
    while (this.rows.length > 1 && this.bytes > maxBytes) this.bytes -= rowBytes(this.rows.pop() as ScanRow);
    return this.rows.length < before;
  }

  stop(): void {
    this.attempts++;
    this.scans.release(this, false);
  }
}

/** Both lists are in order. A key met in both was moving: its highest revision counts, then the later change (keyvalues §12). */
function mergeRows(a: readonly ScanRow[], b: readonly ScanRow[], maxRows: number): ScanRow[] {
  const merged: ScanRow[] = [];
  let i = 0;
  let j = 0;
  while (merged.length < maxRows && (i < a.length || j < b.length)) {
    const left = a[i];
    const right = b[j];
    const order = left === undefined ? 1 : right === undefined ? -1 : compareOrdinal(left.key, right.key);
    if (order <= 0) i++;
    if (order >= 0) j++;
    merged.push((order < 0 ? left : order > 0 ? right : newer(left as ScanRow, right as ScanRow)) as ScanRow);
  }
  return merged;
}

function newer(a: ScanRow, b: ScanRow): ScanRow {
  const order = a.result.revision - b.result.revision || compareHlc(a.result.lastModified, b.result.lastModified);
  return order >= 0 ? a : b;
}
