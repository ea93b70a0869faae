import { status } from '@grpc/grpc-js';
import { keyValueMessages } from '@kahuna/wire';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BatchClientStream, type Message, Received, startTestServer, TestClient, type TestServer } from './test-server.ts';

const INVALID_INPUT = 100;
const MUST_RETRY = 101;
const ERRORED = 99;
const FRAME = 15;

let server: TestServer;
let client: TestClient;
let stream: BatchClientStream;
let received: Received<Message>;
let ended: Promise<number>;

function open(): void {
  stream = client.batch();
  received = new Received(stream);
  ended = new Promise(resolve => stream.on('status', outcome => resolve(outcome.code)));
  stream.on('error', () => undefined);
}

beforeEach(async () => {
  server = await startTestServer();
  client = new TestClient(server.address, 'keyvalues.proto', 'KeyValuer');
  open();
});

afterEach(async () => {
  stream.cancel();
  client.close();
  await server.close();
});

const set = (RequestId: number, Key: string, fields: Message = {}): Message => ({
  Type: 1,
  RequestId,
  TrySetKeyValue: { Key, Durability: 1, Flags: 1, ...fields },
});
const get = (RequestId: number, Key: string): Message => ({
  Type: 5,
  RequestId,
  TryGetKeyValue: { Key, Durability: 1, Revision: '-1' },
});
const frame = (Items: readonly Message[]): Message => ({ Type: FRAME, Frame: { Items } });

/** Single responses, whether they came alone or in frames. */
function unframed(messages: readonly Message[]): readonly Message[] {
  return messages.flatMap(message => (message.Type === FRAME ? (message.Frame?.Items ?? []) : [message]));
}

async function answers(count: number): Promise<readonly Message[]> {
  for (let messages = 1; ; messages++) {
    const all = unframed(await received.first(messages));
    if (all.length >= count) return all;
  }
}

const payloadOf = (message: Message | undefined, member: string): Message => message?.[member] as Message;

describe('life of a stream', () => {
  test('grpc:4 headers with the permission to send frames come before any request', async () => {
    const metadata = await new Promise<{ get(key: string): unknown[] }>(resolve => stream.on('metadata', resolve));
    expect(metadata.get('kahuna-batch-frames')).toEqual(['1']);
  });

  test('a half-closed stream answers what is in flight and ends with OK', async () => {
    for (let id = 0; id < 50; id++) stream.write(set(id, `k${id}`));
    stream.end();
    expect(await ended).toBe(status.OK);
    expect(unframed(received.messages)).toHaveLength(50);
    expect(server.services.openStreams).toBe(0);
  });

  test('a drain answers what is in flight, then ends with UNAVAILABLE', async () => {
    server.node.holdKey = 'slow';
    stream.write(set(1, 'slow'));
    stream.write(set(2, 'fast'));
    await received.first(1);
    const drained = server.services.drain();
    expect(await Promise.race([ended, Promise.resolve('open')])).toBe('open');
    server.node.releaseHeld();
    await drained;
    expect(await ended).toBe(status.UNAVAILABLE);
    expect(received.messages.map(message => message.RequestId).sort()).toEqual([1, 2]);
    open();
    expect(await ended).toBe(status.UNAVAILABLE);
  });

  test('bytes that are no envelope end the stream with UNAVAILABLE', async () => {
    const raw = client.rawBatch();
    raw.on('error', () => undefined);
    const code = new Promise(resolve => raw.on('status', outcome => resolve(outcome.code)));
    raw.write(Buffer.from([0x08, 0xff]));
    expect(await code).toBe(status.UNAVAILABLE);
  });

  test('a client that goes away leaves nothing behind', async () => {
    server.node.holdKey = 'slow';
    stream.write(set(1, 'slow'));
    stream.write(set(2, 'fast'));
    await received.first(1);
    stream.cancel();
    expect(await ended).toBe(status.CANCELLED);
    await expect.poll(() => server.services.openStreams).toBe(0);
    server.node.releaseHeld();
    expect(server.faults).toEqual([]);
  });
});

