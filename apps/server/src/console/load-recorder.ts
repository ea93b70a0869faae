import type { Clock } from '@kahuna/base';
import { NOT_KNOWN, ofCell } from '@kahuna/console/heat-scale';
import {
  HEAT_METRICS,
  type HeatMetric,
  type HeatRow,
  type KeyedRow,
  type RowValue,
  type VitalsRow,
} from '@kahuna/console/protocol';
import type { NodeFacts } from '@kahuna/node';
import { Gauge } from './fact-names.ts';
import { LOAD_STEPS, type LoadStep, LoadTracks, MAX_OFF, RECENTS_AT_ONCE, type SentTracks } from './load-tracks.ts';
import type { Bucket } from './series.ts';

const COLUMN_MS = 10_000;
/** Partitions in one picture: the busiest ones, in the order of their numbers (console §5.9). As many as a node can note. */
export const MAX_HEAT_ROWS = 1_330;
/** Tracks whose whole past goes into one answer, 1.5 kB each: the rest follows with the next ones. */
const PASTS_AT_ONCE = 80;

/** What a sample is compared with. */
interface Sample {
  readonly boot: number;
  readonly atMs: number;
  readonly led: ReadonlyMap<number, readonly [reads: number, writes: number, entries: number]>;
}

/** Which partitions, and what of them; absent: all. */
export interface HeatChoice {
  readonly partitionId?: number | undefined;
  readonly metric?: HeatMetric | undefined;
  /** So many of the busiest. */
  readonly count?: number | undefined;
}

const VITALS = ['cpu', 'logP99Ms', 'eventLoopP99Ms', 'reads', 'writes', 'readP99Ms', 'writeP99Ms'] as const;

const partitionTrack = (partitionId: number, metric: HeatMetric): string => `p${partitionId}/${metric}`;

/**
 * Loads of partitions and nodes over time: this node's own, sampled every ten seconds whether or not somebody looks, and those of the
 * peers as they send them while somebody does. A partition's load is what its leader measured; where nobody led, it is not known.
 */
export class LoadRecorder {
  private readonly own = new LoadTracks();
  private readonly peers = new Map<number, LoadTracks>();
  /** By peer: tracks whose past it is told next. */
  private readonly pasts = new Map<number, readonly string[]>();
  /** By peer: where the next answer goes on with the newest columns. */
  private readonly turns = new Map<number, number>();
  private before: Sample | undefined;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Closes the column that ends about now. */
  sample(facts: NodeFacts): void {
    const nowMs = this.clock.monotonicMs();
    const { before } = this;
    const now = sampleOf(facts, nowMs);
    this.before = now;
    const seconds = before?.boot === now.boot ? (nowMs - before.atMs) / 1000 : 0;
    // Longer than a column and a half: the process slept, and the mean over the pause would be nobody's load.
    if (before === undefined || seconds < 1 || seconds > (COLUMN_MS / 1000) * 1.5) return;
    const loads = new Map<string, number | null>();
    let reads = 0;
    let writes = 0;
    for (const [id, counts] of now.led) {
      const from = before.led.get(id);
      if (from === undefined) continue;
      const rates = counts.map((count, i) => (count < (from[i] ?? 0) ? null : (count - (from[i] ?? 0)) / seconds));
      rates.forEach((rate, i) => {
        loads.set(partitionTrack(id, HEAT_METRICS[i] as HeatMetric), rate);
      });
      reads += rates[0] ?? 0;
      writes += rates[1] ?? 0;
    }
    const gauge = (name: string, scale = 1): number | null => {
      const value = facts.gauges[name];
      return value === undefined ? null : value * scale;
    };
    const p99s = [gauge(Gauge.readP99), gauge(Gauge.writeP99)];
    const vitals = [gauge(Gauge.cpu, 100), gauge(Gauge.fsyncP99), gauge(Gauge.eventLoopP99), reads, writes, ...p99s];
    const column = this.newestColumn();
    this.forgetAhead(column);
    // The node itself comes first: however many partitions there are, they displace one another only.
    this.own.append(column, new Map([...VITALS.map((name, i) => [name, vitals[i] ?? null] as const), ...loads]));
  }

  /** The column that ends about now. */
  private newestColumn(): number {
    return Math.round(this.clock.wallMs() / COLUMN_MS) - 1;
  }

  /** The clock was set back: columns that are yet to come would keep the true ones from being noted and shown. */
  private forgetAhead(column: number): void {
    for (const tracks of [this.own, ...this.peers.values()]) if (tracks.last > column + MAX_OFF) tracks.clear();
  }

