import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { KahunaNode, Watch, WatchEnd, WatchEvent } from '@kahuna/node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { type EmbeddedNode, startEmbeddedNode } from '../embedded.ts';
import { Unread } from '../gateway/unread.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { TEST_CERTIFICATE_FILE } from '../testing/certificate.ts';
import { CloseCode, MAX_CLIENT_MESSAGE_BYTES, MAX_WATCHES, SOCKET_BYTES, type Socket, WatchSession } from './watch-session.ts';

/** The WebSocket of a real node; waits are for messages, never for time. */

interface Message {
  readonly t: string;
  readonly id?: number;
  readonly events?: readonly Record<string, unknown>[];
  readonly position?: string;
  readonly code?: string;
  readonly message?: string;
}

let node: EmbeddedNode;
beforeAll(async () => {
  node = await startEmbeddedNode();
});
afterAll(() => node?.stop());

const open: WebSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.terminate();
});

class Browser {
  readonly messages: Message[] = [];
  readonly socket: WebSocket;
  closed: { readonly code: number; readonly reason: string } | undefined;
  private wake: () => void = () => undefined;

  constructor(url = node.url, headers: Record<string, string> = {}, protocols: string[] = []) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/v1/watch`, protocols, { headers });
    this.socket.on('message', data => {
      this.messages.push(JSON.parse(String(data)) as Message);
      this.wake();
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) };
      this.wake();
    });
    open.push(this.socket);
  }

  async opened(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.socket.once('open', () => resolve());
      this.socket.once('error', reject);
    });
    return this;
  }

  /** The HTTP status of a handshake that is refused. */
  refused(): Promise<number> {
    return new Promise(resolve => {
      this.socket.on('error', () => undefined);
      this.socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    });
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.closed !== undefined) throw new Error(`closed: ${JSON.stringify(this.closed)}`);
      await this.next();
    }
  }

  private next(): Promise<void> {
    return new Promise(resolve => {
      this.wake = resolve;
    });
  }

  async end(): Promise<{ readonly code: number; readonly reason: string }> {
    while (this.closed === undefined) await this.next();
    return this.closed;
  }

  events(id: number): Record<string, unknown>[] {
    return this.messages.filter(message => message.id === id).flatMap(({ events }) => events ?? []);
  }

  position(id: number): Promise<string> {
    return this.until(() => this.messages.findLast(message => message.id === id && message.position !== undefined)?.position);
  }

  told(id: number, count: number): Promise<Record<string, unknown>[]> {
    return this.until(() => (this.events(id).length >= count ? this.events(id) : undefined));
  }

  ended(id: number): Promise<Message> {
    return this.until(() => this.messages.find(message => message.t === 'end' && message.id === id));
  }
}

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(node.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return (await response.json()) as Record<string, unknown>;
}

const set = (key: string, text: string, more: object = {}) =>
  post('/v1/kv/try-set', { key, value: Buffer.from(text).toString('base64'), durability: 1, ...more });
const short = ({ kind, key, revision, value }: Record<string, unknown>): string =>
  `${kind} ${key} ${revision} ${value === null ? '' : Buffer.from(String(value), 'base64')}`.trim();

describe('watches of a socket', () => {
  test('a key, a bucket, a prefix and a range are told what happens behind the beginning, in order', async () => {
    await set('four/a', 'before');
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, key: 'four/a' });
    browser.send({ t: 'watch', id: 2, bucket: 'four' });
    browser.send({ t: 'watch', id: 3, prefix: 'four/' });
    browser.send({ t: 'watch', id: 4, range: { bucket: 'four', start: 'four/a', end: 'four/b' } });
    for (const id of [1, 2, 3, 4]) await browser.position(id);
    await set('four/a', 'first');
    await set('five/a', 'of another bucket');
    await post('/v1/kv/try-extend', { key: 'four/a', expiresMs: 60_000, durability: 1 });
    await post('/v1/kv/try-delete', { key: 'four/a', durability: 1 });
    for (const id of [1, 2, 3, 4]) {
      const events = await browser.told(id, 3);
      expect(events.map(short)).toEqual(['set four/a 1 first', 'extend four/a 1', 'delete four/a 1']);
    }
    expect(browser.events(1)[1]).toEqual({
      kind: 'extend',
      key: 'four/a',
      value: null,
      revision: '1',
      expires: { n: expect.any(Number), l: expect.any(Number), c: expect.any(Number) },
      stamp: { n: expect.any(Number), l: expect.any(Number), c: expect.any(Number) },
      partition: expect.any(Number),
      initial: false,
      valueGone: false,
    });
  });

  test('another socket goes on behind a position, and without a watch nothing is told', async () => {
    const first = await new Browser().opened();
    first.send({ t: 'watch', id: 1, bucket: 'resume', progressMs: 100 });
    const begun = await first.position(1);
    for (let i = 0; i < 20; i++) await set(`resume/${i % 3}`, String(i));
    await first.told(1, 20);
    first.send({ t: 'unwatch', id: 1 });
    await set('resume/0', 'last');

    const second = await new Browser().opened();
    second.send({ t: 'watch', id: 7, bucket: 'resume', position: begun });
    expect((await second.told(7, 21)).map(short)).toEqual([...first.events(1).map(short), 'set resume/0 7 last']);
    expect(first.events(1)).toHaveLength(20);
    second.send({ t: 'watch', id: 8, bucket: 'other', position: begun });
    expect(await second.ended(8)).toMatchObject({ code: 'INVALID_ARGUMENT', message: 'a position of another watch' });
  });

  test('present state comes first where it is asked for, a key from a revision on, and positions without any change', async () => {
    for (const value of ['0', '1', '2']) await set('state/a', value);
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, bucket: 'state', initial: true });
    browser.send({ t: 'watch', id: 2, key: 'state/a', fromRevision: '1' });
    browser.send({ t: 'watch', id: 3, key: 'state/silent', progressMs: 100 });
    expect(await browser.told(1, 1)).toMatchObject([{ kind: 'set', initial: true, revision: '2' }]);
    expect((await browser.told(2, 2)).map(short)).toEqual(['set state/a 1 1', 'set state/a 2 2']);
    await browser.until(() => browser.messages.filter(({ id, position }) => id === 3 && position !== undefined)[2]);
    expect(browser.events(3)).toEqual([]);
  });
});

describe('locks and sequences', () => {
  const lock = { resource: 'door', owner: 'AQ==', expiresMs: 60_000, durability: 1 };

  test('begin with what is there, then tell what happens, with every digit', async () => {
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, lock: 'door' });
    browser.send({ t: 'watch', id: 2, sequence: 'numbers' });
    for (const id of [1, 2]) await browser.position(id);
    await post('/v1/locks/try-lock', lock);
    await post('/v1/locks/try-unlock', lock);
    const hlc = { n: expect.any(Number), l: expect.any(Number), c: expect.any(Number) };
    const common = { resource: 'door', stamp: hlc, partition: expect.any(Number) };
    const held = { owner: 'AQ==', fencingToken: '0', expires: hlc };
    expect(await browser.told(1, 3)).toEqual([
      { kind: 'snapshot', ...common, held: false, owner: null, fencingToken: '-1', expires: null },
      { kind: 'acquired', ...common, ...held, held: true },
      { kind: 'released', ...common, ...held, held: false },
    ]);
    await post('/v1/sequences/create', { name: 'numbers', initialValue: '4611686018427387905', blockSize: 5 });
    expect(await browser.told(2, 2)).toEqual([
      { kind: 'snapshot', name: 'numbers', sequence: null, stamp: hlc, partition: expect.any(Number) },
      {
        kind: 'created',
        name: 'numbers',
        sequence: {
          currentValue: '4611686018427387905',
          initialValue: '4611686018427387905',
          increment: '1',
          maxValue: null,
          blockSize: 5,
          incarnation: '0',
          revision: '0',
          createdAt: hlc,
          updatedAt: hlc,
        },
        stamp: hlc,
        partition: expect.any(Number),
      },
    ]);
  });

  test('an ephemeral lock, and one behind a position', async () => {
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, lock: 'brief', durability: 'ephemeral' });
    const position = await browser.position(1);
    await post('/v1/locks/try-lock', { ...lock, resource: 'brief', durability: 0 });
    expect((await browser.told(1, 2)).map(({ kind }) => kind)).toEqual(['snapshot', 'acquired']);
    browser.send({ t: 'watch', id: 2, lock: 'brief', durability: 'ephemeral', position });
    expect(await browser.told(2, 1)).toMatchObject([{ kind: 'snapshot', held: true }]);
    browser.send({ t: 'watch', id: 3, lock: 'brief', fromRevision: 0 });
    expect(await browser.ended(3)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('what a client gets wrong', () => {
  test.each([
    ['no target', {}, 'A watch names one of key, bucket, prefix, range, lock and sequence.'],
    ['two targets', { key: 'a', bucket: 'b' }, 'A watch names one of key, bucket, prefix, range, lock and sequence.'],
    ['two beginnings', { key: 'a', initial: true, fromRevision: 0 }, 'A watch begins with one of'],
    ['a key that is no text', { key: 7 }, 'key must be a string.'],
    ['half a character', { key: '\ud800' }, 'key holds an unpaired surrogate.'],
    ['an empty key', { key: '' }, 'this cannot be watched'],
    ['a reserved key', { key: '__kahuna:x' }, 'this cannot be watched'],
    ['an ephemeral key', { key: 'a', durability: 0 }, 'of ephemeral things only locks can be watched'],
    ['a position that is none', { key: 'a', position: 'x y' }, 'not a position'],
    ['a revision of a bucket', { bucket: 'a', fromRevision: 3 }, 'this cannot be watched'],
    ['a time that no position can hold', { key: 'a', after: { n: 0, l: '9007199254740991', c: 0 } }, 'a number out of its range'],
    ['a revision of no number', { key: 'a', fromRevision: '9223372036854775808' }, 'fromRevision is out of range.'],
  ])('%s ends that watch, and the others go on', async (_what, watch, message) => {
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, key: 'goes-on', progressMs: 100 });
    await browser.position(1);
    browser.send({ t: 'watch', id: 2, ...watch });
    const end = await browser.ended(2);
    expect(end).toEqual({ t: 'end', id: 2, code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) });
    const before = browser.messages.length;
    await browser.until(() => browser.messages[before]);
    expect(browser.messages.filter(({ id }) => id === 2)).toEqual([end]);
  });

  test.each([
    ['{"t":"watch","key":"a"}', 'id must be a whole number of at most 31 bits.'],
    ['{"t":"watch","id":-1,"key":"a"}', 'id must be a whole number of at most 31 bits.'],
    ['{"t":"hello"}', 't must be "watch", "unwatch", "pause" or "resume".'],
    ['{"id":1}', 't must be "watch", "unwatch", "pause" or "resume".'],
    ['{"t":"watch","id":1e3,"key":"a","key":{}}', undefined],
  ])('%s is answered', async (text, message) => {
    const browser = await new Browser().opened();
    browser.send(text);
    const answer = await browser.until(() => browser.messages[0]);
    if (message === undefined) expect(answer).toMatchObject({ t: 'end', id: 1000 });
    else expect(answer).toEqual({ t: 'error', message });
  });

  test('an id twice is answered, and the watch that has it goes on', async () => {
    const browser = await new Browser().opened();
    browser.send({ t: 'watch', id: 1, key: 'twice' });
    browser.send({ t: 'watch', id: 1, key: 'twice-other' });
    expect(await browser.until(() => browser.messages.find(({ t }) => t === 'error'))).toMatchObject({
      message: 'id 1 is in use.',
    });
    await browser.position(1);
    await set('twice', 'x');
    expect((await browser.told(1, 1)).map(short)).toEqual(['set twice 0 x']);
  });

  test.each([
    ['not json', 'The message is not valid JSON.'],
    ['', 'The message is not valid JSON.'],
    ['[]', 'The message must be a JSON object.'],
    [`${'{"a":'.repeat(100)}1${'}'.repeat(100)}`, 'The message is nested too deeply.'],
  ])('%s closes with 4400 and the reason', async (text, reason) => {
    const browser = await new Browser().opened();
    browser.send(text);
    expect(await browser.end()).toEqual({ code: CloseCode.protocolError, reason });
  });

  test('binary closes with 4400, a large message with 4413', async () => {
    const binary = await new Browser().opened();
    binary.socket.send(Buffer.from('{}'));
    expect(await binary.end()).toMatchObject({ code: CloseCode.protocolError });
    const large = await new Browser().opened();
    large.send(`{"t":"${'x'.repeat(MAX_CLIENT_MESSAGE_BYTES)}"}`);
    expect(await large.end()).toMatchObject({ code: CloseCode.tooLarge });
  });

  test('one watch more than a socket may have is refused', async () => {
    const browser = await new Browser().opened();
    for (let id = 0; id <= MAX_WATCHES; id++) browser.send({ t: 'watch', id, key: 'many' });
    expect(await browser.ended(MAX_WATCHES)).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    browser.send({ t: 'unwatch', id: 0 });
    browser.send({ t: 'watch', id: MAX_WATCHES + 1, key: 'many' });
    await browser.position(MAX_WATCHES + 1);
  });
});

describe('handshake and end', () => {
  test('console §14: a foreign origin is refused, our own is let in', async () => {
    expect(await new Browser(node.url, { origin: 'https://evil.example' }).refused()).toBe(403);
    await new Browser(node.url, { origin: node.url }).opened();
  });

  test('our subprotocol is taken, others are not; without an upgrade there is nothing here', async () => {
    const browser = await new Browser(node.url, {}, ['kahuna.watch.v1']).opened();
    expect(browser.socket.protocol).toBe('kahuna.watch.v1');
    expect(await new Browser(node.url, {}, ['mqtt']).refused()).toBe(426);
    const plain = await fetch(`${node.url}/v1/watch`);
    expect(plain.status).toBe(426);
    expect(plain.headers.get('upgrade')).toBe('websocket');
  });

  test('the same with TLS, whose pages are https', async () => {
    const pem = readFileSync(TEST_CERTIFICATE_FILE, 'utf8');
    await using secure = await startEmbeddedNode({ certificate: { cert: pem, key: pem } });
    const url = `${secure.url.replace('https', 'wss')}/v1/watch`;
    const socket = new WebSocket(url, [], { ca: pem, headers: { origin: secure.url } });
    open.push(socket);
    const begun = new Promise(resolve => socket.on('message', data => resolve(JSON.parse(String(data)))));
    await once(socket, 'open');
    socket.send(JSON.stringify({ t: 'watch', id: 1, lock: 'secure' }));
    expect(await begun).toMatchObject({ t: 'events', id: 1, events: [{ kind: 'snapshot', held: false, fencingToken: '-1' }] });
  });

  test('a node that stops says so', async () => {
    await using other = await startEmbeddedNode();
    const browser = await new Browser(other.url).opened();
    browser.send({ t: 'watch', id: 1, key: 'a' });
    await browser.position(1);
    const stopped = other.stop();
    const message = await browser.ended(1).catch(() => undefined);
    if (message !== undefined) expect(message.code).toBe('UNAVAILABLE');
    expect([CloseCode.goingAway, 1006]).toContain((await browser.end()).code);
    await stopped;
  });
});

/** A socket that the test reads from. */
class SlowSocket implements Socket {
  readonly sent: string[] = [];
  readonly pending: (() => void)[] = [];
  bufferedAmount = 0;
  closed: number | undefined;

  send(text: string, written: (error?: Error) => void): void {
    this.sent.push(text);
    this.bufferedAmount += text.length;
    this.pending.push(() => {
      this.bufferedAmount -= text.length;
      written();
    });
  }

  close(code: number): void {
    this.closed = code;
  }
  terminate(): void {
    this.pending.length = 0;
  }

  read(): boolean {
    const next = this.pending.shift();
    next?.();
    return next !== undefined;
  }

  get unread(): number {
    return this.pending.length;
  }
}

const soon = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('a client that reads slowly', () => {
  test('is given no more than the socket takes, loses nothing, and does not hold up another one', async () => {
    const VALUE = 'x'.repeat(40_000);
    const COUNT = 60;
    const slow = new SlowSocket();
    const session = new WatchSession(node.node, slow, new Unread(systemClock));
    const watch = (id: number, key: string): void => session.receive(Buffer.from(JSON.stringify({ t: 'watch', id, key })));
    watch(1, 'slow');
    watch(2, 'small');
    while (slow.sent.length < 2) await soon();
    for (let i = 0; i < COUNT; i++) await set('slow', VALUE);
    await set('small', 'y');
    for (let turns = 0; turns < 20; turns++) await soon();
    // One message may go beyond the mark, and it holds 64 KiB of values or one more.
    expect(slow.bufferedAmount).toBeLessThan(SOCKET_BYTES + 200_000);
    while (slow.read()) if (slow.unread === 0) await soon();
    const messages = slow.sent.map(text => JSON.parse(text) as Message);
    const revisions = messages.filter(({ id }) => id === 1).flatMap(({ events }) => events ?? []);
    expect(revisions.map(({ revision }) => revision)).toEqual(Array.from({ length: COUNT }, (_, i) => String(i)));
    const small = messages.findIndex(({ id, events }) => id === 2 && events?.length === 1);
    expect(small).toBeGreaterThan(0);
    expect(messages.slice(small).some(({ id }) => id === 1)).toBe(true);
    session.close();
  });

  test('may pause a watch, which is then told nothing while others go on, and everything once it is resumed', async () => {
    const socket = new SlowSocket();
    const session = new WatchSession(node.node, socket, new Unread(systemClock));
    const say = (message: object): void => session.receive(Buffer.from(JSON.stringify(message)));
    const told = (id: number): unknown[] =>
      socket.sent.map(text => JSON.parse(text) as Message).flatMap(message => (message.id === id ? (message.events ?? []) : []));
    for (const id of [1, 2]) say({ t: 'watch', id, key: 'held' });
    while (socket.sent.length < 2) await soon();
    say({ t: 'pause', id: 1 });
    say({ t: 'pause', id: 99 });
    for (const value of ['a', 'b', 'c']) await set('held', value);
    while (told(2).length < 3) await soon();
    expect(told(1)).toEqual([]);
    say({ t: 'resume', id: 1 });
    while (told(1).length < 3) await soon();
    expect(told(1)).toEqual(told(2));
    session.close();
  });

  test('counts as gone once nothing moves: no bytes, no messages, no answer to a ping', async () => {
    const silent = new SlowSocket();
    const session = new WatchSession(node.node, silent, new Unread(systemClock));
    expect([session.takeMoved(), session.takeMoved()]).toEqual([true, false]);
    session.heard();
    expect([session.takeMoved(), session.takeMoved()]).toEqual([true, false]);
    session.receive(Buffer.from('{"t":"watch","id":1,"key":"silent"}'));
    expect([session.takeMoved(), session.takeMoved()]).toEqual([true, false]);
    while (!silent.read()) await soon();
    expect([session.takeMoved(), session.takeMoved()]).toEqual([true, false]);
    session.close();
  });

  test('and sends without reading the answers is closed with 4408', () => {
    const deaf = new SlowSocket();
    const session = new WatchSession(node.node, deaf, new Unread(systemClock));
    for (let i = 0; i < 100_000 && deaf.closed === undefined; i++) session.receive(Buffer.from('{"t":"?"}'));
    expect(deaf.closed).toBe(CloseCode.tooSlow);
  });
});

/** A node of which only the end of a watch matters. */
function endingWith(end: WatchEnd): KahunaNode {
  const watch: Watch = {
    take: (): readonly WatchEvent[] => [],
    position: () => new Map(),
    end,
    cluster: 'a-cluster',
    leaderUrl: end === 'not-leader' ? 'http://b:2070' : '',
    close: () => undefined,
  };
  return { watch: () => watch } as unknown as KahunaNode;
}

test.each([
  ['unavailable', { code: 'UNAVAILABLE' }],
  ['pruned', { code: 'HISTORY_PRUNED' }],
  ['another-cluster', { code: 'HISTORY_PRUNED' }],
  ['too-many-expiries', { code: 'RESOURCE_EXHAUSTED' }],
  ['overloaded', { code: 'UNAVAILABLE' }],
  ['not-leader', { code: 'NOT_LEADER', leader: 'http://b:2070' }],
] as const)('a watch that ends %s says why, and no position', (end, expected) => {
  const socket = new SlowSocket();
  new WatchSession(endingWith(end), socket, new Unread(systemClock)).receive(Buffer.from('{"t":"watch","id":5,"key":"a"}'));
  expect(socket.sent.map(text => JSON.parse(text) as Message)).toEqual([
    { t: 'end', id: 5, message: expect.any(String), ...expected },
  ]);
});
