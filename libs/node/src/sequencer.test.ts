import { HLC_ZERO } from '@kahuna/base';
import { type NamedRow, type OperationResult, type SequenceRecord, SequenceResponseType } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { ForwardStatus } from './peer-frame.ts';
import { PendingRequest, type RequestOrigin } from './request.ts';
import { Sequencer } from './sequencer.ts';

const live = {
  ...{ mark: 0n, initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: 4, incarnation: 1, stream: 0 },
  ...{ createdAt: HLC_ZERO, replays: new Map() },
};
const row = { asked: undefined, state: { revision: 0, updatedAt: HLC_ZERO, live } } as unknown as NamedRow<SequenceRecord>;
const policy = { lockSkewMs: 0, blockSize: 4, retentionMax: 10, retentionMs: 0 };

/** A sequencer whose entries are decided when a test says so. */
class Bench {
  readonly proposals: RequestOrigin[] = [];
  readonly refused: ForwardStatus[] = [];
  readonly sequencer: Sequencer;

  constructor(maxWaiting: number) {
    this.sequencer = new Sequencer({
      policy,
      maxBlocks: 0,
      maxWaiting,
      nowMs: () => 1,
      sequence: () => row,
      fetch: () => undefined,
      propose: (_command, origin) => void this.proposals.push(origin),
      evaluated: () => undefined,
    });
  }

  reserve(idempotencyKey = ''): OperationResult | undefined {
    return this.sequencer.take(this.request(idempotencyKey));
  }

  private request(idempotencyKey: string): PendingRequest {
    const origin: RequestOrigin = {
      answer: () => undefined,
      refuse: (request, status) => {
        request.done = true;
        this.refused.push(status);
      },
    };
    const operation = { kind: 'sequence-reserve', key: 's', count: 1, idempotencyKey } as const;
    return new PendingRequest(operation, 2, origin, undefined, 0, 1, 0, 1, 1, 1, HLC_ZERO, false);
  }
}

function typesOf(bench: Bench, count: number, key: (i: number) => string): (number | undefined)[] {
  return Array.from({ length: count }, (_, i) => bench.reserve(key(i))?.type);
}

const KEYS: [string, (i: number) => string][] = [
  ['without a key', () => ''],
  ['that repeat one key', () => 'k'],
];

for (const [what, key] of KEYS) {
  test(`invariant 13: reservations ${what} that wait for an entry are bounded`, () => {
    const bench = new Bench(3);
    const types = typesOf(bench, 10, key);
    const waiting = types.filter(type => type === undefined).length;
    // One of those with a key is the proposal itself and in no list.
    expect(waiting).toBe(key(0) === '' ? 3 : 4);
    expect(new Set(types)).toEqual(new Set([undefined, SequenceResponseType.MustRetry]));
  });

  test(`a stream that ends gives its room back: reservations ${what}`, () => {
    const bench = new Bench(3);
    for (let round = 1; round <= 5; round++) {
      const waiting = typesOf(bench, 10, key).filter(type => type === undefined).length;
      expect(waiting).toBe(key(0) === '' ? 3 : 4);
      for (const proposal of bench.proposals.splice(0)) {
        proposal.refuse({ done: false } as PendingRequest, ForwardStatus.NotLeader);
      }
      expect(bench.refused).toHaveLength(round * waiting);
    }
  });
}