  /** Milliseconds until the next column ends. */
  untilNextMs(): number {
    return COLUMN_MS - (this.clock.wallMs() % COLUMN_MS);
  }

  // ---- between nodes --------------------------------------------------------------------------------------------------------------

  /** For a peer that asks again and again: the newest columns each time. `everything`: the past too, with this answer and the next ones. */
  shareWith(nodeId: number, everything: boolean): SentTracks | undefined {
    const names = everything ? this.own.namesToSend() : (this.pasts.get(nodeId) ?? []);
    this.pasts.set(nodeId, names.slice(PASTS_AT_ONCE));
    return this.own.send(names.slice(0, PASTS_AT_ONCE), this.nextRecents(nodeId));
  }

  /** Those whose turn it is: all of them when they fit into an answer. */
  private nextRecents(nodeId: number): readonly string[] {
    const names = this.own.recentNames();
    if (names.length <= RECENTS_AT_ONCE) return names;
    const from = (this.turns.get(nodeId) ?? 0) % names.length;
    this.turns.set(nodeId, from + RECENTS_AT_ONCE);
    return [...names.slice(from), ...names.slice(0, from)].slice(0, RECENTS_AT_ONCE);
  }

  /** What a process measured before it was started again stays true. Columns that are far from having ended here are left out. */
  take(nodeId: number, sent: SentTracks): void {
    if (sent.last > this.newestColumn() + MAX_OFF) return;
    const tracks = this.peers.get(nodeId) ?? new LoadTracks();
    this.peers.set(nodeId, tracks);
    tracks.receive(sent);
  }

  // ---- for browsers ---------------------------------------------------------------------------------------------------------------

  /** Changes whenever there is something new to show. */
  get version(): number {
    let sum = this.own.version;
    for (const tracks of this.peers.values()) sum += tracks.version;
    return sum;
  }

  private sources(self: number): readonly (readonly [nodeId: number, tracks: LoadTracks])[] {
    return [[self, this.own], ...this.peers];
  }

  /** One row a column, with a cell for each partition. */
  heat(self: number, step: LoadStep, { partitionId, metric, count }: HeatChoice = {}): readonly KeyedRow[] {
    const all = this.sources(self).map(([, tracks]) => tracks);
    const newest = Math.max(...all.map(tracks => tracks.newest(step)));
    const ids = partitionId === undefined ? busiestOf(all, step, count ?? MAX_HEAT_ROWS) : [partitionId];
    const columns = LOAD_STEPS[step];
    const metrics = metric === undefined ? HEAT_METRICS : [metric];
    const loads = metrics.map(each =>
      columnsOf(
        ids.map(id => leadersCells(all, id, each, step, newest)),
        columns,
      ),
    );
    const partitions = rangesOf(ids);
    const unknown = Buffer.alloc(ids.length, NOT_KNOWN);
    const rows: KeyedRow[] = [];
    for (let i = 0; i < columns; i++) {
      const cells = loads.map(load => load.subarray(i * ids.length, (i + 1) * ids.length));
      if (cells.every(column => column.equals(unknown))) continue;
      const atMs = (newest - columns + 1 + i) * step * 1000;
      const named = Object.fromEntries(metrics.map((name, m) => [name, (cells[m] as Buffer).toString('base64')]));
      const row: HeatRow = { atMs, stepMs: step * 1000, partitions, ...named, source: self };
      rows.push({ k: String(atMs), v: row as unknown as RowValue });
    }
    return rows;
  }

  /** All nodes together in one bucket for each column in which something is known: the traffic is a sum, a latency that of the slowest. */
  traffic(step: LoadStep): readonly Bucket[] {
    const all = this.sources(0).map(([, tracks]) => tracks);
    const newest = Math.max(...all.map(tracks => tracks.newest(step)));
    const count = LOAD_STEPS[step];
    const cells = (name: string): readonly Uint8Array[] =>
      all.filter(tracks => tracks.has(name)).map(tracks => tracks.cells(name, step, newest, count));
    const [reads, writes, readP99s, writeP99s] = ['reads', 'writes', 'readP99Ms', 'writeP99Ms'].map(cells);
    const buckets: Bucket[] = [];
    for (let i = 0; i < count; i++) {
      const values = {
        readsPerSec: sumKnown(knownAt(reads, i)),
        writesPerSec: sumKnown(knownAt(writes, i)),
        readP99Ms: most(knownAt(readP99s, i)),
        writeP99Ms: most(knownAt(writeP99s, i)),
      };
      if (Object.values(values).every(value => value === null)) continue;
      buckets.push({ atMs: (newest - count + 1 + i) * step * 1000, stepMs: step * 1000, values });
    }
    return buckets;
  }

