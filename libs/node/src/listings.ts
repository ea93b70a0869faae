import { type ByteReader, type ByteWriter, DecodeError, type PartitionId } from '@kahuna/base';
import {
  Durability,
  type ListedRow,
  type ListingAnswer,
  type ListingPart,
  type ListingQuery,
  type LockContender,
  type LockGrant,
  type LockHistory,
  type LockRow,
  nameOf,
  ResponseType,
  type SequenceRow,
} from '@kahuna/partition';
import { compareOrdinal } from '@kahuna/range-router';
import type { NodeInternals } from './internals.ts';
import { MAX_GRANTS } from './lock-log.ts';
import type { Peer } from './peer.ts';
import { ItemKind, readHlc, readSequenceEntry, writeHlc, writeSequenceEntry } from './peer-frame.ts';
import type { StateEngine } from './ports.ts';
import type { Replica } from './replica.ts';

const MAX_ROWS = 200;
/** Pages put together on this node at once. */
const MAX_CALLS = 64;
/** A page is worth waiting for so long; partitions that are late are missing on it. Milliseconds. */
const WAIT_MS = 2000;
const SCAN_BYTES = 4 * 1024 * 1024;

/** A page that waits for its partitions. */
interface Call {
  readonly query: ListingQuery;
  readonly outstanding: Set<PartitionId>;
  readonly parts: ListingPart[];
  readonly missing: PartitionId[];
  readonly until: number;
  readonly done: (answer: ListingAnswer) => void;
}

/** Pages of locks and sequences over all partitions: each leader is asked for its share, here or over the link, and the shares are merged. */
export class Listings {
  private readonly node: NodeInternals;
  private readonly engine: StateEngine;
  private readonly calls = new Map<number, Call>();
  private nextNumber = 1;

  constructor(node: NodeInternals, engine: StateEngine) {
    this.node = node;
    this.engine = engine;
  }

  /** `deadline`: monotonic instant, 0 = none but our own. `done` is called exactly once, never inside this call. */
  list(query: ListingQuery, deadline: number, done: (answer: ListingAnswer) => void): void {
    const table = this.node.accepting ? this.node.routingTable() : undefined;
    if (table === undefined || this.calls.size >= MAX_CALLS) {
      this.node.after(0, () => done(NOTHING));
      return;
    }
    const now = this.node.monotonicMs();
    const number = this.nextNumber++;
    const limit = Math.min(Math.max(Math.trunc(query.limit) || 1, 1), MAX_ROWS);
    const call: Call = {
      query: { ...query, limit },
      outstanding: new Set(table.poolPartitions()),
      parts: [],
      missing: [],
      until: deadline > 0 ? Math.min(deadline, now + WAIT_MS) : now + WAIT_MS,
      done,
    };
    this.calls.set(number, call);
    this.askLeaders(number, call);
  }

  private askLeaders(number: number, call: Call): void {
    const remote = new Map<Peer, PartitionId[]>();
    for (const partitionId of [...call.outstanding]) {
      const replica = this.node.replica(partitionId);
      if (replica?.leads) {
        this.read(partitionId, call.query, part => this.take(number, partitionId, part));
        continue;
      }
      const peer = this.node.peerByNode(replica?.leaderNode ?? 0);
      if (peer?.connected) remote.set(peer, [...(remote.get(peer) ?? []), partitionId]);
      else this.node.after(0, () => this.take(number, partitionId, undefined));
    }
    for (const [peer, ids] of remote) writeQuery(this.node.writeTo(peer), number, call.query, ids);
  }

  /** The share of a partition that this node leads; undefined if it does not, or not yet. Never inside this call. */
  private read(partitionId: PartitionId, query: ListingQuery, done: (part: ListingPart | undefined) => void): void {
    const replica = this.node.replica(partitionId);
    const listing = replica === undefined ? undefined : openListing(replica, query);
    if (listing === undefined) {
      this.node.after(0, () => done(undefined));
      return;
    }
    const step = (): void => {
      const need = listing.need();
      if (need === undefined) {
        done(replica === undefined ? undefined : this.withMemories(listing.finish(), replica, query.limit));
        return;
      }
      this.engine.scan({ ...need, maxRows: query.limit + 1, maxBytes: SCAN_BYTES }, (error, page) => {
        if (this.node.failedEngine(error)) return;
        listing.takePage(page.rows, page.more);
        step();
      });
    };
    step();
  }

