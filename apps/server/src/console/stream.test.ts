import type { AddressInfo } from 'node:net';
import { ManualClock } from '@kahuna/base';
import { applyFrame, EMPTY_FEED, type FeedState } from '@kahuna/console/feed-reducer';
import type {
  AppendFrame,
  ClientMessage,
  DataFrame,
  DeltaFrame,
  PartitionRow,
  ServerFrame,
  SnapFrame,
  TopicParams,
  WelcomeFrame,
} from '@kahuna/console/protocol';
import { SUBPROTOCOL } from '@kahuna/console/protocol';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { ConsoleHub } from './hub.ts';
import { registerConsoleStream } from './index.ts';
import { ScriptedCluster } from './scripted-node.ts';

/** Real sockets on loopback, a scripted node behind them; waits are for messages, never for time. */
let app: FastifyInstance;
let clock: ManualClock;
let cluster: ScriptedCluster;
let port: number;
const open: Browser[] = [];

beforeEach(async () => {
  clock = new ManualClock();
  // The hub's heartbeat is real; what it reads as time follows the real one too, plus what a test adds.
  const started = performance.now();
  const running = {
    monotonicMs: () => clock.monotonicMs() + performance.now() - started,
    wallMs: () => clock.wallMs() + performance.now() - started,
  };
  cluster = new ScriptedCluster(running, 3, 4);
  app = fastify();
  registerConsoleStream(app, cluster.node(1), {
    title: 'test',
    allowedOrigins: ['https://ops.example'],
    level: 'admin',
    clock: running,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  port = (app.server.address() as AddressInfo).port;
});

afterEach(async () => {
  for (const browser of open.splice(0)) browser.end();
  await app.close();
});

/** A browser in miniature: collects frames and lets a test wait for the one it needs. */
class Browser {
  readonly frames: ServerFrame[] = [];
  readonly socket: WebSocket;
  closeCode: number | undefined;
  private wake: () => void = () => undefined;

  constructor(headers: Record<string, string> = {}, protocols: string[] = [SUBPROTOCOL]) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/v1/console/stream`, protocols, { headers });
    this.socket.on('message', data => {
      this.frames.push(JSON.parse(data.toString()) as ServerFrame);
      this.wake();
    });
    this.socket.on('close', code => {
      this.closeCode = code;
      this.wake();
    });
    open.push(this);
  }

  async opened(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.socket.once('open', () => resolve());
      this.socket.once('error', reject);
    });
    return this;
  }

  send(message: ClientMessage | Record<string, unknown>): void {
    this.socket.send(JSON.stringify(message));
  }

  hello(): this {
    this.send({ t: 'hello', protocol: 1, client: 'test', clockMs: 1 });
    return this;
  }

  async until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.closeCode !== undefined) throw new Error(`closed with ${this.closeCode} while waiting`);
      await new Promise<void>(resolve => {
        this.wake = resolve;
      });
    }
  }

  async closed(): Promise<number> {
    while (this.closeCode === undefined) {
      await new Promise<void>(resolve => {
        this.wake = resolve;
      });
    }
    return this.closeCode;
  }

  frame<T extends ServerFrame>(match: (frame: ServerFrame) => boolean): Promise<T> {
    return this.until(() => this.frames.find(match) as T | undefined);
  }

  data(id: number): DataFrame[] {
    return this.frames.filter((f): f is DataFrame => (f.t === 'snap' || f.t === 'delta' || f.t === 'append') && f.id === id);
  }

  snap(id: number): Promise<SnapFrame> {
    return this.frame(f => f.t === 'snap' && f.id === id);
  }

  /** What the browser reducer makes of everything received for `id`. */
  state(id: number): FeedState {
    return this.data(id).reduce((state, frame) => applyFrame(state, frame).state, EMPTY_FEED);
  }

  partition(id: number, key: string): PartitionRow | undefined {
    return this.state(id).rows.get(key) as PartitionRow | undefined;
  }

  end(): void {
    this.socket.terminate();
  }
}

async function browser(): Promise<Browser> {
  const it = await new Browser().opened();
  it.hello();
  return it;
}

/** The HTTP status with which an upgrade is refused. */
function refusal(headers: Record<string, string>, protocols: string[]): Promise<number> {
  const it = new Browser(headers, protocols);
  return new Promise(resolve => {
    it.socket.on('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    it.socket.on('open', () => resolve(101));
    it.socket.on('error', () => undefined);
  });
}

describe('admission', () => {
  test('Access: a foreign Origin is refused, our own and a listed one are let in', async () => {
    expect(await refusal({ origin: 'https://evil.example' }, [SUBPROTOCOL])).toBe(403);
    expect(await refusal({ origin: `http://127.0.0.1:${port}` }, [SUBPROTOCOL])).toBe(101);
    expect(await refusal({ origin: 'https://ops.example' }, [SUBPROTOCOL])).toBe(101);
    expect(await refusal({ origin: `https://127.0.0.1:${port}` }, [SUBPROTOCOL])).toBe(403);
  });

  test('no common protocol: 426, for a socket and for a plain request', async () => {
    expect(await refusal({}, [])).toBe(426);
    expect(await refusal({}, ['kahuna.console.v9'])).toBe(426);
    const plain = await app.inject({ url: '/v1/console/stream' });
    expect(plain.statusCode).toBe(426);
  });

  test('ours is chosen beside a bearer entry, whatever stands first', async () => {
    const it = await new Browser({}, ['bearer.abc', SUBPROTOCOL]).opened();
    expect(it.socket.protocol).toBe(SUBPROTOCOL);
  });

  test('the 65th connection is told to come back later', async () => {
    await Promise.all(Array.from({ length: 64 }, () => new Browser().opened()));
    expect(await refusal({}, [SUBPROTOCOL])).toBe(503);
  });
});

