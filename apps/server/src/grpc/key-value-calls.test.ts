import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Message, startTestServer, TestClient, type TestServer } from './test-server.ts';

const PERSISTENT = 1;
const LATEST = '-1';
const INVALID_INPUT = 100;
const ABORTED = 102;
const MISS = 103;
const MAX_UINT64 = '18446744073709551615';

let server: TestServer;
let client: TestClient;

beforeEach(async () => {
  server = await startTestServer();
  client = new TestClient(server.address, 'keyvalues.proto', 'KeyValuer');
});

afterEach(async () => {
  client.close();
  await server.close();
});

const set = (fields: Message): Promise<Message> =>
  client.call('TrySetKeyValue', { Key: 'orders/42', Durability: PERSISTENT, Flags: 1, ...fields });
const get = (fields: Message): Promise<Message> =>
  client.call('TryGetKeyValue', { Key: 'orders/42', Durability: PERSISTENT, Revision: LATEST, ...fields });

describe('one key', () => {
  test('grpc:3 null, no bytes and one byte are three different values', async () => {
    for (const value of [undefined, Buffer.alloc(0), Buffer.from([7])]) {
      await set({ Value: value });
      const answer = await get({});
      expect(answer.Type).toBe(3);
      expect(answer._Value).toBe(value === undefined ? undefined : 'Value');
      if (value !== undefined) expect(answer.Value).toEqual(value);
    }
  });

  test('a set answers its revision, the exact triple of its commit, and a hint to this node', async () => {
    const answer = await set({ Value: Buffer.from('a') });
    expect(answer).toMatchObject({
      Type: 0,
      Revision: '0',
      LastModifiedNode: 1,
      Route: { PartitionId: 3, Endpoint: 'https://node-1:8082', Provenance: 1, Generation: '0' },
    });
    expect(answer).not.toHaveProperty('ServedFrom');
    const read = await get({});
    for (const field of ['LastModifiedNode', 'LastModifiedPhysical', 'LastModifiedCounter']) {
      expect(read[field]).toBe(answer[field]);
    }
    const asOf = await get({
      ReadTimestampNode: answer.LastModifiedNode,
      ReadTimestampPhysical: answer.LastModifiedPhysical,
      ReadTimestampCounter: answer.LastModifiedCounter,
    });
    expect(asOf).toMatchObject({ Type: 3, Revision: '0', State: 1 });
  });

  test('a forwarded answer names the other node', async () => {
    server.node.forwarded = true;
    expect(await set({})).toMatchObject({ Route: { Endpoint: 'https://node-2:8082', Provenance: 2 } });
  });

  test('conditions, extend, exists and delete', async () => {
    expect(await set({ Flags: 33, CompareRevision: '4' })).toMatchObject({ Type: 1, Revision: '-1' });
    expect(await set({ Flags: 9 })).toMatchObject({ Type: 0, Revision: '0' });
    expect(await set({ Flags: 9 })).toMatchObject({ Type: 1, Revision: '0' });
    expect(await set({ Flags: 33, CompareRevision: '0' })).toMatchObject({ Type: 0, Revision: '1' });
    const point = { Key: 'orders/42', Durability: PERSISTENT };
    expect(await client.call('TryExtendKeyValue', { ...point, ExpiresMs: 60_000 })).toMatchObject({ Type: 2, Revision: '1' });
    expect(await client.call('TryExistsKeyValue', { ...point, Revision: LATEST })).toMatchObject({
      Type: 10,
      State: 1,
      ExpiresNode: 1,
    });
    expect(await client.call('TryDeleteKeyValue', point)).toMatchObject({ Type: 4, Revision: '1' });
    expect(await client.call('TryDeleteKeyValue', point)).toMatchObject({ Type: MISS, Revision: '1' });
    expect(await get({})).toMatchObject({ Type: MISS, Revision: '1', State: 0, LastModifiedPhysical: '0' });
  });

  test('an absent revision asks for revision 0', async () => {
    await set({ Value: Buffer.from('a') });
    await set({ Value: Buffer.from('b') });
    expect(await client.call('TryGetKeyValue', { Key: 'orders/42', Durability: PERSISTENT })).toMatchObject({
      Type: 3,
      Revision: '0',
      Value: Buffer.from('a'),
    });
  });

  test('a revision beyond the safe integers is a miss that echoes it exactly', async () => {
    await set({});
    const asked = '9007199254740993';
    expect(await get({ Revision: asked })).toMatchObject({ Type: MISS, Revision: asked });
    expect(await set({ Flags: 32, CompareRevision: '9223372036854775807' })).toMatchObject({ Type: 1 });
  });

  test.each([
    ['an empty key', { Key: '' }],
    ['a reserved key', { Key: '__kahuna:x' }],
    ['a durability that does not exist', { Durability: 2 }],
    ['a negative lifetime', { ExpiresMs: -1 }],
    ['a transaction without operation id', { TransactionIdPhysical: '1', CoordinatorKey: 'c' }],
    ['a transaction without coordinator key', { TransactionIdPhysical: '1', OperationIdLow: '1' }],
    ['a transaction id only', { TransactionIdCounter: 1 }],
  ])('%s is INVALID_INPUT', async (_what, fields) => {
    const answer = await set(fields);
    expect(answer).toMatchObject({ Type: INVALID_INPUT, Revision: '0', TimeElapsedMs: 0 });
    expect(answer.Route ?? null).toBeNull();
  });

  test('a read timestamp below zero is INVALID_INPUT', async () => {
    expect(await get({ ReadTimestampPhysical: '-1' })).toMatchObject({ Type: INVALID_INPUT });
  });

  test('a session that nobody knows answers ABORTED', async () => {
    const identity = { TransactionIdPhysical: '1', CoordinatorKey: 'c', OperationIdHigh: MAX_UINT64 };
    expect(await set(identity)).toMatchObject({ Type: ABORTED });
    expect(await get(identity)).toMatchObject({ Type: ABORTED });
    expect(server.node.pending).toBe(0);
  });

  test('coordinator key and operation id without a transaction are ignored', async () => {
    expect(await set({ CoordinatorKey: 'c', OperationIdHigh: MAX_UINT64 })).toMatchObject({ Type: 0 });
  });

  test('half a UTF-8 sequence is refused and never stored', async () => {
    const key = Buffer.from([0x22, 2, 0x61, 0xc3]);
    await expect(client.callRaw('/KeyValuer/TrySetKeyValue', key)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(client.callRaw('/KeyValuer/TrySetKeyValue', Buffer.from([0x22, 9]))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(server.faults).toEqual([]);
  });

  test('a key that begins with a byte order mark keeps it', async () => {
    await set({ Key: '\uFEFFk', Value: Buffer.from('bom') });
    await set({ Key: 'k', Value: Buffer.from('plain') });
    expect((await get({ Key: '\uFEFFk' })).Value).toEqual(Buffer.from('bom'));
  });

  test('a value of 1 MiB, and one of 8 MiB, go through', async () => {
    for (const size of [1_048_576, 8 * 1_048_576]) {
      const value = Buffer.alloc(size, 0x5a);
      await set({ Value: value });
      expect(Buffer.compare((await get({})).Value ?? Buffer.alloc(0), value)).toBe(0);
    }
  });

  test('keyvalues:§4 a value that no partition could ever take is refused at once, not asked for again and again', async () => {
    const half = Buffer.alloc(20 * 1_048_576);
    for (const fields of [{ Value: Buffer.alloc(40 * 1_048_576) }, { Value: half, CompareValue: half, Flags: 16 }]) {
      expect(await set(fields)).toMatchObject({ Type: INVALID_INPUT });
    }
  });

  test('grpc:§1.3 a drain waits for the calls in flight', async () => {
    server.node.holdKey = 'slow';
    const slow = set({ Key: 'slow' });
    const many = client.call('TrySetManyKeyValue', { Items: [{ Key: 'slow', Durability: 1 }] });
    await expect.poll(() => server.node.pending).toBe(2);
    let isOver = false;
    const drained = server.services.drain().then(() => {
      isOver = true;
    });
    await set({ Key: 'late' });
    expect(isOver).toBe(false);
    server.node.releaseHeld();
    await drained;
    expect(await slow).toMatchObject({ Type: 0 });
    expect((await many).Items).toMatchObject([{ Type: 0 }]);
  });

  test('after a drain began, calls are answered MUST_RETRY', async () => {
    await server.services.drain();
    expect(await set({})).toMatchObject({ Type: 101 });
  });
});

describe('many keys', () => {
  const item = (Key: string, fields: Message = {}): Message => ({ Key, Durability: PERSISTENT, Flags: 1, ...fields });
  const rows = (answer: Message): readonly Message[] => answer.Items ?? [];

  test('one row per item in their order, duplicates executed in that order, hints in a table', async () => {
    const answer = await client.call('TrySetManyKeyValue', {
      Items: [item('b'), item('a'), item('b'), item('b', { Durability: 0 })],
    });
    expect(rows(answer)).toMatchObject([
      { Key: 'b', Type: 0, Revision: '0', Durability: 1, RouteIndex: 1 },
      { Key: 'a', Type: 0, Revision: '0', Durability: 1, RouteIndex: 2 },
      { Key: 'b', Type: 0, Revision: '1', Durability: 1, RouteIndex: 1 },
      { Key: 'b', Type: 0, Revision: '0', Durability: 0, RouteIndex: 1 },
    ]);
    // The two keys belong to different partitions: each distinct hint stands once.
    expect(answer.Routes).toMatchObject([{ Provenance: 1 }, { Provenance: 1 }]);
    expect(answer.Routes?.[0]?.['PartitionId']).not.toBe(answer.Routes?.[1]?.['PartitionId']);
  });

  test('items of one key take effect in their order, whatever happens to writes that are under way together', async () => {
    server.node.reversed = true;
    const answer = await client.call('TrySetManyKeyValue', { Items: [item('b'), item('a'), item('b'), item('a'), item('b')] });
    expect(rows(answer).map(row => row.Revision)).toEqual(['0', '0', '1', '1', '2']);
  });

  test.each([
    ['a reserved key', item('__kahuna:x')],
    ['an empty key', item('')],
    ['a negative lifetime', item('a', { ExpiresMs: -1 })],
    ['an unknown durability', item('a', { Durability: 9 })],
    ['a transaction', item('a', { TransactionIdPhysical: '5' })],
  ])('set-many with %s refuses every item and executes none', async (_what, bad) => {
    const answer = await client.call('TrySetManyKeyValue', { Items: [item('good'), bad] });
    expect(rows(answer).map(row => row.Type)).toEqual([INVALID_INPUT, INVALID_INPUT]);
    expect(rows(answer).map(row => row.Key)).toEqual(['good', bad.Key]);
    expect(await get({ Key: 'good' })).toMatchObject({ Type: MISS });
  });

  test('an answer that is too large costs no memory before it is refused', async () => {
    await set({ Key: 'a', Value: Buffer.alloc(1_048_576, 1) });
    const Items = Array.from({ length: 400 }, () => ({ Key: 'a', Durability: PERSISTENT, Revision: LATEST }));
    const peakKiB = process.resourceUsage().maxRSS;
    const answer = await client.call('TryGetManyValues', { Items });
    expect(new Set(rows(answer).map(row => row.Type))).toEqual(new Set([99]));
    expect(rows(answer)).toHaveLength(400);
    expect((process.resourceUsage().maxRSS - peakKiB) / 1024).toBeLessThan(300);
  });

  test('a bad item fails alone in delete-many, get-many and exists-many', async () => {
    await set({ Key: 'a', Value: Buffer.alloc(0) });
    const items = [
      { Key: 'a', Durability: 1, Revision: LATEST },
      { Key: '__kahuna:x', Durability: 1, Revision: LATEST },
      { Key: 'missing', Durability: 1, Revision: LATEST },
      { Key: 'a', Durability: 1, Revision: '9007199254740993' },
    ];
    const got = rows(await client.call('TryGetManyValues', { Items: items }));
    expect(got.map(row => row.Type)).toEqual([3, INVALID_INPUT, MISS, MISS]);
    expect(got[0]).toMatchObject({ _Value: 'Value', State: 1, RouteIndex: 1 });
    expect(got[1]).toMatchObject({ RouteIndex: 0, Key: '__kahuna:x' });
    expect(got[2]).toMatchObject({ Revision: '-1' });
    expect(got[3]).toMatchObject({ Revision: '9007199254740993' });
    const exists = rows(await client.call('TryExistsManyValues', { Items: items }));
    expect(exists.map(row => row.Type)).toEqual([10, INVALID_INPUT, MISS, MISS]);
    const deleted = rows(await client.call('TryDeleteManyKeyValue', { Items: [...items.slice(0, 3), ...items.slice(0, 1)] }));
    expect(deleted.map(row => row.Type)).toEqual([4, INVALID_INPUT, MISS, MISS]);
  });

  test('reads that name a transaction are INVALID_INPUT in every item; empty lists are empty answers', async () => {
    const answer = await client.call('TryGetManyValues', { TransactionIdNode: 1, Items: [item('a'), item('b')] });
    expect(rows(answer).map(row => row.Type)).toEqual([INVALID_INPUT, INVALID_INPUT]);
    for (const method of ['TrySetManyKeyValue', 'TryDeleteManyKeyValue', 'TryGetManyValues', 'TryExistsManyValues']) {
      expect(rows(await client.call(method, { Items: [] }))).toEqual([]);
    }
  });

  test('delete-many in a session: named in full it is ABORTED, in part or of two transactions INVALID_INPUT', async () => {
    const inSession = [item('a', { TransactionIdPhysical: '5' }), item('b', { TransactionIdPhysical: '5' })];
    const identity = { CoordinatorKey: 'c', OperationIdHigh: '1', OperationIdLow: '0' };
    const types = async (request: Message): Promise<unknown[]> =>
      rows(await client.call('TryDeleteManyKeyValue', request)).map(row => row.Type);
    expect(await types({ Items: inSession, ...identity })).toEqual([ABORTED, ABORTED]);
    expect(await types({ Items: inSession, ...identity, CoordinatorKey: '' })).toEqual([INVALID_INPUT, INVALID_INPUT]);
    expect(await types({ Items: inSession, CoordinatorKey: 'c' })).toEqual([INVALID_INPUT, INVALID_INPUT]);
    expect(await types({ Items: inSession, ...identity, OperationIdHigh: '0' })).toEqual([INVALID_INPUT, INVALID_INPUT]);
    const mixed = [...inSession.slice(0, 1), item('b', { TransactionIdPhysical: '6' })];
    expect(await types({ Items: mixed, ...identity })).toEqual([INVALID_INPUT, INVALID_INPUT]);
  });

  test('5,000 items run in windows; more than the bound is refused', async () => {
    const items = Array.from({ length: 5000 }, (_, i) => item(`bulk/${i}`));
    const answer = await client.call('TrySetManyKeyValue', { Items: items });
    expect(rows(answer).map(row => row.Key)).toEqual(items.map(sent => sent.Key));
    expect(rows(answer).every(row => row.Type === 0)).toBe(true);
    const flood = Buffer.concat(Array.from({ length: 100_001 }, () => Buffer.from('0a03220161', 'hex')));
    await expect(client.callRaw('/KeyValuer/TrySetManyKeyValue', flood)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });
});
