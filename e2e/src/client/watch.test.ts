import { type Change, InvalidInputError, Kahuna, type Watch } from '@kahuna/client';
import { type EmbeddedNode, startEmbeddedNode } from '@kahuna/server';
import { afterAll, beforeAll, expect, test } from 'vitest';

let node: EmbeddedNode;
let kahuna: Kahuna;
beforeAll(async () => {
  node = await startEmbeddedNode();
  kahuna = new Kahuna({ endpoints: node.url });
});
afterAll(async () => {
  await kahuna?.close();
  await node?.stop();
});

const textOf = (change: Change): string => (change.value === null ? '' : Buffer.from(change.value).toString());
const told = (change: Change): string => `${change.kind} ${change.key} ${change.revision} ${textOf(change)}`.trim();

/** Runs the loop until it was given `count` changes. */
async function take(watch: Watch, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  if (count === 0) return changes;
  for await (const change of watch) {
    changes.push(change);
    if (changes.length === count) break;
  }
  return changes;
}

/** A loop that is under way: what it is given, and its begin. */
async function running(watch: Watch, count: number): Promise<Promise<Change[]>[]> {
  const changes = take(watch, count);
  changes.catch(() => undefined);
  await Promise.race([watch.started, changes]);
  return [changes];
}

test('a key, its bucket, a prefix and a range are told every change behind the beginning, in order', async () => {
  await kahuna.keys.set('one/a', 'before');
  const expected = ['set one/a 1 first', 'extend one/a 1', 'delete one/a 1', 'set one/a 2 again'];
  const watches = [
    kahuna.watch.key('one/a'),
    kahuna.watch.bucket('one'),
    kahuna.watch.prefix('one/'),
    kahuna.watch.range('one', { start: 'one/a', end: 'one/b' }),
  ];
  const loops = await Promise.all(watches.map(watch => running(watch, 4)));
  await kahuna.keys.set('one/a', 'first');
  await kahuna.keys.set('two/a', 'of another bucket');
  await kahuna.keys.extend('one/a', 60_000);
  await kahuna.keys.delete('one/a');
  await kahuna.keys.set('one/a', 'again');
  for (const [changes] of loops) expect((await changes)?.map(told)).toEqual(expected);
});

test('a watch goes on behind its position, out of the history', async () => {
  const watch = kahuna.watch.bucket('resume');
  const [first] = await running(watch, 2);
  for (let i = 0; i < 50; i++) await kahuna.keys.set(`resume/${i % 3}`, String(i));
  expect((await first)?.map(textOf)).toEqual(['0', '1']);
  const rest = await take(kahuna.watch.bucket('resume', { after: watch.position }), 48);
  expect(rest.map(textOf)).toEqual(Array.from({ length: 48 }, (_, i) => String(i + 2)));
});

test('the present state comes first where it is asked for, and a key from a revision on', async () => {
  for (const value of ['0', '1', '2', '3']) await kahuna.keys.set('state/a', value);
  await kahuna.keys.set('state/b', 'b');
  await kahuna.keys.set('state/gone', 'c');
  await kahuna.keys.delete('state/gone');
  const present = await take(kahuna.watch.bucket('state', { initial: true }), 2);
  expect(present.map(change => [change.key, textOf(change), change.initial]).sort()).toEqual([
    ['state/a', '3', true],
    ['state/b', 'b', true],
  ]);
  const from = await take(kahuna.watch.key('state/a', { fromRevision: 1 }), 3);
  expect(from.map(told)).toEqual(['set state/a 1 1', 'set state/a 2 2', 'set state/a 3 3']);
});

test('an expiry is told once, in its place, also where nobody writes', async () => {
  const watch = kahuna.watch.key('expiring');
  const [changes] = await running(watch, 3);
  await kahuna.keys.set('expiring', 'x', { ttlMs: 150 });
  await expect.poll(async () => kahuna.keys.get('expiring'), { timeout: 5000 }).toBeUndefined();
  await kahuna.keys.set('expiring', 'y');
  expect((await changes)?.map(told)).toEqual(['set expiring 0 x', 'expire expiring 0', 'set expiring 1 y']);
  expect((await take(kahuna.watch.key('expiring', { fromRevision: 0 }), 3)).map(told)).toEqual([
    'set expiring 0 x',
    'expire expiring 0',
    'set expiring 1 y',
  ]);
  const idle = kahuna.watch.key('expiring-alone');
  const [alone] = await running(idle, 2);
  await kahuna.keys.set('expiring-alone', 'x', { ttlMs: 100 });
  expect((await alone)?.map(told)).toEqual(['set expiring-alone 0 x', 'expire expiring-alone 0']);
});

test('what cannot be watched is refused, and a signal ends the loop', async () => {
  await expect(take(kahuna.watch.key(''), 1)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  expect(() => kahuna.watch.bucket('x', { after: 'garbage' })).toThrow(InvalidInputError);
  expect(() => kahuna.watch.key('x', { initial: true, fromRevision: 1 })).toThrow(InvalidInputError);
  const controller = new AbortController();
  const watch = kahuna.watch.key('silent', { signal: controller.signal });
  const loop = take(watch, 1);
  await watch.started;
  controller.abort(new Error('enough'));
  await expect(loop).rejects.toThrow('enough');
});
