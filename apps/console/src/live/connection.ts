import {
  type ByeFrame,
  type ClientMessage,
  CloseCode,
  type DataFrame,
  type ErrorFrame,
  PROTOCOL_VERSION,
  type ServerFrame,
  type SourceAge,
  SUBPROTOCOL,
  type TickFrame,
  type TopicParams,
  type WelcomeFrame,
} from '../protocol/messages.ts';
import { backoffMs, OFFLINE_RETRY_MS } from './backoff.ts';
import { type ConnectionFacts, type ConnectionState, connectionState, SILENCE_MS } from './connection-state.ts';
import { Emitter } from './emitter.ts';

/** The part of a browser WebSocket that is used here. */
export interface Wire {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
}

/** The page around the connection; tests bring their own. */
export interface Surroundings {
  open(subprotocol: string): Wire;
  monotonicMs(): number;
  wallMs(): number;
  random(): number;
  after(ms: number, task: () => void): () => void;
  every(ms: number, task: () => void): () => void;
}

/** Where the frames of one subscription go, and what it can resume from. */
export interface FrameSink {
  resumeFrom(): { readonly stream: string; readonly seq: string } | undefined;
  receive(frame: DataFrame): void;
  refused(error: ErrorFrame): void;
  connectionLost(): void;
}

export interface Subscription {
  ack(seq: string): void;
  resync(reason: string): void;
  close(): void;
}

export interface PeerLink {
  readonly name: string;
  readonly url: string;
}

/** What the frame of the page draws; a new object whenever something in it changed. */
export interface ConnectionStatus {
  readonly state: ConnectionState;
  /** Wall clock of the last frame; what the screen shows is from then. */
  readonly lastFrameMs: number | undefined;
  readonly downSinceMs: number | undefined;
  readonly welcome: WelcomeFrame | undefined;
  /** Where to go while the state is `leaving`. */
  readonly peer: PeerLink | undefined;
  readonly sources: readonly SourceAge[];
  /** Monotonic instant of the tick that brought `sources`. */
  readonly sourcesAtMs: number;
  /** Monotonic instant of the latest welcome: before it this node may not have asked the others for their facts. */
  readonly welcomedAtMs: number;
}

export interface ConnectionLogEntry {
  readonly atMs: number;
  readonly text: string;
}

export interface ConnectionMeasures {
  readonly roundTripMs: number | undefined;
  /** Server clock minus browser clock, median of the last five. */
  readonly offsetMs: number | undefined;
  readonly frames: number;
  readonly bytes: number;
  readonly framesPerSec: number;
  readonly subscriptions: number;
}

const LOG_ENTRIES = 50;
const PING_EVERY_MS = 5_000;
const WATCH_EVERY_MS = 1_000;
const OFFSETS_KEPT = 5;

/**
 * The page's one connection (console §4.3, §5): opens it, keeps it, says what state it is in, and gives frames to their subscriptions.
 * It lives outside React; components read it through {@link status}.
 */
export class LiveConnection {
  readonly changed = new Emitter();
  private wire: Wire | undefined;
  private welcomed = false;
  private welcomedAtMs = Number.NEGATIVE_INFINITY;
  private everLive = false;
  private downSinceMs: number | undefined;
  private lastFrameAtMs: number;
  private lastFrameWallMs: number | undefined;
  private failedAttempts = 0;
  private goodbye: ByeFrame | undefined;
  private refused = false;
  private outdated = false;
  private welcome: WelcomeFrame | undefined;
  private tick: TickFrame | undefined;
  private tickAtMs = 0;
  private nextId = 1;
  private readonly sinks = new Map<number, { topic: string; params: TopicParams; sink: FrameSink }>();
  private cancelRetry: (() => void) | undefined;
  private cancelWatch: (() => void) | undefined;
  private cancelPing: (() => void) | undefined;
  private pings = 0;
  private roundTripMs: number | undefined;
  private readonly offsets: number[] = [];
  /** By the time in the greeting. */
  private guessedOffsetMs: number | undefined;
  private frames = 0;
  private bytes = 0;
  private framesAtWatch = 0;
  private framesPerSec = 0;
  private readonly entries: ConnectionLogEntry[] = [];
  private current: ConnectionStatus;
  private readonly around: Surroundings;

  constructor(around: Surroundings) {
    this.around = around;
    this.lastFrameAtMs = around.monotonicMs();
    this.current = this.compose();
  }

  start(): void {
    this.cancelWatch ??= this.around.every(WATCH_EVERY_MS, () => this.watch());
    this.cancelPing ??= this.around.every(PING_EVERY_MS, () => this.ping());
    this.connect();
  }

