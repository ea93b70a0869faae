import { integer } from '../format/numbers.ts';
import type { WindowInfo } from '../protocol/messages.ts';

/** `, the first 200 of 3,000` for a sorted list of which not all is shown; nothing where all is. */
export function sortedOf(window: WindowInfo | undefined): string {
  const { matching } = window ?? {};
  if (matching === undefined) return '';
  if (matching.atLeast) return `, among the first ${integer(matching.rows)} names; narrow it by the beginning of the name`;
  return `, of ${integer(matching.rows)}`;
}
