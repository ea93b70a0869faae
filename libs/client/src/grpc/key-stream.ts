import type { Client, Metadata } from '@grpc/grpc-js';
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
import type { Runtime } from '../runtime.ts';
import { TransportFailure } from '../transport.ts';
import { HeldStream } from './held-stream.ts';

const PATH = '/KeyValuer/BatchClientKeyValueRequests';
const FRAMES_HEADER = 'kahuna-batch-frames';

/** Requests on one key, in frames where the server takes them (grpc §8.3). */
export class KeyStream extends HeldStream<RequestedOperation, ReceivedResult> {
  private readonly frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES);
  private readonly reader = new EnvelopeReader();
  private readonly decoder = new ResponseDecoder();
  private framing = false;
  protected override unsentBytes = 0;

  constructor(client: Client, runtime: Runtime) {
    super(client, PATH, runtime);
  }

  protected override opened(headers: Metadata): void {
    this.framing = headers.get(FRAMES_HEADER)[0] === '1';
    if (this.framing) this.frames.allowFrames();
  }

  protected override encode(requestId: number, operation: RequestedOperation): string | undefined {
    if (addOperationRequest(this.frames, requestId, operation)) {
      if (operation.kind === 'set' && operation.value !== null) this.unsentBytes += operation.value.length;
      return undefined;
    }
    return `a request has at most ${MAX_BATCH_MESSAGE_BYTES} bytes`;
  }

  protected override takeMessages(): readonly Buffer[] {
    // Copied, because the library sends a message some turns after it took it, and the slab is used again at once.
    const messages = this.frames.take().map(message => Buffer.from(message));
    this.clearFrames();
    return messages;
  }

  private clearFrames(): void {
    this.frames.clear();
    this.unsentBytes = 0;
    if (this.framing) this.frames.allowFrames();
  }

  protected override reset(): void {
    this.framing = false;
    this.clearFrames();
  }

  protected override receive(message: Buffer): void {
    const { reader } = this;
    reader.reset(message);
    while (reader.next()) {
      const { type } = reader;
      const reply = this.settle(reader.requestId);
      if (reply === undefined) continue;
      if (!isOneKeyType(type) || !reader.hasPayload) {
        reply.failed(new TransportFailure(`the server does not know this request (type ${type})`, true, 'protocol'));
        continue;
      }
      reply.answered(this.decoder.decode(type, message, reader.payloadStart, reader.payloadEnd));
    }
  }
}
