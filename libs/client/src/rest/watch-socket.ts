import { DecodeError } from '@kahuna/base';
import type { Runtime, Timer } from '../runtime.ts';
import { type OpenWatch, TransportFailure, type WatchRequest, type WatchSink } from '../transport.ts';
import { JsonObject, parseExact } from './json.ts';
import { eventsIn, failureIn, watchControlMessage, watchMessage } from './watch-json.ts';

const PATH = '/v1/watch';
const PROTOCOL = 'kahuna.watch.v1';
/** A socket that has not opened after this has no server behind it. Milliseconds. */
const OPEN_LIMIT_MS = 5000;
/** A socket is dead once so many reports of progress are missing. */
const MISSED_REPORTS = 3;
const NORMAL_CLOSE = 1000;

/** A WebSocket as browsers have it; so has Node.js from version 22 on, and the package `ws`. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

export type WebSocketClass = new (url: string, protocols: string) => WebSocketLike;

interface SocketWatch {
  readonly sink: WatchSink;
  readonly progressMs: number;
  /** The server tells nothing of it: a browser cannot stop reading a socket, and others share this one. */
  isPaused: boolean;
}

/** All watches of one endpoint over one WebSocket, which is closed with the last of them. */
export class WatchSocket {
  private readonly runtime: Runtime;
  private readonly socket: WebSocketLike;
  private readonly watches = new Map<number, SocketWatch>();
  private unsent: string[] = [];
  private isOpen = false;
  private lastId = 0;
  private limit: Timer;
  isOver = false;

  constructor(endpoint: string, Class: WebSocketClass, runtime: Runtime) {
    this.runtime = runtime;
    this.socket = new Class(`${endpoint.replace(/^http/, 'ws')}${PATH}`, PROTOCOL);
    this.limit = runtime.after(OPEN_LIMIT_MS, () => this.fail(`no WebSocket within ${OPEN_LIMIT_MS} ms`));
    this.socket.addEventListener('open', () => this.opened());
    this.socket.addEventListener('message', ({ data }) => this.receive(String(data)));
    this.socket.addEventListener('close', ({ code, reason }) => this.fail(reasonOf(this.isOpen, code, reason)));
    // The close that follows it says all that browsers tell.
    this.socket.addEventListener('error', () => undefined);
  }

  open(request: WatchRequest, sink: WatchSink): OpenWatch {
    this.lastId += 1;
    const id = this.lastId;
    this.watches.set(id, { sink, progressMs: request.ProgressMs, isPaused: false });
    this.send(watchMessage(id, request));
    if (this.isOpen) this.expectNews();
    return { pause: () => this.setPaused(id, true), resume: () => this.setPaused(id, false), close: () => this.drop(id) };
  }

  private setPaused(id: number, isPaused: boolean): void {
    const watch = this.watches.get(id);
    if (watch === undefined || watch.isPaused === isPaused) return;
    watch.isPaused = isPaused;
    this.send(watchControlMessage(isPaused ? 'pause' : 'resume', id));
    if (this.isOpen) this.expectNews();
  }

  private drop(id: number): void {
    if (!this.watches.delete(id)) return;
    if (this.watches.size === 0) this.end();
    else this.send(watchControlMessage('unwatch', id));
  }

  private send(text: string): void {
    if (this.isOpen) this.socket.send(text);
    else this.unsent.push(text);
  }

  private opened(): void {
    if (this.isOver) return;
    this.isOpen = true;
    for (const text of this.unsent) this.socket.send(text);
    this.unsent = [];
    this.expectNews();
  }

  /** Browsers see neither pings nor dead peers: what tells is that the reports which were asked for do not come. */
  private expectNews(): void {
    this.limit.cancel();
    const reports = Array.from(this.watches.values(), ({ progressMs, isPaused }) => (isPaused ? 0 : progressMs));
    const progressMs = Math.min(...reports.map(ms => ms || Number.POSITIVE_INFINITY));
    if (progressMs === Number.POSITIVE_INFINITY) return;
    const limitMs = OPEN_LIMIT_MS + MISSED_REPORTS * progressMs;
    this.limit = this.runtime.afterInBackground(limitMs, () => this.fail(`nothing was heard for ${limitMs} ms`));
  }

  private receive(text: string): void {
    if (this.isOver) return;
    try {
      this.read(new JsonObject(parseExact(text)));
    } catch (error) {
      if (!(error instanceof DecodeError) && !(error instanceof SyntaxError)) throw error;
      this.failWith(new TransportFailure(`a message that cannot be read: ${error.message}`, true, 'protocol', { cause: error }));
      return;
    }
    if (!this.isOver) this.expectNews();
  }

  private read(message: JsonObject): void {
    const kind = message.text('t');
    const id = message.number('id');
    const sink = this.watches.get(id)?.sink;
    if (kind === 'events') sink?.told(eventsIn(message));
    else if (kind === 'end') {
      this.watches.delete(id);
      if (this.watches.size === 0) this.end();
      sink?.ended(failureIn(message));
    } else if (kind === 'error') throw new DecodeError(`the server says: ${message.text('message')}`);
    // Other kinds are of later servers, which say nothing in them that this client has asked for.
  }

  fail(reason: string): void {
    this.failWith(new TransportFailure(reason, true));
  }

  private failWith(failure: TransportFailure): void {
    if (this.isOver) return;
    const watches = [...this.watches.values()];
    this.end();
    for (const { sink } of watches) sink.ended(failure);
  }

  private end(): void {
    this.isOver = true;
    this.watches.clear();
    this.limit.cancel();
    this.socket.close(NORMAL_CLOSE);
  }
}

function reasonOf(wasOpen: boolean, code: number, reason: string): string {
  if (!wasOpen) return 'no WebSocket: the node is gone, or does not allow the origin of this page';
  return reason === '' ? `the WebSocket was closed (${code})` : reason;
}