  stop(): void {
    for (const cancel of [this.cancelWatch, this.cancelPing, this.cancelRetry]) cancel?.();
    this.cancelWatch = undefined;
    this.cancelPing = undefined;
    this.cancelRetry = undefined;
    this.abandon();
  }

  /** The network came back, the tab got the focus, or somebody clicked: do not wait for the back-off. */
  retryNow(): void {
    if (this.wire !== undefined || this.cancelWatch === undefined) return;
    this.refused = false;
    this.connect();
  }

  get status(): ConnectionStatus {
    return this.current;
  }

  get log(): readonly ConnectionLogEntry[] {
    return this.entries;
  }

  measures(): ConnectionMeasures {
    return {
      roundTripMs: this.roundTripMs,
      offsetMs: this.offsetMs,
      frames: this.frames,
      bytes: this.bytes,
      framesPerSec: this.framesPerSec,
      subscriptions: this.sinks.size,
    };
  }

  /** Server clock minus browser clock in milliseconds. */
  get offsetMs(): number | undefined {
    const sorted = [...this.offsets].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? this.guessedOffsetMs;
  }

  subscribe(topic: string, params: TopicParams, sink: FrameSink): Subscription {
    const id = this.nextId++;
    this.sinks.set(id, { topic, params, sink });
    if (this.welcomed) this.sendSub(id);
    return {
      ack: seq => this.send({ t: 'ack', id, seq }),
      resync: reason => this.send({ t: 'resync', id, reason }),
      close: () => {
        this.sinks.delete(id);
        this.send({ t: 'unsub', id });
      },
    };
  }

  // ---- opening and losing -------------------------------------------------------------------------------------------------------

  private connect(): void {
    this.cancelRetry?.();
    this.cancelRetry = undefined;
    this.lastFrameAtMs = this.around.monotonicMs();
    const wire = this.around.open(SUBPROTOCOL);
    this.wire = wire;
    wire.onopen = () => {
      wire.send(
        JSON.stringify({ t: 'hello', protocol: PROTOCOL_VERSION, client: 'kahuna-console/0.1.0', clockMs: this.around.wallMs() }),
      );
    };
    wire.onmessage = event => this.receive(String(event.data));
    wire.onclose = event => this.lost(event.code, event.reason);
    this.publish();
  }

  private abandon(): void {
    const { wire } = this;
    this.wire = undefined;
    this.welcomed = false;
    if (wire === undefined) return;
    wire.onopen = null;
    wire.onmessage = null;
    wire.onclose = null;
    wire.close(1000);
  }

  private lost(code: number, reason: string): void {
    this.abandon();
    const now = this.around.monotonicMs();
    this.downSinceMs ??= now;
    this.failedAttempts++;
    this.note(`connection lost (${code}${reason === '' ? '' : `, ${reason}`})`);
    for (const { sink } of this.sinks.values()) sink.connectionLost();
    this.refused = code === CloseCode.notSignedIn || code === CloseCode.levelTooLow;
    this.outdated ||= code === CloseCode.version;
    if (!this.refused && !this.outdated) this.retryLater(now);
    this.publish();
  }

  private retryLater(now: number): void {
    const offline = this.stateAt(now) === 'offline';
    const wait = offline ? OFFLINE_RETRY_MS : backoffMs(this.failedAttempts, this.around.random());
    this.cancelRetry?.();
    this.cancelRetry = this.around.after(Math.max(wait, this.goodbye?.reconnectMs ?? 0), () => {
      this.note(`attempt ${this.failedAttempts + 1}`);
      this.connect();
    });
  }

  /** Half-open sockets tell nothing: silence does. */
  private watch(): void {
    this.framesPerSec = this.frames - this.framesAtWatch;
    this.framesAtWatch = this.frames;
    const silent = this.around.monotonicMs() - this.lastFrameAtMs;
    if (this.wire !== undefined && silent > SILENCE_MS) this.lost(0, `nothing heard for ${Math.round(silent / 1000)} s`);
    else this.publish();
  }

  // ---- frames -----------------------------------------------------------------------------------------------------------------

  private receive(text: string): void {
    this.lastFrameAtMs = this.around.monotonicMs();
    this.lastFrameWallMs = this.around.wallMs();
    this.frames++;
    this.bytes += text.length;
    const frame = JSON.parse(text) as ServerFrame;
    switch (frame.t) {
      case 'welcome':
        this.onWelcome(frame);
        break;
      case 'snap':
      case 'delta':
      case 'append':
        this.onData(frame);
        break;
      case 'tick':
        this.onTick(frame);
        break;
      case 'pong':
        this.onPong(frame.clockMs, frame.serverTimeMs);
        break;
      case 'error':
        this.onError(frame);
        break;
      case 'bye':
        this.goodbye = frame;
        this.note(frame.message);
        this.publish();
        break;
      default: // a frame of a later version is ignored (console §5.2)
    }
  }

