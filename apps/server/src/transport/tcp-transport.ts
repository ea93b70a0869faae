import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { assert } from '@kahuna/base';
import type { Transport, TransportListener } from '@kahuna/node';
import { PEER_ALPN } from './magic.ts';
import { PeerStream } from './peer-stream.ts';

export interface TcpTransportOptions {
  /** Raft endpoint of this node. */
  readonly self: string;
  /** Present: streams are dialled with TLS. */
  readonly tls: ConnectionOptions | undefined;
  readonly log: (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, string | number>>) => void;
  readonly monotonicMs: () => number;
  /** Uniform in [0, 1), for the jitter of the back-off. */
  readonly random: () => number;
  readonly timings?: Partial<TransportTimings>;
}

/** Milliseconds. */
export interface TransportTimings {
  readonly backoffMin: number;
  readonly backoffMax: number;
  /** How long the greater endpoint waits for the smaller one to dial before it dials itself. */
  readonly dialGrace: number;
  readonly handshake: number;
  /** Silence after which a sign of life is sent. */
  readonly keepalive: number;
  /** Silence of the peer after which its stream is given up. */
  readonly silence: number;
}

const DEFAULT_TIMINGS: TransportTimings = {
  backoffMin: 50,
  backoffMax: 2000,
  dialGrace: 1500,
  handshake: 5000,
  keepalive: 1000,
  silence: 5000,
};

/** Outbound bytes per peer beyond which frames are dropped: a peer that slow is brought up to date by probes or a snapshot. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
/** Connections that have not said who they are; more are closed at once. */
const MAX_PENDING_STREAMS = 64;

/** A peer that a stream is kept to. */
interface Peer {
  readonly endpoint: string;
  /** `connect` was called and not `disconnect`. Otherwise the peer came by itself. */
  wanted: boolean;
  stream: PeerStream | undefined;
  dialling: PeerStream | undefined;
  dialTimer: NodeJS.Timeout | undefined;
  failures: number;
  lastFailure: string;
}

/**
 * Streams between nodes over TCP or TLS (the node-to-node protocol's lowest layer; messages inside are the host's).
 *
 * One stream per pair of nodes: the smaller endpoint dials. The greater one dials too if nothing came for a while, because the other
 * may not know it yet (a node that joins) or be unable to reach it. When two streams of a pair exist, both sides keep the one that
 * the smaller endpoint dialled; of two that the same side dialled, the later one, since its dialler has given up the first.
 */
export class TcpTransport implements Transport {
  private owner: TransportListener | undefined;
  private readonly options: TcpTransportOptions;
  private readonly timings: TransportTimings;
  private readonly peers = new Map<string, Peer>();
  /** Streams in their handshake. */
  private readonly pending = new Set<PeerStream>();
  private readonly sweeper: NodeJS.Timeout;
  private closed = false;

  constructor(options: TcpTransportOptions) {
    this.options = options;
    this.timings = { ...DEFAULT_TIMINGS, ...options.timings };
    this.sweeper = setInterval(() => this.sweep(), Math.min(this.timings.keepalive, this.timings.handshake) / 2);
    this.sweeper.unref();
  }

  get listener(): TransportListener {
    assert(this.owner !== undefined, 'the transport has no listener yet');
    return this.owner;
  }

  set listener(listener: TransportListener) {
    this.owner = listener;
  }

  connect(endpoint: string): void {
    if (this.closed || endpoint === this.options.self) return;
    const peer = this.peer(endpoint);
    if (peer.wanted) return;
    peer.wanted = true;
    this.scheduleDial(peer, this.dialsFirst(endpoint) ? 0 : this.timings.dialGrace);
  }

