import type { Socket } from 'node:net';
import { assert, DecodeError } from '@kahuna/base';
import { FrameReader, FramingError, frameHeader } from './frame-reader.ts';
import { PEER_MAGIC, PEER_PROTOCOL_VERSION } from './magic.ts';

/** Longest frame before the peer has said who it is, and after. Bytes. */
export const MAX_HANDSHAKE_FRAME_BYTES = 64 * 1024;
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** First byte of the frames of the handshake. */
const HandshakeKind = { Hello: 1, Refused: 2, Ready: 3 } as const;

const EMPTY = Buffer.alloc(0);
const MAX_REASON_BYTES = 512;

export interface PeerStreamEvents {
  /** Our hello. */
  hello(): Uint8Array;
  /** The peer's hello; throws or returns a refusal if the stream is not wanted. */
  accept(hello: Uint8Array): { readonly endpoint: string } | { readonly refused: string };
  /** Both sides agreed; frames may be sent from now on. */
  up(endpoint: string): void;
  frame(frame: Uint8Array): void;
  /** Called once, whether the stream was up or not. */
  closed(reason: string): void;
}

/**
 * One stream between two nodes. Both send the magic and a version first; then
 *
 *     dialler: hello →     acceptor: hello (or refused) →     dialler: ready (or refused) →     frames both ways
 *
 * so that a refusal by either side reaches the other as a reason, and neither counts a stream as up that the other refused.
 * After the handshake an empty frame is a sign of life. Anything unexpected ends the stream.
 */
export class PeerStream {
  readonly dialled: boolean;
  /** Whom the stream belongs to, once the peer has said it. */
  endpoint: string | undefined;
  isUp = false;
  readonly openedMs: number;
  lastHeardMs: number;
  lastSentMs: number;
  private readonly socket: Socket;
  private readonly events: PeerStreamEvents;
  private readonly reader: FrameReader;
  private readonly nowMs: () => number;
  /** What is still missing of magic and version, which come before the first frame. */
  private preamble: Buffer = EMPTY;
  private preambleSeen = false;
  private helloSeen = false;
  private ended = false;
  private corked = false;

  constructor(socket: Socket, dialled: boolean, events: PeerStreamEvents, nowMs: () => number) {
    this.socket = socket;
    this.dialled = dialled;
    this.events = events;
    this.nowMs = nowMs;
    this.openedMs = nowMs();
    this.lastHeardMs = this.openedMs;
    this.lastSentMs = this.openedMs;
    this.reader = new FrameReader(MAX_HANDSHAKE_FRAME_BYTES, frame => this.onFrame(frame));
    socket.setNoDelay(true);
    socket.on('data', chunk => this.onData(chunk));
    socket.on('error', error => this.close(error.message));
    // Client ports keep half-open connections for HTTP; between nodes an end is an end.
    socket.on('end', () => this.close('connection closed'));
    socket.on('close', () => this.close('connection closed'));
    socket.resume();
    if (dialled) this.sendHello();
  }

  /** Bytes accepted by `send` that the operating system has not taken yet. */
  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  /** Frames of one turn of the event loop leave in one system call. */
  send(frame: Uint8Array): void {
    assert(frame.length <= MAX_FRAME_BYTES, 'a frame is longer than the protocol allows');
    if (this.ended) return;
    if (!this.corked) {
      this.corked = true;
      this.socket.cork();
      process.nextTick(this.uncork);
    }
    this.lastSentMs = this.nowMs();
    this.socket.write(frameHeader(frame.length));
    if (frame.length > 0) this.socket.write(frame);
  }

  sendSignOfLife(): void {
    this.send(EMPTY);
  }

  /** Ends the stream at once; the peer sees it close. */
  close(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.isUp = false;
    this.socket.destroy();
    this.events.closed(reason);
  }

