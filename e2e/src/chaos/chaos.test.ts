import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FAST_ELECTIONS } from '../harness/cluster.ts';
import { runChaos } from './chaos.ts';

const CASES = 'operations:2 operations:9 keyvalues:C7 keyvalues:C15 locks:F14 locks:F15 sequences:F6 sequences:F7';

test(`${CASES} forty seconds of kills, pauses, isolations and full disks`, async () => {
  const seed = Date.now() % 1_000_000;
  const evidence = join(tmpdir(), `kahuna-chaos-${seed}`);
  const report = await runChaos(
    {
      seconds: 40,
      seed,
      clientsPerNode: 3,
      least: { operations: 1000, beside: 300, faults: 4 },
      evidence,
      cluster: { args: FAST_ELECTIONS },
    },
    () => undefined,
  );
  const told = `seed ${seed}, faults: ${report.faults.join('; ')}\nlogs and history in ${evidence}`;
  expect(report.violation === undefined ? undefined : `${report.violation}\n${told}`).toBeUndefined();
  expect(report.faults.length, told).toBeGreaterThanOrEqual(4);
  expect(report.operations, told).toBeGreaterThan(1000);
  for (const [name, operations] of Object.entries(report.beside)) expect(operations, name).toBeGreaterThan(300);
  expect(report.snapshots?.heldReadsOfThePast, 'reads of the past inside holds').toBeGreaterThanOrEqual(25);
  expect(report.watchesResumed, 'watches resumed').toBeGreaterThan(10);
}, 900_000);
