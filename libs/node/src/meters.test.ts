import { describe, expect, test } from 'vitest';
import { Histogram } from './meters.ts';

describe('operations:§14 a histogram', () => {
  test('puts a sample at the first edge that it does not pass', () => {
    const histogram = new Histogram([1, 2, 4]);
    for (const sample of [0, 1, 1.5, 2, 3, 4, 5]) histogram.record(sample);
    expect(histogram.counts).toEqual([2, 2, 2]);
  });

  test('counts and adds what lies above the last edge too', () => {
    const histogram = new Histogram([1]);
    histogram.record(100);
    expect([histogram.counts, histogram.count, histogram.sum]).toEqual([[0], 1, 100]);
  });
});
