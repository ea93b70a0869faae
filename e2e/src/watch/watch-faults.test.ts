import { setTimeout as delay } from 'node:timers/promises';
import {
  type Change,
  compareHlc,
  grpcTransport,
  Kahuna,
  KahunaError,
  type LockChange,
  restTransport,
  text,
  type Watch,
} from '@kahuna/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS } from '../harness/processes.ts';

const KEYS = 6;
const ENOUGH_CHANGES = 300;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ breakableNetwork: false, args: FAST_ELECTIONS });
});
afterAll(() => cluster?.close());

/** Collects what a watch tells until it is stopped. */
function collect<C>(begin: (signal: AbortSignal) => Watch<C>) {
  const stop = new AbortController();
  const watch = begin(stop.signal);
  const changes: C[] = [];
  const loop = (async () => {
    try {
      for await (const change of watch) changes.push(change);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  })();
  loop.catch(() => undefined);
  const end = (): Promise<void> => {
    stop.abort();
    return loop;
  };
  return { watch, changes, stop: end };
}

/** Revisions of each key without gap and repetition, and stamps that grow within each partition. */
function checkOrder(changes: readonly Change[]): void {
  const revisions = new Map<string, number>();
  const stamps = new Map<number, Change>();
  for (const change of changes) {
    const before = stamps.get(change.partition);
    if (before !== undefined) expect(compareHlc(before.stamp, change.stamp)).toBeLessThanOrEqual(0);
    stamps.set(change.partition, change);
    const revision = revisions.get(change.key) ?? -1;
    expect(change.revision, `${change.kind} of ${change.key}`).toBe(change.kind === 'set' ? revision + 1 : revision);
    revisions.set(change.key, change.revision);
  }
}

test('every node is killed in turn under watches: no gap, no repetition, and the last that is told is what is there', async () => {
  await using kahuna = new Kahuna({ endpoints: cluster.nodes.map(node => node.url), repeatWrites: 'never' });
  const texts = kahuna.keys.as(text);
  // Each one begins at another node; one of them as a browser does.
  const watchers = cluster.nodes.map((node, i) => {
    const endpoints = [node.url, ...cluster.nodes.map(other => other.url)];
    const transport = i === 1 ? restTransport({ WebSocket }) : grpcTransport();
    return new Kahuna({ endpoints, learnRoutes: false, transport });
  });
  const collected = watchers.flatMap(client => [
    collect(signal => client.watch.prefix('watched-', { signal, progressMs: 200 })),
    collect(signal => client.watch.bucket('watched-1', { signal, progressMs: 200 })),
  ]);
  const locks = watchers.map(client => collect(signal => client.watch.lock('watched-lock', { signal, progressMs: 200 })));
  await Promise.all([...collected, ...locks].map(({ watch }) => watch.started));

  let done = false;
  let writes = 0;
  const writing = Array.from({ length: KEYS }, async (_, writer) => {
    const key = `watched-${writer % 3}/${writer}`;
    for (let round = 0; !done; round++) {
      try {
        if (round % 10 === 9) await texts.delete(key);
        else await texts.set(key, String(round), round % 7 === 6 ? { ttlMs: 40 } : {});
        writes += 1;
      } catch (error) {
        if (!(error instanceof KahunaError)) throw error;
      }
      await delay(round % 7 === 6 ? 60 : 5);
    }
  });
  const locking = (async () => {
    for (let round = 0; !done; round++) {
      const lease = { owner: `owner-${round}`, leaseMs: round % 3 === 2 ? 100 : 60_000 };
      try {
        const { type } = await kahuna.locks.acquire('watched-lock', lease);
        if (type === 'locked' && round % 3 !== 2) await kahuna.locks.release('watched-lock', lease);
      } catch (error) {
        if (!(error instanceof KahunaError)) throw error;
        // It may be held all the same; its owner is not known to anybody else.
        await kahuna.locks.release('watched-lock', lease).catch(() => undefined);
      }
      await delay(20);
    }
  })();
  for (const node of cluster.nodes) {
    const from = writes;
    await expect.poll(() => writes - from, { timeout: HANGS_MS }).toBeGreaterThan(ENOUGH_CHANGES / 3);
    await node.kill();
    await expect.poll(() => writes - from, { timeout: HANGS_MS }).toBeGreaterThan(ENOUGH_CHANGES);
    node.start();
    await cluster.ready();
  }
  done = true;
  await Promise.all([...writing, locking]);
  for (let i = 0; i < KEYS; i++) await texts.set(`watched-${i % 3}/${i}`, 'last');

  for (const { changes } of collected) {
    const isLast = ({ kind, value }: Change): boolean => kind === 'set' && Buffer.from(value ?? []).toString() === 'last';
    const spaces = changes.some(change => !change.key.startsWith('watched-1/')) ? KEYS : KEYS / 3;
    await expect.poll(() => changes.filter(isLast).length, { timeout: HANGS_MS }).toBe(spaces);
    checkOrder(changes);
  }
  // Whoever watched the same was told the same, extensions apart.
  const prefixes = collected.filter((_, at) => at % 2 === 0).map(({ changes }) => byPartition(changes));
  expect(prefixes[1]).toEqual(prefixes[0]);
  expect(prefixes[2]).toEqual(prefixes[0]);
  expect(prefixes[0]?.some(told => told.includes(' expire '))).toBe(true);
  const { fencingToken: last } = await acquired(kahuna);
  for (const { changes } of locks) {
    const isLast = ({ kind, fencingToken }: LockChange): boolean => kind === 'acquired' && fencingToken === last;
    await expect.poll(() => changes.filter(isLast).length, { timeout: HANGS_MS }).toBe(1);
    checkLock(changes);
  }
  for (const { stop } of [...collected, ...locks]) await stop();
  for (const client of watchers) await client.close();
});

test('an ephemeral lock is watched on its leader, found from any node, and on the next one once that is killed', async () => {
  const watchers = cluster.nodes.map((node, i) => {
    const endpoints = [node.url, ...cluster.nodes.map(other => other.url)];
    const transport = i === 1 ? restTransport({ WebSocket }) : grpcTransport();
    return new Kahuna({ endpoints, learnRoutes: false, transport, durability: 'ephemeral' });
  });
  const [kahuna] = watchers as [Kahuna];
  const collected = watchers.map(client => collect(signal => client.watch.lock('brief', { signal, progressMs: 200 })));
  await Promise.all(collected.map(({ watch }) => watch.started));
  const first = await kahuna.locks.acquire('brief', { owner: 'first', leaseMs: 600_000 });
  for (const { changes } of collected) {
    await expect
      .poll(() => changes.at(-1), { timeout: HANGS_MS })
      .toMatchObject({ held: true, fencingToken: first.fencingToken });
    checkLock(changes);
  }
  const leader = await leaderOfLock(kahuna);
  const before = collected.map(({ changes }) => changes.length);
  await leader.kill();
  // What lived in the memory of that leader is gone with it.
  for (const [i, { changes }] of collected.entries()) {
    await expect.poll(() => changes.slice(before[i]), { timeout: HANGS_MS }).toMatchObject([{ kind: 'snapshot', held: false }]);
  }
  leader.start();
  await cluster.ready();
  for (const { stop } of collected) await stop();
  for (const client of watchers) await client.close();
});

async function leaderOfLock(kahuna: Kahuna) {
  const { partition } = await firstOf(kahuna.watch.lock('brief'));
  const number = await cluster.leaderOf(partition);
  return cluster.node(number);
}

async function firstOf<C>(watch: Watch<C>): Promise<C> {
  for await (const change of watch) return change;
  throw new Error('a watch ended without a change');
}

/** Takes the lock once whoever has it is gone. */
async function acquired(kahuna: Kahuna): Promise<{ readonly fencingToken: bigint }> {
  for (;;) {
    const grant = await kahuna.locks.acquire('watched-lock', { owner: 'the last', leaseMs: 600_000 });
    if (grant.type === 'locked') return grant;
    const holder = await kahuna.locks.info('watched-lock');
    if (holder !== undefined) await kahuna.locks.release('watched-lock', { owner: holder.owner });
  }
}

/** Tokens and stamps never fall, and each change follows from the state that was told before it. */
function checkLock(changes: readonly LockChange[]): void {
  let state: LockChange | undefined;
  for (const change of changes) {
    const { kind, fencingToken, held } = change;
    const told = `${kind} ${fencingToken} after ${state?.kind} ${state?.fencingToken}`;
    if (state === undefined) expect(kind).toBe('snapshot');
    else if (kind === 'snapshot') expect(fencingToken, told).toBeGreaterThanOrEqual(state.fencingToken);
    else if (kind === 'acquired') expect([state.held, fencingToken], told).toEqual([false, state.fencingToken + 1n]);
    else expect([state.held, fencingToken], told).toEqual([true, state.fencingToken]);
    if (kind !== 'snapshot') expect(held, told).toBe(kind === 'acquired' || kind === 'extended');
    if (state !== undefined) expect(compareHlc(state.stamp, change.stamp), told).toBeLessThanOrEqual(0);
    state = change;
  }
}

function byPartition(changes: readonly Change[]): string[] {
  const told = changes.map(
    ({ partition, stamp, kind, key, revision }) => `${partition} ${stamp.l}.${stamp.c} ${kind} ${key} ${revision}`,
  );
  // Partitions may come in any order among each other.
  return told.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}
