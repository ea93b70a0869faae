import { ByteWriter, HLC_ZERO, Rng, RowBatch } from '@kahuna/base';
import { type CommandBatch, createPartitionMachine, HeadCache, metaRowKey } from '@kahuna/partition';
import { type Entry, EntryKind, encodeMessage, type Message, MessageType } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { encodeHello } from '../hello.ts';
import { NodeHost } from '../host.ts';
import { ItemKind, writeClock, writeHeader } from '../peer-frame.ts';
import type { LogRecord, LogStore, Ports, RecoveredGroup, RecoveredLog, StateEngine, Transport } from '../ports.ts';
import type { Replica } from '../replica.ts';
import type { NodeOptions } from '../settings.ts';

const STORAGE = 101;
const VOTERS = [1, 2, 3].map(nodeId => ({ replicaId: 100 + nodeId, nodeId }));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The group row of a partition that has applied one empty entry of each of these terms. */
function groupRow(partitionId: number, terms: readonly number[], members: readonly number[] = []): [string, Uint8Array] {
  const headCache = new HeadCache({ maxEntries: 10, maxBytes: 10_000 });
  const machine = createPartitionMachine({ partitionId, poolSize: 1, headCache });
  for (const [i, term] of terms.entries()) machine.applyEmpty(i + 1, term, undefined);
  if (members.length > 0) machine.apply(terms.length + 1, terms.at(-1) ?? 1, foundingOf(members));
  const rows = new RowBatch();
  machine.takeFlush(rows);
  const row = rows.toArray().find(({ key }) => hex(key) === hex(metaRowKey(partitionId)));
  return [hex(metaRowKey(partitionId)), row?.value as Uint8Array];
}

function foundingOf(members: readonly number[]): CommandBatch {
  const roster = members.map(storageId => {
    const nodeId = storageId - 100;
    return { endpoint: `${nodeId}:1`, nodeId, name: '', storageId, clientUrl: '', consoleUrl: '' };
  });
  const command = { kind: 'found-cluster', clusterId: 'c', poolSize: 1, members: roster } as const;
  const id = { node: 1, boot: 1, number: 1 };
  return { stamp: { n: 1, l: 5, c: 0 }, level: 1, proposals: [{ id, receipt: HLC_ZERO, command }] };
}

function groupWith(partitionId: number, terms: readonly number[]): RecoveredGroup {
  const configuration = { voters: VOTERS, outgoing: [], learners: [] };
  const entries = terms.map((term, i): Entry => ({ index: i + 1, term, kind: EntryKind.Noop, data: new Uint8Array(0) }));
  const start = { index: 0, term: 0, configuration, reset: true };
  return { partitionId, replicaId: STORAGE, hardState: { term: terms.at(-1) ?? 0, vote: 0 }, start, entries };
}

/** Keeps what it would send. */
class QuietHost extends NodeHost {
  readonly sent: Message[] = [];

  override sendMessage(_replica: Replica, message: Message): void {
    this.sent.push(message);
  }
}

/** A node on what a former process has left. */
class Restarted {
  readonly host: QuietHost;
  private readonly ports: Ports;
  now = 1e6;
  readonly written: LogRecord[] = [];
  outcome: Error | 'started' | undefined;

  private readonly tasks: (() => void)[] = [];

