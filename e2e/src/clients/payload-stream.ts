import * as grpc from '@grpc/grpc-js';
import { batchMessages as batches, keyValueMessages as keyValues, lockMessages as locks } from '@kahuna/wire';
import { CHANNEL_OPTIONS } from './batch-stream.ts';

/** A request or an answer on a batch stream as the generated code has it. */
interface Envelope {
  readonly Type: number;
  readonly RequestId: number;
  readonly payload?: { readonly $case: string } | undefined;
}

/** One kind of batch stream, by the generated code alone: tests must not share the codec with what they test. */
interface Stream {
  readonly path: string;
  /** Number of the type by payload. */
  readonly types: Readonly<Record<string, number>>;
  /** Type of a frame, where the stream has some. */
  readonly frameType: number | undefined;
  encode(envelope: Envelope): Uint8Array;
  decode(bytes: Uint8Array): Envelope;
}

/** The lock stream of the released contract: no frames (grpc §8.6). */
export const LOCK_STREAM: Stream = {
  path: '/Locker/BatchClientLockRequests',
  types: { TryLock: 1, ExtendLock: 2, Unlock: 3, GetLock: 4 },
  frameType: undefined,
  encode: envelope => locks.GrpcBatchClientLockRequest.encode(envelope as locks.GrpcBatchClientLockRequest).finish(),
  decode: bytes => locks.GrpcBatchClientLockResponse.decode(bytes),
};

/** Calls of many keys on the key/value stream, each in an envelope of its own (grpc §8.7). */
export const KEY_VALUE_STREAM: Stream = {
  path: '/KeyValuer/BatchClientKeyValueRequests',
  types: { TrySetManyKeyValue: 2, GetByBucket: 9, ScanByPrefix: 10, TryDeleteManyKeyValue: 14 },
  frameType: undefined,
  encode: envelope =>
    keyValues.GrpcBatchClientKeyValueRequest.encode(envelope as keyValues.GrpcBatchClientKeyValueRequest).finish(),
  decode: bytes => keyValues.GrpcBatchClientKeyValueResponse.decode(bytes),
};

/** Locks and sequences in frames (proto/batches.proto). */
export const BATCHER_STREAM: Stream = {
  path: '/Batcher/Batch',
  types: {
    ...{ TryLock: 1, ExtendLock: 2, Unlock: 3, GetLock: 4 },
    ...{ CreateSequence: 5, GetSequence: 6, UpdateSequence: 7, DeleteSequence: 8 },
    ...{ NextSequenceValue: 9, ReserveSequenceRange: 10 },
  },
  frameType: 11,
  encode: envelope => batches.GrpcBatchRequest.encode(envelope as batches.GrpcBatchRequest).finish(),
  decode: bytes => batches.GrpcBatchResponse.decode(bytes),
};

/** A frame has at most so many requests (grpc §8.3). */
const FRAME_ITEMS = 256;

const asIs = (bytes: Buffer): Buffer => bytes;

interface Waiting {
  readonly member: string;
  resolve(payload: unknown): void;
  reject(error: Error): void;
}

/** A client of such a stream. What is asked in one turn of the event loop leaves as one frame, where the stream has frames. */
export class PayloadStream {
  private readonly client: grpc.Client;
  private readonly stream: Stream;
  private call: grpc.ClientDuplexStream<Buffer, Buffer> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private unsent: Envelope[] = [];
  private nextRequestId = 1;

  constructor(address: string, stream: Stream) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.stream = stream;
  }

  /** The payload of the answer. Rejects when the stream breaks, and when the answer does not belong to the request. */
  ask<A>(member: string, message: object): Promise<A> {
    const requestId = this.nextRequestId++;
    const Type = this.stream.types[member] ?? 0;
    this.unsent.push({ Type, RequestId: requestId, payload: { $case: member, [member]: message } });
    if (this.unsent.length === 1) setImmediate(() => this.flush());
    return new Promise((resolve, reject) => {
      this.waiting.set(requestId, { member, resolve: payload => resolve(payload as A), reject });
    });
  }

  private flush(): void {
    const { unsent } = this;
    if (unsent.length === 0) return;
    this.unsent = [];
    this.call ??= this.open();
    const perMessage = this.stream.frameType === undefined ? 1 : FRAME_ITEMS;
    for (let i = 0; i < unsent.length; i += perMessage) this.write(this.call, unsent.slice(i, i + perMessage));
  }

  private write(call: grpc.ClientDuplexStream<Buffer, Buffer>, Items: readonly Envelope[]): void {
    const { frameType = 0 } = this.stream;
    const frame = { Type: frameType, RequestId: 0, payload: { $case: 'Frame', Frame: { Items } } };
    call.write(Buffer.from(this.stream.encode(Items.length === 1 ? (Items[0] as Envelope) : frame)));
  }

  private open(): grpc.ClientDuplexStream<Buffer, Buffer> {
    const call = this.client.makeBidiStreamRequest(this.stream.path, asIs, asIs);
    call.on('data', (bytes: Buffer) => this.receive(this.stream.decode(bytes)));
    call.on('error', error => this.broken(call, error));
    call.on('end', () => this.broken(call, new Error('the stream ended')));
    return call;
  }

  private receive(envelope: Envelope): void {
    const { payload } = envelope;
    if (payload?.$case === 'Frame') {
      const { Frame } = payload as unknown as { readonly Frame: { readonly Items: readonly Envelope[] } };
      for (const item of Frame.Items) this.settle(item);
    } else this.settle(envelope);
  }

  private settle({ Type, RequestId, payload }: Envelope): void {
    const waiting = this.waiting.get(RequestId);
    if (!waiting) throw new Error(`an answer to request ${RequestId}, which is not under way`);
    this.waiting.delete(RequestId);
    if (payload?.$case === waiting.member && Type === this.stream.types[waiting.member]) {
      waiting.resolve(Reflect.get(payload, payload.$case));
    } else waiting.reject(new Error(`type ${Type} with ${payload?.$case} answers ${waiting.member}`));
  }

  private broken(call: grpc.ClientDuplexStream<Buffer, Buffer>, error: Error): void {
    if (call !== this.call) return;
    this.call = undefined;
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    // What waits for the end of this turn is lost with the others: sent on the next stream, its answer would belong to nobody.
    this.unsent = [];
    for (const { reject } of lost) reject(error);
  }

  close(): void {
    this.call?.cancel();
    this.client.close();
  }
}
