import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { type EmbeddedNode, startEmbeddedNode } from '../embedded.ts';
import { Unread } from '../gateway/unread.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { registerWatchSocket } from '../watch/index.ts';
import { createRestApp } from './app.ts';

/** Clients of the HTTP surface that ask and do not read, and one that does. */

const BOUND = 16 * 1024 * 1024;
/** What the kernel takes of an answer that nobody reads is less. Bytes. */
const VALUE_BYTES = 12 * 1024 * 1024;

let node: EmbeddedNode;
let unread: Unread;
let app: FastifyInstance;
let port: number;
let open: { destroy(): unknown }[];
beforeEach(async () => {
  open = [];
  node = await startEmbeddedNode();
  unread = new Unread(systemClock, BOUND);
  app = await createRestApp(node.node, {
    ...{ clock: systemClock, hints: { localUrl: '', disabled: true, hidePeers: true }, unread, localEndpoint: '' },
    ...{ allowedOrigins: [], consoleDirectory: undefined, consoleEnabled: false },
    ...{ isStopping: () => false, onInternalError: () => undefined },
  });
  registerWatchSocket(app, node.node, unread);
  await app.ready();
  app.server.listen(0, '127.0.0.1');
  await once(app.server, 'listening');
  port = (app.server.address() as AddressInfo).port;
});
afterEach(async () => {
  for (const one of open) one.destroy();
  await app.close();
  app.server.closeAllConnections();
  app.server.close();
  await node.stop();
});

const set = (key: string, bytes: number): Promise<Response> => {
  const value = Buffer.alloc(bytes, 7).toString('base64');
  return post('/v1/kv/try-set', { key, value, durability: 1 });
};
const post = (path: string, body: object): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

async function deafRequest(): Promise<{ gone: Promise<unknown> }> {
  const socket: Socket = connect(port, '127.0.0.1');
  open.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const body = JSON.stringify({ key: 'large', durability: 1 });
  const head = `POST /v1/kv/try-get HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  socket.pause();
  socket.write(`${head}\r\n\r\n${body}`);
  return { gone: new Promise(resolve => socket.once('close', resolve)) }; // by a reset, too
}

async function deafWatch(): Promise<{ gone: Promise<unknown> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/watch`);
  open.push({ destroy: () => socket.terminate() });
  await once(socket, 'open');
  socket.send(JSON.stringify({ t: 'watch', id: 1, key: 'changes', fromRevision: 0 }));
  socket.pause();
  return { gone: new Promise(resolve => socket.once('close', resolve)) };
}

describe('invariant 13: of those who do not read, beyond the bound of the node some are cut off, and others are served', () => {
  test.each([
    ['requests', deafRequest, 5],
    ['watches', deafWatch, 8],
  ])('%s', async (_what, ask, count) => {
    await set('large', VALUE_BYTES);
    for (let i = 0; i < 24; i++) await set('changes', 500_000);
    const deaf = await Promise.all(Array.from({ length: count }, ask));
    await expect.poll(() => unread.isFull).toBe(true);
    const deadline = performance.now() + 20_000;
    let served = 0;
    while (unread.isFull && performance.now() < deadline) {
      const answer = await (await post('/v1/kv/try-get', { key: 'large', durability: 1 })).text();
      expect(answer.length).toBeGreaterThan(VALUE_BYTES);
      served++;
    }
    expect([unread.isFull, unread.cuts > 0, served > 0]).toEqual([false, true, true]);
    for (const one of open) if ('resume' in one) (one as Socket).resume();
    if (ask === deafRequest) await Promise.race(deaf.map(({ gone }) => gone));
    for (const one of open) one.destroy();
    await expect.poll(() => unread.hasRoomFor(BOUND)).toBe(true);
  });
});