  disconnect(endpoint: string): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined) return;
    peer.wanted = false;
    clearTimeout(peer.dialTimer);
    this.peers.delete(endpoint);
    peer.dialling?.close('disconnected');
    if (peer.stream === undefined) return;
    peer.stream.close('disconnected');
    // The caller is not re-entered (contract of the ports).
    if (!this.closed) setImmediate(() => this.listener.onDown(endpoint, 'disconnected'));
  }

  send(endpoint: string, frame: Uint8Array): boolean {
    const stream = this.peers.get(endpoint)?.stream;
    if (stream === undefined) return true;
    if (stream.queuedBytes + frame.length > MAX_QUEUED_BYTES) return false;
    stream.send(frame);
    return true;
  }

  queuedBytes(endpoint: string): number {
    return this.peers.get(endpoint)?.stream?.queuedBytes ?? 0;
  }

  /** A connection whose first bytes are (or must be) the magic. The bytes are still to be read from it. */
  accept(socket: Socket): void {
    if (this.closed || this.owner === undefined || this.pending.size >= MAX_PENDING_STREAMS) {
      socket.destroy();
      return;
    }
    this.open(socket, undefined);
  }

  close(done: () => void): void {
    this.closed = true;
    clearInterval(this.sweeper);
    for (const endpoint of [...this.peers.keys()]) this.disconnect(endpoint);
    for (const stream of [...this.pending]) stream.close('shutting down');
    setImmediate(done);
  }

  // ---- dialling ------------------------------------------------------------------------------------------------------------

  private dialsFirst(endpoint: string): boolean {
    return this.options.self < endpoint;
  }

  private peer(endpoint: string): Peer {
    let peer = this.peers.get(endpoint);
    if (peer === undefined) {
      peer = {
        endpoint,
        wanted: false,
        stream: undefined,
        dialling: undefined,
        dialTimer: undefined,
        failures: 0,
        lastFailure: '',
      };
      this.peers.set(endpoint, peer);
    }
    return peer;
  }

  private scheduleDial(peer: Peer, delayMs: number): void {
    clearTimeout(peer.dialTimer);
    peer.dialTimer = setTimeout(() => this.dial(peer), delayMs);
    peer.dialTimer.unref();
  }

  private dial(peer: Peer): void {
    if (this.closed || !peer.wanted || peer.stream !== undefined || peer.dialling !== undefined) return;
    const at = peer.endpoint.lastIndexOf(':');
    const host = peer.endpoint.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    const port = Number(peer.endpoint.slice(at + 1));
    const socket =
      this.options.tls === undefined
        ? connectTcp({ host, port })
        : connectTls({ ALPNProtocols: [PEER_ALPN], servername: host, ...this.options.tls, host, port });
    peer.dialling = this.open(socket, peer);
  }

  /** Exponential, with full jitter in its upper half, so that nodes restarted together do not dial in step. */
  private backoffMs(failures: number): number {
    const { backoffMin, backoffMax } = this.timings;
    const ceiling = Math.min(backoffMax, backoffMin * 2 ** Math.min(failures, 10));
    return ceiling / 2 + (ceiling / 2) * this.options.random();
  }

  // ---- streams -------------------------------------------------------------------------------------------------------------

  private open(socket: Socket, dialledPeer: Peer | undefined): PeerStream {
    const from = dialledPeer?.endpoint ?? `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const stream: PeerStream = new PeerStream(
      socket,
      dialledPeer !== undefined,
      {
        hello: () => this.listener.hello(),
        accept: hello => this.admit(stream, this.listener.onHello(hello, dialledPeer?.endpoint), from),
        up: endpoint => this.onUp(stream, endpoint),
        frame: frame => this.listener.onFrame(stream.endpoint as string, frame),
        closed: reason => this.onClosed(stream, dialledPeer, from, reason),
      },
      this.options.monotonicMs,
    );
    this.pending.add(stream);
    return stream;
  }

  private admit(
    stream: PeerStream,
    verdict: { readonly endpoint: string } | { readonly refused: string },
    from: string,
  ): { readonly endpoint: string } | { readonly refused: string } {
    if ('refused' in verdict) {
      this.options.log('warn', 'node refused', { peer: from, reason: verdict.refused });
      return verdict;
    }
    const existing = this.peers.get(verdict.endpoint)?.stream;
    const keepExisting = existing !== undefined && this.outranks(existing, stream, verdict.endpoint);
    return keepExisting ? { refused: 'another stream to this node is up' } : verdict;
  }

  /** Of two streams of one pair, does the existing one stay? */
  private outranks(existing: PeerStream, candidate: PeerStream, endpoint: string): boolean {
    if (existing.dialled === candidate.dialled) return false;
    return existing.dialled === this.dialsFirst(endpoint);
  }

  private onUp(stream: PeerStream, endpoint: string): void {
    this.pending.delete(stream);
    const peer = this.peer(endpoint);
    const previous = peer.stream;
    if (previous !== undefined && this.outranks(previous, stream, endpoint)) {
      stream.close('another stream to this node is up');
      return;
    }
    if (previous !== undefined) {
      peer.stream = undefined;
      previous.close('replaced by a newer stream');
      this.listener.onDown(endpoint, 'replaced by a newer stream');
    }
    if (peer.dialling === stream) peer.dialling = undefined;
    clearTimeout(peer.dialTimer);
    peer.stream = stream;
    peer.failures = 0;
    peer.lastFailure = '';
    this.options.log('info', 'connected to node', { peer: endpoint });
    this.listener.onUp(endpoint);
  }

  private onClosed(stream: PeerStream, dialledPeer: Peer | undefined, from: string, reason: string): void {
    const neverUp = this.pending.delete(stream);
    const endpoint = stream.endpoint ?? dialledPeer?.endpoint;
    const peer = endpoint === undefined ? undefined : this.peers.get(endpoint);
    if (dialledPeer?.dialling === stream) dialledPeer.dialling = undefined;
    if (peer !== undefined && peer.stream === stream) {
      peer.stream = undefined;
      this.options.log('warn', 'lost the connection to a node', { peer: peer.endpoint, reason });
      this.listener.onDown(peer.endpoint, reason);
      if (!peer.wanted) this.peers.delete(peer.endpoint);
    } else if (neverUp && !this.closed) {
      this.reportFailure(dialledPeer, from, reason);
    }
    const redial = peer?.stream === undefined ? (dialledPeer ?? peer) : undefined;
    if (redial?.wanted && !this.closed) {
      redial.failures++;
      const grace = this.dialsFirst(redial.endpoint) ? 0 : this.timings.dialGrace;
      this.scheduleDial(redial, Math.max(grace, this.backoffMs(redial.failures)));
    }
  }

  /** A node that stays unreachable is one line, not one per attempt. */
  private reportFailure(peer: Peer | undefined, from: string, reason: string): void {
    if (peer !== undefined) {
      if (peer.lastFailure === reason) return;
      peer.lastFailure = reason;
    }
    this.options.log('warn', peer === undefined ? 'node connection dropped' : 'cannot reach node', { peer: from, reason });
  }

  private sweep(): void {
    const now = this.options.monotonicMs();
    for (const stream of [...this.pending]) {
      if (now - stream.openedMs > this.timings.handshake) stream.close('handshake timed out');
    }
    for (const { stream } of [...this.peers.values()]) {
      if (stream === undefined) continue;
      if (now - stream.lastHeardMs > this.timings.silence) stream.close(`silent for ${Math.round(now - stream.lastHeardMs)} ms`);
      else if (now - stream.lastSentMs >= this.timings.keepalive) stream.sendSignOfLife();
    }
  }
}
