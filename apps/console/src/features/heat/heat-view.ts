import { parseParts } from '../../app/search.ts';
import { NOT_KNOWN } from '../../protocol/heat-scale.ts';
import type { Heat } from './heat-model.ts';

/** The part of the heat that is looked at; a member that is absent: all of it, and in time up to now. */
export interface HeatView {
  /** Begin and end of the time in Unix milliseconds; they come together. */
  readonly since?: number;
  readonly until?: number;
  /** First and last partition, `128-255`. */
  readonly parts?: string;
}

/** Neighbours that are drawn as one row. */
export interface Band {
  readonly first: number;
  readonly last: number;
  /** Rows of the heat, `from` inclusive, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

/**
 * What is drawn: of more partitions or columns than there is room for, neighbours together show the most of what they cover, so that a
 * single hot one is seen at every zoom.
 */
export interface Picture {
  readonly bands: readonly Band[];
  readonly columns: number;
  readonly fromMs: number;
  /** Time that a column of the picture covers. */
  readonly stepMs: number;
  /** Row by row. */
  readonly cells: Uint8Array;
}

/** Least columns that are looked at: a single one is no picture of time. */
const LEAST_COLUMNS = 6;

/** The part of the heat that the view names. A range in which there is no partition is as good as none. */
export function visiblePart(heat: Heat, view: HeatView): Heat {
  const range = parseParts(view.parts);
  const [first, last] = range ?? [0, Number.POSITIVE_INFINITY];
  const inRange = heat.partitions.flatMap((id, row) => (id >= first && id <= last ? [row] : []));
  const rows = inRange.length > 0 ? inRange : heat.partitions.map((_, row) => row);
  const { stepMs } = heat;
  const isTimed = view.since !== undefined && view.until !== undefined && view.until > view.since;
  const fromMs = isTimed ? Math.floor(Number(view.since) / stepMs) * stepMs : heat.fromMs;
  const columns = isTimed ? columnsBetween(fromMs, Number(view.until), stepMs) : heat.columns;
  if (rows.length === heat.partitions.length && !isTimed) return heat;
  const offset = Math.round((fromMs - heat.fromMs) / stepMs);
  const cells = new Uint8Array(rows.length * columns).fill(NOT_KNOWN);
  rows.forEach((row, i) => {
    for (let column = Math.max(0, -offset); column < columns && column + offset < heat.columns; column++) {
      cells[i * columns + column] = heat.cells[row * heat.columns + column + offset] ?? NOT_KNOWN;
    }
  });
  return { partitions: rows.map(row => heat.partitions[row] ?? 0), columns, fromMs, stepMs, cells };
}

/** No address makes a picture of more columns than a day has minutes. */
function columnsBetween(fromMs: number, toMs: number, stepMs: number): number {
  return Math.min(1440, Math.max(LEAST_COLUMNS, Math.ceil((toMs - fromMs) / stepMs)));
}

/** `mostRows` and `mostColumns`: what there is room for. */
export function pictureOf(heat: Heat, mostRows: number, mostColumns: number): Picture {
  const perBand = Math.max(1, Math.ceil(heat.partitions.length / Math.max(1, mostRows)));
  const perColumn = Math.max(1, Math.ceil(heat.columns / Math.max(1, mostColumns)));
  const bands: Band[] = [];
  for (let from = 0; from < heat.partitions.length; from += perBand) {
    const to = Math.min(from + perBand, heat.partitions.length);
    bands.push({ first: heat.partitions[from] ?? 0, last: heat.partitions[to - 1] ?? 0, from, to });
  }
  const columns = Math.ceil(heat.columns / perColumn);
  const cells = new Uint8Array(bands.length * columns).fill(NOT_KNOWN);
  bands.forEach((band, i) => {
    for (let row = band.from; row < band.to; row++) {
      for (let column = 0; column < heat.columns; column++) {
        const cell = heat.cells[row * heat.columns + column] ?? NOT_KNOWN;
        const at = i * columns + Math.floor(column / perColumn);
        if (cell !== NOT_KNOWN && (cells[at] === NOT_KNOWN || cell > (cells[at] ?? 0))) cells[at] = cell;
      }
    }
  });
  return { bands, columns, fromMs: heat.fromMs, stepMs: heat.stepMs * perColumn, cells };
}

/** Row of the heat with the most in a cell of the picture; undefined: nothing is known there. */
export function hottestIn(heat: Heat, picture: Picture, band: number, column: number): number | undefined {
  const { from, to } = picture.bands[band] ?? { from: 0, to: 0 };
  const perColumn = Math.round(picture.stepMs / heat.stepMs);
  let hottest: number | undefined;
  let most = -1;
  for (let row = from; row < to; row++) {
    for (let c = column * perColumn; c < Math.min(heat.columns, (column + 1) * perColumn); c++) {
      const cell = heat.cells[row * heat.columns + c] ?? NOT_KNOWN;
      if (cell !== NOT_KNOWN && cell > most) {
        most = cell;
        hottest = row;
      }
    }
  }
  return hottest;
}

// ---- zooming ------------------------------------------------------------------------------------------------------------------

/** Corners of a part of what is seen: rows and columns of the visible heat, both inclusive. */
export interface Rectangle {
  readonly rows: readonly [from: number, to: number];
  readonly columns: readonly [from: number, to: number];
}

/** The view of a rectangle of the visible part; what it covers wholly is not named, so that time goes on and partitions come. */
export function zoomTo(all: Heat, seen: Heat, { rows, columns }: Rectangle): HeatView {
  return zoomWithin(all, seen, {
    rows: inside(rows, seen.partitions.length, 1),
    columns: inside(columns, seen.columns, LEAST_COLUMNS),
  });
}

/** Half or twice of both, about a cell of the visible part; of what is small already only the other one changes. */
export function zoomAbout(
  all: Heat,
  seen: Heat,
  at: { readonly row: number; readonly column: number },
  factor: number,
): HeatView {
  return zoomWithin(all, seen, {
    rows: scaled(at.row, seen.partitions.length, factor, 1),
    columns: scaled(at.column, seen.columns, factor, LEAST_COLUMNS),
  });
}

/** Goes along by a share of what is seen: −1 to 1 in each direction. */
export function pan(all: Heat, seen: Heat, by: { readonly rows?: number; readonly columns?: number }): HeatView {
  const down = Math.round((by.rows ?? 0) * seen.partitions.length);
  const across = Math.round((by.columns ?? 0) * seen.columns);
  return zoomWithin(all, seen, {
    rows: [down, down + seen.partitions.length - 1],
    columns: [across, across + seen.columns - 1],
  });
}

/** As {@link zoomTo}, for a rectangle that may lie outside of what is seen: it is moved to where there is something. */
function zoomWithin(all: Heat, seen: Heat, { rows, columns }: Rectangle): HeatView {
  const firstRow = all.partitions.indexOf(seen.partitions[0] ?? -1);
  const firstColumn = Math.round((seen.fromMs - all.fromMs) / all.stepMs);
  const [top, bottom] = moved(rows, firstRow, all.partitions.length);
  const [left, right] = moved(columns, firstColumn, all.columns);
  return viewOf(all, {
    first: all.partitions[top] ?? 0,
    last: all.partitions[bottom] ?? 0,
    fromMs: all.fromMs + left * all.stepMs,
    toMs: all.fromMs + (right + 1) * all.stepMs,
  });
}

function viewOf(all: Heat, part: { first: number; last: number; fromMs: number; toMs: number }): HeatView {
  const isAllRows = part.first <= (all.partitions[0] ?? 0) && part.last >= (all.partitions.at(-1) ?? 0);
  const isAllTime = part.fromMs <= all.fromMs && part.toMs >= all.fromMs + all.columns * all.stepMs;
  return {
    ...(isAllRows ? {} : { parts: `${part.first}-${part.last}` }),
    ...(isAllTime ? {} : { since: part.fromMs, until: part.toMs }),
  };
}

/** In order, within `0 … size − 1`, and at least `least` wide. */
function inside([a, b]: readonly [number, number], size: number, least: number): readonly [number, number] {
  const from = Math.max(0, Math.min(a, b, size - least));
  return [from, Math.min(size - 1, Math.max(a, b, from + least - 1))];
}

/** As wide, moved by `by` and then to where it lies within `0 … size − 1`; wider than that: all of it. */
function moved([a, b]: readonly [number, number], by: number, size: number): readonly [number, number] {
  const width = Math.min(size, b - a + 1);
  const from = Math.min(size - width, Math.max(0, a + by));
  return [from, from + width - 1];
}

/** `at` keeps its place in the new width. */
function scaled(at: number, size: number, factor: number, least: number): readonly [number, number] {
  const width = Math.max(Math.min(least, size), Math.round(size * factor));
  const from = Math.round(at - (at / Math.max(1, size)) * width);
  return [from, from + width - 1];
}
