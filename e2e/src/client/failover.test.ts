import { setTimeout as delay } from 'node:timers/promises';
import { Kahuna, OutcomeUnknownError, text } from '@kahuna/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { HANGS_MS } from '../harness/processes.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ storage: 'memory', breakableNetwork: false, args: FAST_ELECTIONS });
});
afterAll(() => cluster?.close());

/** Runs `step` again and again until `enough`; what it throws ends it. */
async function loop(enough: () => boolean, step: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; !enough(); round++) await step(round);
}

test('a leader is killed under a client: reads and allocations go on, writes are done or unknown, the lock stays', async () => {
  await using kahuna = new Kahuna({ endpoints: cluster.nodes.map(node => node.url) });
  const texts = kahuna.keys.as(text);
  const sequence = kahuna.sequence('failover/numbers');
  await sequence.create();
  const lock = await kahuna.lock('failover/lock', { leaseMs: 120_000 });

  const acknowledged = new Map<string, string>();
  const unknown: unknown[] = [];
  const numbers: bigint[] = [];
  let reads = 0;
  let killedAt = Number.POSITIVE_INFINITY;
  let after = 0;
  /** Every kind of work has been done by the cluster of two, and for longer than an election takes. */
  const enough = (): boolean => after > 200 && reads > 100 && performance.now() - killedAt > 3000;

  const writing = Array.from({ length: 8 }, (_, writer) =>
    loop(enough, async round => {
      const key = `failover-${writer}/${round}`;
      try {
        await texts.set(key, key);
        acknowledged.set(key, key);
        if (performance.now() > killedAt) after += 1;
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError)) throw error;
        unknown.push(error);
      }
      await delay(1);
    }),
  );
  const reading = Array.from({ length: 4 }, (_, reader) =>
    loop(enough, async round => {
      await texts.get(`failover-${reader}/${round}`);
      reads += 1;
      await delay(1);
    }),
  );
  const counting = loop(enough, async () => {
    numbers.push(await sequence.next());
    await delay(5);
  });

  await expect.poll(() => acknowledged.size, { timeout: HANGS_MS }).toBeGreaterThan(200);
  const leader = await cluster.leaderOf(3);
  expect(leader).toBeGreaterThan(0);
  killedAt = performance.now();
  await cluster.node(leader).kill();
  await Promise.all([...writing, ...reading, counting]);

  // At most what was on its way when the node died.
  expect(unknown.length).toBeLessThanOrEqual(8 * 2);
  for (const [key, value] of acknowledged) expect((await texts.get(key))?.value).toBe(value);
  for (const [i, value] of numbers.entries()) if (i > 0) expect(value).toBeGreaterThan(numbers[i - 1] as bigint);
  lock.assertHeld();
  expect(await kahuna.locks.info('failover/lock')).toMatchObject({ fencingToken: lock.fencingToken });
  await lock.release();
});
