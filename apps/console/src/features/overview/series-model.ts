import type { ChartWindow } from '../../app/search.ts';
import type { SeriesItem } from '../../protocol/messages.ts';
import type { Point } from '../../ui/line-model.ts';

export const SPANS: Readonly<
  Record<ChartWindow, { readonly stepS: 1 | 10 | 60; readonly spanMs: number; readonly label: string }>
> = {
  '5min': { stepS: 1, spanMs: 300_000, label: '5 min' },
  '1h': { stepS: 10, spanMs: 3_600_000, label: '1 h' },
  '24h': { stepS: 60, spanMs: 86_400_000, label: '24 h' },
};

/**
 * Points of the window. Where a bucket is missing nothing was noted: an empty point breaks the line there, so that the chart never
 * draws a bridge over time it knows nothing about.
 */
export function pointsOf(items: readonly SeriesItem[], window: ChartWindow, nowMs: number): readonly Point[] {
  const { stepS, spanMs } = SPANS[window];
  const points: Point[] = [];
  let before: SeriesItem | undefined;
  for (const item of items) {
    if (item.atMs < nowMs - spanMs) continue;
    const widthMs = before?.stepMs ?? stepS * 1000;
    if (before !== undefined && item.atMs - before.atMs > widthMs * 2.5) points.push({ atMs: before.atMs + widthMs });
    points.push({ atMs: item.atMs, ...item.values });
    before = item;
  }
  return points;
}
