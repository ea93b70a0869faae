import * as grpc from '@grpc/grpc-js';
import { keyValueMessages as m } from '@kahuna/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHANNEL_OPTIONS } from '../clients/batch-stream.ts';
import { BatchKv, GrpcClient, GrpcKv, message } from '../clients/grpc-kv.ts';
import { Ephemeral, Flag, type KvApi, Persistent, Type } from '../clients/kv-api.ts';
import { RestKv } from '../clients/rest-kv.ts';
import { GrpcScans, RestScans, type ScanApi } from '../clients/scan-api.ts';
import { StreamScans } from '../clients/stream-scans.ts';
import { Cluster } from '../harness/cluster.ts';
import { HANGS_MS, sleep, until, within } from '../harness/processes.ts';

const KIB = 1024;
/** grpc:4 wants ten minutes: `npm run soak`. */
const SILENCE_SECONDS = Number(process.env['KAHUNA_SILENCE_SECONDS'] ?? 5);
const SILENCE_TEST_MS = SILENCE_SECONDS * 1000 + 5 * HANGS_MS;
const BATCH = '/KeyValuer/BatchClientKeyValueRequests';

let cluster: Cluster;
let address: string;
const open: { close(): void }[] = [];

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false });
  address = cluster.node(1).options.grpcAddress;
});

afterAll(async () => {
  for (const client of open) client.close();
  await cluster?.close();
});

function opened<T extends { close(): void }>(client: T): T {
  open.push(client);
  return client;
}

const asIs = (bytes: Buffer): Buffer => bytes;
type BatchCall = grpc.ClientDuplexStream<Buffer, Buffer>;

function batchCall(options: grpc.ChannelOptions = {}): BatchCall {
  const client = opened(new grpc.Client(address, grpc.credentials.createInsecure(), { ...CHANNEL_OPTIONS, ...options }));
  return client.makeBidiStreamRequest(BATCH, asIs, asIs);
}

function sendTo(call: BatchCall, request: Partial<m.GrpcBatchClientKeyValueRequest>): void {
  const envelope = message(m.GrpcBatchClientKeyValueRequest, request);
  call.write(Buffer.from(m.GrpcBatchClientKeyValueRequest.encode(envelope).finish()));
}

/** The next so many answers, whether they come alone or in frames. */
function answersOf(call: BatchCall, count: number): Promise<m.GrpcBatchClientKeyValueResponse[]> {
  const answers: m.GrpcBatchClientKeyValueResponse[] = [];
  return within(
    20_000,
    `${count} answers`,
    new Promise((resolve, reject) => {
      call.on('error', reject);
      call.on('data', (bytes: Buffer) => {
        const envelope = m.GrpcBatchClientKeyValueResponse.decode(bytes);
        answers.push(...(envelope.payload?.$case === 'Frame' ? envelope.payload.Frame.Items : [envelope]));
        if (answers.length >= count) resolve(answers);
      });
    }),
  );
}

const getOf = (Key: string): m.GrpcBatchClientKeyValueRequest['payload'] => ({
  $case: 'TryGetKeyValue',
  TryGetKeyValue: message(m.GrpcTryGetKeyValueRequest, { Key, Revision: -1n, Durability: 1 }),
});

describe.each([
  ['persistent', Persistent],
  ['ephemeral', Ephemeral],
] as const)('grpc:3 null, zero bytes and one byte are three values (%s)', (word, durability) => {
  const values = [null, Buffer.alloc(0), Buffer.from([0])];
  const keys = values.map((_, i) => `grpc3-${word}/${i}`);

  test('whoever wrote them, and whatever reads them', async () => {
    const kvs: readonly KvApi[] = [new GrpcKv(address), new BatchKv(address), new RestKv(cluster.node(1).url)].map(opened);
    const scans: readonly ScanApi[] = [new GrpcScans(address), new StreamScans(address), new RestScans(cluster.node(1).url)].map(
      opened,
    );
    for (const writer of kvs) {
      for (const [i, key] of keys.entries()) await writer.set({ key, value: values[i] as Buffer | null, durability });
      await writer.setMany(keys.map((key, i) => ({ key, value: values[i] as Buffer | null, durability })));
      for (const reader of kvs) {
        for (const [i, key] of keys.entries()) {
          expect((await reader.get({ key, durability })).value, `${writer.name} to ${reader.name}`).toEqual(values[i]);
        }
        const rows = await reader.getMany(keys.map(key => ({ key, durability })));
        expect(rows.map(row => row.value)).toEqual(values);
      }
      for (const reader of scans) {
        const prefixKey = `grpc3-${word}`;
        expect((await reader.bucket({ prefixKey, durability })).rows.map(row => row.value)).toEqual(values);
        expect((await reader.scanAll({ prefixKey, durability })).rows.map(row => row.value)).toEqual(values);
        const pages = await reader.pages({ prefix: prefixKey, durability });
        expect(pages.flatMap(page => page.rows).map(row => row.value)).toEqual(values);
      }
    }
  });

  test('compared, null and zero bytes are one', async () => {
    const api = opened(new GrpcKv(address));
    for (const [i, key] of keys.entries()) {
      for (const compareValue of [null, Buffer.alloc(0)]) {
        const before = await api.get({ key, durability });
        const answer = await api.set({ key, value: before.value, durability, flags: Flag.CompareValue, compareValue });
        expect([i, answer.type]).toEqual([i, i < 2 ? Type.Set : Type.NotSet]);
      }
    }
  });
});

