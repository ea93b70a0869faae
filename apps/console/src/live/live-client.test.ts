import { beforeEach, describe, expect, test } from 'vitest';
import type { ClientMessage, ServerFrame } from '../protocol/messages.ts';
import { backoffMs } from './backoff.ts';
import type { Surroundings, Wire } from './connection.ts';
import { type ConnectionFacts, connectionState } from './connection-state.ts';
import { isGone } from './feed-store.ts';
import { LiveClient } from './live-client.ts';

/** A page whose time and network belong to the test. */
class FakePage implements Surroundings {
  now = 0;
  readonly wires: FakeWire[] = [];
  private tasks: { at: number; every: number | undefined; run: () => void }[] = [];

  open(): Wire {
    const wire = new FakeWire();
    this.wires.push(wire);
    return wire;
  }

  monotonicMs(): number {
    return this.now;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.now;
  }

  random(): number {
    return 0.5;
  }

  after(ms: number, run: () => void): () => void {
    return this.plan(ms, undefined, run);
  }

  every(ms: number, run: () => void): () => void {
    return this.plan(ms, ms, run);
  }

  private plan(ms: number, every: number | undefined, run: () => void): () => void {
    const task = { at: this.now + ms, every, run };
    this.tasks.push(task);
    return () => {
      this.tasks = this.tasks.filter(t => t !== task);
    };
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.tasks.filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.now = due.at;
      if (due.every === undefined) this.tasks = this.tasks.filter(t => t !== due);
      else due.at += due.every;
      due.run();
    }
    this.now = end;
  }

  get wire(): FakeWire {
    const wire = this.wires.at(-1);
    if (wire === undefined) throw new Error('nothing was opened');
    return wire;
  }
}

class FakeWire implements Wire {
  readonly sent: ClientMessage[] = [];
  closed = false;
  onopen: Wire['onopen'] = null;
  onmessage: Wire['onmessage'] = null;
  onclose: Wire['onclose'] = null;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientMessage);
  }

  close(): void {
    this.closed = true;
  }

  frame(frame: ServerFrame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  of<T extends ClientMessage['t']>(t: T): Extract<ClientMessage, { t: T }>[] {
    return this.sent.filter((m): m is Extract<ClientMessage, { t: T }> => m.t === t);
  }

  welcome(): void {
    this.onopen?.();
    this.frame({
      t: 'welcome',
      protocol: 1,
      session: 's',
      clusterId: 'c',
      clusterName: 'test',
      banner: null,
      serverVersion: '1',
      consoleVersion: '1',
      node: { nodeId: 1, name: 'node-1', endpoint: '' },
      peers: [{ nodeId: 2, name: 'node-2', consoleUrl: 'http://two/ui/' }],
      user: { name: 'anyone', level: 'viewer', auth: 'none' },
      serverTimeMs: 0,
      limits: { subscriptions: 32, windowRows: 500, allRows: 20000, frameBytes: 262144, unackedFrames: 4 },
      features: {},
      tickMs: 2000,
    });
  }

  tick(): void {
    this.frame({
      t: 'tick',
      serverTimeMs: 0,
      viewSeq: '1',
      coalescing: false,
      sources: [
        { nodeId: 1, ageMs: 0, state: 'self' },
        { nodeId: 2, ageMs: 100, state: 'live' },
      ],
    });
  }

  snap(id: number, seq = '1', value = 1): void {
    const rows = [{ k: '1', v: { value } }];
    this.frame({ t: 'snap', id, topic: 'nodes', stream: 'n-1', seq, part: 1, of: 1, total: 1, reason: 'new', rows });
  }

  set(id: number, prev: string, seq: string, value: number): void {
    this.frame({ t: 'delta', id, prev, seq, at: 0, set: [{ k: '1', v: { value } }] });
  }
}

let page: FakePage;
let client: LiveClient;
let flushes: (() => void)[];

beforeEach(() => {
  page = new FakePage();
  flushes = [];
  client = new LiveClient(page, { request: flush => flushes.push(flush) });
  client.connection.start();
});

function frame(): void {
  for (const flush of flushes.splice(0)) flush();
}

function live(): ReturnType<LiveClient['feed']> {
  const feed = client.feed('nodes');
  client.hold(feed);
  page.wire.welcome();
  page.wire.snap(1);
  frame();
  page.wire.tick();
  return feed;
}

