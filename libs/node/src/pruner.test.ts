import { type BatchRow, HybridClock, RowBatch } from '@kahuna/base';
import {
  createPartitionMachine,
  Durability,
  HeadCache,
  type HistoryCommand,
  type OperationResult,
  ResponseType,
} from '@kahuna/partition';
import { expect, test } from 'vitest';
import type { ResultSink } from './api.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { NodeInternals } from './internals.ts';
import { Meters } from './meters.ts';
import type { StateEngine } from './ports.ts';
import { Pruner } from './pruner.ts';
import type { Replica } from './replica.ts';
import { emptyResult, type PendingRequest } from './request.ts';

const PARTITION = 2;
/** What the pruner notes between two looks, at most. */
const MAX_NOTED = 10_000;

/** Rows of a key that was written three times. */
function rowsOfOneKey(): BatchRow[] {
  const machine = createPartitionMachine({
    partitionId: PARTITION,
    poolSize: 1,
    headCache: new HeadCache({ maxEntries: 10, maxBytes: 10_000 }),
  });
  for (let index = 1; index <= 3; index++) {
    const stamp = { n: 1, l: index, c: 0 };
    const command = {
      kind: 'set',
      key: 'k',
      value: null,
      expiresMs: 0,
      flags: 0,
      compareValue: null,
      compareRevision: 0,
      durability: Durability.Persistent,
    } as const;
    const batch = { stamp, level: 1, proposals: [{ id: { node: 1, boot: 1, number: index }, receipt: stamp, command }] };
    machine.supply(machine.needs(batch).map(key => ({ key, value: undefined })));
    machine.apply(index, 1, batch);
  }
  const rows = new RowBatch();
  machine.takeFlush(rows);
  return rows.toArray();
}

/** A leader whose every key has versions to remove, and that removes one with each command. */
class BusyLeader {
  looks = 0;
  looksAtHolds = 0;
  now = 1;
  private readonly machine: { onSuperseded: ((key: string) => void) | undefined; appliedIndex: number } = {
    onSuperseded: undefined,
    appliedIndex: 1,
  };
  private readonly callbacks: (() => void)[] = [];
  private readonly pruner: Pruner;

  constructor() {
    const clock = { monotonicMs: () => this.now, wallMs: () => this.now };
    const history = rowsOfOneKey().flatMap(({ key, value }, i) =>
      value !== undefined && (i === 1 || i === 2) ? [{ key, value }] : [],
    );
    history.sort((a, b) => Buffer.compare(a.key, b.key));
    const replica = {
      partitionId: PARTITION,
      leads: true,
      servesAsLeader: true,
      flushedIndex: 1,
      machine: this.machine,
      accept: (request: PendingRequest) => request.answer(emptyResult(ResponseType.Set)),
    } as unknown as Replica;
    const node = {
      nodeId: 1,
      boot: 1,
      hlc: new HybridClock(1, clock),
      meters: new Meters(),
      settings: { retention: { count: 1, ageMs: 0, sweepMs: 1e9, batchVersions: 1, onWrite: true } },
      replicas: new Map([[PARTITION, replica]]),
      replica: () => {
        this.looksAtHolds++;
        return undefined;
      },
      failedEngine: () => false,
      monotonicMs: () => this.now,
      takeNumber: () => 1,
    } as unknown as NodeInternals;
    const engine = {
      getMany: (keys: readonly Uint8Array[], done: (error: undefined, values: undefined[]) => void) => {
        this.looks++;
        this.callbacks.push(() => done(undefined, new Array(keys.length).fill(undefined)));
      },
      scan: (options: { reverse?: boolean }, done: (error: undefined, page: { rows: typeof history; more: boolean }) => void) => {
        const rows = options.reverse ? history.toReversed() : history;
        this.callbacks.push(() => done(undefined, { rows, more: false }));
      },
    } as unknown as StateEngine;
    const dispatcher = {
      submitCommand: (_command: HistoryCommand, _partitionId: number, sink: ResultSink) => {
        const granted: OperationResult = { ...emptyResult(ResponseType.Set), lastModified: { n: 1, l: 1e6, c: 0 } };
        this.callbacks.push(() => sink.complete(0, granted));
      },
    } as unknown as Dispatcher;
    this.pruner = new Pruner(node, engine, dispatcher);
    this.tick();
  }

  write(keys: number, round: number): void {
    for (let i = 0; i < keys; i++) this.machine.onSuperseded?.(`k/${round}-${i}`);
    this.now += 1000;
  }

  tick(): void {
    this.pruner.tick(this.now);
    for (let next = this.callbacks.shift(); next !== undefined; next = this.callbacks.shift()) next();
  }

  get pruned(): number {
    return this.pruner.counters.prunedVersions;
  }
}

test('invariant 13: keys that are written faster than they can be looked at do not pile up', () => {
  const leader = new BusyLeader();
  for (let round = 0; round < 8; round++) {
    leader.write(MAX_NOTED, round);
    leader.tick();
  }
  expect(leader.pruned).toBe(8);
  for (let before = -1; before < leader.looks; leader.tick()) {
    before = leader.looks;
    leader.now += 1000;
    leader.tick();
  }
  // Those under way and those noted meanwhile.
  expect(leader.looks).toBeLessThanOrEqual(2 * MAX_NOTED);
});

test('a sweep of many keys does not look at all holds for each of them', () => {
  const leader = new BusyLeader();
  leader.write(5000, 0);
  leader.tick();
  for (let before = -1; before < leader.pruned; leader.tick()) before = leader.pruned;
  expect(leader.pruned).toBeGreaterThan(0);
  expect(leader.looksAtHolds).toBeLessThan(10);
});