/** Bytes as the page writes them. */
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const LATEST = '28 ff ff ff ff ff ff ff ff ff 01';
const ORDERS_42 = '22 09 6f 72 64 65 72 73 2f 34 32';

test('grpc:2 the byte examples of calls, sent to a node as they stand', async () => {
  const client = opened(new GrpcClient(address));
  const set = async (text: string) =>
    m.GrpcTrySetKeyValueResponse.decode(await client.callRaw('/KeyValuer/TrySetKeyValue', hex(text)));
  const get = async (text: string) =>
    m.GrpcTryGetKeyValueResponse.decode(await client.callRaw('/KeyValuer/TryGetKeyValue', hex(text)));
  expect(await get(`${ORDERS_42} ${LATEST} 30 01`)).toMatchObject({ Type: Type.DoesNotExist, Revision: -1n, State: 0 });
  expect(await set(`${ORDERS_42} 40 01 50 01`)).toMatchObject({ Type: Type.Set, Revision: 0n });
  expect(await get(`${ORDERS_42} ${LATEST} 30 01`)).toMatchObject({ Type: Type.Get, Revision: 0n, State: 1, Value: undefined });
  expect(await set(`${ORDERS_42} 2a 00 40 01 50 01`)).toMatchObject({ Type: Type.Set, Revision: 1n });
  expect((await get(`${ORDERS_42} ${LATEST} 30 01`)).Value).toHaveLength(0);
  expect(await set(`${ORDERS_42} 2a 02 68 69 40 01 48 e0 d4 03 50 01`)).toMatchObject({ Type: Type.Set, Revision: 2n });
  expect(Buffer.from((await get(`${ORDERS_42} ${LATEST} 30 01`)).Value ?? []).toString()).toBe('hi');
  expect(await set(`${ORDERS_42} 2a 02 68 69 38 04 40 21 50 01`)).toMatchObject({ Type: Type.NotSet, Revision: 2n });
  const session = '62 02 63 31 68 90 e4 d0 b2 87 d3 ae ee fe 01 70 01';
  const unknown = await set(`08 01 10 a0 b9 92 ad aa 33 18 07 ${ORDERS_42} 2a 02 68 69 40 01 50 01 ${session}`);
  expect(unknown.Type).toBe(Type.Aborted);
  // Nothing on the wire asks for revision 0; in 2025 the key was not there.
  expect(await get(`${ORDERS_42} 30 01`)).toMatchObject({ Type: Type.Get, Revision: 0n, Value: undefined });
  const asOf = await get(`${ORDERS_42} ${LATEST} 30 01 40 fb 9d 91 ad aa 33 48 ff ff ff ff 0f`);
  expect(asOf).toMatchObject({ Type: Type.DoesNotExist, Revision: -1n });
});

test('grpc:2 the byte examples of the streams', async () => {
  const both =
    '08 0f 8a 01 3e 0a 1e 08 05 10 07 2a 18 22 09 6f 72 64 65 72 73 2f 34 33 28 ff ff ff ff ff ff ff ff ff 01 30 01 ' +
    '0a 1c 08 04 10 80 80 80 80 f8 ff ff ff ff 01 32 0d 22 09 6f 72 64 65 72 73 2f 34 33 28 01';
  const call = batchCall();
  const answers = answersOf(call, 3);
  call.write(hex('08 00 10 08'));
  call.write(hex(both));
  const byId = new Map((await answers).map(answer => [answer.RequestId, answer]));
  expect(byId.get(8)).toMatchObject({ Type: 0, payload: undefined });
  expect(byId.get(7)).toMatchObject({ Type: 5, payload: { TryGetKeyValue: { Type: Type.DoesNotExist, Revision: -1n } } });
  expect(byId.get(-2_147_483_648)).toMatchObject({ Type: 4, payload: { TryDeleteKeyValue: { Type: Type.DoesNotExist } } });

  const client = opened(new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS));
  const locks = client.makeBidiStreamRequest('/Locker/BatchClientLockRequests', asIs, asIs);
  const first = new Promise<Buffer>((resolve, reject) => locks.once('data', resolve).on('error', reject));
  locks.write(hex('08 01 10 01 1a 12 0a 07 70 72 65 73 73 2f 32 12 02 6f 31 18 88 27 20 01'));
  // LOCKED with token 0 is an empty payload that is present; a route may stand in it.
  expect((await first).subarray(0, 5)).toEqual(hex('08 01 10 01 1a'));
});

