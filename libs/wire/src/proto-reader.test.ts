import { DecodeError } from '@kahuna/base';
import { expect, test } from 'vitest';
import { ProtoReader } from './proto-reader.ts';
import { ReverseWriter } from './reverse-writer.ts';

const field = (bytes: Uint8Array): Uint8Array => Uint8Array.of(bytes.length, ...bytes);
const text = (value: string): Uint8Array => field(new TextEncoder().encode(value));

test('a text that repeats is read as any other', () => {
  const reader = new ProtoReader();
  for (const value of ['orders', 'orders', 'order', 'orders', 'ordert', '', 'é', 'é', 'orders/a', 'orders/a']) {
    const bytes = text(value);
    reader.reset(bytes, 0, bytes.length);
    expect([reader.repeatedText(), reader.at]).toEqual([value, bytes.length]);
  }
});

test('bytes that are no UTF-8 are refused, also where they look like the text before', () => {
  const reader = new ProtoReader();
  const known = text('é');
  reader.reset(known, 0, known.length);
  expect(reader.repeatedText()).toBe('é');
  const latin1 = field(Uint8Array.of(0xe9));
  reader.reset(latin1, 0, latin1.length);
  expect(() => reader.repeatedText()).toThrow(DecodeError);
});

test('every int64 is written as it is, safe as a number or not', () => {
  const edge = 2n ** 53n;
  const around = [-edge, 0n, edge, 2n ** 32n, -(2n ** 32n), 2n ** 63n - 2n, 2n - 2n ** 63n];
  for (const value of around.flatMap(middle => [-2n, -1n, 0n, 1n].map(offset => middle + offset))) {
    const writer = new ReverseWriter();
    writer.bigInt64(value);
    const bytes = writer.since(0);
    const reader = new ProtoReader();
    reader.reset(bytes, 0, bytes.length);
    expect([reader.bigInt64(), reader.more]).toEqual([value, false]);
  }
});
