import { NOT_KNOWN, ofCell } from '../../protocol/heat-scale.ts';
import type { HeatMetric, HeatRow } from '../../protocol/messages.ts';

/** In the order in which they are offered. */
export const METRICS: readonly HeatMetric[] = ['writes', 'reads', 'entries'];

export const METRIC_LABEL: Readonly<Record<HeatMetric, string>> = { writes: 'writes', reads: 'reads', entries: 'log entries' };

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
export function heatOf(rows: readonly HeatRow[], metric: HeatMetric, columns: number): Heat | undefined {
  const newest = rows.reduce<HeatRow | undefined>((a, b) => (a === undefined || b.atMs > a.atMs ? b : a), undefined);
  if (newest === undefined) return undefined;
  // Nearly all columns are of the same partitions: their list is taken apart once.
  const idsOf = new Map([...new Set(rows.map(row => row.partitions))].map(text => [text, partitionsOf(text)]));
  const partitions = [...new Set([...idsOf.values()].flat())].sort((a, b) => a - b);
  const place = new Map(partitions.map((id, i) => [id, i]));
  const { stepMs } = newest;
  const fromMs = newest.atMs - (columns - 1) * stepMs;
  const cells = new Uint8Array(partitions.length * columns).fill(NOT_KNOWN);
  for (const row of rows) {
    const column = Math.round((row.atMs - fromMs) / stepMs);
    if (column < 0 || column >= columns) continue;
    const bytes = bytesOf(row[metric] ?? '');
    idsOf.get(row.partitions)?.forEach((id, i) => {
      cells[(place.get(id) ?? 0) * columns + column] = bytes[i] ?? NOT_KNOWN;
    });
  }
  return { partitions, columns, fromMs, stepMs, cells };
}

export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), char => char.charCodeAt(0));
}

/** Rate of every cell: a thousand partitions over an hour are looked up, not computed. */
const RATES = Array.from({ length: 256 }, (_, cell) => ofCell(cell));

export function rateAt({ cells, columns }: Pick<Heat, 'cells' | 'columns'>, row: number, column: number): number | null {
  if (column < 0 || column >= columns) return null;
  return RATES[cells[row * columns + column] ?? NOT_KNOWN] ?? null;
}

const LATE_COLUMNS = 3;

export interface RowSummary {
  readonly partitionId: number;
  /** The newest that is known of the last half minute: columns do not come from all nodes at once. */
  readonly now: number | null;
  /** Of the columns that are known. */
  readonly mean: number | null;
  readonly most: number | null;
}

export function summariesOf(heat: Heat): readonly RowSummary[] {
  return heat.partitions.map((partitionId, row) => {
    let [known, sum, most] = [0, 0, 0];
    for (let column = 0; column < heat.columns; column++) {
      const rate = rateAt(heat, row, column);
      if (rate === null) continue;
      known++;
      sum += rate;
      if (rate > most) most = rate;
    }
    const newest = Array.from({ length: LATE_COLUMNS }, (_, i) => rateAt(heat, row, heat.columns - 1 - i));
    return {
      partitionId,
      now: newest.find(rate => rate !== null) ?? null,
      mean: known === 0 ? null : sum / known,
      most: known === 0 ? null : most,
    };
  });
}

/** Every column of a partition, oldest first. */
export function ratesOfPartition(heat: Heat, partitionId: number): readonly (number | null)[] {
  const row = heat.partitions.indexOf(partitionId);
  return row < 0 ? [] : Array.from({ length: heat.columns }, (_, column) => rateAt(heat, row, column));
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
