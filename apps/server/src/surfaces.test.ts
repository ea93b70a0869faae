import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedNode, startEmbeddedNode } from './embedded.ts';
import { type BatchClientStream, type Message, PROTO_FOLDER, Received, TestClient } from './grpc/test-server.ts';

/** Locks, sequences, scans and holds through gRPC and REST of one real node: both surfaces must agree. */

let node: EmbeddedNode;
const clients: TestClient[] = [];
let locker: TestClient;
let sequencer: TestClient;
let keyValuer: TestClient;
let fresh = 0;

beforeAll(async () => {
  node = await startEmbeddedNode();
  const client = (file: string, service: string): TestClient => {
    const made = new TestClient(node.address, `${PROTO_FOLDER}/${file}.proto`, service);
    clients.push(made);
    return made;
  };
  locker = client('locks', 'Locker');
  sequencer = client('sequences', 'Sequencer');
  keyValuer = client('keyvalues', 'KeyValuer');
});

afterAll(async () => {
  for (const client of clients) client.close();
  await node.stop();
});

const name = (): string => `name-${++fresh}`;
const A = Buffer.from('a-16-bytes-owner');
const B = Buffer.from('another-owner');

/** The answer's text, so that digits can be looked at, and what it parses to. */
async function rest(
  path: string,
  body: object | string,
): Promise<{ readonly text: string; readonly json: Record<string, unknown> }> {
  const response = await fetch(node.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return { text, json: JSON.parse(text) as Record<string, unknown> };
}

const restJson = async (path: string, body: object | string): Promise<Record<string, unknown>> => (await rest(path, body)).json;

describe.each([
  ['ephemeral', 0],
  ['persistent', 1],
] as const)('locks, %s', (_kind, Durability) => {
  const lease = (Resource: string, Owner: Buffer, ExpiresMs = 10_000): Message => ({ Resource, Owner, ExpiresMs, Durability });
  const acquire = (resource: string, owner: Buffer): Promise<Message> => locker.call('TryLock', lease(resource, owner));
  const onRest = (resource: string, owner: Buffer): object => ({
    resource,
    owner: owner.toString('base64'),
    expiresMs: 10_000,
    durability: Durability,
  });

  test('locks:A1 locks:A2 locks:A4 locks:A5 tokens over gRPC', async () => {
    const resource = name();
    const route = { Provenance: 1, Endpoint: node.url };
    expect(await acquire(resource, A)).toMatchObject({ Type: 0, FencingToken: '0', Route: route });
    expect(await acquire(resource, B)).toMatchObject({ Type: 1, FencingToken: '0', Route: route });
    expect(await acquire(resource, A)).toMatchObject({ Type: 0, FencingToken: '0' });
    expect(await locker.call('TryExtendLock', lease(resource, B))).toMatchObject({ Type: 103, FencingToken: '0' });
    expect(await locker.call('Unlock', { Resource: resource, Owner: A, Durability })).toMatchObject({ Type: 3, Route: route });
    expect(await locker.call('Unlock', { Resource: resource, Owner: A, Durability })).toMatchObject({ Type: 102 });
    expect(await acquire(resource, B)).toMatchObject({ Type: 0, FencingToken: '1' });
    expect(await locker.call('TryExtendLock', lease(resource, B, 60_000))).toMatchObject({ Type: 2, FencingToken: '1' });
  });

  test('locks:A1 locks:A2 locks:U1 locks:U2 the same over REST, with the documented properties', async () => {
    const resource = name();
    const route = { partitionId: expect.any(Number), endpoint: node.url, provenance: 1, generation: 0 };
    expect(await restJson('/v1/locks/try-lock', onRest(resource, A))).toEqual({
      servedFrom: '',
      type: 0,
      fencingToken: 0,
      route,
    });
    expect(await restJson('/v1/locks/try-lock', onRest(resource, B))).toEqual({
      servedFrom: '',
      type: 1,
      fencingToken: 0,
      route,
    });
    expect(await restJson('/v1/locks/try-extend', onRest(resource, A))).toEqual({
      servedFrom: '',
      type: 2,
      fencingToken: 0,
      route,
    });
    expect(await restJson('/v1/locks/try-unlock', onRest(resource, A))).toMatchObject({ type: 3 });
    expect(await restJson('/v1/locks/try-unlock', onRest(resource, A))).toMatchObject({ type: 102 });
    expect(await restJson('/v1/locks/try-lock', onRest(resource, B))).toMatchObject({ type: 0, fencingToken: 1 });
  });

  test('locks:G1 locks:G5 the owner comes back byte for byte on both surfaces; nobody is an absent owner', async () => {
    const resource = name();
    const Owner = Buffer.from([0x00, 0xff, 0x80, 0x41]);
    const free = await locker.call('GetLock', { Resource: resource, durability: Durability });
    expect(free).toMatchObject({ Type: 102, ExpiresPhysical: '0', FencingToken: '0' });
    expect(free._Owner).toBeUndefined();
    const none = { owner: null, expires: { n: 0, l: 0, c: 0 }, fencingToken: 0 };
    expect(await restJson('/v1/locks/get-info', { resource, durability: Durability })).toMatchObject({ type: 102, ...none });
    await acquire(resource, Owner);
    const held = await locker.call('GetLock', { Resource: resource, durability: Durability });
    expect(held).toMatchObject({ Type: 4, Owner, FencingToken: '0' });
    expect(Number(held.ExpiresPhysical)).toBeGreaterThan(Date.now());
    const info = await restJson('/v1/locks/get-info', { resource, durability: Durability });
    expect(info).toMatchObject({ type: 4, owner: Owner.toString('base64'), fencingToken: 0 });
    expect(String((info['expires'] as { l: number }).l)).toBe(held.ExpiresPhysical);
  });

  test('locks:I1 locks:I2 locks:I3 locks:I4 locks:I5 locks:I6 bad input is InvalidInput, without a hint and without effect', async () => {
    const resource = name();
    const bad: readonly (readonly [string, Message])[] = [
      ['TryLock', lease('', A)],
      ['TryLock', { Resource: resource, ExpiresMs: 1000, Durability }],
      ['TryLock', lease(resource, Buffer.alloc(0))],
      ['TryLock', lease(resource, A, 0)],
      ['TryLock', lease(resource, A, -1)],
      ['TryExtendLock', lease(resource, A, 0)],
      ['TryExtendLock', lease(resource, A, -7)],
      ['Unlock', { Resource: '', Owner: A, Durability }],
      ['Unlock', { Resource: resource, Durability }],
      ['GetLock', { Resource: '', durability: Durability }],
    ];
    for (const [method, request] of bad) {
      const answer = await locker.call(method, request);
      expect(answer, method).toMatchObject({ Type: 100 });
      expect(answer.Route ?? null, method).toBeNull();
    }
    for (const [path, body] of [
      ['try-lock', { resource, owner: null, expiresMs: 1000, durability: Durability }],
      ['try-lock', { resource, owner: '', expiresMs: 1000, durability: Durability }],
      ['try-lock', { resource, owner: 'AQ==', durability: Durability }],
      ['try-extend', { resource, owner: 'AQ==', expiresMs: 0, durability: Durability }],
      ['try-unlock', { resource: '', owner: 'AQ==', durability: Durability }],
      ['get-info', { durability: Durability }],
    ] as const) {
      expect(await restJson(`/v1/locks/${path}`, body), path).toMatchObject({ type: 100, fencingToken: 0, route: null });
    }
    expect(await locker.call('GetLock', { Resource: resource, durability: Durability })).toMatchObject({ Type: 102 });
  });

  test('locks:I7 locks:I8 locks:I9 locks:I10 names and owners are compared as they are', async () => {
    expect(await acquire(`__kahuna:${name()}`, A)).toMatchObject({ Type: 0, FencingToken: '0' });
    const zeros = name();
    expect(await acquire(zeros, Buffer.from([0]))).toMatchObject({ Type: 0 });
    expect(await acquire(zeros, Buffer.from([0, 0]))).toMatchObject({ Type: 1 });
    const door = name();
    await restJson('/v1/kv/try-set', { key: door, value: 'AQ==', durability: Durability });
    expect(await acquire(door, A)).toMatchObject({ Type: 0, FencingToken: '0' });
    expect(await acquire(door.toUpperCase(), B)).toMatchObject({ Type: 0, FencingToken: '0' });
    expect(await restJson('/v1/kv/try-get', { key: door, durability: Durability })).toMatchObject({ type: 3, value: 'AQ==' });
  });

  test('locks:A9 of fifty owners at once, on the batch stream, exactly one gets the lock', async () => {
    const resource = name();
    const stream = locker.duplex('BatchClientLockRequests');
    const received = new Received<Message>(stream);
    for (let RequestId = 0; RequestId < 50; RequestId++) {
      stream.write({ Type: 1, RequestId, TryLock: lease(resource, Buffer.from(`owner-${RequestId}`)) });
    }
    const answers = await received.first(50);
    expect(new Set(answers.map(answer => answer.RequestId)).size).toBe(50);
    const types = answers.map(answer => (answer['TryLock'] as Message).Type);
    expect(types.filter(type => type === 0)).toHaveLength(1);
    expect(types.filter(type => type === 1)).toHaveLength(49);
    stream.end();
  });
});

test('locks:I11 an unknown durability is InvalidInput, and an absent one is ephemeral', async () => {
  const resource = name();
  expect(await locker.call('TryLock', { Resource: resource, Owner: A, ExpiresMs: 1000, Durability: 5 })).toMatchObject({
    Type: 100,
  });
  expect(await restJson('/v1/locks/try-lock', { resource, owner: 'AQ==', expiresMs: 1000, durability: 5 })).toMatchObject({
    type: 100,
  });
  await restJson('/v1/locks/try-lock', { resource, owner: 'AQ==', expiresMs: 10_000 });
  expect(await locker.call('GetLock', { Resource: resource, durability: 0 })).toMatchObject({ Type: 4 });
  expect(await locker.call('GetLock', { Resource: resource, durability: 1 })).toMatchObject({ Type: 102 });
});

describe('lock batch stream (grpc §8.6)', () => {
  let stream: BatchClientStream;
  const open = (): Received<Message> => {
    stream = locker.duplex('BatchClientLockRequests');
    return new Received(stream);
  };

  test('headers come before the first request, and say nothing of frames', async () => {
    open();
    const headers = await new Promise<{ getMap(): object }>(resolve => stream.on('metadata', resolve));
    expect(headers.getMap()).not.toHaveProperty('kahuna-batch-frames');
    stream.end();
  });

  test('every request is answered in its own member; grpc:6 request ids are echoed', async () => {
    const received = open();
    const resource = name();
    stream.write({ Type: 1, RequestId: -1, TryLock: { Resource: resource, Owner: A, ExpiresMs: 9000, Durability: 1 } });
    expect((await received.first(1))[0]).toMatchObject({ Type: 1, RequestId: -1, payload: 'TryLock', TryLock: { Type: 0 } });
    stream.write({ Type: 2, RequestId: 0, ExtendLock: { Resource: resource, Owner: A, ExpiresMs: 9000, Durability: 1 } });
    expect((await received.first(2))[1]).toMatchObject({ Type: 2, RequestId: 0, ExtendLock: { Type: 2, FencingToken: '0' } });
    stream.write({ Type: 4, RequestId: 2_147_483_647, GetLock: { Resource: resource, durability: 1 } });
    expect((await received.first(3))[2]).toMatchObject({ Type: 4, RequestId: 2_147_483_647, GetLock: { Type: 4, Owner: A } });
    stream.write({ Type: 3, RequestId: -2_147_483_648, Unlock: { Resource: resource, Owner: A, Durability: 1 } });
    expect((await received.first(4))[3]).toMatchObject({ Type: 3, RequestId: -2_147_483_648, Unlock: { Type: 3 } });
    stream.end();
  });

  test('grpc:7 no type, an unknown type, a missing payload: answered, and the stream still works', async () => {
    const received = open();
    stream.write({ Type: 0, RequestId: 1 });
    for (const Type of [99, -1, 15]) stream.write({ Type, RequestId: 2 });
    stream.write({ Type: 1, RequestId: 3 });
    stream.write({ Type: 1, RequestId: 4, GetLock: { Resource: 'r', durability: 1 } });
    stream.write({ Type: 4, RequestId: 5, GetLock: { Resource: name(), durability: 1 } });
    const byId = new Map((await received.first(7)).map(answer => [answer.RequestId, answer]));
    for (const id of [1, 2]) expect(byId.get(id)).toMatchObject({ Type: 0 });
    for (const id of [1, 2]) expect(byId.get(id)?.payload).toBeUndefined();
    for (const id of [3, 4]) expect(byId.get(id)).toMatchObject({ Type: 1, TryLock: { Type: 100 } });
    expect(byId.get(5)).toMatchObject({ Type: 4, GetLock: { Type: 102 } });
    const ended = new Promise<{ code: number }>(resolve => stream.on('status', resolve));
    stream.end();
    expect((await ended).code).toBe(0);
  });
});

describe('sequences', () => {
  const MAX = '9223372036854775807';

  test('sequences:C1 sequences:C3 sequences:N1 create, again, get, next over gRPC', async () => {
    const Name = name();
    const route = { Provenance: 1, Endpoint: node.url, Generation: '0' };
    const created = await sequencer.call('CreateSequence', { Name, Increment: '1', Durability: 1 });
    expect(created).toMatchObject({ Type: 0, Revision: '0', Sequence: null, Route: route });
    expect(await sequencer.call('CreateSequence', { Name, Increment: '5', Durability: 1 })).toMatchObject({
      Type: 2,
      Revision: '-1',
    });
    const got = await sequencer.call('GetSequence', { Name, Durability: 1 });
    expect(got).toMatchObject({ Type: 0, Revision: '0', Route: route });
    const entry = got['Sequence'] as Message;
    expect(entry).toMatchObject({ Name, CurrentValue: '0', InitialValue: '0', Increment: '1', Durability: 1, Incarnation: '0' });
    expect([entry['_MaxValue'], entry['_BlockSize']]).toEqual([undefined, undefined]);
    expect(Number(entry['CreatedAtPhysical'])).toBeGreaterThan(0);
    const next = await sequencer.call('NextSequenceValue', { Name, Durability: 1 });
    expect(next).toMatchObject({ Type: 0, Allocation: { Name, Start: '1', End: '1', Count: 1, Revision: '1' }, Route: route });
  });

  test('sequences:C14 what is missing is NOT_FOUND, and its allocation absent', async () => {
    const Name = name();
    expect(await sequencer.call('GetSequence', { Name, Durability: 1 })).toMatchObject({
      Type: 1,
      Revision: '-1',
      Sequence: null,
    });
    expect(await sequencer.call('NextSequenceValue', { Name, Durability: 1 })).toMatchObject({ Type: 1, Allocation: null });
    expect(await sequencer.call('ReserveSequenceRange', { Name, Count: 2, Durability: 1 })).toMatchObject({
      Type: 1,
      Allocation: null,
    });
    expect(await sequencer.call('UpdateSequence', { Name, CurrentValue: '1', Durability: 1 })).toMatchObject({
      Type: 1,
      Revision: '-1',
    });
    expect(await sequencer.call('DeleteSequence', { Name, Durability: 1 })).toMatchObject({ Type: 1, Revision: '0' });
    const empty = { name: null, start: 0, end: 0, count: 0, revision: 0 };
    for (const [path, revision] of [
      ['get', -1],
      ['next', 0],
      ['delete', 0],
    ] as const) {
      const answer = await restJson(`/v1/sequences/${path}`, { name: Name });
      expect(answer).toMatchObject({ servedFrom: '', type: 1, sequence: null, allocation: empty, revision });
    }
  });

  test('sequences:C4 sequences:C5 sequences:C7 sequences:C9 sequences:N5 bad input, before anything is looked up', async () => {
    const Name = name();
    const bad: readonly (readonly [string, Message])[] = [
      ['CreateSequence', { Name, Increment: '0', Durability: 1 }],
      ['CreateSequence', { Name, Durability: 1 }],
      ['CreateSequence', { Name, Increment: '-1', Durability: 1 }],
      ['CreateSequence', { Name, Increment: '1', InitialValue: '5', MaxValue: '4', Durability: 1 }],
      ['CreateSequence', { Name, Increment: '1', BlockSize: 0, Durability: 1 }],
      ['CreateSequence', { Name, Increment: '1', BlockSize: -3, Durability: 1 }],
      ['ReserveSequenceRange', { Name, Count: 0, Durability: 1 }],
      ['ReserveSequenceRange', { Name, Count: -1, Durability: 1 }],
      ['UpdateSequence', { Name, Durability: 1 }],
      ['UpdateSequence', { Name, MaxValue: '9', RemoveMaxValue: true, Durability: 1 }],
      ['GetSequence', { Name: '   ', Durability: 1 }],
      ['GetSequence', { Name: 'n'.repeat(1025), Durability: 1 }],
      ['NextSequenceValue', { Name: '__kahuna:sequences:a', Durability: 1 }],
      ['NextSequenceValue', { Name, IdempotencyKey: '€'.repeat(400), Durability: 1 }],
    ];
    for (const [method, request] of bad)
      expect(await sequencer.call(method, request), JSON.stringify(request)).toMatchObject({ Type: 3 });
    expect(await sequencer.call('GetSequence', { Name, Durability: 1 })).toMatchObject({ Type: 1 });
  });

  test('sequences:C13 durability: gRPC wants it said, REST takes it for granted', async () => {
    expect(await sequencer.call('CreateSequence', { Name: name(), Increment: '1' })).toMatchObject({ Type: 3, Revision: '-1' });
    expect(await restJson('/v1/sequences/create', { name: name() })).toMatchObject({ type: 0 });
    expect(await restJson('/v1/sequences/create', { name: name(), durability: 'Persistent' })).toMatchObject({ type: 0 });
    expect(await restJson('/v1/sequences/create', { name: name(), durability: 0 })).toMatchObject({ type: 3, revision: -1 });
  });

  test('sequences §11: all 64 bits, in and out, on both surfaces', async () => {
    const Name = name();
    const top = '9223372036854775806';
    await sequencer.call('CreateSequence', { Name, InitialValue: top, Increment: '1', MaxValue: MAX, Durability: 1 });
    const { text } = await rest('/v1/sequences/get', { name: Name });
    expect(text).toContain(`"currentValue":${top},"initialValue":${top},"increment":1,"maxValue":${MAX},"blockSize":null`);
    expect((await rest('/v1/sequences/next', { name: Name })).text).toContain(`"start":${MAX},"end":${MAX},"count":1`);
    expect(await sequencer.call('NextSequenceValue', { Name, Durability: 1 })).toMatchObject({ Type: 4, Allocation: null });
    const low = name();
    const created = await rest(
      '/v1/sequences/create',
      `{"name":"${low}","initialValue":-9223372036854775808,"increment":9007199254740993}`,
    );
    expect(created.text).toContain('"initialValue":-9223372036854775808,"increment":9007199254740993');
    const Allocation = { Start: '-9214364837600034815', End: '-9214364837600034815' };
    expect(await sequencer.call('NextSequenceValue', { Name: low, Durability: 1 })).toMatchObject({ Allocation });
  });

  test('the worked example of rest §14, body by body', async () => {
    const invoice = name();
    const empty = { name: null, start: 0, end: 0, count: 0, revision: 0 };
    const created = await restJson('/v1/sequences/create', {
      name: invoice,
      initialValue: 1000,
      increment: 1,
      maxValue: null,
      durability: 1,
    });
    const entry = { name: invoice, initialValue: 1000, maxValue: null, blockSize: null, durability: 1 };
    expect(created).toMatchObject({
      type: 0,
      sequence: { ...entry, currentValue: 1000, increment: 1, incarnation: 0, revision: 0 },
      allocation: empty,
      revision: 0,
      route: { endpoint: node.url, provenance: 1 },
    });
    const allocation = { name: invoice, start: 1001, end: 1001, count: 1, revision: 1 };
    for (let repeat = 0; repeat < 2; repeat++) {
      const next = await restJson('/v1/sequences/next', { name: invoice, idempotencyKey: 'order-456', durability: 1 });
      expect(next).toMatchObject({ type: 0, sequence: null, allocation, revision: 1 });
    }
    const hundred = { name: invoice, start: 1002, end: 1101, count: 100, revision: 1 };
    const reserved = await restJson('/v1/sequences/reserve', { name: invoice, count: 100, idempotencyKey: null });
    expect(reserved).toMatchObject({ type: 0, allocation: hundred });
    const updated = await restJson('/v1/sequences/update', {
      name: invoice,
      currentValue: 5000,
      increment: 10,
      removeMaxValue: false,
    });
    const after = { ...entry, currentValue: 5000, increment: 10, incarnation: 1, revision: 2 };
    expect(updated).toMatchObject({ type: 0, sequence: after, allocation: empty, revision: 2 });
    expect(await restJson('/v1/sequences/get', { name: invoice })).toMatchObject({ type: 0, sequence: after, revision: 2 });
    expect(await restJson('/v1/sequences/delete', { name: invoice })).toMatchObject({
      type: 0,
      sequence: null,
      allocation: empty,
      revision: 0,
    });
    expect(await restJson('/v1/sequences/delete', { name: invoice })).toMatchObject({ type: 1, revision: 0 });
    expect(await restJson('/v1/sequences/create', { name: invoice })).toMatchObject({ type: 0, revision: 3 });
  });

  test('sequences:I1 sequences:I4 sequences:I6 idempotency keys over gRPC', async () => {
    const Name = name();
    await sequencer.call('CreateSequence', { Name, Increment: '1', Durability: 1 });
    const next = (IdempotencyKey?: string): Promise<Message> =>
      sequencer.call('NextSequenceValue', { Name, IdempotencyKey, Durability: 1 });
    expect(await next('q1')).toMatchObject({ Allocation: { Start: '1' } });
    expect(await next('  q1 ')).toMatchObject({ Allocation: { Start: '1' } });
    expect(await sequencer.call('ReserveSequenceRange', { Name, Count: 6, IdempotencyKey: 'q1', Durability: 1 })).toMatchObject({
      Type: 3,
    });
    expect(await next('')).toMatchObject({ Allocation: { Start: '2' } });
    expect(await next('   ')).toMatchObject({ Allocation: { Start: '3' } });
  });

  test('sequences:C17 nobody reaches the record through the key/value surface', async () => {
    const sequence = name();
    await restJson('/v1/sequences/create', { name: sequence });
    const key = `__kahuna:sequences:${sequence}`;
    for (const path of ['try-get', 'try-set', 'try-delete']) {
      expect(await restJson(`/v1/kv/${path}`, { key, durability: 1 })).toMatchObject({ type: 100 });
    }
    expect(await restJson('/v1/sequences/next', { name: sequence })).toMatchObject({ type: 0 });
  });

  test('wrong JSON types are status 400', async () => {
    for (const body of [
      '{"name":5}',
      '{"name":"a","increment":1.5}',
      '{"name":"a","removeMaxValue":"yes"}',
      '{"name":"a","maxValue":9223372036854775808}',
    ]) {
      const path = body.includes('remove') ? 'update' : 'create';
      const response = await fetch(`${node.url}/v1/sequences/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      expect(response.status, body).toBe(400);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
    }
  });
});

describe('scans', () => {
  const space = `space-${process.pid}`;
  const keys = ['a', 'b', 'c', 'd', 'e'].map(leaf => `${space}/${leaf}`);
  beforeAll(async () => {
    const items = keys.map((key, i) => ({ key, value: i === 1 ? null : Buffer.from(key).toString('base64'), durability: 1 }));
    await restJson('/v1/kv/try-set-many', { items: [...items, { key: `${space}/deep/x`, value: '', durability: 1 }] });
  });
  const keysOf = (answer: { readonly Items?: readonly Message[] }): unknown[] => (answer.Items ?? []).map(item => item.Key);
  const restKeys = (answer: Record<string, unknown>): unknown[] => (answer['items'] as { key: string }[]).map(item => item.key);

  test('bucket: exactly the keys of the space, on unary, batch stream and REST alike; grpc:3 null and empty stay different', async () => {
    const unary = await keyValuer.call('GetByBucket', { PrefixKey: `${space}/`, Durability: 1 });
    expect(unary.Type).toBe(3);
    expect(keysOf(unary)).toEqual(keys);
    expect(unary.Items?.[1]?._Value).toBeUndefined();
    expect(unary.Items?.[0]).toMatchObject({ Value: Buffer.from(`${space}/a`), Revision: '0', State: 1 });
    const stream = keyValuer.batch();
    const received = new Received<Message>(stream);
    stream.write({ Type: 9, RequestId: 3, GetByBucket: { PrefixKey: space, Durability: 1 } });
    expect((await received.first(1))[0]).toMatchObject({ Type: 9, RequestId: 3, GetByBucket: unary });
    stream.write({ Type: 10, RequestId: 4, ScanByPrefix: { PrefixKey: `${space}/d`, Durability: 1 } });
    const scanned = (await received.first(2))[1]?.['ScanByPrefix'] as Message;
    expect(scanned.Type).toBe(3);
    expect(keysOf(scanned)).toEqual([`${space}/d`, `${space}/deep/x`]);
    expect(scanned.Items?.[1]).toMatchObject({ Value: Buffer.alloc(0), _Value: 'Value' });
    stream.end();
    const answer = await restJson('/v1/kv/get-by-bucket', { prefixKey: space, durability: 1 });
    expect(restKeys(answer)).toEqual(keys);
    const [first, second] = answer['items'] as object[];
    expect(Object.keys(first ?? {})).toEqual(['key', 'value', 'revision', 'expires', 'lastModified']);
    expect(second).toMatchObject({ value: null });
    expect(restKeys(await restJson('/v1/kv/scan-all-by-prefix', { prefixKey: `${space}/d`, durability: 1 }))).toHaveLength(2);
  });

  test('empty and reserved prefixes and unknown durabilities are InvalidInput; nothing found is an empty answer', async () => {
    for (const PrefixKey of ['', '__kahuna:x']) {
      expect(await keyValuer.call('GetByBucket', { PrefixKey, Durability: 1 })).toMatchObject({ Type: 100, Items: [] });
      expect(await keyValuer.call('ScanAllByPrefix', { PrefixKey, Durability: 1 })).toMatchObject({ Type: 100, Items: [] });
      expect(await keyValuer.call('GetByRange', { Prefix: PrefixKey, Durability: 1 })).toMatchObject({
        Type: 100,
        HasMore: false,
      });
      expect(await restJson('/v1/kv/get-by-range', { prefix: PrefixKey })).toEqual({
        servedFrom: '',
        type: 100,
        items: [],
        nextCursor: null,
        hasMore: false,
      });
    }
    expect(await keyValuer.call('GetByBucket', { PrefixKey: 'a', Durability: 7 })).toMatchObject({ Type: 100 });
    expect(await keyValuer.call('GetByBucket', { PrefixKey: 'nothing-here', Durability: 1 })).toMatchObject({
      Type: 3,
      Items: [],
    });
  });

  test('a scan that names a transaction in part is InvalidInput, in full Aborted', async () => {
    const part = { PrefixKey: space, Durability: 1, TransactionIdPhysical: '5' };
    expect(await keyValuer.call('GetByBucket', part)).toMatchObject({ Type: 100, Items: [] });
    const full = { ...part, CoordinatorKey: 'c', OperationIdLow: '1' };
    expect(await keyValuer.call('GetByBucket', full)).toMatchObject({ Type: 102, Items: [] });
    const onRest = { prefixKey: space, durability: 1, transactionId: { n: 0, l: 5, c: 0 } };
    expect(await restJson('/v1/kv/get-by-bucket', onRest)).toMatchObject({ type: 100, items: [] });
  });

  test('range: pages over gRPC go on behind the last key, pages over REST by their cursor', async () => {
    const first = await keyValuer.call('GetByRange', { Prefix: space, Limit: 2, Durability: 1 });
    expect(keysOf(first)).toEqual(keys.slice(0, 2));
    expect(first).toMatchObject({ Type: 3, HasMore: true, _NextCursor: 'NextCursor' });
    const rest = await keyValuer.call('GetByRange', { Prefix: space, StartKey: keys[1], Limit: -1, Durability: 1 });
    expect(keysOf(rest)).toEqual(keys.slice(2));
    expect(rest.HasMore).toBe(false);
    expect(rest['_NextCursor']).toBeUndefined();
    const bounded = {
      Prefix: space,
      StartKey: keys[1],
      StartInclusive: true,
      EndKey: keys[3],
      EndInclusive: true,
      Durability: 1,
    };
    expect(keysOf(await keyValuer.call('GetByRange', bounded))).toEqual(keys.slice(1, 4));
    const seen: unknown[] = [];
    let cursor: unknown = null;
    do {
      const page = await restJson('/v1/kv/get-by-range', { prefix: space, limit: 2, durability: 1, cursor });
      seen.push(...restKeys(page));
      cursor = page['nextCursor'];
      expect(page['hasMore']).toBe(cursor !== null);
    } while (cursor !== null);
    expect(seen).toEqual(keys);
    expect(await restJson('/v1/kv/get-by-range', { prefix: space, durability: 1, cursor: 'not-ours' })).toMatchObject({
      type: 100,
    });
    const all = await restJson('/v1/kv/get-by-range', { prefix: space, durability: 1, limit: 9007199254740991 });
    expect([restKeys(all).length, all['hasMore']]).toEqual([5, false]);
  });

  const pages = (request: Message): Promise<{ readonly pages: readonly Message[]; readonly code: number }> =>
    new Promise(resolve => {
      const stream = keyValuer.serverStream('GetByRangeStream', request);
      const got: Message[] = [];
      stream.on('data', page => got.push(page));
      stream.on('error', () => undefined);
      stream.on('status', ({ code }: { code: number }) => resolve({ pages: got, code }));
    });

  test('grpc:15 the range stream brings all rows, once each, in pages of the limit', async () => {
    const wide = name();
    for (let from = 0; from < 2500; from += 500) {
      const items = Array.from({ length: 500 }, (_, i) => ({
        key: `${wide}/${String(from + i).padStart(5, '0')}`,
        value: 'AQ==',
        durability: 1,
      }));
      await restJson('/v1/kv/try-set-many', { items });
    }
    const { pages: got, code } = await pages({ Prefix: wide, Limit: 100, Durability: 1 });
    expect(code).toBe(0);
    expect(got).toHaveLength(25);
    expect(got.map(page => page.HasMore)).toEqual([...Array.from({ length: 24 }, () => true), false]);
    const seen = got.flatMap(page => (page.Items ?? []).map(item => item.Key));
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(seen).toHaveLength(2500);
    expect((await pages({ Prefix: wide, Durability: 1 })).pages.map(page => page.Items?.length)).toEqual([1000, 1000, 500]);
  });

  test('the range stream: nothing found is one empty page, an empty prefix no page, other bad input one page', async () => {
    expect(await pages({ Prefix: 'nothing-here', Durability: 1 })).toMatchObject({
      code: 0,
      pages: [{ Type: 3, Items: [], HasMore: false }],
    });
    expect(await pages({ Prefix: '', Durability: 1 })).toEqual({ code: 0, pages: [] });
    expect(await pages({ Prefix: 'x', Durability: 9 })).toMatchObject({ code: 0, pages: [{ Type: 100 }] });
    expect(await pages({ Prefix: 'x', Durability: 1, TransactionIdNode: 1 })).toMatchObject({ code: 0, pages: [{ Type: 100 }] });
  });

  test('grpc:9 a bucket over 4 MiB is ERRORED on the stream, which goes on, and whole on the unary call', async () => {
    const large = name();
    const value = Buffer.alloc(900_000, 7).toString('base64');
    for (let i = 0; i < 5; i++) await restJson('/v1/kv/try-set', { key: `${large}/${i}`, value, durability: 1 });
    const stream = keyValuer.batch();
    const received = new Received<Message>(stream);
    stream.write({ Type: 9, RequestId: 1, GetByBucket: { PrefixKey: large, Durability: 1 } });
    expect((await received.first(1))[0]).toMatchObject({ Type: 9, GetByBucket: { Type: 99, Items: [] } });
    stream.write({ Type: 9, RequestId: 2, GetByBucket: { PrefixKey: space, Durability: 1 } });
    expect((await received.first(2))[1]).toMatchObject({ RequestId: 2, GetByBucket: { Type: 3 } });
    stream.end();
    expect(keysOf(await keyValuer.call('GetByBucket', { PrefixKey: large, Durability: 1 }))).toHaveLength(5);
    expect(keysOf(await keyValuer.call('GetByRange', { Prefix: large, Durability: 1 }))).toHaveLength(5);
    const all = await restJson('/v1/kv/get-by-range', { prefix: large, durability: 1 });
    expect([restKeys(all).length, all['hasMore']]).toEqual([5, false]);
    expect((await pages({ Prefix: large, Durability: 1 })).pages.flatMap(page => page.Items ?? [])).toHaveLength(5);
  });
});

describe('snapshot holds', () => {
  test('acquire, acquire again, floor, renew, release, release again: gRPC and REST see one another', async () => {
    const at = Date.now() - 1000;
    const request = { HolderId: name(), TimestampPhysical: String(at), TimestampCounter: 4_294_967_295, LeaseMs: 60_000 };
    const held = await keyValuer.call('AcquireSnapshotHold', request);
    expect(held).toMatchObject({ Type: 0, HoldId: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(Number(held['LeaseExpiryPhysical'])).toBeGreaterThan(Date.now());
    const holdId = held.HoldId;
    const again = { holderId: request.HolderId, timestamp: { n: 0, l: at, c: 4_294_967_295 }, leaseMs: 60_000 };
    expect(await restJson('/v1/kv/snapshot-hold/acquire', again)).toMatchObject({ type: 0, holdId });
    const floor = await (await fetch(`${node.url}/v1/kv/snapshot-floor`)).json();
    expect(floor).toEqual({ type: 3, effectiveFloor: { n: 0, l: at, c: 4_294_967_295 }, liveHolds: 1 });
    expect(await keyValuer.call('GetSnapshotFloor', {})).toMatchObject({
      Type: 3,
      EffectiveFloorPhysical: String(at),
      LiveHolds: 1,
    });
    expect(await keyValuer.call('RenewSnapshotHold', { HoldId: holdId, LeaseMs: 60_000 })).toMatchObject({ Type: 0 });
    expect(await restJson('/v1/kv/snapshot-hold/release', { holdId })).toEqual({ type: 4 });
    expect(await keyValuer.call('ReleaseSnapshotHold', { HoldId: holdId })).toMatchObject({ Type: 103 });
    expect(await keyValuer.call('RenewSnapshotHold', { HoldId: holdId, LeaseMs: 1 })).toMatchObject({
      Type: 103,
      LeaseExpiryPhysical: '0',
    });
    expect(await keyValuer.call('GetSnapshotFloor', {})).toMatchObject({ Type: 3, EffectiveFloorPhysical: '0', LiveHolds: 0 });
  });

  test('bad input is InvalidInput with an empty hold and no lease', async () => {
    for (const request of [
      { HolderId: '', TimestampPhysical: '1', LeaseMs: 1000 },
      { HolderId: 'h', LeaseMs: 1000 },
      { HolderId: 'h', TimestampPhysical: '1', LeaseMs: 0 },
    ]) {
      const refused = await keyValuer.call('AcquireSnapshotHold', request);
      expect(refused).toMatchObject({ Type: 100, HoldId: '', LeaseExpiryPhysical: '0' });
    }
    expect(await keyValuer.call('RenewSnapshotHold', { HoldId: 'h', LeaseMs: 0 })).toMatchObject({ Type: 100 });
    expect(await keyValuer.call('ReleaseSnapshotHold', { HoldId: '' })).toMatchObject({ Type: 100 });
    expect(await restJson('/v1/kv/snapshot-hold/acquire', { holderId: 'h', leaseMs: 5 })).toEqual({
      type: 100,
      holdId: '',
      leaseExpiry: { n: 0, l: 0, c: 0 },
    });
  });
});
