import { describe, expect, test } from 'vitest';
import { timeTicks, valueTicks } from './axis-model.ts';

const AT = Date.UTC(2025, 10, 21, 14, 2, 7);
const MINUTE = 60_000;

describe('console:§12.6 axes end in round numbers', () => {
  test.each([
    [0, [0, 0.5, 1]],
    [1, [0, 0.5, 1]],
    [18.4, [0, 5, 10, 15, 20]],
    [50.5, [0, 20, 40, 60]],
    [4120, [0, 2000, 4000, 6000]],
  ])('up to %d', (most, ticks) => {
    expect(valueTicks(most)).toEqual(ticks);
  });

  test('five minutes carry every full minute inside the window', () => {
    const ticks = timeTicks(AT, 5 * MINUTE, 0);
    expect(ticks).toHaveLength(5);
    expect(ticks.every(at => at % MINUTE === 0 && at > AT - 5 * MINUTE && at <= AT)).toBe(true);
  });

  test('a day is marked at hours that are round in the zone of the reader', () => {
    const offset = 5.5 * 60 * MINUTE;
    const ticks = timeTicks(AT, 24 * 60 * MINUTE, offset);
    expect(ticks.map(at => ((at + offset) / MINUTE) % 240)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
