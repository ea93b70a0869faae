import { ManualClock } from '@kahuna/base';
import type { KeyRow, SequenceRow, TreeRow } from '@kahuna/console/protocol';
import type { KahunaNode, Watch, WatchQuery } from '@kahuna/node';
import {
  Durability,
  type ListingAnswer,
  type LockGrant,
  type LockRow,
  ResponseType,
  type SequenceEntry,
} from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import { MemoryNode } from '../testing/memory-node.ts';
import { StateFeed } from './feed.ts';
import { parseCursor, readHistory } from './history.ts';
import { LiveRead } from './live-read.ts';
import { lockDetail, lockRow as shownLock } from './lock-rows.ts';
import { newsOf } from './news.ts';
import { readable } from './readable.ts';
import { ConsoleReads, type ReadAnswer } from './reads.ts';
import { SequenceWatch } from './sequence-watch.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** A memory node that answers listings as told, and keeps what it was asked. */
function nodeWith(answers: {
  readonly spaces?: readonly (readonly [name: string, keys: number])[];
  readonly list?: (after: string | undefined, limit: number) => ListingAnswer;
}): { readonly node: KahunaNode; readonly memory: MemoryNode } {
  const memory = new MemoryNode();
  const node: KahunaNode = Object.assign(memory, {
    keySpaces: async ({ prefix, after, limit }: Parameters<KahunaNode['keySpaces']>[0]) => {
      const all = (answers.spaces ?? []).filter(([name]) => name.startsWith(prefix) && (after === undefined || name > after));
      const rows = all.slice(0, limit).map(([keySpace, keys]) => ({ keySpace, keys, more: false }));
      return { type: ResponseType.Get, rows, hasMore: all.length > limit };
    },
    list: async ({ after, limit }: Parameters<KahunaNode['list']>[0]) =>
      answers.list?.(after, limit) ?? { type: ResponseType.MustRetry, locks: [], sequences: [], next: undefined, missing: [] },
  });
  return { node, memory };
}

function rowsOf<T>(answer: ReadAnswer): T[] {
  if ('problem' in answer) throw new Error(answer.problem);
  return answer.rows.map(row => row.v as unknown as T);
}

const lockRow = (change: Partial<LockRow> = {}): LockRow => ({
  name: 'jobs/a',
  durability: Durability.Persistent,
  held: true,
  owner: bytes('worker-7'),
  expires: { n: 1, l: 40_000, c: 0 },
  token: 41,
  partitionId: 2,
  ...change,
});

describe('console:§6.6 the tree of key spaces', () => {
  const clock = new ManualClock();

  test('a level folds what lies below the next slash, and counts only what is its own', async () => {
    const { node } = nodeWith({
      spaces: [
        ['config', 1],
        ['orders', 3],
        ['orders-old', 2],
        ['orders/2025', 10],
        ['orders/2026', 20],
      ],
    });
    const reads = new ConsoleReads(node, clock, 'admin');
    const top = rowsOf<TreeRow>(await reads.tree({ prefix: '' }));
    expect(top.map(({ path, keys, below }) => [path, keys, below])).toEqual([
      ['config', 1, false],
      ['orders', 3, true],
      ['orders-old', 2, false],
    ]);
    const below = rowsOf<TreeRow>(await reads.tree({ prefix: 'orders/' }));
    expect(below.map(({ name, keys }) => [name, keys])).toEqual([
      ['2025', 10],
      ['2026', 20],
    ]);
  });
});

