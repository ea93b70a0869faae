import type { NodeRow, PartitionRow } from '@kahuna/console/protocol';
import { describe, expect, test } from 'vitest';
import { planMoves, spreadOf } from './leader-plan.ts';
import type { ClusterView } from './view.ts';

/** A view of three nodes in which `leaders[i]` leads partition i; 0: nobody. */
function viewOf(leaders: readonly number[], change: { readonly dead?: number; readonly behind?: number } = {}): ClusterView {
  const nodes = [1, 2, 3].map(nodeId => ({ nodeId, role: 'Voter', state: nodeId === change.dead ? 'dead' : 'live' }));
  const partitions = leaders.map((leader, partitionId) => ({
    partitionId,
    leader: leader === 0 ? null : { nodeId: leader, term: '1', sinceMs: 0 },
    flags: [],
    replicas: [1, 2, 3].map(nodeId => ({
      nodeId,
      role: 'Voter',
      lag: nodeId === change.behind ? '5000' : '0',
      state: 'replicate',
    })),
  }));
  return {
    nowMs: 0,
    selfId: 1,
    initialized: true,
    nodes: nodes as unknown as NodeRow[],
    partitions: partitions as unknown as PartitionRow[],
    reach: [],
    sourceAges: [],
  };
}

const counts = (leaders: ReadonlyMap<number, number>): number[] => [1, 2, 3].map(id => leaders.get(id) ?? -1);

describe('console:§7.2 which leaders move', () => {
  test('from the one with too many to those with too few, and no further', () => {
    const view = viewOf([2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    const { moves, after } = planMoves(view, 1000);
    expect([counts(spreadOf(view)), counts(after)]).toEqual([
      [1, 9, 0],
      [3, 4, 3],
    ]);
    expect(moves).toHaveLength(5);
    expect(moves.every(m => m.from === 2)).toBe(true);
  });

  test.each([[[1, 2, 3]], [[1, 1, 2, 3]], [[1, 1, 2, 2, 3]], [[]]])('even leaders stay where they are: %j', leaders => {
    expect(planMoves(viewOf(leaders), 1000).moves).toEqual([]);
  });

  test('a dead node gets none, and what nobody leads cannot move', () => {
    const { moves, after } = planMoves(viewOf([2, 2, 2, 2, 0], { dead: 3 }), 1000);
    expect(moves.map(m => m.to)).toEqual([1, 1]);
    expect([after.get(1), after.get(2), after.has(3)]).toEqual([2, 2, false]);
  });

  test('a replica that is far behind gets none', () => {
    expect(planMoves(viewOf([2, 2, 2], { behind: 3 }), 1000).moves.map(m => m.to)).toEqual([1]);
  });
});