describe('conversation', () => {
  test('hello is answered with who serves, who else there is, and the limits', async () => {
    const it = await browser();
    const welcome = await it.frame<WelcomeFrame>(f => f.t === 'welcome');
    expect(welcome).toMatchObject({ protocol: 1, clusterName: 'test', node: { nodeId: 1, name: 'node-1' }, tickMs: 2000 });
    expect(welcome.peers.map(p => p.name)).toEqual(['node-2', 'node-3']);
    expect(welcome.limits).toMatchObject({ subscriptions: 32, unackedFrames: 4, frameBytes: 262144 });
  });

  test.each([
    ['something before hello', (it: Browser) => it.send({ t: 'ping', n: 1, clockMs: 1 }), 4400],
    ['what is not JSON', (it: Browser) => it.socket.send('{'), 4400],
    ['a binary frame', (it: Browser) => it.socket.send(Buffer.from([1, 2])), 4400],
    ['another protocol version', (it: Browser) => it.send({ t: 'hello', protocol: 2, client: 'x', clockMs: 1 }), 4409],
    ['a frame over 64 KiB', (it: Browser) => it.socket.send(JSON.stringify({ t: 'hello', client: 'x'.repeat(70_000) })), 4413],
  ])('%s ends the connection', async (_what, send, code) => {
    const it = await new Browser().opened();
    send(it);
    expect(await it.closed()).toBe(code);
  });

  test('errors name their code and leave the connection alone', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'nonsense' });
    it.send({ t: 'sub', id: 2, topic: 'nodes', params: { colour: 'red' } });
    it.send({ t: 'sub', id: 3, topic: 'partition', params: { partitionId: 'x' } });
    it.send({ t: 'sub', id: 4, topic: 'series', params: { step: 7 } });
    it.send({ t: 'dance', id: 5 });
    const codes = await it.until(() => {
      const errors = it.frames.filter(f => f.t === 'error');
      return errors.length === 5 ? errors.map(e => `${e.id} ${e.code}`) : undefined;
    });
    expect(codes).toEqual(['1 unknown-topic', '2 bad-params', '3 bad-params', '4 bad-params', '5 bad-message']);
  });

  test('the 33rd subscription is refused', async () => {
    const it = await browser();
    for (let id = 1; id <= 33; id++) it.send({ t: 'sub', id, topic: 'overview' });
    expect(await it.frame(f => f.t === 'error')).toMatchObject({ id: 33, code: 'too-many-subscriptions', retry: true });
  });

  test('pong carries both clocks', async () => {
    const it = await browser();
    it.send({ t: 'ping', n: 41, clockMs: 123 });
    expect(await it.frame(f => f.t === 'pong')).toMatchObject({ n: 41, clockMs: 123, serverTimeMs: expect.any(Number) });
  });

  test('the node says goodbye before it goes', async () => {
    const it = await browser();
    await it.frame(f => f.t === 'welcome');
    await app.close();
    expect(await it.closed()).toBe(1001);
    expect(it.frames.find(f => f.t === 'bye')).toMatchObject({ code: 'shutting-down', message: 'node-1 is stopping' });
  });
});

