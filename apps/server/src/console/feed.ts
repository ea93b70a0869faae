import { randomBytes } from 'node:crypto';
import type { KeyedRow, RowValue, SnapReason, Topic, WindowInfo } from '@kahuna/console/protocol';

/** The change log of a feed reaches back this many changes or this long, whichever is less (console §5.6). */
export const LOG_CHANGES = 4096;
export const LOG_MS = 60_000;
/** Room left in a frame for the members around the rows. Bytes. */
const ENVELOPE_BYTES = 512;
export const FRAME_BYTES = 256 * 1024;
/** Items an append feed keeps (console §5.7). */
export const RING_ITEMS = 1000;
const NO_GAUGES: ReadonlySet<string> = new Set();
const NOTHING_SAID: WindowInfo = { next: null, missing: [], problem: null };

/** Frames ready to send but for the subscription's id, shared by all who need the same ones. */
export interface Frames {
  /** Each is the text after `{"t":"…","id":N,`. */
  readonly kind: 'snap' | 'delta' | 'append';
  readonly bodies: readonly string[];
  readonly seq: number;
}

/** What a subscription sees of a shared feed, state or append. */
export interface Feed {
  readonly topic: Topic;
  readonly stream: string;
  readonly seq: number;
  /** False: there is no answer yet, and a feed without one must not look like an empty one. */
  readonly ready: boolean;
  /** Everything a new subscriber needs. */
  snapshot(reason: SnapReason): Frames;
  /** What leads from `since` to now; undefined when `since` is too old to tell (a snapshot is due). */
  since(since: number, nowMs: number): Frames | undefined;
}

function newStream(topic: string): string {
  return `${topic[0]}-${randomBytes(6).toString('hex')}`;
}

interface Row {
  value: RowValue;
  /** Row as JSON, made when first asked for after a change. */
  json: string | undefined;
  createdAt: number;
  changedAt: number;
  memberAt: Record<string, number>;
}

/**
 * Keyed rows and the memory of when each member changed. The change log of console §5.6 is kept as sequence numbers on the members
 * themselves, so that its size is bounded by the rows and not by the changes: whoever is behind gets current values, once.
 *
 * Invariants: `seq` grows by one per changed row; `createdAt <= memberAt[m] <= changedAt <= seq` for every member m;
 * a delta from `s` holds exactly the members with `memberAt > s`, the rows with `createdAt > s` and the keys removed after `s`.
 */
export class StateFeed implements Feed {
  readonly topic: Topic;
  readonly stream: string;
  seq = 0;
  private readonly rows = new Map<string, Row>();
  private removed: { readonly key: string; readonly seq: number }[] = [];
  /** Ends of past updates, oldest first, to find how far back `LOG_MS` reaches. */
  private marks: { readonly seq: number; readonly atMs: number }[] = [];
  private floor = 0;
  private order: readonly string[] | undefined;
  private orderAt = 0;
  private window: WindowInfo | undefined;
  private windowAt = 0;
  ready = true;
  private readonly deltas = new Map<number, Frames>();
  private snapped: { readonly seq: number; readonly reason: SnapReason; readonly frames: Frames } | undefined;

  constructor(topic: Topic) {
    this.topic = topic;
    this.stream = newStream(topic);
  }

  get size(): number {
    return this.rows.size;
  }

  /**
   * Takes over the present rows. Members named in `gauges` keep their old value unless `withGauges`: they change all the time and
   * are sent at most once a second (console §4.2). Returns whether anything changed.
   */
  update(next: readonly KeyedRow[], nowMs: number, gauges: ReadonlySet<string>, withGauges: boolean): boolean {
    const before = this.seq;
    const present = new Set<string>();
    for (const { k, v } of next) {
      present.add(k);
      const row = this.rows.get(k);
      if (row === undefined) this.insert(k, v);
      else this.refine(row, v, gauges, withGauges);
    }
    if (present.size < this.rows.size) this.removeAbsent(present);
    return this.settle(before, nowMs);
  }

  /** Takes over the rows of a window, which stand in an order of their own, and what is to be said about them. */
  show(next: readonly KeyedRow[], window: WindowInfo, nowMs: number): boolean {
    this.update(next, nowMs, NO_GAUGES, true);
    const before = this.seq;
    const order = next.map(row => row.k);
    if (!sameJson(order, this.order)) {
      this.order = order;
      this.orderAt = ++this.seq;
    }
    return this.tell(window, before, nowMs);
  }

  /** The rows stay, what is said about them changes. */
  remark(change: Partial<WindowInfo>, nowMs: number): boolean {
    return this.tell({ ...(this.window ?? NOTHING_SAID), ...change }, this.seq, nowMs);
  }

