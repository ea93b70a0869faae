import { type Client, type ClientDuplexStream, type Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import type { Runtime, Timer } from '../runtime.ts';
import { type Reply, TransportFailure } from '../transport.ts';

/** A stream whose headers do not come within this has no server behind it that could serve. Milliseconds. */
const OPEN_LIMIT_MS = 5000;
/** Requests unanswered on one stream; the server reads no further at 4,096 (grpc §8.2), so more would only fill buffers. */
const MAX_UNANSWERED = 4000;

/** What one turn encodes before the network is asked whether it takes it. Bytes. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

const asIs = (bytes: Buffer): Buffer => bytes;

/** A request that never left. */
export interface Waiting<Q, R> {
  readonly request: Q;
  readonly reply: Reply<R>;
}

/**
 * A client batch stream (grpc §8): many requests on one call, answered in any order.
 *
 * Requests wait until the server's headers are here, which it sends at once. From then on the stream is known to be served, so
 * a request that never left is told apart from one whose answer was lost: the first may be repeated, whatever it is.
 */
export abstract class HeldStream<Q, R> {
  private readonly client: Client;
  private readonly path: string;
  private readonly runtime: Runtime;
  private call: ClientDuplexStream<Buffer, Buffer> | undefined;
  private open = false;
  /** The network takes no more for now: further messages would only pile up in memory. */
  private blocked = false;
  private openLimit: Timer | undefined;
  private unanswered = new Map<number, Reply<R>>();
  private waiting: Waiting<Q, R>[] = [];
  private nextRequestId = 1;
  private flushWanted = false;
  private closed = false;

  constructor(client: Client, path: string, runtime: Runtime) {
    this.client = client;
    this.path = path;
    this.runtime = runtime;
  }

  send(request: Q, reply: Reply<R>): void {
    if (this.closed) {
      queueMicrotask(() => reply.failed(new TransportFailure('the connection is closed', false)));
      return;
    }
    if (this.call === undefined) this.begin();
    if (!this.mayPass) {
      this.waiting.push({ request, reply });
      return;
    }
    this.pass(request, reply);
    this.wantFlush();
  }

  private get mayPass(): boolean {
    if (!this.open || this.blocked) return false;
    return this.unanswered.size < MAX_UNANSWERED && this.unsentBytes < MAX_UNSENT_BYTES;
  }

  /** Hands one request to the encoder under a number of its own. */
  private pass(request: Q, reply: Reply<R>): void {
    const requestId = this.nextRequestId;
    this.nextRequestId = (requestId + 1) | 0;
    const refusal = this.encode(requestId, request);
    if (refusal === undefined) this.unanswered.set(requestId, reply);
    else queueMicrotask(() => reply.failed(new TransportFailure(refusal, false, 'request')));
  }

  private wantFlush(): void {
    if (this.flushWanted) return;
    this.flushWanted = true;
    // Everything that this turn of the event loop asks for leaves together.
    setImmediate(this.flush);
  }

  private readonly flush = (): void => {
    this.flushWanted = false;
    const { call } = this;
    if (call === undefined || !this.open) return;
    for (const message of this.takeMessages()) if (!call.write(message)) this.blocked = true;
    this.passWaiting();
  };

  /** What is encoded and not taken yet, about. */
  protected abstract get unsentBytes(): number;

  /** Adds the request to the messages in the making; the reason where that cannot be. */
  protected abstract encode(requestId: number, request: Q): string | undefined;
  /** Messages to be sent now, which belong to the stream from here on. */
  protected abstract takeMessages(): readonly Buffer[];
  /** Forgets what was encoded and not taken: its stream is gone. */
  protected abstract reset(): void;
  protected abstract opened(headers: Metadata): void;
  /** Calls `settle` for each answer in the message. */
  protected abstract receive(message: Buffer): void;

  /** Whoever waits for that number, who gets its answer now. */
  protected settle(requestId: number): Reply<R> | undefined {
    const reply = this.unanswered.get(requestId);
    this.unanswered.delete(requestId);
    return reply;
  }

  private begin(): void {
    const call = this.client.makeBidiStreamRequest(this.path, asIs, asIs);
    this.call = call;
    this.openLimit = this.runtime.after(OPEN_LIMIT_MS, () => {
      if (call === this.call && !this.open) this.broken(call, `no answer within ${OPEN_LIMIT_MS} ms`);
    });
    call.on('metadata', headers => {
      if (call !== this.call) return;
      this.openLimit?.cancel();
      this.open = true;
      this.opened(headers);
      this.passWaiting();
    });
    call.on('data', (message: Buffer) => {
      if (call !== this.call) return;
      try {
        this.receive(message);
      } catch (error) {
        this.broken(call, `an answer that cannot be read: ${String(error)}`);
        return;
      }
      this.passWaiting();
    });
    call.on('drain', () => {
      if (call !== this.call) return;
      this.blocked = false;
      this.passWaiting();
    });
    call.on('error', (error: ServiceError) => {
      if (call === this.call && error.code === status.UNIMPLEMENTED && !this.open) this.leaveToOthers();
      this.broken(call, error.message);
    });
    call.on('status', ({ details }: StatusObject) => this.broken(call, details || 'the server ended the stream'));
  }

  /** Takes over requests that the server has no such stream for; undefined: they fail. */
  protected readonly unserved: ((requests: readonly Waiting<Q, R>[]) => void) | undefined;

  private leaveToOthers(): void {
    if (this.unserved === undefined) return;
    const { waiting } = this;
    this.waiting = [];
    this.unserved(waiting);
  }

  private passWaiting(): void {
    let passed = 0;
    for (; passed < this.waiting.length && this.mayPass; passed++) {
      const { request, reply } = this.waiting[passed] as Waiting<Q, R>;
      this.pass(request, reply);
    }
    if (passed === 0) return;
    this.waiting.splice(0, passed);
    this.wantFlush();
  }

  /** Nobody will answer on this stream any more. The next request begins a new one. */
  private broken(call: ClientDuplexStream<Buffer, Buffer>, reason: string): void {
    if (call !== this.call) return;
    this.openLimit?.cancel();
    this.call = undefined;
    this.open = false;
    this.blocked = false;
    this.reset();
    call.cancel();
    const { unanswered, waiting } = this;
    this.unanswered = new Map();
    this.waiting = [];
    for (const { reply } of waiting) reply.failed(new TransportFailure(reason, false));
    for (const reply of unanswered.values()) reply.failed(new TransportFailure(reason, true));
  }

  close(): void {
    this.closed = true;
    if (this.call !== undefined) this.broken(this.call, 'the connection is closed');
  }
}