describe('topics', () => {
  test('every topic of this release answers with a snapshot', async () => {
    const it = await browser();
    const topics = ['overview', 'problems', 'nodes', 'reach', 'partitions', 'spaces', 'events', 'series'];
    topics.forEach((topic, i) => {
      it.send({ t: 'sub', id: i, topic });
    });
    it.send({ t: 'sub', id: 8, topic: 'partition', params: { partitionId: 4 } });
    for (let id = 0; id <= 8; id++) {
      const snap = await it.snap(id);
      it.send({ t: 'ack', id, seq: snap.seq });
    }
    expect((await it.snap(2)).rows.map(r => r.k)).toEqual(['1', '2', '3']);
    expect((await it.snap(4)).rows).toHaveLength(6);
    expect((await it.snap(5)).rows).toEqual([]);
    await it.snap(8);
    expect(it.partition(8, '4')?.partitionId).toBe(4);
  });

  test('a leader change arrives as a delta of the changed members only', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'partitions' });
    const snap = await it.snap(1);
    it.send({ t: 'ack', id: 1, seq: snap.seq });
    await it.until(() => it.partition(1, '4')?.replicas[0]?.lag ?? undefined);
    cluster.elect(4, 1);
    const row = await it.until(() => {
      const now = it.partition(1, '4');
      return now?.leader?.nodeId === 1 ? now : undefined;
    });
    expect(row).toMatchObject({ partitionId: 4, term: '2' });
    const delta = it.data(1).findLast((f): f is DeltaFrame => f.t === 'delta' && f.set !== undefined);
    expect(Object.keys(delta?.set?.find(s => s.k === '4')?.v ?? {})).not.toContain('kind');
  });

  test('filters: only rows with an allowed value', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'partitions', params: { filter: { kind: ['system', 'meta'] } } });
    expect((await it.snap(1)).rows.map(r => r.k)).toEqual(['0', '1']);
    it.send({ t: 'param', id: 1, params: { filter: { kind: ['hash'] } } });
    const second = await it.frame<SnapFrame>(f => f.t === 'snap' && f.reason === 'params');
    expect(second.rows.map(r => r.k)).toEqual(['2', '3', '4', '5']);
  });

  test('events are appended with their own sequence', async () => {
    cluster.emit('started', 'info', 'node/1', 'node-1 started');
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'events' });
    const snap = await it.snap(1);
    expect(snap.rows).toHaveLength(1);
    it.send({ t: 'ack', id: 1, seq: snap.seq });
    cluster.elect(4, 1);
    const append = await it.frame<AppendFrame>(f => f.t === 'append');
    expect(append).toMatchObject({ prev: '1', seq: '2', missed: 0 });
    expect(append.items[0]).toMatchObject({ kind: 'leader-changed', subject: 'partition/4', source: 1 });
  });

  test('C3: a source that goes quiet is stale in a tick within four seconds, and its rows stay', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'nodes' });
    await it.snap(1);
    await it.frame(f => f.t === 'tick' && f.sources.find(s => s.nodeId === 3)?.state === 'live');
    cluster.member(3).silent = true;
    clock.advance(3_500);
    const tick = await it.frame(f => f.t === 'tick' && f.sources.find(s => s.nodeId === 3)?.state === 'stale');
    expect(tick.t === 'tick' && tick.sources.find(s => s.nodeId === 3)?.ageMs).toBeGreaterThan(3_000);
    expect(it.state(1).rows.size).toBe(3);
  });

  test('a snapshot over 256 KiB comes in parts, all before the first delta', async () => {
    await app.close();
    const big = new ScriptedCluster(clock, 3, 1500);
    app = fastify();
    registerConsoleStream(app, big.node(1), { allowedOrigins: [], level: 'admin', clock });
    await app.listen({ port: 0, host: '127.0.0.1' });
    port = (app.server.address() as AddressInfo).port;
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'partitions' });
    await it.until(() => (it.state(1).phase === 'ready' ? true : undefined));
    const parts = it.data(1).filter((f): f is SnapFrame => f.t === 'snap');
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.every(p => JSON.stringify(p).length <= 256 * 1024)).toBe(true);
    expect(it.state(1).rows.size).toBe(1502);
  });
});

