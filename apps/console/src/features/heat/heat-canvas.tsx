import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState } from 'react';
import { usePreferences } from '../../app/preferences.ts';
import { timeOfDay } from '../../format/time.ts';
import { timeTicks } from '../../ui/axis-model.ts';
import { drawPicture, type HeatMark, paletteOf } from './heat-drawing.ts';
import type { Heat } from './heat-model.ts';
import { type Band, type Picture, pictureOf, type Rectangle } from './heat-view.ts';

/** A cell by its partition and instant, so that it stays what it is while columns come and go. */
export interface Cursor {
  readonly partitionId: number;
  readonly atMs: number;
}

/** What is asked for by key, pointer or wheel. */
export interface HeatActions {
  readonly onCursor: (cursor: Cursor | undefined) => void;
  readonly onPin: (cursor: Cursor | undefined) => void;
  readonly onOpen: (partitionId: number) => void;
  /** To a rectangle of what is seen. */
  readonly onZoomTo: (rectangle: Rectangle) => void;
  /** About a cell; `factor` of what is seen. */
  readonly onZoom: (factor: number, about: Cursor) => void;
  readonly onWhole: () => void;
  /** The cursor stands at the edge: by so many rows and columns. */
  readonly onPan: (rows: number, columns: number) => void;
}

interface CanvasProps extends HeatActions {
  readonly heat: Heat;
  readonly picture: Picture;
  readonly marks: readonly HeatMark[];
  readonly cursor: Cursor | undefined;
  readonly pinned: Cursor | undefined;
  /** The picture in a sentence. */
  readonly summary: string;
  readonly width: number;
  readonly sizeRef: (element: HTMLElement | null) => void;
}

const MOST_ROW = 26;
/** Least height of a row and width of a column: what is smaller is drawn together. */
const LEAST_ROW = 3;
const LEAST_COLUMN = 2;
/** Height that is shared by the rows. */
const HEIGHT = 420;
const LABELS_FROM_ROW = 11;
const LABEL_DISTANCE = 14;
const AXIS = 20;
const HALF_LABEL = 16;
/** A pointer that went less far has clicked. */
const DRAG_PX = 6;
const NOT_YET_MEASURED = 900;

function rowHeight(bands: number): number {
  return Math.min(MOST_ROW, Math.max(LEAST_ROW, Math.floor(HEIGHT / Math.max(1, bands))));
}

/** The picture that fits, and the width it has. */
export function usePicture(heat: Heat): {
  readonly picture: Picture;
  readonly width: number;
  readonly ref: (e: HTMLElement | null) => void;
} {
  const { ref, width } = useElementSize();
  const mostColumns = Math.floor((width || NOT_YET_MEASURED) / LEAST_COLUMN);
  const picture = useMemo(() => pictureOf(heat, Math.floor(HEIGHT / LEAST_ROW), mostColumns), [heat, mostColumns]);
  return { picture, width, ref };
}

