import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { DecodeError, Rng } from '@kahuna/base';
import type { TransportListener } from '@kahuna/node';
import { afterEach, describe, expect, test } from 'vitest';
import { PEER_MAGIC, PEER_PROTOCOL_VERSION } from './magic.ts';
import { MAX_FRAME_BYTES, MAX_HANDSHAKE_FRAME_BYTES } from './peer-stream.ts';
import { TcpTransport, type TransportTimings } from './tcp-transport.ts';

/** What the host of one node saw, and the node's port. */
class TestNode implements TransportListener {
  readonly transport: TcpTransport;
  readonly server: Server;
  readonly endpoint: string;
  readonly frames: string[] = [];
  readonly events: string[] = [];
  readonly logs: string[] = [];
  refusal: string | undefined;
  onText: (from: string, text: string) => void = () => undefined;

  constructor(server: Server, endpoint: string, timings: Partial<TransportTimings>) {
    this.server = server;
    this.endpoint = endpoint;
    this.transport = new TcpTransport({
      self: endpoint,
      tls: undefined,
      log: (_level, message, fields) => this.logs.push(`${message} ${JSON.stringify(fields)}`),
      monotonicMs: () => performance.now(),
      random: () => 0.5,
      timings: { backoffMin: 5, backoffMax: 50, dialGrace: 40, ...timings },
    });
    this.transport.listener = this;
    server.on('connection', socket => this.transport.accept(socket));
  }

  hello(): Uint8Array {
    return Buffer.from(this.endpoint);
  }

  onHello(hello: Uint8Array): { endpoint: string } | { refused: string } {
    return this.refusal === undefined ? { endpoint: Buffer.from(hello).toString() } : { refused: this.refusal };
  }

  onUp(endpoint: string): void {
    this.events.push(`up ${endpoint}`);
  }

  onDown(endpoint: string): void {
    this.events.push(`down ${endpoint}`);
  }

  onFrame(endpoint: string, frame: Uint8Array): void {
    const text = Buffer.from(frame).toString();
    if (text === 'garbage inside') throw new DecodeError('truncated');
    this.frames.push(text.length > 100 ? `${text.length} bytes` : text);
    this.onText(endpoint, text);
  }

  isUp(peer: TestNode): boolean {
    return this.events.filter(e => e.endsWith(peer.endpoint)).at(-1) === `up ${peer.endpoint}`;
  }

  async stop(): Promise<void> {
    await new Promise<void>(resolve => this.transport.close(resolve));
    if (this.server.listening) await new Promise(resolve => this.server.close(resolve));
  }
}

const nodes: TestNode[] = [];

async function listen(port = 0): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function startNode(timings: Partial<TransportTimings> = {}, port = 0): Promise<TestNode> {
  const server = await listen(port);
  const node = new TestNode(server, `127.0.0.1:${(server.address() as AddressInfo).port}`, timings);
  nodes.push(node);
  return node;
}

/** The node that dials comes first. */
async function startPair(timings: Partial<TransportTimings> = {}): Promise<[TestNode, TestNode]> {
  const pair = [await startNode(timings), await startNode(timings)];
  pair.sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
  return pair as [TestNode, TestNode];
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}

function frame(body: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
}

const PREAMBLE = Buffer.concat([PEER_MAGIC, Buffer.of(PEER_PROTOCOL_VERSION)]);

