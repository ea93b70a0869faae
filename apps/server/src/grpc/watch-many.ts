import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { ByteWriter } from '@kahuna/base';
import type { KahunaNode, Watch, WatchEvent } from '@kahuna/node';
import { encodePosition, watchMessages as messages, type WatchTarget } from '@kahuna/wire';
import type { UnreadOfStream } from '../gateway/unread.ts';
import { watchedBy } from '../gateway/watch-query.ts';
import { asBuffer } from './unary.ts';
import { encodedEvent, encodedPosition } from './watch-encoding.ts';
import { ENDS, endOf, type StatusOfEnd } from './watch-ends.ts';

export type WatchManyCall = ServerDuplexStream<Buffer, Buffer>;

/** Events that one watch adds to a message, and after how many the message is sent. Bytes. */
const WATCH_BYTES = 64 * 1024;
const MESSAGE_BYTES = 256 * 1024;
/** Longest message of a client: what it opens is opened, or refused, in one turn. Bytes. */
const MAX_REQUEST_BYTES = 1024 * 1024;
const MAX_OPENED_AT_ONCE = 10_000;
/** Positions are sent at most so often. Milliseconds. */
const MIN_PROGRESS_MS = 100;

/** Keys of the fields, protocol buffers' way: number and wire type "length-delimited" or "varint". */
const SHARES = (1 << 3) | 2;
const ENDINGS = (2 << 3) | 2;
const SHARE_IDS = (1 << 3) | 2;
const SHARE_RESPONSE = (2 << 3) | 2;

/** One watch of a stream. */
interface Member {
  readonly id: number;
  readonly target: WatchTarget;
  readonly watch: Watch;
  readonly timer: NodeJS.Timeout | undefined;
  positionDue: boolean;
}

/** The same parts for some watches: encoded events, or a position. */
interface Share {
  /** Its place in the message. */
  readonly at: number;
  readonly ids: number[];
  readonly events: readonly WatchEvent[];
  readonly parts: readonly Uint8Array[];
}

/**
 * Many watches on one stream. Whoever has something to tell in a turn is looked at once; watches that take the same events share them,
 * so that a change costs its encoding once and each further watch the few bytes of its id.
 *
 *  M1 Nothing is queued here: while the client does not read, events stay with their watches, which bound them.
 *     Nor is its client read: what it asks for wrongly is answered at once.
 *  M2 Of one watch, events leave in order, and a position behind all events that it covers.
 */
export class WatchManyStream {
  private readonly call: WatchManyCall;
  private readonly node: KahunaNode;
  private readonly unread: UnreadOfStream;
  private readonly onEnd: () => void;
  private readonly members = new Map<number, Member>();
  private readonly due = new Set<Member>();
  private lastId = 0;
  private scheduled = false;
  private blocked = false;
  private over = false;

  constructor(call: WatchManyCall, node: KahunaNode, unread: UnreadOfStream, onEnd: () => void) {
    this.call = call;
    this.unread = unread;
    this.node = node;
    this.onEnd = onEnd;
    call.on('data', (request: Buffer) => this.receive(request));
    call.on('end', () => {
      if (this.over) return;
      this.close();
      call.end();
    });
    call.on('drain', () => {
      this.blocked = false;
      call.resume();
      this.pump();
    });
    call.on('cancelled', () => this.close());
    call.on('error', () => this.close());
  }

  private receive(bytes: Buffer): void {
    if (this.over) return;
    if (bytes.length > MAX_REQUEST_BYTES) {
      this.fail({ code: status.RESOURCE_EXHAUSTED, details: `a message has at most ${MAX_REQUEST_BYTES} bytes` });
      return;
    }
    let request: messages.GrpcWatchManyRequest;
    try {
      request = messages.GrpcWatchManyRequest.decode(bytes);
    } catch (error) {
      this.fail({ code: status.INVALID_ARGUMENT, details: error instanceof Error ? error.message : String(error) });
      return;
    }
    if (request.Open.length > MAX_OPENED_AT_ONCE) {
      this.fail({ code: status.RESOURCE_EXHAUSTED, details: `a message opens at most ${MAX_OPENED_AT_ONCE} watches` });
      return;
    }
    for (const open of request.Open) {
      if (open.Id <= this.lastId) {
        this.fail({ code: status.INVALID_ARGUMENT, details: 'ids of watches are above 0 and grow' });
        return;
      }
      this.lastId = open.Id;
      this.open(open.Id, open.Request);
    }
    for (const id of request.Close) this.drop(id);
  }

  private open(id: number, request: messages.GrpcWatchRequest | undefined): void {
    try {
      if (request === undefined) throw new Error('a watch without a request');
      const { query, target } = watchedBy(request);
      const watch = this.node.watch(query, () => this.isDue(member), this.unread);
      const timer = request.ProgressMs > 0 ? this.progress(id, request.ProgressMs) : undefined;
      const member: Member = { id, target, watch, timer, positionDue: true };
      this.members.set(id, member);
      this.isDue(member);
    } catch (error) {
      const details = error instanceof Error ? error.message : String(error);
      this.send([ending(id, { code: status.INVALID_ARGUMENT, details })]);
    }
  }

