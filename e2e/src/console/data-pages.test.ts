import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { http, putText, RestKv } from '../clients/rest-kv.ts';
import { Cluster, SOON_READY } from '../harness/cluster.ts';
import { HANGS_MS, until } from '../harness/processes.ts';
import { CURRENT, LOADED_MS, launchBrowser, seriousIssues, Tab } from './browser.ts';

/** Longest wait for something that a person sees within seconds where nobody else wants the machine. */
const SECONDS_MS = LOADED_MS;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

let cluster: Cluster;
let browser: Browser;
let rest: RestKv;
let tab: Tab | undefined;
let readyAtMs: number;

beforeAll(async () => {
  [cluster, browser] = await Promise.all([Cluster.start({ breakableNetwork: false, args: SOON_READY }), launchBrowser()]);
  rest = new RestKv(cluster.node(1).url);
  readyAtMs = performance.now();
});

afterAll(async () => {
  rest?.close();
  await browser?.close();
  await cluster?.close();
});

afterEach(async () => {
  const faults = tab?.faults ?? [];
  await tab?.close();
  tab = undefined;
  expect(faults).toEqual([]);
});

/** Opens a page of node 2: what it shows was written through node 1. */
async function open(path: string, node = 2): Promise<Page> {
  tab = await Tab.open(browser, `${cluster.node(node).url}/ui${path}`);
  const { page } = tab;
  await page.locator(CURRENT).waitFor({ timeout: LOADED_MS });
  return page;
}

/** Sees an instant of minutes from now come nearer; a test makes the time short only then, so a slow page misses nothing. */
async function seenCountingDown(place: Locator): Promise<void> {
  const secondsLeft = async (): Promise<number> => {
    const [, minutes, seconds] = /^(\d+) min(?: (\d+) s)?$/.exec(await place.locator('.countdown').first().innerText()) ?? [];
    return Number(minutes) * 60 + Number(seconds ?? 0);
  };
  const before = await secondsLeft();
  await until('less time left', SECONDS_MS, async () => (await secondsLeft()) < before);
}

interface Answer {
  readonly type: number;
  readonly value?: string | null;
  readonly revision?: number;
  readonly sequence?: { readonly currentValue: number };
}

/** The type of an answer that says that nothing was done, for want of a leader. */
const MUST_RETRY = 101;

/** On a busy machine leaders change: an answer that asks for another try did nothing, and the page would wait for it in vain. */
async function post(path: string, body: object): Promise<Answer> {
  const answer = await until(`${path} is decided`, HANGS_MS, async () => {
    const reply = await http(`${cluster.node(1).url}${path}`, { body: JSON.stringify(body) });
    return reply.status === 200 && (JSON.parse(reply.text) as Answer).type === MUST_RETRY ? undefined : reply;
  });
  expect(answer.status, answer.text).toBe(200);
  return JSON.parse(answer.text) as Answer;
}

const row = (page: Page, name: string) => page.getByRole('row', { name, exact: true });
const textOfValue = (page: Page): Promise<string> => page.getByRole('region', { name: 'Value', exact: true }).innerText();

