import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jumpHash } from './jump-hash.ts';
import { keySpaceOf, placementGroupOf, sequenceStorageKey } from './key-space.ts';
import { bucketOf, bucketOfText, PlacementCache, partitionForKey } from './placement.ts';
import { RoutingTable } from './routing-table.ts';
import { xxHash32 } from './xxhash32.ts';

const encoder = new TextEncoder();
const hash = (text: string, seed: number): number => {
  const bytes = encoder.encode(text);
  return xxHash32(bytes, bytes.length, seed);
};

const POOLS = [1, 3, 4, 8, 16, 128, 256, 1024];

/** routing §3.2: key, group, h1, h2, partition for each of the pools above. */
const VECTORS: readonly (readonly [key: string, group: string, h1: number, h2: number, partitions: readonly number[]])[] = [
  ['a', 'a', 0x45677835, 0xede2c224, [2, 3, 3, 3, 16, 77, 227, 728]],
  ['abc', 'abc', 0x94247a12, 0x24610b04, [2, 4, 4, 4, 4, 45, 45, 646]],
  ['my-config', 'my-config', 0xd31ff67b, 0x1220d52e, [2, 3, 3, 9, 9, 105, 105, 367]],
  ['orders/42', 'orders', 0xb9a68a18, 0x0742f76f, [2, 3, 3, 3, 3, 51, 51, 51]],
  ['orders/43', 'orders', 0xb9a68a18, 0x0742f76f, [2, 3, 3, 3, 3, 51, 51, 51]],
  ['jepsen/register/4', 'jepsen/register', 0x354c473f, 0x89f0b8d6, [2, 4, 4, 4, 15, 15, 15, 374]],
  ['services/auth/instance-1', 'services/auth', 0xa4a2ea98, 0x4df4f4fc, [2, 3, 3, 3, 3, 80, 200, 200]],
  ['services/auth/instance-2', 'services/auth', 0xa4a2ea98, 0x4df4f4fc, [2, 3, 3, 3, 3, 80, 200, 200]],
  ['users/1', 'users', 0x813b0f13, 0x2b70096d, [2, 4, 4, 9, 9, 117, 117, 278]],
  ['users|eu/1', 'users', 0x813b0f13, 0x2b70096d, [2, 4, 4, 9, 9, 117, 117, 278]],
  ['users|eu/2', 'users', 0x813b0f13, 0x2b70096d, [2, 4, 4, 9, 9, 117, 117, 278]],
  ['users|us/profile/9', 'users', 0x813b0f13, 0x2b70096d, [2, 4, 4, 9, 9, 117, 117, 278]],
  ['users/a|b', 'users', 0x813b0f13, 0x2b70096d, [2, 4, 4, 9, 9, 117, 117, 278]],
  ['/leading', '', 0xeb497740, 0x4dc4251d, [2, 4, 4, 4, 4, 89, 227, 227]],
  ['|leading', '', 0xeb497740, 0x4dc4251d, [2, 4, 4, 4, 4, 89, 227, 227]],
  ['/', '', 0xeb497740, 0x4dc4251d, [2, 4, 4, 4, 4, 89, 227, 227]],
  ['trailing/', 'trailing', 0xbc26c914, 0xbec8e3ef, [2, 2, 2, 6, 6, 31, 31, 964]],
  ['a/b/c/d', 'a/b/c', 0xa6f9bf2a, 0x37e4311a, [2, 4, 4, 8, 8, 107, 201, 376]],
  ['a//b', 'a/', 0x403c0d8a, 0x2579e80c, [2, 3, 5, 6, 6, 76, 76, 542]],
  ['a|b|c/d', 'a', 0x45677835, 0xede2c224, [2, 3, 3, 3, 16, 77, 227, 728]],
  ['bench:0', 'bench:0', 0x5d1d1776, 0xa3f898e2, [2, 3, 3, 3, 3, 121, 121, 121]],
  ['bench:9999', 'bench:9999', 0xe3726d2f, 0x06024d3c, [2, 4, 4, 7, 7, 92, 92, 830]],
  ['jobs/email', 'jobs', 0x54bda53b, 0x171dd28e, [2, 4, 4, 4, 15, 15, 15, 642]],
  ['ünïcödé/ключ', 'ünïcödé', 0x52753811, 0x6cd06a61, [2, 4, 4, 9, 9, 39, 173, 669]],
  ['😀/k', '😀', 0xdfce5b86, 0x46100f79, [2, 4, 5, 5, 5, 43, 132, 447]],
  ['tenant-7|orders/2024/0001', 'tenant-7', 0x1f374978, 0x4a506e2d, [2, 4, 4, 6, 6, 66, 66, 630]],
  ['tenant-7|invoices/2024/0001', 'tenant-7', 0x1f374978, 0x4a506e2d, [2, 4, 4, 6, 6, 66, 66, 630]],
  ['some-random-key-0123456789', 'some-random-key-0123456789', 0xa7fead02, 0x311ebf10, [2, 4, 4, 4, 14, 59, 59, 59]],
  ['x y/ z', 'x y', 0x12a394cd, 0x236f6e60, [2, 4, 4, 4, 16, 16, 16, 996]],
  ['locks/tasks/123', 'locks/tasks', 0x2c92c2b2, 0x0280fec1, [2, 3, 3, 3, 10, 10, 10, 742]],
  [sequenceStorageKey('orders'), '__kahuna:sequences:orders', 0x52ca0e5f, 0xd491ecff, [2, 2, 5, 5, 5, 21, 173, 394]],
  [sequenceStorageKey('bench:seq:0'), '__kahuna:sequences:bench:seq:0', 0xacc7f3ac, 0x586fa002, [2, 2, 5, 6, 10, 79, 246, 742]],
  [sequenceStorageKey('tenants/1/counter'), '__kahuna:sequences:tenants/1', 0xa5445088, 0x683a4677, [2, 2, 5, 6, 6, 63, 63, 953]],
  [sequenceStorageKey('a|b'), '__kahuna:sequences:a', 0x81953393, 0xc3037686, [2, 3, 5, 6, 17, 117, 117, 573]],
];

