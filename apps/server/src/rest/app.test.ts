import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HLC_ZERO } from '@kahuna/base';
import type { SetOperation } from '@kahuna/partition';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Unread } from '../gateway/unread.ts';
import { refusal } from '../gateway/validate.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { type FixedViews, ObservedNode } from '../testing/observed-node.ts';
import { createRestApp } from './app.ts';

let node: ObservedNode;
let app: FastifyInstance;
let port: number;
let stopping: boolean;
let consoleDirectory: string;

beforeEach(async () => {
  node = await startNode();
  stopping = false;
  consoleDirectory = mkdtempSync(join(tmpdir(), 'kahuna-console-'));
  mkdirSync(join(consoleDirectory, 'assets'));
  writeFileSync(join(consoleDirectory, 'index.html'), '<title>console</title>');
  writeFileSync(join(consoleDirectory, 'assets', 'app-1a2b.js'), 'export {};');
  app = await createRestApp(node, {
    clock: systemClock,
    hints: { localUrl: 'http://a:2070', disabled: false, hidePeers: false },
    unread: new Unread(systemClock),
    localEndpoint: 'a:9081',
    allowedOrigins: ['https://ops.example'],
    consoleDirectory,
    consoleEnabled: true,
    isStopping: () => stopping,
    onInternalError: error => {
      throw error;
    },
  });
  await app.ready();
  app.server.listen(0, '127.0.0.1');
  await once(app.server, 'listening');
  port = (app.server.address() as AddressInfo).port;
});

afterEach(async () => {
  await app.close();
  app.server.closeAllConnections();
  app.server.close();
  rmSync(consoleDirectory, { recursive: true });
  await node.stop();
});

const VIEWS: FixedViews = {
  routing: keySpace => ({
    initialized: true,
    poolSize: 3,
    localUrl: 'http://a:2070',
    mapVersion: 1,
    coherent: true,
    keySpaces: keySpace === undefined ? [] : [{ keySpace, mode: 'Hash', ranges: [] }],
    leaders: [2, 3, 4].map(partitionId => ({ partitionId, url: partitionId === 4 ? '' : 'http://a:2070' })),
  }),
  instruments: () => [
    { kind: 'counter', name: 'kahuna.kv.write.entries', help: 'Writes in batches', samples: [{ labels: {}, value: 7 }] },
    {
      kind: 'gauge',
      name: 'raft.executor.client_queue_depth',
      help: 'Waiting',
      samples: [{ labels: { partition_id: '2' }, value: 0 }],
    },
    {
      kind: 'histogram',
      name: 'kahuna.kv.write.queue_age',
      help: 'Wait',
      isDuration: true,
      edges: [1, 2],
      counts: [3, 1],
      count: 5,
      sum: 12.5,
    },
  ],
  facts: own => ({
    ...own,
    counters: { 'kahuna.kv.write.admitted': 7, 'raft.wal.batches_total': 3 },
    gauges: { writeP99: 1.5 },
  }),
};

