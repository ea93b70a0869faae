import type { Hlc } from '@kahuna/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Model, seen } from '../test/model.ts';
import { Replica } from '../test/replica.ts';
import { type CommandBatch, Durability, type GetOperation, SetFlag, type WriteOperation } from './index.ts';

/**
 * Two replicas that flush, evict and restart at different moments, and a model of plain lists that does none of it: the same
 * entries must give the same answers everywhere (P5), and the same checksum on both replicas.
 */

const ZERO: Hlc = { n: 0, l: 0, c: 0 };
const KEYS = ['a/1', 'a/2', 'solo', 'n\0l/ü😀'];
const key = fc.constantFrom(...KEYS);
const value = fc.constantFrom<string | null>(null, '', 'x', 'y'.repeat(300));
const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : new TextEncoder().encode(text));

const write: fc.Arbitrary<WriteOperation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        key,
        value,
        expiresMs: fc.constantFrom(0, 0, 0, 3, 20, -1),
        flags: fc.oneof(fc.constantFrom(0, 1, 2), fc.nat(127)),
        compare: value,
        compareRevision: fc.integer({ min: -2, max: 6 }),
      })
      .map(({ compare, value: text, ...rest }) => ({
        kind: 'set' as const,
        ...rest,
        value: bytesOf(text),
        compareValue: bytesOf(compare),
        durability: Durability.Persistent,
      })),
  },
  { weight: 2, arbitrary: key.map(k => ({ kind: 'delete' as const, key: k, durability: Durability.Persistent })) },
  {
    weight: 2,
    arbitrary: fc
      .record({ key, expiresMs: fc.constantFrom(0, 1, 10, -1) })
      .map(fields => ({ kind: 'extend' as const, ...fields, durability: Durability.Persistent })),
  },
);

type Action =
  | { readonly kind: 'batch'; readonly commands: readonly WriteOperation[] }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'begin-flush' | 'end-flush' | 'restart'; readonly replica: 0 | 1 }
  /** Reads every key at this point in time: latest, at all revisions, and as of a moment `ago` milliseconds back. */
  | { readonly kind: 'read'; readonly ago: number; readonly counter: number };

const which = fc.constantFrom<0 | 1>(0, 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(write, { minLength: 1, maxLength: 5 }).map(commands => ({ kind: 'batch' as const, commands })),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 15 }).map(ms => ({ kind: 'pass' as const, ms })) },
  { weight: 2, arbitrary: which.map(replica => ({ kind: 'begin-flush' as const, replica })) },
  { weight: 2, arbitrary: which.map(replica => ({ kind: 'end-flush' as const, replica })) },
  { weight: 1, arbitrary: which.map(replica => ({ kind: 'restart' as const, replica })) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), ago: fc.nat(60), counter: fc.nat(3) }) },
);

/** The cluster in small: one log, two replicas, the model. */
class Trial {
  private readonly replicas = [new Replica({ maxEntries: 2, maxBytes: 3000 }), new Replica()] as const;
  private readonly model = new Model();
  private readonly log: CommandBatch[] = [];
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
        const replica = this.replicas[step.replica];
        replica.restart();
        for (let i = replica.machine.appliedIndex; i < this.log.length; i++) replica.apply(this.log[i] as CommandBatch);
        this.compareReplicas();
        return;
      }
      case 'batch':
        this.batch(step.commands);
        return;
      default:
        this.read({ n: 1, l: this.nowMs - step.ago, c: step.counter });
    }
  }

  private batch(commands: readonly WriteOperation[]): void {
    const stamp = this.nowMs > this.last.l ? { n: 1, l: this.nowMs, c: 0 } : { ...this.last, c: this.last.c + 1 };
    this.last = { ...stamp, c: stamp.c + commands.length - 1 };
    const proposals = commands.map(command => ({
      id: { node: 1, boot: 1, number: this.number++ },
      receipt: { n: 1, l: stamp.l - 1, c: 0 },
      command,
    }));
    const batch: CommandBatch = { stamp, level: 1, proposals };
    this.log.push(batch);
    const expected = commands.map((command, i) => this.model.write(command, { ...stamp, c: stamp.c + i }));
    for (const replica of this.replicas) {
      const results = replica.apply(batch);
      expect(results.map(seen)).toEqual(expected);
      for (const [i, proposal] of proposals.entries()) {
        expect(replica.machine.remembered(proposal.id, proposal.receipt)).toBe(results[i]);
      }
    }
    this.compareReplicas();
  }

  private compareReplicas(): void {
    const [a, b] = this.replicas;
    expect(a.machine.checksum).toBe(b.machine.checksum);
    expect(a.machine.keyCount).toBe(b.machine.keyCount);
    expect(a.machine.lastStamp).toEqual(b.machine.lastStamp);
  }

  private read(t: Hlc): void {
    for (const k of KEYS) {
      for (const kind of ['get', 'exists'] as const) {
        this.readOne({ kind, key: k, revision: -1, readTimestamp: ZERO, durability: Durability.Persistent });
        this.readOne({ kind, key: k, revision: -1, readTimestamp: t, durability: Durability.Persistent });
        for (let revision = 0; revision < 6; revision++) {
          this.readOne({ kind, key: k, revision, readTimestamp: t, durability: Durability.Persistent });
        }
      }
    }
  }

  private readOne(operation: GetOperation): void {
    const expected = this.model.read(operation, this.nowMs);
    for (const replica of this.replicas) expect(seen(replica.read(operation, this.nowMs))).toEqual(expected);
  }

  finish(): void {
    this.read({ n: 1, l: this.nowMs - 10, c: 1 });
    for (const replica of this.replicas) replica.flush();
    for (const replica of this.replicas) replica.restart();
    this.compareReplicas();
    this.read({ n: 1, l: this.nowMs - 20, c: 0 });
    const [a, b] = this.replicas;
    expect(new Map([...a.engine.rows].sort())).toEqual(new Map([...b.engine.rows].sort()));
  }
}

describe('replicas and the model', () => {
  test('invariant 5, P5: same entries, same answers, same checksum and same rows, however replicas flush, evict and restart', () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 60, size: 'max' }), actions => {
        const trial = new Trial();
        for (const step of actions) trial.perform(step);
        trial.finish();
      }),
      { numRuns: 50 },
    );
  });

  test('as-of reads find their version among many in the engine', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: -5, max: 1100 }), { minLength: 5, maxLength: 5 }),
        (count, times) => {
          const replica = new Replica();
          const model = new Model();
          for (let i = 0; i < count; i++) {
            const stamp = { n: 1, l: 1000 + i * 5, c: 0 };
            const command: WriteOperation = {
              kind: 'set',
              key: 'k',
              value: bytesOf(`v${i}`),
              expiresMs: 0,
              flags: i % 7 === 3 ? SetFlag.NoRevision : 0,
              compareValue: null,
              compareRevision: 0,
              durability: Durability.Persistent,
            };
            model.write(command, stamp);
            replica.apply({ stamp, level: 1, proposals: [{ id: { node: 1, boot: 1, number: i }, receipt: stamp, command }] });
          }
          replica.flush();
          replica.restart();
          for (const ms of times) {
            const operation: GetOperation = {
              kind: 'get',
              key: 'k',
              revision: -1,
              readTimestamp: { n: 1, l: 1000 + ms, c: 0 },
              durability: Durability.Persistent,
            };
            expect(seen(replica.read(operation, 5000))).toEqual(model.read(operation, 5000));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
