import { describe, expect, test } from 'vitest';
import type { LockGrant } from '../../protocol/messages.ts';
import { axisOf, ownershipOf } from './ownership-model.ts';

const grant = (token: number, fromMs: number | null, toMs: number | null, end: LockGrant['end']): LockGrant => ({
  token: String(token),
  ownerText: 'worker-7',
  fromMs,
  toMs,
  leaseMs: null,
  extends: null,
  end,
});

describe('console:6.7 the ownership timeline', () => {
  test('the axis reaches from the first instant that was noted to the end of the lease', () => {
    const grants = [grant(3, 8_000, null, null), grant(2, 4_000, 6_000, 'released')];
    const axis = axisOf(grants, 14_000, 10_000);
    expect(axis).toEqual({ fromMs: 4_000, toMs: 14_000 });
    expect(ownershipOf(grants, axis, 14_000, 10_000).map(item => item.kind === 'grant' && item.bar)).toEqual([
      { from: 0.4, to: 0.6, leaseTo: 1, isOpen: false },
      { from: 0, to: 0.2, leaseTo: 0.2, isOpen: false },
    ]);
  });

  test('tokens that are missing are a gap, and a grant whose end nobody noted has no bar', () => {
    const grants = [grant(9, null, 5_000, 'expired'), grant(5, 1_000, null, 'unknown')];
    const items = ownershipOf(grants, axisOf(grants, null, 9_000), null, 9_000);
    expect(items.map(item => (item.kind === 'gap' ? item.grants : (item.bar?.isOpen ?? 'no bar')))).toEqual([
      true,
      '3',
      'no bar',
    ]);
  });

  test('without any instant there is no axis', () => {
    expect(axisOf([grant(0, null, null, null)], 9_000, 1_000)).toBeUndefined();
  });
});
