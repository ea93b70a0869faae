import type { RowValue, SeriesItem } from '@kahuna/console/protocol';
import type { AppendFeed } from './feed.ts';

/** Widths of the buckets in seconds, and how many of each are kept: 5 minutes, 1 hour, 24 hours (console §4.2). */
export const SERIES_STEPS = { 1: 300, 10: 360, 60: 1440 } as const;
export type SeriesStep = keyof typeof SERIES_STEPS;

export type SeriesValues = Readonly<Record<string, number | null>>;

/** A piece of a chart: `values` are means over `stepMs` from `atMs` on. */
export interface Bucket {
  readonly atMs: number;
  readonly stepMs: number;
  readonly values: SeriesValues;
}

interface OpenBucket {
  atMs: number;
  readonly sums: Map<string, { sum: number; n: number }>;
}

/**
 * Charts of the last minutes, recorded finely while somebody looks; a bucket in which a value was never known holds `null` for it. What
 * was before stands in the loads that every node notes of itself, whoever looks: {@link filled} puts both together.
 */
export class SeriesRecorder {
  private readonly closed = new Map<SeriesStep, Bucket[]>();
  private readonly open = new Map<SeriesStep, OpenBucket>();
  /** Grows with every bucket that is closed. */
  private readonly versions = new Map<SeriesStep, number>();

  /** Notes the values at `atMs`. */
  record(atMs: number, values: SeriesValues): void {
    for (const step of STEPS) {
      const start = Math.floor(atMs / (step * 1000)) * step * 1000;
      let bucket = this.open.get(step);
      if (bucket !== undefined && bucket.atMs !== start) {
        this.close(step, bucket);
        bucket = undefined;
      }
      if (bucket === undefined) {
        bucket = { atMs: start, sums: new Map() };
        this.open.set(step, bucket);
      }
      add(bucket, values);
    }
  }

  version(step: SeriesStep): number {
    return this.versions.get(step) ?? 0;
  }

  buckets(step: SeriesStep): readonly Bucket[] {
    return this.closed.get(step) ?? [];
  }

  private close(step: SeriesStep, bucket: OpenBucket): void {
    const values: Record<string, number | null> = {};
    for (const [name, { sum, n }] of bucket.sums) values[name] = n === 0 ? null : Math.round((sum / n) * 1000) / 1000;
    const kept = this.closed.get(step) ?? [];
    // A clock that was set back: buckets that are yet to come are nobody's past.
    while (kept.length > 0 && (kept.at(-1) as Bucket).atMs >= bucket.atMs) kept.pop();
    kept.push({ atMs: bucket.atMs, stepMs: step * 1000, values });
    if (kept.length > SERIES_STEPS[step]) kept.shift();
    this.closed.set(step, kept);
    this.versions.set(step, this.version(step) + 1);
  }
}

/**
 * The recorded buckets of the window that ends at `nowMs`, and where nothing was recorded those of the coarser past. A value that a
 * recorded bucket lacks is taken from the past bucket of the same time. Both ascending; so is the result.
 */
export function filled(recorded: readonly Bucket[], past: readonly Bucket[], step: SeriesStep, nowMs: number): readonly Bucket[] {
  const fromMs = nowMs - SERIES_STEPS[step] * step * 1000;
  const all: Bucket[] = [];
  let next = 0;
  const takeRecordedBefore = (ms: number, values: SeriesValues): void => {
    for (let bucket = recorded[next]; bucket !== undefined && bucket.atMs < ms; bucket = recorded[++next]) {
      if (bucket.atMs >= fromMs) all.push({ ...bucket, values: completed(bucket.values, values) });
    }
  };
  for (const bucket of past) {
    takeRecordedBefore(bucket.atMs, NOTHING);
    const first = recorded[next];
    const isCovered = first !== undefined && first.atMs < bucket.atMs + bucket.stepMs;
    if (!isCovered && bucket.atMs >= fromMs) all.push(bucket);
    takeRecordedBefore(bucket.atMs + bucket.stepMs, bucket.values);
  }
  takeRecordedBefore(Number.POSITIVE_INFINITY, NOTHING);
  return all;
}

const NOTHING: SeriesValues = {};

function completed(values: SeriesValues, past: SeriesValues): SeriesValues {
  const lacks = Object.keys(values).some(name => values[name] === null && past[name] != null);
  if (!lacks) return values;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? past[name] ?? null]));
}

/** Buckets on their way to browsers: new ones are appended, and a past that has come to be known replaces what was there. */
export class SeriesLine {
  private readonly feed: AppendFeed;
  private readonly step: SeriesStep;
  /** undefined: all. */
  private readonly names: readonly string[] | undefined;
  private shown: readonly Bucket[] = [];

  constructor(feed: AppendFeed, step: SeriesStep, names: readonly string[] | undefined) {
    this.feed = feed;
    this.step = step;
    this.names = names;
  }

  show(buckets: readonly Bucket[]): void {
    const first = buckets[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const known = this.shown.filter(bucket => bucket.atMs >= first);
    const isLonger = known.every((bucket, i) => isSame(bucket, buckets[i]));
    if (!isLonger) this.feed.restart();
    for (const bucket of isLonger ? buckets.slice(known.length) : buckets) this.feed.append(this.item(bucket));
    this.shown = buckets;
  }

  private item({ atMs, stepMs, values }: Bucket): RowValue & SeriesItem {
    const named = this.names === undefined ? values : Object.fromEntries(this.names.map(name => [name, values[name] ?? null]));
    const coarse = stepMs === this.step * 1000 ? {} : { stepMs };
    return { seq: String(this.feed.seq + 1), atMs, values: named, ...coarse };
  }
}

function isSame(a: Bucket, b: Bucket | undefined): boolean {
  if (a === b) return true;
  if (a.atMs !== b?.atMs || a.stepMs !== b.stepMs) return false;
  return Object.keys(a.values).every(name => a.values[name] === b.values[name]);
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
