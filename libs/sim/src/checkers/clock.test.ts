import { expect, test } from 'vitest';
import { ClockCeiling } from './clock.ts';

test('a logical clock may lead the furthest wall clock by one bound', () => {
  const ceiling = new ClockCeiling(1.01);
  ceiling.check('a', 0, 50_000, 51_000);
  ceiling.check('b', 10, 40_000, 51_010);
  expect(() => ceiling.check('b', 20, 40_020, 51_100)).toThrow('further ahead');
});

test('a wall clock that was set back is remembered as if it had gone on', () => {
  const ceiling = new ClockCeiling(1);
  ceiling.check('a', 0, 50_000, 50_000);
  ceiling.check('a', 1000, -10_000, 52_000);
  expect(() => ceiling.check('a', 1000, -10_000, 52_100)).toThrow('further ahead');
});

test('restarts may add what rounding and rates do, not their leads', () => {
  const ceiling = new ClockCeiling(1);
  ceiling.check('a', 0, 50_000, 50_000);
  for (let i = 0; i < 5; i++) ceiling.restarted();
  ceiling.check('a', 0, 50_000, 51_100);
  expect(() => ceiling.check('a', 0, 50_000, 52_000)).toThrow('further ahead');
});
