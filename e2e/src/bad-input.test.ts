import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { keyValueMessages as m } from '@kahuna/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectRead, expectSaid } from './acceptance/case.ts';
import { CHANNEL_OPTIONS } from './clients/batch-stream.ts';
import { GrpcClient, message } from './clients/grpc-kv.ts';
import { Persistent, Type } from './clients/kv-api.ts';
import { type HttpAnswer, http, putText, RestKv } from './clients/rest-kv.ts';
import { Cluster } from './harness/cluster.ts';
import { cpuSeconds, HANGS_MS, residentBytes, sleep, until } from './harness/processes.ts';

const MIB = 1024 * 1024;
/** What a node may grow by under any input here: the largest body that is accepted, a few times over. */
const GROWTH_BYTES = 700 * MIB;
const MILLION = 1_000_000;
/** One multi-key request may hold so many items. */
const MOST_ITEMS = 100_000;
/** Processor time in which a node refuses a million items, in seconds: it needs one where the request has to be parsed to be counted. */
const REFUSAL_CPU_SECONDS = 10;

let cluster: Cluster;
let url: string;
let rest: RestKv;
let before: number;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1 });
  url = cluster.node(1).url;
  rest = new RestKv(url);
  await putText(rest, 'canary', 'alive');
  before = residentBytes(cluster.node(1).pid as number);
});

afterAll(async () => {
  rest?.close();
  await cluster?.close();
});

async function expectAlive(): Promise<void> {
  await expectRead(rest.get({ key: 'canary', durability: Persistent }), 'Get r0 "alive"');
  expect(residentBytes(cluster.node(1).pid as number) - before).toBeLessThan(GROWTH_BYTES);
}

/** Runs what is to be refused a few times over: what each left behind would show. */
async function refusedCheaply(refused: () => Promise<void>): Promise<void> {
  const pid = cluster.node(1).pid as number;
  for (let round = 0; round < 3; round++) {
    const spent = cpuSeconds(pid);
    await refused();
    expect(cpuSeconds(pid) - spent).toBeLessThan(REFUSAL_CPU_SECONDS);
    await expectAlive();
  }
}

