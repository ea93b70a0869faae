import { describe, expect, test } from 'vitest';
import type { PartitionRow } from '../../protocol/messages.ts';
import { summary } from '../../ui/line-model.ts';
import { pointsOf } from '../overview/series-model.ts';
import { matchesText, maxLag, sorted } from '../partitions/columns.ts';
import { cellOf, groupsOf, hasProblem, heatStep, lagStep } from './cell-model.ts';

function partition(change: Partial<PartitionRow> = {}): PartitionRow {
  const replica = (nodeId: number, lag: string | null) => ({ nodeId, role: 'Voter' as const, state: 'replicate' as const, lag });
  return {
    partitionId: 4,
    kind: 'hash',
    state: 'Active',
    leader: { nodeId: 2, term: '3', sinceMs: 0 },
    term: '3',
    replicas: [replica(1, '0'), replica(2, '0'), replica(3, '5000')],
    quorum: { needed: 2, reachable: 3 },
    targetReplicationFactor: null,
    commitIndex: '10',
    appliedIndex: '10',
    durableIndex: '10',
    firstIndex: '1',
    load: { readsPerSec: 1, writesPerSec: 2, clientQueue: 0, commitP99Ms: null },
    size: { keys: 1, bytes: null, approximate: false },
    flags: [],
    checksum: null,
    source: 2,
    ...change,
  };
}

describe('cells of the map', () => {
  test.each([
    [2, true, 'leader'],
    [1, true, 'voter'],
    [3, true, 'voter, behind'],
    [1, false, 'voter, unreachable'],
    [2, false, 'last known leader'],
    [9, true, 'no replica'],
  ])('C8: node %d, reachable %s, is told as %s', (nodeId, reachable, word) => {
    expect(cellOf(partition(), nodeId, reachable, 'fresh').word).toBe(word);
  });

  test('an election and a stale source are told beside the role', () => {
    const cell = cellOf(partition({ leader: null, flags: ['electing'] }), 1, true, 'stale');
    expect(cell).toMatchObject({ word: 'voter, electing', moving: true, stale: true });
  });

  test.each([
    [null, null],
    [0, 0],
    [0.05, 1],
    [0.1, 2],
    [0.9, 2],
    [1, 3],
    [99, 4],
    [1_000, 6],
    [5_000_000, 8],
  ])('%s per second is step %s of the absolute scale', (perSec, step) => {
    expect(heatStep(perSec)).toBe(step);
  });

  test('C1: an unknown lag has no colour', () => {
    expect([lagStep(null), lagStep('0'), lagStep('1'), lagStep('1000')]).toEqual([null, 0, 2, 5]);
  });

  test('groups in the order of the kinds, partitions by number', () => {
    const rows = [partition({ partitionId: 10 }), partition({ partitionId: 2 }), partition({ partitionId: 0, kind: 'system' })];
    expect(groupsOf(rows).map(g => [g.id, g.partitionIds])).toEqual([
      ['system', ['0']],
      ['hash', ['2', '10']],
    ]);
  });
});

describe('partitions table', () => {
  test('problems come first, and unknown values last in either direction', () => {
    const fine = partition({ partitionId: 1 });
    const troubled = partition({ partitionId: 9, leader: null });
    expect(hasProblem(troubled)).toBe(true);
    expect(sorted([fine, troubled], undefined, false).map(r => r.partitionId)).toEqual([9, 1]);
    expect(sorted([troubled, fine], 'leader', false).map(r => r.partitionId)).toEqual([1, 9]);
    expect(sorted([troubled, fine], 'leader', true).map(r => r.partitionId)).toEqual([1, 9]);
  });

  test('the filter knows numbers, kinds, flags and leaders', () => {
    const row = partition({ flags: ['quiescent'] });
    const name = (id: number) => `node-${id}`;
    expect(['p4', '4', 'hash', 'quiesc', 'node-2', ''].map(q => matchesText(row, q, name))).toEqual(Array(6).fill(true));
    expect(matchesText(row, 'p44', name)).toBe(false);
    expect(maxLag(row)).toBe(5000);
  });
});

describe('series', () => {
  test('a time nobody recorded breaks the line; older buckets leave the window', () => {
    const item = (atMs: number, reads: number | null) => ({ seq: String(atMs), atMs, values: { reads } });
    const points = pointsOf([item(0, 9), item(400_000, 1), item(401_000, null), item(410_000, 3)], '5min', 410_000);
    expect(points).toEqual([
      { atMs: 400_000, reads: 1 },
      { atMs: 401_000, reads: null },
      { atMs: 402_000 },
      { atMs: 410_000, reads: 3 },
    ]);
    expect(summary(points, 'reads')).toEqual({ newest: 3, most: 3 });
    // Coarser buckets of a time in which nobody looked belong together.
    const coarse = { ...item(380_000, 7), stepMs: 10_000 };
    expect(pointsOf([coarse, { ...coarse, atMs: 390_000 }, item(400_000, 1)], '5min', 410_000)).toHaveLength(3);
    expect(summary([], 'reads')).toEqual({ newest: null, most: null });
  });
});
