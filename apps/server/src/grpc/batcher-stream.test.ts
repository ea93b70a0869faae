import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BatchClientStream, type Message, Received, startTestServer, TestClient, type TestServer } from './test-server.ts';

const FRAME = 11;
const NEXT = 9;
/** Locks and sequences have different numbers for the same refusals (locks §2.1, sequences §2.1). */
const INVALID_LOCK = 100;
const RETRY_LOCK = 101;
const INVALID_SEQUENCE = 3;
const RETRY_SEQUENCE = 5;

let server: TestServer;
let client: TestClient;
let stream: BatchClientStream;
let received: Received<Message>;

beforeEach(async () => {
  server = await startTestServer();
  client = new TestClient(server.address, 'batches.proto', 'Batcher');
  stream = client.duplex('Batch');
  stream.on('error', () => undefined);
  received = new Received(stream);
});

afterEach(async () => {
  stream.cancel();
  client.close();
  await server.close();
});

const acquire = (RequestId: number, Resource: string, fields: Message = {}): Message => ({
  Type: 1,
  RequestId,
  TryLock: { Resource, Owner: Buffer.from('me'), ExpiresMs: 60_000, Durability: 1, ...fields },
});
const create = (RequestId: number, Name: string): Message => ({
  Type: 5,
  RequestId,
  CreateSequence: { Name, Increment: '1', Durability: 1 },
});
const next = (RequestId: number, Name: string, Durability = 1): Message => ({
  Type: NEXT,
  RequestId,
  NextSequenceValue: { Name, Durability },
});
const frame = (Items: readonly Message[]): Message => ({ Type: FRAME, Frame: { Items } });

/** So many answers, by request, whether they came alone or in frames. */
async function answers(count: number): Promise<ReadonlyMap<number, Message>> {
  for (let messages = 1; ; messages++) {
    const all = (await received.first(messages)).flatMap(message =>
      message.Type === FRAME ? (message.Frame?.Items ?? []) : [message],
    );
    if (all.length >= count) return new Map(all.map(answer => [answer.RequestId ?? 0, answer]));
  }
}

test('locks and sequences share a frame, and the answers of a turn share one', async () => {
  stream.write(create(1, 'orders'));
  await received.first(1);
  stream.write(
    frame([
      next(2, 'orders'),
      acquire(3, 'door'),
      next(4, 'orders'),
      { Type: 4, RequestId: 5, GetLock: { Resource: 'other', durability: 1 } },
    ]),
  );
  const all = await answers(5);
  expect(all.get(2)).toMatchObject({
    Type: NEXT,
    NextSequenceValue: { Type: 0, Allocation: { Start: '1', End: '1', Count: 1 } },
  });
  expect(all.get(4)).toMatchObject({ NextSequenceValue: { Allocation: { Start: '2' } } });
  expect(all.get(3)).toMatchObject({ Type: 1, TryLock: { Type: 0, FencingToken: '0', Route: { Provenance: 1 } } });
  expect(all.get(5)).toMatchObject({ Type: 4, GetLock: { Type: 102 } });
  expect(received.messages.some(message => message.Type === FRAME)).toBe(true);
});

test('what is no request is answered bare; a payload that is missing or another type’s is invalid input', async () => {
  stream.write({ Type: 0, RequestId: 1 });
  stream.write({ Type: 12, RequestId: 2 });
  stream.write(frame([frame([next(3, 'inside')]), acquire(3, 'door')]));
  stream.write({ Type: 1, RequestId: 4 });
  stream.write({ Type: NEXT, RequestId: 5, TryLock: { Resource: 'door' } });
  const all = await answers(6);
  for (const id of [1, 2]) expect(all.get(id)).toMatchObject({ Type: 0 });
  expect(all.get(0)).toMatchObject({ Type: 0 });
  expect(all.get(3)).toMatchObject({ Type: 1, TryLock: { Type: 0 } });
  expect(all.get(4)).toMatchObject({ Type: 1, TryLock: { Type: INVALID_LOCK } });
  expect(all.get(5)).toMatchObject({ Type: NEXT, NextSequenceValue: { Type: INVALID_SEQUENCE, Allocation: null } });
});

test('input that no node has to see is refused at once', async () => {
  stream.write(frame([acquire(1, 'door', { Durability: 5 }), next(2, 'orders', 0), acquire(3, 'd'.repeat(70_000))]));
  const all = await answers(3);
  expect(all.get(1)).toMatchObject({ TryLock: { Type: INVALID_LOCK } });
  expect(all.get(2)).toMatchObject({ NextSequenceValue: { Type: INVALID_SEQUENCE } });
  expect(all.get(3)).toMatchObject({ TryLock: { Type: INVALID_LOCK } });
});

test('what a frame holds beyond 256 requests is not begun', async () => {
  const items = Array.from({ length: 258 }, (_, i) => (i === 257 ? next(i + 1, 'orders') : acquire(i + 1, `door-${i}`)));
  stream.write(frame(items));
  const all = await answers(258);
  expect(all.get(256)).toMatchObject({ TryLock: { Type: 0 } });
  expect(all.get(257)).toMatchObject({ TryLock: { Type: RETRY_LOCK } });
  expect(all.get(258)).toMatchObject({ NextSequenceValue: { Type: RETRY_SEQUENCE } });
});

test('a drain answers what is in flight, then ends with UNAVAILABLE', async () => {
  const ended = new Promise(resolve => stream.on('status', outcome => resolve(outcome.code)));
  server.node.holdKey = 'slow';
  stream.write(frame([acquire(1, 'slow'), acquire(2, 'fast')]));
  await answers(1);
  const drained = server.services.drain();
  server.node.releaseHeld();
  await drained;
  expect(await ended).toBe(status.UNAVAILABLE);
  expect([...(await answers(2)).keys()].sort()).toEqual([1, 2]);
});
