import { expect, test } from 'vitest';
import { HandOver } from './hand-over.ts';
import { type Attempt, type LockClient, PollingLocks, type TryLockClient } from './lock-client.ts';

/** A lock with a queue whose grants and releases happen when the test says so. */
class ScriptedLock implements LockClient {
  readonly queue: { worker: number; acquired: (held: boolean) => void }[] = [];
  readonly releases: ((ok: boolean) => void)[] = [];

  acquire(_name: string, worker: number, acquired: (held: boolean) => void): void {
    this.queue.push({ worker, acquired });
  }

  release(_name: string, _worker: number, released: (ok: boolean) => void): void {
    this.releases.push(released);
  }

  grant(held = true): void {
    this.queue.shift()?.acquired(held);
  }

  close(): void {
    this.queue.length = 0;
  }
}

test('a hand-over lasts from the release until the next contender holds the lock', () => {
  const lock = new ScriptedLock();
  let now = 100;
  const handOver = new HandOver(lock, 'l', () => now);
  const told: unknown[] = [];
  for (const worker of [0, 1]) handOver.join(worker, (ok, ms) => told.push([worker, ok, ms]));
  lock.grant();
  now = 103;
  lock.releases.shift()?.(true);
  lock.grant();
  lock.releases.shift()?.(true);
  expect(told).toEqual([
    [0, true, undefined],
    [1, true, 3],
  ]);
});

test('a release that nobody waited for begins no hand-over', () => {
  const lock = new ScriptedLock();
  const handOver = new HandOver(lock, 'l', () => performance.now());
  const times: unknown[] = [];
  for (const worker of [0, 1]) {
    handOver.join(worker, (_ok, ms) => times.push(ms));
    lock.grant();
    lock.releases.shift()?.(true);
  }
  expect(times).toEqual([undefined, undefined]);
});

test('the last holder stands back until another holds the lock', () => {
  const lock = new ScriptedLock();
  const handOver = new HandOver(lock, 'l', () => 0);
  const nothing = (): undefined => undefined;
  handOver.join(0, nothing);
  handOver.join(1, nothing);
  lock.grant();
  lock.releases.shift()?.(true);
  handOver.join(0, nothing);
  expect(lock.queue.map(({ worker }) => worker)).toEqual([1]);
  lock.grant();
  expect(lock.queue.map(({ worker }) => worker)).toEqual([0]);
});

test('a lone contender and one whose rival fails do not wait for nobody', () => {
  const lock = new ScriptedLock();
  const handOver = new HandOver(lock, 'l', () => 0);
  const told: boolean[] = [];
  handOver.join(0, ok => told.push(ok));
  lock.grant();
  lock.releases.shift()?.(true);
  handOver.join(1, ok => told.push(ok));
  handOver.join(0, ok => told.push(ok));
  lock.grant(false);
  expect(lock.queue.map(({ worker }) => worker)).toEqual([0]);
  lock.grant();
  lock.releases.shift()?.(true);
  expect(told).toEqual([true, false, true]);
});

test('a client that polls asks until the lock is free, and gives up on an error', async () => {
  const attempts: Attempt[] = ['taken by another', 'taken by another', 'held', 'failed'];
  const store: TryLockClient = {
    tryAcquire: (_name, _worker, tried) => setImmediate(() => tried(attempts.shift() as Attempt)),
    release: (_name, _worker, released) => setImmediate(released, true),
    close: () => undefined,
  };
  for (const retryMs of [0, 1]) {
    attempts.splice(0, attempts.length, 'taken by another', 'taken by another', 'held', 'failed');
    const locks = new PollingLocks(store, retryMs);
    expect(await new Promise(resolve => locks.acquire('l', 0, resolve))).toBe(true);
    expect(attempts).toEqual(['failed']);
    expect(await new Promise(resolve => locks.acquire('l', 0, resolve))).toBe(false);
  }
});
