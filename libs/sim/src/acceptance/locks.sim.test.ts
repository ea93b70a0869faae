import { HLC_ZERO } from '@kahuna/base';
import { Durability, type LockOperation, LockResponseType, type OperationResult } from '@kahuna/partition';
import { beforeAll, describe, expect, test } from 'vitest';
import { AcceptanceWorld } from './acceptance-world.ts';

/** Acceptance cases of locks §12 against three production nodes: each question goes through a node that need not lead. */

const A = new Uint8Array([0xa]);
const B = new Uint8Array([0xb]);
const NOBODY = new Uint8Array(0);
const NAMES = new Map<number, string>(Object.entries(LockResponseType).map(([name, number]) => [number, name]));

/** `Locked f3`, `Got a f3`: the owner as hexadecimal. */
function show(result: OperationResult): string {
  const owner = result.value === null ? '' : ` ${Buffer.from(result.value).toString('hex')}`;
  return `${NAMES.get(result.type)}${owner} f${result.revision}`;
}

const MISSING = 'LockDoesNotExist f0';
const INVALID = 'InvalidInput f0';

/** One lock and everything that is done to it. */
class LockUnderTest {
  readonly world: AcceptanceWorld;
  readonly name: string;
  readonly durability: Durability;

  constructor(world: AcceptanceWorld, durability: Durability, name = world.fresh('lock')) {
    this.world = world;
    this.name = name;
    this.durability = durability;
  }

  operation(kind: LockOperation['kind'], owner: Uint8Array, expiresMs: number): LockOperation {
    return { kind, key: this.name, owner, expiresMs, durability: this.durability };
  }

  acquire(owner: Uint8Array, ms = 10_000, node = 1): string {
    return show(this.world.ask(this.operation('lock-acquire', owner, ms), node));
  }

  extend(owner: Uint8Array, ms = 10_000, node = 1): string {
    return show(this.world.ask(this.operation('lock-extend', owner, ms), node));
  }

  release(owner: Uint8Array, node = 1): string {
    return show(this.world.ask(this.operation('lock-release', owner, 0), node));
  }

  read(node = 1): OperationResult {
    return this.world.ask(this.operation('lock-info', NOBODY, 0), node);
  }

  info(node = 1): string {
    return show(this.read(node));
  }

  get partition(): number {
    return this.world.partitionOf(this.name);
  }
}

const LONGEST = 2_147_483_647;

