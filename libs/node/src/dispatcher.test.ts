import { ByteReader, ByteWriter, HLC_ZERO, HybridClock } from '@kahuna/base';
import { type GetOperation, type HistoryCommand, type OperationResult, ResponseType } from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import { describe, expect, test } from 'vitest';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { LatencyHistogram } from './latency.ts';
import { Meters } from './meters.ts';
import { Peer } from './peer.ts';
import {
  type ForwardedOperation,
  ForwardStatus,
  ItemKind,
  readHlc,
  readOperation,
  readResult,
  writeHlc,
  writeOperation,
  writeResult,
} from './peer-frame.ts';
import type { Replica } from './replica.ts';
import { emptyResult, type PendingRequest } from './request.ts';

const PARTITION = 2;

/** A node that leads the partition, and a peer that forwards to it. */
class Leader {
  readonly accepted: PendingRequest[] = [];
  /** Members that have said something in this term, with their boot. */
  readonly heard = new Map([[102, 9]]);
  readonly sent = new ByteWriter();
  private readonly peer = new Peer('peer:1');
  private readonly dispatcher: Dispatcher;

  constructor() {
    const clock = { monotonicMs: () => 1, wallMs: () => 1 };
    const replica = {
      leads: true,
      heardInTerm: this.heard,
      memberById: (id: number) => (id === 102 ? { replicaId: 102, nodeId: 0 } : undefined),
      accept: (request: PendingRequest) => this.accepted.push(request),
    } as unknown as Replica;
    const host: DispatchHost = {
      nodeId: 1,
      boot: 1,
      clock,
      hlc: new HybridClock(1, clock),
      routingTable: () => undefined,
      replica: () => replica,
      peerByNode: () => this.peer,
      writeTo: () => this.sent,
      scheduleFlush: () => undefined,
      accepting: true,
      meters: new Meters(),
    };
    const limits = { leaderMs: 1, outcomeMs: 1, maxRequests: 1 };
    this.dispatcher = new Dispatcher(host, limits, new LatencyHistogram(), new LatencyHistogram());
    this.peer.connected = true;
    this.peer.boot = 9;
  }

  forward(operation: ForwardedOperation): void {
    const writer = new ByteWriter();
    writer.varint(5);
    writer.varint(PARTITION);
    writer.u8(0);
    writeHlc(writer, HLC_ZERO);
    writeOperation(writer, operation);
    const header = { senderBoot: 9, receiverBoot: 1, number: 1, allegiance: 1, clock: HLC_ZERO };
    this.dispatcher.takeForward(new ByteReader(writer.finish()), header, this.peer);
  }

  /** It went back as surely not executed. */
  get refused(): boolean {
    const reader = new ByteReader(this.sent.finish());
    return reader.remaining > 0 && [reader.u8(), reader.varint(), reader.u8()][2] === ForwardStatus.NotLeader;
  }

  /** Type of the answer that went back; undefined: none did. */
  get answered(): number | undefined {
    const reader = new ByteReader(this.sent.finish());
    if (reader.remaining === 0) return undefined;
    expect([reader.u8(), reader.varint(), reader.u8()]).toEqual([ItemKind.ForwardAnswer, 5, ForwardStatus.Executed]);
    return readResult(reader).type;
  }
}

const create = { kind: 'sequence-create', key: 's', initialValue: 0n, maxValue: undefined, blockSize: undefined } as const;
const lock = { kind: 'lock-acquire', key: 'l', owner: new Uint8Array(1), durability: 1 } as const;
const hold = { kind: 'hold-acquire', newHoldId: 'a', holderId: 'h', timestamp: { n: 0, l: 1, c: 0 } } as const;
const prune: Extract<HistoryCommand, { kind: 'prune-history' }> = {
  kind: 'prune-history',
  retentionCount: 1,
  retentionAgeMs: 0,
  ceiling: HLC_ZERO,
  floor: HLC_ZERO,
  keys: [],
};

describe('D3: a write whose node was not heard from in this term may have been meant for an earlier one', () => {
  const HEARD: [string, (leader: Leader) => unknown, boolean][] = [
    ['has said something', () => undefined, false],
    ['has said nothing', leader => leader.heard.clear(), true],
    ['spoke in its former life', leader => leader.heard.set(102, 8), true],
    ['is silent, another was heard', leader => leader.heard.clear() ?? leader.heard.set(103, 9), true],
  ];
  for (const [what, change, late] of HEARD) {
    test(`the node ${what}`, () => {
      const leader = new Leader();
      change(leader);
      leader.forward({ ...create, increment: 1n });
      leader.forward({ kind: 'sequence-get', key: 's' });
      expect(leader.accepted.map(request => request.repeat)).toEqual([late, false]);
      leader.forward({ ...lock, expiresMs: 1, durability: 0 });
      expect([leader.accepted.length, leader.refused]).toEqual(late ? [2, true] : [3, false]);
    });
  }
});

