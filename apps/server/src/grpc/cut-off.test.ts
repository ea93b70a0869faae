import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { keyValueMessages, watchMessages } from '@kahuna/wire';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Unread } from '../gateway/unread.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { type Message, Received, startTestServer, TestClient, type TestServer } from './test-server.ts';

/** Clients that ask and do not read, over real connections, and one that does. */

const BOUND = 8 * 1024 * 1024;
const VALUE = Buffer.alloc(1024 * 1024, 7);
const DEAF = 6;

let unread: Unread;
let server: TestServer;
let client: TestClient;
let sessions: ClientHttp2Session[];
beforeEach(async () => {
  sessions = [];
  unread = new Unread(systemClock, BOUND);
  server = await startTestServer({ unread });
  client = new TestClient(server.address, 'keyvalues.proto', 'KeyValuer');
  await client.call('TrySetKeyValue', { Key: 'large', Durability: 1, Value: VALUE });
});
afterEach(async () => {
  for (const session of sessions) session.destroy();
  client.close();
  await server.close();
});

const { GrpcBatchClientKeyValueRequest: BatchRequest, GrpcClientBatchType: Type } = keyValueMessages;
const NOTHING = {
  ...{ TransactionIdNode: 0, TransactionIdPhysical: 0n, TransactionIdCounter: 0, CoordinatorKey: '' },
  ...{ ReadTimestampNode: 0, ReadTimestampPhysical: 0n, ReadTimestampCounter: 0 },
  ...{ OperationIdHigh: 0n, OperationIdLow: 0n },
} as const;

function get(RequestId: number): Uint8Array {
  const TryGetKeyValue = { ...NOTHING, Key: 'large', Revision: -1n, Durability: 1 } as const;
  const payload = { $case: 'TryGetKeyValue', TryGetKeyValue } as const;
  return BatchRequest.encode({ Type: Type.TRY_GET_KEY_VALUE, RequestId, payload }).finish();
}

/** All versions of the key. */
function watch(): Uint8Array {
  const Start = { $case: 'FromRevision', FromRevision: 0n } as const;
  return watchMessages.GrpcWatchRequest.encode({
    Target: { $case: 'Key', Key: 'large' },
    ...{ Start, ProgressMs: 0, Durability: watchMessages.GrpcWatchDurability.WATCH_PERSISTENT },
  }).finish();
}

/** A call on a connection of its own, of which nothing is ever read. */
function ask(path: string, messages: readonly Uint8Array[]): ClientHttp2Stream {
  const session = connect(`http://${server.address}`);
  session.on('error', () => undefined);
  sessions.push(session);
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
  stream.on('error', () => undefined);
  stream.pause();
  for (const message of messages) {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([head, message]));
  }
  // A single request is one only once it has ended.
  if (messages.length === 1) stream.end();
  return stream;
}

const eight = Array.from({ length: 8 }, (_, id) => get(id));

describe('invariant 13: deaf clients on many streams are cut off beyond the bound of the node, and who reads is served all the while', () => {
  test.each([
    ['requests in batches', '/KeyValuer/BatchClientKeyValueRequests', eight],
    ['watches', '/Watcher/Watch', [watch()]],
    [
      'single requests',
      '/KeyValuer/TryGetKeyValue',
      [keyValueMessages.GrpcTryGetKeyValueRequest.encode({ ...NOTHING, Key: 'large', Revision: -1n, Durability: 1 }).finish()],
    ],
  ])('%s', async (what, path, messages) => {
    for (let i = 0; i < 4; i++) await client.call('TrySetKeyValue', { Key: 'large', Durability: 1, Value: VALUE });
    const count = what === 'single requests' ? 4 * DEAF : DEAF;
    const deaf = Array.from({ length: count }, () => ask(path, messages));
    await expect.poll(() => unread.isFull).toBe(true);
    const stream = client.batch();
    stream.on('error', () => undefined);
    const received = new Received(stream);
    let asked = 0;
    const deadline = performance.now() + 20_000;
    while (unread.isFull && performance.now() < deadline) {
      stream.write({ Type: 5, RequestId: asked++, TryGetKeyValue: { Key: 'large', Durability: 1, Revision: '-1' } });
      const answers = (await received.first(asked)) as readonly { readonly TryGetKeyValue: Message }[];
      expect(answers[asked - 1]?.TryGetKeyValue.Value).toHaveLength(VALUE.length);
    }
    expect([unread.isFull, unread.cuts > 0, asked > 3]).toEqual([false, true, true]);
    // They are told, and nothing is left of them but those who have their share.
    await expect
      .poll(() => deaf.filter(({ rstCode, closed }) => closed && rstCode === constants.NGHTTP2_CANCEL).length)
      .toBe(unread.cuts);
    stream.cancel();
    for (const session of sessions) session.destroy();
    await expect.poll(() => unread.hasRoomFor(BOUND)).toBe(true);
  });
});

test('an answer to a call that is gone counts for nothing', async () => {
  server.node.holdKey = 'large';
  const request = keyValueMessages.GrpcTryGetKeyValueRequest.encode({ ...NOTHING, Key: 'large', Revision: -1n, Durability: 1 });
  const stream = ask('/KeyValuer/TryGetKeyValue', [request.finish()]);
  await expect.poll(() => server.node.pending).toBe(1);
  stream.close(constants.NGHTTP2_CANCEL);
  await new Promise(resolve => stream.once('close', resolve));
  server.node.holdKey = 'another';
  // A few turns of the server later.
  for (let i = 0; i < 5; i++) await client.call('TryGetKeyValue', { Key: 'small', Durability: 1, Revision: '-1' });
  server.node.releaseHeld();
  await expect.poll(() => server.node.pending).toBe(0);
  await expect.poll(() => unread.hasRoomFor(BOUND)).toBe(true);
});