describe('console:15 Keys', () => {
  test('the tree leads to a key space, the space to a key, the key to its value; the address says where one is', async () => {
    await putText(rest, 'shop/orders/0001', '{"state":"open","id":12345678901234567890}');
    await putText(rest, 'shop/orders/0002', 'plain');
    const page = await open('/keys');
    await page.getByRole('button', { name: 'Open shop' }).click();
    await page.getByRole('button', { name: 'orders', exact: true }).click();
    await row(page, 'shop/orders/0001').getByRole('link').click();
    await page.waitForURL('**/ui/keys/shop/orders/0001*');
    expect(await textOfValue(page)).toBe('{\n  "state": "open",\n  "id": 12345678901234567890\n}');
    await page.getByText('Hex', { exact: true }).click();
    expect(await textOfValue(page)).toMatch(/^00000000 {2}7b 22 73 74/);
    // C6: the same view on another node; Back steps to where one was.
    const other = await Tab.open(browser, page.url().replace(cluster.node(2).url, cluster.node(3).url));
    await row(other.page, 'shop/orders/0001').waitFor();
    await other.close();
    await page.goBack();
    await page.waitForURL(url => !url.pathname.includes('0001'));
    await row(page, 'shop/orders/0002').waitFor();
  });

  test('C2 keys that others write, change and delete appear and go without a reload', async () => {
    await putText(rest, 'live/a', '1');
    const page = await open('/keys?space=live');
    await row(page, 'live/a').waitFor();
    await putText(rest, 'live/b', '22');
    await row(page, 'live/b').waitFor();
    await putText(rest, 'live/a', '333');
    await until('the new size', SECONDS_MS, async () => (await row(page, 'live/a').innerText()).includes('3 B'));
    await post('/v1/kv/try-delete', { key: 'live/a', durability: 1 });
    await row(page, 'live/a').waitFor({ state: 'detached' });
    expect(tab?.documents).toBe(1);
  });

  test('an expiry counts down and the key goes', async () => {
    await post('/v1/kv/try-set', { key: 'soon/x', value: base64('x'), expiresMs: 600_000, flags: 1, durability: 1 });
    const page = await open('/keys/soon/x');
    await seenCountingDown(page.locator('main'));
    await post('/v1/kv/try-extend', { key: 'soon/x', expiresMs: 500, durability: 1 });
    await page.getByText('deleted or expired; its history is kept').waitFor();
  });

  test('a new key is created, edited, and its revisions compared and restored', async () => {
    const page = await open('/keys');
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByRole('textbox', { name: 'Key', exact: true }).fill('team/config');
    await page.getByRole('textbox', { name: 'Value' }).fill('{"size":1}');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.waitForURL('**/ui/keys/team/config*');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('textbox', { name: 'Value' }).fill('{"size":2}');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /^History/ }).click();
    const difference = page.getByRole('region', { name: 'Difference from revision 0 to 1' });
    expect((await difference.innerText()).split('\n')).toEqual(expect.arrayContaining(['−   "size": 1', '+   "size": 2']));
    await page.getByRole('row', { name: 'revision 0' }).getByRole('button', { name: 'Restore…' }).click();
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await page.getByText('Written as revision 2.').waitFor();
    const answer = await post('/v1/kv/try-get', { key: 'team/config', revision: -1, durability: 1 });
    expect([answer.value, answer.revision]).toEqual([base64('{"size":1}'), 2]);
  });

  test('an edit that somebody overtook shows three panes and loses nothing', async () => {
    await putText(rest, 'race/k', 'base');
    const page = await open('/keys/race/k');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('textbox', { name: 'Value' }).fill('mine');
    await putText(rest, 'race/k', 'theirs');
    const panes = page.getByRole('region', { name: 'Somebody else wrote meanwhile' });
    await panes.waitFor();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('you saw revision 0').waitFor();
    expect((await post('/v1/kv/try-get', { key: 'race/k', revision: -1, durability: 1 })).value).toBe(base64('theirs'));
    for (const text of ['base', 'theirs', 'mine']) await panes.getByText(text, { exact: true }).waitFor();
    await page.getByRole('button', { name: /write mine over theirs/ }).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect((await post('/v1/kv/try-get', { key: 'race/k', revision: -1, durability: 1 })).value).toBe(base64('mine'));
  });

  test('a key is deleted after a confirmation, and not before', async () => {
    await putText(rest, 'old/k', 'x');
    const page = await open('/keys/old/k');
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByText('Still revision 0, as you saw it.').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect((await post('/v1/kv/try-get', { key: 'old/k', revision: -1, durability: 1 })).type).toBe(3);
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Deleted; its last revision was 0.').waitFor();
    expect((await post('/v1/kv/try-get', { key: 'old/k', revision: -1, durability: 1 })).type).toBe(103);
  });

  test('all keys that begin with a text are counted, and deleted when it was typed; the operation is remembered', async () => {
    for (const key of ['bulk/a', 'bulk/b/1', 'bulk/b/2', 'bulky']) await putText(rest, key, 'x');
    const page = await open('/keys?space=bulk');
    await page.getByRole('button', { name: 'Delete all…' }).click();
    await page.getByRole('button', { name: 'Count them…' }).click();
    await page.getByText('3 keys begin with bulk/.').waitFor();
    const go = page.getByRole('button', { name: 'Delete all', exact: true });
    expect(await go.isDisabled()).toBe(true);
    await page.getByRole('textbox', { name: 'Type bulk/ to go on' }).fill('bulk/');
    await go.click();
    await page.getByText('3 keys are deleted.').waitFor();
    const typeOf = async (key: string): Promise<number> =>
      (await post('/v1/kv/try-get', { key, revision: -1, durability: 1 })).type;
    expect(await Promise.all(['bulk/a', 'bulk/b/1', 'bulk/b/2', 'bulky'].map(typeOf))).toEqual([103, 103, 103, 3]);
    await page.getByRole('link', { name: /^op-/ }).click();
    await page.waitForURL('**/ui/operations/op-*');
    await page
      .getByRole('row', { name: /^operation op-/ })
      .first()
      .getByText('done')
      .waitFor();
    await page.getByText('3 of 3').waitFor();
  });

  test('C1 no quorum: what was read stays, and the page says that it cannot be read any more', async () => {
    await putText(rest, 'quorum/k', 'kept');
    const page = await open('/keys/quorum/k', 3);
    // The list and the value are two reads: what was not read before the quorum went cannot stay.
    await row(page, 'quorum/k').waitFor();
    expect(await textOfValue(page)).toBe('kept');
    for (const number of [1, 2]) cluster.node(number).pause();
    await page
      .getByText(/These are the last rows that were read/)
      .first()
      .waitFor();
    expect(await row(page, 'quorum/k').count()).toBe(1);
    expect(await textOfValue(page)).toBe('kept');
    for (const number of [1, 2]) cluster.node(number).resume();
    await until('read again', SECONDS_MS, async () => (await page.getByText(/These are the last rows/).count()) === 0);
    expect(await textOfValue(page)).toBe('kept');
  });
});

