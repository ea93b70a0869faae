import { Rng, RowBatch } from '@kahuna/base';
import { createPartitionMachine, HeadCache, metaRowKey } from '@kahuna/partition';
import { type Entry, EntryKind } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { createNodeHost, type NodeHost } from './host.ts';
import type { LogRecord, LogStore, Ports, RecoveredGroup, RecoveredLog, StateEngine, Transport } from './ports.ts';

const STORAGE = 101;
const VOTERS = [1, 2, 3].map(nodeId => ({ replicaId: 100 + nodeId, nodeId }));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The group row of a partition that has applied one empty entry of each of these terms. */
function groupRow(partitionId: number, terms: readonly number[]): [string, Uint8Array] {
  const headCache = new HeadCache({ maxEntries: 10, maxBytes: 10_000 });
  const machine = createPartitionMachine({ partitionId, poolSize: 1, headCache });
  terms.forEach((term, i) => machine.applyEmpty(i + 1, term, undefined));
  const rows = new RowBatch();
  machine.takeFlush(rows);
  const row = rows.toArray().find(({ key }) => hex(key) === hex(metaRowKey(partitionId)));
  return [hex(metaRowKey(partitionId)), row?.value as Uint8Array];
}

function groupWith(partitionId: number, terms: readonly number[]): RecoveredGroup {
  const configuration = { voters: VOTERS, outgoing: [], learners: [] };
  const entries = terms.map((term, i): Entry => ({ index: i + 1, term, kind: EntryKind.Noop, data: new Uint8Array(0) }));
  const start = { index: 0, term: 0, configuration, reset: true };
  return { partitionId, replicaId: STORAGE, hardState: { term: terms.at(-1) ?? 0, vote: 0 }, start, entries };
}

/** A node on what a former process has left. */
class Restarted {
  readonly host: NodeHost;
  readonly written: LogRecord[] = [];
  outcome: Error | 'started' | undefined;

  constructor(log: RecoveredLog, state: ReadonlyMap<string, Uint8Array>) {
    const tasks: (() => void)[] = [];
    const later = (task: () => void): void => void tasks.push(task);
    const ports: Ports = {
      clock: { monotonicMs: () => 1e6, wallMs: () => 1e6 },
      rng: new Rng(1),
      scheduler: { soon: later, after: () => () => undefined },
      log: {
        recover: (done: (error: undefined, log: RecoveredLog) => void) => later(() => done(undefined, log)),
        append: (records: readonly LogRecord[], _bound: unknown, done: (error: undefined) => void) => {
          this.written.push(...records);
          later(() => done(undefined));
        },
        pending: 0,
      } as unknown as LogStore,
      engine: {
        sync: (done: (error: undefined) => void) => later(() => done(undefined)),
        write: (_rows: RowBatch, done: (error: undefined) => void) => later(() => done(undefined)),
        getMany: (keys: readonly Uint8Array[], done: (error: undefined, values: readonly (Uint8Array | undefined)[]) => void) => {
          const values = keys.map(key => state.get(hex(key)));
          later(() => done(undefined, values));
        },
      } as unknown as StateEngine,
      transport: { connect: () => undefined, send: () => true } as unknown as Transport,
    };
    this.host = createNodeHost(
      {
        ...{ nodeId: 1, endpoint: 'a:1', name: 'a', version: '', storageId: STORAGE, boot: 2, poolSize: 1 },
        ...{ initialCluster: ['b:1', 'c:1'], clientUrl: '', consoleUrl: '', newClusterId: 'c' },
      },
      ports,
    );
    this.host.start(error => {
      this.outcome = error ?? 'started';
    });
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
  }
}

test('a state that is ahead of what the log kept of the same indexes replaces it: those entries were cut off by a later leader', () => {
  // Entries 2 to 4 of term 1 were on disk. A leader of term 2 had replaced them by one of its own, which was applied, because others had
  // committed it, and written to the engine; then the process was killed before the log had it.
  const log = { groups: [groupWith(0, []), groupWith(1, []), groupWith(2, [1, 1, 1, 1])], clockBoundMs: 0 };
  const node = new Restarted(log, new Map([groupRow(2, [1, 2])]));
  expect(node.outcome).toBe('started');
  const group = node.host.replica(2)?.group;
  expect([group?.lastIndex, group?.lastTerm, group?.commitIndex, group?.term]).toEqual([2, 2, 2, 2]);
  const start = node.written.find(record => record.partitionId === 2 && record.start !== undefined)?.start;
  expect(start).toMatchObject({ index: 2, term: 2, reset: true });
});

test('a log that goes on behind the state is kept', () => {
  const log = { groups: [groupWith(0, []), groupWith(1, []), groupWith(2, [1, 2, 2, 3])], clockBoundMs: 0 };
  const node = new Restarted(log, new Map([groupRow(2, [1, 2])]));
  const group = node.host.replica(2)?.group;
  expect([group?.lastIndex, group?.lastTerm, group?.commitIndex]).toEqual([4, 3, 2]);
  expect(node.written.filter(record => record.start !== undefined)).toEqual([]);
});
