import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Simulator from '../run.ts';
import { PLANTED_FAULTS, type PlantedFault } from './faults.ts';
import firstSeeds from './first-seeds.json' with { type: 'json' };
import { buildMutant } from './mutant.ts';

/** Seeds within which every fault must be found: the rarest ones show in one seed of forty to ninety. */
const BOUND = 60;
/** The seeds that found a fault soonest when this was written, by its name; they save time while one still does. */
const HINTS: Readonly<Record<string, readonly number[]>> = firstSeeds;

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

/** The seed that finds something, undefined if none up to the bound does. Hints are tried first. */
async function hunt(simulator: typeof Simulator, fault: PlantedFault): Promise<number | undefined> {
  const finds = async (seed: number): Promise<boolean> => {
    const failure = await tryOut(simulator, fault, seed);
    return failure !== undefined && (fault.finding?.test(failure) ?? true);
  };
  const all = Array.from({ length: BOUND }, (_, i) => i + 1);
  for (const seed of new Set([...(HINTS[fault.name] ?? []), ...all])) if (await finds(seed)) return seed;
  return undefined;
}

describe('faults planted in the code under test are found', () => {
  PLANTED_FAULTS.forEach((fault, i) => {
    it(fault.name, async () => {
      const simulator = await simulatorWith(fault, `fault-${i}`);
      const seed = await hunt(simulator, fault);
      expect(seed, `not found within ${BOUND} seeds`).toBeDefined();
    });
  });
});

it('no hint lies beyond the bound, and each belongs to a fault', () => {
  expect(
    Object.values(HINTS)
      .flat()
      .filter(seed => !(seed >= 1 && seed <= BOUND)),
  ).toEqual([]);
  const names = new Set(PLANTED_FAULTS.map(({ name }) => name));
  expect(Object.keys(HINTS).filter(name => !names.has(name))).toEqual([]);
});

it('and nothing is found where nothing is planted, with the same kinds of trouble', async () => {
  const simulator = await simulatorWith(undefined, 'sound');
  const kinds = new Map(PLANTED_FAULTS.map(({ focus = {}, shape }) => [JSON.stringify([focus, shape]), { focus, shape }]));
  for (const [name, { focus, shape }] of kinds) {
    const kind = shape === undefined ? { focus } : { focus, shape };
    expect(await tryOut(simulator, kind, 1), name).toBeUndefined();
  }
});
