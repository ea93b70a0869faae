import { describe, expect, test } from 'vitest';
import { compareHlc, HLC_MAX_COUNTER, type Hlc, HybridClock } from './hlc.ts';

/** A clock that stands still, with a bound far ahead. */
function clockOf(node: number, wallMs = 1000): HybridClock {
  const clock = new HybridClock(node, { wallMs: () => wallMs, monotonicMs: () => 0 });
  clock.boundDurable(1_000_000);
  return clock;
}

const SEEN: readonly Hlc[] = [
  { n: 3, l: 1500, c: 2 },
  { n: 1, l: 1500, c: 2 },
  { n: 2, l: 1500, c: 2 },
  { n: 3, l: 1500, c: 0 },
  { n: 3, l: 900, c: 7 },
  { n: 3, l: 1500, c: HLC_MAX_COUNTER },
];

describe('transactions:H-3 what a node has seen', () => {
  test.each(SEEN)('is not above its present, and below its next stamp: %o', seen => {
    for (const take of ['merge', 'observe'] as const) {
      const clock = clockOf(2);
      clock[take](seen);
      expect(compareHlc(clock.current(), seen)).toBeGreaterThanOrEqual(0);
      expect(compareHlc(clock.now(), seen)).toBeGreaterThan(0);
    }
  });

  test('moves the clock no further when it is seen again', () => {
    const clock = clockOf(2);
    clock.merge({ n: 3, l: 1500, c: 2 });
    const before = clock.current();
    clock.merge({ n: 3, l: 1500, c: 2 });
    expect(clock.current()).toEqual(before);
  });
});
