import {
  type Change,
  grpcTransport,
  InvalidInputError,
  Kahuna,
  type LockChange,
  restTransport,
  type SequenceChange,
  type Transport,
  type Watch,
} from '@kahuna/client';
import { type EmbeddedNode, startEmbeddedNode } from '@kahuna/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { HANGS_MS } from '../harness/processes.ts';

const textOf = (change: Change): string => (change.value === null ? '' : Buffer.from(change.value).toString());
const told = (change: Change): string => `${change.kind} ${change.key} ${change.revision} ${textOf(change)}`.trim();

/** Runs the loop until it was given `count` changes. */
async function take<C>(watch: Watch<C>, count: number): Promise<C[]> {
  const changes: C[] = [];
  if (count === 0) return changes;
  for await (const change of watch) {
    changes.push(change);
    if (changes.length === count) break;
  }
  return changes;
}

/** A loop that is under way: what it is given, and its begin. */
async function running<C>(watch: Watch<C>, count: number): Promise<Promise<C[]>[]> {
  const changes = take(watch, count);
  changes.catch(() => undefined);
  await Promise.race([watch.started, changes]);
  return [changes];
}
const lockTold = ({ kind, held, owner, fencingToken }: LockChange): string =>
  `${kind} ${owner === undefined ? 'nobody' : `${held ? '' : 'by '}${Buffer.from(owner)}`} ${fencingToken}`;

const TRANSPORTS: readonly (readonly [string, () => Transport])[] = [
  ['gRPC', grpcTransport],
  ['a WebSocket', () => restTransport({ WebSocket })],
];

describe.each(TRANSPORTS)('watches over %s', (_name, transport) => {
  let node: EmbeddedNode;
  let kahuna: Kahuna;
  beforeAll(async () => {
    node = await startEmbeddedNode();
    kahuna = new Kahuna({ endpoints: node.url, transport: transport() });
  });
  afterAll(async () => {
    await kahuna?.close();
    await node?.stop();
  });

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
    await expect.poll(async () => kahuna.keys.get('expiring'), { timeout: HANGS_MS }).toBeUndefined();
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

  test('a lock: present state, then every change of its owner', async () => {
    const { locks } = kahuna;
    const watch = kahuna.watch.lock('watched-lock');
    const [changes] = await running(watch, 6);
    const lease = { owner: 'a', leaseMs: 600_000 };
    await locks.acquire('watched-lock', lease);
    await locks.extend('watched-lock', lease);
    await locks.release('watched-lock', lease);
    await locks.acquire('watched-lock', { owner: 'b', leaseMs: 300 });
    expect((await changes)?.map(lockTold)).toEqual([
      'snapshot nobody -1',
      'acquired a 0',
      'extended a 0',
      'released by a 0',
      'acquired b 1',
      'expired by b 1',
    ]);
    const [snapshot] = await take(kahuna.watch.lock('watched-lock', { after: watch.position }), 1);
    expect(snapshot).toMatchObject({ kind: 'snapshot', name: 'watched-lock', held: false, fencingToken: 1n });
  });

  test('an ephemeral lock is watched, too', async () => {
    const { locks } = kahuna;
    const [changes] = await running(kahuna.watch.lock('brief', { durability: 'ephemeral' }), 3);
    const lease = { owner: 'a', leaseMs: 600_000, durability: 'ephemeral' } as const;
    await locks.acquire('brief', lease);
    await locks.release('brief', lease);
    expect((await changes)?.map(({ kind, held }) => `${kind} ${held}`)).toEqual([
      'snapshot false',
      'acquired true',
      'released false',
    ]);
  });

  test('a sequence: present state, then what is reserved of it, to the last digit', async () => {
    const sequence = kahuna.sequence('watched-sequence');
    const [changes] = await running(kahuna.watch.sequence('watched-sequence'), 5);
    await sequence.create({ initialValue: 2n ** 60n, blockSize: 10, maxValue: 2n ** 62n + 1n });
    await sequence.next();
    await sequence.update({ increment: 7n });
    await sequence.delete();
    const told = (await changes) as SequenceChange[];
    expect(told.map(({ kind }) => kind)).toEqual(['snapshot', 'created', 'reserved', 'updated', 'deleted']);
    expect(told.map(({ sequence: state }) => state?.currentValue)).toEqual([
      undefined,
      2n ** 60n,
      2n ** 60n + 10n,
      expect.any(BigInt),
      undefined,
    ]);
    expect(told[3]?.sequence).toMatchObject({ increment: 7n, maxValue: 2n ** 62n + 1n, blockSize: 10 });
  });
});

test('a platform without WebSocket is told so', async () => {
  await using node = await startEmbeddedNode();
  await using kahuna = new Kahuna({ endpoints: node.url, transport: restTransport({ WebSocket: undefined }) });
  if ('WebSocket' in globalThis) return;
  await expect(take(kahuna.watch.key('a'), 1)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
});
