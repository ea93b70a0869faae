import { describe, expect, test } from 'vitest';
import { Demand, MAX_BLOCKS } from './read-ahead.ts';

function after(ms: number, issued: number): { demand: Demand; now: number } {
  const demand = new Demand(1000);
  demand.issued = issued;
  return { demand, now: 1000 + ms };
}

describe('blocks to reserve early', () => {
  test('what lasts a tenth of a second, in whole blocks', () => {
    const { demand, now } = after(10, 500);
    expect(demand.blocksWanted(now, 500, 1000)).toBe(5);
  });

  test('none while half of that is there', () => {
    const { demand, now } = after(10, 500);
    expect(demand.blocksWanted(now, 2500, 1000)).toBe(0);
  });

  test('never more than one entry takes', () => {
    const { demand, now } = after(10, 1_000_000);
    expect(demand.blocksWanted(now, 0, 1000)).toBe(MAX_BLOCKS);
  });

  test('the pace is that since the last look', () => {
    const { demand, now } = after(10, 500);
    demand.blocksWanted(now, 0, 1000);
    demand.issued = 200;
    expect(demand.blocksWanted(now + 10, 0, 1000)).toBe(2);
  });

  test('unknown before clocks can tell', () => {
    const { demand } = after(0, 500);
    expect(demand.blocksWanted(1000, 0, 1000)).toBe('unknown');
    expect(demand.blocksWanted(1010, 0, 1000)).toBe(5);
  });

  test('over when a block lasts long, and where blocks are small by choice', () => {
    const slow = after(100, 900);
    expect(slow.demand.blocksWanted(slow.now, 0, 1000)).toBe('over');
    const small = after(10, 500);
    expect(small.demand.blocksWanted(small.now, 0, 10)).toBe('over');
  });
});