describe('console:15 Connection', () => {
  test('the node behind the page is killed: the value stays, nothing can be written, and what was typed survives', async () => {
    await putText(rest, 'down/k', 'kept');
    const page = await open('/keys/down/k', 3);
    expect(await textOfValue(page)).toBe('kept');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('textbox', { name: 'Value' }).fill('typed');
    await cluster.node(3).kill();
    await page.getByText('Not connected. What you typed is kept').waitFor();
    expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
    expect(await page.locator('.value-text').first().innerText()).toBe('kept');
    cluster.node(3).start();
    await cluster.ready();
    await until('live again', SECONDS_MS, async () => (await page.getByText('Not connected.').count()) === 0);
    expect(await page.getByRole('textbox', { name: 'Value' }).inputValue()).toBe('typed');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await until('the new value', SECONDS_MS, async () => (await textOfValue(page)) === 'typed');
    expect(tab?.documents).toBe(1);
  });
});

describe('console:15 Locks', () => {
  const acquire = (resource: string, owner: string, expiresMs: number): Promise<Answer> =>
    post('/v1/locks/try-lock', { resource, owner: base64(owner), expiresMs, durability: 1 });

  test('grant, extension, release and takeover are seen live, with their tokens', async () => {
    await acquire('jobs/nightly', 'worker-7', 600_000);
    const page = await open('/locks/persistent/jobs/nightly');
    const grants = page.getByRole('region', { name: 'Ownership' }).getByRole('listitem');
    const line = row(page, 'lock jobs/nightly, persistent');
    await until('the owner', SECONDS_MS, async () => /worker-7[\s\S]*f0/.test(await line.innerText()));
    await post('/v1/locks/try-extend', {
      resource: 'jobs/nightly',
      owner: base64('worker-7'),
      expiresMs: 900_000,
      durability: 1,
    });
    await page.getByText(/^1 times, last/).waitFor();
    await post('/v1/locks/try-unlock', { resource: 'jobs/nightly', owner: base64('worker-7'), durability: 1 });
    await line.getByText('released', { exact: true }).waitFor();
    await acquire('jobs/nightly', 'worker-9', 600_000);
    await until('the takeover', SECONDS_MS, async () => /worker-9[\s\S]*f1/.test(await line.innerText()));
    expect(await grants.allInnerTexts()).toEqual([expect.stringContaining('f1'), expect.stringContaining('f0')]);
  });

  test('a lease counts down and is never drawn free before the server says so', async () => {
    await acquire('jobs/short', 'worker-1', 600_000);
    const page = await open('/locks?q=jobs%2Fshort');
    const line = row(page, 'lock jobs/short, persistent');
    await seenCountingDown(line);
    await post('/v1/locks/try-extend', { resource: 'jobs/short', owner: base64('worker-1'), expiresMs: 500, durability: 1 });
    await line.getByText(/^ran out/).waitFor();
    expect((await post('/v1/locks/get-info', { resource: 'jobs/short', durability: 1 })).type).toBe(102);
  });

  test('a lock is released by force after a confirmation', async () => {
    await acquire('jobs/stuck', 'worker-3', 600_000);
    const page = await open('/locks/persistent/jobs/stuck');
    await page.getByRole('button', { name: 'Release by force…' }).click();
    await page.getByText(/Still f0, held by worker-3/).waitFor();
    await page.getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByText('Released from worker-3.').waitFor();
    expect((await post('/v1/locks/get-info', { resource: 'jobs/stuck', durability: 1 })).type).toBe(102);
  });

  test('a release of a lock that changed hands is refused with the new facts', async () => {
    await acquire('jobs/moved', 'worker-3', 600_000);
    const page = await open('/locks/persistent/jobs/moved');
    await page.getByRole('button', { name: 'Release by force…' }).click();
    await page.getByText(/Still f0/).waitFor();
    await post('/v1/locks/try-unlock', { resource: 'jobs/moved', owner: base64('worker-3'), durability: 1 });
    await acquire('jobs/moved', 'worker-4', 600_000);
    await page.getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByText(/Now f1, held by worker-4.*Nothing was changed/).waitFor();
    expect((await post('/v1/locks/get-info', { resource: 'jobs/moved', durability: 1 })).type).toBe(4);
  });

  test('C2 the list follows grants, releases and takeovers at once; the leader knows the grants of before anybody looked', async () => {
    await acquire('push/a', 'worker-1', 600_000);
    await post('/v1/locks/try-unlock', { resource: 'push/a', owner: base64('worker-1'), durability: 1 });
    await acquire('push/a', 'worker-2', 600_000);
    const page = await open('/locks?q=push%2F');
    const line = row(page, 'lock push/a, persistent');
    await until('the present owner', SECONDS_MS, async () => /worker-2[\s\S]*f1/.test(await line.innerText()));
    await acquire('push/b', 'worker-3', 600_000);
    await row(page, 'lock push/b, persistent').waitFor();
    await post('/v1/locks/try-unlock', { resource: 'push/a', owner: base64('worker-2'), durability: 1 });
    await line.getByText('released', { exact: true }).waitFor();
    await acquire('push/a', 'worker-4', 600_000);
    await until('the takeover', SECONDS_MS, async () => /worker-4[\s\S]*f2/.test(await line.innerText()));
    expect(await line.getAttribute('data-flash')).toMatch(/odd|even/);
    await line.getByRole('link').click();
    const grants = page.getByRole('region', { name: 'Ownership' }).getByRole('listitem');
    await until('all grants', SECONDS_MS, async () => (await grants.count()) === 3);
    expect(await grants.allInnerTexts()).toEqual([
      expect.stringMatching(/f2[\s\S]*worker-4[\s\S]*now/),
      expect.stringMatching(/f1[\s\S]*worker-2[\s\S]*released/),
      expect.stringMatching(/f0[\s\S]*worker-1[\s\S]*released/),
    ]);
  });

  test('who asks for a held lock in vain is listed, with the asks of the last minute', async () => {
    await acquire('jobs/wanted', 'worker-1', 600_000);
    const page = await open('/locks/persistent/jobs/wanted');
    await page.getByText('Nobody asked for it in vain.').waitFor();
    for (let i = 0; i < 3; i++) await acquire('jobs/wanted', 'worker-2', 1_000);
    const contender = page.getByRole('table', { name: 'Contenders' }).getByRole('row', { name: /worker-2/ });
    await contender.getByText('3 asks').waitFor();
  });

  test('sorted by time left; the order stays until it is applied, and is in the address', async () => {
    await acquire('sort/a', 'x', 3_000_000);
    await acquire('sort/b', 'x', 2_000_000);
    await acquire('sort/c', 'x', 1_000_000);
    const page = await open('/locks?q=sort%2F');
    const names = async (): Promise<readonly string[]> =>
      page.getByRole('table', { name: 'Locks' }).locator('tbody th').allInnerTexts();
    await row(page, 'lock sort/c, persistent').waitFor();
    expect(await names()).toEqual(['sort/a', 'sort/b', 'sort/c']);
    await page.getByRole('button', { name: 'lease' }).click();
    await until('by time left', SECONDS_MS, async () => (await names()).join() === 'sort/c,sort/b,sort/a');
    expect(new URL(page.url()).searchParams.get('sort')).toBe('expires');
    await post('/v1/locks/try-extend', { resource: 'sort/c', owner: base64('x'), expiresMs: 9_000_000, durability: 1 });
    await page.getByRole('button', { name: /moved · apply order/ }).waitFor();
    expect(await names()).toEqual(['sort/c', 'sort/b', 'sort/a']);
    await page.getByRole('button', { name: /moved · apply order/ }).click();
    expect(await names()).toEqual(['sort/b', 'sort/a', 'sort/c']);
  });

  test('the filter is in the address', async () => {
    await acquire('team/a', 'x', 600_000);
    await acquire('other/b', 'x', 600_000);
    const page = await open('/locks');
    await row(page, 'lock other/b, persistent').waitFor();
    await page.getByRole('textbox', { name: 'Locks whose name begins with' }).fill('team/');
    await row(page, 'lock other/b, persistent').waitFor({ state: 'detached' });
    await row(page, 'lock team/a, persistent').waitFor();
    expect(new URL(page.url()).search).toContain('team');
  });
});

