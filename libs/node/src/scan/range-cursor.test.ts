import { Durability } from '@kahuna/partition';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor, type RangeCursor } from './range-cursor.ts';

const example: RangeCursor = {
  ...{ prefix: 'invoices', durability: Durability.Persistent, lastKey: 'invoices/0002', plain: true },
  readTimestamp: { n: 1, l: 1_763_715_600_500, c: 0 },
};

test('rest:§9.3 the cursor of the example, byte for byte', () => {
  const text = 'AQ0AAABpbnZvaWNlcy8wMDAyCAAAAGludm9pY2VzAQEAAAB0UKSlmgEAAAAAAAA';
  const decoded = decodeCursor(text) as RangeCursor;
  expect({ ...decoded, readTimestamp: example.readTimestamp }).toEqual(example);
  expect([decoded.readTimestamp.n, decoded.readTimestamp.c]).toEqual([1, 0]);
  expect(encodeCursor(decoded)).toBe(text);
});

const cursor = fc.record({
  prefix: fc.string({ unit: 'grapheme' }),
  durability: fc.constantFrom(Durability.Persistent, Durability.Ephemeral),
  readTimestamp: fc.record({
    n: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    l: fc.integer({ min: 1, max: 2 ** 48 }),
    c: fc.nat({ max: 2 ** 32 - 1 }),
  }),
  plain: fc.boolean(),
  lastKey: fc.string({ unit: 'grapheme' }),
});

test('what is encoded comes back; a time that a client made is never plain', () => {
  fc.assert(
    fc.property(cursor, fc.boolean(), (made, fromClient) => {
      const given = fromClient ? { ...made, plain: false, readTimestamp: { ...made.readTimestamp, n: 0 } } : made;
      expect(decodeCursor(encodeCursor(given))).toEqual(given);
    }),
  );
});

test('keyvalues:G6 whatever is cut short, prolonged or invented is none of ours', () => {
  const bytes = Buffer.from(encodeCursor(example), 'base64url');
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeCursor(bytes.subarray(0, length).toString('base64url')), `the first ${length} bytes`).toBeUndefined();
  }
  const more = (tail: readonly number[]): string => Buffer.concat([bytes, Buffer.from(tail)]).toString('base64url');
  expect(decodeCursor(more([1]))).toBeUndefined();
  expect(decodeCursor(more([0, 0]))).toBeUndefined();
  for (const text of [
    '',
    '!!!',
    'AQ==',
    `${encodeCursor(example)}=`,
    Buffer.from([2, ...bytes.subarray(1)]).toString('base64url'),
  ]) {
    expect(decodeCursor(text)).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), noise => {
      expect(() => decodeCursor(Buffer.from(noise).toString('base64url'))).not.toThrow();
    }),
  );
});