  /** Tells the peer why, then ends the stream. */
  refuse(reason: string): void {
    if (this.ended) return;
    const text = Buffer.from(reason, 'utf8').subarray(0, MAX_REASON_BYTES);
    this.socket.write(this.handshakeFrame(HandshakeKind.Refused, text));
    this.ended = true;
    this.isUp = false;
    this.socket.end();
    // A peer that does not close its side must not keep the socket for ever.
    setTimeout(() => this.socket.destroy(), 1000).unref();
    this.events.closed(reason);
  }

  private readonly uncork = (): void => {
    this.corked = false;
    this.socket.uncork();
  };

  private handshakeFrame(kind: number, body: Uint8Array): Buffer {
    return Buffer.concat([frameHeader(body.length + 1), Buffer.of(kind), body]);
  }

  private sendHello(): void {
    const frame = this.handshakeFrame(HandshakeKind.Hello, this.events.hello());
    this.socket.write(Buffer.concat([PEER_MAGIC, Buffer.of(PEER_PROTOCOL_VERSION), frame]));
  }

  private onData(chunk: Buffer): void {
    if (this.ended) return;
    this.lastHeardMs = this.nowMs();
    try {
      const rest = this.preambleSeen ? chunk : this.takePreamble(chunk);
      if (rest.length > 0) this.reader.push(rest);
    } catch (error) {
      // What the peer sent is wrong, and only its stream is lost; anything else is our own broken promise and must not be hidden.
      if (!(error instanceof FramingError || error instanceof DecodeError)) throw error;
      this.close(error.message);
    }
  }

  /** Returns what follows the preamble, nothing while it is incomplete. */
  private takePreamble(chunk: Buffer): Buffer {
    const bytes = Buffer.concat([this.preamble, chunk]);
    const magic = bytes.subarray(0, PEER_MAGIC.length);
    if (!magic.equals(PEER_MAGIC.subarray(0, magic.length))) throw new FramingError('not a node of this kind');
    if (bytes.length <= PEER_MAGIC.length) {
      this.preamble = bytes;
      return EMPTY;
    }
    const version = bytes[PEER_MAGIC.length];
    if (version !== PEER_PROTOCOL_VERSION)
      throw new FramingError(`node protocol version ${version}, not ${PEER_PROTOCOL_VERSION}`);
    this.preambleSeen = true;
    this.preamble = EMPTY;
    return bytes.subarray(PEER_MAGIC.length + 1);
  }

  private onFrame(frame: Buffer): void {
    if (this.ended) return;
    if (this.isUp) {
      if (frame.length > 0) this.events.frame(frame);
      return;
    }
    const kind = frame[0];
    const body = frame.subarray(1);
    if (kind === HandshakeKind.Refused) this.close(`refused by the peer: ${printable(body)}`);
    else if (kind === HandshakeKind.Hello && !this.helloSeen) this.onHello(body);
    else if (kind === HandshakeKind.Ready && this.helloSeen && !this.dialled) this.becomeUp();
    else throw new FramingError('unexpected frame in the handshake');
  }

  private onHello(body: Buffer): void {
    this.helloSeen = true;
    const verdict = this.events.accept(body);
    if (this.ended) return;
    if ('refused' in verdict) {
      if (!this.dialled) this.socket.write(Buffer.concat([PEER_MAGIC, Buffer.of(PEER_PROTOCOL_VERSION)]));
      this.refuse(verdict.refused);
      return;
    }
    this.endpoint = verdict.endpoint;
    if (this.dialled) {
      this.socket.write(this.handshakeFrame(HandshakeKind.Ready, EMPTY));
      this.becomeUp();
    } else {
      this.sendHello();
    }
  }

  private becomeUp(): void {
    assert(this.endpoint !== undefined, 'a stream is up only after the peer was accepted');
    this.isUp = true;
    this.reader.setMaxFrameBytes(MAX_FRAME_BYTES);
    this.events.up(this.endpoint);
  }
}

function printable(bytes: Buffer): string {
  return bytes
    .subarray(0, MAX_REASON_BYTES)
    .toString('utf8')
    .replace(/[^\x20-\x7e]/g, '?');
}
