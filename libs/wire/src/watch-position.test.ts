import { ByteReader, SYSTEM_PARTITION } from '@kahuna/base';
import { expect, test } from 'vitest';
import { decodePosition, encodePosition, type WatchTarget } from './watch-position.ts';

const TARGET: WatchTarget = { $case: 'Bucket', Bucket: 'config' };
const PLACES = new Map([
  [2, { stamp: { n: 1, l: 1_763_715_600_000, c: 4 }, key: '' }],
  [5, { stamp: { n: 0, l: 1_763_715_600_123, c: 0xffff_ffff }, key: 'config/a' }],
]);
/** As it was written before positions said which cluster they are of. */
const WITHOUT_CLUSTER = 'Abuoqa8KAgICgLqi2tRmBAAFAPa7otrUZv____8PCGNvbmZpZy9h';

test('a position says which cluster it is of, and what is read is what was written', () => {
  const position = { cluster: 'c5c9d1d0-6a0e-4e4c-8f5e-1d6a0b8f2c11', places: PLACES };
  expect(decodePosition(TARGET, encodePosition(TARGET, position))).toEqual(position);
});

test('positions of releases that did not say it are taken as they are, and written back as they were', () => {
  const position = decodePosition(TARGET, WITHOUT_CLUSTER);
  expect(position).toEqual({ cluster: undefined, places: PLACES });
  expect(encodePosition(TARGET, position)).toBe(WITHOUT_CLUSTER);
});

test('those releases find the places where they look for them: the cluster stands with P0, in which nothing is watched', () => {
  const text = encodePosition(TARGET, { cluster: 'abc', places: PLACES });
  const [old, read] = [WITHOUT_CLUSTER, text].map(position => new ByteReader(Buffer.from(position, 'base64url')));
  expect(read?.u8()).toBe(old?.u8());
  expect(read?.varint()).toBe(old?.varint());
  expect([read?.varint(), old?.varint()]).toEqual([3, 2]);
  expect([read?.varint(), read?.svarint(), read?.svarint(), read?.varint(), read?.string()]).toEqual([
    SYSTEM_PARTITION,
    0,
    0,
    0,
    'abc',
  ]);
  expect(read?.raw(read.remaining)).toEqual(old?.raw(old.remaining));
});
