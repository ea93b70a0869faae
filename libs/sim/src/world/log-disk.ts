import { assert } from '@kahuna/base';
import type { LogRecord, LogStart, LogStore, RecoveredGroup, RecoveredLog } from '@kahuna/node';
import type { Entry, HardState } from '@kahuna/raft';
import type { SimProcess } from './machine.ts';
import type { Reached } from './reached.ts';
import type { Simulation } from './simulation.ts';

export interface LogDiskOptions {
  /** Time of one write with its fsync: minimum plus an exponential tail with this mean. Milliseconds. */
  readonly fsyncMinMs: number;
  readonly fsyncMeanMs: number;
  /** Probability per write of one that takes 20 … 500 ms. */
  readonly slowChance: number;
}

export const FAST_LOG_DISK: LogDiskOptions = { fsyncMinMs: 0.3, fsyncMeanMs: 0.5, slowChance: 0 };

/** What the platter holds of one group; mutable twin of {@link RecoveredGroup}. */
export interface DurableGroup {
  replicaId: number;
  hardState: HardState;
  start: LogStart;
  entries: Entry[];
}

/** The slowest that must not stall heartbeats, reads and elections. */
const SLOW_FSYNC_MS = 20;

const NO_CONFIGURATION = { voters: [], outgoing: [], learners: [] };

/** Called for each record when it becomes durable, before anybody is told. */
export type OnDurable = (record: LogRecord) => void;

/**
 * Disk of one machine under its log. Survives crashes. Holds exactly what a real log would find again: completed writes, and of the
 * write that was under way at a crash a prefix.
 */
export class LogDisk {
  readonly groups = new Map<number, DurableGroup>();
  clockBoundMs = 0;
  /** The next write fails, and everything after it until the machine gets another process. */
  failNextWrite = false;
  /** Every write until this instant of virtual time takes at least `stallMs` more. */
  slowUntilMs = 0;
  slowExtraMs = 0;
  onDurable: OnDurable = () => undefined;
  readonly reached: Reached;

  constructor(reached: Reached) {
    this.reached = reached;
  }

  last(partitionId: number): { readonly index: number; readonly term: number } {
    const group = this.groups.get(partitionId);
    if (group === undefined) return { index: 0, term: 0 };
    const entry = group.entries[group.entries.length - 1];
    return entry ?? group.start;
  }

  /** Whether this disk alone would bring the entry back: in the log, or below its start. */
  holds(partitionId: number, index: number, term: number): boolean {
    const group = this.groups.get(partitionId);
    if (group === undefined) return false;
    if (index <= group.start.index) return true;
    return group.entries[index - group.start.index - 1]?.term === term;
  }

  write(record: LogRecord): void {
    let group = this.groups.get(record.partitionId);
    if (group !== undefined && record.replicaId < group.replicaId) return;
    if (group === undefined || record.replicaId > group.replicaId) {
      group = {
        replicaId: record.replicaId,
        hardState: { term: 0, vote: 0 },
        start: { index: 0, term: 0, configuration: NO_CONFIGURATION, reset: false },
        entries: [],
      };
      this.groups.set(record.partitionId, group);
    }
    if (record.hardState !== undefined) group.hardState = { ...record.hardState };
    if (record.start !== undefined) {
      if (record.start.index > group.start.index) this.reached.note(record.start.reset ? 'log restarted' : 'log compacted');
      moveStart(group, record.start);
    }
    if (record.entries.length > 0 && replaceSuffix(group, record.entries)) this.reached.note('log suffix replaced');
    this.onDurable(record);
  }

  recovered(): RecoveredLog {
    const groups: RecoveredGroup[] = [];
    for (const [partitionId, group] of this.groups) {
      groups.push({ partitionId, ...group, entries: group.entries.map(copyEntry) });
    }
    return { groups, clockBoundMs: this.clockBoundMs };
  }
}

function moveStart(group: DurableGroup, start: LogStart): void {
  group.entries = start.reset ? [] : group.entries.slice(Math.max(0, start.index - group.start.index));
  group.start = { ...start };
}

/** Returns whether entries went that were there before. */
function replaceSuffix(group: DurableGroup, entries: readonly Entry[]): boolean {
  const first = entries[0] as Entry;
  const keep = first.index - group.start.index - 1;
  assert(keep >= 0 && keep <= group.entries.length, 'appended entries adjoin the log');
  const replaces = keep < group.entries.length;
  group.entries.length = keep;
  let expected = first.index;
  for (const entry of entries) {
    assert(entry.index === expected++, 'appended entries are contiguous');
    group.entries.push(entry);
  }
  return replaces;
}

