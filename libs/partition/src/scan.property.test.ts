import type { Hlc } from '@kahuna/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ABORTED, Model, seen } from '../test/model.ts';
import { EphemeralBench, finishScan, LATEST, MemoryRows, Replica, type ScanOutcome } from '../test/replica.ts';
import {
  type Command,
  type CommandBatch,
  Durability,
  type PartitionQuery,
  type ScanShape,
  type WriteOperation,
} from './index.ts';

/**
 * Reads of many keys, and reads of one at a revision and as of a time, against a model of plain lists: whatever is in memory, on its way
 * to the engine, evicted, restarted or pruned at that moment.
 */

const KEYS = ['a', 'a/1', 'a/2', 'a/3', 'a/b/1', 'ab/1', 'n\0l/\u{1F600}', 'n\0l/\uE000'];
/** Two keys have long histories. */
const key = fc.oneof({ weight: 2, arbitrary: fc.constantFrom('a/1', 'a/2') }, { weight: 1, arbitrary: fc.constantFrom(...KEYS) });
const value = fc.constantFrom<Uint8Array | null>(null, new Uint8Array(0), new Uint8Array([1]), new Uint8Array(300));

interface Shape {
  readonly shape: ScanShape;
  readonly covers: (key: string) => boolean;
}

function spaceOf(text: string): string {
  return text.slice(0, Math.max(0, text.lastIndexOf('/')));
}

const shape: fc.Arbitrary<Shape> = fc.oneof(
  fc
    .record({
      keySpace: fc.constantFrom('a', 'a/b', 'ab', 'n\0l', ''),
      lower: fc.option(fc.record({ key, inclusive: fc.boolean() }), { nil: undefined }),
      upper: fc.option(fc.record({ key, inclusive: fc.boolean() }), { nil: undefined }),
    })
    .map(({ keySpace, lower, upper }) => ({
      shape: { kind: 'space' as const, keySpace, lower, upper },
      covers: (text: string) =>
        text.includes('/') &&
        spaceOf(text) === keySpace &&
        (lower === undefined || text > lower.key || (lower.inclusive && text === lower.key)) &&
        (upper === undefined || text < upper.key || (upper.inclusive && text === upper.key)),
    })),
  fc.constantFrom('a', 'a/', 'a/b', 'n', 'n\0', 'n\0l/\u{1F600}', 'zz').map(prefix => ({
    shape: { kind: 'prefix' as const, prefix },
    covers: (text: string) => text.startsWith(prefix),
  })),
);

const write = (durability: Durability): fc.Arbitrary<WriteOperation> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .record({ key, value, expiresMs: fc.constantFrom(0, 0, 3, 20), flags: fc.constantFrom(0, 0, 0, 2, 4) })
        .map(rest => ({ kind: 'set' as const, ...rest, compareValue: null, compareRevision: 0, durability })),
    },
    { weight: 2, arbitrary: key.map(k => ({ kind: 'delete' as const, key: k, durability })) },
    {
      weight: 1,
      arbitrary: fc
        .record({ key, expiresMs: fc.constantFrom(0, 1, 10) })
        .map(rest => ({ kind: 'extend' as const, ...rest, durability })),
    },
  );

type Look = Shape & {
  readonly maxRows: number;
  readonly pageRows: number;
  /** Milliseconds back, undefined: the latest. */
  readonly ago: number | undefined;
};

type Action =
  | { readonly kind: 'batch'; readonly commands: readonly WriteOperation[] }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'prune'; readonly key: string; readonly keep: number }
  | { readonly kind: 'begin-flush' | 'end-flush' | 'restart'; readonly replica: 0 | 1 }
  | { readonly kind: 'look'; readonly look: Look }
  /** Begins a scan that is finished only at the end of the trial, or before the replica restarts. */
  | { readonly kind: 'begin-scan'; readonly look: Look; readonly replica: 0 | 1 }
  | { readonly kind: 'walk'; readonly look: Look };

const look: fc.Arbitrary<Look> = fc
  .record({
    shape,
    maxRows: fc.constantFrom(1, 2, 3, 100),
    pageRows: fc.integer({ min: 1, max: 4 }),
    ago: fc.option(fc.nat(40), { nil: undefined }),
  })
  .map(({ shape: of, ...rest }) => ({ ...of, ...rest }));
const which = fc.constantFrom<0 | 1>(0, 1);