/** Member 1 of two, with the same figures in every run. */
function startNode(): Promise<ObservedNode> {
  const other = {
    endpoint: 'b:9082',
    nodeId: 2,
    name: 'n2',
    role: 'Voter',
    joinedVersion: 1,
    clientUrl: 'http://b:2070',
    consoleUrl: '',
  } as const;
  return ObservedNode.start({ name: 'n1', endpoint: 'a:9081', clientUrl: 'http://a:2070', partitions: 3 }, other, VIEWS);
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

/** A request as it stands on the wire: no header is added but Host. */
function send(method: string, path: string, headers: Record<string, string> = {}, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, incoming => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString(), headers: incoming.headers });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function post(path: string, body: string | object): Promise<Answer> {
  return send('POST', path, { 'content-type': 'application/json' }, typeof body === 'string' ? body : JSON.stringify(body));
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into as the client would
async function postJson(path: string, body: string | object): Promise<any> {
  const answer = await post(path, body);
  expect(answer.status, answer.text).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  return JSON.parse(answer.text);
}

const ZERO = { n: 0, l: 0, c: 0 };
const B = (text: string): string => Buffer.from(text).toString('base64');

describe('one key (rest §7)', () => {
  test('worked example: set, set nx, get, exists, extend, delete, miss', async () => {
    const full = {
      transactionId: ZERO,
      coordinatorKey: '',
      operationIdHigh: 0,
      operationIdLow: 0,
      key: 'orders/1',
      value: 'aGVsbG8=',
      compareValue: null,
      compareRevision: 0,
      expiresMs: 0,
      flags: 1,
      durability: 1,
    };
    const route = { partitionId: 3, endpoint: 'http://a:2070', provenance: 1, generation: 0 };
    const lastModified = expect.objectContaining({ n: 1 });
    expect(await postJson('/v1/kv/try-set', full)).toEqual({ servedFrom: '', type: 0, revision: 0, lastModified, route });
    expect(await postJson('/v1/kv/try-set', { ...full, flags: 8 })).toEqual({
      servedFrom: '',
      type: 1,
      revision: 0,
      lastModified,
      route,
    });
    const key = { key: 'orders/1', durability: 1 };
    expect(await postJson('/v1/kv/try-get', key)).toEqual({
      servedFrom: '',
      type: 3,
      value: 'aGVsbG8=',
      revision: 0,
      expires: ZERO,
      lastModified,
      route,
    });
    const exists = await postJson('/v1/kv/try-exists', key);
    expect(exists).toEqual({ servedFrom: '', type: 10, revision: 0, expires: ZERO, lastModified, route });
    expect(await postJson('/v1/kv/try-extend', { ...key, expiresMs: 30_000 })).toMatchObject({ type: 2, revision: 0 });
    expect(await postJson('/v1/kv/try-delete', key)).toMatchObject({ type: 4, revision: 0 });
    expect(await postJson('/v1/kv/try-get', key)).toMatchObject({ type: 103, value: null, revision: 0 });
  });

  test('keyvalues:K1 keyvalues:K2 an empty or missing key is InvalidInput without route', async () => {
    for (const path of ['try-set', 'try-extend', 'try-delete', 'try-get', 'try-exists']) {
      expect(await postJson(`/v1/kv/${path}`, { key: '' })).toMatchObject({
        type: 100,
        revision: 0,
        lastModified: ZERO,
        route: null,
      });
      expect((await postJson(`/v1/kv/${path}`, {})).type).toBe(100);
    }
    expect((await post('/v1/kv/try-set', { key: '' })).text).toBe(
      '{"servedFrom":"","type":100,"revision":0,"lastModified":{"n":0,"l":0,"c":0},"route":null}',
    );
  });

  test('keyvalues:K3 keyvalues:K4 reserved names are InvalidInput, their neighbours are not', async () => {
    expect((await postJson('/v1/kv/try-set', { key: '__kahuna:x', value: 'MQ==' })).type).toBe(100);
    expect(await postJson('/v1/kv/try-set', { key: '__kahunax', value: 'MQ==' })).toMatchObject({ type: 0, revision: 0 });
  });

  test('keyvalues:K7 keyvalues:K8 no value and zero bytes stay different', async () => {
    await postJson('/v1/kv/try-set', { key: 'n', value: null });
    await postJson('/v1/kv/try-set', { key: 'e', value: '' });
    expect(await postJson('/v1/kv/try-get', { key: 'n' })).toMatchObject({ type: 3, value: null, revision: 0 });
    expect(await postJson('/v1/kv/try-get', { key: 'e' })).toMatchObject({ type: 3, value: '', revision: 0 });
  });

  test('keyvalues:K11 a value of 1 MiB comes back as it was', async () => {
    const value = Buffer.from(Array.from({ length: 1_048_576 }, (_, i) => (i * 31) % 256)).toString('base64');
    await postJson('/v1/kv/try-set', { key: 'big', value });
    expect((await postJson('/v1/kv/try-get', { key: 'big' })).value).toBe(value);
  });

  test('keyvalues:K12 a key of 60,000 characters works', async () => {
    const key = 'k'.repeat(60_000);
    expect(await postJson('/v1/kv/try-set', { key, value: B('v') })).toMatchObject({ type: 0, revision: 0 });
    expect(await postJson('/v1/kv/try-get', { key })).toMatchObject({ value: B('v') });
  });

  test('keyvalues:K15 an unpaired surrogate in a key is status 400, and nothing is executed', async () => {
    const answer = await post('/v1/kv/try-set', '{"key":"a\\ud800b","value":"MQ=="}');
    expect(answer.status).toBe(400);
    expect(node.operations).toEqual([]);
    expect((await post('/v1/kv/try-set', '{"key":"\\ud83d\\ude00","value":"MQ=="}')).status).toBe(200);
  });

  test('keyvalues:R18 negative lifetimes, unknown durabilities and times before the epoch are InvalidInput', async () => {
    expect((await postJson('/v1/kv/try-set', { key: 'k', expiresMs: -1 })).type).toBe(100);
    expect((await postJson('/v1/kv/try-extend', { key: 'k', expiresMs: -5 })).type).toBe(100);
    expect((await postJson('/v1/kv/try-set', { key: 'k', durability: 2 })).type).toBe(100);
    expect((await postJson('/v1/kv/try-get', { key: 'k', readTimestamp: { n: 0, l: -1, c: 0 } })).type).toBe(100);
    expect(node.operations).toEqual([]);
  });

  test('defaults: ephemeral, unconditional, latest', async () => {
    await postJson('/v1/kv/try-set', { key: 'k', value: 'MQ==' });
    await postJson('/v1/kv/try-get', { key: 'k' });
    expect(node.operations).toMatchObject([
      { kind: 'set', durability: 0, flags: 0, expiresMs: 0, compareValue: null, compareRevision: 0 },
      { kind: 'get', durability: 0, revision: -1, readTimestamp: HLC_ZERO },
    ]);
  });

  test('names in any case, enumeration names, numbers in strings, the last of equal properties', async () => {
    await postJson(
      '/v1/kv/try-set',
      '{"KEY":"a","Key":"b","Value":"MQ==","durability":"Persistent","flags":"SetIfExists, SetNoRevision","EXPIRESMS":"10","unknown":{"x":[1]}}',
    );
    expect(node.operations).toMatchObject([{ key: 'b', durability: 1, flags: 6, expiresMs: 10 }]);
    expect((await post('/v1/kv/try-set', '{"key":"a","durability":"Forever"}')).status).toBe(400);
  });

  test('64-bit integers keep their digits: a compare revision no key can have, and the echo of a revision asked for', async () => {
    await postJson('/v1/kv/try-set', '{"key":"a","flags":32,"compareRevision":9223372036854775807}');
    expect((node.operations[0] as SetOperation).compareRevision).toBeLessThan(-1);
    const miss = await post('/v1/kv/try-get', '{"key":"a","revision":9223372036854775807}');
    expect(miss.text).toContain('"revision":9223372036854775807,');
    expect((await post('/v1/kv/try-get', '{"key":"a","revision":9223372036854775808}')).status).toBe(400);
    expect((await post('/v1/kv/try-get', '{"key":"a","operationIdHigh":18446744073709551615}')).status).toBe(200);
    expect((await post('/v1/kv/try-get', '{"key":"a","operationIdHigh":18446744073709551616}')).status).toBe(400);
  });

  test('transaction identity is checked before the session is looked for (rest §4.4, §5.1)', async () => {
    const transactionId = { n: 1, l: 1_763_715_620_000, c: 7 };
    expect((await postJson('/v1/kv/try-set', { key: 'k', transactionId })).type).toBe(100);
    expect((await postJson('/v1/kv/try-set', { key: 'k', transactionId, coordinatorKey: 'k' })).type).toBe(100);
    const identified =
      '"transactionId":{"n":1,"l":1763715620000,"c":7},"coordinatorKey":"k","operationIdHigh":11529215046068469760';
    expect((await postJson('/v1/kv/try-set', `{"key":"k",${identified}}`)).type).toBe(102);
    expect((await postJson('/v1/kv/try-set', `{"key":"",${identified}}`)).type).toBe(100);
    expect(node.operations).toEqual([]);
  });

  test('hints name the forwarding target; MUST_RETRY passes through', async () => {
    node.forwarded = true;
    expect((await postJson('/v1/kv/try-get', { key: 'k' })).route).toEqual({
      partitionId: 4,
      endpoint: 'http://b:2070',
      provenance: 2,
      generation: 0,
    });
    node.scripted = refusal(101);
    expect(await postJson('/v1/kv/try-get', { key: 'k' })).toMatchObject({ type: 101, route: null });
  });

  test('operations §16: after the stop signal new requests are told to retry, and health is 503', async () => {
    stopping = true;
    expect(await postJson('/v1/kv/try-set', { key: 'k' })).toEqual({ type: 101 });
    expect((await send('GET', '/v1/cluster/health')).status).toBe(503);
    expect(node.operations).toEqual([]);
  });
});

describe('batches (rest §8, keyvalues §14)', () => {
  test('keyvalues:M1 keyvalues:M7 rows in request order, equal keys one after the other', async () => {
    const items = ['d', 'a', 'd'].map((key, i) => ({ key, value: B(String(i)), durability: 1 }));
    const answer = await postJson('/v1/kv/try-set-many', { items });
    expect(answer).toMatchObject({ type: 0, routes: [{ partitionId: 3 }] });
    expect(answer.timeElapsedMs).toBeGreaterThanOrEqual(0);
    expect(answer.items).toMatchObject([
      { servedFrom: '', key: 'd', type: 0, revision: 0, durability: 1, routeIndex: 1 },
      { key: 'a', type: 0, revision: 0 },
      { key: 'd', type: 0, revision: 1 },
    ]);
  });

  test('items of one key take effect in their order, whatever happens to writes that are under way together', async () => {
    node.reversed = true;
    const items = ['b', 'a', 'b', 'a', 'b'].map(key => ({ key, durability: 1 }));
    const set = await postJson('/v1/kv/try-set-many', { items });
    expect(set.items.map((row: { revision: number }) => row.revision)).toEqual([0, 0, 1, 1, 2]);
    const gone = await postJson('/v1/kv/try-delete-many', { items: [...items.slice(0, 1), ...items.slice(0, 1)] });
    expect(gone.items.map((row: { type: number }) => row.type)).toEqual([4, 103]);
  });

  test('a batch of more items than memory has room for is refused as a whole', async () => {
    const items = `[${'{},'.repeat(100_000)}{}]`;
    expect((await post('/v1/kv/try-get-many', `{"items":${items}}`)).status).toBe(400);
    expect(node.operations).toEqual([]);
  });

  test('an answer that is too large for memory is refused row by row', async () => {
    await postJson('/v1/kv/try-set', { key: 'a', value: B('x'.repeat(1_048_576)), durability: 1 });
    const items = Array.from({ length: 70 }, () => ({ key: 'a', durability: 1 }));
    const answer = await postJson('/v1/kv/try-get-many', { items: [{ key: '' }, ...items] });
    expect(answer.type).toBe(3);
    expect(answer.items.map((row: { type: number }) => row.type)).toEqual([100, ...items.map(() => 99)]);
  });

  test('keyvalues:M2 keyvalues:M12 one bad item refuses a whole set-many, and only itself elsewhere', async () => {
    const set = await postJson('/v1/kv/try-set-many', { items: [{ key: 'ok' }, { key: '__kahuna:z' }] });
    expect(set).toMatchObject({
      type: 100,
      items: [
        { key: 'ok', type: 100 },
        { key: '__kahuna:z', type: 100 },
      ],
    });
    expect(node.operations).toEqual([]);
    const get = await postJson('/v1/kv/try-get-many', { items: [{ key: '' }, { key: 'ok' }] });
    expect(get).toMatchObject({
      type: 3,
      servedFrom: '',
      items: [
        { key: '', type: 100 },
        { key: 'ok', type: 103, revision: -1 },
      ],
    });
  });

  test('keyvalues:M3 keyvalues:M4 delete-many', async () => {
    await postJson('/v1/kv/try-set', { key: 'v', value: 'MQ==' });
    const items = [{ key: '' }, { key: 'v', durability: 0 }, { key: 'v', durability: 1 }, {}];
    expect(await postJson('/v1/kv/try-delete-many', { items })).toMatchObject({
      type: 4,
      items: [{ type: 100 }, { type: 4, durability: 0 }, { type: 103, durability: 1 }, { key: '', type: 100 }],
    });
  });

  test('keyvalues:M5 keyvalues:M6 get-many and exists-many', async () => {
    await postJson('/v1/kv/try-set', { key: 'hit', value: '' });
    const items = [{ key: 'hit' }, { key: 'miss' }];
    expect((await postJson('/v1/kv/try-get-many', { items })).items).toMatchObject([
      { type: 3, value: '' },
      { type: 103, value: null },
    ]);
    const exists = await postJson('/v1/kv/try-exists-many', { items });
    expect(exists).toMatchObject({ type: 3, items: [{ type: 10, value: null }, { type: 103 }] });
  });

  test('keyvalues:M8 empty lists; a missing list is refused', async () => {
    for (const [path, type] of [
      ['try-set-many', 0],
      ['try-delete-many', 4],
      ['try-get-many', 3],
      ['try-exists-many', 3],
    ] as const) {
      expect(await postJson(`/v1/kv/${path}`, { items: [] })).toMatchObject({ type, items: [] });
    }
    expect(await postJson('/v1/kv/try-set-many', {})).toMatchObject({ type: 100, items: [{ key: null, type: 100 }] });
    expect(await postJson('/v1/kv/try-delete-many', { items: null })).toMatchObject({
      type: 100,
      items: [{ key: null, type: 100 }],
    });
    expect(await postJson('/v1/kv/try-get-many', {})).toMatchObject({ type: 100, items: [] });
  });

  test('transactional batches without identity are refused row by row', async () => {
    const transactionId = { n: 1, l: 5, c: 0 };
    const item = { key: 'a', transactionId, durability: 1 };
    expect(await postJson('/v1/kv/try-set-many', { items: [item] })).toMatchObject({
      type: 100,
      items: [{ key: 'a', type: 100 }],
    });
    expect(await postJson('/v1/kv/try-delete-many', { items: [item] })).toMatchObject({ type: 100, items: [{ type: 100 }] });
    const get = await postJson('/v1/kv/try-get-many', { transactionId, items: [{ key: 'a', durability: 1 }] });
    expect(get).toMatchObject({ type: 100, items: [{ key: 'a', type: 100, durability: 1 }] });
    const identity = { coordinatorKey: 'a', operationIdHigh: 1, operationIdLow: 0 };
    expect(await postJson('/v1/kv/try-delete-many', { ...identity, items: [item] })).toMatchObject({
      type: 4,
      items: [{ type: 102 }],
    });
    const mixed = [item, { key: 'b' }];
    expect(await postJson('/v1/kv/try-delete-many', { ...identity, items: mixed })).toMatchObject({ type: 100 });
    expect(node.operations).toEqual([]);
  });

  test('a batch larger than the window is answered whole and in order', async () => {
    const items = Array.from({ length: 5000 }, (_, i) => ({ key: `k${i}`, value: B(String(i)) }));
    const answer = await postJson('/v1/kv/try-set-many', { items });
    expect(answer.items.map((item: { key: string }) => item.key)).toEqual(items.map(item => item.key));
  });
});

describe('JSON and HTTP (rest §1, §2)', () => {
  test.each([
    ['', 'empty'],
    ['null', 'null'],
    ['[]', 'array'],
    ['{"key":"a",}', 'trailing comma'],
    ['{"key":"a"} x', 'text behind'],
    ["{'key':'a'}", 'single quotes'],
    ['{"key":"a" /* c */}', 'comment'],
    ['{"key":1}', 'number for string'],
    ['{"key":"a","value":1}', 'number for bytes'],
    ['{"key":"a","value":"MQ"}', 'base64 without padding'],
    ['{"key":"a","value":"MQ=="\n,"compareValue":"-_8="}', 'url-safe base64'],
    ['{"key":"a","value":"M Q=="}', 'white space in base64'],
    ['{"key":"a","expiresMs":1.5}', 'fraction'],
    ['{"key":"a","expiresMs":1.0}', 'fraction of zero'],
    ['{"key":"a","expiresMs":1e-1}', 'negative exponent'],
    ['{"key":"a","expiresMs":2147483648}', 'int32 overflow'],
    ['{"key":"a","expiresMs":99999999999999999999}', 'far overflow'],
    ['{"key":"a","expiresMs":true}', 'boolean for number'],
    ['{"key":"a","expiresMs":NaN}', 'NaN'],
    ['{"key":"a","transactionId":5}', 'HLC not an object'],
    ['{"key":"a","transactionId":{"c":4294967296}}', 'HLC counter overflow'],
    [`{"key":"a","x":${'['.repeat(65)}${']'.repeat(65)}}`, 'nested too deeply'],
    ['{"items":{}}', 'object for array'],
    ['{"items":[1]}', 'array of numbers'],
  ])('%s is status 400', async body => {
    const path = body.includes('items') ? '/v1/kv/try-set-many' : '/v1/kv/try-set';
    const answer = await post(path, body);
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(answer.text)).toMatchObject({ status: 400, title: 'Bad Request' });
  });

  test('half a UTF-8 sequence is status 400', async () => {
    const body = Buffer.concat([Buffer.from('{"key":"'), Buffer.from([0xe2, 0x82]), Buffer.from('"}')]);
    expect((await send('POST', '/v1/kv/try-get', { 'content-type': 'application/json' }, body)).status).toBe(400);
  });

  test('whole exponents, and 64 levels, are fine', async () => {
    expect((await post('/v1/kv/try-set', '{"key":"a","expiresMs":1e2}')).status).toBe(200);
    expect((await post('/v1/kv/try-set', `{"key":"a","x":${'['.repeat(63)}${']'.repeat(63)}}`)).status).toBe(200);
    expect((node.operations[0] as SetOperation).expiresMs).toBe(100);
  });

  test('content types', async () => {
    const type = async (value?: string) =>
      (await send('POST', '/v1/kv/try-get', value === undefined ? {} : { 'content-type': value }, '{"key":"a"}')).status;
    expect(await type('application/json; charset=UTF-8')).toBe(200);
    expect(await type('application/vnd.kahuna+json')).toBe(200);
    expect(await type('text/plain')).toBe(415);
    expect(await type('application/json; charset=latin1')).toBe(415);
    expect(await type('garbage')).toBe(415);
    expect(await type()).toBe(415);
    expect((await send('POST', '/v1/kv/try-get', { 'content-type': 'text/plain' }, '{}')).text).toBe('');
    expect((await send('POST', '/v1/kv/try-get')).status).toBe(400);
  });

  test('paths that bind no body take anything', async () => {
    expect((await send('POST', '/v1/ranges/merge', { 'content-type': 'garbage' }, 'not json')).status).toBe(200);
    expect((await send('POST', '/v1/ranges/merge')).status).toBe(200);
    expect((await send('GET', '/v1/cluster/health', { 'content-type': 'x/y', 'content-length': '2' }, '{}')).status).toBe(200);
  });

  test('a body over 30,000,000 bytes is 413, declared or counted', async () => {
    const headers = { 'content-type': 'application/json' };
    const declared = connect(port, '127.0.0.1');
    declared.write(
      'POST /v1/kv/try-set HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30000001\r\n\r\n',
    );
    const [head] = (await once(declared, 'data')) as [Buffer];
    declared.destroy();
    expect(head.toString()).toMatch(/^HTTP\/1\.1 413 /);
    const value = 'A'.repeat(29_999_900);
    expect((await send('POST', '/v1/kv/try-set', headers, `{"key":"a","value":"${value}"}`)).status).toBe(200);
  });

  test('paths in any case with a trailing slash; unknown paths and methods', async () => {
    expect((await send('GET', '/V1/Cluster/HEALTH/')).status).toBe(200);
    expect((await send('GET', '/v1/nothing')).status).toBe(404);
    const wrong = await send('GET', '/v1/kv/try-set');
    expect([wrong.status, wrong.headers.allow]).toEqual([405, 'POST']);
    expect((await send('HEAD', '/v1/cluster/health')).status).toBe(405);
    expect((await send('OPTIONS', '/v1/kv/try-set')).status).toBe(405);
    expect((await send('PUT', '/v1/backups/x/chain')).headers.allow).toBe('GET');
  });

  test('any bearer token is fine', async () => {
    expect((await send('GET', '/v1/cluster/health', { authorization: 'Bearer xxx' })).status).toBe(200);
  });
});