describe('resume', () => {
  test('Protocol: after a short cut only deltas; after a minute a snapshot; another stream is never mixed in', async () => {
    const first = await browser();
    first.send({ t: 'sub', id: 1, topic: 'problems' });
    const snap = await first.snap(1);
    first.end();
    cluster.partition(5).checksumOk = false;
    const second = await browser();
    second.send({ t: 'sub', id: 1, topic: 'problems', resume: { stream: snap.stream, seq: snap.seq } });
    const frame = await second.until(() => second.data(1)[0]);
    expect(frame).toMatchObject({ t: 'delta', prev: snap.seq });
    second.end();
    cluster.partition(5).checksumOk = true;
    const third = await browser();
    third.send({ t: 'sub', id: 1, topic: 'problems', resume: { stream: snap.stream, seq: snap.seq } });
    const last = await third.until(() => third.data(1)[0]);
    third.end();
    clock.advance(61_000);
    const late = await browser();
    late.send({ t: 'sub', id: 1, topic: 'problems', resume: { stream: snap.stream, seq: (last as DeltaFrame).prev } });
    expect(['gap', 'moved']).toContain((await late.snap(1)).reason);
    const moved = await browser();
    moved.send({ t: 'sub', id: 1, topic: 'problems', resume: { stream: 'p-elsewhere', seq: '1' } });
    expect((await moved.snap(1)).reason).toBe('moved');
  });

  test('resync is answered with a snapshot', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'nodes' });
    await it.snap(1);
    it.send({ t: 'resync', id: 1, reason: 'gap' });
    expect((await it.frame<SnapFrame>(f => f.t === 'snap' && f.reason === 'resync')).rows).toHaveLength(3);
  });
});

describe('cost and pressure', () => {
  test('a browser that acknowledges nothing gets four frames, then current rows once it does', async () => {
    const it = await browser();
    it.send({ t: 'sub', id: 1, topic: 'partitions' });
    const other = await browser();
    other.send({ t: 'sub', id: 1, topic: 'events' });
    await it.snap(1);
    for (let i = 0; i < 12; i++) {
      const seen = other.data(1).length;
      cluster.elect(4, (i % 3) + 1);
      await other.until(() => (other.data(1).length > seen ? true : undefined));
      const newest = other.data(1).at(-1);
      if (newest !== undefined) other.send({ t: 'ack', id: 1, seq: newest.seq });
    }
    expect(it.data(1).length).toBeLessThanOrEqual(4);
    for (;;) {
      it.send({ t: 'ack', id: 1, seq: it.data(1).at(-1)?.seq ?? '0' });
      const count = it.data(1).length;
      await it.until(() => (it.data(1).length > count || it.partition(1, '4')?.term === '13' ? true : undefined));
      if (it.partition(1, '4')?.term === '13') break;
    }
    expect(it.state(1).phase).toBe('ready');
  });

  test('C9: peers are asked only while somebody subscribes, and nothing runs when nobody is there', () => {
    const manual = new ManualClock();
    const idle = new ScriptedCluster(manual, 3, 4);
    let tick: (() => void) | undefined;
    const hub = new ConsoleHub(idle.node(1), { allowedOrigins: [], level: 'admin', clock: manual }, (_ms, task) => {
      tick = task;
      return () => {
        tick = undefined;
      };
    });
    expect(hub.cost()).toEqual({ timers: 0, feeds: 0, gathering: false });
    const session = hub.connect({ send: () => undefined, close: () => undefined, bufferedAmount: 0 });
    session.receive('{"t":"hello","protocol":1,"client":"t","clockMs":1}', 0);
    expect(idle.gathering).toBe(0);
    session.receive('{"t":"sub","id":1,"topic":"nodes"}', 0);
    expect(idle.gathering).toBe(1);
    hub.disconnect(session);
    const pass = (ms: number) => {
      for (let i = 0; i < ms; i += 100) {
        manual.advance(100);
        tick?.();
      }
    };
    pass(29_000);
    expect(idle.gathering).toBe(1);
    pass(2_000);
    expect(idle.gathering).toBe(0);
    pass(31_000);
    expect(tick).toBeUndefined();
    expect(hub.cost()).toEqual({ timers: 0, feeds: 0, gathering: false });
  });

  test('Too slow: nothing acknowledged for 15 s while frames wait closes with 4408', () => {
    const manual = new ManualClock();
    const busy = new ScriptedCluster(manual, 3, 4);
    let tick: (() => void) | undefined;
    const hub = new ConsoleHub(busy.node(1), { allowedOrigins: [], level: 'admin', clock: manual }, (_ms, task) => {
      tick = task;
      return () => undefined;
    });
    let closed = 0;
    let sent = 0;
    const socket = {
      send: () => {
        sent++;
      },
      close: (code: number) => {
        closed = code;
      },
      bufferedAmount: 0,
    };
    const session = hub.connect(socket);
    session.receive('{"t":"hello","protocol":1,"client":"t","clockMs":1}', 0);
    session.receive('{"t":"sub","id":1,"topic":"partitions"}', 0);
    for (let i = 0; i < 200 && closed === 0; i++) {
      busy.elect(4, (i % 3) + 1);
      manual.advance(100);
      tick?.();
    }
    expect(closed).toBe(4408);
    expect(sent).toBeLessThan(20);
  });

  test('equal subscriptions share one serialised frame', () => {
    const manual = new ManualClock();
    const shared = new ScriptedCluster(manual, 3, 4);
    const hub = new ConsoleHub(shared.node(1), { allowedOrigins: [], level: 'admin', clock: manual }, () => () => undefined);
    const a = hub.open('partitions', {});
    const b = hub.open('partitions', {});
    expect(a).toBe(b);
    if ('error' in a) throw new Error(a.message);
    expect(a.snapshot('new').bodies).toBe(a.snapshot('new').bodies);
  });
});

