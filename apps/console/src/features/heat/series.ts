import { ofCell } from '../../protocol/heat-scale.ts';
import { bytesOf } from './heat-model.ts';

/** Fewer points than columns: each the mean of what is known in it, null where nothing is. */
export function coarser(values: readonly (number | null)[], points: number): readonly (number | null)[] {
  const width = Math.max(1, Math.ceil(values.length / points));
  const out: (number | null)[] = [];
  for (let i = 0; i < values.length; i += width) {
    const known = values.slice(i, i + width).filter(value => value !== null);
    out.push(known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length);
  }
  return out;
}

/** A track as it travels. */
export function ratesOf(base64: string): readonly (number | null)[] {
  return Array.from(bytesOf(base64), ofCell);
}
