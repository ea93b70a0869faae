import { ManualClock } from '@kahuna/base';
import type { NodeFacts } from '@kahuna/node';
import { describe, expect, test } from 'vitest';
import { judge, verdictOf } from './problems.ts';
import { RateMeter } from './rate-meter.ts';
import { ScriptedCluster } from './scripted-node.ts';
import { buildView, type ClusterView, type SourceFacts } from './view.ts';

interface Scene {
  readonly cluster: ScriptedCluster;
  readonly clock: ManualClock;
  /** Ages of the sources in milliseconds; a node that is not named never reported. */
  readonly ages: Record<number, number>;
  readonly unlinked: Record<number, number>;
  /** Replaces what a node says. */
  readonly facts: Record<number, NodeFacts>;
}

function scene(): Scene {
  const clock = new ManualClock();
  return { cluster: new ScriptedCluster(clock, 3, 4), clock, ages: { 2: 0, 3: 0 }, unlinked: {}, facts: {} };
}

function viewOf({ cluster, clock, ages, unlinked, facts }: Scene): ClusterView {
  const factsOf = (id: number): NodeFacts => facts[id] ?? cluster.factsOf(id);
  const sources = new Map<number, SourceFacts>([[1, { facts: factsOf(1), ageMs: 0 }]]);
  for (const [id, ageMs] of Object.entries(ages)) sources.set(Number(id), { facts: factsOf(Number(id)), ageMs });
  const unlinkedMs = new Map(Object.entries(unlinked).map(([id, ms]) => [Number(id), ms]));
  return buildView({ nowMs: clock.wallMs(), self: factsOf(1), sources, unlinkedMs, rates: new RateMeter() });
}

function partition(view: ClusterView, id: number) {
  const row = view.partitions.find(p => p.partitionId === id);
  if (row === undefined) throw new Error(`no partition ${id}`);
  return row;
}

/** Facts of a node with one partition said differently. */
function saying(facts: NodeFacts, partitionId: number, change: Partial<NodeFacts['partitions'][number]>): NodeFacts {
  return { ...facts, partitions: facts.partitions.map(p => (p.partitionId === partitionId ? { ...p, ...change } : p)) };
}

/** Judges after the conditions have lasted for `ms`. */
function judged(s: Scene, ms: number) {
  const first = judge(viewOf(s), new Map());
  s.clock.advance(ms);
  const view = viewOf(s);
  const { problems } = judge(view, first.firstSeen);
  return { problems, kinds: problems.map(p => p.kind), verdict: verdictOf(view, problems), view };
}

