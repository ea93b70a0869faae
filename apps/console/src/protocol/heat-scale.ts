/**
 * How loads travel and are kept: one byte a cell (console §5.9, `log12`). 0: nothing happened, 255: not known, else
 * rate = 2^((byte − 1) / 12) · 0.1, which reaches from 0.1 to about 200,000 in steps of 6 %.
 */
export const NOT_KNOWN = 255;
const LEAST = 0.1;
const STEPS_PER_DOUBLING = 12;

export function toCell(rate: number | null): number {
  if (rate === null || !Number.isFinite(rate) || rate < 0) return NOT_KNOWN;
  if (rate === 0) return 0;
  return Math.min(NOT_KNOWN - 1, Math.max(1, 1 + Math.round(STEPS_PER_DOUBLING * Math.log2(rate / LEAST))));
}

/** null: not known. */
export function ofCell(cell: number): number | null {
  if (cell === NOT_KNOWN) return null;
  return cell === 0 ? 0 : LEAST * 2 ** ((cell - 1) / STEPS_PER_DOUBLING);
}
