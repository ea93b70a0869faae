import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import { sequenceMessages as m } from '@kahuna/wire';
import { FRAME_HEADER_BYTES, Http2Calls } from '../load/http2-calls.ts';
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

/** Our sequences: one unary call for each number, for the contract has no other (grpc §5.12). No idempotency key. */
export class KahunaSequenceTarget implements RepeatingTarget {
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
