import { describe, expect, test } from 'vitest';
import { checkNameWatches, type NameSession } from './name-watch.ts';

const stamp = (l: number) => ({ n: 1, l, c: 0 });
const acquired = { kind: 'acquired', state: 'held a f0', stamp: stamp(20) };
const released = { kind: 'released', state: 'free f0', stamp: stamp(30) };
const whole: NameSession = {
  name: 'lock',
  snapshot: 'free f-1',
  from: stamp(10),
  changes: [acquired, released],
  to: stamp(40),
  resumedAt: undefined,
};

describe('watches of one name', () => {
  test('who were there at different times agree', () => {
    const later = { ...whole, snapshot: 'held a f0', from: stamp(25), changes: [released], resumedAt: stamp(22) };
    const idle = { ...whole, snapshot: 'free f0', from: stamp(33), changes: [], to: stamp(33) };
    const other = { ...idle, name: 'other', snapshot: 'held b f7' };
    expect(checkNameWatches([whole, later, idle, other])).toBeUndefined();
  });

  test.each<[string, Partial<NameSession>]>([
    ['was not told', { changes: [acquired], to: stamp(30) }],
    ['was not told', { changes: [released] }],
    ['came behind', { changes: [released, acquired] }],
    ['came behind', { from: stamp(20), snapshot: 'held a f0' }],
    ['was told twice', { changes: [acquired, acquired] }],
    ['was told as', { changes: [{ ...acquired, state: 'held b f0' }, released] }],
    ['others had been told', { from: stamp(25), snapshot: 'free f-1', changes: [released] }],
    ['goes back', { resumedAt: stamp(11) }],
  ])('violation: %s', (text, change) => {
    expect(checkNameWatches([whole, { ...whole, ...change }])).toContain(text);
  });
});
