import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** $KAHUNA_CHROMIUM, else the first Chromium on PATH. */
function browserPath(): string {
  const candidates = (process.env['PATH'] ?? '').split(delimiter).flatMap(directory => NAMES.map(name => join(directory, name)));
  const found = process.env['KAHUNA_CHROMIUM'] ?? candidates.find(path => statSync(path, { throwIfNoEntry: false })?.isFile());
  if (found === undefined)
    throw new Error('no Chromium: install it (Debian: apt-get install chromium) or name one in KAHUNA_CHROMIUM');
  return found;
}

export function launchBrowser(): Promise<Browser> {
  // The sandbox of Chromium refuses to run as root, which is who containers run as.
  return chromium.launch({ executablePath: browserPath(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

/** How long a page may take until it shows something: no promise about its speed, it only ends what hangs. */
export const LOADED_MS = 60_000;

/**
 * The pill of a page that shows what is: a node on a busy machine sends fewer news and says so ("lagging"), and its page is as true as
 * ever.
 */
export const CURRENT = 'a.pill:is([data-state="live"], [data-state="lagging"])';

/** A tab, and everything in it that went wrong by its own words: exceptions, errors in the console, requests to foreign hosts. */
export class Tab {
  readonly page: Page;
  readonly faults: string[] = [];
  /** Loads of the document: a page that is told to update itself must do so without one. */
  documents = 0;
  private readonly context: BrowserContext;

  private constructor(context: BrowserContext, page: Page, host: string) {
    this.context = context;
    this.page = page;
    page.setDefaultTimeout(LOADED_MS);
    page.on('pageerror', error => this.faults.push(`exception: ${error.message}`));
    page.on('console', message => {
      // A socket that breaks because its node was killed is reported by the browser itself.
      if (message.type() === 'error' && !/WebSocket|ERR_CONNECTION/.test(message.text())) this.faults.push(message.text());
    });
    page.on('request', request => {
      const url = new URL(request.url());
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) this.documents++;
      if (url.protocol.startsWith('http') && url.host !== host) this.faults.push(`a request to ${url.host}`);
    });
  }

  static async open(browser: Browser, url: string): Promise<Tab> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
    const tab = new Tab(context, await context.newPage(), new URL(url).host);
    await tab.page.goto(url);
    return tab;
  }

  close(): Promise<void> {
    return this.context.close();
  }
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Colours in the middle of a transition are nobody's choice. */
const TRANSITIONS_ARE_OVER = `Promise.allSettled(
  document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity).map(a => a.finished),
).then(() => undefined)`;

/** What axe calls serious or critical on the page as it stands, by WCAG 2.2 A and AA; each with the first elements concerned. */
export async function seriousIssues(page: Page): Promise<readonly string[]> {
  await page.evaluate(TRANSITIONS_ARE_OVER);
  await page.evaluate(AXE);
  const rules = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }";
  const result = (await page.evaluate(`axe.run(document, ${rules})`)) as AxeResult;
  return result.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(node => `${node.html.slice(0, 160)} ${node.failureSummary}`)}`);
}
