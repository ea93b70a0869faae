import { ByteWriter, type Hlc, type PartitionId, RowBatch, stampAfter } from '@kahuna/base';
import {
  type Command,
  type CommandBatch,
  checkInvariants,
  createPartitionMachine,
  Durability,
  decodeBatch,
  EphemeralTable,
  encodeBatch,
  type FetchedRow,
  type FlushBatch,
  type GetOperation,
  HeadCache,
  type KeyValueMachine,
  metaRowKey,
  type Operation,
  type OperationResult,
  type PartitionQuery,
  type PartitionScan,
  type ReadNeed,
  type ReadOperation,
  type ScanRow,
  type SetOperation,
  type WriteOperation,
} from '../src/index.ts';

/** The engine as a replica needs it: rows by key. */
export class MemoryRows {
  readonly rows = new Map<string, Uint8Array>();

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(hex(key));
  }

  write(batch: RowBatch): void {
    for (const { key, value } of batch.toArray()) {
      if (value === undefined) this.rows.delete(hex(key));
      else this.rows.set(hex(key), value);
    }
  }

  /** What a scan would see from now on. */
  freeze(): MemoryRows {
    const view = new MemoryRows();
    for (const [key, value] of this.rows) view.rows.set(key, value);
    return view;
  }

  page(from: Uint8Array, to: Uint8Array, maxRows: number): { rows: { key: Uint8Array; value: Uint8Array }[]; more: boolean } {
    const keys = [...this.rows.keys()].filter(key => key >= hex(from) && key < hex(to)).sort();
    const rows = keys.slice(0, maxRows).map(key => ({ key: unhex(key), value: this.rows.get(key) as Uint8Array }));
    return { rows, more: keys.length > maxRows };
  }

  fetch(need: ReadNeed): FetchedRow[] {
    if (need.kind !== 'rows') throw new Error('the machine asks for rows by key only');
    return need.keys.map(key => ({ key, value: this.get(key) }));
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export interface ReplicaOptions {
  readonly partitionId?: PartitionId;
  readonly poolSize?: number;
  readonly maxEntries?: number;
  readonly maxBytes?: number;
}

/** One replica of one partition over an engine in memory: what a host does, one step at a time. */
export class Replica {
  readonly engine = new MemoryRows();
  readonly partitionId: PartitionId;
  private readonly options: ReplicaOptions;
  machine: KeyValueMachine;
  cache: HeadCache;
  private flushing: FlushBatch | undefined;
  private readonly rows = new RowBatch();

  constructor(options: ReplicaOptions = {}) {
    this.options = options;
    this.partitionId = options.partitionId ?? 2;
    this.cache = this.newCache();
    this.machine = this.boot();
  }

  private newCache(): HeadCache {
    return new HeadCache({ maxEntries: this.options.maxEntries ?? 1000, maxBytes: this.options.maxBytes ?? 2 ** 24 });
  }

  private boot(): KeyValueMachine {
    return createPartitionMachine({
      partitionId: this.partitionId,
      poolSize: this.options.poolSize ?? 1,
      headCache: this.cache,
      metaRow: this.engine.get(metaRowKey(this.partitionId)),
      answerCapacity: 256,
    });
  }

  apply(batch: CommandBatch, term = 1): OperationResult[] {
    for (let keys = this.machine.needs(batch); keys.length > 0; keys = this.machine.needs(batch)) {
      this.machine.supply(this.engine.fetch({ kind: 'rows', keys }));
    }
    const results = this.machine.apply(this.machine.appliedIndex + 1, term, batch);
    checkInvariants(this.machine);
    return results;
  }

  read(operation: ReadOperation, nowMs: number): OperationResult {
    const outcome = this.tryRead(operation, nowMs);
    if (outcome === undefined) throw new Error('the read takes an entry');
    return outcome;
  }

  /** undefined: the operation has to be proposed after all. */
  tryRead(operation: ReadOperation, nowMs: number): OperationResult | undefined {
    let outcome = this.machine.read(operation, nowMs, undefined);
    for (let rounds = 0; 'kind' in outcome; rounds++) {
      if (rounds > 64) throw new Error('the read does not come to an end');
      if (outcome.kind === 'entry') return undefined;
      outcome = this.machine.read(operation, nowMs, this.engine.fetch(outcome));
    }
    return outcome;
  }

  /** Runs a scan to its end over a view of this moment; `pageRows`: heads fetched at a time. */
  scan(query: PartitionQuery, nowMs: number, pageRows = 3): ScanOutcome {
    return this.beginScan(query, nowMs, pageRows)();
  }

  /** Begins a scan now; what happens before the returned function is called must not show. */
  beginScan(query: PartitionQuery, nowMs: number, pageRows = 3): () => ScanOutcome {
    const scan = this.machine.openScan(query, nowMs);
    if (scan === undefined) throw new Error('the partition does not own the key space');
    const view = this.engine.freeze();
    return () => finishScan(scan, view, pageRows);
  }

  beginFlush(): void {
    if (this.flushing !== undefined) return;
    this.rows.clear();
    this.flushing = this.machine.takeFlush(this.rows);
  }

  endFlush(): void {
    if (this.flushing === undefined) return;
    this.engine.write(this.rows);
    this.machine.flushed(this.flushing);
    this.flushing = undefined;
    checkInvariants(this.machine);
  }

  flush(): void {
    this.endFlush();
    this.beginFlush();
    this.endFlush();
  }

  /** The process dies and starts again with what the engine holds; the caller replays the log from `machine.appliedIndex + 1`. */
  restart(): void {
    this.flushing = undefined;
    this.cache = this.newCache();
    this.machine = this.boot();
  }
}

export interface ScanOutcome {
  readonly rows: ScanRow[];
  readonly aborted: boolean;
  readonly hiddenUntilMs: number;
}

export function finishScan(scan: PartitionScan, view: MemoryRows, pageRows: number): ScanOutcome {
  const rows: ScanRow[] = [];
  for (let need = scan.need(), rounds = 0; need !== undefined; need = scan.need(), rounds++) {
    if (rounds > 100_000) throw new Error('the scan does not come to an end');
    if (scan.need()?.kind !== need.kind) throw new Error('asked again, a scan needs the same');
    if (need.kind === 'page') {
      const page = view.page(need.from, need.to, pageRows);
      scan.takePage(page.rows, page.more);
    } else scan.takeRows(view.fetch(need));
    rows.push(...scan.drain());
  }
  rows.push(...scan.drain());
  return { rows: scan.aborted ? [] : rows, aborted: scan.aborted, hiddenUntilMs: scan.hiddenUntilMs };
}

/** Commands as a client would give them, on a clock that moves only when told to. */
export interface Bench {
  nowMs: number;
  run(operation: Operation): OperationResult;
  /** Latest stamp given out. */
  readonly lastStamp: Hlc;
  /** Brings everything out of memory, if there is an engine. */
  settle(): void;
}

const START_MS = 1_000_000;

abstract class Clocked {
  nowMs = START_MS;
  lastStamp: Hlc = { n: 7, l: START_MS - 1, c: 0 };

  protected mint(): Hlc {
    this.lastStamp = this.nowMs > this.lastStamp.l ? { n: 7, l: this.nowMs, c: 0 } : stampAfter(this.lastStamp, 1);
    return this.lastStamp;
  }
}

export class PersistentBench extends Clocked implements Bench {
  readonly replica: Replica;
  private readonly writer = new ByteWriter();
  private number = 0;

  constructor(options: ReplicaOptions = {}) {
    super();
    this.replica = new Replica(options);
  }

  run(operation: Operation): OperationResult {
    if ('readTimestamp' in operation) return this.replica.read(operation, this.nowMs);
    return this.runAll([operation])[0] as OperationResult;
  }

  runAll(commands: readonly Command[]): OperationResult[] {
    const stamp = this.mint();
    this.lastStamp = stampAfter(stamp, commands.length - 1);
    const proposals = commands.map(command => ({ id: { node: 1, boot: 1, number: this.number++ }, receipt: stamp, command }));
    const batch = decodeBatch(encodeBatch(this.writer, { stamp, level: 1, proposals }));
    return this.replica.apply(batch);
  }

  settle(): void {
    this.replica.flush();
    this.replica.restart();
  }
}

export class EphemeralBench extends Clocked implements Bench {
  readonly cache: HeadCache;
  readonly table: EphemeralTable;

  constructor(options: { readonly maxEntries?: number; readonly maxBytes?: number } = {}) {
    super();
    this.cache = new HeadCache({ maxEntries: options.maxEntries ?? 1000, maxBytes: options.maxBytes ?? 2 ** 24 });
    this.table = new EphemeralTable({ partitionId: 2, poolSize: 1, cache: this.cache });
  }

  run(operation: Operation): OperationResult {
    const durable = { ...operation, durability: Durability.Ephemeral };
    return this.table.execute(durable, this.mint());
  }

  settle(): void {
    // Memory is all there is.
  }
}

const text = new TextEncoder();

export function bytes(value: string | null): Uint8Array | null {
  return value === null ? null : text.encode(value);
}

export function set(
  key: string,
  value: string | null,
  options: Partial<Omit<SetOperation, 'compareValue'>> & { cmp?: string | null } = {},
): SetOperation {
  const { cmp, ...rest } = options;
  return {
    kind: 'set',
    key,
    value: bytes(value),
    expiresMs: 0,
    flags: 0,
    compareValue: cmp === undefined ? null : bytes(cmp),
    compareRevision: 0,
    durability: Durability.Persistent,
    ...rest,
  };
}

export function del(key: string): WriteOperation {
  return { kind: 'delete', key, durability: Durability.Persistent };
}

export function extend(key: string, expiresMs: number): WriteOperation {
  return { kind: 'extend', key, expiresMs, durability: Durability.Persistent };
}

export const LATEST: Hlc = { n: 0, l: 0, c: 0 };

export function get(key: string, at: { revision?: number; asOf?: Hlc } = {}): GetOperation {
  return { kind: 'get', key, revision: at.revision ?? -1, readTimestamp: at.asOf ?? LATEST, durability: Durability.Persistent };
}

export function exists(key: string, at: { revision?: number; asOf?: Hlc } = {}): GetOperation {
  return { ...get(key, at), kind: 'exists' };
}

/** Everything committed in or before this millisecond. */
export function endOf(ms: number): Hlc {
  return { n: 0x7fff_ffff, l: ms, c: 0xffff_ffff };
}