test('grpc:4 a stream that is silent stays open as long as its pings are answered', { timeout: SILENCE_TEST_MS }, async () => {
  const call = batchCall({ 'grpc.keepalive_time_ms': 500, 'grpc.keepalive_timeout_ms': 5000 });
  const metadata = await within(HANGS_MS, 'headers', new Promise<grpc.Metadata>(resolve => call.on('metadata', resolve)));
  expect(metadata.get('kahuna-batch-frames')).toEqual(['1']);
  let ended = false;
  call.on('status', () => {
    ended = true;
  });
  await sleep(SILENCE_SECONDS * 1000);
  expect(ended).toBe(false);
  const answers = answersOf(call, 1);
  sendTo(call, { Type: 5, RequestId: 9, payload: getOf('nobody') });
  expect((await answers)[0]).toMatchObject({ Type: 5, RequestId: 9, payload: { TryGetKeyValue: { Type: Type.DoesNotExist } } });
});

test('grpc:6 §8.2 the same request id twice is two requests', async () => {
  const call = batchCall();
  const answers = answersOf(call, 2);
  for (const key of ['twice/a', 'twice/b']) sendTo(call, { Type: 5, RequestId: 77, payload: getOf(key) });
  expect((await answers).map(answer => answer.RequestId)).toEqual([77, 77]);
});

test('grpc:9 a bucket over 4 MiB is ERRORED on the stream, which goes on, and is delivered to a unary call', async () => {
  const api = opened(new GrpcKv(address));
  const value = Buffer.alloc(600 * KIB, 7);
  for (let i = 0; i < 8; i++) await api.set({ key: `grpc9/${i}`, value, durability: Persistent });
  const call = batchCall();
  const answers = answersOf(call, 3);
  const GetByBucket = message(m.GrpcGetByBucketRequest, { PrefixKey: 'grpc9', Durability: 1 });
  sendTo(call, { Type: 9, RequestId: 1, payload: { $case: 'GetByBucket', GetByBucket } });
  const ScanByPrefix = message(m.GrpcScanAllByPrefixRequest, { PrefixKey: 'grpc9/', Durability: 1 });
  sendTo(call, { Type: 10, RequestId: 2, payload: { $case: 'ScanByPrefix', ScanByPrefix } });
  sendTo(call, { Type: 5, RequestId: 3, payload: getOf('grpc9/0') });
  const byId = new Map((await answers).map(answer => [answer.RequestId, answer]));
  expect(byId.get(1)).toMatchObject({
    Type: 9,
    payload: { $case: 'GetByBucket', GetByBucket: { Type: Type.Errored, Items: [] } },
  });
  expect(byId.get(2)).toMatchObject({ Type: 10, payload: { $case: 'ScanByPrefix', ScanByPrefix: { Type: Type.Errored } } });
  expect(byId.get(3)).toMatchObject({ Type: 5, payload: { TryGetKeyValue: { Type: Type.Get } } });

  const scans = opened(new GrpcScans(address));
  const unary = await scans.bucket({ prefixKey: 'grpc9', durability: Persistent });
  expect([unary.type, unary.rows.map(row => row.value?.length)]).toEqual([Type.Get, Array(8).fill(value.length)]);
});

test.each([
  ...['TakeFullBackup', 'TakeIncrementalBackup', 'TakeCoordinatedBackup', 'ListBackups'],
  ...['GetBackupChain', 'ValidateChain', 'Restore', 'RunBackupGarbageCollection'],
])('grpc:14 %s without a backup directory: UNAVAILABLE, and the trailer says why', async method => {
  const client = opened(new GrpcClient(address));
  // No bytes are every request of this service with all its fields at their defaults.
  const refused = await client.callRaw(`/Backups/${method}`, Buffer.alloc(0)).then(
    () => undefined,
    (error: grpc.ServiceError) => error,
  );
  expect([refused?.code, refused?.details]).toEqual([grpc.status.UNAVAILABLE, 'Backup is not configured on this node.']);
  expect(refused?.metadata.get('kahuna-backup-outcome')).toEqual(['NotConfigured']);
});

