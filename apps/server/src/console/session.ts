import {
  type ByeFrame,
  type ClientMessage,
  CloseCode,
  type ErrorCode,
  PROTOCOL_VERSION,
  type SnapReason,
  type TopicParams,
} from '@kahuna/console/protocol';
import type { Feed, Frames } from './feed.ts';

export const MAX_SUBSCRIPTIONS = 32;
export const MAX_CLIENT_FRAME_BYTES = 64 * 1024;
export const UNACKED_FRAMES = 4;
/** A socket with more waiting gets nothing new. Bytes. */
export const SOCKET_BYTES = 256 * 1024;
/** A browser that acknowledges nothing for this long while frames wait is closed (4408). Milliseconds. */
export const TOO_SLOW_MS = 15_000;
/** A connection that does not say hello within this is closed. Milliseconds. */
export const HELLO_WITHIN_MS = 10_000;
const MAX_HZ = 10;

/** The socket as a session uses it; `ws` satisfies it. */
export interface Socket {
  send(text: string): void;
  close(code: number, reason: string): void;
  readonly bufferedAmount: number;
}

/** Where a session finds its feeds. */
export interface FeedSource {
  open(topic: string, params: TopicParams): Feed | { readonly error: ErrorCode; readonly message: string };
  /** Another feed with this stream id exists. */
  knowsStream(stream: string): boolean;
  subscribed(feed: Feed): void;
  unsubscribed(feed: Feed): void;
  welcome(session: string): string;
  pong(n: number, clockMs: number): string;
}

interface Subscription {
  readonly id: number;
  readonly topic: string;
  readonly minGapMs: number;
  feed: Feed;
  /** Last seq handed to the socket. */
  sent: number;
  /** Frames of a snapshot of which parts still wait. */
  parts: { readonly frames: Frames; next: number } | undefined;
  /** A snapshot is owed, for this reason; it is built when the feed is ready. */
  owed: SnapReason | undefined;
  lastSentMs: number;
}

/** Urgent topics first (console §5.7). */
const PRIORITY: Readonly<Record<string, number>> = {
  operations: 0,
  problems: 0,
  overview: 1,
  nodes: 2,
  partitions: 3,
  partition: 3,
  events: 4,
};

/**
 * One browser's connection: its subscriptions, and how much it can take.
 *
 *  S1 A subscription's frames chain: each `prev` is the `seq` of the frame before, from a snapshot on.
 *  S2 At most {@link UNACKED_FRAMES} frames (a snapshot in parts counts once) are unacknowledged.
 *  S3 Nothing is queued for a browser: a frame is built from current rows when it is sent, so memory does not depend on its speed.
 */
export class Session {
  private readonly subscriptions = new Map<number, Subscription>();
  private readonly unacked: { readonly id: number; readonly seq: number }[] = [];
  private greeted = false;
  private closed = false;
  private readonly openedMs: number;
  private lastAckMs: number;
  private coalescingNow = false;
  private readonly name: string;
  private readonly socket: Socket;
  private readonly feeds: FeedSource;

  constructor(name: string, socket: Socket, feeds: FeedSource, nowMs: number) {
    this.name = name;
    this.socket = socket;
    this.feeds = feeds;
    this.openedMs = nowMs;
    this.lastAckMs = nowMs;
  }

  get subscriptionCount(): number {
    return this.subscriptions.size;
  }

  /** Frames wait because the browser or the link is slow. */
  get coalescing(): boolean {
    return this.coalescingNow;
  }

  receive(text: string, nowMs: number): void {
    if (this.closed) return;
    if (Buffer.byteLength(text) > MAX_CLIENT_FRAME_BYTES) {
      this.end(CloseCode.frameTooLarge, 'frames of a client are at most 64 KiB');
      return;
    }
    const message = parseMessage(text);
    if (message === undefined) {
      this.end(CloseCode.protocolError, 'a frame is one JSON object with a member t');
      return;
    }
    if (!this.greeted && message.t !== 'hello') {
      this.end(CloseCode.protocolError, 'hello comes first');
      return;
    }
    this.handle(message, nowMs);
  }

  /** Sends what is due. Called after every view, acknowledgement and clock step. */
  pump(nowMs: number): void {
    if (this.closed) return;
    let waiting = false;
    for (const subscription of this.byPriority()) {
      while (this.nextFrame(subscription, nowMs)) {
        // parts of a snapshot follow one another
      }
      if (!subscription.feed.ready) continue;
      waiting ||= subscription.parts !== undefined || (subscription.sent !== subscription.feed.seq && !this.hasRoom());
    }
    this.coalescingNow = waiting;
    if (this.unacked.length === 0) this.lastAckMs = nowMs;
    else if (waiting && nowMs - this.lastAckMs > TOO_SLOW_MS) this.end(CloseCode.tooSlow, 'nothing acknowledged for 15 s');
  }

