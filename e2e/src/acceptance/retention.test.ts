import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchKv, GrpcKv } from '../clients/grpc-kv.ts';
import { GrpcHolds, type HoldApi, RestHolds } from '../clients/hold-api.ts';
import { anyNode, type Hlc, type KvApi, Persistent, Type, ZERO } from '../clients/kv-api.ts';
import { http, RestKv } from '../clients/rest-kv.ts';
import { anyScanNode, GrpcScans, RestScans, type ScanApi } from '../clients/scan-api.ts';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS, sleep, until } from '../harness/processes.ts';
import { type Bench, bench, expectRead, expectSaid } from './case.ts';

/** Keys are looked at soon after they were written and every second; one partition holds them all. */
const PRUNING = { partitions: 1, breakableNetwork: false } as const;
const SWEEPS = ['--persistent-revision-cleanup-interval', '1'] as const;
const DATA_PARTITION = 2;
const HOUR_MS = 3_600_000;

/** One way of asking, on all nodes in turn. */
interface Asked {
  readonly keys: Bench;
  readonly scans: ScanApi;
  readonly holds: HoldApi;
}

class Pruned {
  readonly cluster: Cluster;
  readonly asked: ReadonlyMap<string, Asked>;
  private readonly apis: { close(): void }[] = [];

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    const { nodes } = cluster;
    const ask = (keys: KvApi, scans: ScanApi, holds: HoldApi): Asked => {
      this.apis.push(keys, scans, holds);
      return { keys: bench(keys, Persistent, '', true), scans, holds };
    };
    const restScans = anyScanNode(nodes.map(node => new RestScans(node.url)));
    const grpcScans = anyScanNode(nodes.map(node => new GrpcScans(node.options.grpcAddress)));
    const [first] = nodes;
    if (first === undefined) throw new Error('a cluster has nodes');
    const grpcAddress = first.options.grpcAddress;
    this.asked = new Map([
      ['REST', ask(anyNode(nodes.map(node => new RestKv(node.url))), restScans, new RestHolds(first.url))],
      ['gRPC', ask(anyNode(nodes.map(node => new GrpcKv(node.options.grpcAddress))), grpcScans, new GrpcHolds(grpcAddress))],
    ]);
  }

  static async start(nodes: number, flags: readonly string[]): Promise<Pruned> {
    return new Pruned(await Cluster.start({ ...PRUNING, nodes, args: [...SWEEPS, ...FAST_ELECTIONS, ...flags] }));
  }

  over(transport: string): Asked {
    return this.asked.get(transport) as Asked;
  }

  async close(): Promise<void> {
    for (const api of this.apis) api.close();
    await this.cluster.close();
  }

  /** A whole sweep that began after this call has ended: of three that begin, the second has. */
  async sweep(): Promise<void> {
    const sweeps = async (): Promise<number> => {
      const texts = await Promise.all(this.cluster.nodes.map(node => http(`${node.url}/metrics`)));
      return texts.reduce((sum, { text }) => sum + Number(/^kahuna_prune_sweeps_total (\d+)$/m.exec(text)?.[1]), 0);
    };
    const before = await sweeps();
    await until('a sweep', HANGS_MS, async () => (await sweeps()) >= before + 3);
  }
}

/** Until the version is gone: pruning has been there. */
async function removed(keys: Bench, name: string, revision: number): Promise<void> {
  await until(`${name} at ${revision} is pruned`, HANGS_MS, async () => {
    return (await keys.get(name, { revision })).type === Type.DoesNotExist;
  });
}

/** Sets a key so often; what each set answered as its time. */
async function setOften(keys: Bench, name: string, times: number, label = 'v'): Promise<Hlc[]> {
  const stamps: Hlc[] = [];
  for (let i = 0; i < times; i++) stamps.push((await keys.set(name, `${label}${i}`)).lastModified);
  return stamps;
}

const TRANSPORTS = ['REST', 'gRPC'] as const;

