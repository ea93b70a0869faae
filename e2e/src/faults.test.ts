import { checkRegisters } from '@kahuna/sim';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { expectRead, expectSaid } from './acceptance/case.ts';
import { DiskFull } from './chaos/disk-full.ts';
import { Workload } from './chaos/history.ts';
import { BatchKv, GrpcKv } from './clients/grpc-kv.ts';
import { type Answer, type KvApi, Persistent, Type } from './clients/kv-api.ts';
import { putText, RestKv } from './clients/rest-kv.ts';
import { Cluster, type ClusterOptions, FAST_ELECTIONS } from './harness/cluster.ts';
import { HANGS_MS, sleep, until } from './harness/processes.ts';

/** For the tests that need nothing special of it; each leaves it mended and uses keys of its own. */
let shared: Cluster | undefined;
/** Of the present test alone. */
let special: Cluster | undefined;
let apis: KvApi[] = [];

afterEach(async context => {
  for (const api of apis) api.close();
  apis = [];
  await special?.close();
  special = undefined;
  if (context.task.result?.state === 'fail') {
    await shared?.close();
    shared = undefined;
  }
  await shared?.mend();
});

afterAll(async () => {
  await shared?.close();
});

/** A cluster of its own for a test that names options, else the shared one. */
async function three(options?: ClusterOptions): Promise<{ cluster: Cluster; rest: RestKv[] }> {
  if (options === undefined) shared ??= await Cluster.start({ args: FAST_ELECTIONS });
  else special = await Cluster.start({ ...options, args: [...FAST_ELECTIONS, ...(options.args ?? [])] });
  const cluster = (special ?? shared) as Cluster;
  const rest = cluster.nodes.map(node => new RestKv(node.url));
  apis.push(...rest);
  return { cluster, rest };
}

/** Key spaces that hashing puts into each partition of a pool of three: routing §3.2. */
const SPACE_IN: Readonly<Record<number, string>> = { 2: 'trailing', 3: 'orders', 4: 'users' };
let keysGiven = 0;

/** A key in this partition that no other test has used. */
const keyIn = (partition: number): string => `${SPACE_IN[partition]}/key-${++keysGiven}`;

/** A node of three that is none of these. */
const otherThan = (...numbers: number[]): number => [1, 2, 3].find(number => !numbers.includes(number)) as number;

test('operations:2 keyvalues:C7 kill -9 the leader of every partition in turn under load: nothing acknowledged is lost', async () => {
  const { cluster } = await three();
  const workload = new Workload({ seed: 7, thinkMs: 5, keys: 9, epochMs: 15_000 });
  const clients: KvApi[] = cluster.nodes.flatMap(node => [
    new BatchKv(node.options.grpcAddress),
    new RestKv(node.url),
    new GrpcKv(node.options.grpcAddress),
  ]);
  apis.push(...clients);
  workload.start(clients);
  for (const partition of [2, 3, 4]) {
    const leader = await cluster.leaderOf(partition);
    await cluster.node(leader).kill();
    const survivor = cluster.node(otherThan(leader));
    await until('another leader', HANGS_MS, async () => {
      const now = await cluster.leaderOf(partition, survivor);
      return now > 0 && now !== leader;
    });
    await sleep(300);
    cluster.node(leader).start();
    await cluster.ready();
  }
  await until('enough operations', HANGS_MS, () => workload.counts.answered > 500);
  await workload.stop();
  for (const [i, key] of workload.keys().entries()) {
    expect(await workload.readBack(i % 9, clients[i % 9] as KvApi, key, HANGS_MS), `${key} is readable`).toBe(true);
  }
  const report = checkRegisters(workload.history);
  expect(report.violation).toBeUndefined();
});

describe('keyvalues:C8 operations:9 a leader that was stopped for twenty seconds answers nothing old when it goes on', () => {
  test('through requests that waited in its sockets and through later ones', async () => {
    const { cluster, rest } = await three();
    const partition = 4;
    const key = keyIn(partition);
    await expectSaid(putText(rest[0] as RestKv, key, 'old'), 'Set r0');
    const old = await cluster.leaderOf(partition);
    cluster.node(old).pause();
    const survivor = rest[otherThan(old) - 1] as RestKv;
    const begin = performance.now();
    await until('the key is overwritten', HANGS_MS, async () => (await putText(survivor, key, 'new')).type === Type.Set);
    await sleep(Math.max(0, 20_000 - (performance.now() - begin)));

    // Requests that lie in the stopped node's sockets are the first thing it sees when it goes on.
    const through = cluster.node(old);
    const waiting = Array.from({ length: 10 }, () => {
      const api = new RestKv(through.url);
      apis.push(api);
      return api.get({ key, durability: Persistent });
    });
    const stream = new BatchKv(through.options.grpcAddress);
    apis.push(stream);
    await sleep(50);
    through.resume();
    const answers: Answer[] = await Promise.all(waiting);
    for (let i = 0; i < 50; i++) answers.push(await stream.get({ key, durability: Persistent }));
    expect(answers.filter(answer => answer.type === Type.Get && answer.value?.toString() !== 'new')).toEqual([]);
    expect([...new Set(answers.map(answer => answer.type))].filter(type => type !== Type.Get && type !== Type.MustRetry)).toEqual(
      [],
    );
    await cluster.ready();
    const newest = await survivor.get({ key, durability: Persistent });
    await expectRead(stream.get({ key, durability: Persistent }), `Get r${newest.revision} "new"`);
  });
});

