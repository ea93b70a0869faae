import { assert } from '@kahuna/base';

/** 2862933555777941757, the multiplier of the paper's linear congruential generator, as two 32-bit halves. */
const MULTIPLIER_HIGH = 0x27bb2ee6;
const MULTIPLIER_LOW = 0x87b0b0fd;

/** High 32 bits of the product of two uint32, from 16-bit halves: a double holds 53 bits of a product, not 64. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle2 = aLow * bHigh + (middle % 0x1_0000);
  return (aHigh * bHigh + Math.floor(middle / 0x1_0000) + Math.floor(middle2 / 0x1_0000)) >>> 0;
}

/**
 * Jump consistent hash (Lamping and Veach 2014) of the 64-bit key `high · 2^32 + low` over `buckets` buckets. The key stays in two
 * 32-bit halves: BigInt arithmetic would allocate at every step.
 */
export function jumpHash(high: number, low: number, buckets: number): number {
  assert(Number.isInteger(buckets) && buckets >= 1, 'jump hash needs at least one bucket');
  let bucket = -1;
  let next = 0;
  let h = high >>> 0;
  let l = low >>> 0;
  while (next < buckets) {
    bucket = next;
    const carried = multiplyHigh(l, MULTIPLIER_LOW);
    h = (carried + Math.imul(h, MULTIPLIER_LOW) + Math.imul(l, MULTIPLIER_HIGH)) >>> 0;
    l = (Math.imul(l, MULTIPLIER_LOW) + 1) >>> 0;
    if (l === 0) h = (h + 1) >>> 0;
    next = Math.floor((bucket + 1) * (0x8000_0000 / ((h >>> 1) + 1)));
  }
  return bucket;
}
