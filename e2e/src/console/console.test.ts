import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { http, putText, RestKv } from '../clients/rest-kv.ts';
import { Cluster, FAST_ELECTIONS } from '../harness/cluster.ts';
import { until, within } from '../harness/processes.ts';
import { CURRENT, LOADED_MS, launchBrowser, seriousIssues, Tab } from './browser.ts';

/** Longest wait for something that a person sees within seconds where nobody else wants the machine. */
const SECONDS_MS = LOADED_MS;

let cluster: Cluster;
let browser: Browser;
let tab: Tab | undefined;

beforeAll(async () => {
  [cluster, browser] = await Promise.all([Cluster.start({ breakableNetwork: false, args: FAST_ELECTIONS }), launchBrowser()]);
  const rest = new RestKv(cluster.node(1).url);
  for (let i = 0; i < 30; i++) await putText(rest, `shop/k${i}`, `value ${i}`);
  rest.close();
});

afterAll(async () => {
  await browser?.close();
  await cluster?.close();
});

afterEach(async () => {
  await tab?.close();
  tab = undefined;
});

async function live(url: string): Promise<Tab> {
  tab = await Tab.open(browser, url);
  await isLive(tab.page);
  return tab;
}

/** The page itself is loaded, not only its frame, and what it shows is current. */
async function isLive(page: Page, timeout = LOADED_MS): Promise<void> {
  await page.locator('h1').first().waitFor({ timeout });
  await page.locator(CURRENT).waitFor({ timeout });
}

/** The fact of this name on a page. */
const fact = (page: Page, name: string): Locator => page.locator(`dt:text-is("${name}") + dd`).first();

describe('pages', () => {
  const SUBJECTS = [
    '/partitions/2',
    '/nodes/2',
    '/settings/connection',
    '/map?table=true',
    '/map?view=ranges',
    '/heat?parts=1-2',
  ];

  test('console:15 every page in both themes: axe finds nothing serious, nothing goes wrong', async () => {
    const { page, faults } = await live(`${cluster.node(1).url}/ui/`);
    const links = await page.locator('nav a[href^="/ui"]').evaluateAll(all => all.map(a => a.getAttribute('href') ?? ''));
    expect(links.length).toBeGreaterThan(5);
    const paths = new Set([...links, ...SUBJECTS.map(path => `/ui${path}`)]);
    const found: string[] = [];
    for (const path of paths) {
      await page.goto(`${cluster.node(1).url}${path}`);
      await isLive(page);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.locator(`html[data-mantine-color-scheme="${colorScheme}"]`).waitFor({ timeout: SECONDS_MS });
        const issues = await within(SECONDS_MS, `axe on ${path}`, seriousIssues(page));
        for (const issue of issues) found.push(`${path}, ${colorScheme}: ${issue}`);
      }
    }
    expect(found).toEqual([]);
    expect(faults).toEqual([]);
  });

  test('console:15 C6 the address of a view opens the same view on another node', async () => {
    const { page } = await live(`${cluster.node(1).url}/ui/partitions/3`);
    const other = await Tab.open(browser, page.url().replace(cluster.node(1).url, cluster.node(2).url));
    await isLive(other.page);
    const leader = (of: Page): Promise<string> => fact(of, 'leader').locator('a').innerText();
    await until('the same leader', SECONDS_MS, async () => (await leader(page)) === (await leader(other.page)));
    await other.close();
  });
});

describe('console:4.3 the state of the connection', () => {
  /** Above this the node itself says that it sends fewer news (console §5.7). Milliseconds. */
  const LATE_LOOP_MS = 50;
  /** Longer than the node measures, tells and ticks; a page that is not live by then is not going to be. */
  const CALM_MS = 30_000;
  /** How long a machine may be busy before nothing more can be learned here. */
  const BUSY_MS = 180_000;

  const lateness = async (): Promise<number> => {
    const { text } = await http(`${cluster.node(1).url}/v1/console/diagnosis`);
    return (JSON.parse(text) as { readonly gauges: { readonly eventLoopP99?: number } }).gauges.eventLoopP99 ?? 0;
  };

  test('an idle page of a node that is not late is live, and not only lagging', async () => {
    const { page } = await live(`${cluster.node(1).url}/ui/`);
    const pill = page.locator('a.pill[data-state]');
    const startedMs = performance.now();
    let calmSinceMs = startedMs;
    let state: string | null;
    do {
      state = await pill.getAttribute('data-state');
      await page.waitForTimeout(200);
      // The machine has no time for an idle node: that the page says so is right, and the clock begins anew.
      if ((await lateness()) > LATE_LOOP_MS) calmSinceMs = performance.now();
    } while (state !== 'live' && performance.now() - calmSinceMs < CALM_MS && performance.now() - startedMs < BUSY_MS);
    const wasCalm = performance.now() - calmSinceMs >= CALM_MS;
    expect({ state, wasCalm }).toEqual({ state: wasCalm ? 'live' : expect.stringMatching(/^(live|lagging)$/), wasCalm });
  });
});

