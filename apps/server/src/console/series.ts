import type { SeriesItem } from '@kahuna/console/protocol';

/** Widths of the buckets in seconds, and how many of each are kept: 5 minutes, 1 hour, 24 hours (console §4.2). */
export const SERIES_STEPS = { 1: 300, 10: 360, 60: 1440 } as const;
export type SeriesStep = keyof typeof SERIES_STEPS;

export type SeriesValues = Readonly<Record<string, number | null>>;

interface OpenBucket {
  atMs: number;
  readonly sums: Map<string, { sum: number; n: number }>;
}

/**
 * Charts of the last minutes, recorded while somebody looks. A time in which nobody looked is missing, and is drawn as a gap; a bucket
 * in which a value was never known holds `null` for it.
 */
export class SeriesRecorder {
  private seq = 0;
  private readonly closed = new Map<SeriesStep, SeriesItem[]>();
  private readonly open = new Map<SeriesStep, OpenBucket>();

  /** Notes the values at `atMs`; returns the buckets that this closes. */
  record(atMs: number, values: SeriesValues): readonly { readonly step: SeriesStep; readonly item: SeriesItem }[] {
    const done: { step: SeriesStep; item: SeriesItem }[] = [];
    for (const step of STEPS) {
      const start = Math.floor(atMs / (step * 1000)) * step * 1000;
      let bucket = this.open.get(step);
      if (bucket !== undefined && bucket.atMs !== start) {
        done.push({ step, item: this.close(step, bucket) });
        bucket = undefined;
      }
      if (bucket === undefined) {
        bucket = { atMs: start, sums: new Map() };
        this.open.set(step, bucket);
      }
      add(bucket, values);
    }
    return done;
  }

  items(step: SeriesStep): readonly SeriesItem[] {
    return this.closed.get(step) ?? [];
  }

  private close(step: SeriesStep, bucket: OpenBucket): SeriesItem {
    const values: Record<string, number | null> = {};
    for (const [name, { sum, n }] of bucket.sums) values[name] = n === 0 ? null : Math.round((sum / n) * 1000) / 1000;
    const item: SeriesItem = { seq: String(++this.seq), atMs: bucket.atMs, values };
    const kept = this.closed.get(step) ?? [];
    kept.push(item);
    if (kept.length > SERIES_STEPS[step]) kept.shift();
    this.closed.set(step, kept);
    return item;
  }
}

const STEPS: readonly SeriesStep[] = [1, 10, 60];

function add(bucket: OpenBucket, values: SeriesValues): void {
  for (const [name, value] of Object.entries(values)) {
    const sum = bucket.sums.get(name) ?? { sum: 0, n: 0 };
    if (value !== null) {
      sum.sum += value;
      sum.n++;
    }
    bucket.sums.set(name, sum);
  }
}
