import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connect2, type IncomingHttpHeaders } from 'node:http2';
import { request as request1 } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { credentials, type Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedNode, startEmbeddedNode } from './embedded.ts';
import { PROTO_FOLDER, Received, TestClient } from './grpc/test-server.ts';
import { TEST_CERTIFICATE_FILE } from './testing/certificate.ts';

/** One TLS port serves REST over HTTP/1.1 and HTTP/2, and gRPC (operations §1.1, §12; grpc §1.1). */

const pem = readFileSync(TEST_CERTIFICATE_FILE, 'utf8');
const certificate = { cert: pem, key: pem };
let node: EmbeddedNode;
let client: TestClient;

beforeAll(async () => {
  node = await startEmbeddedNode({ certificate });
  const trusted = credentials.createSsl(Buffer.from(certificate.cert));
  client = new TestClient(node.address, `${PROTO_FOLDER}/keyvalues.proto`, 'KeyValuer', {}, trusted);
});

afterAll(async () => {
  client.close();
  await node.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

async function overHttp1(path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const options = { ca: certificate.cert, agent: false, method: body === undefined ? 'GET' : 'POST', headers };
  const outgoing = request1(`${node.url}${path}`, options);
  outgoing.end(body);
  const [incoming] = await once(outgoing, 'response');
  let text = '';
  for await (const chunk of incoming) text += chunk;
  return { status: incoming.statusCode, headers: incoming.headers, text };
}

async function overHttp2(path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const session = connect2(node.url, { ca: certificate.cert });
  try {
    const stream = session.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST', ...headers });
    stream.end(body);
    const [answered] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
    let text = '';
    for await (const chunk of stream) text += chunk;
    return { status: answered[':status'], headers: answered, text };
  } finally {
    session.close();
  }
}

const JSON_BODY = { 'content-type': 'application/json' };

describe.each([
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
] as const)('REST over %s with TLS', (version, send) => {
  test('writes and reads', async () => {
    const key = `tls/${version}`;
    const set = await send('/v1/kv/try-set', JSON_BODY, JSON.stringify({ key, value: 'AQI=', durability: 1 }));
    expect([set.status, JSON.parse(set.text)]).toEqual([200, expect.objectContaining({ type: 0, revision: 0 })]);
    expect(set.headers['content-type']).toBe('application/json; charset=utf-8');
    const got = await send('/v1/kv/try-get', JSON_BODY, JSON.stringify({ key, durability: 1 }));
    expect(JSON.parse(got.text)).toMatchObject({ type: 3, value: 'AQI=', route: { endpoint: node.url } });
  });

  test('a body of many frames arrives whole', async () => {
    const value = Buffer.alloc(2_000_000, 5).toString('base64');
    const set = await send('/v1/kv/try-set', JSON_BODY, JSON.stringify({ key: `large/${version}`, value, durability: 1 }));
    expect(JSON.parse(set.text)).toMatchObject({ type: 0 });
    const got = await send('/v1/kv/try-get', JSON_BODY, JSON.stringify({ key: `large/${version}`, durability: 1 }));
    expect(JSON.parse(got.text).value).toBe(value);
  });

  test('probes, the documented refusals and the rules of origins are the same', async () => {
    expect(await send('/v1/cluster/health')).toMatchObject({ status: 200, text: expect.stringContaining('"ready":true') });
    expect((await send('/nowhere')).status).toBe(404);
    expect((await send('/v1/kv/try-get', { 'content-type': 'text/plain' }, 'x')).status).toBe(415);
    expect((await send('/v1/kv/try-get', {}, '{"key":"a"}')).status).toBe(415);
    expect((await send('/v1/kv/try-get', JSON_BODY, '{"key":')).status).toBe(400);
    expect((await send('/v1/kv/try-get', JSON_BODY, '')).status).toBe(400);
    expect((await send('/v1/ranges/merge', { 'content-type': 'a/b' }, 'whatever')).status).toBe(200);
    const own = await send('/v1/kv/try-get', { ...JSON_BODY, origin: node.url }, '{"key":"a"}');
    expect(own.status).toBe(200);
    const foreign = await send('/v1/kv/try-get', { ...JSON_BODY, origin: 'https://evil.example' }, '{"key":"a"}');
    expect(foreign.status).toBe(403);
    expect((await send('/livez', { authorization: 'Bearer whatever' })).status).toBe(200);
  });
});

describe('gRPC over TLS', () => {
  test('grpc:13 unary calls and batch streams on the port that serves REST', async () => {
    expect(await client.call('TrySetKeyValue', { Key: 'tls/g', Value: Buffer.from('x'), Durability: 1 })).toMatchObject({
      Type: 0,
      Route: { Endpoint: node.url },
    });
    const stream = client.batch();
    const headers = new Promise<Metadata>(resolve => stream.on('metadata', resolve));
    const received = new Received(stream);
    expect((await headers).get('kahuna-batch-frames')).toEqual(['1']);
    stream.write({ Type: 5, RequestId: 1, TryGetKeyValue: { Key: 'tls/g', Revision: '-1', Durability: 1 } });
    expect((await received.first(1))[0]).toMatchObject({ Type: 5, TryGetKeyValue: { Type: 3, Value: Buffer.from('x') } });
    stream.end();
  });

  test('gRPC and REST share one connection', async () => {
    const session = connect2(node.url, { ca: certificate.cert });
    const rest = session.request({ ':path': '/livez' });
    const grpc = session.request({
      ':path': '/Cluster/GetMembership',
      ':method': 'POST',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
    });
    grpc.end(Buffer.alloc(5));
    const [[restHeaders], [grpcHeaders]] = await Promise.all([once(rest, 'response'), once(grpc, 'response')]);
    expect([restHeaders[':status'], grpcHeaders['content-type']]).toEqual([200, 'application/grpc+proto']);
    rest.close();
    grpc.close();
    session.close();
  });
});

describe('the listener', () => {
  const handshake = async (
    options: object,
  ): Promise<{ readonly protocol: string | null; readonly alpn: string | false | null; readonly print: string }> => {
    const socket = connectTls({ host: '127.0.0.1', port: node.port, ca: certificate.cert, ...options });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    const seen = { protocol: socket.getProtocol(), alpn: socket.alpnProtocol, print: fingerprint256 };
    socket.destroy();
    return seen;
  };

  test('TLS 1.2 and 1.3, with and without a server name, always the same certificate', async () => {
    const modern = await handshake({ minVersion: 'TLSv1.3', servername: 'localhost' });
    const older = await handshake({ maxVersion: 'TLSv1.2' });
    expect([modern.protocol, older.protocol]).toEqual(['TLSv1.3', 'TLSv1.2']);
    expect(older.print).toBe(modern.print);
    await expect(handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow();
  });

  test('ALPN chooses; without it the first bytes do', async () => {
    expect((await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn).toBe('h2');
    expect((await handshake({ ALPNProtocols: ['http/1.1'] })).alpn).toBe('http/1.1');
    expect((await handshake({})).alpn).toBe(false);
    expect((await overHttp1('/livez')).text).toBe('ok\n');
  });

  test('who does not speak TLS, and who does not trust the certificate, gets nothing', async () => {
    await expect(fetch(node.url.replace('https', 'http'))).rejects.toThrow();
    await expect(fetch(`${node.url}/livez`)).rejects.toThrow();
    expect((await overHttp1('/livez')).status).toBe(200);
  });
});

test('a cleartext port serves REST over HTTP/2 with prior knowledge too', async () => {
  await using plain = await startEmbeddedNode({ partitions: 1 });
  const session = connect2(plain.url);
  const stream = session.request({ ':path': '/v1/cluster/health' });
  const [headers] = await once(stream, 'response');
  let text = '';
  for await (const chunk of stream) text += chunk;
  session.close();
  expect([headers[':status'], JSON.parse(text).ready]).toEqual([200, true]);
});
