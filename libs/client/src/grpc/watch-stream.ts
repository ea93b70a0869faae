import { type Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { watchMessages as messages } from '@kahuna/wire';
import { type OpenWatch, TransportFailure, type WatchRequest, type WatchSink } from '../transport.ts';
import { toldIn } from '../watch-told.ts';
import { failureFor, failureOf } from './failures.ts';

const PATH = '/Watcher/WatchMany';
const { GrpcWatchManyRequest, GrpcWatchManyResponse, GrpcWatchOpen } = messages;
/** A message that opens more goes on in another one: a server takes 10,000 and 1 MiB. */
const MESSAGE_WATCHES = 1000;
const MESSAGE_BYTES = 256 * 1024;

const asIs = (bytes: Buffer): Buffer => bytes;

/** Runs `then` as soon as the connection stands, else `otherwise`. */
export type WhenConnected = (then: () => void, otherwise: (reason: string) => void) => void;

interface SharedWatch {
  readonly sink: WatchSink;
  /** Opens the watch elsewhere: the server has no such stream. */
  readonly fallBack: () => void;
}

/** Many watches on one stream, which ends with the last of them. What several of them see is read once. */
export class WatchStream {
  private readonly client: Client;
  private readonly watches = new Map<number, SharedWatch>();
  private call: ClientDuplexStream<Buffer, Buffer> | undefined;
  private opening: messages.GrpcWatchOpen[] = [];
  private closing: number[] = [];
  private lastId = 0;
  private flushWanted = false;
  isOver = false;

  constructor(client: Client, whenConnected: WhenConnected) {
    this.client = client;
    // Whoever asked for the stream opens its watch first.
    setImmediate(() =>
      whenConnected(
        () => this.begin(),
        reason => this.fail(new TransportFailure(reason, false)),
      ),
    );
  }

  open(request: WatchRequest, sink: WatchSink, fallBack: () => void): OpenWatch {
    this.lastId += 1;
    const id = this.lastId;
    this.watches.set(id, { sink, fallBack });
    this.opening.push({ Id: id, Request: request });
    this.wantFlush();
    return { resume: () => undefined, close: () => this.drop(id) };
  }

  private drop(id: number): void {
    if (!this.watches.delete(id)) return;
    if (this.watches.size === 0) {
      this.end();
      return;
    }
    this.closing.push(id);
    this.wantFlush();
  }

  private wantFlush(): void {
    if (this.flushWanted || this.call === undefined) return;
    this.flushWanted = true;
    // What this turn of the event loop opens and closes leaves together.
    setImmediate(() => this.flush());
  }

  private flush(): void {
    this.flushWanted = false;
    if (this.call === undefined || this.isOver) return;
    do {
      this.call.write(Buffer.from(GrpcWatchManyRequest.encode({ Open: this.takeOpening(), Close: this.closing }).finish()));
      this.closing = [];
    } while (this.opening.length > 0);
  }

  private takeOpening(): messages.GrpcWatchOpen[] {
    const { opening } = this;
    let count = 0;
    for (let bytes = 0; count < opening.length && count < MESSAGE_WATCHES && bytes < MESSAGE_BYTES; count++)
      bytes += GrpcWatchOpen.encode(opening[count] as messages.GrpcWatchOpen).finish().length;
    return opening.splice(0, count);
  }

  private begin(): void {
    if (this.isOver) return;
    const call = this.client.makeBidiStreamRequest(PATH, asIs, asIs);
    this.call = call;
    call.on('data', (bytes: Buffer) => this.receive(bytes));
    call.on('error', (error: ServiceError) => {
      if (error.code === status.UNIMPLEMENTED) this.fallBack();
      else this.fail(failureOf(error));
    });
    call.on('status', ({ code, details }) => {
      if (code === status.OK) this.fail(new TransportFailure(details || 'the server ended the watches', true));
    });
    this.flush();
  }

  private receive(bytes: Buffer): void {
    try {
      const { Shares, Ends } = GrpcWatchManyResponse.decode(bytes);
      for (const { Ids, Response } of Shares) {
        if (Response === undefined) continue;
        const told = toldIn(Response);
        for (const id of Ids) this.watches.get(id)?.sink.told(told);
      }
      for (const { Id, Code, Details } of Ends) this.ended(Id, failureFor(Code, Details));
    } catch (error) {
      this.fail(new TransportFailure(`an answer that cannot be read: ${String(error)}`, true, 'protocol', { cause: error }));
    }
  }

  private ended(id: number, failure: TransportFailure): void {
    const watch = this.watches.get(id);
    if (watch === undefined) return;
    this.watches.delete(id);
    if (this.watches.size === 0) this.end();
    watch.sink.ended(failure);
  }

  private fallBack(): void {
    const watches = [...this.watches.values()];
    this.end();
    for (const watch of watches) watch.fallBack();
  }

  /** Ends all of its watches. */
  fail(failure: TransportFailure): void {
    if (this.isOver) return;
    const watches = [...this.watches.values()];
    this.end();
    for (const { sink } of watches) sink.ended(failure);
  }

  private end(): void {
    this.isOver = true;
    this.watches.clear();
    this.call?.cancel();
  }
}