describe('requests and responses', () => {
  test('grpc:6 request ids are echoed as they are', async () => {
    const ids = [-1, 0, 2_147_483_647, -2_147_483_648];
    for (const id of ids) stream.write(set(id, `id/${id}`));
    const all = await answers(ids.length);
    expect(all.map(answer => answer.RequestId).sort()).toEqual([...ids].sort());
    expect(all.every(answer => answer.Type === 1 && answer.payload === 'TrySetKeyValue')).toBe(true);
  });

  test('grpc:5 a request that waits holds up none of 999 others; every id comes back once', async () => {
    server.node.holdKey = 'slow';
    for (let id = 0; id < 1000; id++) stream.write(set(id, id === 17 ? 'slow' : `k${id}`));
    const others = await answers(999);
    expect(others.some(answer => answer.RequestId === 17)).toBe(false);
    server.node.releaseHeld();
    const all = await answers(1000);
    expect(new Set(all.map(answer => answer.RequestId)).size).toBe(1000);
  });

  test('every one-key operation, set-many and delete-many, with the fields of the unary call', async () => {
    const point = { Key: 'a', Durability: 1 };
    const run = async (message: Message): Promise<Message> => {
      const before = received.messages.length;
      stream.write(message);
      return (await received.first(before + 1))[before] as Message;
    };
    const wasSet = await run(set(1, 'a', { Value: Buffer.alloc(0) }));
    expect(payloadOf(wasSet, 'TrySetKeyValue')).toMatchObject({ Type: 0, Revision: '0', Route: { PartitionId: 3 } });
    const got = payloadOf(await run(get(2, 'a')), 'TryGetKeyValue');
    expect(got).toMatchObject({ Type: 3, _Value: 'Value', State: 1 });
    const existing = await run({ Type: 6, RequestId: 3, TryExistsKeyValue: { ...point, Revision: '-1' } });
    expect(payloadOf(existing, 'TryExistsKeyValue')).toMatchObject({ Type: 10, Revision: '0' });
    const extended = await run({ Type: 3, RequestId: 4, TryExtendKeyValue: { ...point, ExpiresMs: 1000 } });
    expect(payloadOf(extended, 'TryExtendKeyValue')).toMatchObject({ Type: 2 });
    const deleted = await run({ Type: 4, RequestId: 5, TryDeleteKeyValue: point });
    expect(payloadOf(deleted, 'TryDeleteKeyValue')).toMatchObject({ Type: 4, Revision: '0' });
    const many = await run({ Type: 2, RequestId: 6, TrySetManyKeyValue: { Items: [{ ...point, Flags: 1 }, point] } });
    expect(payloadOf(many, 'TrySetManyKeyValue').Items).toMatchObject([{ Revision: '1' }, { Revision: '2' }]);
    const deletes = await run({ Type: 14, RequestId: 7, TryDeleteManyKeyValue: { Items: [point, point] } });
    expect(payloadOf(deletes, 'TryDeleteManyKeyValue').Items).toMatchObject([{ Type: 4 }, { Type: 103 }]);
  });

  test('grpc:7 envelopes that say nothing, or not what they carry, are answered and the stream goes on', async () => {
    stream.write({ Type: 0, RequestId: 7 });
    stream.write({ Type: 99, RequestId: 8 });
    stream.write(frame([frame([set(9, 'nested')])]));
    stream.write({ Type: 5, RequestId: 10 });
    stream.write({ Type: 5, RequestId: 11, TrySetKeyValue: { Key: 'a' } });
    stream.write({ Type: 2, RequestId: 12 });
    stream.write({ Type: 9, RequestId: 13 });
    stream.write({ Type: FRAME, RequestId: 14 });
    stream.write(frame([]));
    stream.write(set(15, 'after'));
    const all = await answers(8);
    const byId = new Map(all.map(answer => [answer.RequestId, answer]));
    expect([...byId.keys()].sort((a, b) => (a ?? 0) - (b ?? 0))).toEqual([0, 7, 8, 10, 11, 12, 13, 15]);
    for (const id of [0, 7, 8]) {
      expect(byId.get(id)?.Type).toBe(0);
      expect(byId.get(id)?.payload).toBeUndefined();
    }
    for (const id of [10, 11]) expect(payloadOf(byId.get(id), 'TryGetKeyValue')).toMatchObject({ Type: INVALID_INPUT });
    expect(payloadOf(byId.get(12), 'TrySetManyKeyValue').Items).toEqual([]);
    expect(payloadOf(byId.get(13), 'GetByBucket')).toMatchObject({ Type: INVALID_INPUT });
    expect(payloadOf(byId.get(15), 'TrySetKeyValue')).toMatchObject({ Type: 0 });
  });

  test('what this release does not offer is ERRORED in its own response', async () => {
    const requests: readonly (readonly [number, string, Message])[] = [
      [7, 'TryExecuteTransactionScript', { Script: Buffer.from('get a') }],
      [8, 'TryAcquireExclusiveLock', { Key: 'a' }],
      [11, 'StartTransaction', { CoordinatorKey: 'a' }],
      [12, 'CommitTransaction', { CoordinatorKey: 'a' }],
      [13, 'RollbackTransaction', { CoordinatorKey: 'a' }],
    ];
    for (const [Type, member, payload] of requests) stream.write({ Type, RequestId: Type, [member]: payload });
    for (const answer of await answers(requests.length)) {
      const [, member] = requests.find(([type]) => type === answer.Type) ?? [];
      expect(payloadOf(answer, member ?? '')).toMatchObject({ Type: ERRORED });
      expect(answer.RequestId).toBe(answer.Type);
    }
  });

  test('text that is not UTF-8 is INVALID_INPUT for that request alone', async () => {
    const raw = client.rawBatch();
    const bytes = new Received(raw);
    // {Type 1, RequestId 3, set {Key: 0xc3}} in one frame with a proper set.
    const bad = Buffer.from([0x08, 1, 0x10, 3, 0x1a, 3, 0x22, 1, 0xc3]);
    const good = Buffer.from([0x08, 1, 0x10, 4, 0x1a, 3, 0x22, 1, 0x61]);
    const items = Buffer.concat([Buffer.from([0x0a, bad.length]), bad, Buffer.from([0x0a, good.length]), good]);
    raw.write(Buffer.concat([Buffer.from([0x08, 15, 0x8a, 0x01, items.length]), items]));
    const decode = (message: Buffer) => keyValueMessages.GrpcBatchClientKeyValueResponse.decode(message);
    const types = new Map<number, number>();
    for (let count = 1; types.size < 2; count++) {
      const message = decode((await bytes.first(count))[count - 1] as Buffer);
      const singles = message.payload?.$case === 'Frame' ? message.payload.Frame.Items : [message];
      for (const single of singles) {
        if (single.payload?.$case === 'TrySetKeyValue') types.set(single.RequestId, single.payload.TrySetKeyValue.Type);
      }
    }
    expect(Object.fromEntries(types)).toEqual({ 3: INVALID_INPUT, 4: 0 });
    raw.end();
  });

  test('a response over 4 MiB is ERRORED and the stream goes on', async () => {
    await client.call('TrySetKeyValue', { Key: 'big', Durability: 1, Value: Buffer.alloc(4_194_304) });
    await client.call('TrySetKeyValue', { Key: 'fits', Durability: 1, Value: Buffer.alloc(4_194_000) });
    stream.write(get(1, 'big'));
    stream.write(get(2, 'fits'));
    stream.write(get(3, 'big'));
    const byId = new Map((await answers(3)).map(answer => [answer.RequestId, payloadOf(answer, 'TryGetKeyValue')]));
    expect(byId.get(1)).toMatchObject({ Type: ERRORED });
    expect(byId.get(2)?.Value).toHaveLength(4_194_000);
    expect(byId.get(3)).toMatchObject({ Type: ERRORED });
  });

  test('a client that does not read is not read either: no more than the bound is under way', async () => {
    server.node.holdKey = 'slow';
    const frames = 40;
    for (let f = 0; f < frames; f++) {
      stream.write(frame(Array.from({ length: 256 }, (_, i) => set(f * 256 + i, 'slow'))));
    }
    await expect.poll(() => server.node.pending).toBeGreaterThan(4096);
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(server.node.pending).toBeLessThanOrEqual(4096 + 256);
    server.node.releaseHeld();
    expect(await answers(frames * 256)).toHaveLength(frames * 256);
  });
});

