import { Rng } from '@kahuna/base';
import { HeadCache } from '@kahuna/partition';
import { expect, test } from 'vitest';
import type { NodeInternals } from '../internals.ts';
import { promiseMsOf } from '../leases.ts';
import { NameTap } from '../name-tap.ts';
import type { ReplicaHost } from '../replica.ts';
import { DEFAULT_SETTINGS, type NodeSettings } from '../settings.ts';
import { ReplicaFactory } from './replica-factory.ts';

const VOTERS = [1, 2, 3].map(nodeId => ({ replicaId: 100 + nodeId, nodeId }));

/** A random number that always makes the election timeout as short as it may be. */
class Least extends Rng {
  override int(low: number): number {
    return low;
  }
}

function ticksBeforeCampaign(settings: NodeSettings): number {
  const node = { options: { storageId: 101 }, nodeId: 1, poolSize: 1, names: new NameTap(), settings };
  const factory = new ReplicaFactory(
    node as unknown as NodeInternals & ReplicaHost,
    new Least(1),
    new HeadCache({ maxEntries: 1, maxBytes: 1 }),
  );
  const { group } = factory.founded(2, { voters: VOTERS, outgoing: [], learners: [] });
  let ticks = 0;
  for (; group.role === 'follower'; ticks++) group.tick();
  return ticks;
}

for (const electionMinMs of [1, 50, 100, 101, 133, 134, 150, 200, 250, 267, 300, 399, 400, 1000, 2000]) {
  test(`no campaign begins while a promise to the leader may hold, however short the timeout is set: ${electionMinMs} ms`, () => {
    const settings = { ...DEFAULT_SETTINGS, electionMinMs, electionMaxMs: electionMinMs + 1 };
    // The leader's heartbeat came just before the first of these ticks.
    const elapsedMs = (ticksBeforeCampaign(settings) - 1) * settings.tickMs;
    expect(elapsedMs).toBeGreaterThanOrEqual(promiseMsOf(settings));
  });
}

test('the usual timeouts are those of the options', () => {
  expect(ticksBeforeCampaign(DEFAULT_SETTINGS) * DEFAULT_SETTINGS.tickMs).toBe(DEFAULT_SETTINGS.electionMinMs);
});
