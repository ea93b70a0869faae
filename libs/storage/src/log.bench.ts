/**
 * Micro-benchmark of the file log: `npx tsx libs/storage/src/log.bench.ts [directory]`. The directory must lie on the disk that is to be measured.
 * Prints appends per second and latency by the number of appenders that each wait for their own append.
 */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogStore } from '@kahuna/node';
import { openFileLog } from './file-log.ts';
import { entry, record } from './log-conformance.ts';

const VALUE = new Uint8Array(256);
const SECONDS = 2;

function quantile(sorted: readonly number[], q: number): string {
  return (sorted[Math.floor(sorted.length * q)] ?? Number.NaN).toFixed(3);
}

function report(name: string, latencies: number[], elapsedMs: number): void {
  latencies.sort((a, b) => a - b);
  const perSecond = Math.round((latencies.length / elapsedMs) * 1000);
  console.log(
    `${name.padEnd(34)} ${String(perSecond).padStart(8)}/s   p50 ${quantile(latencies, 0.5)} ms   p99 ${quantile(latencies, 0.99)} ms`,
  );
}

/** `appenders` loops, each with a group of its own, for some seconds. */
function measure(log: LogStore, appenders: number, seconds: number): Promise<{ latencies: number[]; elapsedMs: number }> {
  return new Promise((resolve, reject) => {
    const latencies: number[] = [];
    const begun = performance.now();
    let running = appenders;
    const loop = (partition: number, index: number): void => {
      const asked = performance.now();
      log.append([record(partition, { entries: [entry(index, 1, VALUE)] })], undefined, error => {
        if (error !== undefined) return reject(error);
        const now = performance.now();
        latencies.push(now - asked);
        if (now - begun < seconds * 1000) loop(partition, index + 1);
        else if (--running === 0) resolve({ latencies, elapsedMs: now - begun });
      });
    };
    for (let partition = 0; partition < appenders; partition++) loop(partition, 1);
  });
}

/** What the same disk does for plain calls of 4 KiB, to compare. */
async function floor(directory: string): Promise<void> {
  const path = join(directory, 'floor');
  fs.writeFileSync(path, new Uint8Array(32 << 20), { flush: true });
  const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_DSYNC);
  const page = new Uint8Array(4096);
  const blocking: number[] = [];
  const pooled: number[] = [];
  for (let i = 0; i < 2000; i++) {
    const asked = performance.now();
    fs.writeSync(fd, page, 0, page.length, i * page.length);
    blocking.push(performance.now() - asked);
  }
  for (let i = 2000; i < 4000; i++) {
    const asked = performance.now();
    await new Promise<void>((resolve, reject) =>
      fs.write(fd, page, 0, page.length, i * page.length, e => (e ? reject(e) : resolve())),
    );
    pooled.push(performance.now() - asked);
  }
  fs.closeSync(fd);
  report(
    'floor: blocking O_DSYNC write',
    blocking,
    blocking.reduce((a, b) => a + b),
  );
  report(
    'floor: O_DSYNC write in the pool',
    pooled,
    pooled.reduce((a, b) => a + b),
  );
}

const parent = process.argv[2] ?? tmpdir();
const directory = fs.mkdtempSync(join(parent, 'kahuna-log-bench-'));
try {
  await floor(directory);
  for (const sync of [true, false]) {
    for (const appenders of [1, 16, 64, 256]) {
      const log = openFileLog({ directory: join(directory, `${sync}-${appenders}`), sync });
      await new Promise<void>((resolve, reject) => log.recover(error => (error ? reject(error) : resolve())));
      await measure(log, appenders, 0.5); // warm-up
      const { latencies, elapsedMs } = await measure(log, appenders, SECONDS);
      report(`${sync ? 'durable' : 'unsynced'}, ${appenders} appender(s)`, latencies, elapsedMs);
      await new Promise<void>((resolve, reject) => log.close(error => (error ? reject(error) : resolve())));
    }
  }
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
