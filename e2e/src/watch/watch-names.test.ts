import { setTimeout as delay } from 'node:timers/promises';
import { Kahuna, KahunaError, type LockChange, type SequenceChange, type Watch } from '@kahuna/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS } from '../harness/processes.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ breakableNetwork: false, args: FAST_ELECTIONS });
});
afterAll(() => cluster?.close());

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
  return {
    watch,
    changes,
    stop: (): Promise<void> => {
      stop.abort();
      return loop;
    },
  };
}

/** Repeats what fails while the cluster looks for a leader. */
async function settled<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof KahunaError)) throw error;
      await delay(50);
    }
  }
}

async function killLeader(partition: number): Promise<number> {
  const leader = await cluster.leaderOf(partition);
  const node = cluster.nodes[leader - 1];
  expect(node).toBeDefined();
  await node?.kill();
  return leader;
}

test('a sequence is watched over the death of its leader: no block goes back or is told twice, and the last is what get shows', async () => {
  await using kahuna = new Kahuna({ endpoints: cluster.nodes.map(node => node.url), repeatWrites: 'never' });
  const sequence = kahuna.sequence('watched-sequence');
  const watchers = cluster.nodes.map(
    node => new Kahuna({ endpoints: [node.url, ...cluster.nodes.map(({ url }) => url)], learnRoutes: false }),
  );
  const collected = watchers.map(client =>
    collect(signal => client.watch.sequence('watched-sequence', { signal, progressMs: 200 })),
  );
  await Promise.all(collected.map(({ watch }) => watch.started));
  await settled(() => sequence.ensure({ blockSize: 5 }));
  let done = false;
  let taken = 0;
  const taking = (async () => {
    while (!done) {
      await settled(() => sequence.next());
      taken++;
    }
  })();
  const [first] = collected;
  await expect.poll(() => first?.changes.length ?? 0, { timeout: HANGS_MS }).toBeGreaterThan(5);
  const partition = first?.changes.at(-1)?.partition ?? 0;
  const killed = await killLeader(partition);
  const from = taken;
  await expect.poll(() => taken - from, { timeout: HANGS_MS }).toBeGreaterThan(50);
  cluster.nodes[killed - 1]?.start();
  await cluster.ready();
  done = true;
  await taking;
  const state = await settled(() => sequence.get());
  for (const { changes, stop } of collected) {
    await expect.poll(() => changes.at(-1)?.sequence?.currentValue, { timeout: HANGS_MS }).toBe(state?.currentValue);
    checkSequence(changes);
    await stop();
  }
  for (const client of watchers) await client.close();
});

/** Between snapshots each block follows the one before it; nothing ever goes back. */
function checkSequence(changes: readonly SequenceChange[]): void {
  expect(changes[0]?.kind).toBe('snapshot');
  let revision = -1;
  for (const { kind, sequence } of changes) {
    if (sequence === undefined) continue;
    const now = Number(sequence.revision);
    if (kind === 'reserved') expect(now).toBe(revision + 1);
    else expect(now).toBeGreaterThanOrEqual(revision);
    revision = now;
  }
}

test('an ephemeral lock is watched at its leader from any node, and is free at the next leader when that one dies', async () => {
  await using kahuna = new Kahuna({ endpoints: cluster.nodes.map(node => node.url), durability: 'ephemeral' });
  const collected = cluster.nodes.map(node => {
    const client = new Kahuna({ endpoints: [node.url, ...cluster.nodes.map(({ url }) => url)], durability: 'ephemeral' });
    return { client, ...collect<LockChange>(signal => client.watch.lock('watched-ephemeral', { signal, progressMs: 200 })) };
  });
  await Promise.all(collected.map(({ watch }) => watch.started));
  const kinds = (changes: readonly LockChange[]): string[] =>
    changes.map(({ kind, held, fencingToken }) => `${kind} ${held} ${fencingToken}`);
  await settled(() => kahuna.locks.acquire('watched-ephemeral', { owner: 'ann', leaseMs: 600_000 }));
  for (const { changes } of collected) {
    await expect.poll(() => kinds(changes), { timeout: HANGS_MS }).toEqual(['snapshot false -1', 'acquired true 0']);
  }
  const killed = await killLeader(collected[0]?.changes[0]?.partition ?? 0);
  for (const { changes } of collected) {
    await expect.poll(() => kinds(changes).slice(2), { timeout: HANGS_MS }).toContain('snapshot false -1');
  }
  await settled(() => kahuna.locks.acquire('watched-ephemeral', { owner: 'bob', leaseMs: 300 }));
  for (const { changes, client, stop } of collected) {
    await expect.poll(() => kinds(changes).slice(-2), { timeout: HANGS_MS }).toEqual(['acquired true 0', 'expired false 0']);
    await stop();
    await client.close();
  }
  cluster.nodes[killed - 1]?.start();
  await cluster.ready();
});
