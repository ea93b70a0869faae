import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Simulator from '../run.ts';
import { PLANTED_FAULTS, type PlantedFault } from './faults.ts';
import { buildMutant } from './mutant.ts';

/** Seeds within which every fault must be found. */
const BOUND = 40;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kahuna-planted-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function simulatorWith(fault: PlantedFault | undefined, name: string): Promise<typeof Simulator> {
  const outfile = join(directory, `${name}.mjs`);
  await buildMutant(fault, outfile);
  return (await import(pathToFileURL(outfile).href)) as typeof Simulator;
}

/** The first seed that finds something, and what. */
function hunt(
  simulator: typeof Simulator,
  focus: PlantedFault['focus'],
  seeds: number,
): { seed: number; failure: string } | undefined {
  for (let seed = 1; seed <= seeds; seed++) {
    const plan = simulator.planFor(seed);
    const { failure } = simulator.runSeed(seed, undefined, { ...plan, faults: { ...plan.faults, ...focus } });
    if (failure !== undefined) return { seed, failure };
  }
  return undefined;
}

describe('faults planted in the code under test are found', () => {
  PLANTED_FAULTS.forEach((fault, i) => {
    it(fault.name, async () => {
      const found = hunt(await simulatorWith(fault, `fault-${i}`), fault.focus, BOUND);
      expect(found, `not found within ${BOUND} seeds`).toBeDefined();
    });
  });
});

it('and nothing is found where nothing is planted, with the same kinds of trouble', async () => {
  const simulator = await simulatorWith(undefined, 'sound');
  const focuses = new Map(PLANTED_FAULTS.map(fault => [JSON.stringify(fault.focus), fault.focus]));
  for (const focus of focuses.values()) expect(hunt(simulator, focus, 3)).toBeUndefined();
});
