import { HLC_ZERO } from '@kahuna/base';
import { Durability, ResponseType } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { AcceptanceWorld, type Asked } from './acceptance-world.ts';

/** A leader that is cut off, is replaced and leads again later (design §3, invariants 2 and 13). */

function set(key: string, durability: Durability = Durability.Persistent): Asked {
  const written = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
  return { kind: 'set', key, durability, ...written };
}

test('a leader that comes back answers writes, though it had lost several of its former leadership', () => {
  const world = new AcceptanceWorld(21, { poolSize: 1 });
  const former = world.leaderOf(2);
  world.cluster.network.isolate(former.endpoint, 'break', 'both');
  const lost = Array.from({ length: 8 }, (_, i) => {
    const pending = world.start(set(`lost/${i}`), former.id);
    world.pass(3);
    return pending;
  });
  world.until(() => world.cluster.nodes.some(node => node !== former && node.host?.replica(2)?.servesAsLeader === true));
  world.until(() => former.host?.replica(2)?.leads === false);
  world.cluster.network.healAll();
  world.until(() => former.host?.replica(2)?.leaderNode !== 0);
  world.transfer(2, former);
  // Its log is shorter than what it had proposed: these go to the same indexes.
  for (let i = 0; i < 12; i++) expect(world.ask(set(`kept/${i}`), former.id).type).toBe(ResponseType.Set);
  expect(lost.filter(({ answer }) => answer === undefined)).toEqual([]);
});

test('where all nodes stand still together, the leaders stay, and with them what lives by their terms', () => {
  for (let seed = 31; seed < 39; seed++) {
    const world = new AcceptanceWorld(seed, { poolSize: 3 });
    const keys = Array.from({ length: 12 }, (_, i) => `brief/${i}`);
    for (const key of keys) expect(world.ask(set(key, Durability.Ephemeral)).type).toBe(ResponseType.Set);
    const terms = () => [2, 3, 4].map(id => world.leaderOf(id).host?.replica(id)?.group.term);
    const before = terms();
    for (const node of world.cluster.nodes) node.process?.pause();
    world.pass(20_000);
    for (const node of world.cluster.nodes) node.process?.resume();
    world.pass(2000);
    expect(terms(), `seed ${seed}`).toEqual(before);
    for (const key of keys) {
      const read = { kind: 'get', key, durability: Durability.Ephemeral, revision: -1, readTimestamp: HLC_ZERO } as const;
      expect(world.askUntilServed(read).type, `seed ${seed}`).toBe(ResponseType.Get);
    }
  }
});
