import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FAST_ELECTIONS } from '../harness/cluster.ts';
import { runChaos } from './chaos.ts';
import { DEAFEN, DELAY, described, ISOLATE, KILL, MUTE, PAUSE } from './faults.ts';

const CASES = 'operations:2 operations:9 keyvalues:C7 keyvalues:C15 locks:F14 locks:F15 sequences:F6 sequences:F7';

test(`${CASES} each node is killed, nodes are paused and isolated, and a disk fills`, async () => {
  const seed = Date.now() % 1_000_000;
  const evidence = join(tmpdir(), `kahuna-chaos-${seed}`);
  const report = await runChaos(
    {
      seconds: 40,
      seed,
      clientsPerNode: 3,
      least: { operations: 1000, beside: 300 },
      evidence,
      cluster: { args: FAST_ELECTIONS },
    },
    () => undefined,
  );
  const told = `seed ${seed}, faults: ${report.faults.map(described).join('; ')}\nlogs and history in ${evidence}`;
  expect(report.violation === undefined ? undefined : `${report.violation}\n${told}`).toBeUndefined();
  // A full disk only where file systems can be mounted.
  expect(report.kinds).toEqual(expect.arrayContaining([KILL, PAUSE, ISOLATE, MUTE, DEAFEN, DELAY].map(({ kind }) => kind)));
  expect(new Set(report.faults.map(({ kind }) => kind)), told).toEqual(new Set(report.kinds));
  const killed = report.faults.filter(({ kind }) => kind === KILL.kind).map(({ node }) => node);
  expect([...new Set(killed)].sort(), told).toEqual([1, 2, 3]);
  expect(report.operations, told).toBeGreaterThan(1000);
  for (const [name, operations] of Object.entries(report.beside)) expect(operations, name).toBeGreaterThan(300);
  expect(report.snapshots?.heldReadsOfThePast, 'reads of the past inside holds').toBeGreaterThanOrEqual(25);
  expect(report.watchesResumed, 'watches resumed').toBeGreaterThan(10);
}, 900_000);
