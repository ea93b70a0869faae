import type { KahunaNode } from '@kahuna/node';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Instrument name to exposition name (spec operations §14): dots become underscores, counters end in `_total`. */
export function metricName(instrument: string, counter: boolean): string {
  const words = instrument
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, '_');
  const name = /^(kahuna|raft)_/.test(words) ? words : `kahuna_${words}`;
  return counter && !name.endsWith('_total') ? `${name}_total` : name;
}

/**
 * `GET /metrics`: the counters and gauges of the node's facts, copied when scraped. Only instruments that the node has appear, with
 * the values it counted.
 */
export class Metrics {
  private readonly node: KahunaNode;
  private readonly registry = new Registry();
  private readonly counters = new Map<string, Counter>();
  private readonly gauges = new Map<string, Gauge>();
  private readonly queueDepth: Gauge<'partition_id'>;
  private readonly leads: Gauge<'partition_id'>;

  constructor(node: KahunaNode) {
    this.node = node;
    collectDefaultMetrics({ register: this.registry });
    this.queueDepth = new Gauge({
      name: metricName('raft.executor.client_queue_depth', false),
      help: 'Client proposals waiting in a partition',
      labelNames: ['partition_id'],
      registers: [this.registry],
    });
    this.leads = new Gauge({
      name: metricName('raft.partition_leader', false),
      help: '1 if this node leads the partition',
      labelNames: ['partition_id'],
      registers: [this.registry],
    });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** `partitions` false leaves out what there is one of per partition. */
  async text(partitions: boolean): Promise<string> {
    const facts = this.node.facts();
    for (const [instrument, value] of Object.entries(facts.counters)) this.setCounter(instrument, value);
    for (const [instrument, value] of Object.entries(facts.gauges)) this.setGauge(instrument, value);
    this.queueDepth.reset();
    this.leads.reset();
    for (const partition of partitions ? facts.partitions : []) {
      const labels = { partition_id: String(partition.partitionId) };
      this.queueDepth.set(labels, partition.queuedProposals);
      this.leads.set(labels, partition.role === 'leader' ? 1 : 0);
    }
    return this.registry.metrics();
  }

  private setCounter(instrument: string, value: number): void {
    let counter = this.counters.get(instrument);
    if (counter === undefined) {
      counter = new Counter({ name: metricName(instrument, true), help: instrument, registers: [this.registry] });
      this.counters.set(instrument, counter);
    }
    counter.reset();
    counter.inc(value);
  }

  private setGauge(instrument: string, value: number): void {
    let gauge = this.gauges.get(instrument);
    if (gauge === undefined) {
      gauge = new Gauge({ name: metricName(instrument, false), help: instrument, registers: [this.registry] });
      this.gauges.set(instrument, gauge);
    }
    gauge.set(value);
  }
}
