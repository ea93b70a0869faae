const FIRST_MS = 250;
const MOST_MS = 8_000;
/** Distance of attempts once the node has been away for a minute. */
export const OFFLINE_RETRY_MS = 15_000;

/** Exponential with full jitter (console §4.3), so that a restarted node is not met by all browsers at once. `random` in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  return Math.round(Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 16)) * random);
}
