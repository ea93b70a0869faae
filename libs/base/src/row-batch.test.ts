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

  test('hands its memory over with the rows, is empty then, and goes on in that memory once it is back', () => {
    const batch = new RowBatch(64);
    batch.key().raw(Uint8Array.of(1));
    batch.deleted();
    const taken = batch.take();
    expect(batch.count).toBe(0);
    expect(rowsIn(batch)).toEqual([]);
    const rows: number[][] = [];
    decodeRows(taken, key => rows.push([...key]));
    expect(rows).toEqual([[1]]);
    batch.giveBack(taken.buffer);
    batch.key().raw(Uint8Array.of(2));
    batch.deleted();
    expect(batch.take().buffer).toBe(taken.buffer);
  });

  test('has memory of its own by the time the old one is back, and then leaves that alone', () => {
    const batch = new RowBatch(64);
    const taken = batch.take();
    batch.key().raw(Uint8Array.of(3));
    batch.deleted();
    batch.giveBack(taken.buffer);
    expect(rowsIn(batch)).toEqual([{ key: [3], value: undefined }]);
    expect(batch.take().buffer).not.toBe(taken.buffer);
  });

  test('can be taken twice in a row, and both transferred', () => {
    const batch = new RowBatch(64);
    for (let i = 0; i < 2; i++) structuredClone(0, { transfer: [batch.take().buffer] });
    batch.key().u8(4);
    batch.deleted();
    expect(rowsIn(batch)).toEqual([{ key: [4], value: undefined }]);
    structuredClone(0, { transfer: [new RowBatch(64).take().buffer] });
    expect(new RowBatch(64).take().length).toBe(0);
  });

  test('does not keep memory that an exceptional batch needed', () => {
    const batch = new RowBatch(64);
    batch.key().raw(new Uint8Array(10_000));
    batch.deleted();
    const taken = batch.take();
    batch.giveBack(taken.buffer);
    expect(batch.take().buffer).not.toBe(taken.buffer);
  });

  test.each([
    ['a key longer than the rest', [9, 0, 0, 0, 1]],
    ['a key without a value', [1, 0, 0, 0, 1]],
    ['a value longer than the rest', [1, 0, 0, 0, 1, 2, 0, 0, 0, 1]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeRows(Uint8Array.from(bytes), () => undefined)).toThrow(DecodeError);
  });
});