  vitals(self: number, step: LoadStep): readonly KeyedRow[] {
    return this.sources(self).map(([nodeId, tracks]) => {
      const newest = tracks.newest(step);
      const cells = (name: string): string => Buffer.from(tracks.cells(name, step, newest, LOAD_STEPS[step])).toString('base64');
      const [cpu, logP99Ms, eventLoopP99Ms, reads, writes] = VITALS.map(cells) as [string, string, string, string, string];
      const endMs = (newest + 1) * step * 1000;
      const row: VitalsRow = { nodeId, stepMs: step * 1000, endMs, cpu, logP99Ms, eventLoopP99Ms, reads, writes, source: nodeId };
      return { k: String(nodeId), v: row as unknown as RowValue };
    });
  }
}

function sampleOf(facts: NodeFacts, atMs: number): Sample {
  const led = new Map<number, readonly [number, number, number]>();
  for (const p of facts.partitions) if (p.role === 'leader') led.set(p.partitionId, [p.reads, p.writes, p.commitIndex]);
  return { boot: facts.boot, atMs, led };
}

/** Over the whole time: where two nodes led within one column, the larger one counts. */
function leadersCells(all: readonly LoadTracks[], id: number, metric: HeatMetric, step: LoadStep, newest: number): Uint8Array {
  const name = partitionTrack(id, metric);
  const count = LOAD_STEPS[step];
  const [first, ...others] = all.filter(tracks => tracks.has(name)).map(tracks => tracks.cells(name, step, newest, count));
  const merged = first ?? new Uint8Array(count).fill(NOT_KNOWN);
  for (const cells of others) {
    for (let i = 0; i < count; i++) {
      const cell = cells[i] as number;
      const other = merged[i] as number;
      if (cell !== NOT_KNOWN && (other === NOT_KNOWN || cell > other)) merged[i] = cell;
    }
  }
  return merged;
}

/** Column after column of what is given row by row. */
function columnsOf(rows: readonly Uint8Array[], columns: number): Buffer {
  const turned = Buffer.alloc(rows.length * columns);
  rows.forEach((cells, row) => {
    for (let i = 0; i < columns; i++) turned[i * rows.length + row] = cells[i] as number;
  });
  return turned;
}

/** Partitions of which something was noted, ascending; of more than `count` those with the most reads and writes over the time. */
function busiestOf(all: readonly LoadTracks[], step: LoadStep, count: number): readonly number[] {
  const ids = new Set<number>();
  for (const tracks of all) {
    for (const name of tracks.names) {
      if (name.startsWith('p') && name.endsWith('/reads')) ids.add(Number(name.slice(1, -'/reads'.length)));
    }
  }
  const ascending = [...ids].sort((a, b) => a - b);
  if (ascending.length <= count) return ascending;
  const busyness = (id: number): number =>
    sumOf(all.map(tracks => tracks.sum(partitionTrack(id, 'reads'), step) + tracks.sum(partitionTrack(id, 'writes'), step)));
  const busy = new Map(ascending.map(id => [id, busyness(id)]));
  const busiest = [...ascending].sort((a, b) => (busy.get(b) ?? 0) - (busy.get(a) ?? 0)).slice(0, count);
  return busiest.sort((a, b) => a - b);
}

function knownAt(tracks: readonly Uint8Array[] | undefined, i: number): readonly number[] {
  return (tracks ?? []).map(cells => ofCell(cells[i] ?? NOT_KNOWN)).filter(rate => rate !== null);
}

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const sumKnown = (known: readonly number[]): number | null => (known.length === 0 ? null : round3(sumOf(known)));

const most = (known: readonly number[]): number | null => (known.length === 0 ? null : round3(Math.max(...known)));

/** A cell is no more exact. */
function round3(value: number): number {
  return Number(value.toPrecision(3));
}

/** `0-31,40` */
function rangesOf(ascending: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < ascending.length; ) {
    let end = i;
    while (ascending[end + 1] === (ascending[end] as number) + 1) end++;
    parts.push(end === i ? String(ascending[i]) : `${ascending[i]}-${ascending[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}
