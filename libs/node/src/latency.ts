/**
 * Latencies in logarithmic buckets: 16 per octave (4.4 % wide) from 1 microsecond to over an hour. Recording is one array increment.
 * Two halves of a window are kept, so that a quantile covers between one and two rotations.
 */
export class LatencyHistogram {
  private current = new Uint32Array(BUCKETS);
  private previous = new Uint32Array(BUCKETS);
  /** All samples since start, and their sum in milliseconds: what a scraper turns into rates. */
  count = 0;
  sumMs = 0;

  record(ms: number): void {
    const micros = ms * 1000;
    const bucket = micros <= 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(micros) * PER_OCTAVE));
    this.current[bucket] = (this.current[bucket] as number) + 1;
    this.count++;
    this.sumMs += ms;
  }

  /** Starts a new half window. */
  rotate(): void {
    const oldest = this.previous;
    this.previous = this.current;
    this.current = oldest;
    oldest.fill(0);
  }

  /** Upper edge in milliseconds of the bucket that holds the given quantile, undefined without samples. */
  quantile(q: number): number | undefined {
    let total = 0;
    for (let i = 0; i < BUCKETS; i++) total += (this.current[i] as number) + (this.previous[i] as number);
    if (total === 0) return undefined;
    let rest = Math.ceil(total * q);
    for (let i = 0; i < BUCKETS; i++) {
      rest -= (this.current[i] as number) + (this.previous[i] as number);
      if (rest <= 0) return 2 ** ((i + 1) / PER_OCTAVE) / 1000;
    }
    return undefined;
  }
}

const PER_OCTAVE = 16;
const BUCKETS = PER_OCTAVE * 32;