describe('console:§6.6 one key', () => {
  test('never written, live and dead are three things', async () => {
    const { node, memory } = nodeWith({});
    const reads = new ConsoleReads(node, new ManualClock(), 'admin');
    const state = async (): Promise<readonly [string, string]> => {
      const [row] = rowsOf<KeyRow>(await reads.key({ key: 'a/b' }));
      return [row?.state ?? '', row?.revision ?? ''];
    };
    expect(await state()).toEqual(['never', '-1']);
    await write(memory, 'a/b', 'x');
    expect(await state()).toEqual(['live', '0']);
  });

  test('C1 a read that nobody answers is a problem and not an absent key', async () => {
    const { node, memory } = nodeWith({});
    memory.scripted = { ...(await refusal(memory)), type: ResponseType.MustRetry };
    const answer = await new ConsoleReads(node, new ManualClock(), 'admin').key({ key: 'a/b' });
    expect(answer).toEqual({ problem: expect.stringContaining('no leader') });
  });

  test('the history tells revisions newest first, with their bytes', async () => {
    const { node, memory } = nodeWith({});
    for (const text of ['one', 'two', 'three']) await write(memory, 'a/b', text);
    const reads = new ConsoleReads(node, new ManualClock(), 'admin');
    const page = await readHistory(reads, 'a/b', 'persistent', undefined, 2);
    if ('problem' in page) throw new Error(page.problem);
    expect(page.items.map(item => [item.revision, Buffer.from(item.valueB64 ?? '', 'base64').toString()])).toEqual([
      ['2', 'three'],
      ['1', 'two'],
    ]);
    const older = await readHistory(reads, 'a/b', 'persistent', parseCursor(page.next ?? ''), 2);
    expect('items' in older && older.items.map(item => item.revision)).toEqual(['0']);
  });
});

describe('console:§6.7 locks', () => {
  const grant = (token: number, owner: string, change: Partial<LockGrant> = {}): LockGrant => ({
    token,
    owner: bytes(owner),
    fromMs: 1_000,
    leaseMs: 39_000,
    expiresMs: 40_000,
    extensions: 0,
    lastExtendMs: 0,
    endMs: 0,
    end: undefined,
    ...change,
  });

  test('what the leader noted of the grants, and how they ended', () => {
    const grants = [
      grant(41, 'worker-7', { extensions: 2, lastExtendMs: 9_000 }),
      grant(40, 'worker-9', { fromMs: 0, leaseMs: 0, end: 'expired', endMs: 900 }),
      grant(38, 'worker-8'),
    ];
    const row = lockDetail(lockRow({ history: { sinceMs: 500, grants } }), 3, 'admin');
    expect(row).toMatchObject({
      state: 'held',
      grantedMs: 1_000,
      leaseMs: 39_000,
      extends: 2,
      lastExtendMs: 9_000,
      notedSinceMs: 500,
    });
    expect(row.history.map(({ token, fromMs, toMs, end }) => [token, fromMs, toMs, end])).toEqual([
      ['41', 1_000, null, null],
      ['40', null, 900, 'expired'],
      ['38', 1_000, null, 'unknown'],
    ]);
  });

  test('C1 a present grant that was not noted is told as far as the lock itself tells it', () => {
    const history = { sinceMs: 500, grants: [grant(39, 'worker-9')] };
    expect(lockDetail(lockRow({ history }), 3, 'admin')).toMatchObject({
      grantedMs: null,
      leaseMs: null,
      extends: null,
      history: [
        { token: '41', ownerText: 'worker-7', fromMs: null, end: null },
        { token: '39', end: 'unknown' },
      ],
    });
    expect(lockDetail(lockRow({ held: false }), 3, 'admin').history).toMatchObject([{ end: 'expired', toMs: 40_000 }]);
    expect(lockDetail(lockRow(), 3, 'admin').notedSinceMs).toBeNull();
  });

  test('§11 owner bytes are for readers', () => {
    expect(shownLock(lockRow(), 1, 'viewer').ownerB64).toBeNull();
    expect(shownLock(lockRow(), 1, 'reader').ownerB64).toBe('d29ya2VyLTc=');
  });

  test('owners are shown as text where all of it can be seen, else as hex', () => {
    expect(readable(bytes('worker-7'))).toBe('worker-7');
    expect(readable(Uint8Array.from({ length: 16 }, (_, i) => i))).toBe('0x00010203…0e0f');
    expect(readable(bytes('a\u202eb'))).toMatch(/^0x/);
  });

  test('a filter does not make a window short, and missing partitions are named', async () => {
    const all = Array.from({ length: 30 }, (_, i) => lockRow({ name: `l${String(i).padStart(2, '0')}`, held: i % 3 === 0 }));
    const { node } = nodeWith({
      list: (after, limit) => {
        const rest = all.filter(lock => after === undefined || lock.name > after);
        const locks = rest.slice(0, Math.min(limit, 7));
        const next = rest.length > locks.length ? locks.at(-1)?.name : undefined;
        return { type: ResponseType.Get, locks, sequences: [], next, missing: after === undefined ? [4] : [] };
      },
    });
    const answer = await new ConsoleReads(node, new ManualClock(), 'admin').locks({ count: 5, filter: { state: ['held'] } });
    expect(
      rowsOf<{ resource: string }>(answer)
        .slice(0, 5)
        .map(row => row.resource),
    ).toEqual(['l00', 'l03', 'l06', 'l09', 'l12']);
    expect('window' in answer && answer.window.missing).toEqual([4]);
  });
});

