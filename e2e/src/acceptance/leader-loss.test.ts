import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BatchKv, GrpcKv } from '../clients/grpc-kv.ts';
import { type Answer, Ephemeral, type KvApi, Persistent, type Row, Type } from '../clients/kv-api.ts';
import { http, RestKv } from '../clients/rest-kv.ts';
import { GrpcScans } from '../clients/scan-api.ts';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS, sleep, until } from '../harness/processes.ts';
import type { ServerProcess } from '../harness/server.ts';
import { expectRead, expectSaid, said } from './case.ts';

/** A key space that hashing puts into partition 4 of a pool of three: routing §3.2. */
const SPACE = 'users';
const PARTITION = 4;
/** Shortest of the waits after which a node may answer MustRetry (keyvalues §15.3), less what timers lose. Milliseconds. */
const INTERNAL_WAIT_MS = 4900;

const clients: KvApi[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

/** One client of each transport for a node. */
function clientsOf(node: ServerProcess): readonly KvApi[] {
  const { grpcAddress } = node.options;
  const apis = [new RestKv(node.url), new GrpcKv(grpcAddress), new BatchKv(grpcAddress)];
  clients.push(...apis);
  return apis;
}

describe('elections within a second', () => {
  let cluster: Cluster;
  /** A node of three that is none of these. */
  const otherThan = (...numbers: number[]): number => [1, 2, 3].find(number => !numbers.includes(number)) as number;

  beforeAll(async () => {
    cluster = await Cluster.start({ args: FAST_ELECTIONS });
  });

  afterAll(() => cluster?.close());

  afterEach(() => cluster.mend());

  /** Waits until a node that is not cut off knows another leader. */
  async function anotherLeader(than: number): Promise<number> {
    const witness = cluster.node(otherThan(than));
    return until('another leader', HANGS_MS, async () => {
      const leader = await cluster.leaderOf(PARTITION, witness);
      return leader > 0 && leader !== than ? leader : undefined;
    });
  }

  test('keyvalues:C14 a set whose outcome the server does not know is MustRetry, also where it takes effect', async () => {
    const leader = await cluster.leaderOf(PARTITION);
    const apis = clientsOf(cluster.node(leader));
    const requestOf = (api: KvApi) => ({ key: `${SPACE}/c14-${api.name}`, durability: Persistent });
    for (const api of apis) await api.set({ ...requestOf(api), value: Buffer.from('before') });
    // What the leader sends arrives, so its followers store the sets; what they say of it does not come back.
    for (const number of [1, 2, 3]) if (number !== leader) cluster.network.block(number, leader);
    const unknown = await Promise.all(apis.map(api => api.set({ ...requestOf(api), value: Buffer.from('unknown') })));
    expect(unknown.map(said)).toEqual(Array(apis.length).fill('MustRetry'));
    cluster.network.heal();
    await cluster.ready();
    for (const api of apis) {
      const { type, revision, value } = await until('an answer', HANGS_MS, async () => {
        const answer = await api.get(requestOf(api));
        return answer.type === Type.MustRetry ? undefined : answer;
      });
      // It was done or it was not, and never twice.
      expect([type, revision, String(value)]).toEqual([Type.Get, revision === 0 ? 0 : 1, revision === 0 ? 'before' : 'unknown']);
    }
  });

  test('keyvalues:C10 ephemeral keys are not revived when leadership comes back', async () => {
    const home = await cluster.leaderOf(PARTITION);
    const key = `${SPACE}/c10`;
    const [api] = clientsOf(cluster.node(home)) as [KvApi];
    await expectSaid(api.set({ key, value: Buffer.from('e'), durability: Ephemeral }), 'Set r0');
    // A leader elected in between would begin at r0 again.
    await until('two sets under one leader', HANGS_MS, async () => {
      return said(await api.set({ key, value: Buffer.from('e'), durability: Ephemeral })) === 'Set r1';
    });
    for (let leader = home, moves = 0; leader !== home || moves === 0; moves++) {
      expect(moves, 'leadership does not come back').toBeLessThan(30);
      cluster.network.isolate(leader);
      leader = await anotherLeader(leader);
      cluster.network.heal();
      await cluster.ready();
    }
    for (const client of clientsOf(cluster.node(home))) {
      await expectRead(client.get({ key, durability: Ephemeral }), 'DoesNotExist r-1');
    }
    await expectSaid(api.set({ key, value: Buffer.from('e'), durability: Ephemeral }), 'Set r0');
  });

  test('grpc:10 keyvalues:C7 the leader is killed under load: survivors answer OK, and MustRetry only after their waits', async () => {
    const leader = await cluster.leaderOf(PARTITION);
    const survivors = cluster.nodes.filter((_, i) => i + 1 !== leader);
    const apis = survivors.flatMap(clientsOf);
    const scans = survivors.map(node => new GrpcScans(node.options.grpcAddress));
    const acknowledged = new Map<string, number>();
    const hasty: string[] = [];
    let answers = 0;
    let load = true;

    async function timed(what: string, call: () => Promise<Answer>): Promise<Answer> {
      const asked = performance.now();
      const answer = await call();
      const tookMs = performance.now() - asked;
      answers += 1;
      if (answer.type === Type.MustRetry && tookMs < INTERNAL_WAIT_MS)
        hasty.push(`${what}: MustRetry after ${tookMs.toFixed()} ms`);
      if (answer.type !== Type.MustRetry && answer.type !== Type.Set && answer.type !== Type.Get)
        hasty.push(`${what}: ${said(answer)}`);
      return answer;
    }
    const workers = apis.map(async (api, worker) => {
      const key = `${SPACE}/grpc10-${worker}`;
      while (load) {
        const set = await timed(`set over ${api.name}`, () => api.set({ key, value: Buffer.from('v'), durability: Persistent }));
        if (set.type === Type.Set) acknowledged.set(key, set.revision);
        await timed(`get over ${api.name}`, () => api.get({ key, durability: Persistent }));
      }
    });
    const walkers = scans.map(async scan => {
      while (load) {
        const pages = await scan.pages({ prefix: SPACE, durability: Persistent, limit: 2 });
        for (const { type } of pages) expect(type).toBe(Type.Get);
      }
    });
    const busy = (count: number): Promise<unknown> => until('load', HANGS_MS, () => answers > count);
    await busy(200);
    await cluster.node(leader).kill();
    await anotherLeader(leader);
    await busy(answers + 200);
    load = false;
    // A call that ends with another status than OK rejects, and so does this.
    await Promise.all([...workers, ...walkers]);
    expect(hasty).toEqual([]);
    for (const [key, revision] of acknowledged) {
      const [api] = apis as [KvApi];
      expect((await api.get({ key, durability: Persistent })).revision).toBeGreaterThanOrEqual(revision);
    }
    for (const scan of scans) scan.close();
  });
});

describe('keyvalues:M10 one node does not answer, and no other may lead its partitions yet', () => {
  const PARTITIONS = 8;
  const REBALANCE = JSON.stringify({ kind: 'rebalance-leaders', params: {}, expect: {} });
  // Nobody is elected while the promise to the silent leader holds: three quarters of the shorter time.
  const SLOW_ELECTIONS = [
    ...['--raft-start-election-timeout', '14000', '--raft-end-election-timeout', '16000', '--raft-timer-initial-delay', '300'],
    ...['--raft-heartbeat-interval', '200', '--raft-check-leader-interval', '200', '--raft-ping-interval', '300'],
    ...['--raft-ping-timeout', '200'],
  ];
  let cluster: Cluster;
  /** A key in each partition, by partition. */
  const keys = new Map<number, string>();
  /** Partitions of the node that will be silent. */
  let silent: number;
  let lost: ReadonlySet<number>;

  beforeAll(async () => {
    cluster = await Cluster.start({ partitions: PARTITIONS, breakableNetwork: false, args: SLOW_ELECTIONS });
    const [api] = clientsOf(cluster.node(1)) as [KvApi];
    for (let i = 0; keys.size < PARTITIONS; i++) {
      const { route } = await api.set({ key: `m10-${i}`, value: Buffer.from('v'), durability: Persistent });
      if (route && !keys.has(route.partitionId)) keys.set(route.partitionId, `m10-${i}`);
    }
    [silent, lost] = await until('leaders on several nodes', HANGS_MS, async () => {
      const one = await oneOfSeveralLeaders();
      if (one !== undefined) return one;
      // A node that was up long before the others leads every partition.
      await http(`${cluster.node(1).url}/v1/console/operations`, { body: REBALANCE });
      await sleep(1000);
      return undefined;
    });
  });

  /** A node that leads some of the partitions, and which. */
  async function oneOfSeveralLeaders(): Promise<readonly [number, ReadonlySet<number>] | undefined> {
    const ledBy = new Map<number, Set<number>>();
    for (const partition of keys.keys()) {
      const leader = await cluster.leaderOf(partition);
      ledBy.set(leader, (ledBy.get(leader) ?? new Set()).add(partition));
    }
    return [...ledBy].find(([leader, led]) => leader > 0 && led.size < PARTITIONS);
  }

  afterAll(() => cluster?.close());

  test('its rows are MustRetry, the others are answered', async () => {
    const asked = [...keys.values()].map(key => ({ key, durability: Persistent }));
    const wanted = (type: number): unknown[] =>
      [...keys].map(([partition, key]) => [key, lost.has(partition) ? Type.MustRetry : type]);
    const found = (rows: readonly Row[]): unknown[] => rows.map(row => [row.key, row.type]);
    const others = cluster.nodes.filter((_, i) => i + 1 !== silent).flatMap(clientsOf);
    cluster.node(silent).pause();
    // Long enough for the connection to be in use by heartbeats alone, short enough for the promise.
    await sleep(200);
    await Promise.all(
      others.map(async api => {
        const [got, existing] = await Promise.all([api.getMany(asked), api.existsMany(asked)]);
        expect(found(got)).toEqual(wanted(Type.Get));
        expect(found(existing)).toEqual(wanted(Type.Exists));
      }),
    );
    cluster.node(silent).resume();
    await cluster.ready();
    for (const api of others) expect(found(await api.getMany(asked))).toEqual([...keys.values()].map(key => [key, Type.Get]));
  });
});