describe('merging what the replicas say about a partition', () => {
  test('the leader speaks for it: term, lag of the others, quorum', () => {
    const s = scene();
    s.cluster.partition(2).lag.set(2, 7);
    const row = partition(viewOf(s), 2);
    expect(row.leader).toMatchObject({ nodeId: 3, term: '1' });
    expect(row.replicas.map(r => r.lag)).toEqual(['0', '7', '0']);
    expect(row.quorum).toEqual({ needed: 2, reachable: 3 });
    expect(row.source).toBe(3);
  });

  test('the claim of the higher term wins over an old leader that still believes in itself', () => {
    const s = scene();
    s.facts[3] = s.cluster.factsOf(3); // partition 2, term 1, leader 3: as before the election
    s.cluster.elect(2, 1);
    const row = partition(viewOf(s), 2);
    expect(row.leader).toMatchObject({ nodeId: 1, term: '2' });
    expect(row.flags).not.toContain('two-leaders');
  });

  test('two claims in one term are never merged away', () => {
    const s = scene();
    s.facts[1] = saying(s.cluster.factsOf(1), 2, { role: 'leader', leaderNodeId: 1 });
    const { problems, verdict } = judged(s, 0);
    expect(partition(viewOf(s), 2).flags).toContain('two-leaders');
    expect(problems[0]).toMatchObject({ kind: 'two-leaders', severity: 'critical' });
    expect(verdict.verdict).toBe('degraded');
  });

  test('followers that know a higher term and no leader are electing, whatever the old leader repeats', () => {
    const s = scene();
    s.ages[3] = 5_000;
    s.facts[3] = s.cluster.factsOf(3);
    s.cluster.elect(2, 0);
    const row = partition(viewOf(s), 2);
    expect(row.leader).toBeNull();
    expect(row.flags).toContain('electing');
  });

  test('C1: a leader that only followers vouch for tells no lag: unknown is null, never 0', () => {
    const s = scene();
    delete s.ages[3];
    const row = partition(viewOf(s), 2);
    expect(row.leader).toMatchObject({ nodeId: 3 });
    expect(row.replicas.map(r => r.lag)).toEqual([null, null, null]);
    expect(row.load.writesPerSec).toBeNull();
  });

  test('a silent leader that nobody replaced is shown as last known', () => {
    const s = scene();
    s.ages[3] = 20_000;
    s.unlinked[3] = 20_000;
    s.cluster.kill(3);
    const row = partition(viewOf(s), 2);
    expect(row.leader).toMatchObject({ nodeId: 3 });
    expect(row.flags).toContain('last-known-leader');
  });

  test('C1: vitals a node did not report, or reported too long ago, are null', () => {
    const s = scene();
    s.cluster.member(2).gauges = { cpu: 0.4 };
    s.ages[2] = 16_000;
    s.unlinked[2] = 16_000;
    s.cluster.kill(2);
    const rows = viewOf(s).nodes;
    expect(rows.find(n => n.nodeId === 2)).toMatchObject({ cpu: null, state: 'dead', rssBytes: null });
    expect(rows.find(n => n.nodeId === 1)).toMatchObject({ cpu: null, eventLoopP99Ms: null, state: 'self' });
  });

  test('safe to stop: with one node gone, no other may go', () => {
    const s = scene();
    expect(viewOf(s).nodes.map(n => n.safeToStop?.ok)).toEqual([true, true, true]);
    s.cluster.kill(3);
    s.ages[3] = 5_000;
    s.unlinked[3] = 5_000;
    const [first] = viewOf(s).nodes;
    expect(first?.safeToStop).toEqual({ ok: false, why: ['6 partitions would lose their quorum'] });
  });
});

interface Case {
  readonly title: string;
  readonly script: (s: Scene) => void;
  /** How long the conditions last before judging. */
  readonly ms?: number;
  readonly verdict: string;
  readonly kinds: readonly string[];
  readonly sentence?: RegExp;
}

function silence(s: Scene, nodeId: number, ms: number): void {
  s.cluster.kill(nodeId);
  s.ages[nodeId] = ms;
  s.unlinked[nodeId] = ms;
}

function takeOver(s: Scene, from: number, to: number): void {
  for (const p of s.cluster.partitions) if (p.leader === from) s.cluster.elect(p.partitionId, to);
}

