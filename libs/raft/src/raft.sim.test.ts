import { describe, expect, test } from 'vitest';
import { World, type WorldOptions } from './world.test-support.ts';

const environment: { RAFT_SEEDS?: string; RAFT_SEED?: string; RAFT_VERBOSE?: string } = process.env;
/** More seeds: RAFT_SEEDS=2000; one seed: RAFT_SEED=17. */
const SEEDS = Number(environment.RAFT_SEEDS ?? 120);
const ONLY = environment.RAFT_SEED;
const STEPS = 4000;
const ROUGHNESS = [0.1, 0.3, 0.6, 1];

function optionsOf(seed: number): WorldOptions {
  const initialVoters = 1 + ((seed >>> 1) % 5);
  return {
    seed,
    initialVoters,
    replicas: Math.max(3, Math.min(6, initialVoters + (seed % 3))),
    roughness: ROUGHNESS[seed % 4] as number,
  };
}

function run(seed: number): World {
  const world = new World(optionsOf(seed));
  try {
    world.runChaos(STEPS);
    world.runUntilHealed(600);
  } catch (error) {
    throw new Error(
      `seed ${seed} (rerun: RAFT_SEED=${seed} npx vitest run --project sim libs/raft): ${String(error)}\n${world.recentEvents}`,
      {
        cause: error,
      },
    );
  }
  return world;
}

describe('a cluster of cores on lossy networks and forgetful disks', () => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(ONLY)];

  test(`keeps every safety property and recovers (${seeds.length} seeds of ${STEPS} steps)`, () => {
    const totals = { elections: 0, proposals: 0, reads: 0, changes: 0, snapshots: 0, crashes: 0, transfers: 0, joint: 0 };
    let committed = 0;
    for (const seed of seeds) {
      const world = run(seed);
      committed += world.committedCount;
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += world.counts[key];
    }
    // A sweep in which one of these never happened would prove less than it claims.
    if (ONLY === undefined) for (const [what, count] of Object.entries(totals)) expect(count, what).toBeGreaterThan(0);
    expect(committed).toBeGreaterThan(seeds.length);
    if (environment.RAFT_VERBOSE !== undefined) console.log({ committed, ...totals });
  });

  test('the same seed gives the same run', () => {
    expect(run(7).describe()).toBe(run(7).describe());
  });
});
