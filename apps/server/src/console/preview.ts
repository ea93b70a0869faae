/**
 * The built console in front of a scripted cluster, for people who work on its looks:
 *
 *     npm run build -- --console && npx tsx apps/server/src/console/preview.ts [--port 4173] [--scene healthy|trouble|large]
 *     npx tsx apps/server/src/console/preview.ts --shots /tmp/shots     pictures of every page, and what axe says about it
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import fastify, { type FastifyInstance } from 'fastify';
import { type Browser, chromium } from 'playwright-core';
import { registerConsoleFiles } from '../rest/console-files.ts';
import { ConsoleHub } from './hub.ts';
import { registerConsoleStream } from './index.ts';
import { ScriptedCluster } from './scripted-node.ts';

const clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
const SCENES = ['healthy', 'trouble', 'large'] as const;
type Scene = (typeof SCENES)[number];

/** A cluster with traffic; in `trouble` a node is gone and a replica lags, in `large` there are a thousand partitions. */
function stage(scene: Scene): { readonly cluster: ScriptedCluster; readonly stop: () => void } {
  const cluster = new ScriptedCluster(clock, 3, scene === 'large' ? 1000 : 32);
  cluster.emit('started', 'info', 'node/1', 'node-1 started');
  cluster.emit('link-up', 'info', 'node/2', 'node-2 is connected');
  cluster.emit('link-up', 'info', 'node/3', 'node-3 is connected');
  if (scene === 'trouble') {
    cluster.kill(3);
    for (const p of cluster.partitions)
      if (p.leader === 3 && p.partitionId !== 5) cluster.elect(p.partitionId, (p.partitionId % 2) + 1);
    cluster.elect(5, 0);
    cluster.partition(8).commitIndex = 60_000;
    cluster.partition(8).lag.set(cluster.partition(8).leader === 1 ? 2 : 1, 21_000);
  }
  let beat = 0;
  const timer = setInterval(() => {
    beat++;
    cluster.members.forEach((member, i) => {
      const wave = 1 + 0.4 * Math.sin(beat / 25 + i) + 0.05 * Math.random();
      member.gauges = {
        readP99: 1.1 * wave,
        writeP99: 4.2 * wave,
        logP99: 2.4 * wave,
        eventLoopP99: 2.2 * wave,
        cpu: 0.31 * wave,
        rssBytes: 410e6 + 6e6 * i,
        waitingRequests: 0,
      };
      const { bytesIn = 0, bytesOut = 0, retries = 0 } = member.counters;
      member.counters = { bytesIn: bytesIn + 120e3 * wave, bytesOut: bytesOut + 160e3 * wave, retries: retries + 0.01 };
    });
    for (const p of cluster.partitions) {
      const weight = p.kind === 'hash' ? 1 / (1 + (p.partitionId % 9)) : 0.01;
      const wave = 1 + 0.5 * Math.sin(beat / 30 + p.partitionId);
      p.reads += Math.round(30 * weight * wave);
      p.writes += Math.round(8 * weight * wave);
      p.commitIndex += Math.round(8 * weight * wave);
      p.keys = 1000 + p.partitionId * 37;
    }
    if (scene === 'healthy' && beat % 600 === 0) cluster.elect(2 + ((beat / 600) % 30), 1 + ((beat / 600) % 3));
  }, 100);
  return { cluster, stop: () => clearInterval(timer) };
}

async function serve(
  scene: Scene,
  port: number,
): Promise<{ readonly app: FastifyInstance; readonly url: string; readonly stop: () => Promise<void> }> {
  const { cluster, stop } = stage(scene);
  const app = fastify();
  await registerConsoleFiles(app, fileURLToPath(new URL('../../../console/dist', import.meta.url)));
  const settings = { title: 'prod-eu-1', allowedOrigins: [], level: 'admin', clock } as const;
  registerConsoleStream(app, cluster.node(1), settings);
  // The others note their loads too, and tell the one that is looked at.
  const stopRecording = [2, 3].map(id => new ConsoleHub(cluster.node(id), settings).record());
  await app.listen({ port, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/ui`;
  return {
    app,
    url,
    stop: async () => {
      stop();
      for (const end of stopRecording) end();
      await app.close();
    },
  };
}

const PAGES: readonly (readonly [string, string])[] = [
  ['overview', '/'],
  ['map', '/map'],
  ['map-leader', '/map?colour=leader'],
  ['map-load', '/map?colour=load'],
  ['heat', '/heat'],
  ['map-table', '/map?table=true'],
  ['ranges', '/map?view=ranges'],
  ['partitions', '/partitions'],
  ['partition', '/partitions/5'],
  ['nodes', '/nodes'],
  ['node', '/nodes/3'],
  ['events', '/events'],
  ['settings', '/settings'],
  ['connection', '/settings/connection'],
];

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string; readonly any: readonly { readonly message: string }[] }[];
  }[];
}

async function shots(browser: Browser, url: string, directory: string, scene: Scene, only: string | undefined): Promise<void> {
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  mkdirSync(directory, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 760]) {
      const context = await browser.newContext({ viewport: { width, height: 860 }, colorScheme, bypassCSP: true });
      const page = await context.newPage();
      page.on('pageerror', error => console.log(`page error: ${error.message}`));
      page.on('console', message => {
        if (message.type() === 'error') console.log(`console error: ${message.text()}`);
      });
      for (const [name, path] of PAGES) {
        if (only !== undefined && !only.split(',').includes(name)) continue;
        await page.goto(`${url}${path}`);
        await page.locator('[data-state="live"]').first().waitFor();
        await page.waitForTimeout(name === 'overview' ? 3500 : 700);
        await page.screenshot({ path: join(directory, `${scene}-${name}-${colorScheme}-${width}.png`) });
        await page.evaluate(axe);
        const result = (await page.evaluate(
          `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })`,
        )) as AxeResult;
        for (const violation of result.violations) {
          console.log(`axe ${name} ${colorScheme} ${width}: ${violation.id} (${violation.impact}) × ${violation.nodes.length}`);
          for (const node of violation.nodes.slice(0, 3))
            console.log(`    ${node.html.slice(0, 160)}  ${node.any[0]?.message ?? ''}`);
        }
      }
      await context.close();
    }
  }
}

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4173' },
    scene: { type: 'string', default: 'healthy' },
    shots: { type: 'string' },
    only: { type: 'string' },
  },
});
const scene = SCENES.find(s => s === values.scene) ?? 'healthy';
if (values.shots === undefined) {
  const { url } = await serve(scene, Number(values.port));
  console.log(`console with the scene "${scene}": ${url}/`);
} else {
  const { url, stop } = await serve(scene, 0);
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  await shots(browser, url, values.shots, scene, values.only);
  await browser.close();
  await stop();
}