describe('what changes shows without a reload', () => {
  test('console:15 Map, §7.2 a leader is transferred from the console of a third node', async () => {
    const partition = 4;
    const from = await cluster.leaderOf(partition);
    // The page of a node that neither leads nor will: it asks the leader and sees the other one.
    const watching = (from % 3) + 1;
    const to = (watching % 3) + 1;
    const { page, documents } = await live(`${cluster.node(watching).url}/ui/partitions/${partition}`);
    await fact(page, 'leader').getByText(`node-${from}`).waitFor({ timeout: SECONDS_MS });
    await page.getByRole('button', { name: `Transfer to node-${to}…` }).click();
    await page.getByRole('button', { name: 'Transfer', exact: true }).click();
    await page.getByRole('dialog').getByText(`node-${to} leads it.`).waitFor({ timeout: SECONDS_MS });
    await fact(page, 'leader').getByText(`node-${to}`).waitFor({ timeout: SECONDS_MS });
    expect(await cluster.leaderOf(partition, cluster.node(to))).toBe(to);
    expect(tab?.documents).toBe(documents);
  });

  test('the leader is killed with -9: within seconds the page shows the new one, and that the node is gone', async () => {
    const partition = 2;
    const killed = await cluster.leaderOf(partition);
    const watching = (killed % 3) + 1;
    const opened = await live(`${cluster.node(watching).url}/ui/partitions/${partition}`);
    const { page, documents } = opened;
    await fact(page, 'leader').getByText(`node-${killed}`).waitFor({ timeout: SECONDS_MS });
    await cluster.node(killed).kill();
    await until('the new leader on the page', SECONDS_MS, async () => {
      const shown = await fact(page, 'leader').innerText();
      return /node-\d/.test(shown) && !shown.includes(`node-${killed}`);
    });
    const shown = await fact(page, 'leader').locator('a').innerText();
    await until('the page and the cluster agree', SECONDS_MS, async () => {
      const leader = await cluster.leaderOf(partition, cluster.node(watching));
      return (await fact(page, 'leader').locator('a').innerText()) === `node-${leader}`;
    });
    expect(shown).not.toBe(`node-${killed}`);
    expect(opened.documents).toBe(documents);
    // Across the pages by the app's own links: still the same document.
    await page.locator('nav a[href$="/nodes"]').first().click();
    await page.locator('h1', { hasText: 'Nodes' }).waitFor({ timeout: SECONDS_MS });
    await page
      .getByText(/down|gone|unreachable|suspect|dead/i)
      .first()
      .waitFor({ timeout: SECONDS_MS });
    expect(opened.documents).toBe(documents);
    expect(opened.faults).toEqual([]);
    cluster.node(killed).start();
    await cluster.ready();
  });

  test('console:15 Protocol the node behind the page restarts: the page is live again without a reload', async () => {
    const opened = await live(`${cluster.node(3).url}/ui/partitions`);
    const { documents } = opened;
    // Whoever has typed something is not taken to another node, however long the restart takes.
    const filter = opened.page.getByRole('textbox', { name: 'Filter partitions' });
    await filter.fill('hash');
    await cluster.node(3).kill();
    await opened.page.locator(CURRENT).waitFor({ state: 'detached', timeout: SECONDS_MS });
    cluster.node(3).start();
    await cluster.ready();
    await isLive(opened.page, SECONDS_MS);
    expect(opened.documents).toBe(documents);
    expect(await filter.inputValue()).toBe('hash');
  });

  test('console:15 C4 two of three nodes killed: the console of the third opens from cold and names what it knows', async () => {
    for (const number of [1, 2]) await cluster.node(number).kill();
    const { page } = await live(`${cluster.node(3).url}/ui/nodes`);
    for (const number of [1, 2, 3]) await page.getByText(`node-${number}`).first().waitFor({ timeout: SECONDS_MS });
  });
});
