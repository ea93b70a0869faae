import { join } from 'node:path';
import { type Cluster, sleep } from '@kahuna/e2e';
import type { Arguments } from './arguments.ts';
import { withCluster, withDirectory } from './clusters.ts';
import { leaderOfKey, serverArguments } from './etcd-bench.ts';
import { saveResult } from './results.ts';
import { figure, median } from './statistics.ts';

const KEY_PREFIX = 'failover/';

/** A restarted node votes only after an election timeout: a kill before that would measure the restart. Milliseconds. */
const VOTES_AFTER_MS = 4000;

/** Time from kill -9 of the leader to the next acknowledged write, as a client of a surviving node sees it. */
export async function benchFailover(args: Arguments): Promise<void> {
  const runs = args.number('runs', 10);
  const times: number[] = [];
  await withDirectory(args.text('directory', ''), directory =>
    withCluster({ directory: join(directory, 'kahuna'), args: serverArguments(args) }, async cluster => {
      for (let run = 1; run <= runs; run++) {
        const { leader, followers } = await leaderOfKey(cluster, KEY_PREFIX);
        const survivor = cluster.node(followers[run % followers.length] as number);
        await untilAcknowledged(survivor.url);
        const killed = cluster.node(leader).kill();
        const begin = performance.now();
        await untilAcknowledged(survivor.url);
        times.push(performance.now() - begin);
        await killed;
        console.log(`run ${run}: node ${leader} killed, next acknowledged write after ${Math.round(times.at(-1) ?? 0)} ms`);
        await restart(cluster, leader);
      }
    }),
  );
  console.log(`\nmedian ${figure(median(times))} ms, worst ${figure(Math.max(...times))} ms over ${runs} runs`);
  console.log(`numbers kept in ${saveResult('failover', { runs, milliseconds: times })}`);
}

/**
 * Resolves when any write is acknowledged. A new one starts every 25 ms whatever became of the earlier ones, because the server
 * holds a write while it waits for a leader: the first answer counts, not the patience of one request.
 */
async function untilAcknowledged(url: string): Promise<void> {
  let acknowledged = false;
  const deadline = performance.now() + 60_000;
  while (!acknowledged) {
    if (performance.now() > deadline) throw new Error('no write was acknowledged within 60 s');
    const attempt = put(url).then(ok => {
      acknowledged ||= ok;
    });
    await Promise.race([attempt, sleep(25)]);
    if (!acknowledged) await sleep(5);
  }
}

async function put(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/v1/kv/try-set`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key: `${KEY_PREFIX}00000000`, value: 'eA==', durability: 1 }),
      signal: AbortSignal.timeout(10_000),
    });
    return ((await answer.json()) as { type: number }).type === 0;
  } catch {
    return false; // a connection that broke is an attempt that was not acknowledged
  }
}

async function restart(cluster: Cluster, number: number): Promise<void> {
  cluster.node(number).start();
  await cluster.ready();
  await sleep(VOTES_AFTER_MS);
}
