import { ByteReader, ByteWriter, HLC_ZERO, HybridClock } from '@kahuna/base';
import { type HistoryCommand, ResponseType } from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { LatencyHistogram } from './latency.ts';
import { Meters } from './meters.ts';
import { Peer } from './peer.ts';
import { type ForwardedOperation, ForwardStatus, ItemKind, readResult, writeHlc, writeOperation } from './peer-frame.ts';
import type { Replica } from './replica.ts';
import type { PendingRequest } from './request.ts';

const PARTITION = 2;

/** A node that leads the partition, and a peer that forwards to it. */
class Leader {
  readonly accepted: PendingRequest[] = [];
  readonly sent = new ByteWriter();
  private readonly peer = new Peer('peer:1');
  private readonly dispatcher: Dispatcher;

  constructor() {
    const clock = { monotonicMs: () => 1, wallMs: () => 1 };
    const replica = { leads: true, accept: (request: PendingRequest) => this.accepted.push(request) } as unknown as Replica;
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
