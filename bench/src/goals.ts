import type { Measurement } from './compare.ts';
import type { Operation } from './load/target.ts';
import { figure, table } from './statistics.ts';

/** A goal of a comparison: our throughput as a multiple of another's under the same load, at least. */
export interface ThroughputGoal {
  readonly text: string;
  readonly operation: Operation;
  readonly workers: number;
  readonly ours: string;
  readonly theirs: string;
  readonly atLeast: number;
}

/** One goal for each number of workers. */
export function goalsFor(
  goal: Omit<ThroughputGoal, 'text' | 'workers'> & { readonly what: string },
  workers: readonly number[],
): readonly ThroughputGoal[] {
  const { what, ...rest } = goal;
  return workers.map(count => ({ ...rest, workers: count, text: `${what}, ${count} worker${count === 1 ? '' : 's'}` }));
}

/** The goals that this run can judge, and whether it reached them; undefined if it can judge none. */
export function throughputGoalsTable(all: readonly Measurement[], goals: readonly ThroughputGoal[]): string | undefined {
  const rows = goals.flatMap(goal => {
    const of = (contestant: string): Measurement | undefined =>
      all.find(m => m.contestant === contestant && m.operation === goal.operation && m.workers === goal.workers);
    const ours = of(goal.ours);
    const theirs = of(goal.theirs);
    if (!ours || !theirs) return [];
    const ratio = ours.perSecond / theirs.perSecond;
    return [
      [
        `${goal.text}: ${goal.ours} to ${goal.theirs}`,
        `≥ ${goal.atLeast} ×`,
        `${figure(ratio)} ×`,
        ratio >= goal.atLeast ? 'yes' : 'no',
      ],
    ];
  });
  return rows.length === 0 ? undefined : table(['goal (throughput)', 'wanted', 'measured', 'reached'], rows);
}