describe('console:15 Sequences', () => {
  test('created, reserved from, updated and deleted; the mark follows', async () => {
    const page = await open('/sequences');
    await page.getByRole('button', { name: 'New sequence' }).click();
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('invoice');
    await page.getByRole('textbox', { name: 'Maximum' }).fill('9000000000000000000');
    await page.getByRole('button', { name: 'Next…' }).click();
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByText(/Created; the first value will be 1/).waitFor();
    await page.getByRole('button', { name: 'Close', exact: true }).last().click();
    await page.waitForURL('**/ui/sequences/invoice*');
    await page.getByRole('button', { name: 'Reserve…' }).click();
    await page.getByRole('textbox', { name: 'How many' }).fill('5');
    await page.getByRole('button', { name: 'Next…' }).click();
    await page.getByRole('button', { name: 'Reserve', exact: true }).click();
    await page.getByText('Reserved 1 to 5.').waitFor();
    await page.getByRole('button', { name: 'Close', exact: true }).last().click();
    const { sequence } = await post('/v1/sequences/get', { name: 'invoice' });
    const mark = (sequence?.currentValue ?? 0).toLocaleString('en').replaceAll(',', '\u2009');
    await until('the mark', SECONDS_MS, async () => (await row(page, 'sequence invoice').innerText()).includes(mark));
  });

  test('setting the mark back and deleting need the name typed', async () => {
    await post('/v1/sequences/create', { name: 'ticket', initialValue: 500, increment: 10 });
    const page = await open('/sequences/ticket');
    await page.getByRole('button', { name: 'Update…' }).click();
    await page.getByRole('textbox', { name: 'Mark' }).fill('100');
    await page.getByRole('button', { name: 'Next…' }).click();
    await page.getByText(/handed out again/).waitFor();
    const update = page.getByRole('button', { name: 'Update', exact: true });
    expect(await update.isDisabled()).toBe(true);
    await page.getByRole('textbox', { name: 'Type ticket to go on' }).fill('ticket');
    await update.click();
    await page.getByText(/Updated to revision/).waitFor();
    await page.getByRole('button', { name: 'Close', exact: true }).last().click();
    const incarnation = page.locator('dt:text-is("incarnation") + dd');
    await until('the new incarnation', SECONDS_MS, async () => (await incarnation.innerText()).startsWith('1'));
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByRole('textbox', { name: 'Type ticket to go on' }).fill('ticket');
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Deleted.').waitFor();
    await page.getByText('There is no sequence of this name.').waitFor();
  });
});

