import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef } from 'react';
import { usePreferences } from '../../app/preferences.ts';
import { timeOfDay } from '../../format/time.ts';
import { NOT_KNOWN } from '../../protocol/heat-scale.ts';
import { timeTicks } from '../../ui/axis-model.ts';
import { heatColours } from './heat-colours.ts';
import type { Heat } from './heat-model.ts';

/** A cell by its partition and instant, so that it stays what it is while columns come and go. */
export interface Cursor {
  readonly partitionId: number;
  readonly atMs: number;
}

/** A leader change, drawn where it was. */
export interface HeatMark {
  readonly partitionId: number;
  readonly atMs: number;
}

interface CanvasProps {
  readonly heat: Heat;
  readonly marks: readonly HeatMark[];
  readonly cursor: Cursor | undefined;
  readonly pinned: Cursor | undefined;
  /** The picture in a sentence. */
  readonly summary: string;
  readonly onCursor: (cursor: Cursor | undefined) => void;
  readonly onPin: (cursor: Cursor | undefined) => void;
  readonly onOpen: (partitionId: number) => void;
}

const MOST_ROW = 26;
const LEAST_ROW = 5;
/** Height that is shared by the rows before each of them gets its least. */
const PICTURE = 420;
const LABELS_FROM_ROW = 11;
const AXIS = 20;

function rowHeight(rows: number): number {
  return Math.min(MOST_ROW, Math.max(LEAST_ROW, Math.floor(PICTURE / Math.max(1, rows))));
}

/** Partitions down, time across: one canvas, walked by pointer or arrow keys (console §6.3). */
export function HeatCanvas({ heat, marks, cursor, pinned, summary, onCursor, onPin, onOpen }: CanvasProps) {
  const { ref: box, width } = useElementSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scheme = useComputedColorScheme('light');
  const { zone } = usePreferences();
  const height = rowHeight(heat.partitions.length);
  const labels = labelled(heat.partitions, height);
  const toMs = heat.fromMs + heat.columns * heat.stepMs;
  const offsetMs = zone === 'utc' ? 0 : -new Date(toMs).getTimezoneOffset() * 60_000;
  const ticks = timeTicks(toMs, heat.columns * heat.stepMs, offsetMs);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme decides what the variables hold
  const palette = useMemo(paletteOf, [scheme]);

  useEffect(() => {
    if (canvas.current !== null && width > 0) draw(canvas.current, heat, height, width, palette, marks);
  }, [heat, height, width, palette, marks]);

  const cellAt = (event: PointerEvent): Cursor | undefined => {
    const bounds = event.currentTarget.getBoundingClientRect();
    const row = Math.floor((event.clientY - bounds.top) / height);
    const column = Math.floor(((event.clientX - bounds.left) / bounds.width) * heat.columns);
    const partitionId = heat.partitions[row];
    if (partitionId === undefined || column < 0 || column >= heat.columns) return undefined;
    return { partitionId, atMs: heat.fromMs + column * heat.stepMs };
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const here = cursor ?? { partitionId: heat.partitions[0] ?? 0, atMs: toMs - heat.stepMs };
    if (event.key === 'Escape') onPin(undefined);
    if (event.key === 'Enter') onOpen(here.partitionId);
    if (event.key === ' ') onPin(pinned === undefined ? here : undefined);
    const next = neighbour(event, here, heat);
    if (next !== undefined) onCursor(next);
    if (next !== undefined || event.key === ' ') event.preventDefault();
  };
  const shown = cursor ?? pinned;
  const spot = shown === undefined ? undefined : placeOf(shown, heat, height);
  return (
    <div className="heat-picture" style={{ gridTemplateRows: `${heat.partitions.length * height}px ${AXIS}px` }}>
      <div className="heat-labels" aria-hidden="true">
        {labels.map(({ id, row }) => (
          <span key={id} style={{ top: row * height, height, lineHeight: `${height}px` }}>
            P{id}
          </span>
        ))}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a picture that is walked by keys is no fieldset */}
      <div
        ref={box}
        className="heat-plot"
        role="group"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys walk the cells
        tabIndex={0}
        aria-label="Heat of partitions; arrow keys walk the cells, Enter opens the partition, Space pins"
        onPointerMove={event => onCursor(cellAt(event))}
        onPointerLeave={() => onCursor(undefined)}
        onPointerUp={event => onPin(cellAt(event))}
        onDoubleClick={() => cursor !== undefined && onOpen(cursor.partitionId)}
        onKeyDown={onKeyDown}
      >
        <canvas ref={canvas} role="img" aria-label={summary} />
        {spot !== undefined && (
          <span className="heat-cursor" aria-hidden="true" style={spot} data-pinned={cursor === undefined || undefined} />
        )}
      </div>
      <div className="heat-axis" aria-hidden="true">
        {ticks.map(ms => (
          <span key={ms} style={{ left: `${((ms - heat.fromMs) / (toMs - heat.fromMs)) * 100}%` }}>
            {timeOfDay(ms, zone)}
          </span>
        ))}
      </div>
    </div>
  );
}

