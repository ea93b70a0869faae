import { clusterMessages as c, keyValueMessages as m } from '@kahuna/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GrpcClient } from '../clients/grpc-kv.ts';
import { type HttpAnswer, http } from '../clients/rest-kv.ts';
import { Cluster } from '../harness/cluster.ts';

/** The examples of the REST page on a fresh node, member by member: what clients parse is what is written there. */

let cluster: Cluster;
let url: string;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false });
  url = cluster.node(1).url;
});

afterAll(() => cluster?.close());

const ZERO = { n: 0, l: 0, c: 0 };
const stamp = { n: 1, l: expect.any(Number), c: expect.any(Number) };
const routeTo = (partitionId: number) => ({ partitionId, endpoint: url, provenance: 1, generation: 0 });
const servedFrom = '';

const send = (path: string, body: unknown): Promise<HttpAnswer> => http(`${url}${path}`, { body: JSON.stringify(body) });

async function post(path: string, body: unknown): Promise<unknown> {
  const answer = await send(path, body);
  expect([path, answer.status, answer.headers['content-type']]).toEqual([path, 200, 'application/json; charset=utf-8']);
  return JSON.parse(answer.text);
}

test('rest:§7 one key: set, set again, extend, get, exists, delete, and misses', async () => {
  const none = { transactionId: ZERO, coordinatorKey: '', operationIdHigh: 0, operationIdLow: 0 };
  const set = {
    ...none,
    key: 'orders/1',
    value: 'aGVsbG8=',
    compareValue: null,
    compareRevision: 0,
    expiresMs: 0,
    durability: 1,
  };
  const route = routeTo(3);
  const written = (await post('/v1/kv/try-set', { ...set, flags: 1 })) as { lastModified: object };
  expect(written).toEqual({ servedFrom, type: 0, revision: 0, lastModified: stamp, route });
  const { lastModified } = written;
  expect(await post('/v1/kv/try-set', { ...set, flags: 8 })).toEqual({ servedFrom, type: 1, revision: 0, lastModified, route });
  const key = { key: 'orders/1', durability: 1 };
  const get = { ...none, ...key, revision: -1, readTimestamp: ZERO };
  const found = { servedFrom, type: 3, value: 'aGVsbG8=', revision: 0, expires: ZERO, lastModified, route };
  expect(await post('/v1/kv/try-get', get)).toEqual(found);
  expect(await post('/v1/kv/try-get', key)).toEqual(found);
  const { value: _, ...existing } = { ...found, type: 10 };
  expect(await post('/v1/kv/try-exists', key)).toEqual(existing);
  const extended = await post('/v1/kv/try-extend', { ...key, expiresMs: 600_000 });
  expect(extended).toEqual({ servedFrom, type: 2, revision: 0, lastModified: stamp, route });
  expect(await post('/v1/kv/try-delete', key)).toEqual({ servedFrom, type: 4, revision: 0, lastModified: stamp, route });
  const never = { ...get, key: 'orders/never' };
  const miss = { servedFrom, type: 103, value: null, revision: -1, expires: ZERO, lastModified: ZERO, route };
  expect(await post('/v1/kv/try-get', never)).toEqual(miss);
  expect(await post('/v1/kv/try-get', get)).toEqual({ ...miss, revision: 0 });

  expect(await post('/v1/kv/try-set', { key: 'orders/1', value: 'aGVsbG8=' })).toMatchObject({ type: 0, revision: 0 });
  expect(await post('/v1/kv/try-get', { key: 'orders/1', durability: 0 })).toMatchObject({ type: 3, value: 'aGVsbG8=' });
  const refused = { servedFrom, type: 100, revision: 0, lastModified: ZERO, route: null };
  expect(await post('/v1/kv/try-set', { key: '' })).toEqual(refused);
});

