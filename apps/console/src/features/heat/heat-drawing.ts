import { NOT_KNOWN } from '../../protocol/heat-scale.ts';
import { heatColours } from './heat-colours.ts';
import type { Picture } from './heat-view.ts';

/** A leader change, drawn where it was. */
export interface HeatMark {
  readonly partitionId: number;
  readonly atMs: number;
}

export interface Palette {
  /** Red, green, blue of every cell value; undefined: it is not known. */
  readonly cells: readonly (readonly number[] | undefined)[];
  readonly page: string;
  readonly hatch: string;
  readonly mark: string;
}

interface Drawing {
  /** Of a row, with the gap below it. */
  readonly height: number;
  readonly gap: number;
  readonly width: number;
  readonly palette: Palette;
  readonly marks: readonly HeatMark[];
}

export function paletteOf(): Palette {
  const style = getComputedStyle(document.documentElement);
  const variable = (name: string): string => style.getPropertyValue(name).trim();
  const colours = heatColours(Array.from({ length: 9 }, (_, i) => variable(`--heat-${i}`)));
  return {
    cells: colours.map(colour => colour?.match(/\d+/g)?.map(Number)),
    page: variable('--page'),
    hatch: variable('--line'),
    mark: variable('--moving'),
  };
}

/** One pixel for each cell, then stretched: however many there are, drawing takes the time of one picture. */
export function drawPicture(canvas: HTMLCanvasElement, picture: Picture, drawing: Drawing): void {
  const { height, gap, width, palette, marks } = drawing;
  const ratio = window.devicePixelRatio;
  const rows = picture.bands.length;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(rows * height * ratio);
  const pen = canvas.getContext('2d');
  if (pen === null || rows === 0) return;
  pen.scale(ratio, ratio);
  pen.fillStyle = hatching(pen, palette);
  pen.fillRect(0, 0, width, rows * height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(pixelsOf(picture, palette), 0, 0, width, rows * height);
  pen.fillStyle = palette.page;
  for (let row = 1; gap > 0 && row <= rows; row++) pen.fillRect(0, row * height - gap, width, gap);
  pen.fillStyle = palette.mark;
  const rowOf = new Map<number, number>();
  for (const { partitionId, atMs } of marks) {
    let row = rowOf.get(partitionId);
    if (row === undefined) {
      row = picture.bands.findIndex(band => partitionId >= band.first && partitionId <= band.last);
      rowOf.set(partitionId, row);
    }
    const share = (atMs - picture.fromMs) / (picture.columns * picture.stepMs);
    if (row >= 0 && share >= 0 && share <= 1) pen.fillRect(share * width - 1, row * height, 2, height - gap);
  }
}

function pixelsOf({ bands, columns, cells }: Picture, palette: Palette): HTMLCanvasElement {
  const small = document.createElement('canvas');
  small.width = columns;
  small.height = bands.length;
  const pen = small.getContext('2d');
  if (pen === null) return small;
  const image = pen.createImageData(columns, bands.length);
  cells.forEach((cell, i) => {
    const colour = palette.cells[cell];
    if (cell === NOT_KNOWN || colour === undefined) return;
    image.data.set(colour, i * 4);
    image.data[i * 4 + 3] = 255;
  });
  pen.putImageData(image, 0, 0);
  return small;
}

function hatching(pen: CanvasRenderingContext2D, { page, hatch }: Palette): CanvasPattern | string {
  const tile = document.createElement('canvas');
  tile.width = 8;
  tile.height = 8;
  const stroke = tile.getContext('2d');
  if (stroke === null) return page;
  stroke.fillStyle = page;
  stroke.fillRect(0, 0, 8, 8);
  stroke.strokeStyle = hatch;
  stroke.lineWidth = 1.2;
  stroke.beginPath();
  for (const from of [-8, 0, 8]) {
    stroke.moveTo(from, 8);
    stroke.lineTo(from + 8, 0);
  }
  stroke.stroke();
  return pen.createPattern(tile, 'repeat') ?? page;
}
