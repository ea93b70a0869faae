import type { KeyedRow, LockRow, SequenceRow } from '@kahuna/console/protocol';
import { describe, expect, test } from 'vitest';
import { isSort, sortedRows } from './sorting.ts';

const lock = (k: string, row: Partial<LockRow>): KeyedRow => ({ k, v: { state: 'held', ...row } });
const sequence = (k: string, row: Partial<SequenceRow>): KeyedRow => ({ k, v: row });
const keys = (rows: readonly KeyedRow[]): string => rows.map(row => row.k).join(' ');

describe('console:§5.5 sorted windows', () => {
  test('a lock that nobody holds has no time left, and stands last in either direction', () => {
    const rows = [
      lock('a', { expiresMs: 30 }),
      lock('b', { expiresMs: 10, state: 'expired' }),
      lock('c', { expiresMs: 20 }),
      lock('d', { expiresMs: null, state: 'released' }),
    ];
    expect(keys(sortedRows('locks', rows, 'expires', 'asc'))).toBe('c a b d');
    expect(keys(sortedRows('locks', rows, 'expires', 'desc'))).toBe('a c b d');
  });

  test('numbers that fit no double are compared as what they are; equal ones keep their order', () => {
    const rows = [
      sequence('a', { currentValue: '9007199254740993' }),
      sequence('b', { currentValue: '9007199254740992' }),
      sequence('c', { currentValue: '-5' }),
      sequence('d', { currentValue: '9007199254740992' }),
    ];
    expect(keys(sortedRows('sequences', rows, 'mark', 'asc'))).toBe('c b d a');
    expect(keys(sortedRows('sequences', rows, 'mark', 'desc'))).toBe('a b d c');
  });

  test.each([
    ['locks', 'expires', true],
    ['locks', 'mark', false],
    ['sequences', 'mark', true],
    ['keys', 'expires', false],
    ['locks', 'constructor', false],
    ['locks', 1, false],
  ])('%s by %s: %s', (topic, sort, allowed) => {
    expect(isSort(topic, sort)).toBe(allowed);
  });
});