const cases: readonly Case[] = [
  {
    title: 'all is well',
    script: () => undefined,
    verdict: 'healthy',
    kinds: [],
    sentence: /All 3 voters answer and every partition \(6\)/,
  },
  {
    title: 'not initialised',
    script: s => {
      s.cluster.initialized = false;
    },
    verdict: 'unknown',
    kinds: [],
  },
  {
    title: 'a node is quiet for four seconds and its partitions have new leaders',
    script: s => {
      silence(s, 3, 4_000);
      takeOver(s, 3, 1);
    },
    verdict: 'degraded',
    kinds: ['node-suspect', 'under-replicated'],
    sentence: /node-3 does not answer; every partition still has a quorum/,
  },
  {
    title: 'a node is gone',
    script: s => {
      silence(s, 3, 16_000);
      takeOver(s, 3, 1);
    },
    verdict: 'degraded',
    kinds: ['node-dead', 'under-replicated'],
  },
  {
    title: 'a short election is not a problem',
    script: s => s.cluster.elect(4, 0),
    ms: 2_900,
    verdict: 'healthy',
    kinds: [],
    sentence: /1 of 6 partitions has an election under way/,
  },
  {
    title: 'a partition has had no leader for three seconds',
    script: s => s.cluster.elect(4, 0),
    ms: 3_000,
    verdict: 'degraded',
    kinds: ['partition-no-leader'],
    sentence: /1 of 6 partitions has no leader; writes to it wait/,
  },
  {
    title: 'the system partition has no leader',
    script: s => s.cluster.elect(0, 0),
    verdict: 'unavailable',
    kinds: [],
    sentence: /changes to membership wait/,
  },
  {
    title: 'two of three replicas of a partition are out of reach',
    script: s => {
      s.cluster.partition(4).voters.splice(0, 3, 2, 3, 4);
      s.cluster.members.push({ ...s.cluster.member(3), nodeId: 4, name: 'node-4' });
      s.cluster.elect(4, 2);
      silence(s, 3, 4_000);
      silence(s, 4, 4_000);
      takeOver(s, 3, 1);
    },
    verdict: 'unavailable',
    kinds: ['partition-no-quorum', 'under-replicated', 'node-suspect'],
    sentence: /1 of 6 partitions has no quorum/,
  },
  {
    title: 'this node reaches nobody',
    script: s => {
      silence(s, 2, 4_000);
      silence(s, 3, 4_000);
    },
    verdict: 'isolated',
    kinds: ['partition-no-quorum', 'node-suspect'],
    sentence: /node-1 reaches no other node.*the others may be fine/,
  },
  {
    title: 'replicas differ',
    script: s => {
      s.cluster.partition(5).checksumOk = false;
    },
    verdict: 'degraded',
    kinds: ['replica-checksum-mismatch'],
  },
  {
    title: 'a replica lags for ten seconds',
    script: s => {
      s.cluster.partition(5).commitIndex = 50_000;
      s.cluster.partition(5).lag.set(1, 20_000);
    },
    ms: 10_000,
    verdict: 'attention',
    kinds: ['replica-lagging'],
  },
  {
    title: 'a slow disk',
    script: s => {
      s.cluster.member(2).gauges = { logP99: 140 };
    },
    ms: 5_000,
    verdict: 'attention',
    kinds: ['fsync-slow'],
    sentence: /The disk of node-2 is slow/,
  },
  {
    title: 'an event loop that does not get round',
    script: s => {
      s.cluster.member(1).gauges = { eventLoopP99: 400 };
    },
    ms: 5_000,
    verdict: 'attention',
    kinds: ['event-loop-blocked'],
  },
  {
    title: 'a clock one second ahead',
    script: s => {
      s.cluster.member(2).clockOffsetMs = 1_000;
    },
    ms: 5_000,
    verdict: 'attention',
    kinds: ['clock-skew'],
  },
  {
    title: 'a clock beyond the trusted difference',
    script: s => {
      s.cluster.member(2).clockOffsetMs = 9_000;
    },
    ms: 5_000,
    verdict: 'degraded',
    kinds: ['clock-skew'],
  },
  {
    title: 'a node that stopped itself',
    script: s => {
      s.cluster.member(2).fatalFault = 'fsync failed';
    },
    verdict: 'degraded',
    kinds: ['node-fatal-fault'],
  },
  {
    title: 'all leaders on one node for a minute: told, but nobody needs to act',
    script: s => {
      takeOver(s, 2, 1);
      takeOver(s, 3, 1);
    },
    ms: 60_000,
    verdict: 'healthy',
    kinds: ['leaders-unbalanced'],
  },
];

describe('verdict and problems', () => {
  test.each(cases)('$title: $verdict', ({ script, ms = 0, verdict, kinds, sentence }) => {
    const s = scene();
    script(s);
    const result = judged(s, ms);
    expect([...new Set(result.kinds)].sort()).toEqual([...kinds].sort());
    expect(result.verdict.verdict).toBe(verdict);
    if (sentence !== undefined) expect(result.verdict.sentence).toMatch(sentence);
  });

  test('a problem keeps the instant it began and clears itself', () => {
    const s = scene();
    s.cluster.elect(4, 0);
    const begun = s.clock.wallMs();
    const first = judge(viewOf(s), new Map());
    s.clock.advance(5_000);
    const second = judge(viewOf(s), first.firstSeen);
    expect(second.problems[0]?.since).toBe(begun);
    s.cluster.elect(4, 2);
    const third = judge(viewOf(s), second.firstSeen);
    expect(third.problems).toEqual([]);
    expect(third.firstSeen.size).toBe(0);
  });

  test('many subjects of one kind are one problem', () => {
    const s = scene();
    for (const p of s.cluster.partitions) s.cluster.elect(p.partitionId, 0);
    const { problems } = judged(s, 3_000);
    expect(problems.map(p => p.title)).toEqual(['All 6 partitions have no leader']);
    expect(problems[0]?.subjects).toHaveLength(6);
  });
});
