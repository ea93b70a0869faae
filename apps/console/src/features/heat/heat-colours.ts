import { NOT_KNOWN, ofCell } from '../../protocol/heat-scale.ts';
import { heatPosition } from './heat-model.ts';

type Triple = readonly [number, number, number];

/** A colour for every cell value but the unknown one: the nine of the theme, and what lies between them in OKLab (console §12.4). */
export function heatColours(nine: readonly string[]): readonly (string | undefined)[] {
  const steps = nine.map(hex => oklabOf(rgbOf(hex)));
  return Array.from({ length: 256 }, (_, cell) => {
    const rate = cell === NOT_KNOWN ? null : ofCell(cell);
    if (rate === null) return undefined;
    const at = heatPosition(rate);
    const from = Math.min(Math.floor(at), steps.length - 2);
    const mixed = mix(steps[from] as Triple, steps[from + 1] as Triple, at - from);
    return `rgb(${rgbText(mixed)})`;
  });
}

function rgbOf(hex: string): Triple {
  const value = Number.parseInt(hex.trim().slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function mix(a: Triple, b: Triple, share: number): Triple {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

/** B. Ottosson, "A perceptual color space for image processing" (2020). */
function oklabOf(rgb: Triple): Triple {
  const [r, g, b] = rgb.map(linear) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function rgbText([lightness, a, b]: Triple): string {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const rgb = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return rgb.map(channel => Math.round(Math.min(255, Math.max(0, gamma(channel))))).join(' ');
}

function linear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function gamma(c: number): number {
  return 255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
}
