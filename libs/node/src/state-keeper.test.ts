import type { RowBatch } from '@kahuna/base';
import type { FlushBatch } from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import type { NodeInternals } from './internals.ts';
import type { LogStore, StateEngine } from './ports.ts';
import type { Replica } from './replica.ts';
import { StateKeeper } from './state-keeper.ts';

const FLUSH_MS = 200;
const CHECKPOINT_MS = 30_000;
const FULL = 128;
const KEPT = 1024 * 1024;
const SLACK = 1.1;
const LONG_LOG = 32 * 1024 * 1024;

/** A replica whose machine has so many records to flush, one row each. */
class Records {
  flushedIndex = 0;
  readonly installing = false;
  readonly group = { logBytes: 0 };
  readonly machine = {
    appliedIndex: 0,
    dirtyRecords: 0,
    takeFlush: (rows: RowBatch): FlushBatch | undefined => {
      if (this.machine.dirtyRecords === 0) return undefined;
      for (; this.machine.dirtyRecords > 0; this.machine.dirtyRecords--) {
        rows.key().u32(this.machine.dirtyRecords);
        rows.deleted();
      }
      return { appliedIndex: this.machine.appliedIndex };
    },
  };

  apply(records: number): void {
    this.machine.appliedIndex++;
    this.machine.dirtyRecords += records;
  }

  flushed(batch: FlushBatch): void {
    this.flushedIndex = batch.appliedIndex;
  }
}

class Bench {
  now = 1000;
  running = true;
  readonly faults: string[] = [];
  syncs = 0;
  /** Rows of each write. */
  readonly writes: number[] = [];
  readonly records = new Records();
  readonly keeper: StateKeeper;
  private readonly tasks: (() => void)[] = [];
  private readonly underWay: (() => void)[] = [];

  constructor() {
    const isRunning = (): boolean => this.running;
    const node = {
      settings: { stateFlushMs: FLUSH_MS, checkpointMs: CHECKPOINT_MS, keepBytes: KEPT },
      replicas: new Map([[2, this.records]]),
      monotonicMs: () => this.now,
      soon: (task: () => void) => void this.tasks.push(task),
      get running() {
        return isRunning();
      },
      fatal: (fault: string) => void this.faults.push(fault),
    } as unknown as NodeInternals;
    const engine = {
      write: (rows: RowBatch, done: () => void) => {
        this.writes.push(rows.count);
        this.underWay.push(done);
      },
      sync: () => void this.syncs++,
    } as unknown as StateEngine;
    this.keeper = new StateKeeper(node, engine, {} as LogStore);
    this.keeper.begin(this.now);
  }

  apply(records: number, replica = this.records): void {
    replica.apply(records);
    this.keeper.applied(replica as unknown as Replica);
  }

  laterTasks(): void {
    for (const task of this.tasks.splice(0)) task();
  }

  writeEnds(): void {
    this.underWay.shift()?.();
  }
}

describe('when applied state is written', () => {
  test('a few records wait for their time', () => {
    const bench = new Bench();
    bench.apply(FULL - 1);
    bench.laterTasks();
    bench.keeper.tick(bench.now + FLUSH_MS - 1);
    expect(bench.writes).toEqual([]);
    bench.keeper.tick(bench.now + FLUSH_MS);
    expect(bench.writes).toEqual([FULL - 1]);
    bench.writeEnds();
    expect(bench.records.flushedIndex).toBe(1);
  });

  test('many do not wait, but for the end of the step in which they were applied, and its answers', () => {
    const bench = new Bench();
    bench.apply(100);
    bench.apply(FULL - 100);
    expect(bench.writes).toEqual([]);
    bench.laterTasks();
    expect(bench.writes).toEqual([FULL]);
  });

  test('many of several partitions together do not wait either', () => {
    const bench = new Bench();
    const other = new Records();
    bench.apply(50);
    bench.apply(FULL - 76, other);
    bench.apply(25);
    bench.laterTasks();
    expect(bench.writes).toEqual([]);
    bench.apply(1, other);
    bench.laterTasks();
    expect(bench.writes).toEqual([FULL]);
    bench.writeEnds();
    bench.apply(FULL - 1, other);
    bench.laterTasks();
    expect(bench.writes).toEqual([FULL]);
  });

  test('what becomes too much during a write follows it at once, in one', () => {
    const bench = new Bench();
    bench.apply(600);
    bench.laterTasks();
    bench.apply(600);
    bench.apply(600);
    bench.laterTasks();
    expect(bench.writes).toEqual([600]);
    bench.writeEnds();
    expect(bench.writes).toEqual([600, 1200]);
    bench.writeEnds();
    expect(bench.writes).toEqual([600, 1200]);
    expect(bench.records.flushedIndex).toBe(3);
  });

  test('a node that no longer runs writes nothing by itself', () => {
    const bench = new Bench();
    bench.apply(600);
    bench.running = false;
    bench.laterTasks();
    expect(bench.writes).toEqual([]);
  });
});

describe('when the engine is made durable', () => {
  test.each([
    ['at its time', 0, CHECKPOINT_MS - 1, CHECKPOINT_MS],
    ['at once when there is more log than is to be kept', KEPT * SLACK + LONG_LOG, 999, 1000],
  ])('%s', (_, logBytes, tooEarly, due) => {
    const bench = new Bench();
    bench.records.group.logBytes = logBytes;
    bench.keeper.tick(bench.now + tooEarly);
    expect(bench.syncs).toBe(0);
    bench.keeper.tick(bench.now + due);
    expect(bench.syncs).toBe(1);
  });

  test('not for a log that is as long as it may be', () => {
    const bench = new Bench();
    bench.records.group.logBytes = KEPT * SLACK + LONG_LOG - 1;
    bench.keeper.tick(bench.now + CHECKPOINT_MS - 1);
    expect(bench.syncs).toBe(0);
  });
});

test('invariant 13: nothing more is proposed while the engine is too far behind the log, and only then', () => {
  const bench = new Bench();
  bench.records.group.logBytes = 200 * 1024 * 1024;
  bench.keeper.tick(bench.now);
  expect(bench.keeper.isBehind).toBe(false); // the engine has nothing to do: the log is long for another reason
  bench.apply(FULL);
  bench.laterTasks();
  bench.keeper.tick(bench.now);
  expect(bench.keeper.isBehind).toBe(true);
  bench.records.group.logBytes = 100 * 1024 * 1024;
  bench.keeper.tick(bench.now);
  expect(bench.keeper.isBehind).toBe(false);
  bench.records.group.logBytes = 200 * 1024 * 1024;
  bench.writeEnds();
  bench.keeper.tick(bench.now);
  expect(bench.keeper.isBehind).toBe(false);
});
