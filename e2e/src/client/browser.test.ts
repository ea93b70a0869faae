import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Kahuna } from '@kahuna/client';
import { type EmbeddedNode, startEmbeddedNode } from '@kahuna/server';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../console/browser.ts';

/** The browser entry of the client in a real browser, on a page that a real node has served. */

const ENTRY = join(dirname(createRequire(import.meta.url).resolve('@kahuna/client')), 'browser.ts');

let node: EmbeddedNode;
let browser: Browser;
let page: Page;
let kahuna: Kahuna;

beforeAll(async () => {
  const bundled = build({ entryPoints: [ENTRY], bundle: true, format: 'iife', globalName: 'client', write: false });
  [node, browser] = await Promise.all([startEmbeddedNode(), launchBrowser()]);
  kahuna = new Kahuna({ endpoints: node.url });
  page = await browser.newPage();
  await page.goto(`${node.url}/v1/cluster/health`);
  await page.evaluate(`${(await bundled).outputFiles[0]?.text}; globalThis.client = client;`);
  await page.evaluate(`globalThis.kahuna = new client.Kahuna({ endpoints: location.origin });`);
});
afterAll(async () => {
  await kahuna?.close();
  await browser?.close();
  await node?.stop();
});

/** Begins a loop in the page that takes `count` changes of the watch; resolves when it has begun. */
function begin(watch: string, count: number): Promise<unknown> {
  return page.evaluate(`(async () => {
    const watch = kahuna.watch.${watch};
    globalThis.taken = (async () => {
      const changes = [];
      for await (const change of watch) if (changes.push(change) === ${count}) return changes;
    })();
    await Promise.race([watch.started, globalThis.taken]);
  })()`);
}

/** What the loop has taken, by an expression of each change. */
function taken(of: string): Promise<unknown> {
  return page.evaluate(`globalThis.taken.then(changes => changes.map(change => ${of}))`);
}

test('keys of a bucket are told over the WebSocket', async () => {
  await begin(`bucket('page')`, 3);
  await kahuna.keys.set('page/a', 'grüße');
  await page.evaluate(`kahuna.keys.set('page/b', 'from the page')`);
  await kahuna.keys.delete('page/a');
  expect(await taken('[change.kind, change.key, change.value && new TextDecoder().decode(change.value)]')).toEqual([
    ['set', 'page/a', 'grüße'],
    ['set', 'page/b', 'from the page'],
    ['delete', 'page/a', null],
  ]);
});

test('a lock, and a sequence to its last digit', async () => {
  await begin(`lock('page-lock')`, 3);
  const lock = await kahuna.lock('page-lock');
  await lock.release();
  expect(await taken("[change.kind, change.held, change.fencingToken].join(' ')")).toEqual([
    'snapshot false -1',
    'acquired true 0',
    'released false 0',
  ]);
  await begin(`sequence('page-sequence')`, 2);
  await kahuna.sequence('page-sequence').create({ initialValue: 2n ** 62n + 1n });
  expect(await taken('String(change.sequence?.currentValue)')).toEqual(['undefined', String(2n ** 62n + 1n)]);
});

test('an observer in a page sees who leads', async () => {
  await page.evaluate(`(() => {
    const views = kahuna.election('page-election').observe();
    globalThis.views = views;
    globalThis.first = views.next();
  })()`);
  expect(await page.evaluate('globalThis.first.then(({ value }) => value ?? null)')).toBeNull();
  await using _leadership = await kahuna.election('page-election', { candidate: 'ann' }).campaign();
  expect(await page.evaluate('globalThis.views.next().then(({ value }) => value.leader)')).toBe('ann');
});

test('what cannot be watched is refused with its reason', async () => {
  expect(
    await page.evaluate(`(async () => {
      try { for await (const change of kahuna.watch.key('')) return change; }
      catch (error) { return [error.code, error.message]; }
    })()`),
  ).toEqual(['INVALID_INPUT', 'this cannot be watched']);
});