describe('REST', () => {
  const path = '/v1/kv/try-set';
  const value = Buffer.from('v').toString('base64');

  test.each([
    ['no JSON', '{"key":', 400],
    ['an empty body', '', 400],
    ['the literal null', 'null', 400],
    ['an array', '[1]', 400],
    ['a comment', '{"key":"k"/*no*/}', 400],
    ['a trailing comma', '{"key":"k",}', 400],
    ['a key that is a number', '{"key":1}', 400],
    ['a value that is no base64', '{"key":"k","value":"***"}', 400],
    ['a fraction for an integer', '{"key":"k","flags":1.5}', 400],
    ['a lifetime beyond 32 bits', '{"key":"k","expiresMs":4294967296}', 400],
    ['a timestamp that is no object', '{"key":"k","transactionId":7}', 400],
    ['nesting of 100 levels', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`, 400],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"key":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]), 400],
  ])('%s: %s → 400', async (_, body, status) => {
    expect((await http(`${url}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status).toBe(
      status,
    );
    await expectAlive();
  });

  test('keyvalues:K15 an unpaired surrogate in a key is refused', async () => {
    const answer = await http(`${url}${path}`, { body: '{"key":"\\ud800","value":null,"durability":1}' });
    // keyvalues §3 lets the transport refuse it; rest §2 reads the escape and answers 100.
    if (answer.status === 200) expect(JSON.parse(answer.text).type).toBe(Type.InvalidInput);
    else expect(answer.status).toBe(400);
  });

  test('durability and transaction identity that do not exist are invalid input', async () => {
    for (const body of [
      { key: 'k', value, durability: 7 },
      { key: 'k', value, durability: 1, transactionId: { n: 1, l: 5, c: 0 } },
    ]) {
      const answer = await http(`${url}${path}`, { body: JSON.stringify(body) });
      expect([answer.status, JSON.parse(answer.text).type]).toEqual([200, Type.InvalidInput]);
    }
  });

  test('other content types, methods and paths', async () => {
    const body = JSON.stringify({ key: 'k' });
    expect((await http(`${url}${path}`, { body, headers: { 'content-type': 'text/plain' } })).status).toBe(415);
    const wrongMethod = await http(`${url}${path}`, { method: 'GET' });
    expect([wrongMethod.status, wrongMethod.headers.allow]).toEqual([405, 'POST']);
    expect((await http(`${url}/v1/kv/nothing`, { body })).status).toBe(404);
    expect((await http(`${url}/V1/KV/TRY-GET/`, { body: JSON.stringify({ key: 'canary', durability: 1 }) })).status).toBe(200);
  });

  test('property names in any case, unknown ones ignored, the last of two wins', async () => {
    const body = '{"KEY":"any-case","Value":"eA==","durability":0,"Durability":1,"nonsense":{"a":[1]}}';
    expect(JSON.parse((await http(`${url}${path}`, { body })).text).type).toBe(Type.Set);
    await expectRead(rest.get({ key: 'any-case', durability: Persistent }), 'Get r0 "x"');
  });

  test('a body over 30,000,000 bytes is refused with 413, declared or not', async () => {
    const body = Buffer.alloc(30_000_001, 0x20);
    const declared = await http(`${url}${path}`, { body }).catch(() => undefined);
    // The server may close the connection while the body is still being sent.
    if (declared) expect(declared.status).toBe(413);
    await expectAlive();
  });

  test('a batch of a hundred thousand keys is answered row by row, and memory stays bounded', async () => {
    const items = Array.from({ length: 100_000 }, (_, i) => ({ key: `batch/${i}`, value, durability: Persistent }));
    const answer = await http(`${url}/v1/kv/try-set-many`, { body: JSON.stringify({ items }), timeoutMs: HANGS_MS });
    expect(answer.status).toBe(200);
    const rows = JSON.parse(answer.text).items as { key: string; type: number }[];
    expect(rows).toHaveLength(items.length);
    // Past the queue's bound items answer MustRetry with no effect; none is dropped and none is answered wrongly.
    expect(rows.filter(row => row.type !== Type.Set && row.type !== Type.MustRetry)).toEqual([]);
    expect(rows.every((row, i) => row.key === `batch/${i}`)).toBe(true);
    await expectAlive();
  });

  const expectTooMany = ({ status, text }: HttpAnswer): void => {
    expect([status, JSON.parse(text).detail]).toEqual([400, `items must hold at most ${MOST_ITEMS} objects.`]);
  };
  const MANY_PATHS = ['try-set-many', 'try-get-many', 'try-exists-many', 'try-delete-many'] as const;

  test.each(MANY_PATHS)('%s of an item more than a request may hold is refused whole, and nothing of it happens', async name => {
    const items = [{ key: 'canary', value, durability: Persistent }, ...Array.from({ length: MOST_ITEMS }, () => ({}))];
    expectTooMany(await http(`${url}/v1/kv/${name}`, { body: JSON.stringify({ items }), timeoutMs: HANGS_MS }));
    await expectAlive();
  });

  test.each(['try-set-many', 'try-get-many'])('%s of a million keys is refused, and the node goes on', async name => {
    const body = Buffer.from(`{"items":[${Array.from({ length: MILLION }, (_, i) => `{"key":"m/${i}"}`).join()}]}`);
    await refusedCheaply(async () => expectTooMany(await http(`${url}/v1/kv/${name}`, { body, timeoutMs: HANGS_MS })));
  });

  test('clients that send half a request and stay silent do not keep others from being served', async () => {
    const { hostname, port } = new URL(url);
    const silent = Array.from({ length: 50 }, () => {
      const socket = createConnection({ host: hostname, port: Number(port) });
      socket.on('error', () => socket.destroy());
      socket.write(
        'POST /v1/kv/try-set HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"key":',
      );
      return socket;
    });
    await expectAlive();
    for (const socket of silent) socket.destroy();
  });
});

