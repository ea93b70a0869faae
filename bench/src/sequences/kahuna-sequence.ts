import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import { batchMessages, sequenceMessages as m } from '@kahuna/wire';
import { FRAME_HEADER_BYTES, Http2Calls } from '../load/http2-calls.ts';
import { KahunaBatcher } from '../load/kahuna-batcher.ts';
import type { Done, RepeatedOperation, RepeatingTarget } from '../load/target.ts';

const PATH = '/Sequencer/NextSequenceValue';
/** Tag of `Allocation`: the first byte of a success, whose `Type` is 0 and therefore left out; of a refusal it is that of `Type`. */
const ALLOCATION_TAG = 26;

const nextOf = (name: string): m.GrpcNextSequenceRequest => ({
  Name: name,
  IdempotencyKey: undefined,
  Durability: m.GrpcSequenceDurability.SEQUENCE_PERSISTENT,
});
const encode = (request: m.GrpcNextSequenceRequest): Buffer => Buffer.from(m.GrpcNextSequenceRequest.encode(request).finish());
const decode = (bytes: Buffer): m.GrpcSequenceAllocationResponse => m.GrpcSequenceAllocationResponse.decode(bytes);

/** Our sequences in frames, which is how our client library asks for them. No idempotency key. */
export class KahunaSequenceTarget implements RepeatingTarget {
  private readonly batcher: KahunaBatcher;
  private readonly messages = new Map<string, Buffer>();

  constructor(address: string) {
    this.batcher = new KahunaBatcher(address);
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    let message = this.messages.get(name);
    if (!message) {
      message = encode(nextOf(name));
      this.messages.set(name, message);
    }
    const payload = message;
    const next = batchMessages.GrpcBatchType.BATCH_NEXT_SEQUENCE_VALUE;
    this.batcher.send(
      next,
      writer => writer.raw(payload),
      answer => done(answer?.tag() === ALLOCATION_TAG),
    );
  }

  close(): void {
    this.batcher.close();
  }
}

/** One unary call for each number, which is what the released contract offers (grpc §5.12). */
export class KahunaUnarySequenceTarget implements RepeatingTarget {
  private readonly client: grpc.Client;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    this.client.makeUnaryRequest(PATH, encode, decode, nextOf(name), (error, answer) =>
      done(!error && answer?.Type === m.GrpcSequenceResponseType.SEQUENCE_SUCCESS),
    );
  }

  close(): void {
    this.client.close();
  }
}

/** The same call through the cheapest client that JavaScript can write: shows what of the cost is grpc-js in the client. */
export class KahunaHttp2SequenceTarget implements RepeatingTarget {
  private readonly calls: Http2Calls;
  private readonly messages = new Map<string, Buffer>();

  constructor(address: string) {
    this.calls = new Http2Calls(address);
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    let message = this.messages.get(name);
    if (!message) {
      const payload = encode(nextOf(name));
      message = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), payload]);
      message.writeUInt32BE(payload.length, 1);
      this.messages.set(name, message);
    }
    this.calls.call(PATH, message, (_bytes, first) => first[FRAME_HEADER_BYTES] === ALLOCATION_TAG, done);
  }

  close(): void {
    this.calls.close();
  }
}
