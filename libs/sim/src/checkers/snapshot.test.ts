import { describe, expect, it } from 'vitest';
import { checkSnapshots, type HoldCall, type SeenVersion, type SnapshotEvent, type SnapshotRead } from './snapshot.ts';

// The present is a number of milliseconds; a write takes one, at the end of which it is stamped and answered.
const stamp = (l: number) => ({ n: 1, l, c: 0 });
const version = (key: string, revision: number, l: number): SeenVersion => ({
  value: `${key}=${revision}`,
  revision,
  stamp: stamp(l),
});

function write(kind: 'set' | 'delete', key: string, revision: number, l: number, isKnown = true): SnapshotEvent {
  const answer = isKnown ? { revision, stamp: stamp(l) } : undefined;
  return { kind, key, value: kind === 'set' ? `${key}=${revision}` : '', invokedAt: l - 1, completedAt: l, answer };
}

function read(at: number | undefined, from: number, rows: readonly SeenVersion[] | 'pruned', keys = ['a', 'b']): SnapshotRead {
  const seen = rows === 'pruned' ? rows : new Map(rows.map(row => [row.value.charAt(0), row]));
  return {
    ...{ kind: 'read', at: at === undefined ? undefined : stamp(at), keys },
    ...{ invokedAt: from, completedAt: from + 5, rows: seen },
  };
}

function hold(kind: HoldCall['kind'], from: number, granted: boolean | undefined, at = 30, leaseMs = 10_000): HoldCall {
  return { kind, hold: 'h', at: stamp(at), leaseMs, invokedAt: from, completedAt: from + 1, granted };
}

//         10 a=0   20 b=0   30 a=1   40 b deleted   50 b=1   60 a=2
const [A0, B0, A1, B1, A2] = [
  ...[version('a', 0, 10), version('b', 0, 20), version('a', 1, 30)],
  ...[version('b', 1, 50), version('a', 2, 60)],
] as [SeenVersion, SeenVersion, SeenVersion, SeenVersion, SeenVersion];
const WRITES = [
  ...[write('set', 'a', 0, 10), write('set', 'b', 0, 20), write('set', 'a', 1, 30)],
  ...[write('delete', 'b', 0, 40), write('set', 'b', 1, 50), write('set', 'a', 2, 60)],
];
const violation = (...events: SnapshotEvent[]): string | undefined => checkSnapshots([...WRITES, ...events]).violation;

describe('snapshots that nothing is wrong with', () => {
  it('every time shows its own cut, whenever it is read', () => {
    const cuts: [number, SeenVersion[]][] = [
      ...([
        [9, []],
        [10, [A0]],
        [25, [A0, B0]],
        [39, [A1, B0]],
      ] as [number, SeenVersion[]][]),
      ...([
        [40, [A1]],
        [50, [A1, B1]],
        [99, [A2, B1]],
      ] as [number, SeenVersion[]][]),
    ];
    expect(violation(...cuts.flatMap(([at, rows]) => [read(at, 100, rows), read(at, 9000, rows)]))).toBeUndefined();
  });
  it('a latest read shows an instant between call and answer', () => {
    expect(violation(read(undefined, 26, [A0, B0]), read(undefined, 26, [A1, B0]))).toBeUndefined();
    expect(violation(read(undefined, 36, [A1, B0]), read(undefined, 36, [A1]))).toBeUndefined();
  });
  it('a write of unknown outcome counts when it is seen', () => {
    const unknown = write('set', 'a', 3, 70, false);
    expect(violation(unknown, read(80, 100, [A2, B1]))).toBeUndefined();
    expect(violation(unknown, read(80, 100, [version('a', 3, 75), B1]))).toBeUndefined();
  });
  it('a delete of unknown outcome may have happened at any time', () => {
    expect(violation(write('delete', 'a', 2, 70, false), read(90, 100, [B1]), read(80, 100, [A2, B1]))).toBeUndefined();
  });
  it('history that nothing holds may be gone', () => {
    expect(violation(read(20, 100, 'pruned'))).toBeUndefined();
    expect(violation(hold('acquire', 100, true), read(20, 200, 'pruned'))).toBeUndefined();
    expect(violation(hold('acquire', 100, false), read(40, 200, 'pruned'))).toBeUndefined();
    expect(violation(hold('acquire', 100, true), hold('release', 150, undefined), read(40, 200, 'pruned'))).toBeUndefined();
    expect(violation(hold('acquire', 100, true), read(40, 9700, 'pruned'))).toBeUndefined();
    expect(checkSnapshots([...WRITES, read(20, 100, 'pruned')]).prunedReads).toBe(1);
  });
  it('reads inside holds are counted', () => {
    const reads = [read(30, 100, [A1, B0]), read(30, 200, [A1, B0]), read(99, 300, [A2, B1])];
    const report = checkSnapshots([...WRITES, hold('acquire', 150, true), ...reads]);
    expect(report).toEqual({ violation: undefined, heldReads: 2, heldReadsOfThePast: 1, prunedReads: 0 });
  });
  it('the floor tells of holds', () => {
    const floor = { kind: 'floor', invokedAt: 200, completedAt: 201, floor: stamp(30), liveHolds: 1 } as const;
    expect(violation(hold('acquire', 100, true), floor)).toBeUndefined();
    expect(violation({ ...floor, liveHolds: 0, floor: stamp(0) })).toBeUndefined();
  });
});

