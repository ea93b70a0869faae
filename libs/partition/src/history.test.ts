import { HLC_ZERO, type Hlc } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { del, endOf, exists, get, LATEST, PersistentBench, set } from '../test/replica.ts';
import { type Command, Durability, type OperationResult, type PartitionQuery, ResponseType, SetFlag } from './index.ts';

const decode = new TextDecoder();

function text(answer: OperationResult | undefined): string | null {
  return answer?.value == null ? null : decode.decode(answer.value);
}

function bucket(keySpace: string, readTimestamp: Hlc): PartitionQuery {
  return {
    shape: { kind: 'space', keySpace, lower: undefined, upper: undefined },
    readTimestamp,
    plain: false,
    durability: Durability.Persistent,
    maxRows: 4096,
  };
}

/** Partition 1, as holds and pruners ask it. */
class Meta {
  readonly bench = new PersistentBench({ partitionId: 1 });

  ask(command: Command): OperationResult {
    return this.bench.runAll([command])[0] as OperationResult;
  }

  acquire(timestamp: Hlc, leaseMs = 60_000, newHoldId = 'a'.repeat(32), holderId = 'h'): OperationResult {
    return this.ask({ kind: 'hold-acquire', newHoldId, holderId, timestamp, leaseMs });
  }

  floor(): { floor: Hlc; live: number } {
    const answer = this.ask({ kind: 'hold-floor' });
    expect(answer.type).toBe(ResponseType.Get);
    return { floor: answer.lastModified, live: answer.revision };
  }

  raise(to: Hlc): Hlc {
    return this.ask({ kind: 'raise-ceiling', to }).lastModified;
  }
}

describe('snapshot holds', () => {
  const T: Hlc = { n: 42, l: 1_704_067_200_000, c: 7 };

  test('keyvalues:S1 keyvalues:S2 keyvalues:S3 keyvalues:S4 keyvalues:S5 a hold lives from acquire to release', () => {
    const meta = new Meta();
    const first = meta.acquire(T);
    expect(first).toMatchObject({ type: ResponseType.Set, expires: { l: meta.bench.lastStamp.l + 60_000 } });
    expect(text(first)).toBe('a'.repeat(32));
    expect(meta.floor()).toEqual({ floor: T, live: 1 });
    meta.bench.nowMs += 100;
    const again = meta.acquire(T, 60_000, 'b'.repeat(32));
    expect(text(again)).toBe('a'.repeat(32));
    expect(again.expires.l).toBe(first.expires.l + 100);
    const renewed = meta.ask({ kind: 'hold-renew', holdId: 'a'.repeat(32), leaseMs: 120_000 });
    expect(renewed.type).toBe(ResponseType.Set);
    expect(renewed.expires.l).toBeGreaterThan(again.expires.l);
    expect(meta.ask({ kind: 'hold-release', holdId: 'a'.repeat(32) }).type).toBe(ResponseType.Deleted);
    expect(meta.floor()).toEqual({ floor: HLC_ZERO, live: 0 });
    expect(meta.ask({ kind: 'hold-renew', holdId: 'a'.repeat(32), leaseMs: 1 }).type).toBe(ResponseType.DoesNotExist);
    expect(meta.ask({ kind: 'hold-release', holdId: 'a'.repeat(32) }).type).toBe(ResponseType.DoesNotExist);
  });

  test('keyvalues:S6 the floor is the smallest timestamp held', () => {
    const meta = new Meta();
    const at = (l: number): Hlc => ({ n: 1, l, c: 0 });
    meta.acquire(at(1000), 60_000, '1'.repeat(32));
    meta.acquire(at(2000), 60_000, '2'.repeat(32));
    expect(meta.floor()).toEqual({ floor: at(1000), live: 2 });
    meta.ask({ kind: 'hold-release', holdId: '1'.repeat(32) });
    expect(meta.floor()).toEqual({ floor: at(2000), live: 1 });
  });

  test('keyvalues:S7 an expired hold counts for nothing, and its pair gets a new id', () => {
    const meta = new Meta();
    meta.acquire(T, 200);
    meta.bench.nowMs += 201;
    expect(meta.floor()).toEqual({ floor: HLC_ZERO, live: 0 });
    expect(meta.ask({ kind: 'hold-renew', holdId: 'a'.repeat(32), leaseMs: 1000 }).type).toBe(ResponseType.DoesNotExist);
    expect(meta.ask({ kind: 'hold-release', holdId: 'a'.repeat(32) }).type).toBe(ResponseType.DoesNotExist);
    expect(text(meta.acquire(T, 200, 'c'.repeat(32)))).toBe('c'.repeat(32));
  });

  test('keyvalues:S12 holds and ceiling survive a restart', () => {
    const meta = new Meta();
    meta.raise({ n: 1, l: 900, c: 3 });
    meta.acquire({ n: -5, l: 1000, c: 0xffff_ffff });
    meta.acquire({ n: 1, l: Number.MAX_SAFE_INTEGER, c: 0 }, 60_000, 'f'.repeat(32));
    meta.bench.settle();
    expect(meta.floor()).toEqual({ floor: { n: -5, l: 1000, c: 0xffff_ffff }, live: 2 });
    expect(meta.bench.replica.machine.holds.holds[1]?.timestamp).toEqual({ n: 1, l: Number.MAX_SAFE_INTEGER, c: 0 });
    expect(meta.bench.replica.machine.holds.ceiling).toEqual({ n: 1, l: 900, c: 3 });
  });

  test('keyvalues:§10.3 the ceiling never passes a live hold, and no hold is granted below it', () => {
    const meta = new Meta();
    const at = (l: number): Hlc => ({ n: 1, l, c: 0 });
    expect(meta.raise(at(500))).toEqual(at(500));
    expect(meta.acquire(at(499))).toMatchObject({ type: ResponseType.Aborted, value: null, expires: HLC_ZERO });
    expect(meta.acquire(at(600)).type).toBe(ResponseType.Set);
    expect(meta.raise(at(800))).toEqual(at(600));
    expect(meta.raise(at(100))).toEqual(at(600));
    meta.ask({ kind: 'hold-release', holdId: 'a'.repeat(32) });
    expect(meta.raise(at(800))).toEqual(at(800));
    const future = meta.raise(at(10 ** 12));
    expect(future.l).toBeLessThanOrEqual(meta.bench.lastStamp.l);
  });

  test('a data partition keeps no holds', () => {
    const bench = new PersistentBench();
    expect(bench.runAll([{ kind: 'hold-floor' }])[0]?.type).toBe(ResponseType.MustRetry);
  });
});