describe('the raft port', () => {
  const garbage: readonly (readonly [string, Buffer])[] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['noise', randomBytes(64 * 1024)],
    ['the length of a giant', Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x7f]), randomBytes(1024)])],
    ['zeros', Buffer.alloc(1024 * 1024)],
    ['nothing at all', Buffer.alloc(0)],
  ];

  test.each(garbage)('%s does no harm', async (_, bytes) => {
    const { host, port } = cluster.raftAddress(1);
    const sockets = Array.from({ length: 20 }, () => {
      const socket = createConnection({ host, port });
      socket.on('error', () => socket.destroy());
      if (bytes.length > 0) socket.write(bytes);
      return socket;
    });
    await sleep(100);
    await expectAlive();
    for (const socket of sockets) socket.destroy();
  });
});

describe('gRPC', () => {
  const raw = (): GrpcClient => new GrpcClient(cluster.node(1).options.grpcAddress);

  test('grpc:16 unknown methods and services are UNIMPLEMENTED, unknown fields are ignored', async () => {
    const client = raw();
    await expect(client.callRaw('/KeyValuer/NoSuchMethod', Buffer.alloc(0))).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
    await expect(client.callRaw('/NoSuchService/Method', Buffer.alloc(0))).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
    const get = m.GrpcTryGetKeyValueRequest.encode(
      message(m.GrpcTryGetKeyValueRequest, { Key: 'canary', Revision: -1n, Durability: 1 }),
    ).finish();
    const unknownField = Buffer.from([0xfa, 0x3e, 0x02, 0x68, 0x69]); // field 1007, two bytes
    const answer = await client.callRaw('/KeyValuer/TryGetKeyValue', Buffer.concat([get, unknownField]));
    expect(m.GrpcTryGetKeyValueResponse.decode(answer).Type).toBe(Type.Get);
    client.close();
  });

  test('bytes that are no message end the call, not the node', async () => {
    const client = raw();
    await expect(client.callRaw('/KeyValuer/TrySetKeyValue', Buffer.from([0x22, 0xff, 0xff, 0xff]))).rejects.toMatchObject({
      code: expect.toSatisfy((code: number) => code === grpc.status.INTERNAL || code === grpc.status.INVALID_ARGUMENT),
    });
    await expectAlive();
    client.close();
  });

  /** Messages one behind the other are one message with the items of all of them. */
  const millionOf = (thousand: Uint8Array): Buffer => Buffer.concat(Array<Uint8Array>(MILLION / 1000).fill(thousand));
  const thousandKeys = Array.from({ length: 1000 }, (_, i) => `m/${i}`);

  test.each([
    [
      'TrySetManyKeyValue',
      m.GrpcTrySetManyKeyValueRequest.encode({
        Items: thousandKeys.map(Key => message(m.GrpcTrySetManyKeyValueRequestItem, { Key, Durability: 1 })),
      }).finish(),
    ],
    [
      'TryGetManyValues',
      m.GrpcTryGetManyValuesRequest.encode(
        message(m.GrpcTryGetManyValuesRequest, {
          Items: thousandKeys.map(Key => message(m.GrpcTryManyValuesRequestItem, { Key, Revision: -1n, Durability: 1 })),
        }),
      ).finish(),
    ],
  ])('%s of a million keys is refused, and the node goes on', async (method, thousand) => {
    const client = raw();
    const request = millionOf(thousand);
    await refusedCheaply(async () => {
      await expect(client.callRaw(`/KeyValuer/${method}`, request)).rejects.toMatchObject({
        code: grpc.status.RESOURCE_EXHAUSTED,
        details: 'too many items in one request',
      });
    });
    client.close();
  });

  test('a message over the limit is refused with RESOURCE_EXHAUSTED', async () => {
    const client = new grpc.Client(cluster.node(1).options.grpcAddress, grpc.credentials.createInsecure(), {
      ...CHANNEL_OPTIONS,
      'grpc.max_send_message_length': -1,
    });
    const asIs = (bytes: Buffer): Buffer => bytes;
    const refused = new Promise<grpc.ServiceError | null>(resolve =>
      client.makeUnaryRequest('/KeyValuer/TrySetKeyValue', asIs, asIs, Buffer.alloc(70 * MIB), error => resolve(error)),
    );
    expect([grpc.status.RESOURCE_EXHAUSTED, grpc.status.UNAVAILABLE, grpc.status.INTERNAL]).toContain((await refused)?.code);
    await expectAlive();
    client.close();
  });
});

