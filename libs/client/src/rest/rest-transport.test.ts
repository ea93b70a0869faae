import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { queryObjects } from 'node:v8';
import { keyValueMessages } from '@kahuna/wire';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Type } from '../key-calls.ts';
import { NO_TRANSACTION, readStamp } from '../key-methods.ts';
import { stampAt } from '../stamps.ts';
import { type Connection, type RangeRequest, TransportFailure } from '../transport.ts';
import { restTransport } from './rest-transport.ts';

const FLOOR = { type: Type.TYPE_GOT, effectiveFloor: { n: 0, l: 0, c: 0 }, liveHolds: 0 };
const RANGE: RangeRequest = {
  ...NO_TRANSACTION,
  Prefix: 'p',
  StartInclusive: true,
  EndInclusive: false,
  Limit: 10,
  Durability: keyValueMessages.GrpcKeyValueDurability.PERSISTENT,
  SnapshotAtLeader: false,
  ...readStamp(stampAt(undefined)),
};

let respond: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => respond(request, response));
let endpoint: string;

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  respond = (request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json').end(JSON.stringify(FLOOR));
  };
});

/** The answer, or why there is none. */
function floor(connection: Connection, timeoutMs: number): Promise<unknown> {
  return new Promise(resolve =>
    connection.call('snapshotFloor', {}, timeoutMs, { answered: response => resolve(response), failed: resolve }),
  );
}

test.each([5e9, Number.POSITIVE_INFINITY])('a call may have more time than a timer can take: %d ms', async timeoutMs => {
  const connection = restTransport().connect(endpoint, undefined);
  expect(await floor(connection, timeoutMs)).toMatchObject({ Type: Type.TYPE_GOT });
  connection.close();
});

test('a call whose time is over is a call without an answer, and no fault of the contract', async () => {
  const connection = restTransport().connect(endpoint, undefined);
  const failure = await floor(connection, -3);
  expect(failure).toBeInstanceOf(TransportFailure);
  expect(failure).toMatchObject({ fault: 'endpoint' });
  connection.close();
});

test('an answer that does not come in time is a failure of the endpoint, after which the request may have been executed', async () => {
  respond = request => request.resume();
  const connection = restTransport().connect(endpoint, undefined);
  expect(await floor(connection, 30)).toMatchObject({ fault: 'endpoint', sent: true });
  connection.close();
});

test('a closed connection ends what is under way, and begins nothing', async () => {
  const asked = new Promise<void>(resolve => {
    respond = () => resolve();
  });
  const connection = restTransport().connect(endpoint, undefined);
  const answer = floor(connection, 30_000);
  await asked;
  connection.close();
  expect(await answer).toMatchObject({ fault: 'endpoint', sent: true });
  expect(await floor(connection, 30_000)).toMatchObject({ fault: 'endpoint', sent: false });
});

test('a walk ends with the reason of its signal, though a page is still on its way', async () => {
  const controller = new AbortController();
  const reason = new Error('seen enough');
  respond = () => controller.abort(reason);
  const connection = restTransport().connect(endpoint, undefined);
  const walk = (async () => {
    for await (const _page of connection.pages(RANGE, controller.signal)) expect.unreachable();
  })();
  await expect(walk).rejects.toBe(reason);
  connection.close();
});

test('requests that are over leave nothing behind', async () => {
  const signals = (): number => queryObjects(AbortSignal, { format: 'count' }) as unknown as number;
  const connection = restTransport().connect(endpoint, undefined);
  await floor(connection, 30_000);
  const before = signals();
  for (let i = 0; i < 60; i++) await floor(connection, 30_000);
  // What is collected in one round may hold up something until the next.
  await expect.poll(() => signals() - before, { interval: 50, timeout: 3000 }).toBeLessThan(20);
  connection.close();
});