describe.each([
  ['persistent', Durability.Persistent],
  ['ephemeral', Durability.Ephemeral],
] as const)('%s locks', (_, durability) => {
  let world: AcceptanceWorld;
  beforeAll(() => {
    world = new AcceptanceWorld(11);
  });
  const lock = (name?: string): LockUnderTest => new LockUnderTest(world, durability, name);

  describe('input (locks §12.1)', () => {
    test('locks:I1 empty resource', () => expect(lock('').acquire(A)).toBe(INVALID));
    test('locks:I2 no owner', () => expect(lock().acquire(NOBODY)).toBe(INVALID));
    test('locks:I3 no lease', () => {
      const l = lock();
      expect([l.acquire(A, 0), l.acquire(A, -1), l.info()]).toEqual([INVALID, INVALID, MISSING]);
    });
    test('locks:I4 extend without lease', () => {
      const l = lock();
      l.acquire(A);
      const before = l.read().expires;
      expect([l.extend(A, 0), l.extend(A, -7)]).toEqual([INVALID, INVALID]);
      expect(l.read().expires).toEqual(before);
    });
    test('locks:I5 unlock without resource or owner', () => {
      expect(lock('').release(A)).toBe(INVALID);
      expect(lock().release(NOBODY)).toBe(INVALID);
    });
    test('locks:I6 get info without resource', () => expect(lock('').info()).toBe(INVALID));
    test('locks:I7 a reserved prefix is ordinary here', () => expect(lock('__kahuna:x').acquire(A)).toBe('Locked f0'));
    test('locks:I8 owners of zero bytes', () => {
      const l = lock();
      expect([l.acquire(new Uint8Array(1)), l.acquire(new Uint8Array(2))]).toEqual(['Locked f0', 'Busy f0']);
    });
    test('locks:I9 case matters', () => {
      expect(lock('Door').acquire(A)).toBe('Locked f0');
      expect(lock('door').acquire(B)).toBe('Locked f0');
    });
    test('locks:I10 a key of the same name is unrelated', () => {
      const l = lock();
      const common = { key: l.name, durability: Durability.Persistent };
      const nothing = { flags: 0, compareValue: null, compareRevision: 0, expiresMs: 0 };
      world.ask({ kind: 'set', value: A, ...nothing, ...common });
      expect(l.acquire(A)).toBe('Locked f0');
      expect(world.ask({ kind: 'get', revision: -1, readTimestamp: HLC_ZERO, ...common })).toMatchObject({
        revision: 0,
        value: A,
      });
    });
    test('locks:I11 unknown durability', () => {
      const l = new LockUnderTest(world, 5 as Durability);
      expect(l.acquire(A)).toBe(INVALID);
    });
    test('the longest lease and name, and an owner of 4,096 bytes', () => {
      const l = lock('n'.repeat(65_535));
      expect([l.acquire(new Uint8Array(4096), LONGEST), l.acquire(A)]).toEqual(['Locked f0', 'Busy f0']);
    });
    test('a name that no UTF-8 can carry', () => expect(lock('\ud800').acquire(A)).toBe(INVALID));
  });

  describe('acquire and tokens (locks §12.2)', () => {
    test('locks:A1', () => expect(lock().acquire(A)).toBe('Locked f0'));
    test('locks:A2 busy', () => {
      const l = lock();
      l.acquire(A);
      const before = l.read().expires;
      expect(l.acquire(B, 60_000)).toBe('Busy f0');
      expect(l.read().expires).toEqual(before);
    });
    test('locks:A3 a repeated acquire prolongs nothing', () => {
      const l = lock();
      l.acquire(A);
      const before = l.read().expires;
      expect([l.acquire(A, 60_000, 2), l.read().expires]).toEqual(['Locked f0', before]);
    });
    test('locks:A4 again after unlock', () => {
      const l = lock();
      expect([l.acquire(A), l.release(A), l.acquire(A)]).toEqual(['Locked f0', 'Unlocked f0', 'Locked f1']);
    });
    test('locks:A5 another after unlock', () => {
      const l = lock();
      expect([l.acquire(A), l.release(A, 2), l.acquire(B, 10_000, 3)]).toEqual(['Locked f0', 'Unlocked f0', 'Locked f1']);
    });
    test.each([
      ['A6', B],
      ['A7', A],
    ] as const)('locks:%s acquired anew after the lease', (_id, next) => {
      const l = lock();
      l.acquire(A, 100);
      world.pass(200);
      expect(l.acquire(next)).toBe('Locked f1');
    });
    test('locks:A8 one hundred grants', () => {
      const l = lock();
      for (let i = 0; i < 100; i++) {
        const owner = i % 2 === 0 ? A : B;
        expect(l.acquire(owner)).toBe(`Locked f${i}`);
        expect(l.release(owner)).toBe('Unlocked f0');
      }
    });
    test('locks:A9 fifty at once', () => {
      const l = lock();
      const owners = Array.from({ length: 50 }, (_x, i) => new Uint8Array([i + 1]));
      const answers = world
        .askAll(
          owners.map(owner => l.operation('lock-acquire', owner, 10_000)),
          'all',
        )
        .map(show);
      expect(answers.filter(answer => answer === 'Locked f0')).toHaveLength(1);
      expect(answers.filter(answer => answer === 'Busy f0')).toHaveLength(49);
    });
    test('locks:A10 a counter under the lock', () => {
      const l = lock();
      let counter = 0;
      const tokens: number[] = [];
      const workers = Array.from({ length: 20 }, (_x, i) => ({ owner: new Uint8Array([i + 1]), rounds: 20, read: -1 }));
      const turns = workers.map(worker => ({ worker, pending: world.start(l.operation('lock-acquire', worker.owner, 60_000)) }));
      world.until(() => {
        for (const turn of turns) {
          const { worker } = turn;
          const answer = turn.pending.answer;
          if (answer === undefined || worker.rounds === 0) continue;
          if (answer.type === LockResponseType.Locked) {
            tokens.push(answer.revision);
            worker.read = counter;
            turn.pending = world.start(l.operation('lock-info', NOBODY, 0));
          } else if (answer.type === LockResponseType.Got) {
            counter = worker.read + 1;
            turn.pending = world.start(l.operation('lock-release', worker.owner, 0));
          } else {
            if (answer.type === LockResponseType.Unlocked) worker.rounds--;
            if (worker.rounds > 0) turn.pending = world.start(l.operation('lock-acquire', worker.owner, 60_000));
          }
        }
        return workers.every(worker => worker.rounds === 0);
      }, 120_000);
      expect(counter).toBe(400);
      expect(tokens).toEqual(Array.from({ length: 400 }, (_x, i) => i));
    });
    test('locks:A11 failing calls cost no token', () => {
      const l = lock();
      l.acquire(A);
      for (let i = 0; i < 10; i++) {
        expect([l.acquire(B), l.extend(B), l.release(B)]).toEqual(['Busy f0', 'InvalidOwner f0', 'InvalidOwner f0']);
      }
      l.release(A);
      expect(l.acquire(B)).toBe('Locked f1');
    });
    test('locks:A12 the other durability is another lock', () => {
      const l = lock();
      const other = durability === Durability.Persistent ? Durability.Ephemeral : Durability.Persistent;
      expect([l.acquire(A), new LockUnderTest(world, other, l.name).acquire(B)]).toEqual(['Locked f0', 'Locked f0']);
    });
    test('locks:A13 polling until the lease runs out', () => {
      const l = lock();
      l.acquire(A, 1000);
      let waitedMs = 0;
      let answer = l.acquire(B);
      for (; answer === 'Busy f0'; answer = l.acquire(B)) {
        world.pass(50);
        waitedMs += 50;
      }
      expect(answer).toBe('Locked f1');
      expect(waitedMs).toBeGreaterThan(700);
      expect(waitedMs).toBeLessThan(1200);
    });
    test('locks:A14 a lease of one millisecond', () => {
      const l = lock();
      l.acquire(A, 1);
      world.pass(50);
      expect(l.info()).toBe(MISSING);
    });
  });

  describe('extend (locks §12.3)', () => {
    test('locks:E1', () => {
      const l = lock();
      l.acquire(A);
      world.pass(5);
      const first = l.extend(A);
      const firstEnd = l.read().expires.l;
      world.pass(5);
      expect([first, l.extend(A)]).toEqual(['Extended f0', 'Extended f0']);
      expect(l.read().expires.l).toBeGreaterThan(firstEnd);
    });
    test('locks:E2 longer', () => {
      const l = lock();
      l.acquire(A, 200);
      l.extend(A, 2000);
      world.pass(500);
      expect(l.info(2)).toBe('Got 0a f0');
    });
    test('locks:E3 shorter', () => {
      const l = lock();
      l.acquire(A, 60_000);
      l.extend(A, 100);
      world.pass(300);
      expect(l.acquire(B)).toBe('Locked f1');
    });
    test('locks:E4 never acquired', () => expect(lock().extend(A)).toBe(MISSING));
    test('locks:E5 released', () => {
      const l = lock();
      expect([l.acquire(A), l.release(A), l.extend(A)]).toEqual(['Locked f0', 'Unlocked f0', MISSING]);
    });
    test('locks:E6 expired', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      expect([l.extend(A), l.acquire(B)]).toEqual([MISSING, 'Locked f1']);
    });
    test('locks:E7 expired, another asks', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      expect(l.extend(B)).toBe(MISSING);
    });
    test('locks:E8 held by another', () => {
      const l = lock();
      l.acquire(A);
      const before = l.read().expires;
      expect([l.extend(B), l.read().expires]).toEqual(['InvalidOwner f0', before]);
    });
    test('locks:E9 acquired by another meanwhile', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      l.acquire(B);
      const before = l.read().expires;
      expect([l.extend(A), l.info(), l.read().expires]).toEqual(['InvalidOwner f0', 'Got 0b f1', before]);
    });
  });

  describe('unlock (locks §12.4)', () => {
    test('locks:U1, locks:U2', () => {
      const l = lock();
      l.acquire(A);
      expect([l.release(A), l.info(), l.release(A)]).toEqual(['Unlocked f0', MISSING, MISSING]);
    });
    test('locks:U3 never acquired', () => expect(lock().release(A)).toBe(MISSING));
    test('locks:U4 held by another', () => {
      const l = lock();
      l.acquire(A);
      expect([l.release(B), l.info()]).toEqual(['InvalidOwner f0', 'Got 0a f0']);
    });
    test('locks:U5, locks:U8 expired, and the next grant', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      expect([l.release(A), l.acquire(B)]).toEqual(['Unlocked f0', 'Locked f1']);
    });
    test('locks:U6 expired, another asks', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      expect(l.release(B)).toBe('InvalidOwner f0');
    });
    test('locks:U7 acquired by another meanwhile', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(100);
      l.acquire(B);
      expect([l.release(A), l.info()]).toEqual(['InvalidOwner f0', 'Got 0b f1']);
    });
  });

  describe('get info (locks §12.5)', () => {
    test('locks:G1 never acquired', () => {
      const answer = lock().read();
      expect(answer).toMatchObject({ type: LockResponseType.LockDoesNotExist, value: null, expires: HLC_ZERO, revision: 0 });
    });
    test('locks:G2 held', () => {
      const l = lock();
      for (let i = 0; i < 3; i++) expect([l.acquire(A), l.release(A)]).toEqual([`Locked f${i}`, 'Unlocked f0']);
      l.acquire(A);
      const answer = l.read(3);
      expect(show(answer)).toBe('Got 0a f3');
      expect(answer.expires.l).toBeGreaterThan(world.node(1).clock.wallMs());
    });
    test('locks:G3 expired', () => {
      const l = lock();
      l.acquire(A, 50);
      world.pass(600);
      expect(l.info()).toBe(MISSING);
    });
    test('locks:G4 the other durability', () => {
      const l = lock();
      l.acquire(A);
      const other = durability === Durability.Persistent ? Durability.Ephemeral : Durability.Persistent;
      expect(new LockUnderTest(world, other, l.name).info()).toBe(MISSING);
    });
    test('locks:G5 bytes as given', () => {
      const l = lock();
      l.acquire(new Uint8Array([0, 0xff, 0x80, 0x41]));
      expect(l.info(2)).toBe('Got 00ff8041 f0');
    });
  });

  test('locks:F8 the lost answer of an acquire is answered again, with the same token', () => {
    const l = lock();
    world.start(l.operation('lock-acquire', A, 10_000), 2);
    expect(l.acquire(A, 10_000, 3)).toBe('Locked f0');
  });

  test('locks:F6 through a leader that is cut off from its quorum', () => {
    const l = lock();
    l.acquire(A, 60_000);
    const leader = world.leaderOf(l.partition);
    world.cluster.network.isolate(leader.endpoint, 'stall', 'both');
    // Its lease has run out; it has not yet noticed that nobody follows it.
    world.pass(250);
    expect(leader.host?.replica(l.partition)?.leads).toBe(true);
    const asked = ['lock-acquire', 'lock-info'] as const;
    const answers = asked.map(kind => show(world.ask(l.operation(kind, B, 10_000), leader.id)));
    world.cluster.network.healAll();
    world.pass(2000);
    expect(answers).toEqual(['MustRetry f0', 'MustRetry f0']);
  });
});