/** The key/value batch stream, message by message: grpc §8. */
describe('the batch stream', () => {
  class RawStream {
    /** `answer`: the type inside the payload; undefined: there is none. */
    readonly envelopes: { type: number; requestId: number; answer: number | undefined }[] = [];
    frames = 0;
    metadata: grpc.Metadata | undefined;
    status: grpc.status | undefined;
    private readonly client: grpc.Client;
    private readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;

    constructor() {
      const asIs = (bytes: Buffer): Buffer => bytes;
      this.client = new grpc.Client(cluster.node(1).options.grpcAddress, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
      this.call = this.client.makeBidiStreamRequest('/KeyValuer/BatchClientKeyValueRequests', asIs, asIs);
      this.call.on('metadata', metadata => {
        this.metadata = metadata;
      });
      this.call.on('status', status => {
        this.status = status.code;
      });
      this.call.on('error', () => undefined); // the status says it
      this.call.on('data', (bytes: Buffer) => {
        const envelope = m.GrpcBatchClientKeyValueResponse.decode(bytes);
        const { payload } = envelope;
        if (payload?.$case === 'Frame') {
          this.frames += 1;
          for (const item of payload.Frame.Items) this.take(item);
        } else this.take(envelope);
      });
    }

    private take({ Type: type, RequestId: requestId, payload }: m.GrpcBatchClientKeyValueResponse): void {
      const answer = payload === undefined ? undefined : (Reflect.get(payload, payload.$case) as { readonly Type: number }).Type;
      this.envelopes.push({ type, requestId, answer });
    }

    send(...requests: Partial<m.GrpcBatchClientKeyValueRequest>[]): void {
      for (const request of requests) {
        this.call.write(
          Buffer.from(m.GrpcBatchClientKeyValueRequest.encode(message(m.GrpcBatchClientKeyValueRequest, request)).finish()),
        );
      }
    }

    sendRaw(bytes: Buffer): void {
      this.call.write(bytes);
    }

    answered(count: number): Promise<true> {
      return until(`${count} answers`, HANGS_MS, () => this.envelopes.length >= count) as Promise<true>;
    }

    end(): void {
      this.call.end();
    }

    close(): void {
      this.call.cancel();
      this.client.close();
    }
  }

  type Request = Partial<m.GrpcBatchClientKeyValueRequest>;

  const get = (RequestId: number, Key = 'canary'): Request => ({
    Type: 5,
    RequestId,
    payload: {
      $case: 'TryGetKeyValue',
      TryGetKeyValue: message(m.GrpcTryGetKeyValueRequest, { Key, Revision: -1n, Durability: 1 }),
    },
  });
  const frameOf = (...items: Request[]): Request => ({
    Type: 15,
    RequestId: 0,
    payload: { $case: 'Frame', Frame: { Items: items.map(item => message(m.GrpcBatchClientKeyValueRequest, item)) } },
  });

  let stream: RawStream;
  const open = (): RawStream => {
    stream = new RawStream();
    return stream;
  };

  test('grpc:4 the headers come before the first request and offer frames', async () => {
    const s = open();
    await until('headers', HANGS_MS, () => s.metadata);
    expect(s.metadata?.get('kahuna-batch-frames')).toEqual(['1']);
    s.close();
  });

  test('grpc:5 a thousand requests at once are answered, each once', async () => {
    const s = open();
    const ids = Array.from({ length: 1000 }, (_, i) => i + 1);
    s.send(...ids.map(id => get(id)));
    await s.answered(1000);
    await sleep(50);
    expect(s.envelopes.map(envelope => envelope.requestId).sort((a, b) => a - b)).toEqual(ids);
    s.close();
  });

  test('grpc:6 request ids at the ends of their range are echoed', async () => {
    const s = open();
    const ids = [-1, 0, 2_147_483_647, -2_147_483_648];
    s.send(...ids.map(id => get(id)));
    await s.answered(4);
    expect(s.envelopes.map(envelope => envelope.requestId).sort()).toEqual([...ids].sort());
    s.close();
  });

  test('grpc:7 bad envelopes are answered, and the stream goes on', async () => {
    const s = open();
    const nested = frameOf({ Type: 15, RequestId: 3 });
    s.send({ Type: 0, RequestId: 1 }, { Type: 99 as never, RequestId: 2 }, nested, { Type: 1, RequestId: 4 }, get(5));
    await s.answered(5);
    const byId = new Map(s.envelopes.map(envelope => [envelope.requestId, envelope]));
    for (const id of [1, 2, 3]) expect(byId.get(id)).toEqual({ type: 0, requestId: id, answer: undefined });
    expect(byId.get(4)).toEqual({ type: 1, requestId: 4, answer: Type.InvalidInput });
    expect(byId.get(5)).toEqual({ type: 5, requestId: 5, answer: Type.Get });
    s.send({ Type: 15, RequestId: 6 }, get(7));
    await s.answered(6);
    expect(s.envelopes.at(-1)?.requestId).toBe(7);
    s.close();
  });

  test('grpc:8 a frame of 256 is answered; of 300 the last 44 must retry; no frame comes before one was sent', async () => {
    const s = open();
    const frame = (from: number, count: number): Request => frameOf(...Array.from({ length: count }, (_, i) => get(from + i)));
    s.send(...Array.from({ length: 50 }, (_, i) => get(i + 1)));
    await s.answered(50);
    expect(s.frames).toBe(0);
    s.send(frame(1000, 256));
    await s.answered(306);
    expect(s.frames).toBeGreaterThan(0);
    expect(new Set(s.envelopes.map(envelope => envelope.answer))).toEqual(new Set([Type.Get]));
    s.send(frame(2000, 300));
    await s.answered(606);
    const refused = s.envelopes.filter(envelope => envelope.answer === Type.MustRetry).map(envelope => envelope.requestId);
    expect(refused.sort((a, b) => a - b)).toEqual(Array.from({ length: 44 }, (_, i) => 2256 + i));
    expect(s.envelopes.filter(envelope => envelope.answer === Type.Get)).toHaveLength(562);
    s.close();
  });

  test('undecodable bytes end the stream with UNAVAILABLE and nothing else', async () => {
    const s = open();
    s.send(get(1));
    await s.answered(1);
    s.sendRaw(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff]));
    await until('the end of the stream', HANGS_MS, () => s.status !== undefined);
    expect(s.status).toBe(grpc.status.UNAVAILABLE);
    await expectAlive();
    s.close();
  });

  test('a client that half-closes gets every answer and the status OK', async () => {
    const s = open();
    s.send(...Array.from({ length: 100 }, (_, i) => get(i)));
    s.end();
    await until('the end of the stream', HANGS_MS, () => s.status !== undefined);
    expect([s.envelopes.length, s.status]).toEqual([100, grpc.status.OK]);
    s.close();
  });

  test('a client that sends and never reads is slowed down, not served at the cost of memory', async () => {
    const socketFriend = new RestKv(url);
    const value = Buffer.alloc(200 * 1024, 1);
    await expectSaid(socketFriend.set({ key: 'big', value, durability: Persistent }), 'Set r0');
    const asIs = (bytes: Buffer): Buffer => bytes;
    const client = new grpc.Client(cluster.node(1).options.grpcAddress, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    const call = client.makeBidiStreamRequest('/KeyValuer/BatchClientKeyValueRequests', asIs, asIs);
    call.on('error', () => undefined); // cancelled below
    call.pause();
    const request = m.GrpcBatchClientKeyValueRequest.encode(message(m.GrpcBatchClientKeyValueRequest, get(1, 'big'))).finish();
    for (let i = 0; i < 20_000; i++) call.write(Buffer.from(request)); // 4 GiB of answers, if they were all made
    await sleep(1500);
    await expectAlive();
    call.cancel();
    client.close();
    socketFriend.close();
  });
});