  private progress(id: number, everyMs: number): NodeJS.Timeout {
    const remind = (): void => {
      const member = this.members.get(id);
      if (member === undefined) return;
      member.positionDue = true;
      this.isDue(member);
    };
    return setInterval(remind, Math.max(everyMs, MIN_PROGRESS_MS));
  }

  /** The node wakes all watches of a change in one turn: they are looked at together when it is over. */
  private isDue(member: Member): void {
    this.due.add(member);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    while (!this.blocked && !this.over && this.due.size > 0) {
      const shares = new Shares();
      const parts: Uint8Array[] = [];
      for (const member of this.due) {
        if (shares.bytes >= MESSAGE_BYTES) break;
        this.due.delete(member);
        if (this.members.get(member.id) !== member) continue;
        this.take(member, shares, parts);
      }
      if (shares.isEmpty && parts.length === 0) continue;
      this.send([...shares.encoded(), ...parts]);
    }
  }

  private take(member: Member, shares: Shares, endings: Uint8Array[]): void {
    const { id, watch, target } = member;
    const events = watch.take(WATCH_BYTES);
    if (events.length > 0) {
      shares.add(id, events);
      // There may be more, behind what others have to tell.
      this.due.add(member);
      return;
    }
    const places = member.positionDue ? watch.position() : undefined;
    if (places !== undefined) {
      member.positionDue = false;
      shares.addPosition(id, encodePosition(target, { cluster: watch.cluster, places }));
    }
    if (watch.end === undefined) return;
    this.drop(id);
    endings.push(ending(id, endOf(watch, watch.end)));
  }

  private send(parts: readonly Uint8Array[]): void {
    const message = Buffer.concat(parts);
    this.unread.add(message.length);
    this.blocked = !this.call.write(message, () => this.unread.remove(message.length));
    if (this.blocked) this.call.pause();
  }

  private drop(id: number): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    this.members.delete(id);
    clearInterval(member.timer);
    member.watch.close();
  }

  /** So that clients go on elsewhere. */
  drain(): void {
    this.fail(ENDS.unavailable);
  }

  private fail(end: StatusOfEnd): void {
    if (this.over) return;
    this.close();
    this.call.emit('error', end);
  }

  private close(): void {
    if (this.over) return;
    this.over = true;
    for (const id of [...this.members.keys()]) this.drop(id);
    this.onEnd();
  }
}

/** What goes into one message. */
class Shares {
  private readonly all: Share[] = [];
  /** Latest share that begins with an event. */
  private readonly byFirst = new Map<WatchEvent, Share>();
  private readonly byPosition = new Map<string, Share>();
  /** Place of the last share of each watch. */
  private readonly lastOf = new Map<number, number>();
  bytes = 0;

  get isEmpty(): boolean {
    return this.all.length === 0;
  }

  add(id: number, events: readonly WatchEvent[]): void {
    const first = events[0] as WatchEvent;
    const known = this.byFirst.get(first);
    if (known !== undefined && sameEvents(known.events, events) && this.join(known, id)) return;
    const share = this.begin(id, events, events.map(encodedEvent));
    this.byFirst.set(first, share);
  }

  addPosition(id: number, position: string): void {
    const known = this.byPosition.get(position);
    if (known !== undefined && this.join(known, id)) return;
    this.byPosition.set(position, this.begin(id, [], [encodedPosition(position)]));
  }

  /** Only behind everything that the message has for this watch already (M2). */
  private join(share: Share, id: number): boolean {
    if (share.at <= (this.lastOf.get(id) ?? -1)) return false;
    share.ids.push(id);
    this.lastOf.set(id, share.at);
    return true;
  }

  private begin(id: number, events: readonly WatchEvent[], parts: readonly Uint8Array[]): Share {
    const share: Share = { at: this.all.length, ids: [id], events, parts };
    for (const part of parts) this.bytes += part.length;
    this.lastOf.set(id, share.at);
    this.all.push(share);
    return share;
  }

  encoded(): Uint8Array[] {
    const writer = new ByteWriter(256);
    const out: Uint8Array[] = [];
    for (const { ids, parts } of this.all) {
      for (const id of ids) writer.varint(id);
      const packed = writer.finish();
      let length = 0;
      for (const part of parts) length += part.length;
      writer.u8(SHARE_IDS);
      writer.varint(packed.length);
      writer.raw(packed);
      writer.u8(SHARE_RESPONSE);
      writer.varint(length);
      const head = writer.finish();
      writer.u8(SHARES);
      writer.varint(head.length + length);
      out.push(writer.finish(), head, ...parts);
    }
    return out;
  }
}

function sameEvents(a: readonly WatchEvent[], b: readonly WatchEvent[]): boolean {
  return a.length === b.length && a.every((event, at) => event === b[at]);
}

function ending(Id: number, { code, details }: StatusOfEnd): Uint8Array {
  const end = messages.GrpcWatchEnd.encode({ Id, Code: code, Details: details }).finish();
  const writer = new ByteWriter(end.length + 8);
  writer.u8(ENDINGS);
  writer.varint(end.length);
  writer.raw(end);
  return asBuffer(writer.finish());
}