describe('console:4.5 Freeze and mark', () => {
  test('a frozen page counts what waits; marked values tell what has changed since', async () => {
    await post('/v1/sequences/create', { name: 'frozen' });
    const page = await open('/sequences?q=frozen');
    const mark = row(page, 'sequence frozen').getByRole('cell').first();
    await row(page, 'sequence frozen').waitFor();
    expect(await mark.innerText()).toBe('0');
    await page.keyboard.press('m');
    await page.getByText(/^Compared with/).waitFor();
    await page.keyboard.press('f');
    await post('/v1/sequences/reserve', { name: 'frozen', count: 700 });
    await page.getByText(/frozen · \d+ changes? waiting/).waitFor();
    expect(await mark.innerText()).toBe('0');
    await page.keyboard.press('f');
    await until('the difference', SECONDS_MS, async () => (await mark.innerText()).startsWith('+'));
    await page.keyboard.press('m');
    await page.getByText(/^Compared with/).waitFor({ state: 'detached' });
    expect(await mark.innerText()).not.toContain('+');
  });
});

describe('console:4.5 Selection', () => {
  test('the page stands still while text on it is selected, and goes on afterwards', async () => {
    await putText(rest, 'select/k', 'one');
    const page = await open('/keys/select/k');
    const value = page.getByRole('region', { name: 'Value', exact: true });
    await until('the value', SECONDS_MS, async () => (await textOfValue(page)) === 'one');
    await value.click({ clickCount: 2 });
    await page.getByText(/^frozen/).waitFor();
    await putText(rest, 'select/k', 'two');
    await page.getByText(/frozen · [1-9]\d* changes? waiting/).waitFor();
    expect(await textOfValue(page)).toBe('one');
    await page.evaluate('document.getSelection().removeAllRanges()');
    await until('the new value', SECONDS_MS, async () => (await textOfValue(page)) === 'two');
  });
});