test('an isolated leader answers no read from its lease once another leads, and nothing it took alone counts', async () => {
  const { cluster, rest } = await three();
  const key = keyIn(3);
  await putText(rest[0] as RestKv, key, 'before');
  const old = await cluster.leaderOf(3);
  cluster.network.isolate(old);
  const stale: Answer[] = [];
  let polling = true;
  const isolated = rest[old - 1] as RestKv;
  let overwrittenAt = Number.POSITIVE_INFINITY;
  const poll = (async () => {
    while (polling) {
      const asked = performance.now();
      const answer = await isolated.get({ key, durability: Persistent });
      if (asked > overwrittenAt && answer.type === Type.Get && answer.value?.toString() === 'before') stale.push(answer);
      await sleep(2);
    }
  })();
  const lonely = putText(isolated, key, 'taken alone');
  const survivor = rest[otherThan(old) - 1] as RestKv;
  await until('the key is overwritten', HANGS_MS, async () => (await putText(survivor, key, 'after')).type === Type.Set);
  overwrittenAt = performance.now();
  await sleep(1500);
  cluster.network.heal();
  polling = false;
  await poll;
  await cluster.ready();
  expect(stale).toEqual([]);
  const alone = await lonely;
  const final = await survivor.get({ key, durability: Persistent });
  if (alone.type === Type.Set) {
    // It was not acknowledged alone: it took effect through the new leader, at a revision of its own.
    expect(alone.revision).toBeGreaterThan(0);
  } else {
    expect(alone.type).toBe(Type.MustRetry);
  }
  expect(final.revision).toBeGreaterThanOrEqual(1);
  for (const api of rest) {
    expect((await api.get({ key, durability: Persistent })).revision).toBe(final.revision);
  }
});

test('keyvalues:X12 a key expires on the new leader as it would have on the old', async () => {
  const { cluster, rest } = await three();
  const key = keyIn(2);
  await (rest[0] as RestKv).set({ key, value: Buffer.from('v'), expiresMs: 500, durability: Persistent });
  const old = await cluster.leaderOf(2);
  await cluster.node(old).kill();
  await sleep(1000);
  const survivor = rest[otherThan(old) - 1] as RestKv;
  const answer = await until('an answer', HANGS_MS, async () => {
    const got = await survivor.get({ key, durability: Persistent });
    return got.type === Type.MustRetry ? undefined : got;
  });
  expect([answer.type, answer.revision]).toEqual([Type.DoesNotExist, 0]);
});

test('keyvalues:D14 the whole cluster is killed and started again: counters, values and roster are as they were', async () => {
  const { cluster, rest } = await three();
  const api = rest[1] as RestKv;
  for (let i = 0; i < 4; i++) await putText(api, 'd14', String(i));
  await api.delete({ key: 'd14', durability: Persistent });
  for (let i = 0; i < 30; i++) await putText(api, `all/${i}`, String(i));
  const roster = await cluster.membership();
  await Promise.all(cluster.nodes.map(node => node.kill()));
  for (const node of cluster.nodes) node.start();
  await cluster.ready();
  await expectRead(api.get({ key: 'd14', durability: Persistent }), 'DoesNotExist r3');
  await expectSaid(putText(api, 'd14', 'again'), 'Set r4');
  for (let i = 0; i < 30; i++) await expectRead(api.get({ key: `all/${i}`, durability: Persistent }), `Get r0 "${i}"`);
  expect(await cluster.membership()).toEqual(roster);
});

test('keyvalues:C9 ephemeral keys go with their leader, and the next set begins at 0', async () => {
  const { cluster, rest } = await three();
  const key = keyIn(4);
  await expectSaid((rest[0] as RestKv).set({ key, value: Buffer.from('e'), durability: 0 }), 'Set r0');
  const old = await cluster.leaderOf(4);
  await cluster.node(old).kill();
  const survivor = rest[otherThan(old) - 1] as RestKv;
  await until('another leader', HANGS_MS, async () => (await survivor.get({ key, durability: 0 })).type === Type.DoesNotExist);
  await expectRead(survivor.get({ key, durability: 0 }), 'DoesNotExist r-1');
  await expectSaid(survivor.set({ key, value: Buffer.from('e'), durability: 0 }), 'Set r0');
});

