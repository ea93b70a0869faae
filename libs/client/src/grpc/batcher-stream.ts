import type { Client } from '@grpc/grpc-js';
import {
  addEncoded,
  BATCHER_ENVELOPES,
  BinaryWriter,
  batchMessages,
  EnvelopeFrames,
  EnvelopeReader,
  lockMessages as locks,
  MAX_BATCH_MESSAGE_BYTES,
  sequenceMessages as sequences,
} from '@kahuna/wire';
import type { Runtime } from '../runtime.ts';
import { type Method, type RequestOf, type ResponseOf, TransportFailure } from '../transport.ts';
import { HeldStream, type Waiting } from './held-stream.ts';
import type { LockMethod } from './lock-stream.ts';

const PATH = '/Batcher/Batch';
const { GrpcBatchType: Type } = batchMessages;
const KEPT_WRITER_BYTES = 4096;

type SequenceMethod = Extract<
  Method,
  'createSequence' | 'getSequence' | 'updateSequence' | 'deleteSequence' | 'nextValue' | 'reserveRange'
>;
export type BatchedMethod = LockMethod | SequenceMethod;

/** One request. `timeoutMs` counts where another way has to be taken. */
export interface BatchedRequest {
  readonly method: BatchedMethod;
  readonly message: RequestOf<BatchedMethod>;
  readonly timeoutMs: number;
}

interface Codec<Request, Response> {
  readonly type: number;
  readonly encode: (request: Request, writer: BinaryWriter) => BinaryWriter;
  readonly decode: (bytes: Uint8Array) => Response;
}

interface Encoder<T> {
  encode(message: T, writer: BinaryWriter): BinaryWriter;
}
interface Decoder<T> {
  decode(bytes: Uint8Array): T;
}

function codec<Request, Response>(
  type: number,
  request: Encoder<Request>,
  response: Decoder<Response>,
): Codec<Request, Response> {
  return { type, encode: (message, writer) => request.encode(message, writer), decode: bytes => response.decode(bytes) };
}

const CODECS: { readonly [M in BatchedMethod]: Codec<RequestOf<M>, ResponseOf<M>> } = {
  tryLock: codec(Type.BATCH_TRY_LOCK, locks.GrpcTryLockRequest, locks.GrpcTryLockResponse),
  extendLock: codec(Type.BATCH_EXTEND_LOCK, locks.GrpcExtendLockRequest, locks.GrpcExtendLockResponse),
  unlock: codec(Type.BATCH_UNLOCK, locks.GrpcUnlockRequest, locks.GrpcUnlockResponse),
  getLock: codec(Type.BATCH_GET_LOCK, locks.GrpcGetLockRequest, locks.GrpcGetLockResponse),
  createSequence: codec(Type.BATCH_CREATE_SEQUENCE, sequences.GrpcCreateSequenceRequest, sequences.GrpcSequenceResponse),
  getSequence: codec(Type.BATCH_GET_SEQUENCE, sequences.GrpcGetSequenceRequest, sequences.GrpcSequenceResponse),
  updateSequence: codec(Type.BATCH_UPDATE_SEQUENCE, sequences.GrpcUpdateSequenceRequest, sequences.GrpcSequenceResponse),
  deleteSequence: codec(Type.BATCH_DELETE_SEQUENCE, sequences.GrpcDeleteSequenceRequest, sequences.GrpcSequenceResponse),
  nextValue: codec(Type.BATCH_NEXT_SEQUENCE_VALUE, sequences.GrpcNextSequenceRequest, sequences.GrpcSequenceAllocationResponse),
  reserveRange: codec(
    Type.BATCH_RESERVE_SEQUENCE_RANGE,
    sequences.GrpcReserveSequenceRangeRequest,
    sequences.GrpcSequenceAllocationResponse,
  ),
};

/** Which method's answer has that type. */
const DECODERS: ReadonlyMap<number, (bytes: Uint8Array) => ResponseOf<BatchedMethod>> = new Map(
  Object.values(CODECS).map(({ type, decode }) => [type, decode]),
);

export function isBatchedMethod(method: Method): method is BatchedMethod {
  return method in CODECS;
}

/** Locks and sequences in frames, on a stream that released servers do not have: then `unserved` takes its requests over. */
export class BatcherStream extends HeldStream<BatchedRequest, ResponseOf<BatchedMethod>> {
  /** Of one request after the other: a new one begins with memory that costs more than what is written to it. */
  private writer: BinaryWriter | undefined;
  private readonly frames = new EnvelopeFrames(MAX_BATCH_MESSAGE_BYTES, BATCHER_ENVELOPES);
  private readonly reader = new EnvelopeReader(BATCHER_ENVELOPES);
  /** These requests are small: their number bounds them. */
  protected override readonly unsentBytes = 0;
  protected override readonly unserved: (requests: readonly Waiting<BatchedRequest, ResponseOf<BatchedMethod>>[]) => void;

  constructor(client: Client, runtime: Runtime, unserved: BatcherStream['unserved']) {
    super(client, PATH, runtime);
    this.unserved = unserved;
    this.frames.allowFrames();
  }

  protected override opened(): void {
    this.clearFrames();
  }

  protected override encode(requestId: number, { method, message }: BatchedRequest): string | undefined {
    // Method and message belong together by who made the request; the compiler loses sight of that in a table.
    const { type, encode } = CODECS[method] as Codec<RequestOf<BatchedMethod>, unknown>;
    if (addEncoded(this.frames, type, requestId, this.payload(encode, message))) return undefined;
    return `a request has at most ${MAX_BATCH_MESSAGE_BYTES} bytes`;
  }

  private payload<T>(encode: Codec<T, unknown>['encode'], message: T): Uint8Array {
    const { writer } = this;
    // Should the message not be one, what was written of it goes with the writer; so does the memory that a large one took.
    this.writer = undefined;
    const used = writer ?? new BinaryWriter();
    const payload = encode(message, used).finish();
    if (payload.length <= KEPT_WRITER_BYTES) this.writer = used;
    return payload;
  }

  protected override takeMessages(): readonly Buffer[] {
    // Copied, because the library sends a message some turns after it took it, and the slab is used again at once.
    const messages = this.frames.take().map(message => Buffer.from(message));
    this.clearFrames();
    return messages;
  }

  private clearFrames(): void {
    this.frames.clear();
    this.frames.allowFrames();
  }

  protected override reset(): void {
    this.clearFrames();
  }

  protected override receive(message: Buffer): void {
    const { reader } = this;
    reader.reset(message);
    while (reader.next()) {
      const { type, hasPayload, payloadStart, payloadEnd } = reader;
      const reply = this.settle(reader.requestId);
      const decode = DECODERS.get(type);
      if (decode === undefined || !hasPayload) {
        reply?.failed(new TransportFailure(`the server does not know this request (type ${type})`, true, 'protocol'));
      } else reply?.answered(decode(message.subarray(payloadStart, payloadEnd)));
    }
  }
}