describe('frames', () => {
  test('grpc:8 a frame of 256 is answered; no frame comes before one was sent', async () => {
    for (let id = 0; id < 20; id++) stream.write(set(id, `single/${id}`));
    expect((await received.first(20)).every(message => message.Type === 1)).toBe(true);
    stream.write(frame(Array.from({ length: 256 }, (_, i) => set(1000 + i, `framed/${i}`))));
    const all = await answers(276);
    expect(all).toHaveLength(276);
    expect(received.messages.some(message => message.Type === FRAME)).toBe(true);
    for (const message of received.messages) {
      if (message.Type !== FRAME) continue;
      expect(message.RequestId).toBe(0);
      expect(message.Frame?.Items.length).toBeGreaterThan(1);
      expect(message.Frame?.Items.length).toBeLessThanOrEqual(256);
    }
  });

  test('grpc:8 of 300 items the first 256 are executed and 44 are MUST_RETRY', async () => {
    const many = { Type: 2, RequestId: 299, TrySetManyKeyValue: { Items: [{ Key: 'x', Durability: 1 }] } };
    stream.write(frame([...Array.from({ length: 299 }, (_, i) => set(i, `k${i}`)), many]));
    const all = await answers(300);
    const typeOf = (answer: Message): unknown =>
      answer.Type === 2 ? payloadOf(answer, 'TrySetManyKeyValue').Items?.[0]?.Type : payloadOf(answer, 'TrySetKeyValue').Type;
    const retried = all.filter(answer => typeOf(answer) === MUST_RETRY).map(answer => answer.RequestId);
    expect(retried.sort()).toEqual(Array.from({ length: 44 }, (_, i) => 256 + i));
    expect(all.filter(answer => typeOf(answer) === 0)).toHaveLength(256);
  });

  test('no frame passes 1 MiB, and a large value travels alone', async () => {
    await client.call('TrySetKeyValue', { Key: 'mid', Durability: 1, Value: Buffer.alloc(300_000) });
    await client.call('TrySetKeyValue', { Key: 'large', Durability: 1, Value: Buffer.alloc(2_000_000) });
    const raw = client.rawBatch();
    const bytes = new Received(raw);
    const request = keyValueMessages.GrpcBatchClientKeyValueRequest;
    const items = Array.from({ length: 20 }, (_, i) => {
      const get = keyValueMessages.GrpcTryGetKeyValueRequest.decode(Buffer.alloc(0));
      const TryGetKeyValue = { ...get, Key: i === 7 ? 'large' : 'mid', Durability: 1 as const, Revision: -1n };
      return { Type: 5 as const, RequestId: i, payload: { $case: 'TryGetKeyValue' as const, TryGetKeyValue } };
    });
    raw.write(
      Buffer.from(request.encode({ Type: 15, RequestId: 0, payload: { $case: 'Frame', Frame: { Items: items } } }).finish()),
    );
    const seen = new Set<number>();
    for (let count = 1; seen.size < 20; count++) {
      const message = (await bytes.first(count))[count - 1] as Buffer;
      const response = keyValueMessages.GrpcBatchClientKeyValueResponse.decode(message);
      if (response.payload?.$case === 'Frame') expect(message.length).toBeLessThanOrEqual(1_048_576);
      else expect(response.RequestId).toBeGreaterThanOrEqual(0);
      const singles = response.payload?.$case === 'Frame' ? response.payload.Frame.Items : [response];
      for (const single of singles) seen.add(single.RequestId);
    }
    expect(seen.size).toBe(20);
    raw.end();
  });
});
