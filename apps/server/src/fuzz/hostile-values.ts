import type { Rng } from '@kahuna/base';

/** Values that break careless readers, beside ordinary ones. Keys come from a small set, so that requests meet one another. */

const TEXTS: readonly string[] = [
  '',
  'a',
  'k/1',
  'k/2',
  'k/',
  '/',
  '//',
  'K/1',
  ' k/1 ',
  '__kahuna:',
  '__kahuna:sequences:a',
  'é\u0301',
  '\u{1f600}/\u{1f600}',
  '\u0000',
  'k/\u0000\u0001\u00ff',
  '\ufeffk',
  'constructor',
  '__proto__',
  '../../etc/passwd',
  'k|{a}/b',
  '%00',
  '"}{',
];

const INTEGERS: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  255n,
  4096n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 64n - 1n,
];

const LONG_TEXT = 70_000;
const LARGE_VALUE = 300_000;

export function hostileText(rng: Rng): string {
  if (rng.chance(0.02)) return rng.pick(['x', 'é', '/']).repeat(rng.int(1000, LONG_TEXT));
  if (rng.chance(0.2)) return String.fromCharCode(...Array.from({ length: rng.int(1, 12) }, () => rng.int(0, 0xd7ff)));
  return rng.pick(TEXTS);
}

export function hostileInteger(rng: Rng): bigint {
  return rng.chance(0.3) ? BigInt(rng.int(-10, 10_000)) : rng.pick(INTEGERS);
}

export function hostileBytes(rng: Rng): Buffer {
  const length = rng.chance(0.02) ? rng.int(1000, LARGE_VALUE) : rng.int(0, 32);
  return Buffer.from(Array.from({ length }, () => rng.int(0, 255)));
}

/** A message that was well-formed, with something wrong in it. */
export function mutated(rng: Rng, bytes: Buffer): Buffer {
  const result = Buffer.from(bytes);
  switch (rng.int(0, 4)) {
    case 0:
      return result.subarray(0, rng.int(0, result.length));
    case 1:
      for (let flips = rng.int(1, 4); flips > 0 && result.length > 0; flips--) {
        const at = rng.int(0, result.length - 1);
        result[at] = (result[at] as number) ^ (1 << rng.int(0, 7));
      }
      return result;
    case 2:
      return Buffer.concat([result, hostileBytes(rng)]);
    case 3: {
      const at = rng.int(0, result.length);
      return Buffer.concat([result.subarray(0, at), hostileBytes(rng), result.subarray(at)]);
    }
    default:
      return hostileBytes(rng);
  }
}
