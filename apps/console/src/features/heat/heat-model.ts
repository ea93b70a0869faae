import { NOT_KNOWN, ofCell } from '../../protocol/heat-scale.ts';
import type { HeatRow } from '../../protocol/messages.ts';

export const METRICS = ['writes', 'reads', 'entries'] as const;
export type Metric = (typeof METRICS)[number];

export const METRIC_LABEL: Readonly<Record<Metric, string>> = { writes: 'writes', reads: 'reads', entries: 'log entries' };

/** Loads of partitions over time, oldest column first; a column nobody measured anything in is there and not known. */
export interface Heat {
  readonly partitions: readonly number[];
  readonly columns: number;
  /** Begin of the first column. */
  readonly fromMs: number;
  readonly stepMs: number;
  /** Row by row. */
  readonly cells: Uint8Array;
}

/** `0-31,40` */
export function partitionsOf(ranges: string): readonly number[] {
  if (ranges === '') return [];
  return ranges.split(',').flatMap(part => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** undefined: there is no column yet. `columns`: so many, up to the newest one. */
export function heatOf(rows: readonly HeatRow[], metric: Metric, columns: number): Heat | undefined {
  const newest = rows.reduce<HeatRow | undefined>((a, b) => (a === undefined || b.atMs > a.atMs ? b : a), undefined);
  if (newest === undefined) return undefined;
  const partitions = [...new Set(rows.flatMap(row => partitionsOf(row.partitions)))].sort((a, b) => a - b);
  const place = new Map(partitions.map((id, i) => [id, i]));
  const { stepMs } = newest;
  const fromMs = newest.atMs - (columns - 1) * stepMs;
  const cells = new Uint8Array(partitions.length * columns).fill(NOT_KNOWN);
  for (const row of rows) {
    const column = Math.round((row.atMs - fromMs) / stepMs);
    if (column < 0 || column >= columns) continue;
    const bytes = bytesOf(row[metric]);
    partitionsOf(row.partitions).forEach((id, i) => {
      cells[(place.get(id) ?? 0) * columns + column] = bytes[i] ?? NOT_KNOWN;
    });
  }
  return { partitions, columns, fromMs, stepMs, cells };
}

export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), char => char.charCodeAt(0));
}

export function rateAt({ cells, columns }: Heat, row: number, column: number): number | null {
  return ofCell(cells[row * columns + column] ?? NOT_KNOWN);
}

const LATE_COLUMNS = 3;

export interface RowSummary {
  readonly partitionId: number;
  /** The newest that is known of the last half minute: columns do not come from all nodes at once. */
  readonly now: number | null;
  /** Of the columns that are known. */
  readonly mean: number | null;
  readonly most: number | null;
  /** Every column, oldest first. */
  readonly rates: readonly (number | null)[];
}

export function summariesOf(heat: Heat): readonly RowSummary[] {
  return heat.partitions.map((partitionId, row) => {
    const rates = Array.from({ length: heat.columns }, (_, column) => rateAt(heat, row, column));
    const known = rates.filter(rate => rate !== null);
    return {
      partitionId,
      now: rates.slice(-LATE_COLUMNS).findLast(rate => rate !== null) ?? null,
      mean: known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length,
      most: known.length === 0 ? null : Math.max(...known),
      rates,
    };
  });
}

/** Of all partitions in each column; null where none is known. */
export function totalsOf(heat: Heat): readonly (number | null)[] {
  return Array.from({ length: heat.columns }, (_, column) => {
    let sum: number | null = null;
    for (let row = 0; row < heat.partitions.length; row++) {
      const rate = rateAt(heat, row, column);
      if (rate !== null) sum = (sum ?? 0) + rate;
    }
    return sum;
  });
}

/** Place on the scale of nine colours, 0 to 8: none, under 0.1, then a step for each decade from 0.1 per second (console §12.4). */
export function heatPosition(rate: number): number {
  return rate <= 0 ? 0 : Math.min(8, Math.max(1, 2 + Math.log10(rate / 0.1)));
}