describe('console:§6.8 sequences', () => {
  const entry = (currentValue: bigint, incarnation = 0): SequenceEntry => ({
    kind: 'sequence-entry',
    name: 'invoice',
    currentValue,
    initialValue: 0n,
    increment: 10n,
    maxValue: 10_000n,
    blockSize: undefined,
    incarnation,
    revision: 1,
    createdAt: { n: 1, l: 1, c: 0 },
    updatedAt: { n: 1, l: 2, c: 0 },
  });

  test('the rate is values per second over the moves of the mark; a new incarnation begins anew', () => {
    const watch = new SequenceWatch();
    const at = (nowMs: number, mark: bigint, incarnation = 0): SequenceRow =>
      watch.observe(entry(mark, incarnation), 2, nowMs, 1);
    expect(at(0, 0n)).toMatchObject({ reservedPerSec: null, remaining: '1000', exhaustsMs: null });
    expect(at(10_000, 1_000n)).toMatchObject({ reservedPerSec: 10, remaining: '900' });
    expect(at(10_000, 1_000n).exhaustsMs).toBe(120_000);
    expect(at(20_000, 0n, 1).reservedPerSec).toBeNull();
  });

  test('64-bit marks stay exact', () => {
    const row = new SequenceWatch().observe({ ...entry(9_007_199_254_740_993n), maxValue: undefined }, 2, 0, 1);
    expect([row.currentValue, row.remaining]).toEqual(['9007199254740993', null]);
  });
});