  /** Closes a connection that never introduced itself. */
  checkGreeting(nowMs: number): void {
    if (!this.greeted && nowMs - this.openedMs > HELLO_WITHIN_MS) this.end(CloseCode.protocolError, 'no hello');
  }

  /** Ticks are small and go out even when data waits, so that the browser can tell slow from gone. */
  tick(text: string): void {
    if (this.greeted && !this.closed && this.socket.bufferedAmount < 4 * SOCKET_BYTES) this.socket.send(text);
  }

  bye(frame: ByeFrame): void {
    if (this.closed) return;
    this.socket.send(JSON.stringify(frame));
    this.end(CloseCode.goingAway, frame.code);
  }

  /** The socket is gone: gives back every feed. */
  dispose(): void {
    this.closed = true;
    for (const subscription of this.subscriptions.values()) this.feeds.unsubscribed(subscription.feed);
    this.subscriptions.clear();
    this.unacked.length = 0;
  }

  private handle(message: ClientMessage, nowMs: number): void {
    switch (message.t) {
      case 'hello':
        this.hello(message);
        return;
      case 'sub':
        this.subscribe(message, nowMs);
        return;
      case 'param':
        this.changeParams(message, nowMs);
        return;
      case 'ack':
        this.acknowledge(message.id, Number(message.seq), nowMs);
        return;
      case 'resync':
        this.withSubscription(message.id, subscription => this.restart(subscription, 'resync', nowMs));
        return;
      case 'unsub':
        this.unsubscribe(message.id);
        return;
      case 'ping':
        this.reply(this.feeds.pong(Number(message.n), Number(message.clockMs)));
        return;
      default:
        this.error(idOf(message), 'bad-message', `unknown message ${JSON.stringify((message as { t: unknown }).t).slice(0, 40)}`);
        return;
    }
  }

  private hello(message: Extract<ClientMessage, { t: 'hello' }>): void {
    if (message.protocol !== PROTOCOL_VERSION) {
      this.end(CloseCode.version, `protocol ${PROTOCOL_VERSION} is spoken here`);
      return;
    }
    this.greeted = true;
    this.socket.send(this.feeds.welcome(this.name));
  }

  private subscribe(message: Extract<ClientMessage, { t: 'sub' }>, nowMs: number): void {
    const { id } = message;
    if (!Number.isSafeInteger(id) || id < 0) {
      this.end(CloseCode.protocolError, 'id is a non-negative integer');
      return;
    }
    if (this.subscriptions.has(id)) {
      this.end(CloseCode.protocolError, `id ${id} is in use`);
      return;
    }
    if (this.subscriptions.size >= MAX_SUBSCRIPTIONS) {
      this.error(id, 'too-many-subscriptions', `at most ${MAX_SUBSCRIPTIONS} subscriptions per connection`);
      return;
    }
    const feed = this.openFeed(id, message.topic, message.params ?? {});
    if (feed === undefined) return;
    const hz = Math.min(MAX_HZ, Math.max(0.1, Number(message.maxHz ?? MAX_HZ) || MAX_HZ));
    const subscription: Subscription = {
      id,
      topic: feed.topic,
      minGapMs: 1000 / hz,
      feed,
      sent: 0,
      parts: undefined,
      owed: undefined,
      lastSentMs: 0,
    };
    this.subscriptions.set(id, subscription);
    this.feeds.subscribed(feed);
    const { resume } = message;
    if (resume?.stream === feed.stream && feed.since(Number(resume.seq), nowMs) !== undefined) {
      subscription.sent = Number(resume.seq);
    } else {
      this.stage(subscription, this.reasonFor(resume, feed));
    }
    this.pump(nowMs);
  }

  private reasonFor(resume: { readonly stream: string } | undefined, feed: Feed): 'new' | 'gap' | 'params' | 'moved' {
    if (resume === undefined) return 'new';
    if (resume.stream === feed.stream) return 'gap';
    return this.feeds.knowsStream(resume.stream) ? 'params' : 'moved';
  }

  private changeParams(message: Extract<ClientMessage, { t: 'param' }>, nowMs: number): void {
    this.withSubscription(message.id, subscription => {
      const feed = this.openFeed(message.id, subscription.topic, message.params);
      if (feed === undefined) return;
      this.feeds.subscribed(feed);
      this.feeds.unsubscribed(subscription.feed);
      subscription.feed = feed;
      this.restart(subscription, 'params', nowMs);
    });
  }

  private openFeed(id: number, topic: string, params: TopicParams): Feed | undefined {
    const feed = this.feeds.open(String(topic), params);
    if (!('error' in feed)) return feed;
    this.error(id, feed.error, feed.message);
    return undefined;
  }

