import { HLC_ZERO } from '@kahuna/base';
import { Durability, ResponseType } from '@kahuna/partition';
import { expect, test } from 'vitest';
import type { SimNode } from '../world/cluster.ts';
import { AcceptanceWorld, type Asked } from './acceptance-world.ts';

/** A node that cannot go on stays up for a while to say so: meanwhile nobody waits for it in vain (design §3, invariant 13). */

const KEY = 'space/key';

function operations(name: string, nowMs: number): Asked[] {
  const { Persistent, Ephemeral } = Durability;
  const written = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
  const owner = new Uint8Array(1);
  return [
    { kind: 'set', key: KEY, durability: Persistent, ...written },
    { kind: 'set', key: KEY, durability: Ephemeral, ...written },
    { kind: 'get', key: KEY, durability: Persistent, revision: -1, readTimestamp: HLC_ZERO },
    { kind: 'get', key: `${KEY}-${name}`, durability: Persistent, revision: -1, readTimestamp: HLC_ZERO },
    { kind: 'get', key: KEY, durability: Persistent, revision: -1, readTimestamp: { n: 0, l: nowMs + 2000, c: 0 } },
    { kind: 'lock-acquire', key: name, durability: Persistent, owner, expiresMs: 1000 },
    { kind: 'lock-info', key: name, durability: Persistent, owner, expiresMs: 0 },
    { kind: 'sequence-reserve', key: 's', count: 1, idempotencyKey: '' },
    { kind: 'sequence-reserve', key: 's', count: 1, idempotencyKey: name },
  ];
}

for (const way of ['gives up', 'stops'] as const) {
  test(`everything asked of a node before and after it ${way} is answered`, () => {
    // One partition, so that one node leads all of these.
    const world = new AcceptanceWorld(5, { poolSize: 1 });
    world.ask({ kind: 'sequence-create', key: 's', initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: 1 });
    const leader = world.leaderOf(2);
    leader.mayFail = true;
    const started = [0, 3, 20].map(ms => {
      const pending = operations(`n${ms}`, leader.clock.wallMs()).map(operation => world.start(operation, leader.id));
      if (ms > 0) world.pass(ms);
      return pending;
    });
    started.push(operations('last', leader.clock.wallMs()).map(operation => world.start(operation, leader.id)));
    let listed = false;
    leader.process?.deliver(() => {
      const { host } = leader;
      host?.listings.list({ kind: 'locks', prefix: '', after: undefined, limit: 10 }, 0, () => {
        listed = true;
      });
      if (way === 'stops') host?.stop(() => undefined);
      else host?.fatal('the test says so');
    });
    for (let i = 0; i < 3; i++) {
      started.push(operations(`late${i}`, leader.clock.wallMs()).map(operation => world.start(operation, leader.id)));
      world.pass(1000);
    }
    const answers = started.flat().map(({ answer }) => answer?.type);
    expect(answers.filter(type => type === undefined)).toEqual([]);
    expect(answers.slice(-18)).toEqual(new Array(18).fill(ResponseType.MustRetry));
    expect(listed).toBe(true);
  });
}

const FAILURES: [string, (world: AcceptanceWorld, leader: SimNode) => void][] = [
  ['the engine failed before', (world, leader) => failEngine(leader, () => world.pass(100))],
  ['the engine fails as the state is written out', (_world, leader) => failEngine(leader, () => undefined)],
  [
    'the log fails meanwhile',
    (_world, leader) => {
      leader.logDisk.failNextWrite = true;
    },
  ],
];

function failEngine(leader: SimNode, then: () => void): void {
  if (leader.engine !== undefined) leader.engine.failNextWrite = true;
  then();
}

const CASES = FAILURES.flatMap(([what, fail]) => [1, 3].map(nodes => ({ what, fail, nodes })));

for (const { what, fail, nodes } of CASES) {
  test(`a node of ${nodes} stops, and says so, although ${what}`, () => {
    const world = new AcceptanceWorld(6, { poolSize: 1, nodes });
    const leader = world.leaderOf(2);
    leader.mayFail = true;
    for (let i = 0; i < 5; i++) world.start(operations(`n${i}`, leader.clock.wallMs())[0] as Asked, leader.id);
    // Applied, and not yet written to the engine.
    world.pass(10);
    fail(world, leader);
    let stopped = 0;
    leader.process?.deliver(() => leader.host?.stop(() => stopped++));
    world.pass(5000);
    expect(stopped).toBe(1);
  });
}
