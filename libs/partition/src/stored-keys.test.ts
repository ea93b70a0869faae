import { ByteWriter, DecodeError } from '@kahuna/base';
import { compareOrdinal, keySpaceOf, leafStart } from '@kahuna/range-router';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BUCKET_FAMILIES,
  decodeStoredKey,
  Family,
  familyInterval,
  headKey,
  historyKey,
  metaRowKey,
  spaceInterval,
} from './stored-keys.ts';

const writer = new ByteWriter();
const compareBytes = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

/** Units that sit at the edges of the encoding: NUL, escapes, separators, the UTF-8 length steps, surrogates and what lies above them. */
const unit = fc.constantFrom(
  '\0',
  '\x01',
  '\x02',
  '/',
  '|',
  'a',
  'b',
  '\x7f',
  '\x80',
  '\u07ff',
  '\u0800',
  '\ud7ff',
  '\ud83d',
  '\ude00',
  '\udbff',
  '\udfff',
  '\ue000',
  '\uffff',
  '\xff',
);
const text = fc.oneof(
  fc.array(unit, { maxLength: 6 }).map(units => units.join('')),
  fc.string({ unit: 'binary', maxLength: 8 }),
);

describe('stored keys', () => {
  test('the byte order of heads is the ordinal order of (space, leaf)', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const expected =
          compareOrdinal(keySpaceOf(a), keySpaceOf(b)) || compareOrdinal(a.slice(leafStart(a)), b.slice(leafStart(b)));
        expect(Math.sign(compareBytes(headKey(writer, 3, a), headKey(writer, 3, b)))).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  test('keyvalues:K14 inside a space that is the ordinal order of the keys, not UTF-8 order', () => {
    const keys = ['o/\ue000', 'o/😀', 'o/a', 'o/Z', 'o/10', 'o/2', 'o/1'];
    const stored = keys.map(key => headKey(writer, 0, key)).sort(compareBytes);
    expect(stored.map(row => decodeStoredKey(row).key)).toEqual([...keys].sort(compareOrdinal));
  });

  test('a key comes back from its head and from its history row', () => {
    fc.assert(
      fc.property(text, fc.nat(0xffff_fffe), fc.maxSafeNat(), (key, bucket, revision) => {
        expect(decodeStoredKey(headKey(writer, bucket, key))).toEqual({ family: Family.Heads, bucket, key, revision: -1 });
        expect(decodeStoredKey(historyKey(writer, bucket, key, revision))).toEqual({
          family: Family.History,
          bucket,
          key,
          revision,
        });
      }),
    );
  });

  test('the history of a key is ordered by revision and lies between its neighbours', () => {
    const revisions = [0, 1, 255, 256, 65_535, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
    const rows = revisions.map(revision => historyKey(writer, 1, 'k', revision));
    expect([...rows].sort(compareBytes)).toEqual(rows);
    expect(compareBytes(historyKey(writer, 1, 'k', 2 ** 40), historyKey(writer, 1, 'k\0', 0))).toBe(-1);
    expect(compareBytes(historyKey(writer, 1, 'k/', 2 ** 40), historyKey(writer, 1, 'k/a', 0))).toBe(-1);
  });

  test('a key space is one interval: its keys inside, all others outside, whatever they look like', () => {
    fc.assert(
      fc.property(text, text, (key, other) => {
        const { from, to } = spaceInterval(Family.Heads, 5, keySpaceOf(key));
        const stored = headKey(writer, 5, other);
        const inside = compareBytes(stored, from) >= 0 && compareBytes(stored, to) < 0;
        expect(inside).toBe(keySpaceOf(other) === keySpaceOf(key));
      }),
      { numRuns: 2000 },
    );
  });

  test('the interval of a bucket holds its rows and no other bucket', () => {
    for (const family of BUCKET_FAMILIES) {
      const { from, to } = familyInterval(family, 255);
      for (const bucket of [254, 255, 256]) {
        const row = headKey(writer, bucket, 'k');
        row[0] = family;
        expect(compareBytes(row, from) >= 0 && compareBytes(row, to) < 0).toBe(bucket === 255);
      }
    }
    expect(compareBytes(metaRowKey(7), familyInterval(Family.Group, 7).from)).toBe(0);
  });

  test('`fleet` and `fleet/` are different keys of one space', () => {
    const [plain, slash] = ['fleet', 'fleet/'].map(key => headKey(writer, 0, key));
    expect(compareBytes(plain as Uint8Array, slash as Uint8Array)).toBe(-1);
  });

  test('damage is refused, never guessed at', () => {
    const good = headKey(writer, 1, 'a/b').slice();
    for (let length = 0; length < good.length; length++)
      expect(() => decodeStoredKey(good.slice(0, length))).toThrow(DecodeError);
    expect(() => decodeStoredKey(Uint8Array.of(...good, 7))).toThrow(DecodeError);
    expect(() => decodeStoredKey(metaRowKey(1))).toThrow(DecodeError);
    const history = historyKey(writer, 1, 'a', 1).slice();
    expect(() => decodeStoredKey(history.slice(0, -1))).toThrow(DecodeError);
    expect(() => decodeStoredKey(Uint8Array.of(Family.Heads, 0, 0, 0, 1, 0x61, 0, 7))).toThrow(DecodeError);
  });
});
