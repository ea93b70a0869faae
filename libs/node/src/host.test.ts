import { ByteReader, ByteWriter, Rng } from '@kahuna/base';
import { decodeMessage, encodeMessage, MessageType } from '@kahuna/raft';
import { expect, test } from 'vitest';
import { encodeHello, type Hello } from './hello.ts';
import { createNodeHost, type NodeHost } from './host.ts';
import { ItemKind, readHeader, writeClock, writeHeader } from './peer-frame.ts';
import type { LogStore, Ports, RecoveredLog, StateEngine, Transport, TransportListener } from './ports.ts';

const VOTERS = [1, 2, 3].map(nodeId => ({ replicaId: 100 + nodeId, nodeId }));

/** A log with the groups of partitions 0 to 2, as a founded node has them. */
function founded(voters: typeof VOTERS): RecoveredLog {
  const start = { index: 0, term: 0, configuration: { voters, outgoing: [], learners: [] }, reset: true };
  const groups = [0, 1, 2].map(partitionId => ({
    partitionId,
    replicaId: 101,
    hardState: { term: 3, vote: 0 },
    start,
    entries: [],
  }));
  return { groups, clockBoundMs: 0 };
}

/** A host over ports that answer when a test lets them. */
class Bench {
  now = 100_000;
  readonly started: (Error | undefined)[] = [];
  readonly host: NodeHost;
  readonly links: TransportListener;
  closed = 0;
  readonly frames: [endpoint: string, Uint8Array][] = [];
  private readonly tasks: (() => void)[] = [];
  private recovered: (log: RecoveredLog) => void = () => undefined;

  constructor(initialCluster: readonly string[]) {
    const later =
      (...results: unknown[]) =>
      (done: (...results: never[]) => void) =>
        void this.tasks.push(() => done(...(results as never[])));
    const log = {
      recover: (done: (error: undefined, log: RecoveredLog) => void) => {
        this.recovered = recovered => done(undefined, recovered);
      },
      append: (_records: unknown, _bound: unknown, done: () => void) => later()(done),
      release: () => undefined,
      pending: 0,
      close: (done: () => void) => {
        this.closed++;
        later()(done);
      },
    } as unknown as LogStore;
    const engine = {
      sync: later(),
      close: later(),
      write: (_rows: unknown, done: () => void) => later()(done),
      getMany: (keys: readonly Uint8Array[], done: (error: undefined, values: undefined[]) => void) =>
        later(
          undefined,
          keys.map(() => undefined),
        )(done),
    } as unknown as StateEngine;
    const send = (endpoint: string, frame: Uint8Array): void => void this.frames.push([endpoint, frame]);
    const transport = { connect: () => undefined, send, close: later() } as unknown as Transport;
    const ports: Ports = {
      clock: { monotonicMs: () => this.now, wallMs: () => this.now },
      rng: new Rng(1),
      scheduler: { soon: task => void this.tasks.push(task), after: () => () => undefined },
      ...{ log, engine, transport },
    };
    this.host = createNodeHost(
      {
        ...{ nodeId: 1, endpoint: 'a:1', name: 'a', version: '', storageId: 101, boot: 1, initialCluster, poolSize: 1 },
        ...{ clientUrl: '', consoleUrl: '', newClusterId: 'c' },
      },
      ports,
    );
    this.links = transport.listener;
    this.host.start(error => this.started.push(error));
  }

