import { type ServerWritableStream, status } from '@grpc/grpc-js';
import type { KahunaNode, Watch, WatchEvent, WatchPosition, WatchQuery } from '@kahuna/node';
import { encodePosition, watchMessages as messages, type WatchTarget } from '@kahuna/wire';
import type { Unread, UnreadOfStream } from '../gateway/unread.ts';
import { watchedBy } from '../gateway/watch-query.ts';
import { cutOff, whenGone } from './cut-off.ts';
import { asBuffer } from './unary.ts';
import { encodedEvent, encodedPosition } from './watch-encoding.ts';
import { ENDS, endOf, type StatusOfEnd } from './watch-ends.ts';
import { type WatchManyCall, WatchManyStream } from './watch-many.ts';

export type WatchCall = ServerWritableStream<Buffer, Buffer>;

/** Events of one message. Bytes. */
const MESSAGE_BYTES = 256 * 1024;
/** Positions are sent at most so often. Milliseconds. */
const MIN_PROGRESS_MS = 100;

/** The open watches of this server. */
export class WatchCalls {
  private readonly node: KahunaNode;
  private readonly unread: Unread;
  private readonly open = new Set<WatchStream | WatchManyStream>();

  constructor(node: KahunaNode, unread: Unread) {
    this.node = node;
    this.unread = unread;
  }

  readonly handle = (call: WatchCall): void => {
    try {
      const request = messages.GrpcWatchRequest.decode(call.request);
      const { query, target } = watchedBy(request);
      const stream = new WatchStream(call, this.node, this.unreadOf(call), query, target, request.ProgressMs, () =>
        this.open.delete(stream),
      );
      this.open.add(stream);
      stream.pump();
    } catch (error) {
      // The generated decoder throws a plain Error for bytes that are no message.
      const details = error instanceof Error ? error.message : String(error);
      call.emit('error', { code: status.INVALID_ARGUMENT, details });
    }
  };

  readonly handleMany = (call: WatchManyCall): void => {
    const stream = new WatchManyStream(call, this.node, this.unreadOf(call), () => this.open.delete(stream));
    this.open.add(stream);
  };

  /** Until the last byte is gone, also behind the end of the watches: a client that does not read holds what was sent before. */
  private unreadOf(call: object): UnreadOfStream {
    const unread = this.unread.of(() => cutOff(call));
    whenGone(call, () => unread.close());
    return unread;
  }

  /** Ends them all so that clients go on elsewhere. */
  drain(): void {
    for (const stream of [...this.open]) stream.drain();
  }
}

/** One watch: what the node has ready goes out in one message per turn, as fast as the client reads. */
class WatchStream {
  private readonly call: WatchCall;
  private readonly unread: UnreadOfStream;
  private readonly watch: Watch;
  private readonly target: WatchTarget;
  private readonly onEnd: () => void;
  private readonly timer: NodeJS.Timeout | undefined;
  private blocked = false;
  private over = false;
  /** The position is wanted with the next message. */
  private positionDue = true;

  constructor(
    call: WatchCall,
    node: KahunaNode,
    unread: UnreadOfStream,
    query: WatchQuery,
    target: WatchTarget,
    progressMs: number,
    onEnd: () => void,
  ) {
    this.call = call;
    this.unread = unread;
    this.target = target;
    this.onEnd = onEnd;
    this.watch = node.watch(query, () => this.pump(), unread);
    if (progressMs > 0) {
      this.timer = setInterval(
        () => {
          this.positionDue = true;
          this.pump();
        },
        Math.max(progressMs, MIN_PROGRESS_MS),
      );
    }
    call.on('drain', () => {
      this.blocked = false;
      this.pump();
    });
    call.on('cancelled', () => this.close());
  }

  pump(): void {
    while (!this.blocked && !this.over) {
      const events = this.watch.take(MESSAGE_BYTES);
      const position = this.positionDue ? this.watch.position() : undefined;
      if (events.length === 0 && position === undefined) {
        if (this.watch.end !== undefined) this.fail(endOf(this.watch, this.watch.end));
        return;
      }
      if (position !== undefined) this.positionDue = false;
      this.blocked = !this.send(this.message(events, position));
    }
  }

  /** False: the client has enough under way. */
  private send(message: Buffer): boolean {
    this.unread.add(message.length);
    return this.call.write(message, () => this.unread.remove(message.length));
  }

  /** Fields of messages that are put one behind the other are those of one message: each event is encoded once for all watches. */
  private message(events: readonly WatchEvent[], places: WatchPosition | undefined): Buffer {
    const parts = events.map(encodedEvent);
    const { cluster } = this.watch;
    if (places !== undefined) parts.push(encodedPosition(encodePosition(this.target, { cluster, places })));
    return parts.length === 1 ? asBuffer(parts[0] as Uint8Array) : Buffer.concat(parts);
  }

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
    clearInterval(this.timer);
    this.watch.close();
    this.onEnd();
  }
}
