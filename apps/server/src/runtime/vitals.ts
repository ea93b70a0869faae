import { statfs } from 'node:fs/promises';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '@kahuna/base';

const SAMPLE_MS = 2000;
/** Resolution of the event-loop delay, which is measured on top of it. Milliseconds. */
const LOOP_RESOLUTION_MS = 20;

/**
 * Gauges of this process, sampled now and then so that reading them costs nothing: `cpu` (cores busy), `eventLoopP99` (ms),
 * `rssBytes`, `heapBytes`, and of the file system that holds the state `diskUsedBytes`, `diskTotalBytes`.
 */
export class Vitals {
  private readonly directory: string | undefined;
  private readonly clock: Clock;
  private readonly loop: IntervalHistogram;
  private readonly timer: NodeJS.Timeout;
  private lastCpu = process.cpuUsage();
  private lastMs: number;
  private sampled: Readonly<Record<string, number>> = {};
  private disk: Readonly<Record<string, number>> = {};

  constructor(directory: string | undefined, clock: Clock) {
    this.directory = directory;
    this.clock = clock;
    this.lastMs = clock.monotonicMs();
    this.loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.loop.enable();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS);
    this.timer.unref();
    this.lookAtDisk();
  }

  read(): Readonly<Record<string, number>> {
    const { rss, heapUsed } = process.memoryUsage();
    return { rssBytes: rss, heapBytes: heapUsed, ...this.sampled, ...this.disk };
  }

  stop(): void {
    clearInterval(this.timer);
    this.loop.disable();
  }

  private sample(): void {
    const now = this.clock.monotonicMs();
    const { user, system } = process.cpuUsage(this.lastCpu);
    this.sampled = {
      cpu: (user + system) / 1000 / (now - this.lastMs),
      eventLoopP99: Math.max(0, this.loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS),
    };
    this.lastCpu = process.cpuUsage();
    this.lastMs = now;
    this.loop.reset();
    this.lookAtDisk();
  }

  private lookAtDisk(): void {
    if (this.directory === undefined) return;
    statfs(this.directory).then(
      ({ blocks, bfree, bsize }) => {
        this.disk = { diskUsedBytes: (blocks - bfree) * bsize, diskTotalBytes: blocks * bsize };
      },
      // Unknown is shown as unknown.
      () => {
        this.disk = {};
      },
    );
  }
}
