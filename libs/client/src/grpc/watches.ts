import { type Client, type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js';
import { type OpenWatch, TransportFailure, type WatchRequest, type WatchSink } from '../transport.ts';
import { toldIn } from '../watch-told.ts';
import { failureOf } from './failures.ts';
import { WATCH_STREAM } from './methods.ts';
import { WatchStream, type WhenConnected } from './watch-stream.ts';

type Response = Parameters<typeof toldIn>[0];

/**
 * Watches of one connection. Those that begin with what happens from now on share a stream: what several of them see then comes
 * once. One that has much to catch up with gets a call of its own, where the flow control of HTTP/2 holds the server back.
 */
export class Watches {
  private readonly client: Client;
  private readonly whenConnected: WhenConnected;
  private readonly alone = new Set<LoneWatch>();
  private shared: WatchStream | undefined;
  /** The server knows no shared stream. */
  private unserved = false;

  constructor(client: Client, whenConnected: WhenConnected) {
    this.client = client;
    this.whenConnected = whenConnected;
  }

  open(request: WatchRequest, alone: boolean, sink: WatchSink): OpenWatch {
    if (alone || this.unserved || catchesUp(request)) return this.openAlone(request, sink);
    let way: OpenWatch | undefined;
    let closed = false;
    const fallBack = (): void => {
      this.unserved = true;
      if (!closed) way = this.openAlone(request, sink);
    };
    way = this.sharedStream().open(request, sink, fallBack);
    return {
      resume: () => way?.resume(),
      close: () => {
        closed = true;
        way?.close();
      },
    };
  }

  private sharedStream(): WatchStream {
    if (this.shared === undefined || this.shared.isOver) {
      this.shared = new WatchStream(this.client, this.whenConnected);
    }
    return this.shared;
  }

  private openAlone(request: WatchRequest, sink: WatchSink): OpenWatch {
    const watch = new LoneWatch(this.client, sink, () => this.alone.delete(watch));
    this.alone.add(watch);
    setImmediate(() =>
      this.whenConnected(
        () => watch.begin(request),
        reason => watch.fail(new TransportFailure(reason, false)),
      ),
    );
    return watch;
  }

  close(): void {
    const failure = new TransportFailure('the connection is closed', false);
    this.shared?.fail(failure);
    for (const watch of [...this.alone]) watch.fail(failure);
  }
}

/** Its first answers are not what happens from now on, but what was there or happened before. */
function catchesUp({ Start }: WatchRequest): boolean {
  return Start !== undefined && Start.$case !== 'Position';
}

/** A watch with a call of its own. */
class LoneWatch implements OpenWatch {
  private readonly client: Client;
  private readonly sink: WatchSink;
  private readonly onEnd: () => void;
  private call: ClientReadableStream<Response> | undefined;
  private over = false;

  constructor(client: Client, sink: WatchSink, onEnd: () => void) {
    this.client = client;
    this.sink = sink;
    this.onEnd = onEnd;
  }

  begin(request: WatchRequest): void {
    if (this.over) return;
    const { path, encode, decode } = WATCH_STREAM;
    const call: ClientReadableStream<Response> = this.client.makeServerStreamRequest(path, encode, decode, request);
    this.call = call;
    call.on('data', (response: Response) => this.receive(response));
    call.on('error', (error: ServiceError) => this.fail(failureOf(error)));
    // A server that ends a watch without a reason is one that stops.
    call.on('status', ({ code, details }) => {
      if (code === status.OK) this.fail(new TransportFailure(details || 'the server ended the watch', true));
    });
  }

  private receive(response: Response): void {
    if (this.over) return;
    let told: ReturnType<typeof toldIn>;
    try {
      told = toldIn(response);
    } catch (error) {
      this.fail(new TransportFailure(String(error), true, 'protocol', { cause: error }));
      return;
    }
    this.sink.told(told);
  }

  fail(failure: TransportFailure): void {
    if (this.over) return;
    this.close();
    this.sink.ended(failure);
  }

  readonly pause = (): void => {
    this.call?.pause();
  };

  resume(): void {
    this.call?.resume();
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.call?.cancel();
    this.onEnd();
  }
}
