import type { RowBatch } from '@kahuna/base';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage, StateEngine } from '@kahuna/node';
import type { SimProcess } from './machine.ts';
import type { Simulation } from './simulation.ts';

export interface EngineOptions {
  /** Time of one engine call: minimum plus an exponential tail with this mean. Milliseconds. */
  readonly callMinMs: number;
  readonly callMeanMs: number;
  /** Probability per call of a stall of 10 … 200 ms. */
  readonly stallChance: number;
}

export const FAST_ENGINE: EngineOptions = { callMinMs: 0.05, callMeanMs: 0.1, stallChance: 0 };

/** Bytes as a string of char codes 0 … 255: strings compare and hash natively, and in the same order. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function unbinary(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

interface StoredRow {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Ordered rows with copy-on-write views. */
class RowTable {
  private rows: StoredRow[] = [];
  private shared = false;

  get(key: string): Uint8Array | undefined {
    const row = this.rows[this.lowerBound(key)];
    return row !== undefined && row.key === key ? row.value : undefined;
  }

  put(key: string, value: Uint8Array | undefined): void {
    this.own();
    const at = this.lowerBound(key);
    const found = this.rows[at]?.key === key ? 1 : 0;
    if (value === undefined) this.rows.splice(at, found);
    else if (found === 1) this.rows[at] = { key, value };
    else this.rows.splice(at, 0, { key, value });
  }

  deleteRange(from: string, to: string): void {
    this.own();
    const first = this.lowerBound(from);
    this.rows.splice(first, Math.max(0, this.lowerBound(to) - first));
  }

  scan(options: ScanOptions): ScanPage {
    const first = this.lowerBound(binary(options.from));
    const end = this.lowerBound(binary(options.to));
    const rows: { key: Uint8Array; value: Uint8Array }[] = [];
    let bytes = 0;
    const count = end - first;
    for (let i = 0; i < count; i++) {
      const row = this.rows[options.reverse === true ? end - 1 - i : first + i] as StoredRow;
      if (rows.length >= options.maxRows || (rows.length > 0 && bytes >= options.maxBytes)) return { rows, more: true };
      bytes += row.key.length + row.value.length;
      rows.push({ key: unbinary(row.key), value: row.value.slice() });
    }
    return { rows, more: false };
  }

  /** A table with the same rows; neither sees what the other changes afterwards. */
  fork(): RowTable {
    const copy = new RowTable();
    copy.rows = this.rows;
    copy.shared = true;
    this.shared = true;
    return copy;
  }

  private own(): void {
    if (!this.shared) return;
    this.rows = this.rows.slice();
    this.shared = false;
  }

  private lowerBound(key: string): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.rows[middle] as StoredRow).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

type Change =
  | { readonly rows: readonly { readonly key: string; readonly value: Uint8Array | undefined }[] }
  | {
      readonly from: string;
      readonly to: string;
    };

/** Changes not synced by then are made durable by the engine itself, as a background flush would. */
const UNSYNCED_LIMIT = 200;

/** What one machine's engine has written. Survives a kill of the process; after power loss a prefix of the writes is left. */
export class EngineDisk {
  /** As the running process sees it. */
  current = new RowTable();
  private durable = new RowTable();
  private readonly unsynced: Change[] = [];

  apply(change: Change): void {
    applyChange(this.current, change);
    this.unsynced.push(change);
    if (this.unsynced.length > UNSYNCED_LIMIT) this.makeDurable(UNSYNCED_LIMIT / 2);
  }

  sync(): void {
    this.makeDurable(this.unsynced.length);
  }

  /** Power loss: `keep` picks how many of the unsynced changes survive. Returns how many do not. */
  losePower(keep: (unsynced: number) => number): number {
    this.makeDurable(keep(this.unsynced.length));
    const lost = this.unsynced.length;
    this.unsynced.length = 0;
    this.current = this.durable.fork();
    return lost;
  }

  /** A row as it would be found after the worst possible power loss. */
  durableRow(key: Uint8Array): Uint8Array | undefined {
    return this.durable.get(binary(key));
  }