  private tell(window: WindowInfo, before: number, nowMs: number): boolean {
    if (!sameJson(window, this.window)) {
      this.window = window;
      this.windowAt = ++this.seq;
    }
    this.ready = true;
    return this.settle(before, nowMs);
  }

  /** After a change: what was built for the state before is void. */
  private settle(before: number, nowMs: number): boolean {
    if (this.seq === before) return false;
    this.deltas.clear();
    this.snapped = undefined;
    this.marks.push({ seq: this.seq, atMs: nowMs });
    this.forgetOld(nowMs);
    return true;
  }

  snapshot(reason: SnapReason): Frames {
    if (this.snapped?.seq === this.seq && this.snapped.reason === reason) return this.snapped.frames;
    const parts = packRows(this.inOrder().map(([key, row]) => rowJson(key, row)));
    const said = this.window === undefined ? '' : `,"window":${JSON.stringify(this.window)}`;
    const bodies = parts.map(
      (rows, i) =>
        `"topic":"${this.topic}","stream":"${this.stream}","seq":"${this.seq}","part":${i + 1},"of":${parts.length},` +
        `"total":${this.rows.size},"reason":"${reason}","rows":[${rows}]${said}}`,
    );
    const frames: Frames = { kind: 'snap', bodies, seq: this.seq };
    this.snapped = { seq: this.seq, reason, frames };
    return frames;
  }

  private inOrder(): readonly (readonly [string, Row])[] {
    if (this.order === undefined) return [...this.rows];
    return this.order.flatMap(key => {
      const row = this.rows.get(key);
      return row === undefined ? [] : [[key, row] as const];
    });
  }

  since(since: number, nowMs: number): Frames | undefined {
    this.forgetOld(nowMs);
    if (since < this.floor || since > this.seq) return undefined;
    const shared = this.deltas.get(since);
    if (shared !== undefined) return shared;
    const frames = this.buildDelta(since, nowMs);
    if (frames !== undefined) this.deltas.set(since, frames);
    return frames;
  }

  private insert(key: string, value: RowValue): void {
    const seq = ++this.seq;
    this.rows.set(key, { value, json: undefined, createdAt: seq, changedAt: seq, memberAt: {} });
  }

  private refine(row: Row, value: RowValue, gauges: ReadonlySet<string>, withGauges: boolean): void {
    let changed: Record<string, unknown> | undefined;
    for (const member of Object.keys(value)) {
      if (!withGauges && gauges.has(member)) continue;
      if (sameJson(row.value[member], value[member])) continue;
      changed ??= {};
      changed[member] = value[member];
    }
    if (changed === undefined) return;
    const seq = ++this.seq;
    row.value = { ...row.value, ...changed };
    row.json = undefined;
    row.changedAt = seq;
    for (const member of Object.keys(changed)) row.memberAt[member] = seq;
  }

  private removeAbsent(present: ReadonlySet<string>): void {
    for (const key of this.rows.keys()) {
      if (present.has(key)) continue;
      this.rows.delete(key);
      this.removed.push({ key, seq: ++this.seq });
    }
  }

  private forgetOld(nowMs: number): void {
    let floor = Math.max(this.floor, this.seq - LOG_CHANGES);
    while (this.marks[0] !== undefined && nowMs - this.marks[0].atMs > LOG_MS) {
      floor = Math.max(floor, this.marks[0].seq);
      this.marks.shift();
    }
    if (floor === this.floor) return;
    this.floor = floor;
    this.removed = this.removed.filter(r => r.seq > floor);
    for (const from of this.deltas.keys()) if (from < floor) this.deltas.delete(from);
  }

  private buildDelta(since: number, nowMs: number): Frames | undefined {
    const put: string[] = [];
    const set: string[] = [];
    for (const [key, row] of this.rows) {
      if (row.changedAt <= since) continue;
      if (row.createdAt > since) put.push(rowJson(key, row));
      else set.push(`{"k":${JSON.stringify(key)},"v":${JSON.stringify(changedMembers(row, since))}}`);
    }
    const del = new Set(this.removed.filter(r => r.seq > since).map(r => r.key));
    const body =
      `"prev":"${since}","seq":"${this.seq}","at":${Math.round(nowMs)}` +
      (put.length > 0 ? `,"put":[${put.join(',')}]` : '') +
      (set.length > 0 ? `,"set":[${set.join(',')}]` : '') +
      (del.size > 0 ? `,"del":${JSON.stringify([...del])}` : '') +
      (this.orderAt > since ? `,"order":${JSON.stringify(this.order)}` : '') +
      (this.windowAt > since ? `,"window":${JSON.stringify(this.window)}` : '') +
      '}';
    // A delta is one frame; one that does not fit is worth no more than a snapshot, which comes in parts.
    return Buffer.byteLength(body) + ENVELOPE_BYTES > FRAME_BYTES ? undefined : { kind: 'delta', bodies: [body], seq: this.seq };
  }
}

