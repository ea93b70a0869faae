import { DecodeError } from '@kahuna/base';
import type { KahunaNode, Watch, WatchEnd } from '@kahuna/node';
import { encodePosition, type watchMessages as messages, type WatchTarget } from '@kahuna/wire';
import type { Unread, UnreadOfStream } from '../gateway/unread.ts';
import { ANOTHER_CLUSTER, watchedBy } from '../gateway/watch-query.ts';
import { BadRequest } from '../rest/problem.ts';
import { BadWatch, type EndCode, endMessage, errorMessage, eventsMessage, NotAMessage, readMessage } from './watch-messages.ts';

/** Watches of one socket. */
export const MAX_WATCHES = 1000;
/** Largest message of a client. Bytes. */
export const MAX_CLIENT_MESSAGE_BYTES = 64 * 1024;
/** Events of one message. Bytes of keys and values, before base64. */
const MESSAGE_BYTES = 64 * 1024;
/** A socket with more waiting is given nothing new. Bytes. */
export const SOCKET_BYTES = 256 * 1024;
/** Answers to bad messages are not paced: who sends them without reading is cut off here. Bytes. */
const MAX_UNREAD_BYTES = 1024 * 1024;
/** Positions are sent at most so often. Milliseconds. */
const MIN_PROGRESS_MS = 100;

export const CloseCode = {
  /** The node stops; watches go on elsewhere. */
  goingAway: 1001,
  protocolError: 4400,
  /** Nothing was read for long. */
  tooSlow: 4408,
  tooLarge: 4413,
} as const;

/** The socket as a session uses it; `ws` satisfies it. */
export interface Socket {
  send(text: string, written: (error?: Error) => void): void;
  close(code: number, reason: string): void;
  /** Drops what was not sent yet. */
  terminate(): void;
  readonly bufferedAmount: number;
}

const ENDS: Readonly<Record<WatchEnd, readonly [code: EndCode, message: string]>> = {
  invalid: ['INVALID_ARGUMENT', 'this cannot be watched'],
  unavailable: ['UNAVAILABLE', 'the watch cannot be served here now: go on at another node'],
  pruned: ['HISTORY_PRUNED', 'changes behind this position are no longer kept: begin anew with the present state'],
  'another-cluster': ['HISTORY_PRUNED', ANOTHER_CLUSTER],
  'too-many-expiries': ['RESOURCE_EXHAUSTED', 'too many keys with an expiry for one watch'],
  // Another node may have room.
  overloaded: ['UNAVAILABLE', 'too many watches on this node'],
  'not-leader': ['NOT_LEADER', 'an ephemeral lock is watched on the leader of its partition'],
};

/**
 * The watches of one WebSocket.
 *
 *  S1 Nothing is queued here: a message is made when the socket takes it, so memory does not depend on how fast the client reads.
 *  S2 Watches take turns: one that has much to tell does not hold up the others.
 *  S3 A position covers all events that were sent before it and with it, and none that are sent after it.
 *  S4 A watch that the client has paused is told nothing, not even its end, and holds up no other.
 */
export class WatchSession {
  private readonly node: KahunaNode;
  private readonly socket: Socket;
  private readonly unread: UnreadOfStream;
  private readonly watches = new Map<number, Subscription>();
  /** Those that may have something to tell, the one that waits longest first. */
  private readonly due = new Set<Subscription>();
  private blocked = false;
  private over = false;
  /** Bytes were taken by the network since it was last asked. */
  private moved = true;

  constructor(node: KahunaNode, socket: Socket, unread: Unread) {
    this.node = node;
    this.socket = socket;
    // A close that waits behind what is not read gives nothing back.
    this.unread = unread.of(() => {
      this.close();
      socket.terminate();
    });
  }

  receive(data: Buffer): void {
    if (this.over) return;
    this.moved = true;
    if (data.length > MAX_CLIENT_MESSAGE_BYTES) {
      this.end(CloseCode.tooLarge, `a message of a client has at most ${MAX_CLIENT_MESSAGE_BYTES} bytes`);
      return;
    }
    try {
      const message = readMessage(data);
      if (message.kind === 'watch') this.open(message.id, message.request);
      else if (message.kind === 'unwatch') this.drop(message.id);
      else this.setPaused(message.id, message.kind === 'pause');
    } catch (error) {
      if (error instanceof BadWatch) this.refuse(error.id, 'INVALID_ARGUMENT', error.message);
      else if (error instanceof BadRequest) this.reply(errorMessage(error.message));
      else if (error instanceof NotAMessage) this.end(CloseCode.protocolError, error.message);
      else throw error;
    }
  }

