import { expect, test } from 'vitest';
import type { Measurement } from './compare.ts';
import { goalsFor, throughputGoalsTable } from './goals.ts';

const measured = (contestant: string, workers: number, perSecond: number): Measurement => ({
  ...{ contestant, operation: 'next', workers, perSecond, p50Ms: 1, p99Ms: 1, p999Ms: 1 },
  ...{ clientCpuUs: 1, leaderCpuUs: 1, followerCpuUs: 1, errors: 0, rounds: [perSecond] },
});

test('a goal is judged by the ratio of the same load, and left out where one side was not measured', () => {
  const goals = goalsFor({ what: 'next', operation: 'next', ours: 'kahuna', theirs: 'etcd', atLeast: 10 }, [1, 16, 64]);
  const all = [measured('kahuna', 1, 100), measured('etcd', 1, 10), measured('kahuna', 16, 99), measured('etcd', 16, 10)];
  expect(throughputGoalsTable(all, goals)?.split('\n').slice(2)).toEqual([
    '| next, 1 worker: kahuna to etcd | ≥ 10 × | 10.0 × | yes |',
    '| next, 16 workers: kahuna to etcd | ≥ 10 × | 9.90 × | no |',
  ]);
  expect(throughputGoalsTable([measured('kahuna', 1, 100)], goals)).toBeUndefined();
});
