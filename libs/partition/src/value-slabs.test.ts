import { describe, expect, test } from 'vitest';
import { keptBytes, ValueSlabs } from './value-slabs.ts';

describe('copies of values', () => {
  test('hold what they were given, whatever becomes of the original and of their neighbours', () => {
    const slabs = new ValueSlabs();
    const originals = Array.from({ length: 300 }, (_, i) => new Uint8Array((i * 37) % 1400).fill(i % 251));
    const copies = originals.map(original => slabs.keep(original));
    for (const original of originals) original.fill(255);
    for (const [i, copy] of copies.entries()) {
      expect(copy.length).toBe((i * 37) % 1400);
      expect(copy.every(byte => byte === i % 251)).toBe(true);
    }
  });

  test('small ones share, so that a value never holds more than a slab; large ones stand alone', () => {
    const slabs = new ValueSlabs();
    const small = Array.from({ length: 100 }, () => slabs.keep(new Uint8Array(100)));
    expect(new Set(small.map(value => value.buffer)).size).toBe(3);
    for (const value of small) expect(value.buffer.byteLength).toBe(4096);
    const large = slabs.keep(new Uint8Array(5000));
    expect(large.buffer.byteLength).toBe(5000);
    expect([keptBytes(small[0]), keptBytes(large), keptBytes(null)]).toEqual([200, 5000, 0]);
  });
});
