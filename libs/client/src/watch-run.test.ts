import { decodePosition, encodePosition } from '@kahuna/wire';
import { beforeEach, describe, expect, test } from 'vitest';
import { KahunaClient } from './client.ts';
import { HistoryPrunedError, UnavailableError } from './errors.ts';
import { ManualRuntime, settled } from './manual-runtime.test-support.ts';
import { lost, ScriptedTransport } from './scripted-transport.test-support.ts';
import { NotLeaderFailure, TransportFailure, type WatchRequest, type WatchSink } from './transport.ts';
import type { Change } from './watch-api.ts';
import type { Told } from './watch-told.ts';

/** Loops over watches against a transport that the test speaks for. */

const TARGET = { $case: 'Key', Key: 'k' } as const;
const CLUSTER = 'cluster-1';
const NODES = ['http://a:1', 'http://b:1', 'http://c:1'];
const LARGE = 3 * 1024 * 1024;

interface Opened {
  readonly endpoint: string;
  readonly request: WatchRequest;
  readonly alone: boolean;
  readonly sink: WatchSink;
  paused: boolean;
  closed: boolean;
}

let runtime: ManualRuntime;
let transport: ScriptedTransport;
let opened: Opened[];
let canPause: boolean;

beforeEach(() => {
  runtime = new ManualRuntime();
  transport = new ScriptedTransport();
  opened = [];
  canPause = false;
  transport.watchOf = (endpoint, request, alone, sink) => {
    const watch: Opened = { endpoint, request, alone, sink, paused: false, closed: false };
    opened.push(watch);
    const pause = (): void => {
      watch.paused = true;
    };
    return {
      pause: canPause ? pause : undefined,
      resume: () => {
        watch.paused = false;
      },
      close: () => {
        watch.closed = true;
      },
    };
  };
});

const client = (endpoints: readonly string[] = NODES): KahunaClient =>
  new KahunaClient({ endpoints, learnRoutes: false }, transport, runtime);
const place = (l: number) => ({ stamp: { n: 1, l, c: 0 }, key: '' });
const positionAt = (l: number): string => encodePosition(TARGET, { cluster: CLUSTER, places: new Map([[2, place(l)]]) });
const reached = (request: WatchRequest): number | undefined =>
  request.Start?.$case === 'Position' ? decodePosition(TARGET, request.Start.Position).places.get(2)?.stamp.l : undefined;

function change(l: number, bytes = 1): Change {
  return {
    kind: 'set',
    key: 'k',
    value: new Uint8Array(bytes),
    revision: l,
    expires: undefined,
    stamp: { n: 1, l, c: 0 },
    partition: 2,
    initial: false,
    valueGone: false,
  };
}
const told = (changes: readonly Change[], position?: string): Told => ({ changes, position });
const current = (): Opened => opened.at(-1) as Opened;

async function next(loop: AsyncIterator<Change, void, void>): Promise<number | undefined> {
  const result = await loop.next();
  return result.done ? undefined : result.value.stamp.l;
}

describe('a watch that is lost', () => {
  test('goes on at another node behind what the loop was given, once it was given everything', async () => {
    const watch = client().watch.key('k');
    const loop = watch[Symbol.asyncIterator]();
    const first = current();
    first.sink.told(told([], positionAt(10)));
    await watch.started;
    first.sink.told(told([change(11), change(12), change(13)]));
    first.sink.ended(lost(true));
    await runtime.advance(1000);
    expect(opened).toHaveLength(1);
    expect([await next(loop), await next(loop)]).toEqual([11, 12]);
    await runtime.advance(1000);
    expect(opened).toHaveLength(1);
    expect(await next(loop)).toBe(13);
    await runtime.advance(1000);
    expect(opened).toHaveLength(2);
    expect(current().endpoint).not.toBe(first.endpoint);
    expect(reached(current().request)).toBe(13);
    // What the lost one says late is nothing any more.
    first.sink.told(told([change(14)]));
    current().sink.told(told([change(15)], positionAt(15)));
    expect(await next(loop)).toBe(15);
    expect(watch.position).toBe(positionAt(15));
  });

  test('begins anew where no position was told yet', async () => {
    const loop = client().watch.key('k', { initial: true })[Symbol.asyncIterator]();
    current().sink.told(told([{ ...change(5), initial: true }]));
    expect(await next(loop)).toBe(5);
    current().sink.ended(lost(true));
    await runtime.advance(1000);
    expect(opened.map(({ request }) => request.Start)).toEqual(Array(2).fill({ $case: 'Initial', Initial: true }));
  });

  test('a history that was lost before its first position is told from its beginning by the next node, and to the loop where it was', async () => {
    const loop = client().watch.key('k', { fromRevision: 3 })[Symbol.asyncIterator]();
    const expiry = (l: number): Change => ({ ...change(l), kind: 'expire', value: null });
    current().sink.told(told([change(3), change(4), expiry(4)]));
    expect([await next(loop), await next(loop)]).toEqual([3, 4]);
    expect((await loop.next()).value).toMatchObject({ kind: 'expire' });
    current().sink.ended(lost(true));
    await runtime.advance(1000);
    expect(current().request.Start).toEqual({ $case: 'FromRevision', FromRevision: 3n });
    current().sink.told(told([change(3), change(4), expiry(4), change(5)]));
    current().sink.told(told([change(6)], positionAt(6)));
    expect([await next(loop), await next(loop)]).toEqual([5, 6]);
    current().sink.ended(lost(true));
    await runtime.advance(1000);
    const waiting = next(loop);
    expect(reached(current().request)).toBe(6);
    current().sink.told(told([change(7)]));
    expect(await waiting).toBe(7);
  });

  test('gives up after a minute without any node, not a moment after a long silence of the loop', async () => {
    const watch = client().watch.key('k');
    const loop = watch[Symbol.asyncIterator]();
    current().sink.told(told([], positionAt(1)));
    runtime.freeze(120_000);
    current().sink.ended(lost(true));
    const waiting = loop.next();
    let outcome: unknown;
    waiting.catch((error: unknown) => {
      outcome = error;
    });
    for (let s = 0; s < 59; s++) {
      await runtime.advance(1000);
      if (!current().closed) current().sink.ended(lost(false));
    }
    expect(outcome).toBeUndefined();
    for (let s = 0; s < 5; s++) {
      await runtime.advance(1000);
      if (!current().closed) current().sink.ended(lost(false));
    }
    expect(outcome).toBeInstanceOf(UnavailableError);
  });

  test('is over where history is gone, behind what was told before', async () => {
    const loop = client()
      .watch.key('k', { after: positionAt(1) })
      [Symbol.asyncIterator]();
    current().sink.told(told([change(2)]));
    current().sink.ended(new TransportFailure('gone', false, 'pruned'));
    expect(await next(loop)).toBe(2);
    await expect(loop.next()).rejects.toBeInstanceOf(HistoryPrunedError);
    expect(await next(loop)).toBeUndefined();
  });

  test('goes to the leader where only that serves it', async () => {
    const loop = client().watch.lock('k', { durability: 'ephemeral' })[Symbol.asyncIterator]();
    const other = NODES.find(url => url !== current().endpoint) as string;
    current().sink.ended(new NotLeaderFailure('NOT_LEADER', other));
    await runtime.advance(1000);
    expect(current().endpoint).toBe(other);
    // Nobody knows the next one: some other node will.
    current().sink.ended(new NotLeaderFailure('NOT_LEADER', ''));
    await runtime.advance(1000);
    expect(current().endpoint).not.toBe(other);
    await loop.return?.();
  });
});