const action = (durability: Durability): fc.Arbitrary<Action> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .array(write(durability), { minLength: 1, maxLength: 5 })
        .map(commands => ({ kind: 'batch' as const, commands })),
    },
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 15 }).map(ms => ({ kind: 'pass' as const, ms })) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('prune' as const), key, keep: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 2, arbitrary: which.map(replica => ({ kind: 'begin-flush' as const, replica })) },
    { weight: 2, arbitrary: which.map(replica => ({ kind: 'end-flush' as const, replica })) },
    { weight: 1, arbitrary: which.map(replica => ({ kind: 'restart' as const, replica })) },
    { weight: 4, arbitrary: look.map(l => ({ kind: 'look' as const, look: l })) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('begin-scan' as const), look, replica: which }) },
    { weight: 1, arbitrary: look.map(l => ({ kind: 'walk' as const, look: l })) },
  );

function shownBy(outcome: ScanOutcome): unknown {
  return outcome.aborted ? ABORTED : outcome.rows.map(row => [row.key, ...(seen(row.result) as unknown[])]);
}

/** One log, two replicas of it, the model. */
class Trial {
  private readonly replicas = [new Replica({ maxEntries: 2, maxBytes: 3000 }), new Replica()] as const;
  private readonly model = new Model();
  private readonly log: CommandBatch[] = [];
  private readonly open: { readonly replica: 0 | 1; readonly finish: () => ScanOutcome; readonly expected: unknown }[] = [];
  private nowMs = 1000;
  private last: Hlc = { n: 1, l: 999, c: 0 };
  private number = 0;

  perform(step: Action): void {
    switch (step.kind) {
      case 'pass':
        this.nowMs += step.ms;
        return;
      case 'begin-flush':
        this.replicas[step.replica].beginFlush();
        return;
      case 'end-flush':
        this.replicas[step.replica].endFlush();
        return;
      case 'restart': {
        this.finishScans(step.replica);
        const replica = this.replicas[step.replica];
        replica.restart();
        for (let i = replica.machine.appliedIndex; i < this.log.length; i++) replica.apply(this.log[i] as CommandBatch);
        return;
      }
      case 'batch':
        for (const [i, command] of step.commands.entries()) this.model.write(command, this.append(step.commands, i));
        return;
      case 'prune':
        this.prune(step.key, step.keep);
        return;
      case 'look':
        this.compare(step.look);
        return;
      case 'begin-scan': {
        const finish = this.replicas[step.replica].beginScan(this.query(step.look), this.nowMs, step.look.pageRows);
        this.open.push({ replica: step.replica, finish, expected: this.expected(step.look) });
        return;
      }
      case 'walk':
        this.walk(step.look);
    }
  }

  /** Appends the entry with its first command; returns the stamp of command `i`. */
  private append(commands: readonly Command[], i = 0): Hlc {
    if (i === 0) {
      const stamp = this.nowMs > this.last.l ? { n: 1, l: this.nowMs, c: 0 } : { ...this.last, c: this.last.c + 1 };
      this.last = { ...stamp, c: stamp.c + commands.length - 1 };
      const proposals = commands.map(command => ({ id: { node: 1, boot: 1, number: this.number++ }, receipt: stamp, command }));
      const batch: CommandBatch = { stamp, level: 1, proposals };
      this.log.push(batch);
      for (const replica of this.replicas) replica.apply(batch);
    }
    return { ...this.last, c: this.last.c - commands.length + 1 + i };
  }

  private prune(pruned: string, keep: number): void {
    const below = this.model.written(pruned) - keep;
    if (below <= 0) return;
    const floor = this.model.commitOf(pruned, below);
    this.append([
      {
        kind: 'prune-history',
        retentionCount: 1,
        retentionAgeMs: 0,
        ceiling: floor,
        floor,
        keys: [{ key: pruned, from: 0, below }],
      },
    ]);
    this.model.prune(pruned, below);
  }

  private query({ shape: of, maxRows, ago }: Look): PartitionQuery {
    return { shape: of, readTimestamp: this.timeOf(ago), plain: false, durability: Durability.Persistent, maxRows };
  }

  private timeOf(ago: number | undefined): Hlc {
    return ago === undefined ? LATEST : { n: 1, l: this.nowMs - ago, c: 1 };
  }

