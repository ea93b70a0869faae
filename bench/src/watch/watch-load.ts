import { EtcdGrpcTarget } from '../load/etcd-grpc.ts';
import { Latencies } from '../load/generator.ts';
import { KahunaBatchTarget } from '../load/kahuna-batch.ts';
import type { KeyValueTarget } from '../load/target.ts';
import { EtcdWatchers } from './etcd-watchers.ts';
import { KahunaCallWatchers, KahunaLibraryWatchers, KahunaManyWatchers } from './kahuna-watchers.ts';
import type { Told, Watchers, WatchSpec } from './watchers.ts';

/** One writer at a fixed pace: a write that waits for the deliveries of the last one would hide how late they are. */
export interface WatchLoad {
  readonly writes: number;
  readonly intervalMs: number;
  readonly valueBytes: number;
}

export interface WatchResult {
  readonly deliveries: number;
  /** Not told within the limit, or told twice. */
  readonly errors: number;
  readonly seconds: number;
  /** From the moment the write is sent until a watch is told, over all watches and writes. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Until the last watch is told: the median over the writes. */
  readonly lastMs: number;
  readonly cpuSeconds: number;
}

/** Deliveries that have not come after this will not come. Milliseconds. */
const LATE_MS = 15_000;

/** Writer and watches in this process, so that one clock measures both ends. */
export class WatchLoadGenerator {
  private readonly writer: KeyValueTarget;
  private readonly watchers: readonly Watchers[];
  private readonly spec: WatchSpec;
  private run: Run | undefined;
  /** Numbers the writes of all runs: what a run before left on its way is not counted again. */
  private lastWrite = 0;

  constructor(spec: WatchSpec) {
    this.spec = spec;
    this.writer = spec.kind.startsWith('etcd') ? new EtcdGrpcTarget(spec.address) : new KahunaBatchTarget(spec.address);
    const each = Math.ceil(spec.watches / spec.connections);
    this.watchers = Array.from({ length: spec.connections }, (_, i) => {
      const first = i * each;
      return watchersOf(spec, Math.min(each, spec.watches - first), (watch, value) => this.run?.told(first + watch, value));
    });
  }

  async begin(): Promise<void> {
    await Promise.all(this.watchers.map(watchers => watchers.begin()));
  }

  async measure(load: WatchLoad): Promise<WatchResult> {
    const run = new Run(this.spec.watches, load.writes, this.lastWrite);
    this.lastWrite += load.writes;
    this.run = run;
    const cpuBefore = process.cpuUsage();
    const begin = performance.now();
    for (let i = 0; i < load.writes; i++) {
      await until(begin + i * load.intervalMs);
      const value = Buffer.alloc(load.valueBytes);
      run.sent(i, value);
      this.writer.put(this.spec.key, value, ok => {
        if (!ok) run.failed();
      });
    }
    await Promise.race([run.complete, new Promise(resolve => setTimeout(resolve, LATE_MS).unref())]);
    const seconds = (performance.now() - begin) / 1000;
    const cpu = process.cpuUsage(cpuBefore);
    this.run = undefined;
    return { ...run.result(), seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
  }

  close(): void {
    this.writer.close();
    for (const watchers of this.watchers) watchers.close();
  }
}

function watchersOf({ kind, address, key }: WatchSpec, watches: number, told: Told): Watchers {
  switch (kind) {
    case 'kahuna-many':
      return new KahunaManyWatchers(address, key, watches, told);
    case 'kahuna-calls':
      return new KahunaCallWatchers(address, key, watches, told);
    case 'kahuna-library':
      return new KahunaLibraryWatchers(address, key, watches, told);
    case 'etcd-many':
      return new EtcdWatchers(address, key, watches, watches, told);
    case 'etcd-calls':
      return new EtcdWatchers(address, key, watches, 1, told);
  }
}

/** Writes of one run and who was told of them. */
class Run {
  private readonly watches: number;
  private readonly firstWrite: number;
  private readonly sentAt: Float64Array;
  private readonly lastMs: Float64Array;
  private readonly delivered: Uint8Array;
  private readonly latencies = new Latencies();
  private left: number;
  private errors = 0;
  private deliveries = 0;
  private onComplete: () => void = () => undefined;
  readonly complete: Promise<void>;

  constructor(watches: number, writes: number, firstWrite: number) {
    this.watches = watches;
    this.firstWrite = firstWrite;
    this.sentAt = new Float64Array(writes);
    this.lastMs = new Float64Array(writes);
    this.delivered = new Uint8Array(writes * watches);
    this.left = writes * watches;
    this.complete = new Promise(resolve => {
      this.onComplete = resolve;
    });
  }

  /** The value carries the number of its write. */
  sent(write: number, value: Buffer): void {
    value.writeUInt32LE(this.firstWrite + write, 0);
    this.sentAt[write] = performance.now();
  }

  failed(): void {
    this.errors += 1;
  }

  told(watch: number, value: Uint8Array): void {
    const write = new DataView(value.buffer, value.byteOffset).getUint32(0, true) - this.firstWrite;
    const at = write * this.watches + watch;
    if (write < 0 || write >= this.sentAt.length || this.delivered[at] === 1) {
      this.errors += 1;
      return;
    }
    this.delivered[at] = 1;
    this.deliveries += 1;
    const ms = performance.now() - (this.sentAt[write] as number);
    this.latencies.add(ms);
    this.lastMs[write] = ms;
    this.left -= 1;
    if (this.left === 0) this.onComplete();
  }

  result(): Omit<WatchResult, 'seconds' | 'cpuSeconds'> {
    const last = this.lastMs.slice().sort();
    const lastMs = last[last.length >> 1] ?? 0;
    return { deliveries: this.deliveries, errors: this.errors + this.left, lastMs, ...this.latencies.quantiles() };
  }
}

function until(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  return waitMs <= 0 ? Promise.resolve() : new Promise(resolve => setTimeout(resolve, waitMs));
}