describe('what a peer forwards', () => {
  const harmful: [string, ForwardedOperation][] = [
    ['an increment of nothing, by which applying would divide', { ...create, increment: 0n }],
    ['a falling sequence', { ...create, increment: -1n }],
    ['a run of no values', { kind: 'sequence-reserve', key: 's', count: 0, idempotencyKey: '' }],
    ['a name without letters', { kind: 'sequence-delete', key: ' ' }],
    ['a lease of no time', { ...lock, expiresMs: 0 }],
    ['a lease that no clock can hold', { ...lock, expiresMs: 2 ** 50 }],
    ['a hold beyond all time', { ...hold, leaseMs: 2 ** 50 }],
    ['the removal of history', { ...prune, keys: [{ key: 'k', from: 0, below: 2 ** 50 }] }],
  ];
  for (const [what, operation] of harmful) {
    test(`is refused before it stands in the log: ${what}`, () => {
      const leader = new Leader();
      leader.forward(operation);
      expect(leader.accepted).toEqual([]);
      expect(leader.answered).toBe(ResponseType.InvalidInput);
    });
  }

  const sound: ForwardedOperation[] = [
    { ...create, increment: 1n },
    { kind: 'sequence-reserve', key: 's', count: 1, idempotencyKey: 'k' },
    { ...lock, expiresMs: 1 },
    { ...hold, leaseMs: 1 },
    { kind: 'hold-floor' },
    { kind: 'raise-ceiling', to: { n: 0, l: 1, c: 0 } },
    prune,
    { kind: 'delete', key: 'k', durability: 1 },
  ];
  for (const operation of sound) {
    test(`is taken: ${operation.kind}`, () => {
      const leader = new Leader();
      leader.forward(operation);
      expect(leader.accepted.map(request => request.operation)).toEqual([operation]);
      expect(leader.answered).toBeUndefined();
    });
  }
});

/** A node that knows who leads the partition, and forwards to it. */
class Asker {
  readonly sent = new ByteWriter();
  readonly answers: [token: number, result: OperationResult][] = [];
  private readonly dispatcher: Dispatcher;

  constructor() {
    const clock = { monotonicMs: () => 1, wallMs: () => 1 };
    const peer = new Peer('peer:1');
    peer.connected = true;
    const host: DispatchHost = {
      nodeId: 1,
      boot: 1,
      clock,
      hlc: new HybridClock(1, clock),
      routingTable: () => new RoutingTable(1, 1),
      replica: () => ({ leads: false, leaderNode: 2 }) as unknown as Replica,
      peerByNode: () => peer,
      writeTo: () => this.sent,
      scheduleFlush: () => undefined,
      accepting: true,
      meters: new Meters(),
    };
    const limits = { leaderMs: 1000, outcomeMs: 1000, maxRequests: 10 };
    this.dispatcher = new Dispatcher(host, limits, new LatencyHistogram(), new LatencyHistogram());
  }

  ask(operation: GetOperation): void {
    this.dispatcher.submit(operation, { complete: (token, result) => this.answers.push([token, result]) }, 7, 0);
  }

  /** What left, which the leader answers. */
  leaderAnswers(answer: (operation: ForwardedOperation) => OperationResult): void {
    const reader = new ByteReader(this.sent.finish());
    expect(reader.u8()).toBe(ItemKind.Forward);
    const number = reader.varint();
    reader.varint();
    reader.u8();
    readHlc(reader);
    const result = answer(readOperation(reader));
    expect(reader.remaining).toBe(0);
    const writer = new ByteWriter();
    writer.varint(number);
    writer.u8(ForwardStatus.Executed);
    writeResult(writer, result);
    this.dispatcher.takeForwardAnswer(new ByteReader(writer.finish()));
  }
}

describe('what is forwarded', () => {
  test.each(['get', 'exists'] as const)('keyvalues:H2 a miss at a revision beyond all counting repeats it: %s', kind => {
    const asker = new Asker();
    const revision = Number.MAX_SAFE_INTEGER;
    asker.ask({ kind, key: 'k', revision, readTimestamp: HLC_ZERO, durability: 1 });
    asker.leaderAnswers(operation => {
      if (!('revision' in operation)) throw new Error('a read was forwarded as something else');
      return { ...emptyResult(ResponseType.DoesNotExist), revision: operation.revision };
    });
    expect(asker.answers).toMatchObject([[7, { type: ResponseType.DoesNotExist, revision }]]);
  });

  test('a refusal has no revision, whichever was asked for', () => {
    const asker = new Asker();
    asker.ask({ kind: 'get', key: 'k', revision: Number.MAX_SAFE_INTEGER, readTimestamp: HLC_ZERO, durability: 1 });
    asker.leaderAnswers(() => emptyResult(ResponseType.InvalidInput));
    expect(asker.answers).toMatchObject([[7, { type: ResponseType.InvalidInput, revision: 0 }]]);
  });
});
