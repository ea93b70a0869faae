import { connect } from 'node:http2';
import { createRequire } from 'node:module';
import { status } from '@grpc/grpc-js';
import { protoPath as healthProto } from 'grpc-health-check';
import { afterEach, expect, test } from 'vitest';
import { Received, startTestServer, TestClient, type TestServer } from './test-server.ts';

let server: TestServer | undefined;
const open: { close(): void }[] = [];

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await server?.close();
});

async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  server = await startTestServer(options);
  return server;
}

function clientOf(of: TestServer, file: string, service: string): TestClient {
  const client = new TestClient(of.address, file, service);
  open.push(client);
  return client;
}

test('membership and placement carry node identities, routing metadata carries URLs', async () => {
  const cluster = clientOf(await start(), 'cluster.proto', 'Cluster');
  expect(await cluster.call('GetMembership', {})).toEqual({
    MembershipVersion: '1',
    Members: [
      { Endpoint: '10.0.0.1:2070', NodeId: 1, Role: 1, JoinedVersion: '1' },
      { Endpoint: '10.0.0.2:2070', NodeId: 2, Role: 1, JoinedVersion: '1' },
    ],
    LocalRole: 1,
    Initialized: true,
  });
  expect(await cluster.call('GetRoutingMetadata', {})).toEqual({
    Initialized: true,
    SchemaVersion: 1,
    HashAlgorithm: 'kahuna.placement-group-jump-xxh32-v1',
    PrefixSeparator: '/',
    HashPoolSize: 3,
    HashPartitionOffset: 2,
    SequenceStorageKeyFormat: '__kahuna:sequences:{0}',
    ReservedKeyPrefix: '__kahuna:',
    LocalEndpoint: 'https://node-1:8082',
    SnapshotVersion: '7',
    Coherent: true,
    KeySpaces: [],
    Leaders: [
      { PartitionId: 2, Endpoint: 'https://node-1:8082' },
      { PartitionId: 3, Endpoint: 'https://node-2:8082' },
      { PartitionId: 4, Endpoint: '' },
    ],
    GroupSeparator: '|',
  });
  expect(await cluster.call('GetRoutingMetadata', { KeySpace: 'orders' })).toMatchObject({
    KeySpaces: [{ KeySpace: 'orders', RoutingMode: 'Hash', Ranges: [] }],
  });
  expect(await cluster.call('GetRanges', { KeySpace: 'orders' })).toEqual({
    Initialized: true,
    LocalEndpoint: '10.0.0.1:2070',
    KeySpaces: [{ KeySpace: 'orders', RoutingMode: 'Hash', Descriptors: [] }],
  });
  expect(await cluster.call('GetPlacement', {})).toMatchObject({ LocalEndpoint: '10.0.0.1:2070', Initialized: true });
});

test('without hints, answers name no route and the metadata no local endpoint', async () => {
  const of = await start({ hints: false });
  const answer = await clientOf(of, 'keyvalues.proto', 'KeyValuer').call('TrySetKeyValue', { Key: 'a', Durability: 1 });
  expect(answer.Route ?? null).toBeNull();
  const metadata = await clientOf(of, 'cluster.proto', 'Cluster').call('GetRoutingMetadata', {});
  expect(metadata.LocalEndpoint).toBe('');
});

test('grpc:14 backups that are not configured are UNAVAILABLE, and the trailer says why', async () => {
  const backups = clientOf(await start(), 'backups.proto', 'Backups');
  const refusal = await backups.call('ListBackups', {}).catch(error => error);
  expect(refusal).toMatchObject({ code: status.UNAVAILABLE, details: 'Backup is not configured on this node.' });
  expect(refusal.metadata.get('kahuna-backup-outcome')).toEqual(['NotConfigured']);
});

test('grpc:16 unknown services and methods, and those not offered yet, are UNIMPLEMENTED', async () => {
  const client = clientOf(await start(), 'keyvalues.proto', 'KeyValuer');
  for (const path of [
    '/Nobody/Anything',
    '/KeyValuer/Nothing',
    '/KeyValuer/TryPrepareMutations',
    '/KeyValuer/StartTransaction',
  ]) {
    await expect(client.callRaw(path, Buffer.alloc(0))).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  }
});