  private expected({ covers, maxRows, ago }: Look): unknown {
    return this.model.scan(covers, this.timeOf(ago), Durability.Persistent, maxRows, this.nowMs);
  }

  private compare(one: Look): void {
    const readTimestamp = this.timeOf(one.ago);
    const gets = KEYS.flatMap(k =>
      [-1, 0, 1, 2, 3].map(
        revision => ({ kind: 'get', key: k, revision, readTimestamp, durability: Durability.Persistent }) as const,
      ),
    );
    const expected = [this.expected(one), ...gets.map(get => this.model.read(get, this.nowMs))];
    for (const replica of this.replicas) {
      const scanned = shownBy(replica.scan(this.query(one), this.nowMs, one.pageRows));
      expect([scanned, ...gets.map(get => seen(replica.read(get, this.nowMs)))]).toEqual(expected);
    }
  }

  /** Page after page from the last key of the one before: the same as all at once. */
  private walk(one: Look): void {
    if (one.shape.kind !== 'space' || one.ago === undefined) return;
    const whole = this.model.scan(one.covers, this.timeOf(one.ago), Durability.Persistent, 1000, this.nowMs);
    for (const replica of this.replicas) {
      const rows: unknown[] = [];
      let { lower } = one.shape;
      for (let aborted = false; !aborted; ) {
        const page = replica.scan({ ...this.query(one), shape: { ...one.shape, lower } }, this.nowMs, one.pageRows);
        aborted = page.aborted;
        if (aborted) expect(whole).toBe(ABORTED);
        const last = page.rows.at(-1);
        if (last === undefined) break;
        rows.push(...(shownBy(page) as unknown[]));
        lower = { key: last.key, inclusive: false };
      }
      if (whole !== ABORTED) expect(rows).toEqual(whole);
    }
  }

  private finishScans(replica?: 0 | 1): void {
    for (const scan of this.open.splice(0)) {
      if (replica === undefined || scan.replica === replica) expect(shownBy(scan.finish())).toEqual(scan.expected);
      else this.open.push(scan);
    }
  }

  finish(looks: readonly Look[]): void {
    this.finishScans();
    for (const replica of this.replicas) replica.flush();
    for (const one of looks) this.compare(one);
    for (const replica of this.replicas) replica.restart();
    for (const one of looks) this.compare(one);
    const [a, b] = this.replicas;
    expect(a.machine.checksum).toBe(b.machine.checksum);
    expect(new Map([...a.engine.rows].sort())).toEqual(new Map([...b.engine.rows].sort()));
  }
}

describe('scans and the model', () => {
  test('invariant 11, keyvalues:§8 to §13: memory, engine and prunings together show what the plain lists show', () => {
    fc.assert(
      fc.property(
        fc.array(action(Durability.Persistent), { minLength: 1, maxLength: 60, size: 'max' }),
        fc.array(look, { minLength: 2, maxLength: 2 }),
        (actions, looks) => {
          const trial = new Trial();
          for (const step of actions) trial.perform(step);
          trial.finish(looks);
        },
      ),
      { numRuns: 80 },
    );
  });

  test('keyvalues:§13 ephemeral tables show the same within sixteen revisions, and Aborted beyond', () => {
    fc.assert(
      fc.property(fc.array(action(Durability.Ephemeral), { minLength: 20, maxLength: 120, size: 'max' }), actions => {
        const bench = new EphemeralBench();
        const model = new Model(16);
        bench.nowMs = 1000;
        for (const step of actions) {
          if (step.kind === 'pass') bench.nowMs += step.ms;
          if (step.kind === 'batch') {
            for (const command of step.commands) {
              bench.run(command);
              model.write(command, bench.lastStamp);
            }
          }
          if (step.kind !== 'look') continue;
          const { shape: of, covers, maxRows, ago } = step.look;
          const readTimestamp = ago === undefined ? LATEST : { n: 7, l: bench.nowMs - ago, c: 1 };
          const query = { shape: of, readTimestamp, plain: false, durability: Durability.Ephemeral, maxRows };
          const outcome = finishScan(bench.table.scan(query, bench.nowMs), new MemoryRows(), 1);
          expect(shownBy(outcome)).toEqual(model.scan(covers, readTimestamp, Durability.Ephemeral, maxRows, bench.nowMs));
        }
      }),
      { numRuns: 100 },
    );
  });
});
