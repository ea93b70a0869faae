import { beforeEach, describe, expect, test } from 'vitest';
import { instantOf, Lease, type LeaseTerms } from './lease.ts';
import { ManualRuntime } from './manual-runtime.test-support.ts';

const LEASE_MS = 9000;
const MARGIN_MS = 900;

let runtime: ManualRuntime;
let renewals: { readonly atMs: number; readonly timeoutMs: number }[];
let answer: () => Promise<'renewed' | 'gone'>;
let lostBecause: string[];

beforeEach(() => {
  runtime = new ManualRuntime();
  runtime.draw = () => 0.5;
  renewals = [];
  lostBecause = [];
  answer = () => Promise.resolve('renewed');
});

function lease(terms: Partial<LeaseTerms> = {}, sent = instantOf(runtime)): Lease {
  return new Lease(
    runtime,
    {
      what: 'the lock "x"',
      leaseMs: LEASE_MS,
      marginMs: MARGIN_MS,
      maxHoldMs: Number.POSITIVE_INFINITY,
      renew: timeoutMs => {
        renewals.push({ atMs: runtime.monotonicMs(), timeoutMs });
        return answer();
      },
      onLost: reason => lostBecause.push(reason),
      ...terms,
    },
    sent,
  );
}

const never = new Promise<never>(() => undefined);

describe('lease', () => {
  test('is renewed at about a third of its length, for as long as it is held', async () => {
    const held = lease();
    await runtime.advance(60_000);
    expect(held.isHeld).toBe(true);
    expect(renewals[0]?.atMs).toBeCloseTo((LEASE_MS / 3) * 0.9);
    expect(renewals.length).toBeGreaterThanOrEqual(20);
    held.end();
    expect(runtime.timers).toBe(0);
  });

  test('L1 ends at sent + lease − margin when no renewal is answered, not when one fails', async () => {
    answer = () => never;
    const held = lease();
    await runtime.advance(LEASE_MS - MARGIN_MS - 1);
    expect(held.isHeld).toBe(true);
    expect(held.signal.aborted).toBe(false);
    await runtime.advance(1);
    expect(held.isHeld).toBe(false);
    expect(held.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'lease-over' });
    expect(lostBecause).toEqual(['lease-over']);
  });

  test('counts from when the request was sent: a slow answer shortens what is left', async () => {
    const sent = instantOf(runtime);
    await runtime.advance(4000);
    answer = () => never;
    const held = lease({}, sent);
    expect(held.remainingMs).toBe(LEASE_MS - MARGIN_MS - 4000);
    await runtime.advance(0);
    expect(renewals).toHaveLength(1);
  });

  test('a slow renewal extends from its own sending', async () => {
    answer = () => new Promise(resolve => void runtime.after(2000, () => resolve('renewed')));
    const held = lease();
    await runtime.advance(2700);
    expect(renewals).toHaveLength(1);
    await runtime.advance(2000);
    expect(held.remainingMs).toBeCloseTo(LEASE_MS - MARGIN_MS - 2000);
  });

  test('L1 a process that stood still finds out before it acts, timers or not', () => {
    const held = lease();
    runtime.freeze(LEASE_MS);
    expect(held.isHeld).toBe(false);
    expect(() => held.assertHeld()).toThrow(/lease is over/);
    expect(held.signal.aborted).toBe(true);
  });

  test('L1 a machine that was suspended finds out by its wall clock', () => {
    const held = lease();
    runtime.clock.stepWall(LEASE_MS);
    expect(() => held.assertHeld()).toThrow(/lease is over/);
  });

  test('who only listens to the signal hears within a second of waking, however long the lease is', async () => {
    const held = lease({ leaseMs: 600_000 });
    await runtime.advance(500);
    runtime.clock.stepWall(3_600_000);
    await runtime.advance(1000);
    expect(held.signal.aborted).toBe(true);
    expect(lostBecause).toEqual(['lease-over']);
    expect(runtime.timers).toBe(0);
  });

  test('a wall clock that steps back lengthens nothing', async () => {
    answer = () => never;
    const held = lease();
    runtime.clock.stepWall(-3_600_000);
    await runtime.advance(LEASE_MS - MARGIN_MS);
    expect(held.isHeld).toBe(false);
  });

  test('failed renewals are repeated while the lease lasts, and their cause is told', async () => {
    const failure = new Error('no answer');
    const failures: unknown[] = [];
    answer = () => Promise.reject(failure);
    const held = lease({ onRenewalFailed: cause => failures.push(cause) });
    await runtime.advance(4000);
    expect(failures.length).toBeGreaterThan(1);
    expect(held.isHeld).toBe(true);
    answer = () => Promise.resolve('renewed');
    await runtime.advance(1000);
    expect(held.remainingMs).toBeGreaterThan(LEASE_MS - MARGIN_MS - 1500);
    answer = () => Promise.reject(failure);
    await runtime.advance(LEASE_MS);
    expect(held.signal.reason).toMatchObject({ reason: 'lease-over', cause: failure });
  });

  test('L2 one renewal at a time, with no more time than the lease has left', async () => {
    answer = () => never;
    lease();
    await runtime.advance(8000);
    expect(renewals).toHaveLength(1);
    expect(renewals[0]?.timeoutMs).toBeLessThanOrEqual(LEASE_MS - MARGIN_MS - (renewals[0]?.atMs ?? 0));
  });

  test('L3 the server says that it is gone: lost at once and for good', async () => {
    answer = () => Promise.resolve('gone');
    const held = lease();
    await runtime.advance(LEASE_MS / 3);
    expect(held.isHeld).toBe(false);
    expect(held.signal.reason).toMatchObject({ reason: 'taken' });
    await runtime.advance(60_000);
    expect(renewals).toHaveLength(1);
    expect(lostBecause).toEqual(['taken']);
    expect(runtime.timers).toBe(0);
  });

  test('L3 a renewal that succeeds after the end revives nothing', async () => {
    let succeed: (outcome: 'renewed') => void = () => undefined;
    answer = () => new Promise(resolve => (succeed = resolve));
    const held = lease();
    await runtime.advance(LEASE_MS);
    succeed('renewed');
    await runtime.advance(1);
    expect(held.isHeld).toBe(false);
    expect(runtime.timers).toBe(0);
  });

  test('is not renewed beyond maxHoldMs, and says so', async () => {
    const held = lease({ maxHoldMs: 20_000 });
    await runtime.advance(19_999);
    expect(held.isHeld).toBe(true);
    await runtime.advance(1);
    expect(held.signal.reason).toMatchObject({ reason: 'held-too-long' });
    expect(runtime.timers).toBe(0);
  });

  test('ending it is final and happens once', () => {
    const held = lease();
    expect(held.end()).toBe(true);
    expect(held.end()).toBe(false);
    expect(held.signal.reason).toMatchObject({ reason: 'released' });
    expect(held.remainingMs).toBe(0);
    expect(runtime.timers).toBe(0);
  });
});
