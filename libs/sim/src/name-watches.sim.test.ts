import { Rng } from '@kahuna/base';
import { Durability } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { checkNameWatches } from './checkers/name-watch.ts';
import { drawFaultMix, FaultInjector } from './faults.ts';
import { LockClients } from './workloads/locks.ts';
import { NameWatchers } from './workloads/name-watchers.ts';
import { SequenceClients } from './workloads/sequences.ts';
import { CALM_CLUSTER, Cluster, QUICK_SETTINGS } from './world/cluster.ts';
import { Simulation } from './world/simulation.ts';

const LOCKS = ['press/1', 'press/2'];
const SEQUENCES = [
  { name: 'ticket', blockSize: 5 },
  { name: 'exact', blockSize: 1 },
];
const SUBJECTS = [
  ...LOCKS.map(name => ({ kind: 'lock', name, durability: Durability.Persistent }) as const),
  ...SEQUENCES.map(({ name }) => ({ kind: 'sequence', name }) as const),
];
const TROUBLE_MS = 6000;

/** A cluster in trouble whose locks and sequences are used and watched. Returns how much was told. */
function run(seed: number): number {
  const simulation = new Simulation(seed);
  const settings = { ...QUICK_SETTINGS, keepEntries: seed % 2 === 0 ? 5 : 200, headCacheEntries: seed % 3 === 0 ? 1 : 10_000 };
  const cluster = new Cluster(simulation, { ...CALM_CLUSTER, settings });
  const pace = { clients: 4, thinkMs: 20, patienceMs: 1000 };
  const locks = new LockClients(cluster, { locks: LOCKS, ...pace });
  const sequences = new SequenceClients(cluster, { sequences: SEQUENCES, ...pace });
  const watchers = new NameWatchers(cluster, SUBJECTS);
  const faults = new FaultInjector(cluster, drawFaultMix(new Rng(seed ^ 0x5eed), { deafLeaders: false, restartLoops: false }));
  cluster.startAll();
  simulation.run(3000);
  locks.start();
  sequences.start();
  watchers.start(3);
  faults.start();
  simulation.run(simulation.nowMs + TROUBLE_MS);
  cluster.guard(() => faults.stop());
  simulation.run(simulation.nowMs + 3000);
  if (cluster.failure !== undefined) throw cluster.failure;
  expect(checkNameWatches(watchers.sessions), `seed ${seed}`).toBeUndefined();
  return watchers.sessions.reduce((sum, { changes }) => sum + changes.length, 0);
}

test('watches of locks and sequences agree on every node, through faults of all kinds', () => {
  let told = 0;
  for (const seed of [2, 4]) told += run(seed);
  expect(told).toBeGreaterThan(500);
});