describe('a feed that is read on demand', () => {
  const answer = (key: string): ReadAnswer => ({
    rows: [{ k: key, v: { key } }],
    window: { next: null, missing: [], problem: null },
  });

  test('C1 nothing is shown before the first answer, and a failed read keeps the rows and says why', async () => {
    const feed = new StateFeed('keys');
    let next: Promise<ReadAnswer> = Promise.resolve(answer('a'));
    let now = 0;
    const live = new LiveRead(feed, () => next, false);
    live.begin(now, () => now);
    expect(feed.ready).toBe(false);
    await next;
    await Promise.resolve();
    expect([feed.ready, feed.size]).toEqual([true, 1]);
    next = Promise.resolve({ problem: 'no leader' });
    now = 10_000;
    live.step(now, false, () => now);
    await next;
    await Promise.resolve();
    expect(feed.size).toBe(1);
    expect(feed.snapshot('new').bodies[0]).toContain('"problem":"no leader"');
  });

  test('a read that takes long is told, and no second one begins', () => {
    const feed = new StateFeed('keys');
    let reads = 0;
    const live = new LiveRead(feed, () => new Promise<ReadAnswer>(() => reads++), false);
    live.begin(0, () => 0);
    live.step(4_000, false, () => 4_000);
    expect(reads).toBe(1);
    expect(feed.snapshot('new').bodies[0]).toContain('no answer yet');
  });

  test('after a read that waited in vain for seconds the next one comes soon; one that took long does not delay the next for longer', async () => {
    let now = 0;
    let reads = 0;
    let took = 3_000;
    let next: ReadAnswer = { problem: 'no leader' };
    const read = async (): Promise<ReadAnswer> => {
      reads++;
      now += took;
      return next;
    };
    const live = new LiveRead(new StateFeed('keys'), read, false);
    const settled = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) await Promise.resolve();
      return reads;
    };
    const stepAt = (atMs: number): Promise<number> => {
      now = atMs;
      live.step(now, false, () => now);
      return settled();
    };
    live.begin(now, () => now);
    await settled();
    expect(await stepAt(3_900)).toBe(1);
    next = answer('a');
    expect(await stepAt(4_000)).toBe(2);
    expect(await stepAt(8_900)).toBe(2);
    took = 10;
    expect(await stepAt(9_000)).toBe(3);
    expect(await stepAt(9_410)).toBe(4);
  });

  test('C2 where changes are told it is read at once, and the clock goes on slowly; where they are not, by the clock', async () => {
    const memory = new MemoryNode();
    let wake: () => void = () => undefined;
    let end: Watch['end'];
    const closed: number[] = [];
    const watch: Watch = {
      take: () => [],
      position: () => undefined,
      get end() {
        return end;
      },
      leaderUrl: '',
      cluster: '',
      close: () => closed.push(1),
    };
    const node: KahunaNode = Object.assign(memory, {
      watch: (_query: WatchQuery, onNews: () => void) => {
        wake = onNews;
        return watch;
      },
    });
    let now = 0;
    let reads = 0;
    const news = newsOf('key', { key: 'a' }, node);
    const live = new LiveRead(new StateFeed('key'), async () => answer(`${++reads}`), false, news);
    const stepAt = async (atMs: number): Promise<number> => {
      now = atMs;
      live.step(now, false, () => now);
      for (let i = 0; i < 3; i++) await Promise.resolve();
      return reads;
    };
    live.begin(now, () => now);
    expect(await stepAt(100)).toBe(1);
    expect(await stepAt(600)).toBe(1);
    wake();
    expect(await stepAt(700)).toBe(2);
    expect(await stepAt(2_600)).toBe(2);
    expect(await stepAt(2_700)).toBe(3);
    end = 'unavailable';
    wake();
    expect(await stepAt(2_800)).toBe(4);
    expect(closed).toHaveLength(1);
    expect(await stepAt(3_200)).toBe(5);
    end = undefined;
    await stepAt(4_900);
    live.rest();
    expect(closed).toHaveLength(2);
  });

  test('C2 a list of locks is read when one of them changes, and by the clock where an ephemeral one is among them', async () => {
    let changed: () => void = () => undefined;
    let listened = '';
    let ended = 0;
    const { node } = nodeWith({
      list: () => ({ type: ResponseType.Get, locks, sequences: [], next: undefined, missing: [] }),
    });
    node.watchNames = (kind, prefix, onChange) => {
      listened = `${kind} ${prefix}`;
      changed = onChange;
      return () => {
        ended++;
      };
    };
    let locks = [lockRow()];
    let reads = 0;
    const door = new ConsoleReads(node, new ManualClock(), 'admin');
    const read = (): Promise<ReadAnswer> => {
      reads++;
      return door.locks({ prefix: 'jobs/' });
    };
    const live = new LiveRead(new StateFeed('locks'), read, false, newsOf('locks', { prefix: 'jobs/' }, node));
    const stepAt = async (now: number): Promise<number> => {
      live.step(now, false, () => now);
      for (let i = 0; i < 10; i++) await Promise.resolve();
      return reads;
    };
    live.begin(0, () => 0);
    await stepAt(0);
    expect(listened).toBe('locks jobs/');
    const before = await stepAt(100);
    expect(await stepAt(900)).toBe(before);
    locks = [lockRow({ durability: Durability.Ephemeral })];
    changed();
    expect(await stepAt(1_000)).toBe(before + 1);
    expect(await stepAt(1_400)).toBe(before + 2);
    live.rest();
    expect(ended).toBe(1);
  });

  test('the order of the rows travels where it changes', () => {
    const feed = new StateFeed('keys');
    const window = { next: null, missing: [], problem: null };
    const rows = (...keys: string[]) => keys.map(k => ({ k, v: { key: k } }));
    feed.show(rows('b', 'd'), window, 0);
    const seen = feed.seq;
    feed.show(rows('a', 'b', 'd'), window, 1);
    expect(feed.since(seen, 2)?.bodies[0]).toContain('"order":["a","b","d"]');
    const afterwards = feed.seq;
    feed.show(rows('a', 'b', 'd'), window, 3);
    expect(feed.seq).toBe(afterwards);
  });
});

async function refusal(memory: MemoryNode): ReturnType<typeof write> {
  return write(memory, 'x/y', '');
}

function write(memory: MemoryNode, key: string, text: string) {
  return new Promise<Parameters<Parameters<MemoryNode['submit']>[1]['complete']>[1]>(resolve => {
    memory.submit(
      {
        kind: 'set',
        key,
        value: bytes(text),
        expiresMs: 0,
        flags: 1,
        compareValue: null,
        compareRevision: 0,
        durability: Durability.Persistent,
      },
      { complete: (_token, result) => resolve(result) },
      1,
    );
  });
}