  /** What this node remembers of locks: who asks in vain, and who held them; all of it for one who asks for one lock. */
  private withMemories(part: ListingPart, replica: Replica, limit: number): ListingPart {
    const { lockLog } = this.node.names;
    const most = limit === 1 ? MAX_GRANTS : 1;
    const rows = part.rows.map(row => ('entry' in row ? row : lockLog.describe(replica.withContenders(row), most)));
    return { ...part, rows };
  }

  private take(number: number, partitionId: PartitionId, part: ListingPart | undefined): void {
    const call = this.calls.get(number);
    if (call === undefined || !call.outstanding.delete(partitionId)) return;
    if (part === undefined) call.missing.push(partitionId);
    else call.parts.push(part);
    if (call.outstanding.size === 0) this.finish(number, call);
  }

  private finish(number: number, call: Call): void {
    this.calls.delete(number);
    call.done(merge(call));
  }

  tick(now: number): void {
    for (const [number, call] of this.calls) {
      if (now < call.until) continue;
      call.missing.push(...call.outstanding);
      this.finish(number, call);
    }
  }

  /** The node stops or has failed: no share will come any more. */
  refuseAll(): void {
    const calls = [...this.calls.values()];
    this.calls.clear();
    for (const call of calls) call.done(NOTHING);
  }

  takeItem(kind: number, peer: Peer, reader: ByteReader): void {
    if (kind === ItemKind.Listing) {
      const { number, query, ids } = readQuery(reader);
      const { boot } = peer;
      for (const partitionId of ids) {
        this.read(partitionId, query, part => {
          // A process counts its calls from one: its successor would take this for an answer to one of its own.
          if (peer.connected && peer.boot === boot) writePart(this.node.writeTo(peer), number, partitionId, part);
        });
      }
      return;
    }
    const number = reader.varint();
    const partitionId = reader.varint();
    this.take(number, partitionId, reader.u8() === 0 ? undefined : readPart(reader, partitionId));
  }
}

const NOTHING: ListingAnswer = Object.freeze({
  type: ResponseType.MustRetry,
  locks: [],
  sequences: [],
  next: undefined,
  missing: [],
});

function openListing(replica: Replica, query: ListingQuery): ReturnType<Replica['openListing']> {
  return replica.servesAsLeader && replica.mayServe ? replica.openListing(query) : undefined;
}

/** Shares that end early bound the page: what lies behind their end is not known of them. */
function merge({ query, parts, missing }: Call): ListingAnswer {
  let end: string | undefined;
  for (const { until } of parts) if (until !== undefined && (end === undefined || until < end)) end = until;
  const rows = parts.flatMap(part => part.rows);
  const known = end === undefined ? rows : rows.filter(row => nameOf(row) <= (end as string));
  known.sort((a, b) => compareOrdinal(nameOf(a), nameOf(b)) || durabilityOf(a) - durabilityOf(b));
  let cut = Math.min(query.limit, known.length);
  if (cut < known.length && nameOf(known[cut] as ListedRow) === nameOf(known[cut - 1] as ListedRow)) cut++;
  const shown = known.slice(0, cut);
  return {
    type: ResponseType.Get,
    locks: shown.filter((row): row is LockRow => !('entry' in row)),
    sequences: shown.filter((row): row is SequenceRow => 'entry' in row),
    next: cut < known.length ? nameOf(shown[cut - 1] as ListedRow) : end,
    missing: [...missing].sort((a, b) => a - b),
  };
}

function durabilityOf(row: ListedRow): Durability {
  return 'entry' in row ? Durability.Persistent : row.durability;
}

// ---- between nodes -----------------------------------------------------------------------------------------------------------

const KINDS = ['locks', 'sequences'] as const;

function writeQuery(writer: ByteWriter, number: number, query: ListingQuery, ids: readonly PartitionId[]): void {
  writer.u8(ItemKind.Listing);
  writer.varint(number);
  writer.u8(KINDS.indexOf(query.kind));
  writer.string(query.prefix);
  writeText(writer, query.after);
  writer.varint(query.limit);
  writer.varint(ids.length);
  for (const id of ids) writer.varint(id);
}

function readQuery(reader: ByteReader): { number: number; query: ListingQuery; ids: PartitionId[] } {
  const number = reader.varint();
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new DecodeError('unknown listing');
  const prefix = reader.string();
  const after = readText(reader);
  const limit = reader.varint();
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more partitions than bytes');
  const ids = Array.from({ length: count }, () => reader.varint());
  return { number, query: { kind, prefix, after, limit }, ids };
}