  private restart(subscription: Subscription, reason: 'resync' | 'params', nowMs: number): void {
    this.forgetUnacked(subscription.id);
    this.stage(subscription, reason);
    this.pump(nowMs);
  }

  private stage(subscription: Subscription, reason: SnapReason): void {
    subscription.parts = undefined;
    subscription.owed = reason;
  }

  private unsubscribe(id: number): void {
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) return;
    this.subscriptions.delete(id);
    this.forgetUnacked(id);
    this.feeds.unsubscribed(subscription.feed);
  }

  private acknowledge(id: number, seq: number, nowMs: number): void {
    for (let i = this.unacked.length - 1; i >= 0; i--) {
      const frame = this.unacked[i];
      if (frame?.id === id && frame.seq <= seq) this.unacked.splice(i, 1);
    }
    this.lastAckMs = nowMs;
    this.pump(nowMs);
  }

  private hasRoom(): boolean {
    return this.unacked.length < UNACKED_FRAMES && this.socket.bufferedAmount < SOCKET_BYTES;
  }

  /** Sends one frame of the subscription if it is due; false when nothing (more) may be sent now. */
  private nextFrame(subscription: Subscription, nowMs: number): boolean {
    if (!subscription.feed.ready) return false;
    if (subscription.owed !== undefined) {
      subscription.parts = { frames: subscription.feed.snapshot(subscription.owed), next: 0 };
      subscription.owed = undefined;
    }
    const { parts } = subscription;
    if (parts !== undefined) return this.nextPart(subscription, parts);
    if (subscription.sent === subscription.feed.seq || nowMs - subscription.lastSentMs < subscription.minGapMs) return false;
    if (!this.hasRoom()) return false;
    const frames = subscription.feed.since(subscription.sent, nowMs);
    if (frames === undefined) {
      this.stage(subscription, 'gap');
      return true;
    }
    this.transmit(subscription, frames, 0);
    this.sentAll(subscription, frames, nowMs);
    return false;
  }

  private nextPart(subscription: Subscription, parts: { readonly frames: Frames; next: number }): boolean {
    const mayBegin = parts.next > 0 || this.unacked.length < UNACKED_FRAMES;
    if (!mayBegin || this.socket.bufferedAmount >= SOCKET_BYTES) return false;
    this.transmit(subscription, parts.frames, parts.next++);
    if (parts.next < parts.frames.bodies.length) return true;
    subscription.parts = undefined;
    this.sentAll(subscription, parts.frames, 0);
    return false;
  }

  private transmit(subscription: Subscription, frames: Frames, part: number): void {
    this.socket.send(`{"t":"${frames.kind}","id":${subscription.id},${frames.bodies[part]}`);
  }

  private sentAll(subscription: Subscription, frames: Frames, nowMs: number): void {
    subscription.sent = frames.seq;
    subscription.lastSentMs = nowMs;
    this.unacked.push({ id: subscription.id, seq: frames.seq });
  }

  private byPriority(): Subscription[] {
    return [...this.subscriptions.values()].sort((a, b) => (PRIORITY[a.topic] ?? 5) - (PRIORITY[b.topic] ?? 5));
  }

  private forgetUnacked(id: number): void {
    for (let i = this.unacked.length - 1; i >= 0; i--) if (this.unacked[i]?.id === id) this.unacked.splice(i, 1);
  }

  private withSubscription(id: number, run: (subscription: Subscription) => void): void {
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) {
      this.error(id, 'bad-message', `no subscription ${id}`);
      return;
    }
    run(subscription);
  }

  private error(id: number | null, code: ErrorCode, message: string): void {
    const retry = code === 'overloaded' || code === 'not-initialised' || code === 'too-many-subscriptions';
    this.reply(JSON.stringify({ t: 'error', id, code, message, retry }));
  }

  /** Answers are not paced by acknowledgements: a browser that asks without reading is cut off instead. */
  private reply(text: string): void {
    if (this.socket.bufferedAmount > 4 * SOCKET_BYTES) {
      this.end(CloseCode.tooSlow, 'answers are not read');
      return;
    }
    this.socket.send(text);
  }

  private end(code: number, reason: string): void {
    this.closed = true;
    this.socket.close(code, reason);
  }
}

function parseMessage(text: string): ClientMessage | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && typeof (value as { t?: unknown }).t === 'string'
      ? (value as ClientMessage)
      : undefined;
  } catch {
    return undefined; // not JSON: the caller closes with 4400
  }
}

function idOf(message: unknown): number | null {
  const { id } = message as { id?: unknown };
  return typeof id === 'number' ? id : null;
}
