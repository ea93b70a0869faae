import { describe, expect, test } from 'vitest';
import { bytes, integer, millis, percent, rate, signedMillis, significant, UNKNOWN } from './numbers.ts';
import { ageText, duration, instant } from './time.ts';

describe('numbers', () => {
  test.each([significant, rate, millis, percent, bytes, signedMillis, integer])(
    'C1: unknown is a dash and never zero',
    format => {
      expect(format(null)).toBe(UNKNOWN);
      expect(format(undefined)).toBe(UNKNOWN);
    },
  );

  test.each([
    [0, '0'],
    [0.0123, '0.012'],
    [0.197, '0.2'],
    [4.256, '4.26'],
    [43.21, '43.2'],
    [880.2, '880'],
    [4120.5, '4\u2009121'],
    [1_204_000, '1\u2009204\u2009000'],
  ])('%d is drawn as %s', (value, text) => {
    expect(significant(value)).toBe(text);
  });

  test('64-bit integers stay texts', () => {
    expect(integer('9007199254740993')).toBe('9\u2009007\u2009199\u2009254\u2009740\u2009993');
  });

  test('bytes are binary units', () => {
    expect([bytes('512'), bytes(2048), bytes('912340992')]).toEqual(['512 B', '2 KiB', '870 MiB']);
  });

  test('a negative difference has a real minus', () => {
    expect([signedMillis(-3.1), signedMillis(3.1), signedMillis(0)]).toEqual(['−3.1 ms', '3.1 ms', '0 ms']);
  });
});

describe('times', () => {
  test('today is a time of day, before it has a date', () => {
    const now = Date.UTC(2025, 10, 21, 14, 2, 7);
    expect(instant(now - 1000, now, 'utc')).toBe('14:02:06');
    expect(instant(now - 86_400_000, now, 'utc')).toBe('Nov 20 14:02');
    expect(instant(null, now, 'utc')).toBe(UNKNOWN);
  });

  test.each([
    [240, '0.2 s'],
    [12_400, '12 s'],
    [184_000, '3 min 4 s'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
  ])('%d ms lasts %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test('ages step in whole seconds and never go below zero', () => {
    expect([ageText(3_900), ageText(-50)]).toEqual(['3 s', '0 s']);
  });
});