  private onWelcome(frame: WelcomeFrame): void {
    this.outdated = frame.protocol !== PROTOCOL_VERSION;
    this.welcome = frame;
    this.welcomed = true;
    this.welcomedAtMs = this.around.monotonicMs();
    this.downSinceMs = undefined;
    this.failedAttempts = 0;
    this.goodbye = undefined;
    // Until a round trip was measured: without it every countdown would jump when the first one is.
    this.guessedOffsetMs = frame.serverTimeMs - this.around.wallMs();
    this.note(`connected to ${frame.node.name}`);
    for (const id of this.sinks.keys()) this.sendSub(id);
    this.ping();
    this.publish();
  }

  private sendSub(id: number): void {
    const entry = this.sinks.get(id);
    if (entry === undefined) return;
    const resume = entry.sink.resumeFrom();
    this.send({ t: 'sub', id, topic: entry.topic, params: entry.params, ...(resume === undefined ? {} : { resume }) });
  }

  private onData(frame: DataFrame): void {
    if (!this.everLive) {
      this.everLive = true;
      this.publish();
    }
    this.sinks.get(frame.id)?.sink.receive(frame);
  }

  private onTick(frame: TickFrame): void {
    this.tick = frame;
    this.tickAtMs = this.around.monotonicMs();
    this.publish();
  }

  private onPong(clockMs: number, serverTimeMs: number): void {
    const now = this.around.wallMs();
    this.roundTripMs = now - clockMs;
    this.offsets.push(serverTimeMs - (clockMs + now) / 2);
    if (this.offsets.length > OFFSETS_KEPT) this.offsets.shift();
  }

  private onError(frame: ErrorFrame): void {
    this.note(`refused: ${frame.code} ${frame.message}`);
    if (frame.id !== null) this.sinks.get(frame.id)?.sink.refused(frame);
  }

  private ping(): void {
    if (this.welcomed) this.send({ t: 'ping', n: ++this.pings, clockMs: this.around.wallMs() });
  }

  private send(message: ClientMessage): void {
    if (this.welcomed) this.wire?.send(JSON.stringify(message));
  }

  // ---- status -----------------------------------------------------------------------------------------------------------------

  private note(text: string): void {
    this.entries.push({ atMs: this.around.wallMs(), text });
    if (this.entries.length > LOG_ENTRIES) this.entries.shift();
  }

  private stateAt(nowMs: number): ConnectionState {
    const facts: ConnectionFacts = {
      nowMs,
      everLive: this.everLive,
      open: this.welcomed,
      downSinceMs: this.downSinceMs,
      failedAttempts: this.failedAttempts,
      saidGoodbye: this.goodbye !== undefined,
      peerKnown: this.peer() !== undefined,
      coalescing: this.tick?.coalescing ?? false,
      refused: this.refused,
      outdated: this.outdated,
    };
    return connectionState(facts);
  }

  /** A peer whose console address is known, one that was alive at the last tick first. */
  private peer(): PeerLink | undefined {
    const alive = new Set(this.tick?.sources.filter(s => s.state === 'live').map(s => s.nodeId));
    const known = (this.welcome?.peers ?? []).filter(p => p.consoleUrl !== null);
    const best = known.find(p => alive.has(p.nodeId));
    return best === undefined || best.consoleUrl === null ? undefined : { name: best.name, url: best.consoleUrl };
  }

  private compose(): ConnectionStatus {
    return {
      state: this.stateAt(this.around.monotonicMs()),
      lastFrameMs: this.lastFrameWallMs,
      downSinceMs: this.downSinceMs,
      welcome: this.welcome,
      peer: this.peer(),
      sources: this.tick?.sources ?? [],
      sourcesAtMs: this.tickAtMs,
      welcomedAtMs: this.welcomedAtMs,
    };
  }

  private publish(): void {
    const next = this.compose();
    const before = this.current;
    // `lastFrameMs` alone moves all the time and matters only once nothing moves any more.
    const same =
      before.state === next.state &&
      before.welcome === next.welcome &&
      before.sourcesAtMs === next.sourcesAtMs &&
      before.downSinceMs === next.downSinceMs;
    if (same) return;
    this.current = next;
    this.changed.emit();
  }
}