test('rest:§8 batches: rows in the order of the request, hints in a table', async () => {
  for (let i = 0; i < 5; i++) await post('/v1/kv/try-set', { key: 'users/9', value: 'dHdv', durability: 1 });
  await post('/v1/kv/try-set', { key: 'batch/1', value: 'b25l', durability: 1 });
  const set = await post('/v1/kv/try-set-many', {
    items: [
      { key: 'batch/1', value: 'b25l', expiresMs: 0, flags: 1, durability: 1 },
      { key: 'users/9', value: 'dHdv', expiresMs: 60_000, flags: 8, durability: 1 },
    ],
  });
  const elapsed = { timeElapsedMs: expect.any(Number) };
  const written = { servedFrom, lastModified: stamp, durability: 1 };
  const { routes } = set as { routes: { partitionId: number }[] };
  expect(new Set(routes.map(route => route.partitionId)).size).toBe(routes.length);
  expect(set).toEqual({
    type: 0,
    items: [
      { ...written, key: 'batch/1', type: 0, revision: 1, routeIndex: expect.any(Number) },
      { ...written, key: 'users/9', type: 1, revision: 4, routeIndex: expect.any(Number) },
    ],
    ...elapsed,
    routes: routes.map(({ partitionId }) => routeTo(partitionId)),
  });
  const items = [
    { key: 'batch/1', durability: 1 },
    { key: 'nope', durability: 1 },
  ];
  const rows = [
    { servedFrom, key: 'batch/1', type: 4, revision: 1, lastModified: stamp, durability: 1, routeIndex: expect.any(Number) },
    { servedFrom, key: 'nope', type: 103, revision: -1, lastModified: ZERO, durability: 1, routeIndex: expect.any(Number) },
  ];
  expect(await post('/v1/kv/try-delete-many', { items })).toEqual({
    type: 4,
    items: rows,
    ...elapsed,
    routes: expect.any(Array),
  });
  const wanted = ['users/9', 'nope'].map(key => ({ key, revision: -1, durability: 1 }));
  const read = { durability: 1, expires: ZERO, routeIndex: expect.any(Number) };
  const found = { ...read, key: 'users/9', value: 'dHdv', revision: 4, lastModified: stamp };
  const missed = { ...read, key: 'nope', type: 103, value: null, revision: -1, lastModified: ZERO };
  for (const [path, type, value] of [
    ['try-get-many', 3, 'dHdv'],
    ['try-exists-many', 10, null],
  ] as const) {
    const answer = await post(`/v1/kv/${path}`, { transactionId: ZERO, readTimestamp: ZERO, items: wanted });
    const told = { type: 3, servedFrom, items: [{ ...found, type, value }, missed], ...elapsed, routes: expect.any(Array) };
    expect(answer).toEqual(told);
  }
  expect(await post('/v1/kv/try-set-many', {})).toMatchObject({ type: 100, items: [{ key: null, type: 100 }] });
  expect(await post('/v1/kv/try-delete-many', { items: null })).toMatchObject({ type: 100, items: [{ type: 100 }] });
  expect(await post('/v1/kv/try-get-many', {})).toMatchObject({ type: 100, items: [] });
});

test('rest:§9 bucket, scan and range', async () => {
  const put = (key: string, value: string) => post('/v1/kv/try-set', { key, value, durability: 1 });
  await put('services/auth/instance-2', 'bm9kZTI=');
  await put('services/auth/instance-1', 'bm9kZTE=');
  const row = (key: string, value: string, revision = 0) => ({ key, value, revision, expires: ZERO, lastModified: stamp });
  const both = [row('services/auth/instance-1', 'bm9kZTE='), row('services/auth/instance-2', 'bm9kZTI=')];
  const prefix = { transactionId: ZERO, prefixKey: 'services/auth', readTimestamp: ZERO, durability: 1 };
  expect(await post('/v1/kv/get-by-bucket', prefix)).toEqual({ servedFrom, type: 3, items: both });
  expect(await post('/v1/kv/scan-all-by-prefix', prefix)).toEqual({ servedFrom, type: 3, items: both });
  expect(await post('/v1/kv/get-by-bucket', { prefixKey: 'void', durability: 1 })).toEqual({ servedFrom, type: 3, items: [] });

  for (const key of ['invoices/0001', 'invoices/0002', 'invoices/0002', 'invoices/0002', 'invoices/0003']) await put(key, 'dHdv');
  const range = {
    ...{ transactionId: ZERO, prefix: 'invoices', startKey: 'invoices/0001', startInclusive: true, endKey: null },
    ...{ endInclusive: false, limit: 2, readTimestamp: ZERO, durability: 1, cursor: null },
  };
  const page = (await post('/v1/kv/get-by-range', range)) as { nextCursor: string };
  const items = [row('invoices/0001', 'dHdv'), row('invoices/0002', 'dHdv', 2)];
  expect(page).toEqual({ servedFrom, type: 3, items, nextCursor: expect.stringMatching(/^AQ[\w-]+$/), hasMore: true });
  // The cursor's layout is contract (routing §8): version, key, prefix, durability, time.
  const texts = ['invoices/0002', 'invoices'].flatMap(text => [Buffer.from([text.length, 0, 0, 0]), Buffer.from(text)]);
  const layout = Buffer.concat([Buffer.from([1]), ...texts, Buffer.from([1])]);
  const cursor = Buffer.from(page.nextCursor, 'base64url');
  expect(cursor.subarray(0, layout.length)).toEqual(layout);
  expect(cursor).toHaveLength(layout.length + 16);
  const rest = await post('/v1/kv/get-by-range', { ...range, cursor: page.nextCursor });
  expect(rest).toEqual({ servedFrom, type: 3, items: [row('invoices/0003', 'dHdv')], nextCursor: null, hasMore: false });
  const everything = { ...range, limit: 9_007_199_254_740_991 };
  expect(await post('/v1/kv/get-by-range', everything)).toMatchObject({ type: 3, hasMore: false, nextCursor: null });
});

