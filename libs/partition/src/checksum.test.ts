import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteHasher, mix } from './checksum.ts';

test('the hash depends on the bytes alone, not on where they lie', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(20), (bytes, offset) => {
      const frame = new Uint8Array(bytes.length + offset + 3).fill(0xee);
      frame.set(bytes, offset);
      const hasher = new ByteHasher();
      expect(hasher.hash(frame.subarray(offset, offset + bytes.length))).toBe(new ByteHasher().hash(bytes));
    }),
  );
});

test('one flipped bit, one byte more and another order are seen', () => {
  const hasher = new ByteHasher();
  for (const length of [1, 3, 4, 7, 8, 9, 16, 256]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i);
    const hash = hasher.hash(bytes);
    for (let bit = 0; bit < length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(hasher.hash(flipped)).not.toBe(hash);
    }
    expect(hasher.hash(Uint8Array.of(...bytes, 0))).not.toBe(hash);
  }
  expect(mix(mix(0, 1), 2)).not.toBe(mix(mix(0, 2), 1));
});
