import { Rng } from '@kahuna/base';
import type { Done, Operation, Target } from './target.ts';

export interface Load {
  readonly operation: Operation;
  /** Requests under way at a time: each worker sends its next one when its last was answered. */
  readonly workers: number;
  readonly keyPrefix: string;
  readonly keys: number;
  readonly valueBytes: number;
  readonly seed: number;
  /** The run ends at whichever comes first. */
  readonly seconds: number;
  readonly operations: number;
}

export interface LoadResult {
  readonly operations: number;
  readonly errors: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** CPU of this process during the run, user and system, in seconds. */
  readonly cpuSeconds: number;
}

/** Distinct values are windows into one block of noise: nothing to compress, nothing to allocate. */
const NOISE_BYTES = 1 << 20;

export const keyName = (prefix: string, number: number): string => `${prefix}${String(number).padStart(8, '0')}`;

/** Drives the targets in a closed loop; worker i uses target i modulo their number. */
export function runLoad(targets: readonly Target[], load: Load): Promise<LoadResult> {
  const rng = new Rng(load.seed);
  const noise = Buffer.alloc(NOISE_BYTES);
  for (let i = 0; i < NOISE_BYTES; i += 4) noise.writeUInt32LE(rng.int(0, 0xffff_ffff), i);
  const names = Array.from({ length: load.keys }, (_, i) => keyName(load.keyPrefix, i));
  const latencies = new Latencies();
  let started = 0;
  let answered = 0;
  let errors = 0;
  let active = 0;

  const keyNumber = (worker: number): number => {
    if (load.operation === 'lock') return worker;
    if (load.operation === 'hand-over' || load.operation === 'next' || load.operation === 'scan') return 0;
    // A load of as many operations as keys writes each key once: that is how the keys are laid down.
    return load.operations === load.keys ? started : rng.int(0, load.keys - 1);
  };

  return new Promise(resolve => {
    const cpuBefore = process.cpuUsage();
    const begin = performance.now();
    const deadline = begin + load.seconds * 1000;

    const finish = (): void => {
      const seconds = (performance.now() - begin) / 1000;
      const cpu = process.cpuUsage(cpuBefore);
      resolve({
        operations: answered,
        errors,
        seconds,
        perSecond: answered / seconds,
        ...latencies.quantiles(),
        cpuSeconds: (cpu.user + cpu.system) / 1e6,
      });
    };

    const worker = (target: Target, index: number): void => {
      const perform = performer(target, load, index, () => {
        const at = rng.int(0, NOISE_BYTES - load.valueBytes);
        return noise.subarray(at, at + load.valueBytes);
      });
      let sentAt = 0;
      const next = (): void => {
        if (started >= load.operations || performance.now() >= deadline) {
          active -= 1;
          if (active === 0) finish();
          return;
        }
        const key = names[keyNumber(index)] as string;
        started += 1;
        sentAt = performance.now();
        perform(key, done);
      };
      const done: Done = (ok, ms) => {
        latencies.add(ms ?? performance.now() - sentAt);
        answered += 1;
        if (!ok) errors += 1;
        next();
      };
      active += 1;
      next();
    };
    for (let i = 0; i < load.workers; i++) worker(targets[i % targets.length] as Target, i);
  });
}

/** What a worker does again and again. */
function performer(target: Target, load: Load, worker: number, value: () => Buffer): (key: string, done: Done) => void {
  const { operation } = load;
  if (operation !== 'put' && operation !== 'get') {
    if (!('repeat' in target)) throw new Error(`this target cannot ${operation}`);
    return (key, done) => target.repeat(operation, key, worker, done);
  }
  if ('repeat' in target) throw new Error(`this target cannot ${operation}`);
  return operation === 'put' ? (key, done) => target.put(key, value(), done) : (key, done) => target.get(key, done);
}

/** Every latency of a run, exactly: 8 bytes each is cheaper than explaining a histogram's error. */
export class Latencies {
  private samples = new Float64Array(1 << 16);
  private count = 0;

  add(ms: number): void {
    if (this.count === this.samples.length) {
      const larger = new Float64Array(this.count * 2);
      larger.set(this.samples);
      this.samples = larger;
    }
    this.samples[this.count++] = ms;
  }

  quantiles(): { p50Ms: number; p99Ms: number; p999Ms: number } {
    const sorted = this.samples.subarray(0, this.count).sort();
    const at = (q: number): number => sorted[Math.min(this.count - 1, Math.floor(this.count * q))] ?? 0;
    return { p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) };
  }
}
