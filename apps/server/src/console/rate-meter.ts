import type { NodeFacts } from '@kahuna/node';

/** Two samples closer than this give no rate: the difference would be mostly noise. Milliseconds. */
const MIN_SPAN_MS = 900;

interface Sample {
  readonly boot: number;
  readonly atMs: number;
  readonly counters: Readonly<Record<string, number>>;
  /** Per partition led at that time: reads and writes since start. */
  readonly led: ReadonlyMap<number, { readonly reads: number; readonly writes: number }>;
}

/** Rates of one node, each per second over the last one to two seconds; null while only one sample is known. */
export interface NodeRates {
  counter(name: string): number | null;
  partition(partitionId: number): { readonly readsPerSec: number | null; readonly writesPerSec: number | null };
}

const UNKNOWN_PARTITION = { readsPerSec: null, writesPerSec: null } as const;
const UNKNOWN: NodeRates = { counter: () => null, partition: () => UNKNOWN_PARTITION };

/** Turns the monotonic counters in successive facts of a node into rates, by the reporting node's own clock. */
export class RateMeter {
  private readonly samples = new Map<number, Sample>();
  private readonly rates = new Map<number, NodeRates>();

  /** Takes notice of facts; cheap when they are too close to the last ones. */
  observe(facts: NodeFacts): void {
    const before = this.samples.get(facts.nodeId);
    const span = before === undefined ? 0 : facts.wallMs - before.atMs;
    if (before !== undefined && before.boot === facts.boot && span >= 0 && span < MIN_SPAN_MS) return;
    const now = sampleOf(facts);
    this.samples.set(facts.nodeId, now);
    // A restart or a clock step back voids the comparison; so does the first sample.
    const comparable = before !== undefined && before.boot === now.boot && span >= MIN_SPAN_MS;
    this.rates.set(facts.nodeId, comparable ? between(before, now) : UNKNOWN);
  }

  of(nodeId: number): NodeRates {
    return this.rates.get(nodeId) ?? UNKNOWN;
  }

  forget(): void {
    this.samples.clear();
    this.rates.clear();
  }
}

function sampleOf(facts: NodeFacts): Sample {
  const led = new Map<number, { reads: number; writes: number }>();
  for (const p of facts.partitions) if (p.role === 'leader') led.set(p.partitionId, { reads: p.reads, writes: p.writes });
  return { boot: facts.boot, atMs: facts.wallMs, counters: facts.counters, led };
}

function between(before: Sample, now: Sample): NodeRates {
  const seconds = (now.atMs - before.atMs) / 1000;
  const rate = (from: number | undefined, to: number | undefined): number | null =>
    from === undefined || to === undefined || to < from ? null : (to - from) / seconds;
  return {
    counter: name => rate(before.counters[name], now.counters[name]),
    partition: id => {
      const from = before.led.get(id);
      const to = now.led.get(id);
      return { readsPerSec: rate(from?.reads, to?.reads), writesPerSec: rate(from?.writes, to?.writes) };
    },
  };
}
