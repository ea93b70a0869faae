import { ageText } from '../format/time.ts';

/** Whole seconds above ten, tenths below. */
export function countdownText(ms: number): string {
  return ms > 10_000 ? ageText(ms) : `${(Math.floor(Math.max(0, ms) / 100) / 10).toFixed(1)} s`;
}
