import type { Durability } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { admitted } from './operation-input.ts';
import { DEFAULT_SETTINGS, limitsOf } from './settings.ts';

test('keyvalues:§2.3 a durability that there is not is refused before it stands in the log', () => {
  for (const durability of [0, 1, 2, -1, 0.5, Number.NaN]) {
    const operation = { kind: 'delete', key: 'k', durability: durability as Durability } as const;
    expect(admitted(operation)).toBe(durability === 0 || durability === 1 ? operation : undefined);
  }
});

test('operations:§11 a write that no entry can hold is refused, not put off for ever', () => {
  const set = { kind: 'set', key: 'k', durability: 1, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 } as const;
  const MIB = 1024 * 1024;
  for (const [value, compareValue, fits] of [
    [1, 0, true],
    [31, 0, true],
    [15, 16, true],
    [32, 0, false],
    [16, 16, false],
    [63, 0, false],
  ] as const) {
    const operation = { ...set, value: new Uint8Array(value * MIB), compareValue: new Uint8Array(compareValue * MIB) };
    expect(admitted(operation)).toBe(fits ? operation : undefined);
  }
});

test('a batch is no larger than a segment of the log holds, whatever limit is set', () => {
  const limits = (maxBatchBytes: number): number =>
    limitsOf({ ...DEFAULT_SETTINGS, limits: { ...DEFAULT_SETTINGS.limits, maxBatchBytes } }).maxBatchBytes;
  expect([limits(4_194_304), limits(2 ** 40)]).toEqual([4_194_304, 16 * 1024 * 1024]);
});
