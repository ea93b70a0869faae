import { describe, expect, it } from 'vitest';
import regressions from './regressions.json' with { type: 'json' };
import { type RunReport, runSeed } from './run.ts';
import { addToTotals, newTotals, rerunCommand, sweep } from './sweep.ts';
import { RARE_FEATURES } from './world/reached.ts';

/** Seeds of the fixed sweep: about half a minute on one core. */
const SWEEP_SEEDS = 40;
/** As many are added at most, until everything has been reached that a sweep must reach. */
const MORE_SEEDS = 120;

describe('seeds that once failed', () => {
  for (const { seed, found } of regressions) {
    it(`${seed}: ${found}`, async () => {
      expect((await runSeed(seed)).failure, rerunCommand(seed)).toBeUndefined();
    });
  }
});

it('two runs of one seed do the same', async () => {
  for (const seed of [7, 11]) expect(await runSeed(seed)).toEqual(await runSeed(seed));
  expect((await runSeed(8)).traceHash).not.toBe((await runSeed(7)).traceHash);
});

it('a fixed sweep finds nothing, and reaches everything (transactions WL-1, WL-5, WL-6b, WL-7; keyvalues:R22)', async () => {
  const totals = newTotals();
  const onReport = (report: RunReport): void => addToTotals(totals, report);
  await sweep(1, SWEEP_SEEDS + 1, 1, onReport);
  const last = SWEEP_SEEDS + MORE_SEEDS;
  const missing = (): string[] => totals.reached.missing.filter(feature => !RARE_FEATURES.has(feature));
  for (let seed = SWEEP_SEEDS + 1; seed <= last && missing().length > 0; seed++) {
    await sweep(seed, seed + 1, 1, onReport);
  }
  expect(totals.failures.map(({ seed, failure }) => `${failure}\n  ${rerunCommand(seed)}`)).toEqual([]);
  expect(missing(), totals.reached.table()).toEqual([]);
}, 300_000);
