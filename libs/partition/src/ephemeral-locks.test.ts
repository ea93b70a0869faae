import { describe, expect, test } from 'vitest';
import { Durability, EphemeralLocks, HeadCache, type LockOperation, LockResponseType, type OperationResult } from './index.ts';

const A = new Uint8Array([1]);
const B = new Uint8Array([2]);
const IDLE_MS = 60_000;

class Table {
  nowMs = 1_000_000;
  readonly locks: EphemeralLocks;
  private c = 0;

  constructor(maxEntries = 100_000) {
    const cache = new HeadCache({ maxEntries, maxBytes: 2 ** 26 });
    const eviction = { idleMs: IDLE_MS, minLocks: 200, maxPerPass: 100, operationsPerPass: 500 };
    this.locks = new EphemeralLocks(1, cache, eviction);
  }

  run(kind: LockOperation['kind'], key: string, owner = A, expiresMs = 10_000_000): OperationResult {
    const operation: LockOperation = { kind, key, owner, expiresMs, durability: Durability.Ephemeral };
    return this.locks.execute(operation, { n: 1, l: this.nowMs, c: this.c++ });
  }

  /** Operations on one lock, so that passes happen. */
  work(operations: number): void {
    for (let i = 0; i < operations; i++) this.run('lock-info', 'worker');
  }
}

describe('eviction of ephemeral locks (locks §9)', () => {
  test('locks:F12 ten thousand free locks go, and tokens still grow', () => {
    const table = new Table();
    const grant = (i: number): OperationResult => table.run('lock-acquire', `l${i}`);
    for (let i = 0; i < 10_000; i++) {
      grant(i);
      table.run('lock-release', `l${i}`);
    }
    for (let i = 0; i < 5; i++) {
      table.run('lock-acquire', 'l77');
      table.run('lock-release', 'l77');
    }
    table.nowMs += IDLE_MS + 1;
    table.work(100_000);
    expect(table.locks.size).toBeLessThan(200);
    const again = grant(77);
    expect(again).toMatchObject({ type: LockResponseType.Locked, revision: 6 });
    // Nor does any other lock that was forgotten fall behind itself.
    expect(grant(78).revision).toBe(6);
  });

  test('locks:F13 a held lock is never evicted, however idle', () => {
    const table = new Table();
    table.run('lock-acquire', 'held', A);
    for (let i = 0; i < 5000; i++) {
      table.run('lock-acquire', `l${i}`, A, 1);
      table.nowMs += 1;
    }
    table.nowMs += 2 * IDLE_MS;
    table.work(100_000);
    expect(table.locks.size).toBeLessThan(300);
    expect(table.run('lock-acquire', 'held', B).type).toBe(LockResponseType.Busy);
  });

  test('few locks are left alone, and young ones too', () => {
    const few = new Table();
    for (let i = 0; i < 150; i++) few.run('lock-acquire', `l${i}`, A, 1);
    few.nowMs += 2 * IDLE_MS;
    few.work(5000);
    expect(few.locks.size).toBe(150);
    const young = new Table();
    for (let i = 0; i < 1000; i++) young.run('lock-acquire', `l${i}`, A, 1);
    young.nowMs += IDLE_MS - 1;
    young.work(5000);
    expect(young.locks.size).toBe(1000);
  });

  test('under pressure free locks go at once; with held ones only, new names are refused', () => {
    const table = new Table(100);
    for (let i = 0; i < 1000; i++) {
      table.run('lock-acquire', `free${i}`);
      table.run('lock-release', `free${i}`);
    }
    expect(table.locks.size).toBeLessThanOrEqual(110);
    const answers = Array.from({ length: 1000 }, (_, i) => table.run('lock-acquire', `held${i}`).type);
    expect(answers.filter(type => type === LockResponseType.MustRetry).length).toBeGreaterThan(700);
    const granted = answers.flatMap((type, i) => (type === LockResponseType.Locked ? [i] : []));
    for (const i of granted) expect(table.run('lock-info', `held${i}`).type).toBe(LockResponseType.Got);
  });
});
