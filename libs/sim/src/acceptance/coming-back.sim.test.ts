import { Durability, ResponseType } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { AcceptanceWorld, type Asked } from './acceptance-world.ts';

/** A leader that is cut off, is replaced and leads again later (design §3, invariants 2 and 13). */

function set(key: string): Asked {
  const written = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
  return { kind: 'set', key, durability: Durability.Persistent, ...written };
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
