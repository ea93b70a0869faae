import { type Message, MessageType, type Ready } from '@kahuna/raft';
import { expect, test } from 'vitest';
import type { NodeInternals } from '../internals.ts';
import type { LogStore } from '../ports.ts';
import type { Replica } from '../replica.ts';
import { LogPipeline, type LogWrite } from './log-pipeline.ts';
import type { RunQueue } from './run-queue.ts';

const LEADER = 102;

function message(type: MessageType, to: number): Message {
  return {
    ...{ type, from: 101, to, term: 4, index: 1, logTerm: 0, commit: 0 },
    ...{ entries: [], reject: false, force: false, context: 0 },
  };
}

/** What a follower's Ready promises, for which the disk takes its time. */
class Bench {
  readonly group = { term: 4, leaderId: LEADER, termAt: () => 4, persisted: () => undefined };
  readonly sent: [MessageType, to: number][] = [];
  durable: () => void = () => undefined;

  constructor(promises: readonly Message[]) {
    const replica = { partitionId: 2, replicaId: 101, group: this.group } as unknown as Replica;
    const node = {
      ...{ running: true, counters: { logWrites: 0, logRecords: 0 } },
      ...{ meters: { logBatchSize: { record: () => undefined } }, logLatency: { record: () => undefined }, monotonicMs: () => 1 },
    } as unknown as NodeInternals;
    const log = {
      append: (_records: unknown, _bound: unknown, done: () => void) => {
        this.durable = done;
      },
    } as unknown as LogStore;
    const sender = { sendMessage: (_: Replica, { type, to }: Message) => void this.sent.push([type, to]) };
    const pipeline = new LogPipeline(node, log, sender, { wake: () => undefined } as unknown as RunQueue);
    const write: LogWrite = { records: [], parts: [] };
    const entries = [{ index: 1, term: 4, kind: 1, data: new Uint8Array(0) }];
    pipeline.take(write, replica, { entries, promises: [], hardState: undefined } as unknown as Ready);
    pipeline.take(write, replica, { entries: [], promises, hardState: undefined } as unknown as Ready);
    pipeline.append(write);
  }
}

const PROMISES = [message(MessageType.AppendResponse, LEADER), message(MessageType.VoteResponse, 103)];

test('N1: what is promised leaves when it is durable', () => {
  const bench = new Bench(PROMISES);
  expect(bench.sent).toEqual([]);
  bench.durable();
  expect(bench.sent).toEqual([
    [MessageType.AppendResponse, LEADER],
    [MessageType.VoteResponse, 103],
  ]);
});

const LEFT: [string, Partial<Bench['group']>][] = [
  ['for that of a later term', { term: 5, leaderId: 103 }],
  ['and its term', { term: 5, leaderId: 0 }],
  // Its pre-vote asks whether others would follow; the promises that heartbeats prolong meanwhile bind no vote of this group.
  ['within its term, by asking for an election', { leaderId: 0 }],
];
for (const [what, change] of LEFT) {
  test(`N5: an acknowledgement does not reach a leader that was left while the disk wrote: ${what}`, () => {
    const bench = new Bench(PROMISES);
    Object.assign(bench.group, change);
    bench.durable();
    expect(bench.sent).toEqual([[MessageType.VoteResponse, 103]]);
  });
}
