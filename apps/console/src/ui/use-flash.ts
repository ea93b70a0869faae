import { useState } from 'react';

/** A row that changes all the time would only blink: after a change, another one within this time is not marked. Milliseconds. */
const QUIET_MS = 2_000;

/**
 * Marks an element for a moment when `value` becomes another one: the names change in turn, so that the animation begins anew
 * (console §4.2). undefined: nothing has changed since the element is there.
 */
export function useFlash(value: string): 'odd' | 'even' | undefined {
  const [seen, setSeen] = useState({ value, turn: 0, atMs: Number.NEGATIVE_INFINITY });
  if (seen.value !== value) {
    const atMs = performance.now();
    setSeen({ value, turn: atMs - seen.atMs > QUIET_MS ? seen.turn + 1 : seen.turn, atMs });
  }
  if (seen.turn === 0) return undefined;
  return seen.turn % 2 === 0 ? 'even' : 'odd';
}