  private open(id: number, request: messages.GrpcWatchRequest): void {
    if (this.watches.has(id)) {
      // An end would be taken for that of the watch which has the number.
      this.reply(errorMessage(`id ${id} is in use.`));
      return;
    }
    if (this.watches.size >= MAX_WATCHES) {
      this.refuse(id, 'RESOURCE_EXHAUSTED', `a socket has at most ${MAX_WATCHES} watches`);
      return;
    }
    const wake = (): void => this.wake(subscription);
    let subscription: Subscription;
    try {
      const { query, target } = watchedBy(request);
      subscription = new Subscription(id, target, this.node.watch(query, wake, this.unread), request.ProgressMs, wake);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.refuse(id, 'INVALID_ARGUMENT', error.message);
      return;
    }
    this.watches.set(id, subscription);
    this.wake(subscription);
  }

  private drop(id: number): void {
    const subscription = this.watches.get(id);
    // One that has ended meanwhile is no mistake of the client.
    if (subscription === undefined) return;
    this.watches.delete(id);
    this.due.delete(subscription);
    subscription.close();
  }

  private setPaused(id: number, isPaused: boolean): void {
    const subscription = this.watches.get(id);
    if (subscription === undefined) return;
    subscription.isPaused = isPaused;
    if (isPaused) this.due.delete(subscription);
    else this.wake(subscription);
  }

  private wake(subscription: Subscription): void {
    if (this.watches.get(subscription.id) !== subscription || subscription.isPaused) return;
    this.due.add(subscription);
    this.pump();
  }

  private pump(): void {
    for (const subscription of this.due) {
      if (this.blocked || this.over) return;
      this.due.delete(subscription);
      const message = subscription.next();
      if (message !== undefined) {
        // Behind the others: the loop comes back to it.
        this.due.add(subscription);
        this.send(message);
      } else if (subscription.end !== undefined) {
        this.drop(subscription.id);
        this.send(subscription.endMessage(subscription.end));
      }
    }
  }

  private send(text: string): void {
    const { length } = text;
    this.unread.add(length);
    this.socket.send(text, error => {
      this.unread.remove(length);
      this.written(error);
    });
    // What was just handed over will be written or fail, and go on from there.
    this.blocked = this.socket.bufferedAmount >= SOCKET_BYTES;
  }

  private written(error: Error | undefined): void {
    this.moved = true;
    // The socket is closing; its end gives everything back.
    if (error !== undefined || !this.blocked || this.socket.bufferedAmount >= SOCKET_BYTES) return;
    this.blocked = false;
    this.pump();
  }

  private refuse(id: number, code: EndCode, message: string): void {
    this.reply(endMessage(id, code, message));
  }

  private reply(text: string): void {
    if (this.socket.bufferedAmount > MAX_UNREAD_BYTES) {
      this.end(CloseCode.tooSlow, 'answers are not read');
      return;
    }
    this.send(text);
  }

  /** Something came or left since the last call. A client that neither reads nor speaks nor answers pings is gone. */
  takeMoved(): boolean {
    const { moved } = this;
    this.moved = false;
    return moved;
  }

  heard(): void {
    this.moved = true;
  }

  /** Says why, then closes; what is on its way still arrives. */
  end(code: number, reason: string): void {
    this.stop();
    this.socket.close(code, reason);
  }

  /** The socket is gone, with all that waited. */
  close(): void {
    this.stop();
    this.unread.close();
  }

  private stop(): void {
    this.over = true;
    for (const subscription of this.watches.values()) subscription.close();
    this.watches.clear();
    this.due.clear();
  }
}

/** One watch of a socket. */
class Subscription {
  readonly id: number;
  isPaused = false;
  private readonly target: WatchTarget;
  private readonly watch: Watch;
  private readonly timer: NodeJS.Timeout | undefined;
  /** The position is wanted with the next message. */
  private positionDue = true;

  constructor(id: number, target: WatchTarget, watch: Watch, progressMs: number, wake: () => void) {
    this.id = id;
    this.target = target;
    this.watch = watch;
    if (progressMs <= 0) return;
    const remind = (): void => {
      this.positionDue = true;
      wake();
    };
    this.timer = setInterval(remind, Math.max(progressMs, MIN_PROGRESS_MS));
  }

  get end(): WatchEnd | undefined {
    return this.watch.end;
  }

  /** undefined: there is nothing to tell at the moment. */
  next(): string | undefined {
    const events = this.watch.take(MESSAGE_BYTES);
    const places = this.positionDue && this.end === undefined ? this.watch.position() : undefined;
    if (events.length === 0 && places === undefined) return undefined;
    if (places !== undefined) this.positionDue = false;
    return eventsMessage(this.id, events, places && encodePosition(this.target, { cluster: this.watch.cluster, places }));
  }

  endMessage(end: WatchEnd): string {
    const [code, message] = ENDS[end];
    return endMessage(this.id, code, message, end === 'not-leader' ? this.watch.leaderUrl : undefined);
  }

  close(): void {
    clearInterval(this.timer);
    this.watch.close();
  }
}
