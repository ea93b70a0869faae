import type { PartitionMachine } from '@kahuna/partition';
import { type Entry, EntryKind } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { ApplyPump } from './apply-pump.ts';
import type { Proposals } from './proposals.ts';
import type { OwnReplica, ReplicaHostOf } from './replica-host.ts';

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
