import { expect, test } from 'vitest';
import { planFor, type RunReport, runSeed } from './run.ts';

/** With three nodes and with five; in 31 and 119 the word of a leader that gave up its vote to its successor is lost. */
const SEEDS = [2, 31, 119];

function withChanges(seed: number): Promise<RunReport> {
  const plan = planFor(seed);
  return runSeed(seed, undefined, { ...plan, faults: { ...plan.faults, memberChanges: true } });
}

test('groups of whole nodes pass through joint configurations under crashes, and come back to all their voters', async () => {
  const reached: Record<string, number> = {};
  for (const seed of SEEDS) {
    const report = await withChanges(seed);
    expect(report.failure, `seed ${seed}`).toBeUndefined();
    for (const [feature, times] of Object.entries(report.reached)) reached[feature] = (reached[feature] ?? 0) + times;
  }
  const { 'joint configuration committed': joint = 0, 'joint configuration left': left = 0 } = reached;
  expect(joint).toBeGreaterThan(20);
  expect(left).toBe(joint);
  for (const feature of ['leader gives up its vote', 'election won while joint', 'crash while joint']) {
    expect(reached[feature], feature).toBeGreaterThan(0);
  }
});
