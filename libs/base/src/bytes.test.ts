import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, DecodeError, plainBytes } from './bytes.ts';

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(32);
  write(writer);
  return writer.finish();
}

describe('texts', () => {
  test.each(['', 'bench/00000042', 'a'.repeat(48), 'a'.repeat(5000), 'größer', '\ufeffmarked', 'x\0y', '漢字😀'])(
    '%j comes back',
    text => {
      expect(new ByteReader(written(writer => writer.string(text))).string()).toBe(text);
    },
  );

  test('bytes that are no text become U+FFFD, as everywhere', () => {
    const bytes = Uint8Array.of(0x61, 0xff, 0xe2, 0x82, 0x62);
    expect(new ByteReader(Uint8Array.of(bytes.length, ...bytes)).string()).toBe(new TextDecoder().decode(bytes));
  });

  test('longer than its input is refused', () => {
    expect(() => new ByteReader(Uint8Array.of(5, 0x61)).string()).toThrow(DecodeError);
  });

  test('the ASCII run of a text ends before the first other unit, and before zero', () => {
    for (const [text, from, length] of [
      ['abc', 0, 3],
      ['abc', 2, 1],
      ['a\0b', 0, 1],
      ['äb', 0, 0],
      ['', 0, 0],
    ] as const) {
      let end = -1;
      const bytes = written(writer => {
        end = writer.ascii(text, from, text.length);
      });
      expect(end).toBe(from + length);
      expect([...bytes]).toEqual([...text.slice(from, end)].map(unit => unit.charCodeAt(0)));
    }
  });
});

describe('views', () => {
  test('what is read out of a Buffer is no Buffer: its slice copies', () => {
    const buffer = Buffer.from([3, 1, 2, 3]);
    const value = new ByteReader(buffer).bytes();
    const copy = value.slice();
    buffer.fill(9);
    expect([...value]).toEqual([9, 9, 9]);
    expect([...copy]).toEqual([1, 2, 3]);
    expect(plainBytes(value)).toBe(value);
  });
});

test.each([0, 1, 127, 128, 2 ** 40, 2 ** 49 - 1])('room for a varint holds %d, whatever is written behind it', value => {
  const bytes = written(writer => {
    const at = writer.placeholderVarint(7);
    writer.string('behind it, and longer than the slab of the writer');
    writer.patchVarint(at, 7, value);
    expect(() => writer.patchVarint(at, 7, 2 ** 49)).toThrow();
  });
  const reader = new ByteReader(bytes);
  expect([reader.varint(), reader.string()]).toEqual([value, 'behind it, and longer than the slab of the writer']);
});

describe('a writer that begins anew', () => {
  test('uses the same memory, and gives back what an exceptional message took', () => {
    const writer = new ByteWriter(64);
    writer.raw(new Uint8Array(10).fill(1));
    const first = writer.written();
    writer.clear();
    writer.raw(new Uint8Array(10).fill(2));
    expect(writer.written().buffer).toBe(first.buffer);
    expect([...writer.written()]).toEqual(new Array(10).fill(2));
    writer.raw(new Uint8Array(100_000));
    writer.clear();
    expect(writer.written().buffer.byteLength).toBe(64);
  });
});