describe('connection', () => {
  test('hello, then every feed that is held, then live with the first snapshot', () => {
    const feed = client.feed('nodes');
    client.hold(feed);
    expect(client.connection.status.state).toBe('connecting');
    page.wire.welcome();
    expect(page.wire.sent.map(m => m.t)).toEqual(['hello', 'sub', 'ping']);
    page.wire.snap(1);
    expect(client.connection.status.state).toBe('live');
    frame();
    expect(feed.row('1')).toEqual({ value: 1 });
    expect(page.wire.of('ack')).toEqual([{ t: 'ack', id: 1, seq: '1' }]);
  });

  test('Connection: a half-open socket is given up after seven seconds of silence', () => {
    live();
    page.pass(7_000);
    expect(client.connection.status.state).toBe('live');
    page.pass(1_000);
    expect(client.connection.status.state).toBe('reconnecting');
    expect(page.wires[0]?.closed).toBe(true);
  });

  test('after a cut the feed offers what it has and keeps showing it', () => {
    const feed = live();
    page.wire.onclose?.({ code: 1006, reason: '' });
    expect(feed.row('1')).toEqual({ value: 1 });
    page.pass(300);
    page.wire.welcome();
    expect(page.wire.of('sub')[0]?.resume).toEqual({ stream: 'n-1', seq: '1' });
    page.wire.set(1, '1', '2', 5);
    frame();
    expect(feed.row('1')).toEqual({ value: 5 });
    expect(client.connection.status.state).toBe('live');
  });

  test('three failed attempts and a known peer: the way to it is offered', () => {
    live();
    for (let i = 0; i < 3; i++) {
      page.wire.onclose?.({ code: 1006, reason: '' });
      page.pass(8_000);
    }
    expect(client.connection.status).toMatchObject({ state: 'leaving', peer: { name: 'node-2', url: 'http://two/ui/' } });
  });

  test('clock offset is the median of the last five answers', () => {
    live();
    for (const serverTimeMs of [100, 9_000, 110, 120, 105])
      page.wire.frame({ t: 'pong', n: 1, clockMs: page.wallMs(), serverTimeMs: page.wallMs() + serverTimeMs });
    expect(client.connection.offsetMs).toBe(110);
  });
});

