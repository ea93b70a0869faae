import {
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { ReceivedResult, RequestedOperation } from '@kahuna/wire';
import { InvalidInputError } from '../errors.ts';
import { type Runtime, systemRuntime } from '../runtime.ts';
import type { TlsOptions } from '../tls.ts';
import {
  type Connection,
  type Method,
  type OpenWatch,
  type RangePage,
  type RangeRequest,
  type Reply,
  type RequestOf,
  type ResponseOf,
  type Transport,
  TransportFailure,
  type WatchRequest,
  type WatchSink,
} from '../transport.ts';
import { type BatchedRequest, BatcherStream, isBatchedMethod } from './batcher-stream.ts';
import { failureOf } from './failures.ts';
import { KeyStream } from './key-stream.ts';
import { isLockMethod, type LockRequest, LockStream } from './lock-stream.ts';
import { RANGE_STREAM, RPCS, type UnaryMethod } from './methods.ts';
import { Watches } from './watches.ts';

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** A connection is given this long to come up before a request goes elsewhere. Milliseconds. */
const CONNECT_LIMIT_MS = 5000;

const CHANNEL_OPTIONS: ChannelOptions = {
  // A connection of its own per client: two clients of one process do not share back-offs and fates.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  // Back-off is decided above, per endpoint and with jitter: the channel tries when it is asked.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // A node that is paused or cut off keeps its connections: only silence tells.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  // Repetition is the caller's decision: a transparent retry would hide that a write may have been executed.
  'grpc.enable_retries': 0,
};

/** gRPC over HTTP/2: batch streams for keys, locks and sequences, one call each for everything else. */
class GrpcConnection implements Connection {
  private readonly client: Client;
  private readonly keys: KeyStream;
  private readonly batcher: BatcherStream;
  /** Of servers without a batcher. */
  private readonly locks: LockStream;
  private readonly watches: Watches;
  private hasBatcher = true;
  private closed = false;

  constructor(client: Client, runtime: Runtime) {
    this.client = client;
    this.keys = new KeyStream(client, runtime);
    this.locks = new LockStream(client, runtime);
    this.watches = new Watches(client, (then, otherwise) => this.whenConnected(CONNECT_LIMIT_MS, then, otherwise));
    this.batcher = new BatcherStream(client, runtime, requests => {
      this.hasBatcher = false;
      for (const { request, reply } of requests) this.call(request.method, request.message, request.timeoutMs, reply);
    });
  }

  operate(operation: RequestedOperation, reply: Reply<ReceivedResult>): void {
    this.keys.send(operation, reply);
  }

  call<M extends Method>(method: M, request: RequestOf<M>, timeoutMs: number, reply: Reply<ResponseOf<M>>): void {
    if (this.hasBatcher && isBatchedMethod(method)) {
      this.batcher.send({ method, message: request as BatchedRequest['message'], timeoutMs }, reply as Reply<unknown>);
      return;
    }
    if (isLockMethod(method)) {
      // Method and message belong together by the signature; the compiler loses sight of that behind the test.
      this.locks.send({ method, message: request } as LockRequest, reply as Reply<unknown>);
      return;
    }
    this.whenConnected(
      timeoutMs,
      () => this.unary(method as UnaryMethod & M, request, timeoutMs, reply),
      reason => reply.failed(new TransportFailure(reason, false)),
    );
  }

  /** Calls leave only on a connection that stands, so that one that never left is known as such. */
  private whenConnected(timeoutMs: number, then: () => void, otherwise: (reason: string) => void): void {
    if (this.closed) {
      queueMicrotask(() => otherwise('the connection is closed'));
      return;
    }
    if (this.client.getChannel().getConnectivityState(true) === connectivityState.READY) {
      then();
      return;
    }
    const limit = new Date(Date.now() + Math.min(timeoutMs, CONNECT_LIMIT_MS));
    this.awaitReady(limit, then, otherwise);
  }

  private awaitReady(limit: Date, then: () => void, otherwise: (reason: string) => void): void {
    const channel = this.client.getChannel();
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) then();
    else if (this.closed || state === connectivityState.SHUTDOWN) otherwise('the connection is closed');
    else if (state === connectivityState.TRANSIENT_FAILURE) otherwise('no connection can be made');
    else {
      channel.watchConnectivityState(state, limit, error => {
        if (error) otherwise('no connection in time');
        else this.awaitReady(limit, then, otherwise);
      });
    }
  }

  private unary<M extends UnaryMethod>(method: M, request: RequestOf<M>, timeoutMs: number, reply: Reply<ResponseOf<M>>): void {
    const { path, encode, decode } = RPCS[method];
    const deadline = Date.now() + timeoutMs;
    this.client.makeUnaryRequest(path, encode, decode, request, new Metadata(), { deadline }, (error, response) => {
      if (error === null && response !== undefined) reply.answered(response);
      else reply.failed(failureOf(error));
    });
  }

  async *pages(request: RangeRequest, signal: AbortSignal | undefined): AsyncGenerator<RangePage, void, void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      this.whenConnected(CONNECT_LIMIT_MS, resolve, reason => reject(new TransportFailure(reason, false)));
    });
    const { path, encode, decode } = RANGE_STREAM;
    const call: ClientReadableStream<RangePage> = this.client.makeServerStreamRequest(path, encode, decode, request);
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      for await (const page of call) yield page as RangePage;
    } catch (error) {
      signal?.throwIfAborted();
      throw failureOf(error as ServiceError);
    } finally {
      signal?.removeEventListener('abort', abort);
      call.cancel();
    }
  }

  watch(request: WatchRequest, alone: boolean, sink: WatchSink): OpenWatch {
    return this.watches.open(request, alone, sink);
  }

  close(): void {
    this.closed = true;
    this.keys.close();
    this.batcher.close();
    this.locks.close();
    this.watches.close();
    this.client.close();
  }
}

function credentialsFor(url: URL, tls: TlsOptions | undefined) {
  if (url.protocol === 'http:') return credentials.createInsecure();
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  return credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert), { rejectUnauthorized: tls?.verify ?? true });
}

/** gRPC batch streams, the way to go in Node.js. */
export function grpcTransport(): Transport {
  return {
    name: 'grpc',
    connect(endpoint, tls) {
      const url = new URL(endpoint);
      if (url.protocol !== 'http:' && url.protocol !== 'https:') {
        throw new InvalidInputError(`an endpoint begins with http:// or https://: ${endpoint}`);
      }
      const address = url.port === '' ? `${url.hostname}:${url.protocol === 'http:' ? 80 : 443}` : url.host;
      return new GrpcConnection(new Client(address, credentialsFor(url, tls), CHANNEL_OPTIONS), systemRuntime);
    },
  };
}