describe('a loop that is slow', () => {
  test('holds the server back where the way is its own', async () => {
    canPause = true;
    const loop = client()
      .watch.key('k', { after: positionAt(1) })
      [Symbol.asyncIterator]();
    current().sink.told(told([change(2, LARGE)]));
    expect(current().paused).toBe(false);
    current().sink.told(told([change(3, LARGE)]));
    expect(current().paused).toBe(true);
    expect(await next(loop)).toBe(2);
    expect(current().paused).toBe(true);
    expect(await next(loop)).toBe(3);
    expect(current().paused).toBe(false);
    expect(opened).toHaveLength(1);
  });

  test('leaves a way that it shares, and comes back on one of its own when it has caught up', async () => {
    const loop = client()
      .watch.key('k', { after: positionAt(1) })
      [Symbol.asyncIterator]();
    const [first] = opened;
    expect(first?.alone).toBe(false);
    for (const l of [2, 3, 4]) current().sink.told(told([change(l, LARGE)]));
    expect(first?.closed).toBe(true);
    expect([await next(loop), opened.length]).toEqual([2, 1]);
    // The last one was told after the way was left.
    expect([await next(loop), opened.length]).toEqual([3, 2]);
    expect(current().alone).toBe(true);
    expect(reached(current().request)).toBe(3);
  });

  test('does not gather positions', async () => {
    const watch = client().watch.key('k');
    const loop = watch[Symbol.asyncIterator]();
    current().sink.told(told([], positionAt(1)));
    current().sink.told(told([change(2)]));
    for (let l = 3; l < 1000; l++) current().sink.told(told([], positionAt(l)));
    expect(await next(loop)).toBe(2);
    const waiting = loop.next();
    expect(watch.position).toBe(positionAt(999));
    current().sink.told(told([change(1000)]));
    expect((await waiting).done).toBe(false);
  });
});

describe('the end of a loop', () => {
  test('closes the watch when the loop is left, and tells the next one from there', async () => {
    const watch = client().watch.key('k');
    const taken: number[] = [];
    const loop = (async () => {
      for await (const { stamp } of watch) {
        taken.push(stamp.l);
        break;
      }
    })();
    await settled();
    current().sink.told(told([], positionAt(1)));
    current().sink.told(told([change(2), change(3)]));
    await loop;
    expect([taken, current().closed]).toEqual([[2], true]);
    watch[Symbol.asyncIterator]();
    expect(reached(current().request)).toBe(2);
    expect(runtime.timers).toBe(0);
  });

  test('is at once where the signal fires, with its reason', async () => {
    const controller = new AbortController();
    const watch = client().watch.key('k', { signal: controller.signal });
    const loop = watch[Symbol.asyncIterator]();
    current().sink.told(told([change(2), change(3)]));
    controller.abort(new Error('enough'));
    expect(current().closed).toBe(true);
    await expect(loop.next()).rejects.toThrow('enough');
    await expect(watch.started).rejects.toThrow('enough');
    expect(await next(loop)).toBeUndefined();
    const late = client().watch.key('k', { signal: controller.signal })[Symbol.asyncIterator]();
    await expect(late.next()).rejects.toThrow('enough');
    expect(opened).toHaveLength(1);
  });
});

test('a lock watch passes the durability of the client on, a key watch does not', () => {
  const kahuna = new KahunaClient({ endpoints: NODES, durability: 'ephemeral' }, transport, runtime);
  kahuna.watch.lock('l')[Symbol.asyncIterator]();
  kahuna.watch.key('k')[Symbol.asyncIterator]();
  expect(opened.map(({ request }) => request.Durability)).toEqual([1, 0]);
});