async function rawConnection(node: TestNode): Promise<Socket> {
  const socket = connect((node.server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** However it comes: what is sent to somebody who has closed is answered by a reset. */
function closeOf(socket: Socket): Promise<unknown> {
  return new Promise(resolve => socket.once('close', resolve));
}

afterEach(async () => {
  await Promise.all(nodes.splice(0).map(node => node.stop()));
});

describe('streams between nodes', () => {
  test('one stream per pair carries frames both ways, whole and in order', async () => {
    const [a, b] = await startPair();
    a.transport.connect(b.endpoint);
    b.transport.connect(a.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
    const large = Buffer.alloc(3 * 1024 * 1024, 'x');
    for (let i = 0; i < 100; i++) a.transport.send(b.endpoint, Buffer.from(`f${i}`));
    a.transport.send(b.endpoint, large);
    b.transport.send(a.endpoint, Buffer.from('back'));
    await until(() => b.frames.length === 101 && a.frames.length === 1, 'frames arrived');
    expect(b.frames).toEqual([...Array.from({ length: 100 }, (_, i) => `f${i}`), `${large.length} bytes`]);
    expect(a.frames).toEqual(['back']);
    expect(a.events).toEqual([`up ${b.endpoint}`]);
    expect(b.events).toEqual([`up ${a.endpoint}`]);
  });

  test('the greater endpoint dials when the smaller does not know it', async () => {
    const [a, b] = await startPair();
    b.transport.connect(a.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
  });

  test('both dialling at once end with the same single stream', async () => {
    const [a, b] = await startPair({ dialGrace: 0 });
    a.transport.connect(b.endpoint);
    b.transport.connect(a.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(a.isUp(b) && b.isUp(a)).toBe(true);
    a.transport.send(b.endpoint, Buffer.from('to b'));
    b.transport.send(a.endpoint, Buffer.from('to a'));
    await until(() => b.frames.includes('to b') && a.frames.includes('to a'), 'frames arrived');
  });

  test('a peer that starts later, and one that comes back, is reached without help', async () => {
    const [a, b] = await startPair();
    const port = (b.server.address() as AddressInfo).port;
    await b.stop();
    a.transport.connect(b.endpoint);
    await until(() => a.logs.some(line => line.startsWith('cannot reach node')), 'first failure');
    const reborn = await startNode({}, port);
    await until(() => a.isUp(reborn), 'up');
    await reborn.stop();
    await until(() => !a.isUp(reborn), 'down');
    const again = await startNode({}, port);
    await until(() => a.isUp(again), 'up again');
    expect(a.logs.filter(line => line.startsWith('cannot reach node')).length).toBeLessThanOrEqual(2);
  });

  test('a refusal reaches the other side with its reason', async () => {
    const [a, b] = await startPair();
    b.refusal = 'another cluster';
    a.transport.connect(b.endpoint);
    await until(() => a.logs.some(line => line.includes('refused by the peer: another cluster')), 'reason logged');
    expect(a.events).toEqual([]);
    expect(b.events).toEqual([]);
  });

  test('the dialler refuses too, and then the other side does not count the stream as up', async () => {
    const [a, b] = await startPair();
    a.refusal = 'unknown member';
    a.transport.connect(b.endpoint);
    await until(() => b.logs.some(line => line.includes('refused by the peer: unknown member')), 'reason logged');
    expect(b.events).toEqual([]);
  });

  test('disconnect ends the stream, tells the host later, and dials no more', async () => {
    const [a, b] = await startPair();
    a.transport.connect(b.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
    a.transport.disconnect(b.endpoint);
    expect(a.isUp(b)).toBe(true);
    await until(() => !a.isUp(b) && !b.isUp(a), 'both down');
    await new Promise(resolve => setTimeout(resolve, 120));
    expect(a.events).toEqual([`up ${b.endpoint}`, `down ${b.endpoint}`]);
    expect(a.transport.send(b.endpoint, Buffer.from('x'))).toBe(true);
  });

  test('a peer that does not read is bounded: send says no instead of queueing without end', async () => {
    const [a, b] = await startPair();
    let silent: Socket | undefined;
    b.server.removeAllListeners('connection');
    b.server.on('connection', socket => {
      silent = socket;
      socket.once('data', () => {
        socket.pause();
        socket.write(Buffer.concat([PREAMBLE, frame(Buffer.concat([Buffer.of(1), Buffer.from(b.endpoint)]))]));
      });
    });
    a.transport.connect(b.endpoint);
    await until(() => a.isUp(b), 'up');
    const block = Buffer.alloc(1024 * 1024);
    let accepted = 0;
    while (accepted < 200 && a.transport.send(b.endpoint, block)) accepted++;
    expect(accepted).toBeGreaterThan(32);
    expect(accepted).toBeLessThan(80);
    expect(a.transport.queuedBytes(b.endpoint)).toBeLessThanOrEqual(64 * 1024 * 1024 + accepted * 4);
    silent?.destroy();
  });

  test('silence ends a stream; signs of life keep it', async () => {
    const timings = { keepalive: 20, silence: 100, handshake: 200 };
    const [a, b] = await startPair(timings);
    a.transport.connect(b.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
    await new Promise(resolve => setTimeout(resolve, 300));
    expect(a.events).toEqual([`up ${b.endpoint}`]);

    const mute = await rawConnection(b);
    mute.write(Buffer.concat([PREAMBLE, frame(Buffer.concat([Buffer.of(1), Buffer.from('127.0.0.1:1')])), frame(Buffer.of(3))]));
    await until(() => b.events.includes('up 127.0.0.1:1'), 'mute peer up');
    await until(() => b.events.includes('down 127.0.0.1:1'), 'mute peer given up');
  });
});

describe('hostile bytes', () => {
  const hello = frame(Buffer.concat([Buffer.of(1), Buffer.from('127.0.0.1:1')]));
  const oversize = (length: number): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(length);
    return header;
  };

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['zeros', Buffer.alloc(64)],
    ['another version', Buffer.concat([PEER_MAGIC, Buffer.of(99)])],
    ['an oversized hello', Buffer.concat([PREAMBLE, oversize(MAX_HANDSHAKE_FRAME_BYTES + 1)])],
    ['an empty handshake frame', Buffer.concat([PREAMBLE, oversize(0)])],
    ['ready before hello', Buffer.concat([PREAMBLE, frame(Buffer.of(3))])],
    ['two hellos', Buffer.concat([PREAMBLE, hello, hello])],
    ['an oversized frame', Buffer.concat([PREAMBLE, hello, frame(Buffer.of(3)), oversize(MAX_FRAME_BYTES + 1)])],
    [
      'a frame the host cannot decode',
      Buffer.concat([PREAMBLE, hello, frame(Buffer.of(3)), frame(Buffer.from('garbage inside'))]),
    ],
  ])('%s closes its stream with one line, and others go on', async (_what, bytes) => {
    const [a, b] = await startPair();
    a.transport.connect(b.endpoint);
    await until(() => a.isUp(b) && b.isUp(a), 'both up');
    const linesBefore = b.logs.length;
    const socket = await rawConnection(b);
    const closed = closeOf(socket);
    socket.resume();
    socket.write(bytes);
    await closed;
    await until(() => b.logs.length > linesBefore, 'logged');
    expect(b.logs.slice(linesBefore).filter(line => !line.startsWith('connected')).length).toBe(1);
    a.transport.send(b.endpoint, Buffer.from('still here'));
    await until(() => b.frames.includes('still here'), 'frame arrived');
  });

  test('a stream that never finishes its hello is closed', async () => {
    const node = await startNode({ handshake: 60, keepalive: 20 });
    const socket = await rawConnection(node);
    const closed = closeOf(socket);
    socket.resume();
    const drip = setInterval(() => socket.write(Buffer.of(0)), 10);
    socket.write(Buffer.concat([PREAMBLE, oversize(60_000)]));
    await closed;
    clearInterval(drip);
    expect(node.logs).toEqual([expect.stringContaining('handshake timed out')]);
  });

  test('random bytes in random pieces never throw and never come up', async () => {
    const node = await startNode();
    const rng = new Rng(20_261_121);
    for (let round = 0; round < 60; round++) {
      const socket = await rawConnection(node);
      const closed = closeOf(socket);
      socket.resume();
      const start = rng.pick([Buffer.alloc(0), PEER_MAGIC, PREAMBLE, Buffer.concat([PREAMBLE, oversize(rng.int(0, 300))])]);
      const noise = Buffer.from(Array.from({ length: rng.int(1, 400) }, () => rng.int(0, 255)));
      for (const piece of [start, noise.subarray(0, noise.length / 2), noise.subarray(noise.length / 2)]) {
        if (piece.length > 0 && socket.writable) socket.write(piece);
        await new Promise(resolve => setImmediate(resolve));
      }
      socket.end();
      await closed;
    }
    expect(node.events.filter(event => event.startsWith('up')).length).toBe(0);
  });

  test('a flood of connections that say nothing is bounded', async () => {
    const node = await startNode();
    const sockets = await Promise.all(Array.from({ length: 100 }, () => rawConnection(node)));
    let closed = 0;
    for (const socket of sockets) socket.resume().on('close', () => closed++);
    await until(() => closed >= 36, 'surplus closed');
    for (const socket of sockets) socket.destroy();
  });
});