describe('the newest two versions of a key are kept, on three nodes', () => {
  let three: Pruned;

  beforeAll(async () => {
    three = await Pruned.start(3, ['--persistent-revision-retention-count', '2']);
  });

  afterAll(() => three?.close());

  const p = (transport: string, name: string): string => `p-${transport}/${name}`;
  const past = new Map<string, Hlc>();

  /** What H23 says about the time between r3 and r4 of `p/a`. */
  async function expectPruned(transport: string): Promise<void> {
    const { keys, scans } = three.over(transport);
    const [a, b, c] = ['a', 'b', 'c'].map(name => p(transport, name)) as [string, string, string];
    const readTimestamp = past.get(transport) as Hlc;
    const aborted = await expectSaid(keys.get(a, { readTimestamp }), 'Aborted');
    expect([aborted.value, aborted.revision, aborted.expires, aborted.lastModified]).toEqual([null, 0, ZERO, ZERO]);
    await expectSaid(keys.exists(a, { readTimestamp }), 'Aborted');
    await expectRead(keys.get(b, { readTimestamp }), 'Get r0 "v0"');
    await expectRead(keys.get(c, { readTimestamp }), 'DoesNotExist r-1');
    const space = { prefixKey: `p-${transport}`, durability: Persistent, readTimestamp };
    expect(await scans.bucket(space)).toMatchObject({ type: Type.Aborted, rows: [] });
    expect(await scans.scanAll(space)).toMatchObject({ type: Type.Aborted, rows: [] });
    const items = [a, b].map(key => ({ key, durability: Persistent }));
    expect((await keys.api.getMany(items, readTimestamp)).map(row => row.type)).toEqual([Type.Aborted, Type.Get]);
  }

  // A hold concerns every key of the cluster, so these follow one another and leave nothing held.
  describe.each(TRANSPORTS)('over %s', transport => {
    const over = (): Asked => three.over(transport);
    const own = (name: string): string => p(transport, name);

    test('keyvalues:H23 what an as-of read needs is gone: Aborted, and only where it is', async () => {
      const { keys } = over();
      await setOften(keys, own('b'), 1);
      past.set(transport, (await setOften(keys, own('a'), 10))[3] as Hlc);
      await setOften(keys, own('c'), 1);
      await removed(keys, own('a'), 7);
      await expectPruned(transport);
    });

    test('keyvalues:S9 keyvalues:S11 a hold keeps what was readable at its time; released, it goes', async () => {
      const { keys, holds } = over();
      const readTimestamp = (await keys.set(own('held'), 'then')).lastModified;
      const hold = await holds.acquire('s9', readTimestamp, HOUR_MS);
      expect(hold.type).toBe(Type.Set);
      await setOften(keys, own('held'), 20, 'later');
      await three.sweep();
      await expectRead(keys.get(own('held'), { readTimestamp }), 'Get r0 "then"');
      await expectSaid(keys.exists(own('held'), { readTimestamp }), 'Exists r0');

      expect((await holds.release(hold.holdId)).type).toBe(Type.Deleted);
      await removed(keys, own('held'), 18);
      await expectSaid(keys.get(own('held'), { readTimestamp }), 'Aborted');
      expect(await holds.acquire('s11', readTimestamp, HOUR_MS)).toEqual({
        type: Type.Aborted,
        holdId: '',
        leaseExpiry: ZERO,
      });
    });

    test('keyvalues:S10 two holds see each their own state', async () => {
      const { keys, holds } = over();
      const held: { readonly holdId: string; readonly at: Hlc; readonly wanted: string }[] = [];
      for (let i = 0; i < 2; i++) {
        const at = (await setOften(keys, own('twice'), 6, `before-hold-${i}-`)).at(-1) as Hlc;
        const { type, holdId } = await holds.acquire(`s10-${i}`, at, HOUR_MS);
        expect(type).toBe(Type.Set);
        held.push({ holdId, at, wanted: `Get r${6 * i + 5} "before-hold-${i}-5"` });
      }
      await setOften(keys, own('twice'), 20, 'after');
      // Below the lower hold history goes, so pruning is at work.
      await removed(keys, own('twice'), 4);
      await three.sweep();
      for (const { at, wanted } of held) await expectRead(keys.get(own('twice'), { readTimestamp: at }), wanted);
      for (const { holdId } of held) expect((await holds.release(holdId)).type).toBe(Type.Deleted);
    });
  });

  test('keyvalues:H24 the same after a restart of all nodes and under another leader', async () => {
    const { cluster } = three;
    await Promise.all(cluster.nodes.map(node => node.stop()));
    for (const node of cluster.nodes) node.start();
    await cluster.ready();
    for (const transport of TRANSPORTS) await expectPruned(transport);
    const old = await cluster.leaderOf(DATA_PARTITION);
    await cluster.node(old).stop();
    // Only once another leads: the old one may be elected again if it is back in time.
    await until('another leader', HANGS_MS, async () => {
      const now = await cluster.leaderOf(DATA_PARTITION);
      return now > 0 && now !== old;
    });
    cluster.node(old).start();
    await cluster.ready();
    expect(await cluster.leaderOf(DATA_PARTITION)).not.toBe(old);
    const now = { n: 0, l: Date.now(), c: 0xffff_ffff };
    for (const transport of TRANSPORTS) {
      await expectPruned(transport);
      const { keys } = three.over(transport);
      await expectRead(keys.get(p(transport, 'a')), 'Get r9 "v9"');
      await expectRead(keys.get(p(transport, 'a'), { readTimestamp: now }), 'Get r9 "v9"');
    }
  });
});

