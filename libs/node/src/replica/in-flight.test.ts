import { expect, test } from 'vitest';
import { InFlight, type Proposed } from './in-flight.ts';
import { surroundings } from './rooms.test-support.ts';

const { request } = surroundings();

function proposed(index: number, term: number, items = 1): Proposed {
  const requests = Array.from({ length: items }, () => request());
  const stamp = { n: 0, l: 0, c: 0 };
  return { index, term, requests, proposedAt: 0, batch: { stamp, level: 0, proposals: requests } };
}

function inFlight(...proposals: Proposed[]): InFlight {
  const list = new InFlight();
  for (const proposal of proposals) list.add(proposal);
  return list;
}

/** As `index:term`. */
function shown(proposals: readonly Proposed[]): string[] {
  return proposals.map(({ index, term }) => `${index}:${term}`);
}

test('proposals of several leaderships stand in the order of their indexes', () => {
  const list = inFlight(proposed(7, 3), proposed(8, 3), proposed(9, 3), proposed(8, 5), proposed(9, 5));
  expect(shown(list.all)).toEqual(['7:3', '8:3', '8:5', '9:3', '9:5']);
});

test('an entry is known as ours only by index and term, and only when it is the next one', () => {
  const list = inFlight(proposed(8, 3), proposed(8, 5), proposed(9, 5));
  expect(list.proposedAs({ index: 8, term: 5 })).toBe(list.all[1]);
  expect(list.proposedAs({ index: 8, term: 4 })).toBeUndefined();
  expect(list.proposedAs({ index: 9, term: 5 })).toBeUndefined();
});

test('R2: everything proposed at an index is decided with it', () => {
  const list = inFlight(proposed(8, 3, 2), proposed(8, 5, 3), proposed(9, 5, 4));
  expect(list.takeAt(7)).toBeUndefined();
  expect([list.takeAt(8)?.term, list.takeAt(8)?.term, list.takeAt(8)]).toEqual([3, 5, undefined]);
  expect([shown(list.all), list.items]).toEqual([['9:5'], 4]);
});

test('R2: a later term passes what was proposed behind it in earlier ones, and nothing else', () => {
  const list = inFlight(proposed(8, 3, 2), proposed(9, 3), proposed(9, 5), proposed(10, 5));
  expect(shown(list.takePassed(5))).toEqual(['8:3', '9:3']);
  expect([shown(list.all), list.items]).toEqual([['9:5', '10:5'], 2]);
  expect(list.takePassed(5)).toEqual([]);
  expect(list.takePassed(4), 'terms never fall along the log').toEqual([]);
});

test('when the log is gone, so is everything', () => {
  const list = inFlight(proposed(8, 3, 2), proposed(9, 3));
  expect(shown(list.takeAll())).toEqual(['8:3', '9:3']);
  expect([list.all, list.items]).toEqual([[], 0]);
});
