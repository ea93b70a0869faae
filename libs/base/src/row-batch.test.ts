import { describe, expect, test } from 'vitest';
import { DecodeError } from './bytes.ts';
import { decodeRows, RowBatch } from './row-batch.ts';

type Row = { readonly key: number[]; readonly value: number[] | undefined };

function rowsIn(batch: RowBatch): Row[] {
  return batch.toArray().map(({ key, value }) => ({ key: [...key], value: value === undefined ? undefined : [...value] }));
}

describe('a batch of rows', () => {
  test('holds keys, values and deletions in order, also when it outgrows its slab', () => {
    const batch = new RowBatch(16);
    const expected: Row[] = [];
    for (let i = 0; i < 100; i++) {
      const key = Array.from({ length: 1 + (i % 5) }, (_, at) => i + at);
      const value = i % 3 === 0 ? undefined : Array.from({ length: i % 7 }, () => i);
      batch.key().raw(Uint8Array.from(key));
      if (value === undefined) {
        batch.deleted();
      } else {
        batch.value().raw(Uint8Array.from(value));
        batch.end();
      }
      expected.push({ key, value });
    }
    expect(batch.count).toBe(100);
    expect(rowsIn(batch)).toEqual(expected);
  });

  test('tells an empty value from a deletion', () => {
    const rows = [
      { key: Uint8Array.of(1), value: new Uint8Array(0) },
      { key: Uint8Array.of(2), value: undefined },
    ];
    expect(rowsIn(RowBatch.of(rows))).toEqual([
      { key: [1], value: [] },
      { key: [2], value: undefined },
    ]);
  });

  test('begins anew once it is cleared', () => {
    const batch = RowBatch.of([{ key: Uint8Array.of(1), value: new Uint8Array(5000) }]);
    batch.clear();
    expect(batch.count).toBe(0);
    expect(rowsIn(batch)).toEqual([]);
    batch.key().u8(9);
    batch.deleted();
    expect(rowsIn(batch)).toEqual([{ key: [9], value: undefined }]);
  });

  test.each([
    ['a key longer than the rest', [9, 0, 0, 0, 1]],
    ['a key without a value', [1, 0, 0, 0, 1]],
    ['a value longer than the rest', [1, 0, 0, 0, 1, 2, 0, 0, 0, 1]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeRows(Uint8Array.from(bytes), () => undefined)).toThrow(DecodeError);
  });
});
