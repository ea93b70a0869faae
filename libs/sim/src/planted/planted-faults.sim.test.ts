import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Simulator from '../run.ts';
import { PLANTED_FAULTS, type PlantedFault } from './faults.ts';
import firstSeeds from './first-seeds.json' with { type: 'json' };
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

type Kind = Pick<PlantedFault, 'focus' | 'shape'>;

async function tryOut(simulator: typeof Simulator, { focus, shape }: Kind, seed: number): Promise<string | undefined> {
  const drawn = simulator.planFor(seed);
  const plan = shape === undefined ? drawn : simulator.SHAPES[shape](drawn);
  return (await simulator.runSeed(seed, undefined, { ...plan, faults: { ...plan.faults, ...focus } })).failure;
}

/** The seed that finds something, undefined if none up to the bound does. `hints` are tried first. */
async function hunt(simulator: typeof Simulator, fault: PlantedFault, hints: readonly number[]): Promise<number | undefined> {
  const finds = async (seed: number): Promise<boolean> => {
    const failure = await tryOut(simulator, fault, seed);
    return failure !== undefined && (fault.finding?.test(failure) ?? true);
  };
  for (const seed of hints) if (await finds(seed)) return seed;
  for (let seed = 1; seed <= BOUND; seed++) if (await finds(seed)) return seed;
  return undefined;
}

describe('faults planted in the code under test are found', () => {
  // The seeds that found a fault soonest when this was written save time while one still does; any other within the bound is as good.
  const hints = new Map<string, readonly number[]>(Object.entries(firstSeeds));
  PLANTED_FAULTS.forEach((fault, i) => {
    it(fault.name, async () => {
      const simulator = await simulatorWith(fault, `fault-${i}`);
      expect(await hunt(simulator, fault, hints.get(fault.name) ?? []), `not found within ${BOUND} seeds`).toBeDefined();
    });
  });
});

it('and nothing is found where nothing is planted, with the same kinds of trouble', async () => {
  const simulator = await simulatorWith(undefined, 'sound');
  const kinds = new Map(PLANTED_FAULTS.map(({ focus = {}, shape }) => [JSON.stringify([focus, shape]), { focus, shape }]));
  for (const [name, { focus, shape }] of kinds) {
    const kind = shape === undefined ? { focus } : { focus, shape };
    expect(await tryOut(simulator, kind, 1), name).toBeUndefined();
  }
});