/** Partitions down, time across: one canvas, walked and zoomed by pointer or keys (console §6.3). */
export function HeatCanvas(props: CanvasProps) {
  const { heat, picture, marks, cursor, pinned, summary, width, sizeRef, onCursor, onPin, onOpen, onZoomTo, onZoom } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const scheme = useComputedColorScheme('light');
  const { zone } = usePreferences();
  const [drag, setDrag] = useState<Drag>();
  const height = rowHeight(picture.bands.length);
  const toMs = heat.fromMs + heat.columns * heat.stepMs;
  const offsetMs = zone === 'utc' ? 0 : -new Date(toMs).getTimezoneOffset() * 60_000;
  // A label that would stand beyond the edge of the panel is left out.
  const ticks = timeTicks(toMs, heat.columns * heat.stepMs, offsetMs).filter(
    ms => (toMs - ms) / (toMs - heat.fromMs) > HALF_LABEL / (width || NOT_YET_MEASURED),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme decides what the variables hold
  const palette = useMemo(paletteOf, [scheme]);

  useEffect(() => {
    const gap = height >= LABELS_FROM_ROW ? 1 : 0;
    if (canvas.current !== null && width > 0) drawPicture(canvas.current, picture, { height, gap, width, palette, marks });
  }, [picture, height, width, palette, marks]);

  const cellAt = (event: { clientX: number; clientY: number }, box: Element): Cursor | undefined => {
    const bounds = box.getBoundingClientRect();
    const band = picture.bands[clamp(Math.floor((event.clientY - bounds.top) / height), picture.bands.length)];
    const column = clamp(Math.floor(((event.clientX - bounds.left) / bounds.width) * picture.columns), picture.columns);
    return band === undefined ? undefined : { partitionId: band.first, atMs: picture.fromMs + column * picture.stepMs };
  };
  const plot = useRef<HTMLDivElement>(null);
  useZoomWheel(plot, (factor, event, box) => {
    const at = cellAt(event, box);
    if (at !== undefined) onZoom(factor, at);
  });
  const onPointerMove = (event: PointerEvent) => {
    onCursor(cellAt(event, event.currentTarget));
    if (drag !== undefined) setDrag({ ...drag, to: pointIn(event) });
  };
  const onPointerUp = (event: PointerEvent) => {
    setDrag(undefined);
    if (drag === undefined) return;
    const rectangle = rectangleOf({ ...drag, to: pointIn(event) }, heat, picture, height);
    if (rectangle === undefined) onPin(cellAt(event, event.currentTarget));
    else onZoomTo(rectangle);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = cursor ?? { partitionId: heat.partitions[0] ?? 0, atMs: toMs - picture.stepMs };
    if (act(event, here, props)) event.preventDefault();
  };
  const shown = cursor ?? pinned;
  return (
    <div className="heat-picture" style={{ gridTemplateRows: `${picture.bands.length * height}px ${AXIS}px` }}>
      <div className="heat-labels" aria-hidden="true">
        {labelled(picture.bands, height).map(({ band, row }) => (
          <span key={band.first} style={{ top: row * height, height, lineHeight: `${height}px` }}>
            P{band.first}
          </span>
        ))}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a picture that is walked by keys is no fieldset */}
      <div
        ref={element => {
          plot.current = element;
          sizeRef(element);
        }}
        className="heat-plot"
        role="group"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys walk the cells
        tabIndex={0}
        aria-label="Heat of partitions; arrow keys walk the cells, Enter opens, plus and minus zoom, Space sets the corner of a rectangle that plus zooms to, 0 shows the whole"
        onPointerDown={event => {
          if (event.button !== 0) return;
          if (event.pointerType === 'mouse') event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: pointIn(event), to: pointIn(event) });
        }}
        onPointerMove={onPointerMove}
        onPointerLeave={() => onCursor(undefined)}
        onPointerCancel={() => setDrag(undefined)}
        onPointerUp={onPointerUp}
        onDoubleClick={() => cursor !== undefined && onOpen(cursor.partitionId)}
        onKeyDown={onKeyDown}
      >
        <canvas ref={canvas} role="img" aria-label={summary} />
        {shown !== undefined && <Spot at={shown} picture={picture} height={height} pinned={cursor === undefined} />}
        {cursor !== undefined && pinned !== undefined && <Spot at={pinned} picture={picture} height={height} pinned />}
        {drag !== undefined && <span className="heat-selection" aria-hidden="true" style={boxOf(drag)} />}
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

// ---- keys -----------------------------------------------------------------------------------------------------------------------

/** Whether the key meant something. */
function act({ key, shiftKey }: KeyboardEvent, here: Cursor, props: CanvasProps): boolean {
  const { heat, picture, pinned, onPin, onOpen, onZoom, onZoomTo, onWhole } = props;
  switch (key) {
    case 'Escape':
      onPin(undefined);
      return true;
    case 'Enter':
      onOpen(here.partitionId);
      return true;
    case ' ':
      onPin(pinned === undefined ? here : undefined);
      return true;
    case '+':
    case '=':
      if (pinned === undefined) onZoom(0.5, here);
      else onZoomTo(between(here, pinned, heat, picture));
      return true;
    case '-':
    case 'Backspace':
      onZoom(2, here);
      return true;
    case '0':
    case 'r':
      onWhole();
      return true;
    default:
      return walk(key, shiftKey ? 10 : 1, here, props);
  }
}

const STEPS: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, Number.NEGATIVE_INFINITY],
  End: [0, Number.POSITIVE_INFINITY],
};

function walk(key: string, times: number, here: Cursor, { picture, heat, onCursor, onPan }: CanvasProps): boolean {
  const step = STEPS[key];
  if (step === undefined) return false;
  const { row, column } = placeIn(here, picture);
  const [toRow, toColumn] = [row + step[0] * times, column + step[1] * times];
  const band = picture.bands[clamp(toRow, picture.bands.length)];
  const perBand = Math.ceil(heat.partitions.length / Math.max(1, picture.bands.length));
  if (Number.isFinite(toColumn) && (toRow < 0 || toRow >= picture.bands.length || toColumn < 0 || toColumn >= picture.columns)) {
    onPan(step[0] * times * perBand, step[1] * times * Math.round(picture.stepMs / heat.stepMs));
  }
  if (band !== undefined) {
    onCursor({ partitionId: band.first, atMs: picture.fromMs + clamp(toColumn, picture.columns) * picture.stepMs });
  }
  return true;
}

function clamp(at: number, size: number): number {
  return Math.min(size - 1, Math.max(0, at));
}

// ---- places -----------------------------------------------------------------------------------------------------------------------

/** Row and column of the picture; outside of it where the cell is. */
export function placeIn({ partitionId, atMs }: Cursor, picture: Picture): { readonly row: number; readonly column: number } {
  const row = picture.bands.findIndex(band => partitionId >= band.first && partitionId <= band.last);
  return { row, column: Math.floor((atMs - picture.fromMs) / picture.stepMs + 1e-6) };
}