test('rest:§12 snapshot holds', async () => {
  const acquire = { holderId: 'report-7', timestamp: { n: 0, l: 1_763_715_600_000, c: 4_294_967_295 }, leaseMs: 600_000 };
  const held = (await post('/v1/kv/snapshot-hold/acquire', acquire)) as { holdId: string };
  expect(held).toEqual({ type: 0, holdId: expect.stringMatching(/^[0-9a-f]{32}$/), leaseExpiry: stamp });
  const floor = JSON.parse((await http(`${url}/v1/kv/snapshot-floor`)).text);
  expect(floor).toEqual({ type: 3, effectiveFloor: acquire.timestamp, liveHolds: 1 });
  const { holdId } = held;
  expect(await post('/v1/kv/snapshot-hold/renew', { holdId, leaseMs: 600_000 })).toEqual({ type: 0, leaseExpiry: stamp });
  expect(await post('/v1/kv/snapshot-hold/release', { holdId })).toEqual({ type: 4 });
  expect(await post('/v1/kv/snapshot-hold/release', { holdId })).toEqual({ type: 103 });
});

test('rest:§13 locks', async () => {
  const resource = 'jobs/nightly';
  const lease = { resource, owner: 'd29ya2VyLTc=', expiresMs: 600_000, durability: 1 };
  const route = routeTo(4);
  const told = (type: number, fencingToken = 0) => ({ servedFrom, type, fencingToken, route });
  expect(await post('/v1/locks/try-lock', lease)).toEqual(told(0));
  expect(await post('/v1/locks/try-lock', { ...lease, owner: 'AQ==' })).toEqual(told(1));
  const info = await post('/v1/locks/get-info', { resource, durability: 1 });
  expect(info).toEqual({ ...told(4), owner: 'd29ya2VyLTc=', expires: stamp });
  expect(await post('/v1/locks/try-extend', { ...lease, expiresMs: 900_000 })).toEqual(told(2));
  const { expiresMs: _, ...release } = lease;
  expect(await post('/v1/locks/try-unlock', release)).toEqual(told(3));
  expect(await post('/v1/locks/try-unlock', release)).toEqual(told(102));
  expect(await post('/v1/locks/try-lock', { ...lease, owner: 'AQ==' })).toEqual(told(0, 1));
});

test('rest:§14 sequences', async () => {
  const name = 'invoice';
  const create = { name, initialValue: 1000, increment: 1, maxValue: null, blockSize: null, durability: 1 };
  const entry = { ...create, currentValue: 1000, incarnation: 0, revision: 0, createdAt: stamp, updatedAt: stamp };
  const nothing = { name: null, start: 0, end: 0, count: 0, revision: 0 };
  const route = expect.objectContaining({ endpoint: url, provenance: 1, generation: 0 });
  const told = (fields: object) => ({ servedFrom, type: 0, sequence: null, allocation: nothing, revision: 0, route, ...fields });
  expect(await post('/v1/sequences/create', create)).toEqual(told({ sequence: entry }));
  const next = { name, idempotencyKey: 'order-456', durability: 1 };
  const first = told({ allocation: { name, start: 1001, end: 1001, count: 1, revision: 1 }, revision: 1 });
  expect(await post('/v1/sequences/next', next)).toEqual(first);
  expect(await post('/v1/sequences/next', next)).toEqual(first);
  const run = { name, start: 1002, end: 1101, count: 100, revision: 1 };
  const reserve = { name, count: 100, idempotencyKey: null, durability: 1 };
  expect(await post('/v1/sequences/reserve', reserve)).toEqual(told({ allocation: run, revision: 1 }));
  const update = {
    ...{ name, currentValue: 5000, increment: 10, initialValue: null, maxValue: null, removeMaxValue: false },
    ...{ blockSize: null, removeBlockSize: false, durability: 1 },
  };
  const updated = { ...entry, currentValue: 5000, increment: 10, incarnation: 1, revision: 2 };
  expect(await post('/v1/sequences/update', update)).toEqual(told({ sequence: updated, revision: 2 }));
  expect(await post('/v1/sequences/get', { name, durability: 1 })).toEqual(told({ sequence: updated, revision: 2 }));
  expect(await post('/v1/sequences/delete', { name, durability: 1 })).toEqual(told({}));
  expect(await post('/v1/sequences/delete', { name, durability: 1 })).toEqual(told({ type: 1 }));
  expect(await post('/v1/sequences/create', create)).toMatchObject({ type: 0, revision: 3 });
});

