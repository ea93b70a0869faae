import { describe, expect, it } from 'vitest';
import { checkSequences, type SequenceEvent } from './sequence.ts';

function reserve(from: number, to: number, start: number | undefined, count = 1, key = ''): SequenceEvent {
  const answer = start === undefined ? undefined : { start: BigInt(start), end: BigInt(start + count - 1), revision: 1 };
  return { sequence: 's', kind: 'reserve', count, key, invokedAt: from, completedAt: to, answer };
}

function mark(from: number, to: number, value: number): SequenceEvent {
  const answer = { start: BigInt(value), end: BigInt(value), revision: 1 };
  return { sequence: 's', kind: 'get', count: 0, key: '', invokedAt: from, completedAt: to, answer };
}

describe('histories of a sequence that nothing is wrong with', () => {
  it('runs grow, with gaps', () => {
    expect(checkSequences([reserve(0, 1, 1), reserve(2, 3, 5, 3), reserve(4, 5, 1001), mark(6, 7, 2000)])).toBeUndefined();
  });
  it('allocations at the same time come in any order', () => {
    expect(checkSequences([reserve(0, 10, 2), reserve(0, 10, 1), reserve(5, 20, 3)])).toBeUndefined();
  });
  it('a key is replayed long after greater values were issued', () => {
    expect(checkSequences([reserve(0, 1, 1, 2, 'k'), reserve(2, 3, 3), reserve(4, 5, 1, 2, 'k')])).toBeUndefined();
  });
  it('an attempt that was never answered may have made the allocation', () => {
    expect(checkSequences([reserve(0, 1, undefined, 1, 'k'), reserve(2, 3, 9), reserve(4, 5, 1, 1, 'k')])).toBeUndefined();
  });
});

describe('histories of a sequence that something is wrong with', () => {
  it('SQ1 a value twice', () => {
    expect(checkSequences([reserve(0, 10, 1, 3), reserve(0, 10, 3)])).toContain('issued twice');
  });
  it('SQ2 smaller values later', () => {
    expect(checkSequences([reserve(0, 1, 1001), reserve(2, 3, 7)])).toContain('went back');
  });
  it('SQ2 a keyed allocation is not older than the first call with its key', () => {
    expect(checkSequences([reserve(0, 1, 9), reserve(2, 3, 1, 1, 'k')])).toContain('went back');
  });
  it('SQ3 a run that is too short', () => {
    const short = reserve(0, 1, 1, 3);
    expect(checkSequences([{ ...short, answer: { start: 1n, end: 2n, revision: 1 } }])).toContain('not what was asked for');
  });
  it('SQ4 a key allocates anew', () => {
    expect(checkSequences([reserve(0, 1, 1, 1, 'k'), reserve(2, 3, 2, 1, 'k')])).toContain('two allocations');
  });
  it('SQ5 a mark below what was issued', () => {
    expect(checkSequences([reserve(0, 1, 5), mark(2, 3, 4)])).toContain('the mark is below');
  });
});
