import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeadCache, KeyRecord, type RecordOwner } from './head-cache.ts';

/** Owner that refuses to let go of records whose key begins with '!'. */
class Owner implements RecordOwner {
  readonly records = new Set<KeyRecord>();

  mayEvict(record: KeyRecord): boolean {
    return !record.key.startsWith('!');
  }

  evicted(record: KeyRecord): void {
    this.records.delete(record);
  }

  add(cache: HeadCache, key: string): KeyRecord {
    const record = new KeyRecord(key, this);
    this.records.add(record);
    cache.add(record);
    return record;
  }
}

describe('head cache', () => {
  test('what was used since the last look gets a second chance', () => {
    const cache = new HeadCache({ maxEntries: 4, maxBytes: 2 ** 20 });
    const owner = new Owner();
    const [a, b] = ['a', 'b', 'c', 'd'].map(key => {
      const record = owner.add(cache, key);
      cache.release(record);
      return record;
    }) as [KeyRecord, KeyRecord];
    a.used = true;
    cache.release(owner.add(cache, 'e'));
    cache.shrink(0);
    expect(owner.records.has(a)).toBe(true);
    expect(owner.records.has(b)).toBe(false);
    expect(cache.entries).toBe(4);
  });

  test('the counts are those of the records, held and refused ones stay, and the rest is bounded', () => {
    const step = fc.record({
      act: fc.constantFrom('add', 'keep', 'hold', 'release', 'use', 'resize', 'remove', 'shrink'),
      pick: fc.nat(),
      bytes: fc.nat(5000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), steps => {
        const cache = new HeadCache({ maxEntries: 8, maxBytes: 20_000 });
        const owner = new Owner();
        const held = new Set<KeyRecord>();
        for (const { act, pick, bytes } of steps) {
          const record = [...owner.records][pick % Math.max(1, owner.records.size)];
          if (act === 'add' || act === 'keep') held.add(owner.add(cache, `${act === 'keep' ? '!' : ''}${pick}`));
          else if (act === 'shrink') cache.shrink(0);
          else if (record === undefined) continue;
          else if (act === 'hold') {
            cache.hold(record);
            held.add(record);
          } else if (act === 'release') {
            cache.release(record);
            held.delete(record);
          } else if (act === 'use') record.used = true;
          else if (act === 'resize') cache.resize(record, bytes);
          else {
            cache.remove(record);
            owner.records.delete(record);
            held.delete(record);
          }
          expect(cache.entries).toBe(owner.records.size);
          expect(cache.bytes).toBe([...owner.records].reduce((sum, each) => sum + each.bytes, 0));
          for (const each of held) expect(owner.records.has(each)).toBe(true);
        }
        // Two passes take the marks of use away and then what is too much.
        cache.shrink(0);
        cache.shrink(0);
        const evictable = [...owner.records].filter(record => !held.has(record) && owner.mayEvict(record));
        expect(cache.entries <= 8 || evictable.length <= 1).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('one call looks at a bounded number of records, so a full list of refused ones does not stall the caller', () => {
    const cache = new HeadCache({ maxEntries: 10_000, maxBytes: 1 });
    let looks = 0;
    const owner: RecordOwner = {
      mayEvict: () => {
        looks++;
        return false;
      },
      evicted: () => undefined,
    };
    for (let i = 0; i < 5000; i++) {
      const record = new KeyRecord(`k${i}`, owner);
      cache.add(record);
      cache.release(record);
    }
    cache.shrink(0);
    expect(looks).toBeLessThanOrEqual(256);
    expect(cache.overloaded).toBe(true);
  });
});