describe('the newest three versions of a key are kept', () => {
  let one: Pruned;

  beforeAll(async () => {
    one = await Pruned.start(1, ['--persistent-revision-retention-count', '3']);
  });

  afterAll(() => one?.close());

  test.concurrent.each(TRANSPORTS)(
    'keyvalues:H19 older revisions answer DoesNotExist, the latest is as it was (%s)',
    async transport => {
      const { keys } = one.over(transport);
      const name = `h19/${transport}`;
      await setOften(keys, name, 10);
      await removed(keys, name, 6);
      await one.sweep();
      for (const revision of [9, 8, 7]) await expectRead(keys.get(name, { revision }), `Get r${revision} "v${revision}"`);
      for (let revision = 0; revision <= 6; revision++) {
        await expectRead(keys.get(name, { revision }), `DoesNotExist r${revision}`);
        await expectSaid(keys.exists(name, { revision }), `DoesNotExist r${revision}`);
      }
      await expectRead(keys.get(name), 'Get r9 "v9"');
    },
  );

  test.concurrent.each(TRANSPORTS)('keyvalues:H20 a deleted key keeps its counter (%s)', async transport => {
    const { keys } = one.over(transport);
    const name = `h20/${transport}`;
    await setOften(keys, name, 10);
    await expectSaid(keys.delete(name), 'Deleted r9');
    await removed(keys, name, 6);
    await one.sweep();
    await expectRead(keys.get(name), 'DoesNotExist r9');
    await expectSaid(keys.set(name, 'again'), 'Set r10');
  });
});

describe('only the newest version of a key is kept', () => {
  let one: Pruned;

  beforeAll(async () => {
    one = await Pruned.start(1, ['--persistent-revision-retention-count', '1']);
  });

  afterAll(() => one?.close());

  test('keyvalues:S14 a hold also keeps every version of a key that is younger than its time', async () => {
    const { keys, holds } = one.over('gRPC');
    await setOften(keys, 's14/before', 5);
    const { lastModified } = await keys.set('s14/mark', 'v');
    const { type, holdId } = await holds.acquire('s14', lastModified, HOUR_MS);
    expect(type).toBe(Type.Set);
    await setOften(keys, 's14/after', 5);
    await removed(keys, 's14/before', 3);
    await one.sweep();
    for (let revision = 0; revision < 5; revision++) {
      await expectRead(keys.get('s14/after', { revision }), `Get r${revision} "v${revision}"`);
    }
    expect((await holds.release(holdId)).type).toBe(Type.Deleted);
    await removed(keys, 's14/after', 3);
  });
});

describe('versions go five seconds after they stopped being current', () => {
  const AGE_MS = 5000;
  let one: Pruned;

  beforeAll(async () => {
    one = await Pruned.start(1, ['--persistent-revision-retention-age', String(AGE_MS / 1000)]);
  });

  afterAll(() => one?.close());

  test('keyvalues:H21 age counts from the end of a version, not from its beginning', async () => {
    const { keys } = one.over('gRPC');
    const names = Array.from({ length: 20 }, (_, i) => `h21/k${i}`);
    for (const name of names) await keys.set(name, 'old');
    await sleep(AGE_MS + 500);
    // By its beginning each is old enough by now. A pass that came too late after its end says nothing: then the next one is asked.
    let young: { readonly name: string; readonly end: Hlc; readonly type: number } | undefined;
    for (let i = 0; young === undefined; i++) {
      expect(i, 'no pass came in time').toBeLessThan(names.length);
      const name = names[i] as string;
      const { lastModified: end } = await keys.set(name, 'new');
      await one.sweep();
      const { type } = await keys.get(name, { revision: 0 });
      const { lastModified: now } = await keys.set('h21/clock', 'v');
      if (now.l - end.l < AGE_MS) young = { name, end, type };
    }
    expect(young.type).toBe(Type.Get);
    await removed(keys, young.name, 0);
    const { lastModified: gone } = await keys.set('h21/clock', 'v');
    expect(gone.l - young.end.l).toBeGreaterThanOrEqual(AGE_MS);
    await expectRead(keys.get(young.name), 'Get r1 "new"');
  });
});

describe('history of a second, on three nodes', () => {
  let three: Pruned;

  beforeAll(async () => {
    three = await Pruned.start(3, ['--persistent-revision-retention-age', '1', '--range-collection-interval', '5']);
  });

  afterAll(() => three?.close());

  test('operations:13 deleted and expired keys keep their counters over pruning and a restart of all nodes', async () => {
    const { cluster } = three;
    const { keys } = three.over('REST');
    for (const [name, end] of [
      ['deleted', () => keys.delete('ops13/deleted')],
      ['expired', () => keys.extend('ops13/expired', 1)],
    ] as const) {
      await setOften(keys, `ops13/${name}`, 4);
      await end();
    }
    for (const name of ['deleted', 'expired']) await removed(keys, `ops13/${name}`, 2);
    await three.sweep();
    await Promise.all(cluster.nodes.map(node => node.kill()));
    for (const node of cluster.nodes) node.start();
    await cluster.ready();
    const stream = new BatchKv(cluster.node(1).options.grpcAddress);
    for (const name of ['deleted', 'expired']) {
      await expectRead(keys.get(`ops13/${name}`), 'DoesNotExist r3');
      await expectRead(stream.get({ key: `ops13/${name}`, durability: Persistent }), 'DoesNotExist r3');
      await expectSaid(keys.set(`ops13/${name}`, 'again'), 'Set r4');
    }
    stream.close();
  });
});
