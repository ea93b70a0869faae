import { once } from 'node:events';
import { createServer as createHttpServer, get, type Server } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ListenerKind, ListenerPlan } from '../config/settings.ts';
import { PEER_MAGIC } from '../transport/magic.ts';
import { spokenBy } from './first-bytes.ts';
import { ListenError, PortListeners } from './port-listeners.ts';

let http: Server;
let ports: PortListeners;
let refused: string[];
let peers: Socket[];
const http2 = createHttp2Server((_request, response) => response.end('two'));

const serveHttp2 = (socket: Socket): boolean => http2.emit('connection', socket);

beforeEach(() => {
  refused = [];
  peers = [];
  http = createHttpServer((_request, response) => response.end('one'));
  ports = new PortListeners(
    {
      http: socket => http.emit('connection', socket),
      http2: serveHttp2,
      grpc: serveHttp2,
      peer: socket => peers.push(socket),
    },
    { host: '127.0.0.1', tls: undefined, onRefused: (port, spoken) => refused.push(`${spoken} on ${port}`) },
  );
});

afterEach(() => {
  ports.stopAccepting();
  ports.destroyConnections();
  http.close();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function plan(kind: ListenerKind, port: number, withPeers = false): ListenerPlan {
  return { kind, port, flag: `--${kind}`, tls: false, peers: withPeers };
}

async function open(kind: ListenerKind, withPeers = false): Promise<number> {
  const port = await freePort();
  await ports.open([plan(kind, port, withPeers)]);
  return port;
}

async function http1Answer(port: number): Promise<string> {
  const [response] = await once(get({ host: '127.0.0.1', port, agent: false }), 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

async function http2Answer(port: number): Promise<string> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ':path': '/' });
  let text = '';
  for await (const chunk of stream) text += chunk;
  session.destroy();
  return text;
}

/** What comes back until the other side closes. */
async function talk(port: number, pieces: readonly Buffer[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', chunk => {
    text += chunk.toString('latin1');
  });
  await once(socket, 'connect');
  const closed = new Promise(resolve => socket.once('close', resolve)); // by a reset, too
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  socket.end();
  await closed;
  return text;
}

test('protocols are told apart as soon as the bytes allow', () => {
  expect(spokenBy(Buffer.from('GET'))).toBe('http1');
  expect(spokenBy(Buffer.from('P'))).toBeUndefined();
  expect(spokenBy(Buffer.from('PO'))).toBe('http1');
  expect(spokenBy(Buffer.from('PRI '))).toBe('http2');
  expect(spokenBy(PEER_MAGIC.subarray(0, 3))).toBeUndefined();
  expect(spokenBy(PEER_MAGIC)).toBe('peer');
});

describe('operations §1.1: what a port serves', () => {
  test('an HTTP port serves HTTP/1.1 and HTTP/2 by prior knowledge', async () => {
    const port = await open('http');
    expect(await http1Answer(port)).toBe('one');
    expect(await http2Answer(port)).toBe('two');
    expect(refused).toEqual([]);
  });

  test('a request that arrives byte by byte is served', async () => {
    const port = await open('http');
    const request = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
    const pieces = [request.slice(0, 1), request.slice(1, 2), request.slice(2)].map(text => Buffer.from(text));
    expect(await talk(port, pieces)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('a gRPC port refuses HTTP/1.1 in words', async () => {
    const port = await open('grpc');
    expect(await http2Answer(port)).toBe('two');
    expect(await talk(port, [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')])).toMatch(/^HTTP\/1\.1 505 /);
    expect(refused).toEqual([`http1 on ${port}`]);
  });

  test('nodes are heard only on the raft port, with their first bytes still to be read', async () => {
    const [client, raft] = [await open('http'), await open('http', true)];
    await talk(client, [PEER_MAGIC]);
    expect(refused).toEqual([`peer on ${client}`]);
    const socket = connect(raft, '127.0.0.1');
    socket.write(Buffer.concat([PEER_MAGIC, Buffer.from('hello')]));
    while (peers.length === 0) await new Promise(resolve => setTimeout(resolve, 2));
    const [bytes] = await Promise.all([once(peers[0] as Socket, 'data'), Promise.resolve(peers[0]?.resume())]);
    expect(String(bytes[0])).toBe('KHN1hello');
    socket.destroy();
  });

  test('a raft port of its own serves no clients', async () => {
    const port = await open('peer', true);
    expect(await talk(port, [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')])).toBe('');
    expect(refused).toEqual([`http1 on ${port}`]);
  });

  test('an address that is not of this machine is the fault of --host', async () => {
    const takers = { http: serveHttp2, http2: serveHttp2, grpc: serveHttp2, peer: serveHttp2 };
    const elsewhere = new PortListeners(takers, { host: '192.0.2.1', tls: undefined, onRefused: () => undefined });
    await expect(elsewhere.open([plan('http', await freePort())])).rejects.toThrow('--host is no address of this machine: ');
  });

  test('a port in use is named with its option, and the others are closed again', async () => {
    const [taken, other] = [await freePort(), await freePort()];
    const holder = createServer().listen(taken, '127.0.0.1');
    await once(holder, 'listening');
    const attempt = ports.open([plan('http', other), plan('grpc', taken)]);
    await expect(attempt).rejects.toThrow(ListenError);
    await expect(attempt).rejects.toThrow(`port ${taken} is already in use (--grpc)`);
    await ports.open([plan('http', other)]);
    expect(await http1Answer(other)).toBe('one');
    holder.close();
  });
});

test('connections that the system could not accept do not end the process, however many', async () => {
  const port = await open('http');
  const [server] = Reflect.get(ports, 'servers') as Server[];
  for (let i = 0; i < 3; i++) {
    server?.emit('error', Object.assign(new Error('accept ENFILE: ordered by a test'), { code: 'ENFILE', syscall: 'accept' }));
  }
  expect(await http1Answer(port)).toBe('one');
});
