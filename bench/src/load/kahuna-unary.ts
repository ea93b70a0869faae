import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS, message, Persistent, Type } from '@kahuna/e2e';
import { keyValueMessages as m } from '@kahuna/wire';
import type { Done, KeyValueTarget } from './target.ts';

const encodeSet = (message: m.GrpcTrySetKeyValueRequest): Buffer =>
  Buffer.from(m.GrpcTrySetKeyValueRequest.encode(message).finish());
const encodeGet = (message: m.GrpcTryGetKeyValueRequest): Buffer =>
  Buffer.from(m.GrpcTryGetKeyValueRequest.encode(message).finish());
const decodeSet = (bytes: Buffer): m.GrpcTrySetKeyValueResponse => m.GrpcTrySetKeyValueResponse.decode(bytes);
const decodeGet = (bytes: Buffer): m.GrpcTryGetKeyValueResponse => m.GrpcTryGetKeyValueResponse.decode(bytes);

/** Our server through one unary call per operation: what most gRPC programs do. */
export class KahunaUnaryTarget implements KeyValueTarget {
  private readonly client: grpc.Client;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  put(key: string, value: Buffer, done: Done): void {
    const request = message(m.GrpcTrySetKeyValueRequest, { Key: key, Value: value, Flags: 1, Durability: Persistent });
    this.client.makeUnaryRequest('/KeyValuer/TrySetKeyValue', encodeSet, decodeSet, request, (error, answer) =>
      done(!error && answer?.Type === Type.Set),
    );
  }

  get(key: string, done: Done): void {
    const request = message(m.GrpcTryGetKeyValueRequest, { Key: key, Revision: -1n, Durability: Persistent });
    this.client.makeUnaryRequest('/KeyValuer/TryGetKeyValue', encodeGet, decodeGet, request, (error, answer) =>
      done(!error && answer?.Type === Type.Get && answer.Value !== undefined),
    );
  }

  close(): void {
    this.client.close();
  }
}
