import { describe, expect, test } from 'vitest';
import { get, LATEST, PersistentBench, set } from '../test/replica.ts';
import { Durability, type PartitionQuery } from './index.ts';

const KEYS = 4000;
const MAX_ENTRIES = 400;
const VALUE_BYTES = 500;
const everything: PartitionQuery = {
  shape: { kind: 'space', keySpace: 'k', lower: undefined, upper: undefined },
  readTimestamp: LATEST,
  plain: false,
  durability: Durability.Persistent,
  maxRows: KEYS,
};

function keyOf(i: number): string {
  return `k/${String(i).padStart(5, '0')}`;
}

function textOf(i: number): string {
  return String(i).padEnd(VALUE_BYTES, '.');
}

describe('ten times more data than the cache may hold (keyvalues §16)', () => {
  const bench = new PersistentBench({ maxEntries: MAX_ENTRIES, maxBytes: 2 ** 30 });
  const { replica } = bench;

  /** What the cache says it holds is what the machine holds. */
  function counted(): { readonly entries: number; readonly values: number } {
    const { records } = replica.machine.inspect();
    let values = 0;
    for (const record of records.values()) values += record.current?.value?.length ?? 0;
    return { entries: records.size, values };
  }

  test('keyvalues:C12 while it is written memory stays within the bound, but for what a flush still needs', () => {
    for (let i = 0; i < KEYS; i += 50) {
      bench.runAll(Array.from({ length: 50 }, (_, j) => set(keyOf(i + j), textOf(i + j))));
      if (i % 200 !== 0) continue;
      replica.flush();
      expect(replica.cache.entries).toBeLessThanOrEqual(MAX_ENTRIES);
    }
    replica.flush();
    expect(replica.cache.entries).toBe(counted().entries);
    expect(replica.cache.entries).toBeLessThanOrEqual(MAX_ENTRIES);
    expect(replica.cache.bytes).toBeGreaterThan(counted().values);
    expect(counted().values).toBeLessThanOrEqual(MAX_ENTRIES * VALUE_BYTES);
  });

  test('keyvalues:C12 every value reads right, and reading keeps the bound', () => {
    for (let i = 0; i < KEYS; i++) {
      const answer = bench.run(get(keyOf(i)));
      expect(answer.value?.length).toBe(VALUE_BYTES);
      expect(new TextDecoder().decode(answer.value?.subarray(0, 5)).replace(/\.+$/, '')).toBe(String(i));
      expect(replica.cache.entries).toBeLessThanOrEqual(MAX_ENTRIES + 1);
    }
    expect(replica.cache.entries).toBe(counted().entries);
  });

  test('a scan of everything leaves nothing in the cache', () => {
    const before = replica.cache.entries;
    expect(replica.scan(everything, bench.nowMs, 1000).rows).toHaveLength(KEYS);
    expect(replica.cache.entries).toBe(before);
  });

  test('bytes bound as entries do', () => {
    const narrow = new PersistentBench({ maxEntries: 10_000, maxBytes: 200_000 });
    for (let i = 0; i < 1000; i++) {
      narrow.run(set(keyOf(i), textOf(i)));
      if (i % 20 === 0) narrow.replica.flush();
    }
    narrow.replica.flush();
    expect(narrow.replica.cache.bytes).toBeLessThanOrEqual(200_000);
    expect(narrow.run(get(keyOf(0))).value?.length).toBe(VALUE_BYTES);
  });
});
