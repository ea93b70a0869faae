import { describe, expect, test } from 'vitest';
import { RaftLog } from './log.ts';
import { ENTRY_OVERHEAD_BYTES } from './message.ts';
import type { Entry } from './types.ts';

function entry(index: number, term: number, bytes = 10): Entry {
  return { index, term, kind: 1, data: new Uint8Array(bytes) };
}

/** Entries 1 … of these terms, none of them durable or handed out. */
function logOf(...terms: number[]): RaftLog {
  const log = new RaftLog(0, 0, []);
  terms.forEach((term, i) => {
    log.append(entry(i + 1, term));
  });
  return log;
}

describe('the log in memory', () => {
  test('a completion for an entry that was truncated since counts for nothing', () => {
    const log = logOf(1, 1, 1);
    log.unsavedFrom = 4;
    log.truncateFrom(2);
    log.append(entry(2, 2));
    log.append(entry(3, 2));
    log.unsavedFrom = 4;
    expect(log.persisted(3, 1)).toBe(false);
    expect(log.durableIndex).toBe(0);
    expect(log.persisted(3, 2)).toBe(true);
    expect(log.durableIndex).toBe(3);
  });

  test('a completion for an entry that came back and was not handed out again counts for nothing', () => {
    const log = logOf(1, 1);
    log.unsavedFrom = 3;
    log.truncateFrom(2);
    log.append(entry(2, 1));
    expect(log.persisted(2, 1)).toBe(false);
  });

  test('truncation takes durability back', () => {
    const log = logOf(1, 1, 1);
    log.unsavedFrom = 4;
    log.persisted(3, 1);
    log.truncateFrom(2);
    expect([log.lastIndex, log.durableIndex, log.unsavedFrom, log.dataBytes]).toEqual([1, 1, 2, 10]);
  });

  test('compaction forgets entries and keeps the term before the first', () => {
    const log = logOf(...Array.from({ length: 1000 }, (_, i) => 1 + Math.floor(i / 10)));
    for (let index = 7; index <= 1000; index += 7) {
      log.compact(index);
      expect([log.startIndex, log.lastIndex, log.termAt(index)]).toEqual([index, 1000, 1 + Math.floor((index - 1) / 10)]);
      expect(log.termAt(index - 1)).toBeUndefined();
      expect(log.dataBytes).toBe((1000 - index) * 10);
      expect(log.slice(0, 2000).length).toBe(1000 - index);
      expect(log.slice(index + 1, index + 1)[0]?.index).toBe(index < 1000 ? index + 1 : undefined);
    }
    log.compact(1000);
    expect([log.lastIndex, log.lastTerm]).toEqual([1000, 100]);
    log.append(entry(1001, 100));
    expect(log.lastIndex).toBe(1001);
  });

  test('gaps and falling terms are never appended', () => {
    const log = logOf(1, 2);
    expect(() => log.append(entry(4, 2))).toThrow('no gaps');
    expect(() => log.append(entry(3, 1))).toThrow('never fall');
  });

  test('a batch takes as many entries as fit, and one in any case', () => {
    const log = logOf(1, 1, 1, 1);
    const one = 10 + ENTRY_OVERHEAD_BYTES;
    expect([1, one, 2 * one - 1, 2 * one, 100 * one].map(bytes => log.batchEnd(1, bytes))).toEqual([1, 1, 1, 2, 4]);
  });

  test.each([
    ['the same term there', [1, 1, 2, 2], 3, 2, 3],
    ['a longer log of an old term: back to where that term ended', [1, 1, 4, 4], 4, 1, 2],
    ['a hint beyond our end', [1, 1], 9, 1, 2],
    ['nothing in common but the start', [3, 3], 2, 2, 0],
  ])('the agreement hint: %s', (_, terms, index, term, expected) => {
    expect(logOf(...terms).agreementAtMost(index, term)).toBe(expected);
  });

  test('no agreement above a compacted start means a snapshot', () => {
    const log = logOf(1, 1, 2, 2);
    log.compact(3);
    expect(log.agreementAtMost(4, 1)).toBeUndefined();
    expect(log.agreementAtMost(2, 1)).toBeUndefined();
    expect(log.agreementAtMost(3, 2)).toBe(3);
  });
});
