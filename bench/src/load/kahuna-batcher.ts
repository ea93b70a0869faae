import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import {
  BATCHER_ENVELOPES,
  EnvelopeFrames,
  EnvelopeReader,
  MAX_BATCH_MESSAGE_BYTES,
  ProtoReader,
  type ReverseWriter,
} from '@kahuna/wire';

const METHOD = '/Batcher/Batch';
/** Names and owners of the comparisons are short. Bytes. */
const MAX_REQUEST_BYTES = 256;
const asIs = (bytes: Buffer): Buffer => bytes;

/** Reads the payload of an answer, undefined if the stream broke or there is none. */
type Answered = (payload: ProtoReader | undefined) => void;

/**
 * `Batcher.Batch` as our client library speaks it, with as little around it as around the other stores' clients: the requests
 * of one turn of the event loop leave in frames.
 */
export class KahunaBatcher {
  private readonly client: grpc.Client;
  private readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;
  private readonly frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, BATCHER_ENVELOPES);
  private readonly envelopes = new EnvelopeReader(BATCHER_ENVELOPES);
  private readonly reader = new ProtoReader();
  private readonly waiting = new Map<number, Answered>();
  private nextRequestId = 1;
  private flushWanted = false;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.frames.allowFrames();
    this.call = this.client.makeBidiStreamRequest(METHOD, asIs, asIs);
    this.call.on('data', (message: Buffer) => this.receive(message));
    this.call.on('error', () => this.broken());
    this.call.on('end', () => this.broken());
  }

  /** `write` writes the payload, back to front. `answered` is called once, never inside this call. */
  send(type: number, write: (writer: ReverseWriter) => void, answered: Answered): void {
    const requestId = this.nextRequestId;
    this.nextRequestId = (requestId + 1) | 0;
    this.waiting.set(requestId, answered);
    const writer = this.frames.begin(MAX_REQUEST_BYTES);
    const start = writer.mark;
    write(writer);
    this.frames.end(start, type, requestId);
    if (this.flushWanted) return;
    this.flushWanted = true;
    setImmediate(this.flush);
  }

  private readonly flush = (): void => {
    this.flushWanted = false;
    // Copied, because the library sends a message some turns after it took it.
    for (const message of this.frames.take()) this.call.write(Buffer.from(message));
    this.frames.clear();
    this.frames.allowFrames();
  };

  private receive(message: Buffer): void {
    const { envelopes, reader } = this;
    envelopes.reset(message);
    while (envelopes.next()) {
      const { requestId, hasPayload, payloadStart, payloadEnd } = envelopes;
      const answered = this.waiting.get(requestId);
      if (!answered) throw new Error(`an answer to request ${requestId}, which is not under way`);
      this.waiting.delete(requestId);
      if (hasPayload) reader.reset(message, payloadStart, payloadEnd);
      answered(hasPayload ? reader : undefined);
    }
  }

  private broken(): void {
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const answered of lost) answered(undefined);
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }
}