describe('grpc:§7.2 pages of a range', () => {
  const space = 'pages';
  const rows = Array.from({ length: 2500 }, (_, i) => `${space}/${String(i).padStart(5, '0')}`);
  const range = (fields: Partial<m.GrpcGetByRangeRequest>): Partial<m.GrpcGetByRangeRequest> => ({ Durability: 1, ...fields });

  beforeAll(async () => {
    const api = opened(new GrpcKv(address));
    await api.setMany(rows.map(key => ({ key, value: Buffer.from('v'), durability: Persistent })));
  });

  async function streamed(fields: Partial<m.GrpcGetByRangeRequest>): Promise<m.GrpcGetByRangePageResponse[]> {
    const client = opened(new GrpcClient(address));
    const pages: m.GrpcGetByRangePageResponse[] = [];
    const stream = client.stream(
      '/KeyValuer/GetByRangeStream',
      m.GrpcGetByRangeRequest,
      m.GrpcGetByRangePageResponse,
      range(fields),
    );
    for await (const page of stream) pages.push(page);
    return pages;
  }

  test('a stream without a limit has pages of a thousand, and says which is the last', async () => {
    for (const Limit of [0, -1]) {
      const pages = await streamed({ Prefix: space, Limit });
      expect(pages.map(page => [page.Items.length, page.HasMore])).toEqual([
        [1000, true],
        [1000, true],
        [500, false],
      ]);
      expect(pages.flatMap(page => page.Items).map(item => item.Key)).toEqual(rows);
    }
  });

  test('nothing found is one page, no prefix is none, and other bad input is one that says so', async () => {
    expect((await streamed({ Prefix: 'nothing' })).map(page => [page.Type, page.Items.length])).toEqual([[Type.Get, 0]]);
    expect(await streamed({ Prefix: '' })).toEqual([]);
    expect((await streamed({ Prefix: '__kahuna:x' })).map(page => page.Type)).toEqual([Type.InvalidInput]);
    expect((await streamed({ Prefix: space, Durability: 9 as never })).map(page => page.Type)).toEqual([Type.InvalidInput]);
    expect((await streamed({ Prefix: space, TransactionIdNode: 1 })).map(page => page.Type)).toEqual([Type.InvalidInput]);
  });

  test('a unary call without a limit answers everything, and the text of a cursor only where there is more', async () => {
    const client = opened(new GrpcClient(address));
    const ask = (fields: Partial<m.GrpcGetByRangeRequest>): Promise<m.GrpcGetByRangeResponse> =>
      client.call('/KeyValuer/GetByRange', m.GrpcGetByRangeRequest, m.GrpcGetByRangeResponse, range(fields));
    for (const Limit of [0, -1, 2_147_483_647]) {
      const all = await ask({ Prefix: space, Limit });
      expect([all.Type, all.Items.length, all.HasMore, all.NextCursor]).toEqual([Type.Get, rows.length, false, undefined]);
    }
    const first = await ask({ Prefix: space, Limit: 2 });
    expect([first.Items.map(item => item.Key), first.HasMore]).toEqual([rows.slice(0, 2), true]);
    expect(first.NextCursor).toMatch(/^[\w-]+$/);
    const none = await ask({ Prefix: space, StartKey: rows[9], EndKey: rows[3] });
    expect([none.Type, none.Items, none.HasMore, none.NextCursor]).toEqual([Type.Get, [], false, undefined]);
  });
});

test('grpc:§1.2 a call past its deadline ends for the client alone: what it had proposed is done', async () => {
  const client = opened(new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS));
  const api = opened(new GrpcKv(address));
  const set = message(m.GrpcTrySetKeyValueRequest, { Key: 'deadline/k', Value: Buffer.from('v'), Flags: 1, Durability: 1 });
  const bytes = Buffer.from(m.GrpcTrySetKeyValueRequest.encode(set).finish());
  for (let i = 0; i < 20; i++) {
    await new Promise<void>(resolve => {
      const call = client.makeUnaryRequest('/KeyValuer/TrySetKeyValue', asIs, asIs, bytes, {}, () => resolve());
      if (i % 2 === 1) setImmediate(() => call.cancel());
    });
  }
  // Those that were not given up are certain; of the others any number may have arrived.
  const settled = await until('an answer', HANGS_MS, () => api.get({ key: 'deadline/k', durability: Persistent }));
  expect(settled.type).toBe(Type.Get);
  expect(settled.revision).toBeGreaterThanOrEqual(9);
  expect(settled.revision).toBeLessThanOrEqual(19);
});