describe('snapshots that something is wrong with', () => {
  it('SN1 one revision, two values', () => {
    expect(violation(write('set', 'a', 7, 70), read(99, 100, [{ ...version('a', 7, 70), stamp: stamp(71) }, B1]))).toContain(
      'SN1',
    );
  });
  it('SN1 a value that nobody wrote, or wrote to another key', () => {
    expect(violation(read(99, 100, [version('a', 3, 70)]))).toContain('SN1');
    const moved = new Map([['a', { ...B1, revision: 3 }]]);
    expect(violation({ ...read(99, 100, []), rows: moved })).toContain('SN1');
  });
  it('SN1 a value is read before it is written', () => {
    expect(violation(read(99, 2, [A2, B1]))).toContain('SN1');
  });
  it('SN1 a stamp falls', () => {
    expect(violation(write('set', 'a', 3, 45))).toContain('SN1');
  });
  it('SN2 a torn cut: one key of an older time than the other', () => {
    expect(violation(read(99, 100, [A1, B1]))).toContain('SN2');
    expect(violation(read(39, 100, [A0, B0]))).toContain('SN2');
  });
  it('SN2 a version of a later time', () => {
    expect(violation(read(25, 100, [A1, B0]))).toContain('SN2');
  });
  it('SN2 a key is missing, or there though it was deleted', () => {
    expect(violation(read(30, 100, [A1]))).toContain('SN2');
    expect(violation(read(45, 100, [A1, B0]))).toContain('SN2');
  });
  it('SN2 a key is missing, and the only delete that could be why came too late', () => {
    expect(violation(write('delete', 'a', 2, 70, false), read(50, 100, [B1]))).toContain('SN2');
  });
  it('SN2 a version is there after a later one, which nobody saw, was deleted', () => {
    expect(violation(write('delete', 'a', 3, 80), read(90, 100, [B1]))).toBeUndefined();
    expect(violation(write('delete', 'a', 3, 80), read(90, 100, [A2, B1]))).toContain('SN2');
  });
  it('SN2 a later write is stamped into what was read', () => {
    expect(violation(read(99, 100, [A2, B1]), { ...write('set', 'a', 3, 80), invokedAt: 200, completedAt: 210 })).toContain(
      'SN2',
    );
  });
  it('SN2 the same time is read differently', () => {
    const unknown = write('delete', 'a', 2, 70, false);
    expect(violation(unknown, read(90, 100, [B1]), read(90, 200, [A2, B1]))).toContain('SN2');
  });
  it('SN3 a latest read mixes two instants', () => {
    expect(violation(read(undefined, 8, [A0, B1]))).toContain('SN');
    const slow = { ...read(undefined, 8, [A0, B1]), completedAt: 70 };
    expect(violation(slow)).toContain('SN3');
  });
  it('SN3 a latest read is older than an acknowledged write', () => {
    expect(violation(read(undefined, 100, [A1, B1]))).toContain('SN3');
    expect(violation(read(undefined, 45, [A1, B0]))).toContain('SN3');
  });
  it('SN4 held history is refused', () => {
    const refused = read(30, 200, 'pruned');
    expect(violation(hold('acquire', 100, true), refused)).toContain('SN4');
    expect(violation(hold('acquire', 100, true), read(40, 200, 'pruned'))).toContain('SN4');
    const renewed = [hold('acquire', 100, true, 30, 1000), hold('renew', 500, true), hold('renew', 600, undefined)];
    expect(violation(...renewed, read(30, 8000, 'pruned'))).toContain('SN4');
  });
  it('SN5 the floor forgets a hold', () => {
    const floor = { kind: 'floor', invokedAt: 200, completedAt: 201, floor: stamp(0), liveHolds: 0 } as const;
    expect(violation(hold('acquire', 100, true), floor)).toContain('SN5');
    expect(violation(hold('acquire', 100, true), { ...floor, liveHolds: 1, floor: stamp(40) })).toContain('SN5');
  });
});
