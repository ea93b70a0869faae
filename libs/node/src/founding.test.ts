import { expect, test } from 'vitest';
import { Founding } from './founding.ts';
import type { Hello } from './hello.ts';
import type { NodeInternals } from './internals.ts';
import { Peer } from './peer.ts';
import type { LogRecord, LogStore } from './ports.ts';
import type { Replica } from './replica.ts';

const OTHERS = ['b:1', 'c:1'];

function helloOf(nodeId: number, changes: Partial<Hello> = {}): Hello {
  return {
    ...{
      protocolMin: 1,
      protocolMax: 1,
      clusterId: '',
      endpoint: `${'abc'[nodeId - 1]}:1`,
      nodeId,
      name: '',
      storageId: 100 + nodeId,
    },
    ...{
      boot: 1,
      poolSize: 2,
      founded: false,
      knows: {},
      listed: 3,
      clientUrl: '',
      consoleUrl: '',
      electionTimeoutMs: 1,
      version: '',
    },
    ...changes,
  };
}

/** Node 1 of three, whose log completes when a test says so. */
class Bench {
  readonly waiting: string[] = [];
  readonly faults: string[] = [];
  readonly created: { partitionId: number; voters: readonly number[] }[] = [];
  readonly campaigns: number[] = [];
  records: readonly LogRecord[] = [];
  complete: (error?: Error) => void = () => undefined;
  private readonly founding: Founding;
  private readonly delayed: (() => void)[] = [];

  constructor(hellos: readonly (Hello | undefined)[]) {
    const peers = new Map(
      OTHERS.map((endpoint, i) => {
        const peer = new Peer(endpoint);
        peer.hello = hellos[i];
        return [endpoint, peer];
      }),
    );
    const node = {
      nodeId: 1,
      options: { nodeId: 1, storageId: 101 },
      settings: { heartbeatMs: 10 },
      poolSize: 2,
      accepting: true,
      peers,
      events: { record: (kind: string, _severity: string, _subject: string, text: string) => this.note(kind, text) },
      after: (_ms: number, task: () => void) => this.delayed.push(task),
      fatal: (reason: string) => this.faults.push(reason),
      campaign: (replica: Replica) => this.campaigns.push(replica.partitionId),
    } as unknown as NodeInternals;
    const log = {
      append: (records: readonly LogRecord[], _bound: undefined, done: (error: Error | undefined) => void) => {
        this.records = records;
        this.complete = done;
      },
    } as unknown as LogStore;
    this.founding = new Founding(node, log, (partitionId, configuration) => {
      this.created.push({ partitionId, voters: configuration.voters.map(voter => voter.replicaId) });
      return { partitionId, group: { leaderId: 0, term: 0 } } as unknown as Replica;
    });
  }

  private note(kind: string, text: string): void {
    if (kind === 'waiting') this.waiting.push(text);
  }

  tick(now: number): void {
    this.founding.tryFound(now, OTHERS);
  }

  later(): void {
    for (const task of this.delayed.splice(0)) task();
  }
}

const READY = [helloOf(2), helloOf(3)];

test('groups exist only once they are durable, all with the same members, whoever founds them', () => {
  const bench = new Bench(READY);
  bench.tick(0);
  expect(bench.created).toEqual([]);
  expect(bench.records.map(record => record.partitionId)).toEqual([0, 1, 2, 3]);
  bench.complete();
  expect(bench.created).toEqual([0, 1, 2, 3].map(partitionId => ({ partitionId, voters: [101, 102, 103] })));
  bench.tick(1000);
  expect(bench.created).toHaveLength(4);
  // Each node begins with its share of the leaders: replica 101 with every third partition.
  expect(bench.campaigns).toEqual([]);
  bench.later();
  expect(bench.campaigns).toEqual([0, 3]);
});

test('a log that cannot take the groups stops the node', () => {
  const bench = new Bench(READY);
  bench.tick(0);
  bench.complete(new Error('full'));
  expect([bench.created, bench.faults]).toEqual([[], ['log write failed: full']]);
});

const knows = { '1': 101, '2': 102, '3': 103 };
const OBSTACLES: [string, (Hello | undefined)[], RegExp][] = [
  ['a listed node was never there', [helloOf(2), undefined], /waiting for c:1/],
  ['nobody else was ever there', [undefined, undefined], /waiting for b:1, c:1/],
  ['two nodes bear one id', [helloOf(2), helloOf(2, { endpoint: 'c:1' })], /same node id/],
  ['a node bears our id', [helloOf(1, { endpoint: 'b:1' }), helloOf(3)], /same node id/],
  [
    'a founded cluster knows another data directory of ours',
    [helloOf(2, { founded: true, knows: { ...knows, '1': 9 } }), helloOf(3)],
    /does not know this data directory/,
  ],
  [
    'a founded cluster does not know us',
    [helloOf(2), helloOf(3, { founded: true, knows: { '2': 102, '3': 103 } })],
    /does not know this data directory/,
  ],
  ['another node would found with fewer', [helloOf(2, { listed: 2 }), helloOf(3)], /counts 2 nodes.*list has 3/],
  ['another node would found with more', [helloOf(2), helloOf(3, { listed: 5 })], /counts 5 nodes.*list has 3/],
  [
    'others have founded without one of our list',
    [helloOf(2, { founded: true, knows: { '1': 101, '2': 102 } }), helloOf(3)],
    /counts 2 nodes/,
  ],
];

for (const [what, hellos, says] of OBSTACLES) {
  test(`a cluster is not founded while ${what}`, () => {
    const bench = new Bench(hellos);
    for (let now = 0; now < 10_000; now += 100) bench.tick(now);
    expect(bench.records).toEqual([]);
    expect(bench.waiting).toEqual([expect.stringMatching(says)]);
    bench.tick(10_000);
    expect(bench.waiting).toHaveLength(2);
  });
}

test('a node whose groups were lost before they were durable founds as the others did', () => {
  const bench = new Bench([helloOf(2, { founded: true, knows }), helloOf(3, { founded: true, knows, listed: 0 })]);
  bench.tick(0);
  expect(bench.records).toHaveLength(4);
});

test('a node of a release that does not say how many it lists is taken at its word', () => {
  const bench = new Bench([helloOf(2, { listed: 0 }), helloOf(3)]);
  bench.tick(0);
  expect(bench.records).toHaveLength(4);
});