describe('cluster and ranges (rest §15, §16)', () => {
  const get = async (path: string) => {
    const answer = await send('GET', path);
    return { status: answer.status, body: JSON.parse(answer.text) };
  };

  test('health: 200 when ready, else 503 with the same body', async () => {
    const ready = { ready: true, initialized: true, localRole: 'Voter', hostedPartitions: 3, fatalFault: null };
    expect(await get('/v1/cluster/health')).toEqual({ status: 200, body: ready });
    node.healthView = { ...ready, ready: false, localRole: 'Voter', fatalFault: 'disk' };
    expect(await get('/v1/cluster/health')).toEqual({ status: 503, body: { ...ready, ready: false, fatalFault: 'disk' } });
    expect((await send('GET', '/readyz')).status).toBe(503);
    expect((await send('GET', '/livez')).status).toBe(503);
  });

  test('liveness does not depend on membership', async () => {
    node.healthView = { ready: false, initialized: false, localRole: 'NotMember', hostedPartitions: 0, fatalFault: null };
    expect((await send('GET', '/livez')).status).toBe(200);
    expect((await send('GET', '/readyz?verbose')).status).toBe(503);
  });

  test('membership carries exactly the documented members', async () => {
    expect((await get('/v1/cluster/membership')).body).toEqual({
      membershipVersion: 1,
      members: [
        { endpoint: 'a:9081', nodeId: 1, role: 'Voter', joinedVersion: 1 },
        { endpoint: 'b:9082', nodeId: 2, role: 'Voter', joinedVersion: 1 },
      ],
      localRole: 'Voter',
      initialized: true,
    });
  });

  test('placement under full replication', async () => {
    const { body } = await get('/v1/cluster/placement');
    expect(body).toMatchObject({
      replicationFactor: 0,
      rebalancerEnabled: false,
      localEndpoint: 'a:9081',
      hostedPartitionCount: 3,
    });
    expect(body.partitions[0]).toEqual({
      partitionId: 2,
      state: 'Active',
      generation: 0,
      effectiveReplicationFactor: 0,
      hostedLocally: true,
      replicas: [],
    });
  });

  test('routing and ranges: an empty key space is all of them', async () => {
    expect((await get('/v1/cluster/routing?keySpace=')).body).toMatchObject({
      initialized: true,
      schemaVersion: 1,
      hashAlgorithm: 'kahuna.placement-group-jump-xxh32-v1',
      prefixSeparator: '/',
      groupSeparator: '|',
      hashPoolSize: 3,
      hashPartitionOffset: 2,
      sequenceStorageKeyFormat: '__kahuna:sequences:{0}',
      reservedKeyPrefix: '__kahuna:',
      coherent: true,
      keySpaces: [],
      leaders: [{ partitionId: 2, endpoint: 'http://a:2070' }, { partitionId: 3 }, { partitionId: 4, endpoint: '' }],
    });
    expect((await get('/v1/cluster/routing?keySpace=invoices')).body.keySpaces).toEqual([
      { keySpace: 'invoices', routingMode: 'Hash', ranges: [] },
    ]);
    expect((await get('/v1/ranges?keySpace=invoices')).body).toEqual({
      initialized: true,
      localEndpoint: 'a:9081',
      keySpaces: [{ keySpace: 'invoices', routingMode: 'Hash', descriptors: [] }],
    });
  });

  test('range administration answers its documented refusals', async () => {
    const call = async (path: string, body: object) => {
      const answer = await post(path, body);
      return [answer.status, JSON.parse(answer.text).status];
    };
    expect(await call('/v1/ranges/register', { keySpace: 'a' })).toEqual([409, 'KeyRangeDisabled']);
    expect(await call('/v1/ranges/register', { keySpace: 'a/meta' })).toEqual([400, 'InvalidInput']);
    expect(await call('/v1/ranges/unregister', { keySpace: 'a' })).toEqual([200, 'Removed']);
    expect(await call('/v1/ranges/split', { keySpace: 'a', splitKey: '' })).toEqual([400, 'InvalidInput']);
    expect(await call('/v1/ranges/split', { keySpace: 'a', splitKey: 'a/m' })).toEqual([409, 'NoRange']);
    expect(await call('/v1/ranges/merge', {})).toEqual([200, 'Completed']);
    expect(await call('/v1/cluster/replication-factor', { partitionId: 1 })).toEqual([409, 'InvalidInput']);
  });

  test('no voter leaves: a typed refusal (rest §16.5)', async () => {
    const answer = await send('POST', '/v1/cluster/leave');
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.text)).toEqual({
      ...{ left: false, drained: false, outcome: 'RefusedInsufficientVoters', retryable: false },
      ...{ membershipVersion: expect.any(Number), reason: expect.stringContaining('Do not retry') },
    });
  });

  test('documented paths that are not built refuse by name', async () => {
    const full = await send('POST', '/v1/backups/full');
    expect([full.status, full.headers['x-kahuna-backup-outcome']]).toEqual([503, 'NotConfigured']);
    expect(JSON.parse(full.text)).toMatchObject({ outcome: 'NotConfigured', detail: 'Backup is not configured on this node.' });
    const session = { servedFrom: '', type: 99, transactionId: HLC_ZERO };
    expect(await postJson('/v1/kv/start-tx-session', {})).toEqual(session);
  });

  test('metrics: the names of operations §14', async () => {
    const text = (await send('GET', '/metrics')).text;
    expect(text).toMatch(/^kahuna_kv_write_admitted_total 7$/m);
    expect(text).toMatch(/^raft_wal_batches_total 3$/m);
    expect(text).toMatch(/^kahuna_write_p99 1\.5$/m);
    expect(text).toContain('raft_executor_client_queue_depth{partition_id="2"} 0');
    expect(text).toMatch(/^kahuna_kv_write_entries_total 7$/m);
    expect((await send('GET', '/metrics?partitions=off')).text).not.toContain('partition_id="2"');
    expect((await send('GET', '/metrics')).text).toMatch(/^kahuna_kv_write_admitted_total 7$/m);
  });

  test('operations:§14 histograms of durations say their unit, their buckets are cumulative', async () => {
    const { text, headers } = await send('GET', '/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = text.split('\n').filter(line => line.includes('kahuna_kv_write_queue_age'));
    expect(lines).toEqual([
      '# HELP kahuna_kv_write_queue_age_milliseconds Wait',
      '# TYPE kahuna_kv_write_queue_age_milliseconds histogram',
      'kahuna_kv_write_queue_age_milliseconds_bucket{le="1"} 3',
      'kahuna_kv_write_queue_age_milliseconds_bucket{le="2"} 4',
      'kahuna_kv_write_queue_age_milliseconds_bucket{le="+Inf"} 5',
      'kahuna_kv_write_queue_age_milliseconds_sum 12.5',
      'kahuna_kv_write_queue_age_milliseconds_count 5',
    ]);
  });
});

