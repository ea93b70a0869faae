import { describe, expect, test } from 'vitest';
import { NOT_KNOWN, ofCell, toCell } from '../../protocol/heat-scale.ts';
import type { HeatRow } from '../../protocol/messages.ts';
import { heatColours } from './heat-colours.ts';
import { heatOf, heatPosition, partitionsOf, rateAt, summariesOf, totalsOf } from './heat-model.ts';

const base64 = (...cells: number[]) => btoa(String.fromCharCode(...cells));
const row = (column: number, partitions: string, ...writes: number[]): HeatRow => ({
  atMs: column * 10_000,
  stepMs: 10_000,
  partitions,
  reads: base64(...writes.map(() => 0)),
  writes: base64(...writes),
  entries: base64(...writes.map(() => 0)),
  source: 1,
});

describe('console:6.3 heat', () => {
  test('columns that are missing, and partitions that a column does not have, are not known', () => {
    const rows = [row(100, '2-3', toCell(10), 0), row(102, '2,9', toCell(1), NOT_KNOWN)];
    const heat = heatOf(rows, 'writes', 4);
    if (heat === undefined) throw new Error('no heat');
    expect(heat.partitions).toEqual([2, 3, 9]);
    expect(heat.fromMs).toBe(990_000);
    const shown = heat.partitions.map((_, i) => Array.from({ length: 4 }, (_, c) => rateAt(heat, i, c)?.toFixed(1) ?? '?'));
    const ten = ofCell(toCell(10))?.toFixed(1);
    const one = ofCell(toCell(1))?.toFixed(1);
    expect(shown).toEqual([
      ['?', ten, '?', one],
      ['?', '0.0', '?', '?'],
      ['?', '?', '?', '?'],
    ]);
    expect(totalsOf(heat).map(total => total === null)).toEqual([true, false, true, false]);
    expect(summariesOf(heat)[1]).toMatchObject({ partitionId: 3, now: 0, mean: 0, most: 0 });
    expect(summariesOf(heat)[2]).toMatchObject({ partitionId: 9, now: null, mean: null, most: null });
  });

  test('nothing yet is not an empty picture', () => {
    expect(heatOf([], 'writes', 360)).toBeUndefined();
    expect(partitionsOf('')).toEqual([]);
  });

  test('12.4 the scale is absolute: a step for each decade', () => {
    expect([0, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e9].map(heatPosition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
  });

  test('12.4 colours between two steps lie between them; what is not known has none', () => {
    const colours = heatColours([
      '#000000',
      '#111111',
      '#222222',
      '#333333',
      '#444444',
      '#555555',
      '#666666',
      '#777777',
      '#ffffff',
    ]);
    expect(colours[0]).toBe('rgb(0 0 0)');
    expect(colours[toCell(150_000)]).toBe('rgb(255 255 255)');
    const grey = Number(/\d+/.exec(colours[toCell(3)] ?? '')?.[0]);
    expect(grey).toBeGreaterThan(0x33);
    expect(grey).toBeLessThan(0x44);
    expect(colours[NOT_KNOWN]).toBeUndefined();
  });
});