describe('request and answer', () => {
  test('older events page backwards', async () => {
    for (let i = 0; i < 5; i++) cluster.emit('note', 'info', 'node/1', `event ${i + 1}`);
    const page = (await app.inject({ url: '/v1/console/events?before=5&count=2' })).json<{
      items: { seq: string }[];
      more: boolean;
    }>();
    expect(page.items.map(i => i.seq)).toEqual(['3', '4']);
    expect(page.more).toBe(true);
    expect((await app.inject({ url: '/v1/console/events?count=0' })).statusCode).toBe(400);
    expect((await app.inject({ url: '/v1/console/events?before=x' })).statusCode).toBe(400);
  });

  test('diagnosis holds the view and no key', async () => {
    const document = (await app.inject({ url: '/v1/console/diagnosis' })).json<Record<string, unknown>>();
    expect(Object.keys(document)).toEqual(expect.arrayContaining(['overview', 'problems', 'roster', 'view', 'events']));
  });

  test('locate tells partition and leader of a key', async () => {
    const answer = (await app.inject({ url: '/v1/console/locate?key=orders%2F1' })).json<Record<string, unknown>>();
    expect(answer).toMatchObject({
      keySpace: 'orders',
      routing: 'Hash',
      partitionId: expect.any(Number),
      leaderNodeId: expect.any(Number),
    });
    expect((await app.inject({ url: '/v1/console/locate' })).statusCode).toBe(400);
  });
});

describe('topics that are read on demand', () => {
  const hub = (level: 'viewer' | 'reader'): ConsoleHub => {
    const manual = new ManualClock();
    const quiet = new ScriptedCluster(manual, 1, 1);
    return new ConsoleHub(quiet.node(1), { allowedOrigins: [], level, clock: manual }, () => () => undefined);
  };

  test.each([
    ['tree', { prefix: '' }],
    ['keys', { prefix: 'a' }],
    ['key', { key: 'a/b' }],
  ])('§11 %s is refused at viewer level', (topic, params) => {
    expect(hub('viewer').open(topic, params)).toMatchObject({ error: 'forbidden' });
    expect(hub('reader').open(topic, params)).not.toHaveProperty('error');
  });

  test.each([
    ['keys', {}],
    ['keys', { prefix: 'a', count: 501 }],
    ['keys', { prefix: 'a', asOfMs: -1 }],
    ['key', { key: 7 }],
    ['lock', { durability: 'persistent' }],
    ['lock', { resource: 'a', durability: 'forever' }],
    ['sequence', { resource: 'a' }],
  ])('bad parameters of %s are refused: %j', (topic, params) => {
    expect(hub('reader').open(topic, params as TopicParams)).toMatchObject({ error: 'bad-params' });
  });

  test('C1 a feed without an answer yet sends nothing, and a node that serves nothing is told as a problem', async () => {
    const feed = hub('reader').open('key', { key: 'a/b', durability: 'persistent' });
    if ('error' in feed) throw new Error(feed.message);
    expect(feed.ready).toBe(false);
    await new Promise(resolve => setImmediate(resolve));
    expect(feed.ready).toBe(true);
    expect(feed.snapshot('new').bodies[0]).toContain('a scripted node serves no operations');
  });
});
