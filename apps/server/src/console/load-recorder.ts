import type { Clock } from '@kahuna/base';
import { NOT_KNOWN, ofCell } from '@kahuna/console/heat-scale';
import type { HeatRow, KeyedRow, RowValue, VitalsRow } from '@kahuna/console/protocol';
import type { NodeFacts } from '@kahuna/node';
import { Gauge } from './fact-names.ts';
import { LOAD_STEPS, type LoadStep, LoadTracks, MAX_OFF, type SentTracks } from './load-tracks.ts';
import type { Bucket } from './series.ts';

const COLUMN_MS = 10_000;
/** Partitions in one picture: the ones with the most to show, in the order of their numbers (console §5.9). */
export const MAX_HEAT_ROWS = 512;
/** Tracks whose whole past goes into one answer, 1.5 kB each: the rest follows with the next ones. */
const PASTS_AT_ONCE = 40;

/** What a sample is compared with. */
interface Sample {
  readonly boot: number;
  readonly atMs: number;
  readonly led: ReadonlyMap<number, readonly [reads: number, writes: number, entries: number]>;
}

const METRICS = ['reads', 'writes', 'entries'] as const;
const VITALS = ['cpu', 'logP99Ms', 'eventLoopP99Ms', 'reads', 'writes', 'readP99Ms', 'writeP99Ms'] as const;

const partitionTrack = (partitionId: number, metric: number): string => `p${partitionId}/${METRICS[metric]}`;

/**
 * Loads of partitions and nodes over time: this node's own, sampled every ten seconds whether or not somebody looks, and those of the
 * peers as they send them while somebody does. A partition's load is what its leader measured; where nobody led, it is not known.
 */
export class LoadRecorder {
  private readonly own = new LoadTracks();
  private readonly peers = new Map<number, LoadTracks>();
  /** By peer: tracks whose past it is told next. */
  private readonly pasts = new Map<number, readonly string[]>();
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
        loads.set(partitionTrack(id, i), rate);
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
    return this.own.send(names.slice(0, PASTS_AT_ONCE));
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

  /** One row a column, with a cell for each partition; `partitionId`: of that one only. */
  heat(self: number, step: LoadStep, partitionId: number | undefined): readonly KeyedRow[] {
    const all = this.sources(self).map(([, tracks]) => tracks);
    const newest = Math.max(...all.map(tracks => tracks.newest(step)));
    const ids = partitionId === undefined ? this.partitionsIn(all, step, newest) : [partitionId];
    const count = LOAD_STEPS[step];
    const first = newest - count + 1;
    const loads = METRICS.map((_, metric) => ids.map(id => leadersCells(all, id, metric, step, newest)));
    const partitions = rangesOf(ids);
    const rows: KeyedRow[] = [];
    for (let i = 0; i < count; i++) {
      const columns = loads.map(each => Buffer.from(each.map(cells => cells[i] ?? NOT_KNOWN)));
      if (columns.every(column => column.every(cell => cell === NOT_KNOWN))) continue;
      const [reads, writes, entries] = columns.map(column => column.toString('base64')) as [string, string, string];
      const atMs = (first + i) * step * 1000;
      const row: HeatRow = { atMs, stepMs: step * 1000, partitions, reads, writes, entries, source: self };
      rows.push({ k: String(atMs), v: row as unknown as RowValue });
    }
    return rows;
  }

  private partitionsIn(all: readonly LoadTracks[], step: LoadStep, newest: number): readonly number[] {
    const ids = new Set<number>();
    for (const tracks of all) {
      for (const name of tracks.names) {
        const id = /^p(\d+)\/reads$/.exec(name)?.[1];
        if (id !== undefined) ids.add(Number(id));
      }
    }
    const ascending = [...ids].sort((a, b) => a - b);
    if (ascending.length <= MAX_HEAT_ROWS) return ascending;
    const busy = new Map(ascending.map(id => [id, busyness(all, id, step, newest)]));
    const busiest = [...ascending].sort((a, b) => (busy.get(b) ?? 0) - (busy.get(a) ?? 0)).slice(0, MAX_HEAT_ROWS);
    return busiest.sort((a, b) => a - b);
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
function leadersCells(all: readonly LoadTracks[], id: number, metric: number, step: LoadStep, newest: number): Uint8Array {
  const merged = new Uint8Array(LOAD_STEPS[step]).fill(NOT_KNOWN);
  for (const tracks of all) {
    tracks.cells(partitionTrack(id, metric), step, newest, merged.length).forEach((cell, i) => {
      const other = merged[i] ?? NOT_KNOWN;
      if (cell !== NOT_KNOWN && (other === NOT_KNOWN || cell > other)) merged[i] = cell;
    });
  }
  return merged;
}

/** By reads and writes of the latest columns. */
function busyness(all: readonly LoadTracks[], id: number, step: LoadStep, newest: number): number {
  let sum = 0;
  for (const tracks of all) {
    for (const metric of [0, 1]) {
      for (const cell of tracks.cells(partitionTrack(id, metric), step, newest, 30)) sum += cell === NOT_KNOWN ? 0 : cell;
    }
  }
  return sum;
}

function knownAt(tracks: readonly Uint8Array[] | undefined, i: number): readonly number[] {
  return (tracks ?? []).map(cells => ofCell(cells[i] ?? NOT_KNOWN)).filter(rate => rate !== null);
}

const sumKnown = (known: readonly number[]): number | null =>
  known.length === 0 ? null : round3(known.reduce((a, b) => a + b, 0));

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
