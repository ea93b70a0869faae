import { describe, expect, test } from 'vitest';
import type { NodeInternals } from './internals.ts';
import { Leases } from './leases.ts';
import { Peer } from './peer.ts';
import type { Replica } from './replica.ts';

const PROMISE_MS = 750;
/** Of a promise nine tenths are trusted: clocks run at different rates. */
const TRUSTED_MS = 675;

/** Replica 101 of three, on node 1; it leads term 4. Its peers answered a heartbeat sent at 1000 by both clocks. */
class Bench {
  monotonic = 1000;
  wall = 1000;
  readonly peers = [2, 3].map(nodeId => {
    const peer = new Peer(`${nodeId}:1`);
    Object.assign(peer, { nodeId, boot: 1, allegiance: 5, toldClock: { n: nodeId, l: 900, c: nodeId } });
    Object.assign(peer, { answeredMonotonic: 1000, answeredWall: 1000, answeredBoot: 1, answeredAllegiance: 5 });
    return peer;
  });
  readonly replica: Replica;
  readonly leases: Leases;
  private readonly group: { role: string; term: number; leaseForfeited: boolean; configuration: object };

  constructor() {
    const voters = [1, 2, 3].map(nodeId => ({ nodeId, replicaId: 100 + nodeId }));
    this.group = { role: 'leader', term: 4, leaseForfeited: false, configuration: { voters } };
    const quorumValue = (value: (member: (typeof voters)[number]) => number): number =>
      voters.map(value).sort((a, b) => b - a)[1] as number;
    const quorum = (has: (member: (typeof voters)[number]) => boolean): boolean => voters.filter(has).length >= 2;
    const bench = this;
    this.replica = {
      group: Object.assign(this.group, { quorumValue, quorum }),
      ...{ leaseTerm: 0, leaseMonotonicUntil: 0, leaseWallUntil: 0, votesBoundUntil: 0, installing: false, leaderNode: 0 },
      get leads() {
        return bench.group.role === 'leader';
      },
      answered: new Map(voters.slice(1).map(({ replicaId }) => [replicaId, { boot: 1, allegiance: 5 }])),
    } as unknown as Replica;
    this.leases = new Leases({
      ...{ nodeId: 1, settings: { electionMinMs: 1000 }, hlc: { current: () => ({ n: 1, l: 2000, c: 0 }) } },
      clock: { monotonicMs: () => this.monotonic, wallMs: () => this.wall },
      monotonicMs: () => this.monotonic,
      peerByNode: (nodeId: number) => this.peers[nodeId - 2],
    } as unknown as NodeInternals);
  }

  pass(monotonic: number, wall = monotonic): this {
    this.monotonic += monotonic;
    this.wall += wall;
    return this;
  }

  each(change: Partial<Peer>): this {
    for (const peer of this.peers) Object.assign(peer, change);
    return this;
  }

  follow(nodeId: number): this {
    this.group.role = 'follower';
    Object.assign(this.replica, { leaderNode: nodeId });
    return this;
  }

  forfeit(): this {
    this.group.leaseForfeited = true;
    return this;
  }

  /** Others vote from now on, or the same ones. */
  reconfigured(): this {
    this.group.configuration = {};
    return this;
  }

  elected(): this {
    this.group.term++;
    return this;
  }
}