describe('feeds', () => {
  test('a gap asks for one resync, whatever else arrives', () => {
    live();
    page.wire.set(1, '7', '8', 2);
    page.wire.set(1, '8', '9', 3);
    frame();
    expect(page.wire.of('resync')).toHaveLength(1);
  });

  test('frames are applied once per animation frame, and acknowledged once', () => {
    const feed = live();
    let drawn = 0;
    feed.onRow('1', () => drawn++);
    page.wire.set(1, '1', '2', 2);
    page.wire.set(1, '2', '3', 3);
    frame();
    expect([drawn, page.wire.of('ack').at(-1)?.seq]).toEqual([1, '3']);
  });

  const names = (feed: ReturnType<LiveClient['feed']>): string =>
    feed.rows.map((row, i) => `${feed.keys[i]}=${row['value']}${isGone(row) ? '!' : ''}`).join(' ');

  test('C5 rows are held: values go on in their places, and rows that come, go or move do so when nobody points at them', () => {
    const feed = live();
    page.wire.frame({
      t: 'delta',
      id: 1,
      prev: '1',
      seq: '2',
      at: 0,
      put: [
        { k: '2', v: { value: 2 } },
        { k: '3', v: { value: 3 } },
      ],
    });
    frame();
    const first = client.holdRows();
    const second = client.holdRows();
    page.wire.frame({
      t: 'delta',
      id: 1,
      prev: '2',
      seq: '3',
      at: 0,
      del: ['2'],
      put: [{ k: '0', v: { value: 0 } }],
      set: [{ k: '3', v: { value: 33 } }],
      order: ['0', '3', '1'],
    });
    frame();
    expect(names(feed)).toBe('1=1 2=2! 3=33');
    expect([client.waitingRows, client.waiting]).toEqual([2, 0]);
    expect(page.wire.of('ack').at(-1)?.seq).toBe('3');
    // Whoever follows one row, an operation for instance, sees it.
    expect(feed.row('0')).toEqual({ value: 0 });
    first();
    first();
    expect(names(feed)).toBe('1=1 2=2! 3=33');
    second();
    expect(names(feed)).toBe('0=0 3=33 1=1');
    expect(client.waitingRows).toBe(0);
    page.wire.frame({ t: 'delta', id: 1, prev: '3', seq: '4', at: 0, del: ['0'] });
    frame();
    expect(names(feed)).toBe('3=33 1=1');
  });

  test('rows that waited while the page was frozen too are shown when it thaws', () => {
    const feed = live();
    const release = client.holdRows();
    page.wire.frame({ t: 'delta', id: 1, prev: '1', seq: '2', at: 0, put: [{ k: '0', v: { value: 0 } }], order: ['0', '1'] });
    frame();
    client.setFrozen(true);
    release();
    expect(names(feed)).toBe('1=1');
    client.setFrozen(false);
    expect(names(feed)).toBe('0=0 1=1');
  });

  test('the first rows of a list, and topics that are no list, are not held', () => {
    const release = client.holdRows();
    const feed = live();
    expect(names(feed)).toBe('1=1');
    const series = client.feed('series');
    client.hold(series);
    page.wire.snap(2);
    frame();
    page.wire.frame({ t: 'append', id: 2, prev: '1', seq: '2', items: [{ seq: '2', value: 2 }], missed: 0 });
    frame();
    expect(series.keys).toEqual(['1', '2']);
    release();
  });

  test('frozen: nothing shown moves, frames are still acknowledged, and thawing shows everything at once', () => {
    const feed = live();
    client.setFrozen(true);
    page.wire.set(1, '1', '2', 2);
    frame();
    expect([feed.row('1'), client.waiting, page.wire.of('ack').at(-1)?.seq]).toEqual([{ value: 1 }, 1, '2']);
    client.setFrozen(false);
    expect([feed.row('1'), client.waiting]).toEqual([{ value: 2 }, 0]);
  });

  test('held as long as text is selected; a freeze of the user outlasts it, and its end ends both', () => {
    const feed = live();
    client.setHeld(true);
    page.wire.set(1, '1', '2', 2);
    frame();
    expect([client.frozen, feed.row('1')]).toEqual([true, { value: 1 }]);
    client.setHeld(false);
    expect([client.frozen, feed.row('1')]).toEqual([false, { value: 2 }]);
    client.setFrozen(true);
    client.setHeld(true);
    client.setHeld(false);
    expect(client.frozen).toBe(true);
    client.setHeld(true);
    client.setFrozen(false);
    expect(client.frozen).toBe(false);
  });

  test("what changed behind a freeze is marked for five seconds; a mark of one's own stays", () => {
    const feed = live();
    client.setFrozen(true);
    page.wire.set(1, '1', '2', 2);
    frame();
    client.setFrozen(false);
    expect([feed.marked?.get('1'), feed.row('1')]).toEqual([{ value: 1 }, { value: 2 }]);
    page.pass(5_100);
    expect([feed.marked, client.markedAtMs]).toEqual([undefined, undefined]);
    client.mark();
    client.setFrozen(true);
    page.wire.set(1, '2', '3', 3);
    frame();
    client.setFrozen(false);
    page.pass(5_100);
    expect(feed.marked?.get('1')).toEqual({ value: 2 });
    client.unmark();
    expect(feed.marked).toBeUndefined();
  });

  test('users share a feed; the last one to leave ends the subscription after a moment', () => {
    const feed = client.feed('nodes');
    const first = client.hold(feed);
    const second = client.hold(client.feed('nodes'));
    page.wire.welcome();
    expect(page.wire.of('sub')).toHaveLength(1);
    first();
    second();
    page.pass(900);
    expect(page.wire.of('unsub')).toHaveLength(0);
    page.pass(200);
    expect(page.wire.of('unsub')).toHaveLength(1);
  });

  test('a hidden tab keeps the overview only', () => {
    live();
    client.hold(client.feed('overview'));
    client.sleep();
    expect(page.wire.of('unsub').map(m => m.id)).toEqual([1]);
    client.wake();
    expect(page.wire.of('sub').at(-1)).toMatchObject({ topic: 'nodes', resume: { stream: 'n-1', seq: '1' } });
  });
});

describe('connection state', () => {
  const up: ConnectionFacts = {
    nowMs: 100_000,
    everLive: true,
    open: true,
    downSinceMs: undefined,
    failedAttempts: 0,
    saidGoodbye: false,
    peerKnown: false,
    coalescing: false,
    refused: false,
    outdated: false,
  };
  const down = { ...up, open: false, downSinceMs: 99_000 };

  test.each([
    ['live', up],
    ['lagging', { ...up, coalescing: true }],
    ['connecting', { ...up, everLive: false }],
    ['connecting', { ...down, everLive: false }],
    ['reconnecting', down],
    ['reconnecting', { ...down, failedAttempts: 5 }],
    ['leaving', { ...down, failedAttempts: 3, peerKnown: true }],
    ['leaving', { ...down, saidGoodbye: true, peerKnown: true }],
    ['offline', { ...down, downSinceMs: 40_000 }],
    ['refused', { ...down, refused: true }],
    ['outdated', { ...down, outdated: true, refused: true }],
  ] as const)('%s', (state, facts) => {
    expect(connectionState(facts)).toBe(state);
  });

  test('the back-off doubles, is jittered, and stops at eight seconds', () => {
    expect([0, 1, 2, 20].map(n => backoffMs(n, 0.999))).toEqual([250, 500, 999, 7992]);
    expect(backoffMs(3, 0)).toBe(0);
  });
});
