import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { lockMessages as locks, sequenceMessages as sequences } from '@kahuna/wire';
import { afterEach, expect, test } from 'vitest';
import { KahunaClient } from '../client.ts';
import { grpcTransport } from './grpc-transport.ts';

const asIs = (bytes: Buffer): Buffer => bytes;

let server: Server | undefined;
let client: KahunaClient | undefined;

afterEach(async () => {
  await client?.close();
  server?.forceShutdown();
});

/** A server that has the released services, as far as the tests below go, and no batcher. */
async function releasedServer(): Promise<{ readonly url: string; readonly seen: string[] }> {
  const seen: string[] = [];
  const released = new Server();
  server = released;
  const add = (service: string, method: string, isStream: boolean, handler: UntypedHandleCall): void => {
    const codec = { requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs };
    const definition = { path: `/${service}/${method}`, requestStream: isStream, responseStream: isStream, ...codec };
    released.addService({ [method]: definition }, { [method]: handler });
  };
  add('Locker', 'BatchClientLockRequests', true, (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.sendMetadata(call.metadata);
    call.on('end', () => call.end());
    call.on('data', (bytes: Buffer) => {
      const { Type, RequestId } = locks.GrpcBatchClientLockRequest.decode(bytes);
      seen.push(`lock stream ${Type}`);
      const TryLock = locks.GrpcTryLockResponse.decode(new Uint8Array(0));
      const answer = { Type, RequestId, payload: { $case: 'TryLock', TryLock: { ...TryLock, FencingToken: 7n } } } as const;
      call.write(Buffer.from(locks.GrpcBatchClientLockResponse.encode(answer).finish()));
    });
  });
  add('Sequencer', 'NextSequenceValue', false, (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
    const { Name } = sequences.GrpcNextSequenceRequest.decode(call.request);
    seen.push(`next ${Name}`);
    const Allocation = { Name, Start: 41n, End: 41n, Count: 1, Revision: 1n };
    const empty = sequences.GrpcSequenceAllocationResponse.decode(new Uint8Array(0));
    answer(null, Buffer.from(sequences.GrpcSequenceAllocationResponse.encode({ ...empty, Allocation }).finish()));
  });
  const port = await new Promise<number>((resolve, reject) => {
    released.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { url: `http://127.0.0.1:${port}`, seen };
}

const HELD = { type: 'locked', fencingToken: 7n };

test('a server without the batcher is asked as released clients ask: the lock stream, and a call for each number', async () => {
  const { url, seen } = await releasedServer();
  client = new KahunaClient({ endpoints: url }, grpcTransport());
  const lease = { owner: 'me', leaseMs: 1000 };
  const acquire = (name: string) => client?.locks.acquire(name, lease);
  const [number, first, second] = await Promise.all([client.sequence('orders').next(), acquire('a'), acquire('b')]);
  expect([number, first, second]).toEqual([41n, HELD, HELD]);
  await client.sequence('orders').next();
  expect(seen.sort()).toEqual(['lock stream 1', 'lock stream 1', 'next orders', 'next orders']);
});
