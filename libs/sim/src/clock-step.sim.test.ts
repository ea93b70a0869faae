import { assert } from '@kahuna/base';
import { Durability, type GetOperation, type OperationResult, ResponseType, type SetOperation } from '@kahuna/partition';
import { expect, test } from 'vitest';
import { CALM_CLUSTER, Cluster, type SimNode } from './world/cluster.ts';
import { Simulation } from './world/simulation.ts';

/** A leader whose wall clock is put further ahead than its peers believe, in a cluster where nobody writes. */
class World {
  readonly simulation = new Simulation(1);
  readonly cluster = new Cluster(this.simulation, { ...CALM_CLUSTER, poolSize: 1, skewMs: 0, drift: 0 });
  readonly leader: SimNode;

  constructor() {
    this.cluster.startAll();
    this.until(() => this.cluster.nodes.every(node => node.host?.health().ready === true));
    const leader = this.cluster.nodes.find(node => node.host?.replicas.get(2)?.servesAsLeader === true);
    assert(leader !== undefined, 'somebody leads');
    this.leader = leader;
    const answer = this.answer<OperationResult>(done => this.leader.submit(SET, done));
    expect(answer?.type).toBe(ResponseType.Set);
    this.leader.clock.stepWall(60_000);
    this.simulation.run(this.simulation.nowMs + 500);
  }

  private until(holds: () => boolean): void {
    expect(this.simulation.runUntil(holds, this.simulation.nowMs + 10_000, 1)).toBe(true);
  }

  /** Within half a second. */
  answer<T>(ask: (done: (answer: T | undefined) => void) => void): T | undefined {
    let answer: T | undefined;
    ask(given => {
      answer = given;
    });
    this.simulation.runUntil(() => answer !== undefined, this.simulation.nowMs + 500, 1);
    if (this.cluster.failure !== undefined) throw this.cluster.failure;
    return answer;
  }

  get entries(): number {
    return this.leader.host?.replicas.get(2)?.group.lastIndex ?? 0;
  }
}

const NAME = { key: 'a/1', durability: Durability.Persistent } as const;
const SET: SetOperation = {
  ...{ ...NAME, kind: 'set', value: new Uint8Array(1), expiresMs: 30_000 },
  ...{ flags: 0, compareValue: null, compareRevision: 0 },
};
const GET: GetOperation = { ...NAME, kind: 'get', revision: -1, readTimestamp: { n: 0, l: 0, c: 0 } };

test('an expiry is answered by a leader whose clock its peers do not believe', () => {
  const world = new World();
  const read = (): number | undefined => world.answer<OperationResult>(done => world.leader.submit(GET, done))?.type;
  expect(read()).toBe(ResponseType.DoesNotExist);
  // An entry has told them the time, and they follow from there: no read needs another one.
  const { entries } = world;
  world.simulation.run(world.simulation.nowMs + 1000);
  expect(read()).toBe(ResponseType.DoesNotExist);
  expect(world.entries).toBe(entries);
});