  private makeDurable(count: number): void {
    for (const change of this.unsynced.splice(0, count)) applyChange(this.durable, change);
  }
}

function applyChange(table: RowTable, change: Change): void {
  if ('rows' in change) for (const row of change.rows) table.put(row.key, row.value);
  else table.deleteRange(change.from, change.to);
}

/**
 * The engine as one process sees it. Writes, range deletions, syncs, scans and snapshots take place in the order they were issued; a
 * read by key is evaluated at a random moment after its call, so it may or may not see writes still under way, but sees every write
 * whose callback has come.
 */
export class SimEngine implements StateEngine {
  private readonly simulation: Simulation;
  private readonly process: SimProcess;
  private readonly disk: EngineDisk;
  private readonly options: EngineOptions;
  private writesDoneAt = 0;
  /** The next write or sync fails, and every one after it. */
  failNextWrite = false;
  private readonly failure = new Error('engine: input/output error');

  constructor(simulation: Simulation, process: SimProcess, disk: EngineDisk, options: EngineOptions) {
    this.simulation = simulation;
    this.process = process;
    this.disk = disk;
    this.options = options;
  }

  getMany(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const wanted = keys.map(binary);
    this.read(() => {
      const values = wanted.map(key => this.disk.current.get(key)?.slice());
      return () => done(undefined, values);
    });
  }

  write(batch: RowBatch, done: (error: Error | undefined) => void): void {
    const change = { rows: batch.toArray().map(({ key, value }) => ({ key: binary(key), value })) };
    this.inOrder(() => this.disk.apply(change), done);
  }

  deleteRange(range: EngineRange, done: (error: Error | undefined) => void): void {
    const change = { from: binary(range.from), to: binary(range.to) };
    this.inOrder(() => this.disk.apply(change), done);
  }

  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void {
    let page: ScanPage = { rows: [], more: false };
    this.inOrder(
      () => {
        page = this.disk.current.scan(options);
      },
      error => done(error, page),
    );
  }

  snapshot(done: (error: Error | undefined, snapshot: EngineSnapshot | undefined) => void): void {
    let table: RowTable | undefined;
    this.inOrder(
      () => {
        table = this.disk.current.fork();
      },
      error => done(error, table === undefined ? undefined : this.view(table)),
    );
  }

  sync(done: (error: Error | undefined) => void): void {
    this.inOrder(() => this.disk.sync(), done);
  }

  close(done: (error: Error | undefined) => void): void {
    this.inOrder(() => this.disk.sync(), done);
  }

  private view(table: RowTable): EngineSnapshot {
    return {
      getMany: (keys, done) => {
        const values = keys.map(key => table.get(binary(key))?.slice());
        this.read(() => () => done(undefined, values));
      },
      scan: (options, done) => {
        const page = table.scan(options);
        this.read(() => () => done(undefined, page));
      },
      close: () => undefined,
    };
  }

  private callMs(): number {
    const { rng } = this.simulation;
    const { callMinMs, callMeanMs, stallChance } = this.options;
    const ms = callMinMs - Math.log(1 - rng.float()) * callMeanMs;
    return stallChance > 0 && rng.chance(stallChance) ? ms + rng.int(10, 200) : ms;
  }

  /** Evaluates after one delay and answers after another. */
  private read(evaluate: () => () => void): void {
    this.simulation.after(this.callMs() / 2, () => {
      if (!this.process.isAlive) return;
      const answer = evaluate();
      this.simulation.after(this.callMs() / 2, () => this.process.deliver(answer));
    });
  }

  private inOrder(change: () => void, done: (error: Error | undefined) => void): void {
    const at = Math.max(this.simulation.nowMs + this.callMs(), this.writesDoneAt);
    this.writesDoneAt = at;
    this.simulation.after(at - this.simulation.nowMs, () => {
      if (!this.process.isAlive) return;
      if (!this.failNextWrite) change();
      const error = this.failNextWrite ? this.failure : undefined;
      this.process.deliver(() => done(error));
    });
  }
}
