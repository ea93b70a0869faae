import { describe, expect, test } from 'vitest';
import { validateHeat } from '../../app/search.ts';
import { NOT_KNOWN, toCell } from '../../protocol/heat-scale.ts';
import type { Heat } from './heat-model.ts';
import { hottestIn, pan, pictureOf, visiblePart, zoomAbout, zoomTo } from './heat-view.ts';

const FROM = 1_700_000_000_000;
const STEP = 10_000;

/** Numbers of partitions need not be dense: every second one exists. Cells tell their place. */
function heat(rows: number, columns: number, cell = (row: number, column: number) => (row + column) % 200): Heat {
  const cells = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) cells[row * columns + column] = cell(row, column);
  return { partitions: Array.from({ length: rows }, (_, i) => i * 2), columns, fromMs: FROM, stepMs: STEP, cells };
}

describe('console:6.3 a thousand partitions at a glance', () => {
  test('neighbours are drawn together and show the most of what they cover: one hot partition is seen', () => {
    const hot = heat(1000, 360, (row, column) => (row === 777 && column === 100 ? toCell(5000) : 0));
    const picture = pictureOf(hot, 140, 180);
    expect(picture.bands.length).toBeLessThanOrEqual(140);
    expect(picture.columns).toBeLessThanOrEqual(180);
    const bright = [...picture.cells].flatMap((cell, i) => (cell > 0 ? [i] : []));
    expect(bright).toHaveLength(1);
    const [row, column] = [Math.floor((bright[0] ?? 0) / picture.columns), (bright[0] ?? 0) % picture.columns];
    expect(picture.cells[bright[0] ?? 0]).toBe(toCell(5000));
    expect(hottestIn(hot, picture, row, column)).toBe(777);
    expect(picture.bands[row]).toMatchObject({ first: 776 * 2 });
    // No partition is left out, none is there twice.
    expect(picture.bands.map(band => band.from)).toEqual([0, ...picture.bands.map(band => band.to).slice(0, -1)]);
    expect(picture.bands.at(-1)?.to).toBe(1000);
  });

  test('what nobody told of stays unknown, and is not brighter or darker than nothing', () => {
    const picture = pictureOf(
      heat(4, 4, row => (row < 2 ? NOT_KNOWN : 0)),
      2,
      2,
    );
    expect([...picture.cells]).toEqual([NOT_KNOWN, NOT_KNOWN, 0, 0]);
    expect(
      hottestIn(
        heat(4, 4, () => NOT_KNOWN),
        picture,
        0,
        0,
      ),
    ).toBeUndefined();
  });

  test('where there is room nothing is drawn together', () => {
    const all = heat(20, 30);
    expect([...pictureOf(all, 140, 400).cells]).toEqual([...all.cells]);
  });
});

describe('console:6.3 zooming', () => {
  const all = heat(1000, 360);

  test('a rectangle is zoomed to, in it another one, and the cells stay what they are', () => {
    const once = zoomTo(all, all, { rows: [100, 299], columns: [60, 119] });
    expect(once).toEqual({ parts: '200-598', since: FROM + 60 * STEP, until: FROM + 120 * STEP });
    const seen = visiblePart(all, once);
    expect([seen.partitions.length, seen.columns]).toEqual([200, 60]);
    const twice = visiblePart(all, zoomTo(all, seen, { rows: [10, 19], columns: [6, 17] }));
    expect([twice.partitions[0], twice.partitions.length, twice.columns]).toEqual([220, 10, 12]);
    expect(twice.cells[0]).toBe(all.cells[110 * 360 + 66]);
    expect(twice.cells.at(-1)).toBe(all.cells[119 * 360 + 77]);
  });

  test('the whole width of time is not named, so that time goes on; so are all partitions', () => {
    expect(zoomTo(all, all, { rows: [3, 3], columns: [0, 359] })).toEqual({ parts: '6-6' });
    expect(zoomTo(all, all, { rows: [0, 999], columns: [350, 359] })).toEqual({
      since: FROM + 350 * STEP,
      until: FROM + 360 * STEP,
    });
    expect(zoomTo(all, all, { rows: [999, 0], columns: [359, 0] })).toEqual({});
  });

  test('in and out about a cell: it keeps its place, and out of everything is everything', () => {
    const inside = zoomAbout(all, all, { row: 500, column: 180 }, 0.5);
    expect(inside).toEqual({ parts: `${250 * 2}-${749 * 2}`, since: FROM + 90 * STEP, until: FROM + 270 * STEP });
    const seen = visiblePart(all, inside);
    expect(zoomAbout(all, seen, { row: 250, column: 90 }, 2)).toEqual({});
    let deep = all;
    for (let i = 0; i < 20; i++) deep = visiblePart(all, zoomAbout(all, deep, { row: 0, column: deep.columns - 1 }, 0.5));
    expect([deep.partitions, deep.columns]).toEqual([[0], 6]);
    expect(deep.fromMs + deep.columns * STEP).toBe(FROM + 360 * STEP);
  });

  test('along: by half of what is seen, and not beyond the ends', () => {
    const seen = visiblePart(all, { parts: '200-398', since: FROM + 100 * STEP, until: FROM + 160 * STEP });
    expect(pan(all, seen, { columns: -0.5 })).toEqual({ parts: '200-398', since: FROM + 70 * STEP, until: FROM + 130 * STEP });
    expect(pan(all, seen, { columns: 100 })).toMatchObject({ until: FROM + 360 * STEP, since: FROM + 300 * STEP });
    expect(pan(all, seen, { rows: -50 })).toMatchObject({ parts: '0-198' });
    expect(pan(all, all, { rows: 1, columns: -1 })).toEqual({});
  });

  test('a time of which columns have left is not known; an address that fits nothing shows everything', () => {
    const seen = visiblePart(all, { since: FROM - 5 * STEP, until: FROM + 5 * STEP });
    expect([...seen.cells.subarray(0, 10)].map(cell => cell === NOT_KNOWN)).toEqual([
      ...Array(5).fill(true),
      ...Array(5).fill(false),
    ]);
    expect(visiblePart(all, { parts: '5000-6000' }).partitions).toHaveLength(1000);
    expect(visiblePart(all, { since: 1, until: 9e15 }).columns).toBeLessThanOrEqual(1440);
  });

  test('C6 the address says what is seen, and what it cannot mean is left out', () => {
    const search = { since: FROM, until: FROM + 60_000, parts: '4-9' };
    expect(validateHeat(search)).toEqual(search);
    expect(validateHeat({ since: FROM, until: FROM - 1, parts: '9-4' })).toEqual({});
    expect(validateHeat({ since: 'x', until: [], parts: 'a-b' })).toEqual({});
  });
});