describe('a follower that was away catches up under load', () => {
  async function catchUp(writes: number, options?: ClusterOptions): Promise<void> {
    const { cluster, rest } = await three(options);
    const leader = await cluster.leaderOf(3);
    const away = otherThan(leader);
    await cluster.node(away).kill();
    const writer = new BatchKv(cluster.node(leader).options.grpcAddress);
    apis.push(writer);
    for (let from = 0; from < writes; from += 500) {
      const batch = Array.from({ length: 500 }, (_, i) => putText(writer, `orders/${(from + i) % 400}`, `v${from + i}`));
      const answers = await Promise.all(batch);
      expect(answers.every(answer => answer.type === Type.Set)).toBe(true);
    }
    let running = true;
    const load = (async () => {
      for (let i = 0; running; i++, await sleep(2)) await putText(writer, 'users/busy', String(i)).catch(() => sleep(50));
    })();
    cluster.node(away).start();
    await cluster.ready();
    running = false;
    await load;
    // The others go, so that the one that was away has to lead with what it caught up.
    const third = otherThan(leader, away);
    const expected = await Promise.all(
      Array.from({ length: 20 }, (_, i) => writer.get({ key: `orders/${i * 20}`, durability: Persistent })),
    );
    await cluster.node(leader).kill();
    await until('a leader without the old one', HANGS_MS, async () => {
      const now = await cluster.leaderOf(3, cluster.node(third));
      return now > 0 && now !== leader;
    });
    const reader = rest[away - 1] as RestKv;
    for (const [i, wanted] of expected.entries()) {
      const got = await until('an answer', HANGS_MS, async () => {
        const answer = await reader.get({ key: `orders/${i * 20}`, durability: Persistent });
        return answer.type === Type.MustRetry ? undefined : answer;
      });
      expect([got.revision, got.value?.toString()]).toEqual([wanted.revision, wanted.value?.toString()]);
    }
  }

  test('by log', async () => {
    await catchUp(2000);
  });

  test('by snapshot, because the log it would need is compacted', async () => {
    const args = ['--raft-compact-every-operations', '200', '--raft-compact-number-entries', '100', '--checkpoint-interval', '1'];
    await catchUp(6000, { args });
  });
});

test('operations:14 operations:9 a full disk stops the node loudly, loses nothing, and the others go on', async () => {
  const disk = await DiskFull.create();
  try {
    expect(disk.faults().length, 'this test mounts small file systems and needs root').toBe(1);
    const { cluster, rest } = await three({ dataDirectory: node => disk.directoryOf(node) });
    const victim = await cluster.leaderOf(3);
    const acknowledged = new Map<string, string>();
    const writer = rest[otherThan(victim) - 1] as RestKv;
    const write = async (i: number): Promise<void> => {
      const key = `orders/${i}`;
      if ((await putText(writer, key, String(i))).type === Type.Set) acknowledged.set(key, String(i));
    };
    for (let i = 0; i < 50; i++) await write(i);
    disk.fill(victim);
    let faultSeen: string | null = null;
    let done = false;
    const watch = (async () => {
      while (!done) {
        const health = await cluster
          .node(victim)
          .health()
          .catch(() => undefined);
        if (health?.body.fatalFault) {
          faultSeen = health.body.fatalFault;
          expect(health.status).toBe(503);
        }
        await sleep(20);
      }
    })();
    const exit = cluster.node(victim).exited();
    let ended = false;
    void exit.then(() => {
      ended = true;
    });
    const big = Buffer.alloc(256 * 1024, 7);
    for (let i = 50; !ended && i < 4000; i++) {
      await write(i);
      await writer.set({ key: `orders/ballast-${i % 40}`, value: big, durability: Persistent });
    }
    const { code } = await exit;
    done = true;
    await watch;
    expect(code).toBe(1);
    expect(faultSeen).not.toBeNull();
    expect(cluster.node(victim).output).toMatch(/critical/i);
    await until('a write on the others', HANGS_MS, async () => (await putText(writer, 'orders/after', 'v')).type === Type.Set);
    for (const fault of disk.faults()) await fault.repair(cluster, victim);
    await cluster.ready();
    const reader = rest[victim - 1] as RestKv;
    for (const [key, value] of acknowledged) {
      expect((await reader.get({ key, durability: Persistent })).value?.toString()).toBe(value);
    }
  } finally {
    await special?.close();
    disk.remove();
  }
});

test('a node that stops in an orderly way hands over: writes go on, and none waits for so long that it must be tried again', async () => {
  const { cluster, rest } = await three();
  const leader = await cluster.leaderOf(3);
  const survivor = rest[otherThan(leader) - 1] as RestKv;
  const answers: Answer[] = [];
  let running = true;
  const writer = (async () => {
    while (running) answers.push(await putText(survivor, 'orders/handover', 'v'));
  })();
  expect(await cluster.node(leader).stop()).toBe(0);
  const before = answers.length;
  await until('writes without it', HANGS_MS, () => answers.length > before + 10);
  running = false;
  await writer;
  expect(answers.filter(answer => answer.type !== Type.Set)).toEqual([]);
});