describe('failures (locks §12.6)', () => {
  let world: AcceptanceWorld;
  beforeAll(() => {
    world = new AcceptanceWorld(12);
  });
  const lockOf = (durability: Durability): LockUnderTest => new LockUnderTest(world, durability);
  /** A holds token 4. */
  const held = (durability: Durability, ms: number): LockUnderTest => {
    const l = lockOf(durability);
    for (let i = 0; i < 4; i++) expect([l.acquire(B), l.release(B)]).toEqual([`Locked f${i}`, 'Unlocked f0']);
    expect(l.acquire(A, ms)).toBe('Locked f4');
    return l;
  };
  /** Kills the leader and returns a node that lives; the killed one comes back later. */
  const killLeader = (l: LockUnderTest): number => {
    const leader = world.leaderOf(l.partition);
    leader.crash('kill');
    world.simulation.after(3000, () => leader.start());
    return world.cluster.nodes.find(node => node.isUp)?.id as number;
  };

  test('locks:F1 the leader dies while A holds', () => {
    const l = held(Durability.Persistent, 60_000);
    const other = killLeader(l);
    const answers = [l.info(other), l.acquire(B, 10_000, other), l.extend(A, 60_000, other)];
    world.pass(4000);
    expect(answers).toEqual(['Got 0a f4', 'Busy f0', 'Extended f4']);
  });

  test('locks:F2 the lease ends under another leader, who allows for the skew of clocks', () => {
    const l = held(Durability.Persistent, 2000);
    const other = killLeader(l);
    world.pass(2600);
    expect(l.acquire(B, 10_000, other)).toBe('Locked f5');
    world.pass(3000);
  });

  test('locks:F3 the whole cluster restarts', () => {
    const l = held(Durability.Persistent, 60_000);
    l.release(A);
    world.restartAll();
    expect(show(world.askUntilServed(l.operation('lock-acquire', B, 1000)))).toBe('Locked f5');
  });

  test('locks:F4 an ephemeral lock goes with its leader', () => {
    const l = held(Durability.Ephemeral, 60_000);
    const other = killLeader(l);
    const answer = l.acquire(B, 10_000, other);
    world.pass(4000);
    expect(answer).toBe('Locked f0');
  });

  test('locks:F5 leadership moves away and back: an ephemeral lock does not return', () => {
    const l = held(Durability.Ephemeral, 60_000);
    const first = world.leaderOf(l.partition);
    world.transfer(l.partition, world.followerOf(l.partition));
    world.transfer(l.partition, first);
    expect(l.info()).toBe(MISSING);
  });

  test('locks:F7 an old leader, paused and resumed, decides nothing', () => {
    const l = held(Durability.Persistent, 500);
    const old = world.leaderOf(l.partition);
    old.process?.pause();
    const other = world.cluster.nodes.find(node => node !== old)?.id as number;
    world.pass(3000);
    expect(show(world.askUntilServed(l.operation('lock-acquire', B, 60_000), other))).toBe('Locked f5');
    const asked = [l.operation('lock-extend', A, 60_000), l.operation('lock-release', A, 0), l.operation('lock-info', A, 0)];
    // They reach the old process in the very turn in which it goes on.
    const pending = asked.map(operation => world.start(operation, old.id));
    old.process?.resume();
    world.until(() => pending.every(({ answer }) => answer !== undefined));
    const [extended, released, read] = pending.map(({ answer }) => show(answer as OperationResult));
    expect(['InvalidOwner f0', 'MustRetry f0']).toContain(extended);
    expect(['InvalidOwner f0', 'MustRetry f0']).toContain(released);
    expect(['Got 0b f5', 'MustRetry f0']).toContain(read);
  });

  test('locks:F9 a lock comes with a snapshot', () => {
    const l = held(Durability.Persistent, 600_000);
    const leader = world.leaderOf(l.partition);
    const lagging = world.followerOf(l.partition);
    lagging.crash('kill');
    const other = lockOf(Durability.Persistent);
    // Beyond what the log keeps for those who lag.
    for (let i = 0; i < 200; i++) world.ask({ ...l.operation('lock-acquire', A, 1000), key: `${other.name}-${i}` }, leader.id);
    world.pass(2000);
    lagging.start();
    world.until(
      () => lagging.host?.replica(l.partition)?.machine.appliedIndex === leader.host?.replica(l.partition)?.machine.appliedIndex,
    );
    expect(lagging.host?.counters.snapshotsInstalled).toBeGreaterThan(0);
    world.transfer(l.partition, lagging);
    expect([l.info(), l.release(A), l.acquire(B)]).toEqual(['Got 0a f4', 'Unlocked f0', 'Locked f5']);
  });

  test('locks:F10 leadership is moved while A holds', () => {
    const l = held(Durability.Persistent, 60_000);
    world.transfer(l.partition, world.followerOf(l.partition));
    expect([l.info(), l.acquire(B), l.release(A), l.acquire(B)]).toEqual(['Got 0a f4', 'Busy f0', 'Unlocked f0', 'Locked f5']);
  });

  test('locks:F16 a read of the future ends no lease', () => {
    const l = lockOf(Durability.Persistent);
    l.acquire(A, 3000);
    const readTimestamp = { n: 1, l: Math.floor(world.node(1).clock.wallMs()) + 4000, c: 0 };
    const { name: key } = l;
    world.start({ kind: 'get', key, revision: -1, readTimestamp, durability: Durability.Persistent });
    expect(l.acquire(B)).toBe('Busy f0');
  });

  test('a lease that was said to have run out is over for the next leader too', () => {
    const l = lockOf(Durability.Persistent);
    l.acquire(A, 50);
    world.pass(60);
    expect(l.info()).toBe(MISSING);
    world.transfer(l.partition, world.followerOf(l.partition));
    // Well within the 500 ms for which a later leader honours a lease that nobody has looked at.
    expect([l.info(), l.extend(A)]).toEqual([MISSING, MISSING]);
  });

  test('contention costs no entries: a held lock is refused, and repeated, as a read', () => {
    const l = lockOf(Durability.Persistent);
    l.acquire(A, 600_000);
    const before = world.lastIndexOf(l.partition);
    for (let i = 0; i < 20; i++) expect([l.acquire(B), l.acquire(A)]).toEqual(['Busy f0', 'Locked f0']);
    expect(world.lastIndexOf(l.partition)).toBe(before);
  });

  test('operations sent one behind the other take effect in that order, also where the second might be a read', () => {
    const l = lockOf(Durability.Persistent);
    l.acquire(A, 600_000);
    const leader = world.leaderOf(l.partition).id;
    const sent = [
      l.operation('lock-release', A, 0),
      l.operation('lock-acquire', B, 600_000),
      l.operation('lock-acquire', A, 1000),
    ];
    expect(world.askAll(sent, leader).map(show)).toEqual(['Unlocked f0', 'Locked f1', 'Busy f0']);
  });

  test('invariant 5: all replicas have the same checksum in the end', () => world.replicasAgree());
});

test('locks:F11 a new leader whose clock runs ahead honours a lease that runs by the old clock', () => {
  const world = new AcceptanceWorld(13, { skewMs: 0, drift: 0 });
  const l = new LockUnderTest(world, Durability.Persistent);
  const leader = world.leaderOf(l.partition);
  const next = world.followerOf(l.partition);
  next.clock.stepWall(300);
  l.acquire(A, 700);
  world.pass(480);
  world.transfer(l.partition, next);
  expect(leader.clock.wallMs()).toBeLessThan(next.clock.wallMs());
  expect(l.acquire(B)).toBe('Busy f0');
  world.pass(1100);
  expect(l.acquire(B)).toBe('Locked f1');
});
