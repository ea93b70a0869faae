import type { Durability } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { admitted } from './operation-input.ts';

test('keyvalues:§2.3 a durability that there is not is refused before it stands in the log', () => {
  for (const durability of [0, 1, 2, -1, 0.5, Number.NaN]) {
    const operation = { kind: 'delete', key: 'k', durability: durability as Durability } as const;
    expect(admitted(operation)).toBe(durability === 0 || durability === 1 ? operation : undefined);
  }
});