/** As many labels as there is room for, every so many rows. */
function labelled(partitions: readonly number[], height: number): readonly { readonly id: number; readonly row: number }[] {
  const every = height >= LABELS_FROM_ROW ? 1 : Math.ceil(14 / height);
  return partitions.map((id, row) => ({ id, row })).filter(({ row }) => row % every === 0);
}

function placeOf({ partitionId, atMs }: Cursor, heat: Heat, height: number) {
  const row = heat.partitions.indexOf(partitionId);
  const column = Math.round((atMs - heat.fromMs) / heat.stepMs);
  if (row < 0 || column < 0 || column >= heat.columns) return undefined;
  return { top: row * height, height, left: `${(column / heat.columns) * 100}%`, width: `${100 / heat.columns}%` };
}

function neighbour(event: KeyboardEvent, { partitionId, atMs }: Cursor, heat: Heat): Cursor | undefined {
  const row = heat.partitions.indexOf(partitionId);
  const steps = event.shiftKey ? 10 : 1;
  const last = heat.fromMs + (heat.columns - 1) * heat.stepMs;
  const atRow = (to: number) => heat.partitions[Math.min(heat.partitions.length - 1, Math.max(0, to))] ?? partitionId;
  switch (event.key) {
    case 'ArrowUp':
      return { partitionId: atRow(row - steps), atMs };
    case 'ArrowDown':
      return { partitionId: atRow(row + steps), atMs };
    case 'ArrowLeft':
      return { partitionId, atMs: Math.max(heat.fromMs, atMs - steps * heat.stepMs) };
    case 'ArrowRight':
      return { partitionId, atMs: Math.min(last, atMs + steps * heat.stepMs) };
    case 'Home':
      return { partitionId, atMs: heat.fromMs };
    case 'End':
      return { partitionId, atMs: last };
    default:
      return undefined;
  }
}

interface Palette {
  readonly cells: readonly (string | undefined)[];
  readonly unknown: string;
  readonly hatch: string;
  readonly mark: string;
}

function paletteOf(): Palette {
  const style = getComputedStyle(document.documentElement);
  const variable = (name: string): string => style.getPropertyValue(name).trim();
  return {
    cells: heatColours(Array.from({ length: 9 }, (_, i) => variable(`--heat-${i}`))),
    unknown: variable('--page'),
    hatch: variable('--line'),
    mark: variable('--moving'),
  };
}

function draw(
  canvas: HTMLCanvasElement,
  heat: Heat,
  height: number,
  width: number,
  palette: Palette,
  marks: readonly HeatMark[],
): void {
  const ratio = window.devicePixelRatio;
  const rows = heat.partitions.length;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(rows * height * ratio);
  const pen = canvas.getContext('2d');
  if (pen === null) return;
  pen.scale(ratio, ratio);
  pen.fillStyle = hatching(pen, palette);
  pen.fillRect(0, 0, width, rows * height);
  const gap = height >= LABELS_FROM_ROW ? 1 : 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < heat.columns; column++) {
      const colour = palette.cells[heat.cells[row * heat.columns + column] ?? NOT_KNOWN];
      if (colour === undefined) continue;
      const left = (column / heat.columns) * width;
      pen.fillStyle = colour;
      // A little wider than a column: cells that meet between two pixels would let the hatching through.
      pen.fillRect(left, row * height, width / heat.columns + 0.5, height - gap);
    }
  }
  pen.fillStyle = palette.mark;
  for (const { partitionId, atMs } of marks) {
    const row = heat.partitions.indexOf(partitionId);
    const share = (atMs - heat.fromMs) / (heat.columns * heat.stepMs);
    if (row >= 0 && share >= 0 && share <= 1) pen.fillRect(share * width - 1, row * height, 2, height - gap);
  }
}

function hatching(pen: CanvasRenderingContext2D, { unknown, hatch }: Palette): CanvasPattern | string {
  const tile = document.createElement('canvas');
  tile.width = 8;
  tile.height = 8;
  const stroke = tile.getContext('2d');
  if (stroke === null) return unknown;
  stroke.fillStyle = unknown;
  stroke.fillRect(0, 0, 8, 8);
  stroke.strokeStyle = hatch;
  stroke.lineWidth = 1.2;
  stroke.beginPath();
  for (const from of [-8, 0, 8]) {
    stroke.moveTo(from, 8);
    stroke.lineTo(from + 8, 0);
  }
  stroke.stroke();
  return pen.createPattern(tile, 'repeat') ?? unknown;
}
