import * as grpc from '@grpc/grpc-js';
import {
  addOperationRequest,
  EnvelopeFrames,
  EnvelopeReader,
  isOneKeyType,
  MAX_BATCH_MESSAGE_BYTES,
  type ReceivedResult,
  type RequestedOperation,
  ResponseDecoder,
} from '@kahuna/wire';

/** The answer, or undefined when the stream broke before it came: then nobody knows what became of the operation. */
export type Received = (result: ReceivedResult | undefined) => void;

const METHOD = '/KeyValuer/BatchClientKeyValueRequests';
const asIs = (bytes: Buffer): Buffer => bytes;

/** Channel options of every client here: a connection of its own, and answers as large as the contract allows. */
export const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': 64 * 1024 * 1024,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
};

/** Longest that the first requests of a stream wait for its headers, which say whether frames are taken. Milliseconds. */
const HEADERS_WAIT_MS = 20;

/**
 * A client of the key/value batch stream (grpc §8): requests of one turn of the event loop go out as frames once the server has
 * said that it takes them. The first ones wait for that word: sent one by one they would be answered one by one, each answer
 * would bring one next request, and no frame would ever come about. One stream lives as long as its connection; after a break the next request opens a new one.
 */
export class BatchStream {
  private readonly client: grpc.Client;
  private call: grpc.ClientDuplexStream<Buffer, Buffer> | undefined;
  private frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
  private readonly reader = new EnvelopeReader();
  private readonly decoder = new ResponseDecoder();
  private pending = new Map<number, Received>();
  private nextRequestId = 1;
  /** The server takes frames on the stream that is open. */
  private framing = false;
  private flushWanted = false;
  private closed = false;
  /** Requests of a stream whose headers are not here yet. */
  private opening: { requestId: number; operation: RequestedOperation }[] | undefined;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  /** `done` is called once, never inside this call. */
  send(operation: RequestedOperation, done: Received): void {
    if (this.closed) {
      setImmediate(done, undefined);
      return;
    }
    if (!this.call) this.open();
    const requestId = this.nextRequestId;
    this.nextRequestId = (this.nextRequestId + 1) | 0;
    this.pending.set(requestId, done);
    if (this.opening === undefined) this.encode(requestId, operation);
    else this.opening.push({ requestId, operation });
  }

  private encode(requestId: number, operation: RequestedOperation): void {
    if (!addOperationRequest(this.frames, requestId, operation)) {
      const done = this.pending.get(requestId);
      this.pending.delete(requestId);
      if (done) setImmediate(done, undefined);
      return;
    }
    if (!this.flushWanted) {
      this.flushWanted = true;
      setImmediate(this.flush);
    }
  }

  private readonly flush = (): void => {
    this.flushWanted = false;
    // Copied, because the library sends a message some turns after it took it.
    for (const message of this.frames.take()) this.call?.write(Buffer.from(message));
    this.frames.clear();
    if (this.framing) this.frames.allowFrames();
  };

  private open(): void {
    const call = this.client.makeBidiStreamRequest(METHOD, asIs, asIs);
    this.call = call;
    this.frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
    this.framing = false;
    this.opening = [];
    const opened = (): void => {
      clearTimeout(timer);
      if (call !== this.call) return;
      const { opening } = this;
      this.opening = undefined;
      for (const { requestId, operation } of opening ?? []) this.encode(requestId, operation);
    };
    const timer = setTimeout(opened, HEADERS_WAIT_MS);
    call.on('metadata', metadata => {
      if (call === this.call && metadata.get('kahuna-batch-frames')[0] === '1') {
        this.framing = true;
        this.frames.allowFrames();
      }
      opened();
    });
    call.on('data', (message: Buffer) => this.receive(message));
    call.on('error', () => this.broken(call));
    call.on('end', () => this.broken(call));
  }

  private receive(message: Buffer): void {
    const { reader } = this;
    reader.reset(message);
    while (reader.next()) {
      const done = this.pending.get(reader.requestId);
      if (!done) throw new Error(`an answer to request ${reader.requestId}, which is not under way`);
      this.pending.delete(reader.requestId);
      done(
        isOneKeyType(reader.type) && reader.hasPayload
          ? this.decoder.decode(reader.type, message, reader.payloadStart, reader.payloadEnd)
          : undefined,
      );
    }
  }

  private broken(call: grpc.ClientDuplexStream<Buffer, Buffer>): void {
    if (call !== this.call) return;
    this.call = undefined;
    this.opening = undefined;
    const { pending } = this;
    this.pending = new Map();
    for (const done of pending.values()) done(undefined);
  }

  close(): void {
    this.closed = true;
    this.call?.cancel();
    this.client.close();
  }
}
