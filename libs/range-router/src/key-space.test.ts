import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareOrdinal,
  isReservedKey,
  isWellFormed,
  keySpaceOf,
  keySpaceOfPrefix,
  leafStart,
  placementGroupOf,
  sequenceStorageKey,
} from './key-space.ts';

describe('key spaces and groups', () => {
  test.each([
    ['my-config', 'my-config', 'my-config'],
    ['orders/42', 'orders', 'orders'],
    ['orders/2026/0001', 'orders/2026', 'orders/2026'],
    ['users|eu/1', 'users|eu', 'users'],
    ['users/a|b', 'users', 'users'],
    ['/leading', '', ''],
    ['|leading', '|leading', ''],
    ['trailing/', 'trailing', 'trailing'],
    ['a//b', 'a/', 'a/'],
    ['a|b|c/d', 'a|b|c', 'a'],
  ])('routing:§1 %j is of space %j and group %j', (key, space, group) => {
    expect(keySpaceOf(key)).toBe(space);
    expect(placementGroupOf(keySpaceOf(key))).toBe(group);
    expect(keySpaceOf(key)).toBe(key.slice(0, leafStart(key)));
  });

  test.each([
    ['fleet', 'fleet'],
    ['fleet/', 'fleet'],
    ['fleet//', 'fleet/'],
    ['/', ''],
  ])('routing:§2 the prefix %j names the space %j', (prefix, space) => {
    expect(keySpaceOfPrefix(prefix)).toBe(space);
  });

  test('keyvalues:K3 keyvalues:K4 the reserved prefix', () => {
    expect(isReservedKey('__kahuna:x')).toBe(true);
    expect(isReservedKey('__kahunax')).toBe(false);
    expect(sequenceStorageKey('tenants/1/counter')).toBe('__kahuna:sequences:tenants/1/counter');
  });

  test('keyvalues:K14 the order is that of UTF-16 units', () => {
    const keys = ['o/\ue000', 'o/😀', 'o/a', 'o/Z', 'a/2', 'a/10', 'a/1'];
    expect(keys.sort(compareOrdinal)).toEqual(['a/1', 'a/10', 'a/2', 'o/Z', 'o/a', 'o/😀', 'o/\ue000']);
    expect(compareOrdinal('a', 'a')).toBe(0);
  });

  test('keyvalues:K15 exactly the texts that survive UTF-8 are well formed', () => {
    const unit = fc.constantFrom('a', 'é', '\ud800', '\udbff', '\udc00', '\udfff', '\ue000', '😀');
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 6 }), units => {
        const text = units.join('');
        expect(isWellFormed(text)).toBe(Buffer.from(text, 'utf8').toString('utf8') === text);
      }),
      { numRuns: 1000 },
    );
  });
});