describe('a leader may answer alone', () => {
  const CASES: [string, (bench: Bench) => unknown, boolean][] = [
    ['as soon as a quorum has promised', () => undefined, true],
    ['until the promise has run out', bench => bench.pass(TRUSTED_MS - 1), true],
    ['not longer', bench => bench.pass(TRUSTED_MS), false],
    ['not longer than the wall clock says: the machine slept', bench => bench.pass(10, TRUSTED_MS), false],
    ['not longer than the monotonic clock says: the wall clock was set back', bench => bench.pass(TRUSTED_MS, -500), false],
    ['with the promise of one other', bench => Object.assign(bench.peers[0] as Peer, { answeredMonotonic: -1e9 }), true],
    ['not without any promise', bench => bench.each({ answeredMonotonic: Number.NEGATIVE_INFINITY }), false],
    ['not by promises of processes that are gone', bench => bench.each({ boot: 2 }), false],
    ['not by what a process answered in its former life', bench => bench.each({ boot: 2, answeredBoot: 1 }), false],
    ['not by promises of peers that left the leader since', bench => bench.each({ allegiance: 6 }), false],
    ['not by an answer from before they came back', bench => bench.each({ answeredAllegiance: 4 }), false],
    ['not before they have answered this leadership', bench => bench.replica.answered.clear(), false],
    ['not after it told somebody to take over', bench => bench.forfeit(), false],
  ];
  for (const [what, change, leased] of CASES) {
    test(what, () => {
      const bench = new Bench();
      change(bench);
      expect(bench.leases.hasLease(bench.replica)).toBe(leased);
    });
  }

  const AFTERWARDS: [string, (bench: Bench) => unknown, boolean][] = [
    ['what was promised once holds without another answer', bench => bench.pass(TRUSTED_MS - 1), true],
    ['and ends', bench => bench.pass(TRUSTED_MS), false],
    ['and ends by the wall clock too', bench => bench.pass(0, TRUSTED_MS), false],
    ['and does not outlive its term', bench => bench.elected().each({ allegiance: 6 }), false],
    ['and is computed anew for other voters', bench => bench.reconfigured().each({ allegiance: 6 }), false],
    ['and does not outlive a TimeoutNow', bench => bench.forfeit(), false],
  ];
  for (const [what, change, leased] of AFTERWARDS) {
    test(`as computed before: ${what}`, () => {
      const bench = new Bench();
      expect(bench.leases.hasLease(bench.replica)).toBe(true);
      change(bench);
      expect(bench.leases.hasLease(bench.replica)).toBe(leased);
    });
  }
});

describe('votes', () => {
  const CASES: [string, (bench: Bench) => unknown, boolean][] = [
    ['of a leader are bound by its own lease', () => undefined, true],
    ['of a leader are free when that has run out', bench => bench.pass(TRUSTED_MS), false],
    ['of a follower without leader are free', bench => bench.follow(0), false],
    ['are bound by a promise to the leader', bench => bench.follow(2).each({ promisedUntil: 1001 }), true],
    ['are free once that has run out', bench => bench.follow(2).each({ promisedUntil: 1000 }), false],
    [
      'are not bound by a promise to another node',
      bench => Object.assign(bench.follow(2).peers[1] as Peer, { promisedUntil: 1e9 }),
      false,
    ],
    ['are free where the leader is on no known node', bench => bench.follow(9), false],
    ['are bound while a snapshot is put in place', bench => Object.assign(bench.follow(0).replica, { installing: true }), true],
    ['are bound after a restart', bench => bench.follow(0).leases.restarted(1001), true],
    ['and free when the former life can have promised no longer', bench => bench.follow(0).leases.restarted(1000), false],
    ['stay bound by what was promised to a leader that was left', bench => leave(bench, 1500), true],
    ['until that has run out', bench => leave(bench, 1500).pass(500), false],
    ['are free where the left leader was promised nothing', bench => leave(bench, Number.NEGATIVE_INFINITY), false],
  ];
  for (const [what, change, bound] of CASES) {
    test(what, () => {
      const bench = new Bench();
      change(bench);
      expect(bench.leases.votesAreBound(bench.replica)).toBe(bound);
    });
  }

  test('a campaign waits as long as a vote', () => {
    const { leases, replica } = new Bench();
    leases.restarted(1500);
    expect([leases.mayCampaign(replica, 1499), leases.mayCampaign(replica, 1500)]).toEqual([false, true]);
    Object.assign(replica, { votesBoundUntil: 1600 });
    expect([leases.mayCampaign(replica, 1599), leases.mayCampaign(replica, 1600)]).toEqual([false, true]);
  });
});

function leave(bench: Bench, promisedUntil: number): Bench {
  const [left] = bench.each({ promisedUntil }).peers;
  bench.leases.left(bench.replica, left);
  return bench.follow(0);
}

test('a quorum has passed a time when the member in the middle has, counters included, and nobody counts who does not follow', () => {
  const bench = new Bench();
  const passed = (c: number): boolean => bench.leases.quorumHasPassed(bench.replica, { n: 0, l: 900, c });
  expect([passed(2), passed(3), passed(4)]).toEqual([true, true, false]);
  Object.assign(bench.peers[1] as Peer, { allegiance: 6 });
  expect([passed(2), passed(3)]).toEqual([true, false]);
  bench.each({ boot: 2 });
  expect(passed(0)).toBe(false);
});

test('what heartbeats ask for is three quarters of the lower election timeout', () => {
  expect(new Bench().leases.promiseMs).toBe(PROMISE_MS);
});
