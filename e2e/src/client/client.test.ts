import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import {
  bytes,
  grpcTransport,
  InvalidInputError,
  json,
  Kahuna,
  type Lock,
  LockBusyError,
  restTransport,
  SequenceExhaustedError,
  SequenceExistsError,
  SequenceNotFoundError,
  text,
} from '@kahuna/client';
import { type EmbeddedNode, startEmbeddedNode } from '@kahuna/server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { HANGS_MS } from '../harness/processes.ts';

const TRANSPORTS = { grpc: () => grpcTransport(), rest: () => restTransport() };

async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

/** Fails within the test's own time rather than at its limit. */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}

/** Where nobody listens: a port that was free a moment ago. */
async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

let node: EmbeddedNode;
beforeAll(async () => {
  node = await startEmbeddedNode();
});
afterAll(() => node.stop());

describe.each(['grpc', 'rest'] as const)('client over %s', name => {
  let kahuna: Kahuna;
  let space = 0;
  /** Key space of this test alone. */
  let at: (leaf: string) => string;
  let spaceName: string;

  beforeEach(() => {
    kahuna = new Kahuna({ endpoints: node.url, transport: TRANSPORTS[name]() });
    spaceName = `${name}-${space++}`;
    const prefix = spaceName;
    at = leaf => `${prefix}/${leaf}`;
  });
  afterEach(() => kahuna.close());

  describe('keys', () => {
    test('what was set is got; a miss is undefined and knows how far the revisions have come', async () => {
      const { keys } = kahuna;
      expect(await keys.get(at('a'))).toBeUndefined();
      expect(await keys.lookup(at('a'))).toEqual({ found: false, revision: -1 });
      expect(await keys.set(at('a'), 'one')).toMatchObject({ set: true, revision: 0 });
      expect(await keys.set(at('a'), new Uint8Array([0, 255]))).toMatchObject({ set: true, revision: 1 });
      expect(await keys.get(at('a'))).toMatchObject({ key: at('a'), value: new Uint8Array([0, 255]), revision: 1 });
      expect(await keys.delete(at('a'))).toMatchObject({ deleted: true, revision: 1 });
      expect(await keys.delete(at('a'))).toMatchObject({ deleted: false, revision: 1 });
      expect(await keys.lookup(at('a'))).toEqual({ found: false, revision: 1 });
      expect(await keys.exists(at('a'))).toBe(false);
      expect(await keys.get(at('a'), { revision: 0 })).toMatchObject({ revision: 0 });
    });

    test('null, empty and text are three values; codecs type them', async () => {
      const texts = kahuna.keys.as(text);
      await texts.set(at('null'), null);
      await texts.set(at('empty'), '');
      expect((await texts.get(at('null')))?.value).toBeNull();
      expect((await texts.get(at('empty')))?.value).toBe('');
      expect((await kahuna.keys.as(bytes).get(at('empty')))?.value).toEqual(new Uint8Array(0));
      const configs = kahuna.keys.as(json<{ readonly limit: number }>());
      await configs.set(at('config'), { limit: 3 });
      expect((await configs.get(at('config')))?.value).toEqual({ limit: 3 });
      await expect(configs.get(at('empty'))).rejects.toBeInstanceOf(SyntaxError);
    });

    test('conditions: absent, present, revision, value', async () => {
      const { keys } = kahuna;
      expect(await keys.set(at('c'), 'x', { ifPresent: true })).toMatchObject({ set: false, revision: -1 });
      expect(await keys.set(at('c'), 'x', { ifAbsent: true })).toMatchObject({ set: true, revision: 0 });
      expect(await keys.set(at('c'), 'y', { ifAbsent: true })).toMatchObject({ set: false, revision: 0 });
      expect(await keys.set(at('c'), 'y', { ifRevision: 1 })).toMatchObject({ set: false });
      expect(await keys.set(at('c'), 'y', { ifRevision: 0 })).toMatchObject({ set: true, revision: 1 });
      expect(await keys.set(at('c'), 'z', { ifValue: 'x' })).toMatchObject({ set: false });
      expect(await keys.set(at('c'), 'z', { ifValue: 'y' })).toMatchObject({ set: true, revision: 2 });
      expect(await keys.set(at('fresh'), 'z', { ifValue: null })).toMatchObject({ set: true });
    });

    test('lifetimes: set, shown, extended, taken away', async () => {
      const { keys } = kahuna;
      await keys.set(at('t'), 'x', { ttlMs: 60_000 });
      const entry = await keys.get(at('t'));
      expect((entry?.expires?.l ?? 0) - (entry?.lastModified.l ?? 0)).toBe(60_000);
      expect(await keys.extend(at('t'), 0)).toMatchObject({ extended: true });
      expect((await keys.get(at('t')))?.expires).toBeUndefined();
      expect(await keys.extend(at('nobody'), 5)).toMatchObject({ extended: false });
    });

    test('update counts exactly under contention', async () => {
      const counters = kahuna.keys.as(json<number>());
      const add = () => counters.update(at('n'), present => (present?.value ?? 0) + 1, { attempts: 200 });
      await Promise.all(Array.from({ length: 20 }, add));
      expect((await counters.get(at('n')))?.value).toBe(20);
      expect(await counters.update(at('n'), () => undefined)).toMatchObject({ set: false, revision: 19 });
    });

    test('many at a time: one row per item, in order', async () => {
      const { keys } = kahuna;
      const rows = await keys.setMany([
        { key: at('1'), value: 'one' },
        { key: at('2'), value: null },
        { key: at('1'), value: 'uno', ifAbsent: true },
      ]);
      expect(rows.map(row => [row.set, row.revision, row.error])).toEqual([
        [true, 0, undefined],
        [true, 0, undefined],
        [false, 0, undefined],
      ]);
      const found = await keys.as(text).getMany([at('2'), at('none'), at('1')]);
      expect(found.map(entry => entry?.value)).toEqual([null, undefined, 'one']);
      expect(await keys.existsMany([at('1'), at('none')])).toEqual([true, false]);
      const deleted = await keys.deleteMany([at('1'), at('none')]);
      expect(deleted.map(row => row.deleted)).toEqual([true, false]);
      expect(await keys.getMany([])).toEqual([]);
    });

    test('ephemeral keys are others than persistent ones of the same name', async () => {
      const ephemeral = kahuna.keys.with({ durability: 'ephemeral' }).as(text);
      await ephemeral.set(at('e'), 'memory');
      await kahuna.keys.set(at('e'), 'disk');
      expect((await ephemeral.get(at('e')))?.value).toBe('memory');
      expect((await kahuna.keys.as(text).get(at('e')))?.value).toBe('disk');
    });

    test('as of a time: the state at that time', async () => {
      const texts = kahuna.keys.as(text);
      const first = await texts.set(at('h'), 'old');
      await texts.set(at('h'), 'new');
      expect((await texts.get(at('h'), { asOf: first.lastModified }))?.value).toBe('old');
      expect(await texts.get(at('h'), { asOf: first.lastModified.l - 1000 })).toBeUndefined();
      expect((await texts.get(at('h'), { asOf: new Date() }))?.value).toBe('new');
    });

    test('a walk delivers every key of its space once, in order, page by page', async () => {
      const names = Array.from({ length: 57 }, (_, i) => at(String(i).padStart(3, '0')));
      await kahuna.keys.setMany(names.map(key => ({ key, value: key })));
      await kahuna.keys.set(`${spaceName}x/other`, 'not in the bucket');
      await kahuna.keys.set(`${at('deeper')}/leaf`, 'another bucket');
      const keysOf = async (rows: AsyncIterable<{ readonly key: string }>) => (await collect(rows)).map(row => row.key);
      expect(await keysOf(kahuna.keys.bucket(spaceName, { pageSize: 10 }))).toEqual(names);
      expect(await keysOf(kahuna.keys.range(spaceName, { pageSize: 10, asOf: new Date() }))).toEqual(names);
      const bounds = { start: at('010'), startExclusive: true, end: at('013'), endInclusive: true };
      expect(await keysOf(kahuna.keys.range(spaceName, bounds))).toEqual([at('011'), at('012'), at('013')]);
      expect((await kahuna.keys.bucketHead(spaceName)).map(row => row.key)).toEqual(names);
      expect(await keysOf(kahuna.keys.prefix(`${spaceName}/05`))).toEqual(names.slice(50));
      for await (const row of kahuna.keys.bucket(spaceName, { pageSize: 5 })) {
        expect(row.key).toBe(names[0]);
        break;
      }
    });

    test('bad input is refused with a typed error that says what to do', async () => {
      const { keys } = kahuna;
      await expect(keys.set('', 'x')).rejects.toBeInstanceOf(InvalidInputError);
      await expect(keys.get('half \ud800')).rejects.toBeInstanceOf(InvalidInputError);
      await expect(keys.set('k', 'x', { ttlMs: 1.5 })).rejects.toBeInstanceOf(InvalidInputError);
      const refusal: unknown = await keys.get('__kahuna:secret').catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'INVALID_INPUT', retryable: false, outcomeUnknown: false });
      expect((refusal as InvalidInputError).cure).toMatch(/Correct/);
    });

    test('a signal that has fired ends a call with its own reason', async () => {
      const reason = new Error('enough');
      await expect(kahuna.keys.get(at('x'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const controller = new AbortController();
      const call = kahuna.keys.get(at('x'), { signal: controller.signal });
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
    });

    test('a megabyte goes both ways', async () => {
      const value = new Uint8Array(1_048_576).map((_, i) => i * 7);
      await kahuna.keys.set(at('big'), value);
      const read = (await kahuna.keys.get(at('big')))?.value ?? new Uint8Array(0);
      expect(Buffer.compare(read, value)).toBe(0);
    });
  });

  describe('snapshot holds', () => {
    test('a hold keeps its time in the floor until it is released', async () => {
      const hold = await kahuna.snapshots.hold(undefined, { leaseMs: 600_000 });
      expect(hold.id).toMatch(/^[0-9a-f]{32}$/);
      const floor = await kahuna.snapshots.floor();
      expect(floor.liveHolds).toBe(1);
      expect(floor.effectiveFloor).toEqual(hold.timestamp);
      await hold.release();
      expect((await kahuna.snapshots.floor()).liveHolds).toBe(0);
      expect(hold.signal.aborted).toBe(true);
    });
  });

  describe('locks', () => {
    test('tokens grow with every grant; a second owner waits its turn', async () => {
      const first = await kahuna.lock(at('door'));
      expect(first.fencingToken).toBe(0n);
      expect(await kahuna.tryLock(at('door'))).toBeUndefined();
      const waiting = kahuna.lock(at('door'), { retryMs: 10 });
      await first.release();
      expect(first.isHeld).toBe(false);
      expect(() => first.assertHeld()).toThrow(/released/);
      await using second = await waiting;
      expect(second.fencingToken).toBe(1n);
      await expect(kahuna.lock(at('door'), { waitMs: 30, retryMs: 10 })).rejects.toBeInstanceOf(LockBusyError);
    });

    if (name === 'grpc') {
      test('who waits is told of a release, and asks then', async () => {
        const first = await kahuna.lock(at('door'));
        // Without news it would not ask again before the end of this test.
        const waiting = kahuna.lock(at('door'), { waitMs: 3_600_000, retryMs: 3_600_000 });
        await expect(kahuna.lock(at('door'), { waitMs: 100 })).rejects.toBeInstanceOf(LockBusyError);
        await first.release();
        await using second = await waiting;
        expect(second.fencingToken).toBe(1n);
      });
    }

    test('a lock is renewed in the background, and its signal fires when the server takes it away', async () => {
      const lock = await new Promise<Lock>((resolve, reject) => {
        const holding = kahuna.lock(at('door'), {
          // Renewed every third of it: what is left outlasts a machine that stands still for seconds.
          leaseMs: 15_000,
          onEvent: event => {
            if (event.kind === 'extended') holding.then(resolve, reject);
          },
        });
      });
      lock.assertHeld();
      expect(lock.fencingToken).toBe(0n);
      await kahuna.locks.release(at('door'), { owner: lock.owner });
      expect(await aborted(lock.signal)).toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    });

    test('withLock hands on what the work throws, and lets go', async () => {
      const failure = new Error('the work failed');
      const work = kahuna.withLock(at('door'), {}, () => Promise.reject(failure));
      await expect(work).rejects.toBe(failure);
      expect(await kahuna.locks.info(at('door'))).toBeUndefined();
    });

    test('a wait that is cancelled leaves no lock behind', async () => {
      const holder = await kahuna.lock(at('door'));
      const controller = new AbortController();
      const waiting = kahuna.lock(at('door'), { retryMs: 5, signal: controller.signal });
      controller.abort(new Error('no longer needed'));
      await expect(waiting).rejects.toThrow('no longer needed');
      await holder.release();
      await expect.poll(() => kahuna.locks.info(at('door')), { timeout: HANGS_MS }).toBeUndefined();
    });

    test('the calls one by one', async () => {
      const { locks } = kahuna;
      const a = { owner: 'a', leaseMs: 60_000 };
      expect(await locks.acquire(at('l'), a)).toEqual({ type: 'locked', fencingToken: 0n });
      expect(await locks.acquire(at('l'), { ...a, owner: 'b' })).toEqual({ type: 'busy', fencingToken: 0n });
      expect(await locks.extend(at('l'), a)).toEqual({ type: 'extended', fencingToken: 0n });
      expect(await locks.extend(at('l'), { ...a, owner: 'b' })).toMatchObject({ type: 'other-owner' });
      expect(await locks.info(at('l'))).toMatchObject({ owner: new Uint8Array([97]), fencingToken: 0n });
      expect(await locks.release(at('l'), { owner: 'b' })).toBe('other-owner');
      expect(await locks.release(at('l'), { owner: 'a' })).toBe('released');
      expect(await locks.release(at('l'), { owner: 'a' })).toBe('not-held');
      await expect(locks.acquire('', a)).rejects.toBeInstanceOf(InvalidInputError);
    });
  });

  describe('elections', () => {
    test('one leads, others see who; the next one follows when it resigns', async () => {
      const [ann, bob] = ['ann', 'bob'].map(candidate => kahuna.election(at('boss'), { candidate }));
      if (!ann || !bob) throw new Error('two candidates');
      expect(await bob.leader()).toBeUndefined();
      const first = await ann.campaign();
      expect(await bob.leader()).toMatchObject({ leader: 'ann', fencingToken: first.fencingToken });
      const next = bob.campaign({ retryMs: 10 });
      await first.resign();
      await using second = await next;
      second.assertLeader();
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      expect(await ann.leader()).toMatchObject({ leader: 'bob' });
    });

    test('lead runs the work once per term and resigns on the signal', async () => {
      const controller = new AbortController();
      const tokens: bigint[] = [];
      const done = kahuna.election(at('boss')).lead(
        async leadership => {
          tokens.push(leadership.fencingToken);
          if (tokens.length === 1) return;
          controller.abort();
          await aborted(leadership.signal);
        },
        { signal: controller.signal, retryMs: 10 },
      );
      await done;
      expect(tokens).toEqual([0n, 1n]);
      expect(await kahuna.locks.info(at('boss'))).toBeUndefined();
    });

    test('observers see each change once', async () => {
      const election = kahuna.election(at('boss'), { candidate: 'ann' });
      const views = election.observe({ intervalMs: 5 });
      expect((await views.next()).value).toBeUndefined();
      const leadership = await election.campaign();
      expect((await views.next()).value).toMatchObject({ leader: 'ann' });
      await leadership.resign();
      expect((await views.next()).value).toBeUndefined();
      await views.return?.();
    });
  });

  describe('sequences', () => {
    test('values, runs, keys and the end', async () => {
      const sequence = kahuna.sequence(at('orders'));
      await expect(sequence.next()).rejects.toBeInstanceOf(SequenceNotFoundError);
      expect(await sequence.get()).toBeUndefined();
      expect(await sequence.create({ maxValue: 20n })).toBe(0n);
      await expect(sequence.create()).rejects.toBeInstanceOf(SequenceExistsError);
      expect(await sequence.ensure()).toBe(false);
      expect(await sequence.next()).toBe(1n);
      expect(await sequence.next({ idempotencyKey: 'order-7' })).toBe(2n);
      expect(await sequence.next({ idempotencyKey: 'order-7' })).toBe(2n);
      expect(await sequence.next({ gapless: true })).toBe(3n);
      expect(await sequence.reserve(5)).toMatchObject({ start: 4n, end: 8n, count: 5 });
      await expect(sequence.reserve(100)).rejects.toBeInstanceOf(SequenceExhaustedError);
      expect(await sequence.get()).toMatchObject({ maxValue: 20n, increment: 1n, incarnation: 0n });
      await sequence.update({ maxValue: null, currentValue: 2n ** 62n });
      expect(await sequence.next()).toBe(2n ** 62n + 1n);
      expect(await sequence.delete()).toBe(true);
      expect(await sequence.delete()).toBe(false);
      await expect(sequence.reserve(0)).rejects.toBeInstanceOf(InvalidInputError);
    });

    test('values by the block, in steps of the increment', async () => {
      const sequence = kahuna.sequence(at('tens'));
      await sequence.create({ increment: 10n });
      const values: bigint[] = [];
      for await (const value of sequence.values({ block: 3 })) {
        values.push(value);
        if (values.length === 7) break;
      }
      expect(values).toEqual([10n, 20n, 30n, 40n, 50n, 60n, 70n]);
    });
  });

  test('the members of the cluster', async () => {
    expect(await kahuna.cluster.membership()).toMatchObject({
      initialized: true,
      localRole: 'voter',
      members: [{ nodeId: 1, role: 'voter' }],
    });
  });

  test('an endpoint where nobody listens is passed over; where there is no other, nothing was done and the error says so', async () => {
    const dead = await deadUrl();
    const both = new Kahuna({ endpoints: [dead, node.url], transport: TRANSPORTS[name]() });
    for (let i = 0; i < 20; i++) await both.keys.set(at('x'), String(i));
    await both.close();
    const none = new Kahuna({ endpoints: dead, transport: TRANSPORTS[name]() });
    const failure: unknown = await none.keys.set('x', 'y', { timeoutMs: 300 }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcomeUnknown: false });
    await none.close();
  });

  test('a closed client refuses calls', async () => {
    await kahuna.close();
    await expect(kahuna.keys.get('x')).rejects.toMatchObject({ code: 'CLIENT_CLOSED', outcomeUnknown: false });
  });
});