describe('rest:§15 rest:§16 what is not built refuses as documented, and gRPC says the same', () => {
  let grpc: GrpcClient;

  beforeAll(() => {
    grpc = new GrpcClient(cluster.node(1).options.grpcAddress);
  });

  afterAll(() => grpc.close());

  const status = async (path: string, body: unknown): Promise<unknown> => {
    const answer = await send(path, body);
    return [answer.status, JSON.parse(answer.text)];
  };

  test.each([
    ['', 400, 'InvalidInput', 'Key space must be non-empty.'],
    ['__kahuna:x', 400, 'InvalidInput', "Key space '__kahuna:x' is reserved."],
    ['a/meta', 400, 'InvalidInput', "Key space 'a/meta' is a schema-log space and is never key-range routed."],
    ['invoices', 409, 'KeyRangeDisabled', expect.any(String)],
  ])('registering %j', async (keySpace, code, word, reason) => {
    const told = { success: false, status: word, seeded: false, routingMode: 'Hash', descriptorCount: 0, reason };
    expect(await status('/v1/ranges/register', { keySpace })).toEqual([code, told]);
    const answer = await grpc.call('/KeyValuer/RegisterKeyRange', m.GrpcRegisterKeyRangeRequest, m.GrpcRegisterKeyRangeResponse, {
      KeySpace: keySpace,
    });
    const same = { Success: false, Status: word, Seeded: false, RoutingMode: 'Hash', DescriptorCount: 0, Reason: reason };
    expect(answer).toEqual(same);
  });

  test('routing:6 splitting: bad input, and spaces without a range', async () => {
    const none = { success: false, determinate: true, newPartitionId: 0, newGeneration: 0, leaderHint: null };
    for (const [keySpace, splitKey, code, word, reason] of [
      ['', 'a', 400, 'InvalidInput', 'Key space must be non-empty.'],
      ['invoices', '', 400, 'InvalidInput', 'Split key must be non-empty.'],
      [
        ...(['invoices', 'invoices/5000', 409, 'NoRange'] as const),
        'No range descriptor covers that key: the key space is not registered, or has no seed descriptor yet.',
      ],
    ] as const) {
      expect(await status('/v1/ranges/split', { keySpace, splitKey })).toEqual([code, { ...none, status: word, reason }]);
      const fields = { KeySpace: keySpace, SplitKey: splitKey };
      const answer = await grpc.call('/Cluster/SplitRange', c.GrpcSplitRangeRequest, c.GrpcSplitRangeResponse, fields);
      expect(answer).toMatchObject({ Success: false, Status: word, Determinate: true, NewPartitionId: 0, Reason: reason });
    }
  });

  test('merging, unregistering, the map, placement and the replication factor', async () => {
    const merged = { success: true, status: 'Completed', determinate: true, merges: 0, leaderHint: null, reason: null };
    expect(await status('/v1/ranges/merge', {})).toEqual([200, merged]);
    const removed = { success: true, status: 'Removed', routingMode: 'Hash', descriptorCount: 0, reason: null };
    expect(await status('/v1/ranges/unregister', { keySpace: 'invoices' })).toEqual([200, removed]);
    const map = JSON.parse((await http(`${url}/v1/ranges?keySpace=invoices`)).text);
    expect(map).toEqual({
      ...{ initialized: true, localEndpoint: expect.stringMatching(/^[\d.]+:\d+$/) },
      keySpaces: [{ keySpace: 'invoices', routingMode: 'Hash', descriptors: [] }],
    });
    const placement = JSON.parse((await http(`${url}/v1/cluster/placement`)).text);
    expect(placement).toMatchObject({ replicationFactor: 0, initialized: true, hostedPartitionCount: 3 });
    expect(placement.partitions.map((partition: { partitionId: number }) => partition.partitionId)).toEqual([2, 3, 4]);
    const reason = 'partitionId must be a data partition (> 0) and replicationFactor must be >= 0 (0 clears the override).';
    const bad = { success: false, status: 'InvalidInput', generation: 0, reason };
    expect(await status('/v1/cluster/replication-factor', { partitionId: 1, replicationFactor: 3 })).toEqual([409, bad]);
    expect(await status('/v1/cluster/replication-factor', { partitionId: 2, replicationFactor: -1 })).toEqual([409, bad]);
    const refused = await status('/v1/cluster/replication-factor', { partitionId: 2, replicationFactor: 3 });
    expect(refused).toEqual([409, { ...bad, status: 'Refused', reason: expect.any(String) }]);
  });

  test('operations:4 the last voter does not leave', async () => {
    const reason =
      'Refused: removing this node would leave the cluster without a voter. Do not retry — add a voter first, or stop the cluster instead of shrinking it.';
    const told = {
      left: false,
      drained: false,
      outcome: 'RefusedInsufficientVoters',
      membershipVersion: 1,
      retryable: false,
      reason,
    };
    expect(await status('/v1/cluster/leave', {})).toEqual([409, told]);
    const answer = await grpc.call('/Cluster/Leave', c.GrpcClusterLeaveRequest, c.GrpcClusterLeaveResponse, {});
    expect(answer).toEqual({ Left: false, Outcome: 2, MembershipVersion: 1n, Retryable: false, Reason: reason, Drained: false });
    expect((await cluster.node(1).health()).status).toBe(200);
  });

  test('rest:§17 backups are not configured', async () => {
    const paths = ['full', 'incremental', 'coordinated', 'validate-chain', 'gc?dryRun=True'].map(path => `/v1/backups/${path}`);
    for (const path of [...paths, '/v1/restore']) {
      const answer = await send(path, {});
      expect([path, answer.status, answer.headers['x-kahuna-backup-outcome']]).toEqual([path, 503, 'NotConfigured']);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(JSON.parse(answer.text)).toMatchObject({
        ...{
          title: 'Service Unavailable',
          status: 503,
          detail: 'Backup is not configured on this node.',
          outcome: 'NotConfigured',
        },
      });
    }
    for (const path of ['/v1/backups', '/v1/backups/3f0c2f9e-6b7d-4a51-9d0e-2f8f5a1c7b10/chain']) {
      expect((await http(`${url}${path}`)).status).toBe(503);
    }
  });
});