/** The rectangle with these cells in its corners, as rows and columns of the heat. */
function between(a: Cursor, b: Cursor, heat: Heat, picture: Picture): Rectangle {
  const perColumn = Math.round(picture.stepMs / heat.stepMs);
  const rows = [a, b].map(({ partitionId }) => heat.partitions.indexOf(partitionId));
  const columns = [a, b].map(({ atMs }) => Math.round((atMs - heat.fromMs) / heat.stepMs));
  const last = picture.bands.find(band => band.from <= Math.max(...rows) && Math.max(...rows) < band.to)?.to;
  return {
    rows: [Math.min(...rows), (last ?? Math.max(...rows) + 1) - 1],
    columns: [Math.min(...columns), Math.max(...columns) + perColumn - 1],
  };
}

interface SpotProps {
  readonly at: Cursor;
  readonly picture: Picture;
  readonly height: number;
  readonly pinned: boolean;
}

function Spot({ at, picture, height, pinned }: SpotProps) {
  const { row, column } = placeIn(at, picture);
  if (row < 0 || column < 0 || column >= picture.columns) return null;
  const width = 100 / picture.columns;
  return (
    <span
      className="heat-cursor"
      aria-hidden="true"
      style={{ top: row * height, height, left: `${column * width}%`, width: `${width}%` }}
      data-pinned={pinned || undefined}
    />
  );
}

/** As many labels as there is room for, every so many rows. */
function labelled(bands: readonly Band[], height: number): readonly { readonly band: Band; readonly row: number }[] {
  const every = height >= LABELS_FROM_ROW ? 1 : Math.ceil(LABEL_DISTANCE / height);
  return bands.map((band, row) => ({ band, row })).filter(({ row }) => row % every === 0);
}

// ---- dragging and the wheel ---------------------------------------------------------------------------------------------------------

interface Point {
  readonly x: number;
  readonly y: number;
  /** Of the whole plot. */
  readonly width: number;
}

interface Drag {
  readonly from: Point;
  readonly to: Point;
}

function pointIn(event: PointerEvent): Point {
  const bounds = event.currentTarget.getBoundingClientRect();
  return { x: event.clientX - bounds.left, y: event.clientY - bounds.top, width: bounds.width };
}

function boxOf({ from, to }: Drag) {
  const flat = isFlat({ from, to });
  return {
    left: flat.across ? 0 : Math.min(from.x, to.x),
    width: flat.across ? '100%' : Math.abs(to.x - from.x),
    top: flat.down ? 0 : Math.min(from.y, to.y),
    height: flat.down ? '100%' : Math.abs(to.y - from.y),
  };
}

/** In a direction in which the pointer hardly went, everything is meant. */
function isFlat({ from, to }: Drag): { readonly across: boolean; readonly down: boolean } {
  return { across: Math.abs(to.x - from.x) < DRAG_PX, down: Math.abs(to.y - from.y) < 2 * DRAG_PX };
}

/** undefined: it was a click. */
function rectangleOf(drag: Drag, heat: Heat, picture: Picture, height: number): Rectangle | undefined {
  const { across, down } = isFlat(drag);
  if (across && down) return undefined;
  const perColumn = Math.round(picture.stepMs / heat.stepMs);
  const columnAt = ({ x, width }: Point): number => clamp(Math.floor((x / width) * picture.columns), picture.columns);
  const bandAt = ({ y }: Point): Band => picture.bands[clamp(Math.floor(y / height), picture.bands.length)] as Band;
  const columns = [columnAt(drag.from), columnAt(drag.to)];
  const bands = [bandAt(drag.from), bandAt(drag.to)];
  return {
    rows: down
      ? [0, heat.partitions.length - 1]
      : [Math.min(...bands.map(band => band.from)), Math.max(...bands.map(band => band.to)) - 1],
    columns: across ? [0, heat.columns - 1] : [Math.min(...columns) * perColumn, (Math.max(...columns) + 1) * perColumn - 1],
  };
}

/** The wheel alone scrolls the page, as everywhere; with Ctrl, and as a pinch, it zooms. React's own listener could not keep the page still. */
function useZoomWheel(
  plot: { readonly current: HTMLDivElement | null },
  onZoom: (factor: number, event: WheelEvent, box: Element) => void,
): void {
  const latest = useRef(onZoom);
  latest.current = onZoom;
  useEffect(() => {
    const box = plot.current;
    if (box === null) return;
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey || event.deltaY === 0) return;
      event.preventDefault();
      latest.current(event.deltaY < 0 ? 0.8 : 1.25, event, box);
    };
    box.addEventListener('wheel', onWheel, { passive: false });
    return () => box.removeEventListener('wheel', onWheel);
  }, [plot]);
}
