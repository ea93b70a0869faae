const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^(\d+(\.\d*)?|\.\d+)$/;

export const INT32_MAX = 2 ** 31 - 1;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** A decimal integer between -2^63 and 2^63 - 1; anything else: undefined. */
export function parseInt64(text: string): bigint | undefined {
  if (!INTEGER.test(text)) return undefined;
  const value = BigInt(text.replace(/^\+/, ''));
  return value >= INT64_MIN && value <= INT64_MAX ? value : undefined;
}

/** A decimal integer between -2^31 and 2^31 - 1; anything else: undefined. */
export function parseInt32(text: string): number | undefined {
  const value = parseInt64(text);
  if (value === undefined || value > BigInt(INT32_MAX) || value < BigInt(-INT32_MAX - 1)) return undefined;
  return Number(value);
}

/** A decimal number above 0, such as `0.5`; anything else: undefined. */
export function parsePositive(text: string): number | undefined {
  const value = DECIMAL.test(text) ? Number(text) : 0;
  return value > 0 && Number.isFinite(value) ? value : undefined;
}