describe('console files and origins (console §14, §17)', () => {
  test('GET / is text for tools and a redirect for browsers', async () => {
    const text = await send('GET', '/');
    expect([text.status, text.text, text.headers['content-type']]).toEqual([200, 'Kahuna.Server', 'text/plain; charset=utf-8']);
    const page = await send('GET', '/', { accept: 'text/html,*/*' });
    expect([page.status, page.headers.location]).toEqual([302, '/ui/']);
  });

  test('assets are immutable, deep links give the app, missing assets are 404', async () => {
    const asset = await send('GET', '/ui/assets/app-1a2b.js');
    expect([asset.status, asset.headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
    for (const path of ['/ui/', '/ui/partitions', '/ui/keys/orders/2026', '/ui/../package.json']) {
      const page = await send('GET', path);
      expect([page.status, page.text], path).toEqual([200, '<title>console</title>']);
      expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    }
    expect((await send('GET', '/ui/assets/gone.js')).status).toBe(404);
    expect((await send('GET', '/ui/%2e%2e/%2e%2e/etc/passwd')).text).not.toContain('root:');
  });

  test('foreign origins change nothing', async () => {
    const attempt = (origin: string) =>
      send('POST', '/v1/kv/try-set', { 'content-type': 'application/json', origin }, '{"key":"a"}').then(answer => answer.status);
    expect(await attempt('https://evil.example')).toBe(403);
    expect(await attempt('null')).toBe(403);
    expect(await attempt(`https://127.0.0.1:${port}`)).toBe(403);
    expect(await attempt(`http://127.0.0.1:${port}`)).toBe(200);
    expect(await attempt('https://ops.example')).toBe(200);
    expect((await send('POST', '/v1/cluster/leave', { origin: 'https://evil.example' })).status).toBe(403);
    expect(node.operations).toHaveLength(2);
  });
});
