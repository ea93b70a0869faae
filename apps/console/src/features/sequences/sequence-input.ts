const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

export function isInt64(text: string): boolean {
  if (!/^-?\d{1,19}$/.test(text)) return false;
  const value = BigInt(text);
  return value >= LEAST && value <= MOST;
}

export function isPositiveInt32(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) >= 1 && Number(text) <= 2_147_483_647;
}
