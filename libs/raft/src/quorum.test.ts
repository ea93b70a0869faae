import { describe, expect, test } from 'vitest';
import { member, voters } from './cluster.test-support.ts';
import { hasQuorum, majorityValue, quorumValue } from './quorum.ts';

describe('quorums', () => {
  test.each([
    [[5], 5],
    [[5, 3], 3],
    [[9, 1, 4], 4],
    [[1, 4, 9], 4],
    [[4, 4, 1], 4],
    [[9, 7, 4, 4], 4],
    [[1, 9, 7, 4, 4], 4],
    [[1, 2, 3, 4, 5, 6, 7], 4],
    [[], Number.NEGATIVE_INFINITY],
  ])('a majority of %j reaches %d', (values, expected) => {
    expect(majorityValue(values, value => value)).toBe(expected);
  });

  test('in a joint configuration both majorities are needed', () => {
    const joint = { voters: [1, 2, 3].map(member), outgoing: [3, 4, 5].map(member), learners: [] };
    const has = (...ids: number[]): boolean => hasQuorum(joint, ({ replicaId }) => ids.includes(replicaId));
    expect([has(1, 2), has(4, 5), has(1, 2, 4), has(1, 3, 4), has(1, 2, 4, 5)]).toEqual([false, false, false, true, true]);
    const matches = [0, 9, 9, 2, 1, 7];
    expect(quorumValue(joint, ({ replicaId }) => matches[replicaId] as number)).toBe(2);
  });

  test('learners count for nothing, and nobody is no quorum', () => {
    const configuration = { ...voters(1, 2), learners: [member(3)] };
    expect(hasQuorum(configuration, ({ replicaId }) => replicaId !== 2)).toBe(false);
    expect(hasQuorum({ voters: [], outgoing: [], learners: [] }, () => true)).toBe(false);
  });
});