function rowJson(key: string, row: Row): string {
  row.json ??= `{"k":${JSON.stringify(key)},"v":${JSON.stringify(row.value)}}`;
  return row.json;
}

function changedMembers(row: Row, since: number): RowValue {
  const members: Record<string, unknown> = {};
  for (const [member, seq] of Object.entries(row.memberAt)) if (seq > since) members[member] = row.value[member];
  return members;
}

/** Joins row texts into parts that fit a frame; one empty part for no rows. */
function packRows(rows: readonly string[]): string[] {
  const parts: string[] = [];
  let part: string[] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = Buffer.byteLength(row) + 1;
    if (bytes + size > FRAME_BYTES - ENVELOPE_BYTES && part.length > 0) {
      parts.push(part.join(','));
      part = [];
      bytes = 0;
    }
    part.push(row);
    bytes += size;
  }
  parts.push(part.join(','));
  return parts;
}

/** Equality of two values that could be JSON. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(key => sameJson((a as RowValue)[key], (b as RowValue)[key]));
}

/** Items in order of `seq`, the newest {@link RING_ITEMS} of them; whoever fell out of the ring is told how many it missed. */
export class AppendFeed implements Feed {
  readonly topic: Topic;
  readonly stream: string;
  readonly ready = true;
  seq = 0;
  private items: { readonly seq: number; readonly json: string }[] = [];
  private readonly tails = new Map<number, Frames>();

  private dropped = 0;
  private readonly contiguous: boolean;

  /** `contiguous`: every sequence number belongs to an item, so that what fell out of the ring can be counted. */
  constructor(topic: Topic, contiguous: boolean) {
    this.topic = topic;
    this.stream = newStream(topic);
    this.contiguous = contiguous;
  }

  append(item: RowValue & { readonly seq: string }): void {
    const seq = Number(item.seq);
    if (seq <= this.seq) return;
    this.seq = seq;
    this.items.push({ seq, json: JSON.stringify(item) });
    if (this.items.length > RING_ITEMS * 1.25) {
      this.dropped = (this.items.at(-RING_ITEMS - 1) as { seq: number }).seq;
      this.items = this.items.slice(-RING_ITEMS);
    }
    this.tails.clear();
  }

  /** What was appended is not so: it comes anew, and whoever has it gets a snapshot. Only for feeds that are not contiguous. */
  restart(): void {
    this.items = [];
    this.dropped = ++this.seq;
    this.tails.clear();
  }

  snapshot(reason: SnapReason): Frames {
    const rows = this.items.slice(-RING_ITEMS).map(item => `{"k":"${item.seq}","v":${item.json}}`);
    const parts = packRows(rows);
    const bodies = parts.map(
      (part, i) =>
        `"topic":"${this.topic}","stream":"${this.stream}","seq":"${this.seq}","part":${i + 1},"of":${parts.length},` +
        `"total":${rows.length},"reason":"${reason}","rows":[${part}]}`,
    );
    return { kind: 'snap', bodies, seq: this.seq };
  }

  since(since: number): Frames | undefined {
    if (since > this.seq) return undefined;
    if (since < this.dropped && !this.contiguous) return undefined;
    const shared = this.tails.get(since);
    if (shared !== undefined) return shared;
    const newer = this.items.filter(item => item.seq > since);
    const kept = fitting(newer);
    const missed = newer.length - kept.length + Math.max(0, this.dropped - since);
    const body = `"prev":"${since}","seq":"${this.seq}","items":[${kept.map(item => item.json).join(',')}],"missed":${missed}}`;
    const frames: Frames = { kind: 'append', bodies: [body], seq: this.seq };
    this.tails.set(since, frames);
    return frames;
  }
}

/** The newest items that fit one frame. */
function fitting<T extends { readonly json: string }>(items: readonly T[]): readonly T[] {
  let bytes = ENVELOPE_BYTES;
  let from = items.length;
  while (from > 0) {
    bytes += Buffer.byteLength((items[from - 1] as T).json) + 1;
    if (bytes > FRAME_BYTES) break;
    from--;
  }
  return items.slice(from);
}
