import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import { sequenceMessages as m } from '@kahuna/wire';
import type { Done, RepeatedOperation, RepeatingTarget } from '../load/target.ts';

const encode = (request: m.GrpcNextSequenceRequest): Buffer => Buffer.from(m.GrpcNextSequenceRequest.encode(request).finish());
const decode = (bytes: Buffer): m.GrpcSequenceAllocationResponse => m.GrpcSequenceAllocationResponse.decode(bytes);

/** Our sequences: one unary call for each number, for the contract has no other (grpc §5.12). No idempotency key. */
export class KahunaSequenceTarget implements RepeatingTarget {
  private readonly client: grpc.Client;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    const request = { Name: name, IdempotencyKey: undefined, Durability: m.GrpcSequenceDurability.SEQUENCE_PERSISTENT };
    this.client.makeUnaryRequest('/Sequencer/NextSequenceValue', encode, decode, request, (error, answer) =>
      done(!error && answer?.Type === m.GrpcSequenceResponseType.SEQUENCE_SUCCESS),
    );
  }

  close(): void {
    this.client.close();
  }
}