describe('console:15 C5', () => {
  test('rows stand still under the pointer while values go on; what came shows when it has left', async () => {
    await putText(rest, 'still/b', '1');
    await putText(rest, 'still/c', '1');
    const page = await open('/keys?space=still');
    const line = row(page, 'still/c');
    await line.hover();
    const before = await line.boundingBox();
    await putText(rest, 'still/a', '1');
    await page.getByText(/· 1 row waits$/).waitFor();
    await putText(rest, 'still/c', '22');
    await until('the new size', SECONDS_MS, async () => (await line.innerText()).includes('2 B'));
    expect(await line.boundingBox()).toEqual(before);
    expect(await row(page, 'still/a').count()).toBe(0);
    await page.mouse.move(0, 0);
    await row(page, 'still/a').waitFor();
  });
});

describe('console:15 Operations', () => {
  test('what was started through one node is on the list of every node', async () => {
    const body = {
      kind: 'set-key',
      params: { key: 'elsewhere/k', durability: 'persistent', valueB64: base64('x'), expiresMs: 0, noRevision: false },
      expect: { revision: null },
    };
    const started = await http(`${cluster.node(1).url}/v1/console/operations`, { body: JSON.stringify(body) });
    const { operationId } = JSON.parse(started.text) as { readonly operationId: string };
    const page = await open('/operations', 3);
    const line = row(page, `operation ${operationId}`);
    await line.getByText('done').waitFor();
    await line.getByText('node-1').waitFor();
  });
});

describe('console:15 Heat', () => {
  test('what another node leads and noted is on the page, as picture and as table; keys walk it; it opens a partition', async () => {
    const page = await open('/heat', 3);
    const table = page.getByRole('table', { name: 'Busiest partitions' });
    // Columns are of ten seconds: the first is there soon after the nodes began.
    await until('every partition', SECONDS_MS, async () => (await table.locator('tbody tr').count()) >= 4);
    const picture = page.getByRole('group', { name: /^Heat of partitions/ });
    await picture.getByRole('img').waitFor();
    await picture.focus();
    await page.keyboard.press('ArrowDown');
    await page.locator('.heat-readout').getByText('Partition 1').waitFor();
    // A rectangle by keys: from here to the next partition. Back is back at the whole.
    await page.keyboard.press('Space');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('+');
    await page.waitForURL(/[?&]parts=1-2(&|$)/);
    await page.getByRole('heading', { name: /^P1 to P2, 2 of / }).waitFor();
    expect(await table.locator('tbody tr').count()).toBe(2);
    await page.goBack();
    await page.waitForURL('**/ui/heat');
    await page.getByText('Reads', { exact: true }).click();
    await page.waitForURL('**/ui/heat?metric=reads');
    await picture.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/ui\/partitions\/\d+/);
    await page.getByRole('img', { name: /^Load, last 1 h/ }).waitFor();
  });
});

