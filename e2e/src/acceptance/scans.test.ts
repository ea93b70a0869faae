import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchKv } from '../clients/grpc-kv.ts';
import { Ephemeral, type Hlc, Persistent, type SetRequest, Type } from '../clients/kv-api.ts';
import { anyScanNode, GrpcScans, type RangeRequest, RestScans, type ScanApi, type ScanPage } from '../clients/scan-api.ts';
import { StreamScans } from '../clients/stream-scans.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { HANGS_MS, until } from '../harness/processes.ts';

const TRANSPORTS = ['REST', 'gRPC', 'gRPC batch stream'] as const;
const DURABILITIES = [
  { durability: Persistent, word: 'persistent' },
  { durability: Ephemeral, word: 'ephemeral' },
] as const;
/** Most rows of a bucket and of a scan. */
const CAP = 4096;

/** Much data is written once for all transports, by the first test that wants it. */
class Shelf {
  private readonly filled = new Map<string, Promise<unknown>>();

  once(name: string, fill: () => Promise<unknown>): Promise<unknown> {
    const filling = this.filled.get(name) ?? fill();
    this.filled.set(name, filling);
    return filling;
  }
}

describe.each([1, 3])('reads of many keys on %i node(s), any of them', nodes => {
  let cluster: Cluster;
  let keys: BatchKv;
  let rest: readonly RestScans[];
  let shelf: Shelf;
  const apis = new Map<string, ScanApi>();

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes, breakableNetwork: false, args: SOON_READY });
    keys = new BatchKv(cluster.node(1).options.grpcAddress);
    rest = cluster.nodes.map(node => new RestScans(node.url));
    apis.set('REST', anyScanNode(rest));
    apis.set('gRPC', anyScanNode(cluster.nodes.map(node => new GrpcScans(node.options.grpcAddress))));
    apis.set('gRPC batch stream', anyScanNode(cluster.nodes.map(node => new StreamScans(node.options.grpcAddress))));
    shelf = new Shelf();
  });

  afterAll(async () => {
    for (const api of apis.values()) api.close();
    keys?.close();
    await cluster?.close();
  });

  async function put(durability: number, names: readonly string[], value: string | null = 'v'): Promise<Hlc> {
    const items = names.map((key): SetRequest => ({ key, value: value === null ? null : Buffer.from(value), durability }));
    let last: Hlc | undefined;
    for (let from = 0; from < items.length; from += 500) {
      const rows = await Promise.all(items.slice(from, from + 500).map(item => keys.set(item)));
      expect(new Set(rows.map(row => row.type))).toEqual(new Set([Type.Set]));
      last = rows.at(-1)?.lastModified;
    }
    return last as Hlc;
  }

  const numbered = (prefix: string, from: number, to: number, digits: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, i) => `${prefix}${String(from + i).padStart(digits, '0')}`);
  const names = (page: ScanPage): string[] => page.rows.map(row => row.key);

  describe.each(TRANSPORTS)('over %s', transport => {
    const api = (): ScanApi => apis.get(transport) as ScanApi;

    async function bucket(prefixKey: string, durability: number, readTimestamp?: Hlc): Promise<ScanPage> {
      return api().bucket({ prefixKey, durability, ...(readTimestamp ? { readTimestamp } : {}) });
    }
    async function walk(request: RangeRequest): Promise<string[]> {
      const pages = await api().pages(request);
      expect(new Set(pages.map(page => page.type))).toEqual(new Set([Type.Get]));
      expect(pages.map(page => page.hasMore)).toEqual(pages.map((_, i) => i < pages.length - 1));
      return pages.flatMap(names);
    }

    for (const { durability, word } of DURABILITIES) {
      // Buckets are key spaces of their own: each run of a case takes names that no other one uses.
      const own = (name: string): string => `${name}-${transport}-${word}`;

      test.concurrent(`keyvalues:B1 keyvalues:B13 a bucket holds what stands right below it (${word})`, async () => {
        const space = own('b1');
        const ten = numbered(`${space}/`, 1, 10, 2);
        await put(durability, [...ten, `${space}2/1`, `${space}/sub/1`, space]);
        for (const prefix of [space, `${space}/`]) {
          const page = await bucket(prefix, durability);
          expect([page.type, names(page)]).toEqual([Type.Get, ten]);
        }
      });

      test.concurrent(`keyvalues:B2 keyvalues:G11 an empty bucket (${word})`, async () => {
        expect(await bucket(own('void'), durability)).toMatchObject({ type: Type.Get, rows: [] });
        expect(await walk({ prefix: own('void'), durability, limit: 10 })).toEqual([]);
      });

      test.concurrent(`keyvalues:B3 keyvalues:B11 prefixes that are refused (${word})`, async () => {
        expect((await bucket('', durability)).type).toBe(Type.InvalidInput);
        for (const prefixKey of ['', '__kahuna:']) {
          expect((await api().scanAll({ prefixKey, durability })).type).toBe(Type.InvalidInput);
        }
      });

      test.concurrent(`keyvalues:B4 one durability does not see the other (${word})`, async () => {
        const space = own('b4');
        await put(durability, [`${space}/1`]);
        await put(1 - durability, [`${space}/2`]);
        expect(names(await bucket(space, durability))).toEqual([`${space}/1`]);
      });

      test.concurrent(`keyvalues:B8 the value null is a row (${word})`, async () => {
        await put(durability, [`${own('b8')}/n`], null);
        expect((await bucket(own('b8'), durability)).rows).toMatchObject([{ key: `${own('b8')}/n`, value: null, revision: 0 }]);
      });

      test.concurrent(`keyvalues:K14 rows come in the order of UTF-16 code units (${word})`, async () => {
        const o = own('o');
        const inOrder = ['Z', 'a', '😀', '\uE000'].map(leaf => `${o}/${leaf}`);
        await put(durability, inOrder.toReversed());
        expect(names(await bucket(o, durability))).toEqual(inOrder);
        expect(names(await api().scanAll({ prefixKey: `${o}/`, durability }))).toEqual(inOrder);
        expect(await walk({ prefix: o, durability, limit: 1 })).toEqual(inOrder);
        const bounds = { startKey: `${o}/a`, endKey: `${o}/\uE000`, startInclusive: false, endInclusive: false };
        expect(await walk({ prefix: o, durability, ...bounds })).toEqual([`${o}/😀`]);
      });

      test.concurrent(`keyvalues:X13 what has expired is in no answer (${word})`, async () => {
        const space = own('x13');
        const [one, two, three] = numbered(`${space}/`, 1, 3, 1) as [string, string, string];
        await put(durability, [one, two, three]);
        await keys.extend({ key: two, durability, expiresMs: 1 });
        await until('the expiry', HANGS_MS, async () => (await keys.get({ key: two, durability })).type === Type.DoesNotExist);
        expect(names(await bucket(space, durability))).toEqual([one, three]);
        expect(names(await api().scanAll({ prefixKey: space, durability }))).toEqual([one, three]);
        expect(await walk({ prefix: space, durability, limit: 1 })).toEqual([one, three]);
      });

      test.concurrent(`keyvalues:B9 keyvalues:B10 a scan reads every partition, in order (${word})`, async () => {
        const zone = own('zone');
        const four = [zone, `${zone}/1`, `${zone}/x/2`, `${zone}d`];
        await put(durability, four);
        expect(names(await api().scanAll({ prefixKey: zone, durability }))).toEqual([...four].sort());
        await keys.delete({ key: `${zone}/1`, durability });
        expect(names(await api().scanAll({ prefixKey: zone, durability }))).toEqual([zone, `${zone}/x/2`, `${zone}d`].sort());
      });

      test.concurrent(`keyvalues:G1 pages of a range hold every key once, in order (${word})`, async () => {
        const log = own('log');
        const five = numbered(`${log}/`, 1, 5, 3);
        await put(durability, five);
        expect(await walk({ prefix: log, durability, limit: 2 })).toEqual(five);
      });

      test.concurrent(`keyvalues:G2 keyvalues:G3 keyvalues:G4 bounds of a range (${word})`, async () => {
        const log = own('bounds');
        await put(durability, numbered(`${log}/`, 1, 5, 3));
        const between = (startInclusive: boolean, endInclusive: boolean): Promise<string[]> =>
          walk({ prefix: log, durability, startKey: `${log}/002`, startInclusive, endKey: `${log}/004`, endInclusive });
        expect(await between(false, true)).toEqual([`${log}/003`, `${log}/004`]);
        expect(await between(true, false)).toEqual([`${log}/002`, `${log}/003`]);
        expect(await walk({ prefix: log, durability, startKey: `${log}/004`, endKey: `${log}/002` })).toEqual([]);
      });

      test.concurrent(`keyvalues:G7 without a limit everything comes (${word})`, async () => {
        const space = own('g7');
        await put(durability, numbered(`${space}/`, 1, 150, 3));
        for (const limit of [0, -3]) expect(await walk({ prefix: space, durability, limit })).toHaveLength(150);
      });

      test.concurrent(`keyvalues:G12 a range stays in its key space (${word})`, async () => {
        const log = own('g12');
        await put(durability, [`${log}/001`, `${log}/a/1`, `${log}s/1`]);
        expect(await walk({ prefix: log, durability })).toEqual([`${log}/001`]);
      });
    }

    test.concurrent('keyvalues:B5 a bucket is cut at 4,096 rows', async () => {
      await shelf.once('big', () => put(Persistent, numbered('big/', 0, 4999, 5)));
      expect(names(await bucket('big', Persistent))).toEqual(numbered('big/', 0, CAP - 1, 5));
    });

    test.concurrent('keyvalues:H25 history of an ephemeral key that is forgotten is not taken for nothing', async () => {
      const space = `h25-${transport}`;
      let past: Hlc | undefined;
      for (let i = 0; i < 20; i++) {
        const stamp = await put(Ephemeral, [`${space}/k`]);
        if (i === 1) past = stamp;
      }
      const asOf = { prefixKey: space, durability: Ephemeral, readTimestamp: past as Hlc };
      expect(await api().bucket(asOf)).toMatchObject({ type: Type.Aborted, rows: [] });
      expect(await api().scanAll(asOf)).toMatchObject({ type: Type.Aborted, rows: [] });
    });

    test.concurrent('keyvalues:B6 a bucket as of a time', async () => {
      const space = `b6-${transport}`;
      const time = await put(Persistent, [`${space}/1`, `${space}/2`]);
      const page = await bucket(space, Persistent);
      expect(names(page)).toEqual([`${space}/1`, `${space}/2`]);
      await keys.delete({ key: `${space}/1`, durability: Persistent });
      await put(Persistent, [`${space}/3`]);
      expect(names(await bucket(space, Persistent, { ...time, c: time.c + 1 }))).toEqual([`${space}/1`, `${space}/2`]);
      expect(names(await bucket(space, Persistent))).toEqual([`${space}/2`, `${space}/3`]);
    });

    test.concurrent('keyvalues:B12 a scan over all partitions is cut at the 4,096 smallest', async () => {
      // Names without a slash are key spaces of their own, so they lie in all partitions.
      const all = numbered('many-', 0, 5999, 5);
      await shelf.once('many', () => put(Persistent, all));
      const page = await api().scanAll({ prefixKey: 'many-', durability: Persistent });
      expect(names(page)).toEqual(all.slice(0, CAP));
    });

    test.concurrent('keyvalues:G9 a walk over what is mostly deleted', async () => {
      const all = numbered('g9/', 0, 9999, 5);
      await shelf.once('g9', async () => {
        await put(Persistent, all);
        const gone = all.filter((_, i) => i % 10 !== 0);
        for (let from = 0; from < gone.length; from += 500) {
          await Promise.all(gone.slice(from, from + 500).map(key => keys.delete({ key, durability: Persistent })));
        }
      });
      const live = await walk({ prefix: 'g9', durability: Persistent, limit: 100 });
      expect(live).toEqual(all.filter((_, i) => i % 10 === 0));
    });
  });

  test('keyvalues:G5 what changes after the first page does not show in the later ones', async () => {
    const log = 'g5/';
    await put(Persistent, numbered(log, 1, 5, 3), 'old');
    const request = { prefix: 'g5', durability: Persistent, limit: 2 };
    const [scans] = rest as [RestScans];
    const first = await scans.page(request, null);
    expect(names(first)).toEqual(['g5/001', 'g5/002']);
    await put(Persistent, ['g5/0025', 'g5/004'], 'new');
    await keys.delete({ key: 'g5/005', durability: Persistent });
    const second = await scans.page(request, first.nextCursor);
    expect(second.rows.map(row => [row.key, String(row.value)])).toEqual([
      ['g5/003', 'old'],
      ['g5/004', 'old'],
    ]);
    const third = await scans.page(request, second.nextCursor);
    expect([names(third), third.hasMore, third.nextCursor]).toEqual([['g5/005'], false, null]);
  });

  test('keyvalues:G6 cursors that are none of this range', async () => {
    await put(Persistent, numbered('g6/', 1, 3, 3));
    const [scans] = rest as [RestScans];
    const { nextCursor } = await scans.page({ prefix: 'g6', durability: Persistent, limit: 1 }, null);
    expect(nextCursor).not.toBeNull();
    for (const [prefix, durability, cursor] of [
      ['g6', Persistent, '!!!'],
      ['g6x', Persistent, nextCursor],
      ['g6', Ephemeral, nextCursor],
    ] as const) {
      expect((await scans.page({ prefix, durability, limit: 1 }, cursor)).type).toBe(Type.InvalidInput);
    }
  });

  test('keyvalues:G8 a cursor goes on at any node, also after a restart', async () => {
    const all = numbered('g8/', 1, 6, 3);
    await put(Persistent, all);
    const request = { prefix: 'g8', durability: Persistent, limit: 2 };
    const first = await (rest[0] as RestScans).page(request, null);
    const second = await (rest.at(-1) as RestScans).page(request, first.nextCursor);
    await cluster.node(1).stop();
    cluster.node(1).start();
    await cluster.ready();
    const third = await (rest[0] as RestScans).page(request, second.nextCursor);
    expect([first, second, third].flatMap(names)).toEqual(all);
  });
});