/** Ten versions of one key, a millisecond apart; r0 is committed at 1_000_001. */
function tenVersions(settle: 'memory' | 'flushing' | 'flushed' | 'restarted'): PersistentBench {
  const bench = new PersistentBench();
  bench.run(set('p/b', 'only'));
  for (let i = 0; i < 10; i++) {
    bench.nowMs++;
    bench.run(set('p/a', `v${i}`));
    if (settle === 'flushing' && i === 6) bench.replica.beginFlush();
  }
  bench.nowMs++;
  bench.run(set('p/c', 'later'));
  if (settle === 'flushed') bench.replica.flush();
  if (settle === 'restarted') bench.settle();
  return bench;
}

/** Removes r0 to r6 of p/a: r7 superseded r6 eight milliseconds after the start. */
function prune(bench: PersistentBench): OperationResult {
  const floor = { n: 7, l: 1_000_008, c: 0 };
  return bench.runAll([
    {
      kind: 'prune-history',
      retentionCount: 3,
      retentionAgeMs: 0,
      ceiling: floor,
      floor,
      keys: [{ key: 'p/a', from: 0, below: 7 }],
    },
  ])[0] as OperationResult;
}

for (const before of ['memory', 'flushing', 'flushed', 'restarted'] as const) {
  for (const after of ['at once', 'flushed', 'restarted'] as const) {
    test(`keyvalues:H19 keyvalues:H20 keyvalues:H23 pruned while ${before}, read ${after}`, () => {
      const bench = tenVersions(before);
      expect(prune(bench).type).toBe(ResponseType.Set);
      expect(bench.replica.machine.prunedFloor).toEqual({ n: 7, l: 1_000_008, c: 0 });
      if (after === 'flushed') bench.replica.flush();
      if (after === 'restarted') bench.settle();

      for (const kept of [9, 8, 7]) expect(text(bench.run(get('p/a', { revision: kept })))).toBe(`v${kept}`);
      for (const gone of [6, 3, 0]) {
        expect(bench.run(get('p/a', { revision: gone }))).toMatchObject({ type: ResponseType.DoesNotExist, revision: gone });
      }
      expect(text(bench.run(get('p/a')))).toBe('v9');

      const early = endOf(1_000_004);
      expect(bench.run(get('p/a', { asOf: early }))).toMatchObject({ type: ResponseType.Aborted, revision: 0, value: null });
      expect(bench.run(exists('p/a', { asOf: early })).type).toBe(ResponseType.Aborted);
      expect(bench.run(get('p/b', { asOf: early }))).toMatchObject({ type: ResponseType.Get, revision: 0 });
      expect(bench.run(get('p/c', { asOf: early }))).toMatchObject({ type: ResponseType.DoesNotExist, revision: -1 });
      expect(bench.run(get('p/never', { asOf: early }))).toMatchObject({ type: ResponseType.DoesNotExist, revision: -1 });
      expect(bench.replica.scan(bucket('p', early), bench.nowMs).aborted).toBe(true);
      expect(bench.replica.scan({ ...bucket('p', early), shape: { kind: 'prefix', prefix: 'p' } }, bench.nowMs).aborted).toBe(
        true,
      );

      // From the floor on everything is as it was.
      const atFloor = { n: 7, l: 1_000_008, c: 0 };
      expect(text(bench.run(get('p/a', { asOf: atFloor })))).toBe('v7');
      expect(bench.replica.scan(bucket('p', atFloor), bench.nowMs).rows.map(row => row.key)).toEqual(['p/a', 'p/b']);
      expect(bench.replica.scan(bucket('p', LATEST), bench.nowMs).rows).toHaveLength(3);

      bench.nowMs++;
      bench.run(del('p/a'));
      expect(bench.run(set('p/a', 'again'))).toMatchObject({ type: ResponseType.Set, revision: 10 });
      expect(text(bench.run(get('p/a', { revision: 9 })))).toBe('v9');
    });
  }
}