describe('console:15 Overview', () => {
  /** A node notes ten seconds at a time, from the first whole ones on: after so long there are two of them. */
  const NOTED_MS = 40_000;
  /** What is recorded from now on may begin so long ago. */
  const COLUMN_MS = 10_000;

  test('the charts of a console that nobody had open show what was before', async () => {
    await until('the nodes have noted something', 2 * NOTED_MS, async () => performance.now() - readyAtMs > NOTED_MS);
    // No test before has opened a page of this node.
    const page = await open('/?window=1h', 1);
    const openedMs = Date.now();
    await page.getByRole('button', { name: 'Table', exact: true }).click();
    const times = page.locator('main table tbody th').filter({ hasText: /^\d\d:\d\d:\d\d$/ });
    await until('a column of before', SECONDS_MS, async () =>
      (await times.allInnerTexts()).some(time => {
        const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
        const ageMs = openedMs - new Date(openedMs).setHours(hours, minutes, seconds, 0);
        return (ageMs + 86_400_000) % 86_400_000 > COLUMN_MS;
      }),
    );
  });
});

describe('console:15 Access and keyboard', () => {
  test('a foreign Origin is refused on the path that changes things', async () => {
    const body = JSON.stringify({
      kind: 'delete-key',
      params: { key: 'a/b', durability: 'persistent' },
      expect: { revision: '0' },
    });
    const url = `${cluster.node(1).url}/v1/console/operations`;
    expect((await http(url, { body, headers: { origin: 'http://evil.example' } })).status).toBe(403);
    expect((await http(url, { body, headers: { origin: cluster.node(1).url } })).status).toBe(202);
  });

  test('from the palette to a value with the keyboard alone', async () => {
    await putText(rest, 'keyboard/one', 'first');
    await putText(rest, 'keyboard/two', 'second');
    const page = await open('/');
    await page.keyboard.press('Control+k');
    await page.getByRole('textbox', { name: 'Go to' }).fill('keyboard/one');
    await page.getByRole('button', { name: /Open key keyboard\/one/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/ui/keys/keyboard/one*');
    await row(page, 'keyboard/two').waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/ui/keys/keyboard/two*');
    await until('the value', SECONDS_MS, async () => (await textOfValue(page)) === 'second');
  });

  test.each(['light', 'dark'] as const)('axe finds nothing serious on these pages in %s', async scheme => {
    await putText(rest, 'axe/k', '{"a":1}');
    await putText(rest, 'axe/k', '{"a":2}');
    await post('/v1/locks/try-lock', { resource: 'axe/lock', owner: base64('me'), expiresMs: 600_000, durability: 1 });
    await post('/v1/sequences/create', { name: 'axe', maxValue: 1000 });
    const found: string[] = [];
    const page = await open('/keys/axe/k');
    await page.emulateMedia({ colorScheme: scheme });
    const look = async (what: string): Promise<void> => {
      for (const issue of await seriousIssues(page)) found.push(`${what}: ${issue}`);
    };
    await textOfValue(page);
    await look('value');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('textbox', { name: 'Value' }).waitFor();
    await look('editor');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: /^History/ }).click();
    await page.getByRole('region', { name: /^Difference/ }).waitFor();
    await look('history');
    await page.goto(`${cluster.node(2).url}/ui/locks/persistent/axe/lock`);
    await page.getByRole('button', { name: 'Release by force…' }).click();
    await page.getByText(/Still f0/).waitFor();
    await look('lock and release');
    await page.goto(`${cluster.node(2).url}/ui/sequences/axe`);
    await page.getByRole('button', { name: 'Reserve…' }).waitFor();
    await look('sequence');
    expect(found).toEqual([]);
  });
});