test('rest:§6 every documented path is served, in any case and with a slash behind it; another method is 405', async () => {
  const kv = ['try-set', 'try-extend', 'try-delete', 'try-get', 'try-exists', 'try-set-many', 'try-delete-many', 'try-get-many'];
  const kvMore = ['try-exists-many', 'get-by-bucket', 'scan-all-by-prefix', 'get-by-range', 'try-execute-tx-script'];
  const tx = [
    'start-tx-session',
    'commit-tx-session',
    'rollback-tx-session',
    'try-acquire-exclusive-lock',
    'try-acquire-prefix-lock',
  ];
  const txMore = ['try-release-prefix-lock', 'try-acquire-range-lock', 'try-release-range-lock'];
  const holds = ['snapshot-hold/acquire', 'snapshot-hold/renew', 'snapshot-hold/release'];
  const posts = [
    ...[...kv, ...kvMore, ...tx, ...txMore, ...holds].map(path => `/v1/kv/${path}`),
    ...['try-lock', 'try-extend', 'try-unlock', 'get-info'].map(path => `/v1/locks/${path}`),
    ...['create', 'update', 'get', 'next', 'reserve', 'delete'].map(path => `/v1/sequences/${path}`),
  ];
  for (const path of posts) {
    const answer = await send(`${path.toUpperCase()}/`, {});
    // The data surfaces answer 200 to whatever was parsed (rest §4.1).
    expect([path, answer.status, typeof JSON.parse(answer.text).type]).toEqual([path, 200, 'number']);
    const wrong = await http(`${url}${path}`, { method: 'GET' });
    expect([path, wrong.status, wrong.headers.allow]).toEqual([path, 405, 'POST']);
    const bare = await http(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' } });
    expect([path, bare.status]).toEqual([path, 400]);
  }
  const gets = ['/', '/metrics', '/v1/kv/snapshot-floor', '/v1/ranges', '/v1/cluster/health', '/v1/cluster/membership'];
  for (const path of [...gets, '/v1/cluster/placement', '/v1/cluster/routing', '/livez', '/readyz', '/openapi.json']) {
    expect([path, (await http(`${url}${path}`)).status]).toEqual([path, 200]);
  }
  expect((await send('/v1/kv/nothing', {})).status).toBe(404);
});