  constructor(log: RecoveredLog, state: ReadonlyMap<string, Uint8Array>, former: Partial<NodeOptions> = {}) {
    const later = (task: () => void): void => void this.tasks.push(task);
    const ports: Ports = {
      clock: { monotonicMs: () => this.now, wallMs: () => this.now },
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
    this.ports = ports;
    this.host = new QuietHost(
      {
        ...{ nodeId: 1, endpoint: 'a:1', name: 'a', version: '', storageId: STORAGE, boot: 2, poolSize: 1 },
        ...{ initialCluster: ['b:1', 'c:1'], clientUrl: '', consoleUrl: '', newClusterId: 'c' },
        ...former,
      },
      ports,
    );
    this.host.start(error => {
      this.outcome = error ?? 'started';
    });
    this.run();
  }

  private run(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  /** Whether it would vote for node 2 now. */
  asked(number: number): boolean {
    const names = { name: 'b', clientUrl: '', consoleUrl: '', version: '', clusterId: '', endpoint: 'b:1' };
    const numbers = { protocolMin: 1, protocolMax: 1, nodeId: 2, storageId: 102, boot: 7, poolSize: 1, listed: 3 };
    this.ports.transport.listener.onHello(
      encodeHello({ ...names, ...numbers, founded: true, knows: {}, electionTimeoutMs: 2000 }),
      'b:1',
    );
    const writer = new ByteWriter();
    const header = { senderBoot: 7, receiverBoot: 2, number, allegiance: 1, nodeId: 2 };
    const clockAt = writeHeader(writer, header);
    writer.u8(ItemKind.Raft);
    writer.varint(2);
    const ends = { index: 9, logTerm: 9, commit: 0, entries: [], reject: false, force: false, context: 0 };
    encodeMessage(writer, { type: MessageType.PreVote, from: 102, to: STORAGE, term: 9, ...ends });
    writeClock(writer, clockAt, HLC_ZERO);
    this.ports.transport.listener.onFrame('b:1', writer.finish());
    this.run();
    const answer = this.host.sent.pop();
    expect(answer?.type).toBe(MessageType.PreVoteResponse);
    return answer?.reject === false;
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

const NONE: RecoveredLog = { groups: [], clockBoundMs: 0 };

test.each([
  [
    'a log that was deleted under a member of three',
    [101, 102, 103],
    false,
    /the log is empty, but the state holds partition 0 up to 3/,
  ],
  ['a log in memory under a member of three', [101, 102, 103], true, /the log was in memory and is gone/],
  ['a log that was deleted under a single node', [101], false, /the log is empty/],
  ['the data of another node', [102], true, /in memory/],
])('does not start, rather than vote and found anew: %s', (_, members, logWasVolatile, refusal) => {
  const node = new Restarted(NONE, new Map([groupRow(0, [1, 2], members)]), { logWasVolatile });
  expect(node.outcome).toMatchObject({ message: expect.stringMatching(refusal) });
  expect([node.host.replicas.size, node.written]).toEqual([0, []]);
});

test('a single node whose log was in memory goes on behind its state', () => {
  const state = new Map([groupRow(0, [1, 2], [101]), groupRow(2, [1, 1, 3])]);
  const node = new Restarted(NONE, state, { logWasVolatile: true, initialCluster: [] });
  expect(node.outcome).toBe('started');
  const groups = [0, 1, 2].map(id => node.host.replica(id)?.group);
  expect(groups.map(group => group?.firstIndex)).toEqual([4, 1, 4]);
  // It has begun to lead all of them, in terms that are new.
  expect(groups.map(group => [group?.role, group?.term])).toEqual([
    ['leader', 3],
    ['leader', 1],
    ['leader', 4],
  ]);
});

test('votes are bound for as long as a former process with a longer election timeout may have promised', () => {
  const log = { groups: [0, 1, 2].map(id => groupWith(id, [1])), clockBoundMs: 0 };
  const node = new Restarted(log, new Map(), { formerElectionMs: 10_000 });
  const from = node.now;
  const votes = [0, 2600, 9999, 10_000].map((ms, i) => {
    node.now = from + ms;
    return node.asked(i + 1);
  });
  expect(votes).toEqual([false, false, false, true]);
});

test('a founding that a crash interrupted is begun anew; one that was complete, or has gone on, is not', () => {
  const made = [0, 1, 2].map(id => groupWith(id, []));
  const idsOf = (groups: readonly RecoveredGroup[]): number[] => {
    const node = new Restarted({ groups, clockBoundMs: 0 }, new Map());
    expect(node.outcome).toBe('started');
    return [...node.host.replicas.keys()];
  };
  expect(idsOf(made.slice(0, 2))).toEqual([]);
  expect(idsOf(made)).toEqual([0, 1, 2]);
  expect(idsOf([groupWith(0, [1]), groupWith(1, [])])).toEqual([0, 1]);
});
