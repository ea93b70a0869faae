import { ByteWriter } from '@kahuna/base';
import { encodeBatch, FEATURE_LEVEL, type PartitionMachine } from '@kahuna/partition';
import { type Entry, EntryKind } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { emptyResult } from '../request.ts';
import { ApplyPump } from './apply-pump.ts';
import { Proposals } from './proposals.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';
import { surroundings } from './rooms.test-support.ts';
import { TermMemory } from './term-memory.ts';

const { request } = surroundings();

function command(index: number): Entry {
  const batch = { stamp: { n: 1, l: index, c: 0 }, level: FEATURE_LEVEL, proposals: [request()] };
  return { index, term: 1, kind: EntryKind.Command, data: encodeBatch(new ByteWriter(1000), batch).slice() };
}

/** `missing`: indexes of entries whose rows are not in memory; the clock goes on by a millisecond with every entry. */
function pumpOf(...missing: number[]) {
  const applied: number[] = [];
  const asked: (() => void)[] = [];
  const fatal: string[] = [];
  const rows = new Set(missing);
  const room = surroundings({
    machine: {
      needs: () => (rows.has(applied.length + 1) ? [new Uint8Array(1)] : []),
      apply: (index, _term, batch) => {
        applied.push(index);
        room.time.ms++;
        return batch.proposals.map(() => emptyResult(0));
      },
    },
    host: {
      fetchForApply: (_replica, _keys, resume) => {
        asked.push(() => {
          rows.clear();
          resume();
        });
      },
      fatal: reason => {
        fatal.push(reason);
      },
    },
  });
  const { replica, host } = room;
  const pump = new ApplyPump(replica, host, new Proposals(replica, host, new TermMemory(replica, host)));
  return { ...room, pump, applied, asked, fatal };
}

function entries(count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => command(i + 1));
}

test('A1: what is committed is applied in order, once', () => {
  const { pump, applied, replica } = pumpOf();
  pump.take(entries(3));
  expect([pump.backlog, pump.run(1000), pump.run(1000)]).toEqual([3, false, false]);
  expect([applied, pump.backlog, replica.writeCount]).toEqual([[1, 2, 3], 0, 3]);
});

test('a long backlog is applied in several turns', () => {
  const { pump, applied } = pumpOf();
  pump.take(entries(40));
  const turns: boolean[] = [];
  for (let goesOn = true; goesOn; ) {
    goesOn = pump.run(10);
    turns.push(goesOn);
  }
  expect(turns).toEqual([true, true, false]);
  expect(applied).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
});

test('A1: an entry that lacks rows holds up what is behind it, and asks once', () => {
  const { pump, applied, asked } = pumpOf(2);
  pump.take(entries(3));
  pump.run(1000);
  pump.run(1000);
  expect([applied, asked.length, pump.backlog]).toEqual([[1], 1, 2]);
  asked[0]?.();
  pump.run(1000);
  expect([applied, asked.length]).toEqual([[1, 2, 3], 1]);
});

test('A2: an entry that this version cannot evaluate stops the node, and is not passed over', () => {
  const { pump, applied, fatal } = pumpOf();
  pump.take([{ ...command(1), data: new Uint8Array([255, 255]) }, command(2)]);
  expect(pump.run(1000)).toBe(false);
  expect(applied).toEqual([]);
  expect(fatal).toEqual([expect.stringMatching(/^partition 2: entry 1 cannot be evaluated by this version: /)]);
});

test('A3: nothing is applied while a snapshot takes the place of the state, and nothing of before when it has', () => {
  const { pump, applied, replica } = pumpOf();
  pump.take(entries(2));
  replica.installing = true;
  pump.run(1000);
  expect([applied, pump.backlog]).toEqual([[], 2]);
  pump.clear();
  replica.installing = false;
  pump.run(1000);
  expect([applied, pump.backlog]).toEqual([[], 0]);
});

/** Each entry needs rows of the engine, which are here when the test says so. */
class Bench {
  readonly applied: number[] = [];
  readonly pump: ApplyPump<OwnReplica>;
  arrive: () => void = () => undefined;
  private supplied = 0;
  private committed = 0;

  constructor() {
    const machine = {
      needs: () => (this.supplied > this.applied.length ? [] : [new Uint8Array(1)]),
      apply: (index: number) => {
        this.applied.push(index);
        return [];
      },
    } as unknown as PartitionMachine;
    const replica = {
      ...{ partitionId: 2, installing: false, comparedIndex: 0, writeCount: 0 },
      ...{ machine, group: { applied: () => undefined } },
    } as unknown as OwnReplica;
    const host = {
      monotonicMs: () => 1,
      wake: () => undefined,
      fetchForApply: (_replica: OwnReplica, _keys: unknown, resume: () => void) => {
        this.arrive = () => {
          this.supplied++;
          resume();
        };
      },
    } as unknown as ReplicaHostOf<OwnReplica>;
    const proposals = { batchOf: () => ({ proposals: [] }), settleAt: () => undefined } as unknown as Proposals<OwnReplica>;
    this.pump = new ApplyPump(replica, host, proposals);
  }

  commit(count: number): void {
    const entries: Entry[] = [];
    for (let i = 0; i < count; i++) {
      entries.push({ index: ++this.committed, term: 1, kind: EntryKind.Command, data: new Uint8Array(0) });
    }
    this.pump.take(entries);
  }

  /** Of applied entries too. */
  get held(): number {
    return (Reflect.get(this.pump, 'committed') as readonly Entry[]).length;
  }
}

for (const ahead of [1, 10, 1000]) {
  test(`invariant 13: entries are let go of under a load that never ends, with ${ahead} waiting for rows`, () => {
    const bench = new Bench();
    bench.commit(ahead);
    bench.pump.run(1000);
    for (let i = 0; i < 5000; i++) {
      bench.commit(1);
      bench.arrive();
      bench.pump.run(1000);
      expect(bench.pump.backlog).toBe(ahead);
      expect(bench.held).toBeLessThanOrEqual(2 * ahead + 256);
    }
    expect(bench.applied).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
  });
}
