import type { Instrument, KahunaNode, Sample } from '@kahuna/node';
import { collectDefaultMetrics, Registry } from 'prom-client';

/** Content type of the Prometheus text format, version 0.0.4. */
const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';

/** Instrument name to exposition name (spec operations §14): dots become underscores, counters end in `_total`. */
export function metricName(instrument: string, counter: boolean): string {
  const words = instrument
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, '_');
  const name = /^(kahuna|raft)_/.test(words) ? words : `kahuna_${words}`;
  return counter && !name.endsWith('_total') ? `${name}_total` : name;
}

/** Histograms of durations end in their unit, whatever the instrument is called (spec operations §14). */
function histogramName(instrument: string, isDuration: boolean): string {
  const name = metricName(instrument, false);
  return isDuration ? `${name.replace(/_ms$/, '')}_milliseconds` : name;
}

/**
 * `GET /metrics`: what the node measures, its facts' counters and gauges, and the process. Read when scraped; only what the node has
 * appears, with the values it counted.
 */
export class Metrics {
  readonly contentType = TEXT_FORMAT;
  private readonly node: KahunaNode;
  private readonly process = new Registry();

  constructor(node: KahunaNode) {
    this.node = node;
    collectDefaultMetrics({ register: this.process });
  }

  /** `partitions` false leaves out what there is one of per partition. */
  async text(partitions: boolean): Promise<string> {
    const { counters, gauges } = this.node.facts();
    const lines: string[] = [];
    for (const instrument of this.node.instruments()) writeInstrument(lines, instrument, partitions);
    for (const [name, value] of Object.entries(counters)) writeValue(lines, metricName(name, true), 'counter', name, value);
    for (const [name, value] of Object.entries(gauges)) writeValue(lines, metricName(name, false), 'gauge', name, value);
    return `${lines.join('\n')}\n${await this.process.metrics()}`;
  }
}

function writeInstrument(lines: string[], instrument: Instrument, partitions: boolean): void {
  if (instrument.kind === 'histogram') {
    writeHistogram(lines, instrument);
    return;
  }
  const samples = partitions ? instrument.samples : instrument.samples.filter(({ labels }) => !('partition_id' in labels));
  if (samples.length === 0) return;
  const name = metricName(instrument.name, instrument.kind === 'counter');
  writeHead(lines, name, instrument.kind, instrument.help);
  for (const sample of samples) lines.push(`${name}${labelText(sample)} ${sample.value}`);
}

/** Buckets are cumulative in the text format. */
function writeHistogram(lines: string[], histogram: Instrument & { kind: 'histogram' }): void {
  const name = histogramName(histogram.name, histogram.isDuration);
  writeHead(lines, name, 'histogram', histogram.help);
  let below = 0;
  for (const [i, edge] of histogram.edges.entries()) {
    below += histogram.counts[i] ?? 0;
    lines.push(`${name}_bucket{le="${edge}"} ${below}`);
  }
  lines.push(`${name}_bucket{le="+Inf"} ${histogram.count}`, `${name}_sum ${histogram.sum}`, `${name}_count ${histogram.count}`);
}

function writeValue(lines: string[], name: string, kind: 'counter' | 'gauge', help: string, value: number): void {
  writeHead(lines, name, kind, help);
  lines.push(`${name} ${value}`);
}

function writeHead(lines: string[], name: string, kind: Instrument['kind'], help: string): void {
  lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
}

/** Label values are names and numbers of ours: nothing in them needs escaping. */
function labelText({ labels }: Sample): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