function writePart(writer: ByteWriter, number: number, partitionId: PartitionId, part: ListingPart | undefined): void {
  writer.u8(ItemKind.ListingPart);
  writer.varint(number);
  writer.varint(partitionId);
  writer.u8(part === undefined ? 0 : 1);
  if (part === undefined) return;
  writeText(writer, part.until);
  writer.varint(part.rows.length);
  for (const row of part.rows) writeRow(writer, row);
}

function readPart(reader: ByteReader, partitionId: PartitionId): ListingPart {
  const until = readText(reader);
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more rows than bytes');
  return { until, rows: Array.from({ length: count }, () => readRow(reader, partitionId)) };
}

const IS_LOCK = 1;
const HELD = 2;
const HAS_OWNER = 4;
const HAS_CONTENDERS = 8;
const HAS_HISTORY = 16;
const ENDS = [undefined, 'released', 'expired'] as const;

function writeRow(writer: ByteWriter, row: ListedRow): void {
  if ('entry' in row) {
    writer.u8(0);
    writeSequenceEntry(writer, row.entry);
    return;
  }
  const { contenders = [], history } = row;
  const marks = (row.held ? HELD : 0) | (row.owner === null ? 0 : HAS_OWNER) | (contenders.length === 0 ? 0 : HAS_CONTENDERS);
  writer.u8(IS_LOCK | marks | (history === undefined ? 0 : HAS_HISTORY));
  writer.string(row.name);
  writer.u8(row.durability);
  writer.varint(row.token);
  writeHlc(writer, row.expires);
  if (row.owner !== null) writer.bytes(row.owner);
  if (contenders.length > 0) writeContenders(writer, contenders);
  if (history !== undefined) writeHistory(writer, history);
}

function writeContenders(writer: ByteWriter, contenders: readonly LockContender[]): void {
  writer.varint(contenders.length);
  for (const { owner, asks, lastMs } of contenders) {
    writer.bytes(owner);
    writer.varint(asks);
    writer.varint(lastMs);
  }
}

function writeHistory(writer: ByteWriter, { sinceMs, grants }: LockHistory): void {
  writer.varint(sinceMs);
  writer.varint(grants.length);
  for (const grant of grants) {
    writer.varint(grant.token);
    writer.bytes(grant.owner);
    writer.varint(grant.fromMs);
    writer.varint(grant.leaseMs);
    writer.varint(grant.expiresMs);
    writer.varint(grant.extensions);
    writer.varint(grant.lastExtendMs);
    writer.varint(grant.endMs);
    writer.u8(ENDS.indexOf(grant.end));
  }
}

function readHistory(reader: ByteReader): LockHistory {
  const sinceMs = reader.varint();
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more grants than bytes');
  return { sinceMs, grants: Array.from({ length: count }, () => readGrant(reader)) };
}

function readGrant(reader: ByteReader): LockGrant {
  return {
    token: reader.varint(),
    owner: new Uint8Array(reader.bytes()),
    fromMs: reader.varint(),
    leaseMs: reader.varint(),
    expiresMs: reader.varint(),
    extensions: reader.varint(),
    lastExtendMs: reader.varint(),
    endMs: reader.varint(),
    end: ENDS[reader.u8()],
  };
}

function readContenders(reader: ByteReader): readonly LockContender[] {
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more contenders than bytes');
  return Array.from({ length: count }, () => ({
    owner: new Uint8Array(reader.bytes()),
    asks: reader.varint(),
    lastMs: reader.varint(),
  }));
}

function readRow(reader: ByteReader, partitionId: PartitionId): ListedRow {
  const shape = reader.u8();
  if ((shape & IS_LOCK) === 0) return { entry: readSequenceEntry(reader), partitionId };
  const name = reader.string();
  const durability = reader.u8() as Durability;
  const token = reader.varint();
  const expires = readHlc(reader);
  const owner = (shape & HAS_OWNER) === 0 ? null : reader.bytes().slice();
  const row = { name, durability, held: (shape & HELD) !== 0, owner, expires, token, partitionId };
  const contenders = (shape & HAS_CONTENDERS) === 0 ? {} : { contenders: readContenders(reader) };
  const history = (shape & HAS_HISTORY) === 0 ? {} : { history: readHistory(reader) };
  return { ...row, ...contenders, ...history };
}

function writeText(writer: ByteWriter, text: string | undefined): void {
  writer.u8(text === undefined ? 0 : 1);
  if (text !== undefined) writer.string(text);
}

function readText(reader: ByteReader): string | undefined {
  return reader.u8() === 0 ? undefined : reader.string();
}