test('grpc:16 unknown fields of every wire type are ignored', async () => {
  const client = clientOf(await start(), 'keyvalues.proto', 'KeyValuer');
  // Fields 100 to 104: varint, 64 bit, bytes, a group with a group inside, 32 bit; then Key "a" and Durability 1.
  const unknown = 'a00605' + 'a9060102030405060708' + 'b2060161' + 'bb06a3080801a408bc06' + 'c50601020304';
  const answer = await client.callRaw('/KeyValuer/TrySetKeyValue', Buffer.from(`${unknown}2201615001`, 'hex'));
  const miss = await client.call('TryGetKeyValue', { Key: 'a', Durability: 1, Revision: '-1' });
  expect(answer.length).toBeGreaterThan(0);
  expect(miss).toMatchObject({ Type: 3, Revision: '0' });
});

test('connections that another server accepted are served alike', async () => {
  const client = clientOf(await start({ injected: true }), 'keyvalues.proto', 'KeyValuer');
  expect(await client.call('TrySetKeyValue', { Key: 'a', Durability: 1 })).toMatchObject({ Type: 0 });
  const stream = client.batch();
  const received = new Received(stream);
  stream.write({ Type: 1, RequestId: 5, TrySetKeyValue: { Key: 'a', Durability: 1 } });
  expect((await received.first(1))[0]).toMatchObject({ Type: 1, RequestId: 5 });
  stream.end();
});

test.each([{ injected: false }, { injected: true }])('windows and stream limits are wide: %o', async options => {
  const of = await start(options);
  const session = connect(`http://${of.address}`);
  open.push({ close: () => session.destroy() });
  const settings = await new Promise<{ initialWindowSize?: number; maxConcurrentStreams?: number }>(resolve =>
    session.on('remoteSettings', resolve),
  );
  expect(settings.initialWindowSize).toBeGreaterThanOrEqual(1_048_576);
  expect(settings.maxConcurrentStreams).toBeGreaterThanOrEqual(1000);
  await expect.poll(() => session.state.remoteWindowSize).toBeGreaterThanOrEqual(16 * 1_048_576);
});

test('pings are answered, however many', async () => {
  const of = await start();
  const session = connect(`http://${of.address}`);
  open.push({ close: () => session.destroy() });
  await new Promise(resolve => session.on('connect', resolve));
  const goneAway = new Promise(resolve => session.on('goaway', resolve));
  for (let i = 0; i < 50; i++)
    await new Promise<void>((resolve, reject) => session.ping(error => (error ? reject(error) : resolve())));
  expect(await Promise.race([goneAway, Promise.resolve('open')])).toBe('open');
});

test('health follows the node', async () => {
  const of = await start();
  const health = clientOf(of, healthProto, 'grpc.health.v1.Health');
  const SERVING = 1;
  const NOT_SERVING = 2;
  const statusOf = async (service: string): Promise<unknown> => (await health.call('Check', { service })).status;
  expect(await statusOf('')).toBe(SERVING);
  expect(await statusOf('KeyValuer')).toBe(SERVING);
  of.node.healthView = { ...of.node.health(), ready: false };
  await expect.poll(() => statusOf(''), { timeout: 5000 }).toBe(NOT_SERVING);
});

test.each(['v1', 'v1alpha'])('reflection %s lists the services and finds them by name', async version => {
  const of = await start({ reflection: true });
  const folder = createRequire(import.meta.url)
    .resolve('@grpc/reflection')
    .replace(/src.index\.js$/, 'proto');
  const file = `${folder}/grpc/reflection/${version}/reflection.proto`;
  const stream = clientOf(of, file, `grpc.reflection.${version}.ServerReflection`).duplex('ServerReflectionInfo');
  const received = new Received(stream);
  stream.write({ list_services: '' });
  stream.write({ file_containing_symbol: 'KeyValuer' });
  const [list, found] = await received.first(2);
  const services = ['Backups', 'Cluster', 'KeyValuer', 'Sequencer'].map(name => ({ name }));
  expect(list).toMatchObject({ list_services_response: { service: expect.arrayContaining(services) } });
  expect(found).toHaveProperty('file_descriptor_response.file_descriptor_proto');
  stream.end();
});