  /** Everything that has come due happens. */
  run(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  recover(log: RecoveredLog): void {
    this.recovered(log);
    this.run();
  }

  events(kind: string): number {
    return this.host.events.recent(1000).filter(event => event.kind === kind).length;
  }
}

const LIST = ['a:1', 'b:1', 'c:1'];

function helloOf(changes: Partial<Hello>): Uint8Array {
  return encodeHello({
    ...{ protocolMin: 1, protocolMax: 1, clusterId: '', endpoint: 'b:1', nodeId: 2, name: 'b', storageId: 102, boot: 7 },
    ...{ poolSize: 1, founded: true, knows: {}, listed: 3, clientUrl: '', consoleUrl: '', electionTimeoutMs: 1000, version: '' },
    ...changes,
  });
}

test('a node that is stopped while it recovers does not come to life afterwards', () => {
  const bench = new Bench([]);
  let stopped = 0;
  bench.host.stop(() => stopped++);
  bench.recover(founded(VOTERS.slice(0, 1)));
  expect(bench.started).toEqual([expect.objectContaining({ message: 'the node was stopped while it started' })]);
  expect([stopped, bench.host.accepting, bench.host.replicas.size]).toEqual([1, false, 0]);
});

test('a node is closed once, however often it is told to stop; whoever asked is told', () => {
  const bench = new Bench([]);
  bench.recover(founded(VOTERS.slice(0, 1)));
  expect(bench.started).toEqual([undefined]);
  let stopped = 0;
  for (let i = 0; i < 2; i++) bench.host.stop(() => stopped++);
  bench.run();
  bench.host.stop(() => stopped++);
  bench.run();
  expect([stopped, bench.closed]).toEqual([3, 1]);
});

test('what a snapshot in arrival still asks of the engine, when the node is stopped and that is closed, is no fault', () => {
  const bench = new Bench([]);
  bench.recover(founded(VOTERS.slice(0, 1)));
  bench.host.stop(() => undefined);
  bench.run();
  expect(bench.closed).toBe(1);
  expect(bench.host.failedEngine(new Error('the state engine is closed'))).toBe(true);
  expect([bench.host.fatalFault, bench.events('fatal-fault')]).toEqual([null, 0]);
});

const ALONE: [string, readonly string[], typeof VOTERS | undefined, boolean][] = [
  ['one of three that was started without its list', [], VOTERS, false],
  ['one of three', LIST, VOTERS, false],
  ['a founded single node that is given a list', LIST, VOTERS.slice(0, 1), true],
  ['a single node', [], VOTERS.slice(0, 1), true],
  ['a first boot with a list', LIST, undefined, false],
  ['a first boot without one', [], undefined, true],
];

for (const [what, list, voters, alone] of ALONE) {
  test(`${alone ? 'is bound by no promise of its former life' : 'waits before it votes'}: ${what}`, () => {
    const bench = new Bench(list);
    bench.recover(voters === undefined ? { groups: [], clockBoundMs: 0 } : founded(voters));
    expect(bench.host.standalone).toBe(alone);
  });
}

const HELLOS: [string, Partial<Hello>, RegExp | undefined][] = [
  ['the same process again', {}, undefined],
  ['a later process', { boot: 8 }, undefined],
  ['an earlier process, whose words were under way', { boot: 6 }, /process 6 is gone/],
  ['another data directory', { boot: 1, storageId: 999 }, /not the one that is a member/],
  ['our own id', { nodeId: 1 }, /this node's id/],
  ['another number of partitions', { poolSize: 9 }, /9 partitions/],
  ['a later protocol only', { protocolMin: 2, protocolMax: 3 }, /protocol 2 to 3/],
];

for (const [what, changes, refused] of HELLOS) {
  test(`a peer that has said hello says it again: ${what}`, () => {
    const bench = new Bench(LIST);
    bench.recover(founded(VOTERS));
    expect(bench.links.onHello(helloOf({}), 'b:1')).toEqual({ endpoint: 'b:1' });
    const answer = bench.links.onHello(helloOf(changes), 'b:1');
    if (refused === undefined) expect(answer).toEqual({ endpoint: 'b:1' });
    else expect(answer).toEqual({ refused: expect.stringMatching(refused) });
    expect(bench.events('peer-refused')).toBe(refused === undefined ? 0 : 1);
  });
}

test('who asks before the log is read is told to come again, not that it is a stranger', () => {
  const bench = new Bench(LIST);
  expect(bench.links.onHello(helloOf({}), undefined)).toEqual({ refused: expect.stringMatching(/still starting/) });
  bench.recover(founded(VOTERS));
  expect(bench.links.onHello(helloOf({}), undefined)).toEqual({ endpoint: 'b:1' });
  expect(bench.links.onHello(helloOf({ endpoint: 'd:1', nodeId: 4, storageId: 104 }), undefined)).toEqual({
    refused: 'd:1 is not a member of this cluster',
  });
});

test('a peer whose clock is far ahead is reported now and then, not with every frame', () => {
  const bench = new Bench(LIST);
  bench.recover(founded(VOTERS));
  bench.links.onHello(helloOf({}), 'b:1');
  bench.links.onUp('b:1');
  const send = (number: number): void => {
    const writer = new ByteWriter();
    const clock = { n: 2, l: bench.now + 60_000, c: 0 };
    const clockAt = writeHeader(writer, { senderBoot: 7, receiverBoot: 1, number, allegiance: 1, nodeId: 2 });
    writeClock(writer, clockAt, clock);
    bench.links.onFrame('b:1', writer.finish());
  };
  for (let number = 1; number <= 100; number++) send(number);
  expect(bench.events('clock-skew')).toBe(1);
  bench.now += 10_000;
  send(101);
  expect(bench.events('clock-skew')).toBe(2);
});

/** A follower of node 2, whose promise to it has run out: what node 2 and node 3 say reaches it before its next turn. */
class Follower extends Bench {
  private number = 0;

  constructor() {
    super(LIST);
    this.recover(founded(VOTERS));
    for (const [endpoint, nodeId] of [
      ['b:1', 2],
      ['c:1', 3],
    ] as const) {
      this.links.onHello(helloOf({ endpoint, nodeId, storageId: 100 + nodeId }), endpoint);
      this.links.onUp(endpoint);
    }
    // Votes are bound for a while after a start.
    this.now += 60_000;
    this.run();
    this.frames.length = 0;
  }

  hear(from: 2 | 3, type: MessageType, term: number, context = 0, reject = false): void {
    const writer = new ByteWriter();
    const header = { senderBoot: 7, receiverBoot: 1, number: ++this.number, allegiance: 1, nodeId: from };
    writeClock(writer, writeHeader(writer, header), { n: from, l: this.now, c: 0 });
    writer.u8(ItemKind.Raft);
    writer.varint(2);
    encodeMessage(writer, {
      ...{ type, from: 100 + from, to: 101, term, index: 0, logTerm: 0, commit: 0 },
      ...{ entries: [], reject, force: false, context },
    });
    this.links.onFrame(from === 2 ? 'b:1' : 'c:1', writer.finish());
  }

  /** Types of Raft messages that have left since, and the term of each. */
  said(endpoint: string): [MessageType, number][] {
    const messages: [MessageType, number][] = [];
    for (const [to, frame] of this.frames) {
      const reader = new ByteReader(frame);
      readHeader(reader);
      while (to === endpoint && reader.remaining > 0) {
        expect([reader.u8(), reader.varint()]).toEqual([ItemKind.Raft, 2]);
        const { type, term } = decodeMessage(reader);
        messages.push([type, term]);
      }
    }
    return messages;
  }
}

test('a leader is answered while it is followed', () => {
  const follower = new Follower();
  follower.hear(2, MessageType.Heartbeat, 5, 1);
  follower.run();
  expect(follower.said('b:1')).toEqual([[MessageType.HeartbeatResponse, 5]]);
});

test('N5: who votes for another before its answer has left answers no more: it would be counted with promises that bind no vote', () => {
  const follower = new Follower();
  follower.hear(2, MessageType.Heartbeat, 5, 1);
  follower.hear(3, MessageType.Vote, 6);
  follower.run();
  expect(follower.said('c:1')).toEqual([[MessageType.VoteResponse, 6]]);
  expect(follower.said('b:1')).toEqual([]);
});

test('a refusal does not count as following: it may have been written before its sender knew of this leadership', () => {
  const node = new Follower();
  const replica = node.host.replicas.get(2);
  replica?.group.campaign(true);
  node.host.wake(replica as NonNullable<typeof replica>);
  node.run();
  node.hear(2, MessageType.VoteResponse, 4);
  expect(replica?.leads).toBe(true);
  node.hear(2, MessageType.AppendResponse, 4, 0, true);
  // But it shows the term, which is all that a forwarded request needs (D3 of `dispatcher.ts`).
  expect([replica?.answered.size, [...(replica?.heardInTerm ?? [])]]).toEqual([0, [[102, 7]]]);
  node.hear(2, MessageType.AppendResponse, 4);
  expect(replica?.answered.size).toBe(1);
});