describe('hash placement', () => {
  test.each([
    ['', 0, 0x02cc5d05],
    ['a', 0, 0x550d7456],
    ['abc', 0, 0x32d153ff],
    ['Hello, world!', 0, 0x31b7405d],
    ['', 1, 0x0b2cb792],
  ])('routing:1 xxHash32 of %j (§3) with seed %i', (text, seed, expected) => {
    expect(hash(text, seed)).toBe(expected);
  });

  test.each([
    ['jepsen/register', { 3: 2, 16: 13, 256: 13, 1024: 372 }],
    ['jepsen/register/4', { 3: 0, 16: 4, 256: 66, 1024: 701 }],
    ['a', { 3: 1, 16: 14 }],
    ['abc', { 3: 2, 16: 2 }],
    ['orders/42', { 3: 1, 16: 8, 256: 182 }],
    ['routing/abc', { 16: 2 }],
    ['users|eu/1', { 16: 5 }],
    ['x', { 16: 7 }],
    ['some-random-key-0123456789', { 16: 12 }],
    ['kahuna/sequences/counter', { 16: 4, 1024: 580 }],
    ['anything', { 1: 0 }],
  ])('routing:1 bucket of the whole text %j (§3.1)', (text, buckets) => {
    for (const [pool, bucket] of Object.entries(buckets)) expect(bucketOfText(text, Number(pool))).toBe(bucket);
  });

  test.each(VECTORS)('routing:1 the placement of %j (§3.2)', (key, group, h1, h2, partitions) => {
    expect(placementGroupOf(keySpaceOf(key))).toBe(group);
    expect(hash(group, 0xaaaaaaaa)).toBe(h1);
    expect(hash(group, 0x55555555)).toBe(h2);
    for (const [i, pool] of POOLS.entries()) {
      expect(partitionForKey(key, pool)).toBe(partitions[i]);
      expect(bucketOf(key, pool)).toBe((partitions[i] as number) - 2);
      expect(new RoutingTable(pool, 1).lookup(key)).toEqual({ partitionId: partitions[i], generation: 0 });
    }
  });

  /** Any 64-bit key in its two halves. */
  const halves = [fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 0xffff_ffff })] as const;

  test('routing:1 a bucket more takes keys from the others and moves none between them', () => {
    fc.assert(
      fc.property(...halves, fc.integer({ min: 1, max: 100_000 }), (high, low, buckets) => {
        expect([jumpHash(high, low, buckets), buckets]).toContain(jumpHash(high, low, buckets + 1));
      }),
      { numRuns: 2000 },
    );
  });

  test('routing:1 as buckets are added one by one, a key is moved to the one just added or stays', () => {
    fc.assert(
      fc.property(...halves, (high, low) => {
        let bucket = jumpHash(high, low, 1);
        expect(bucket).toBe(0);
        for (let buckets = 1; buckets < 256; buckets++) {
          const next = jumpHash(high, low, buckets + 1);
          if (next !== buckets) expect(next).toBe(bucket);
          bucket = next;
        }
      }),
    );
  });

  test('the jump hash in halves agrees with 64-bit arithmetic', () => {
    const reference = (key: bigint, buckets: number): number => {
      let k = key;
      let b = -1;
      let j = 0;
      while (j < buckets) {
        b = j;
        k = (k * 2862933555777941757n + 1n) & 0xffff_ffff_ffff_ffffn;
        j = Math.floor((b + 1) * (2 ** 31 / (Number(k >> 33n) + 1)));
      }
      return b;
    };
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 1, max: 100_000 }), (key, buckets) => {
        expect(jumpHash(Number(key >> 32n), Number(key & 0xffff_ffffn), buckets)).toBe(reference(key, buckets));
      }),
      { numRuns: 2000 },
    );
  });

  test('no bucket, no placement', () => {
    expect(() => jumpHash(1, 1, 0)).toThrow();
    expect(() => bucketOfText('a', 0)).toThrow();
    expect(() => new PlacementCache(0)).toThrow();
  });

  test('a lone surrogate is hashed as U+FFFD; a text longer than the scratch buffer is hashed whole', () => {
    expect(bucketOfText('a\ud800', 1024)).toBe(bucketOfText('a\ufffd', 1024));
    const long = 'ü'.repeat(5000);
    const bytes = encoder.encode(long);
    expect(bucketOfText(long, 1024)).toBe(
      jumpHash(xxHash32(bytes, bytes.length, 0xaaaaaaaa), xxHash32(bytes, bytes.length, 0x55555555), 1024),
    );
  });

  test('the cache answers like the hash and stays within its bound', () => {
    const cache = new PlacementCache(256, 64);
    for (let i = 0; i < 1000; i++) {
      const key = `space-${(i * 7) % 300}`;
      expect(cache.bucketOfSpace(key)).toBe(bucketOf(key, 256));
      expect(cache.size).toBeLessThanOrEqual(64);
    }
  });

  test('the pool is listed ascending', () => {
    expect(new RoutingTable(3, 1).poolPartitions()).toEqual([2, 3, 4]);
  });
});