describe('pruning', () => {
  test('keyvalues:§10.3 a scan that is under way keeps the history of its view', () => {
    for (const flushed of [true, false]) {
      const bench = tenVersions(flushed ? 'flushed' : 'memory');
      const finish = bench.replica.beginScan(bucket('p', endOf(1_000_004)), bench.nowMs);
      prune(bench);
      bench.replica.flush();
      expect(finish().rows.map(row => text(row.result))).toEqual(['v3', 'only']);
    }
  });

  test('a command whose floor passes its ceiling does nothing', () => {
    const bench = tenVersions('memory');
    const ceiling = { n: 7, l: 1_000_007, c: 0 };
    const floor = { n: 7, l: 1_000_008, c: 0 };
    const refused = bench.runAll([
      { kind: 'prune-history', retentionCount: 3, retentionAgeMs: 0, ceiling, floor, keys: [{ key: 'p/a', from: 0, below: 7 }] },
    ])[0];
    expect(refused?.type).toBe(ResponseType.NotSet);
    expect(text(bench.run(get('p/a', { revision: 0 })))).toBe('v0');
  });

  test('keyvalues:§10.2 repeated and overlapping prunings come to the same', () => {
    const bench = tenVersions('memory');
    prune(bench);
    bench.replica.beginFlush();
    const floor = { n: 7, l: 1_000_009, c: 0 };
    bench.runAll([
      {
        kind: 'prune-history',
        retentionCount: 2,
        retentionAgeMs: 0,
        ceiling: floor,
        floor,
        keys: [{ key: 'p/a', from: 0, below: 8 }],
      },
    ]);
    prune(bench);
    bench.settle();
    expect(bench.run(get('p/a', { revision: 7 })).type).toBe(ResponseType.DoesNotExist);
    expect(text(bench.run(get('p/a', { revision: 8 })))).toBe('v8');
    expect(bench.replica.machine.prunedFloor).toEqual(floor);
  });

  test('keyvalues:H5 a marker without value still says what was current', () => {
    const bench = new PersistentBench();
    bench.run(set('r/3', 'A'));
    bench.nowMs += 1;
    bench.run(set('r/3', 'B', { flags: SetFlag.NoRevision }));
    bench.nowMs += 1;
    bench.run(set('r/3', 'C'));
    const floor = { n: 7, l: 1_000_001, c: 0 };
    bench.runAll([
      {
        kind: 'prune-history',
        retentionCount: 2,
        retentionAgeMs: 0,
        ceiling: floor,
        floor,
        keys: [{ key: 'r/3', from: 0, below: 1 }],
      },
    ]);
    bench.settle();
    expect(bench.run(get('r/3', { asOf: endOf(1_000_001) }))).toMatchObject({ type: ResponseType.DoesNotExist, revision: 1 });
    expect(bench.run(get('r/3', { asOf: endOf(1_000_000) })).type).toBe(ResponseType.Aborted);
    expect(text(bench.run(get('r/3', { asOf: endOf(1_000_002) })))).toBe('C');
  });
});
