import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { grpcTransport, HistoryPrunedError, Kahuna, restTransport, text, type Watch } from '@kahuna/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { commandLine, plainEnvironment } from '../cli/command-line.ts';
import { Cluster } from '../harness/cluster.ts';
import { HANGS_MS, spawnOwned, until } from '../harness/processes.ts';

/** A cluster that lost its data and was founded anew behind the same addresses, and those who watched keys of it. */

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1, breakableNetwork: false });
});
afterAll(() => cluster?.close());

/** Collects the values that a watch tells; resolves to what ends it. */
function follow(watch: Watch) {
  const told: string[] = [];
  const end = (async () => {
    try {
      for await (const { value } of watch) told.push(value === null ? '' : text.decode(value));
      return undefined;
    } catch (error) {
      return error;
    }
  })();
  return { told, end, watch };
}

test('whoever goes on is told that this is another cluster and what to do, over every transport and on the command line', async () => {
  const node = cluster.node(1);
  const clients = [grpcTransport(), restTransport({ WebSocket })].map(
    transport => new Kahuna({ endpoints: [node.url], learnRoutes: false, transport }),
  );
  const [kahuna] = clients as [Kahuna];
  await kahuna.keys.as(text).set('config/a', 'before');
  const options = { initial: true, progressMs: 200 };
  const watching = clients.flatMap(client => [
    // The second one has a call of its own.
    follow(client.watch.key('config/a', { progressMs: 200 })),
    follow(client.watch.bucket('config', options)),
  ]);
  await Promise.all(watching.map(({ watch }) => watch.started));
  const kept = watching.map(({ watch }) => watch.position);
  const cli = spawnOwned(process.execPath, [commandLine(), '-c', node.url, '--watch', 'config/a'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: plainEnvironment(),
  });
  const written = ['', ''];
  cli.stdout?.on('data', chunk => (written[0] += String(chunk)));
  cli.stderr?.on('data', chunk => (written[1] += String(chunk)));
  const exit = new Promise(resolve => cli.on('exit', resolve));
  await until('the command line watches', HANGS_MS, () => written[0]?.includes('before') || undefined);
  // Its position comes with the next message at the latest.
  await kahuna.keys.as(text).set('config/a', 'last');
  await until('the command line was told', HANGS_MS, () => written[0]?.includes('last') || undefined);
  await until('the others were told', HANGS_MS, () => watching.every(({ told }) => told.at(-1) === 'last'));

  await node.kill();
  rmSync(join(cluster.directory, 'node-1'), { recursive: true });
  node.start();
  await cluster.ready();

  for (const { end, told } of watching) {
    const error = await end;
    expect(error).toBeInstanceOf(HistoryPrunedError);
    expect(error).toMatchObject({ code: 'HISTORY_PRUNED', cure: expect.stringContaining('`initial`') });
    expect(String(error)).toContain('another cluster, or of this one before it was lost and founded anew: begin anew');
    expect(told.at(-1)).toBe('last');
  }
  expect(await exit).not.toBe(0);
  expect(written[1]).toContain('begin anew with the present state');
  // Also a position that somebody kept.
  const resumed = kept.map((after, i) => {
    const client = clients[i < 2 ? 0 : 1] as Kahuna;
    return follow(i % 2 === 0 ? client.watch.key('config/a', { after }) : client.watch.bucket('config', { after }));
  });
  for (const { end } of resumed) expect(await end).toBeInstanceOf(HistoryPrunedError);
  await kahuna.keys.as(text).set('config/a', 'after');
  const anew = follow(kahuna.watch.bucket('config', { initial: true }));
  await expect.poll(() => anew.told, { timeout: HANGS_MS }).toEqual(['after']);
  for (const client of clients) await client.close();
  await anew.end;
});
