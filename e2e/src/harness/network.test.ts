import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Network } from './network.ts';
import { freePort, HANGS_MS, sleep, until } from './processes.ts';

// This process plays node 1 and dials node 2, which is a server that keeps what it receives and answers "pong" to "ping".
let network: Network;
let server: Server;
let dialled: Socket;
let received = '';
let answered = '';
let accepted: Socket;

beforeEach(async () => {
  received = '';
  answered = '';
  const port = await freePort();
  network = new Network(2, node => (node === 1 ? process.pid : undefined));
  server = createServer(socket => {
    accepted = socket;
    socket.on('error', () => socket.destroy());
    socket.on('data', chunk => {
      received += chunk.toString();
    });
  });
  await new Promise<void>(resolve => server.listen({ host: Network.privateHost(2), port }, resolve));
  await network.listen(2, port);
  dialled = createConnection({ host: Network.publicHost(2), port });
  dialled.on('error', () => dialled.destroy());
  dialled.on('data', chunk => {
    answered += chunk.toString();
  });
  dialled.write('hello');
  await until('the connection', HANGS_MS, () => received === 'hello');
});

afterEach(async () => {
  dialled.destroy();
  accepted.destroy();
  await network.close();
  await new Promise(resolve => server.close(resolve));
});

test('a blocked direction holds its bytes, in order, and the other direction goes on', async () => {
  network.block(1, 2);
  dialled.write(' one');
  dialled.write(' two');
  accepted.write('back');
  await until('the answer', HANGS_MS, () => answered === 'back');
  await sleep(50);
  expect(received).toBe('hello');
  network.heal();
  await until('what was held', HANGS_MS, () => received === 'hello one two');
});

test('an isolated node neither sends nor hears', async () => {
  network.isolate(2);
  dialled.write(' one');
  accepted.write('back');
  await sleep(50);
  expect([received, answered]).toEqual(['hello', '']);
  network.heal();
  await until('both', HANGS_MS, () => received === 'hello one' && answered === 'back');
});

test('a delay applies each way', async () => {
  network.delayAll(80);
  const began = performance.now();
  dialled.write(' late');
  await until('the delayed bytes', HANGS_MS, () => received === 'hello late');
  expect(performance.now() - began).toBeGreaterThanOrEqual(79);
});

test('a connection that ends on one side ends on the other', async () => {
  accepted.destroy();
  await until('the end', HANGS_MS, () => dialled.destroyed);
});