function copyEntry(entry: Entry): Entry {
  return { index: entry.index, term: entry.term, kind: entry.kind, data: entry.data.slice() };
}

interface PendingAppend {
  readonly records: readonly LogRecord[];
  readonly clockBoundMs: number | undefined;
  readonly done: (error: Error | undefined) => void;
}

/** Group commit over a {@link LogDisk}: one write in flight, what comes meanwhile goes into the next one. */
export class SimLogStore implements LogStore {
  private readonly simulation: Simulation;
  private readonly process: SimProcess;
  private readonly disk: LogDisk;
  private readonly options: LogDiskOptions;
  private waiting: PendingAppend[] = [];
  private inFlight: PendingAppend[] = [];
  private failure: Error | undefined;

  constructor(simulation: Simulation, process: SimProcess, disk: LogDisk, options: LogDiskOptions) {
    this.simulation = simulation;
    this.process = process;
    this.disk = disk;
    this.options = options;
  }

  get pending(): number {
    return this.waiting.length + this.inFlight.length;
  }

  recover(done: (error: Error | undefined, log: RecoveredLog | undefined) => void): void {
    this.simulation.after(1, () => this.process.deliver(() => done(undefined, this.disk.recovered())));
  }

  append(records: readonly LogRecord[], clockBoundMs: number | undefined, done: (error: Error | undefined) => void): void {
    const copies = records.map(record => ({ ...record, entries: record.entries.map(copyEntry) }));
    this.waiting.push({ records: copies, clockBoundMs, done });
    if (this.inFlight.length === 0) this.startWrite();
  }

  release(): void {
    // Segments are not modelled: what lies below a group's start is forgotten with the record that moves it.
  }

  close(done: (error: Error | undefined) => void): void {
    this.process.soon(() => done(this.failure));
  }

  /** The machine lost its process or its power: of the write in flight a prefix may have reached the platter. */
  crash(): void {
    const torn = this.inFlight.splice(0);
    this.waiting = [];
    if (this.failure !== undefined) return;
    const records = torn.flatMap(append => append.records);
    const survive = this.simulation.rng.int(0, records.length);
    if (survive > 0 && survive < records.length) this.disk.reached.note('write torn by a crash');
    for (let i = 0; i < survive; i++) this.disk.write(records[i] as LogRecord);
    if (survive === records.length) this.raiseClockBound(torn);
  }

  private startWrite(): void {
    if (this.waiting.length === 0) return;
    this.inFlight = this.waiting;
    this.waiting = [];
    this.simulation.after(this.writeMs(), () => this.finishWrite());
  }

  private finishWrite(): void {
    if (!this.process.isAlive) return;
    const batch = this.inFlight;
    this.inFlight = [];
    if (this.disk.failNextWrite && this.failure === undefined) {
      this.disk.reached.note('fsync error');
      this.failure = new Error('fsync failed: input/output error');
    }
    if (this.failure === undefined) {
      for (const append of batch) for (const record of append.records) this.disk.write(record);
      this.raiseClockBound(batch);
    }
    this.simulation.trace.note(
      this.simulation.nowMs,
      this.failure === undefined ? 'fsync' : 'fsync-error',
      this.process.name,
      batch.length,
    );
    const { failure } = this;
    this.process.deliver(() => {
      for (const append of batch) append.done(failure);
    });
    if (this.process.isAlive) this.startWrite();
  }

  private raiseClockBound(batch: readonly PendingAppend[]): void {
    for (const { clockBoundMs } of batch) {
      if (clockBoundMs !== undefined) this.disk.clockBoundMs = Math.max(this.disk.clockBoundMs, clockBoundMs);
    }
  }

  private writeMs(): number {
    const { rng } = this.simulation;
    const { fsyncMinMs, fsyncMeanMs, slowChance } = this.options;
    let ms = fsyncMinMs - Math.log(1 - rng.float()) * fsyncMeanMs;
    if (slowChance > 0 && rng.chance(slowChance)) ms += rng.int(20, 500);
    if (this.simulation.nowMs < this.disk.slowUntilMs) ms += this.disk.slowExtraMs;
    if (ms >= SLOW_FSYNC_MS) this.disk.reached.note('slow fsync');
    return ms;
  }
}
