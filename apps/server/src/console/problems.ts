import type { NodeRow, OverviewRow, PartitionRow, ProblemRow, Severity, Verdict } from '@kahuna/console/protocol';
import { type ClusterView, isReachable, partitionList, sumKnown } from './view.ts';

/** When something becomes worth a person's attention. Milliseconds unless named otherwise. */
export interface Thresholds {
  /** An election shorter than this is normal. */
  readonly leaderlessMs: number;
  /** Entries a replica may be behind. */
  readonly lagEntries: number;
  readonly fsyncP99Ms: number;
  readonly eventLoopP99Ms: number;
  readonly clockOffsetMs: number;
  /** Beyond this the cluster no longer merges the peer's clock (transactions H-8). */
  readonly clockOffsetRefusedMs: number;
  /** Difference between most and fewest leaders among reachable voters, as a share of the mean, and the least number that counts. */
  readonly leaderSpreadShare: number;
  readonly leaderSpreadAtLeast: number;
}

export const DEFAULT_THRESHOLDS: Thresholds = {
  leaderlessMs: 3_000,
  lagEntries: 10_000,
  fsyncP99Ms: 100,
  eventLoopP99Ms: 100,
  clockOffsetMs: 500,
  clockOffsetRefusedMs: 5_000,
  leaderSpreadShare: 0.3,
  leaderSpreadAtLeast: 2,
};

/** More subjects of one kind than this are told as one problem: forty lines of the same thing hide the one that differs. */
const TELL_EACH_UP_TO = 5;
/** Subjects listed with one problem. */
const MAX_SUBJECTS = 50;

/** A problem before it is known since when. */
export type Condition = Omit<ProblemRow, 'since'> & {
  /** It is raised once it has lasted this long. */
  readonly afterMs: number;
};

/** First sight of each condition, carried from one view to the next. */
export type FirstSeen = ReadonlyMap<string, number>;

export interface Judgement {
  readonly problems: readonly ProblemRow[];
  readonly firstSeen: FirstSeen;
}

/** Compares the view with the thresholds. Pure: the past enters as `firstSeen` and leaves as the returned one. */
export function judge(view: ClusterView, firstSeen: FirstSeen, thresholds: Thresholds = DEFAULT_THRESHOLDS): Judgement {
  const conditions = [
    ...partitionConditions(view, thresholds),
    ...nodeConditions(view, thresholds),
    ...clusterConditions(view, thresholds),
  ];
  const seen = new Map<string, number>();
  const problems: ProblemRow[] = [];
  for (const { afterMs, ...condition } of conditions) {
    const since = firstSeen.get(condition.id) ?? view.nowMs;
    seen.set(condition.id, since);
    if (view.nowMs - since >= afterMs) problems.push({ ...condition, since });
  }
  problems.sort((a, b) => RANK[b.severity] - RANK[a.severity] || a.since - b.since || (a.id < b.id ? -1 : 1));
  return { problems, firstSeen: seen };
}

const RANK: Readonly<Record<Severity, number>> = { critical: 2, warning: 1, info: 0 };

// ---- partitions -------------------------------------------------------------------------------------------------------------

interface PartitionRule {
  readonly kind: string;
  readonly severity: Severity;
  readonly afterMs: number;
  readonly holds: (p: PartitionRow) => boolean;
  readonly title: (what: string, many: boolean) => string;
  readonly impact: string;
  readonly cause?: (p: PartitionRow) => string | null;
  readonly advice: string;
}

/** In order of harm; a partition is told under the first rule that it meets, except where `two-leaders` and the checksum speak for themselves. */
function partitionRules(thresholds: Thresholds): readonly PartitionRule[] {
  return [
    {
      kind: 'two-leaders',
      severity: 'critical',
      afterMs: 0,
      holds: p => p.flags.includes('two-leaders'),
      title: (what, many) => `${what} ${many ? 'have' : 'has'} two leaders in one term`,
      impact: 'Two nodes claim the same term, which the algorithm forbids: acknowledged writes may differ between them',
      advice: 'Stop clients of this partition, keep both data directories and report this',
    },
    {
      kind: 'replica-checksum-mismatch',
      severity: 'critical',
      afterMs: 0,
      holds: p => p.checksum?.ok === false,
      title: what => `${what}: replicas differ`,
      impact: 'The replicas applied the same log and hold different data: reads may depend on who leads',
      advice: 'Keep the data directories of all replicas and report this; take a backup from the leader',
    },
    {
      kind: 'partition-no-quorum',
      severity: 'critical',
      afterMs: 0,
      holds: p => p.flags.includes('no-quorum'),
      title: (what, many) => `${what} ${many ? 'have' : 'has'} no quorum`,
      impact: 'Reads and writes wait or answer MustRetry until a majority of the replicas is back',
      cause: p =>
        p.quorum === null ? null : `${p.quorum.reachable} of ${p.replicas.length} replicas reachable, ${p.quorum.needed} needed`,
      advice: 'Start the stopped nodes, or check the network between them',
    },
    {
      kind: 'partition-no-leader',
      severity: 'critical',
      afterMs: thresholds.leaderlessMs,
      holds: p => !p.flags.includes('no-quorum') && (p.leader === null || p.flags.includes('last-known-leader')),
      title: (what, many) => `${what} ${many ? 'have' : 'has'} no leader`,
      impact: 'Reads and writes wait or answer MustRetry until one is elected',
      cause: p =>
        p.leader === null
          ? `election under way in term ${p.term}`
          : `the leader, node ${p.leader.nodeId}, does not answer and nobody else has been elected`,
      advice: 'An election takes a few seconds; if it goes on, check the links between the replicas',
    },
    {
      kind: 'under-replicated',
      severity: 'info',
      afterMs: 0,
      holds: p => p.flags.includes('under-replicated'),
      title: (what, many) => `${what} ${many ? 'are' : 'is'} under-replicated`,
      impact: 'All data can be read and written; one more lost node may cost a quorum',
      cause: p => (p.quorum === null ? null : `${p.quorum.reachable} of ${p.replicas.length} replicas reachable`),
      advice: 'Bring the missing node back',
    },
    {
      kind: 'replica-lagging',
      severity: 'warning',
      afterMs: 10_000,
      holds: p => p.replicas.some(r => r.state === 'replicate' && Number(r.lag ?? 0) > thresholds.lagEntries),
      title: what => `${what}: a replica lags`,
      impact: 'A lagging replica cannot take over at once and keeps the log from being compacted',
      cause: p => {
        const worst = [...p.replicas].sort((a, b) => Number(b.lag ?? 0) - Number(a.lag ?? 0))[0];
        return worst === undefined ? null : `node ${worst.nodeId} is ${worst.lag} entries behind`;
      },
      advice: 'Compare disk and network of that node with the others',
    },
  ];
}

function partitionConditions(view: ClusterView, thresholds: Thresholds): readonly Condition[] {
  return partitionRules(thresholds).flatMap(rule => {
    const hit = view.partitions.filter(rule.holds);
    if (hit.length === 0) return [];
    return hit.length > TELL_EACH_UP_TO ? [together(view, rule, hit)] : hit.map(p => single(rule, p));
  });
}

function single(rule: PartitionRule, p: PartitionRow): Condition {
  return {
    id: `${rule.kind}/${p.partitionId}`,
    kind: rule.kind,
    severity: rule.severity,
    afterMs: rule.afterMs,
    title: rule.title(`Partition ${p.partitionId}`, false),
    impact: rule.impact,
    cause: rule.cause?.(p) ?? null,
    advice: [{ text: rule.advice, link: `/partitions/${p.partitionId}` }],
    subjects: [`partition/${p.partitionId}`, ...p.replicas.map(r => `node/${r.nodeId}`)],
    source: p.source,
  };
}

function together(view: ClusterView, rule: PartitionRule, hit: readonly PartitionRow[]): Condition {
  const all = hit.length === view.partitions.length;
  return {
    id: rule.kind,
    kind: rule.kind,
    severity: rule.severity,
    afterMs: rule.afterMs,
    title: rule.title(all ? `All ${hit.length} partitions` : `${hit.length} partitions`, true),
    impact: rule.impact,
    cause: null,
    advice: [{ text: rule.advice, link: '/map?problems=true' }],
    subjects: hit.slice(0, MAX_SUBJECTS).map(p => `partition/${p.partitionId}`),
    source: view.selfId,
  };
}

// ---- nodes ------------------------------------------------------------------------------------------------------------------

function nodeConditions(view: ClusterView, thresholds: Thresholds): readonly Condition[] {
  return view.nodes.flatMap(node => {
    const about = (
      kind: string,
      severity: Severity,
      title: string,
      impact: string,
      cause: string | null,
      advice: string,
      afterMs = 0,
    ): Condition => ({
      id: `${kind}/${node.nodeId}`,
      kind,
      severity,
      afterMs,
      title,
      impact,
      cause,
      advice: [{ text: advice, link: `/nodes/${node.nodeId}` }],
      subjects: [`node/${node.nodeId}`],
      source: node.source,
    });
    const found: Condition[] = [];
    const impactOfLoss = lossImpact(node, view);
    if (node.fatalFault !== null) {
      found.push(
        about(
          'node-fatal-fault',
          'critical',
          `${node.name} stopped itself`,
          impactOfLoss,
          node.fatalFault,
          `Read the log of ${node.name}, mend the cause and start it again`,
        ),
      );
    }
    if (node.state === 'dead') {
      found.push(
        about(
          'node-dead',
          'critical',
          `${node.name} is gone`,
          impactOfLoss,
          'no connection and no news from it',
          `Start ${node.name}, or check its host and network`,
        ),
      );
    } else if (node.state === 'suspect') {
      found.push(
        about(
          'node-suspect',
          'warning',
          `${node.name} does not answer`,
          impactOfLoss,
          'no connection and no news from it',
          `Check whether ${node.name} runs`,
        ),
      );
    }
    const fsync = node.disk.fsyncP99Ms;
    if (fsync !== null && fsync > thresholds.fsyncP99Ms) {
      found.push(
        about(
          'fsync-slow',
          'warning',
          `The disk of ${node.name} is slow`,
          'Every write that this node leads or confirms waits for its disk',
          `fsync p99 ${Math.round(fsync)} ms, expected under ${thresholds.fsyncP99Ms} ms`,
          'Look for other load on that disk',
          5_000,
        ),
      );
    }
    const loop = node.eventLoopP99Ms;
    if (loop !== null && loop > thresholds.eventLoopP99Ms) {
      found.push(
        about(
          'event-loop-blocked',
          'warning',
          `${node.name} answers late`,
          'All requests and heartbeats of this node are delayed',
          `event loop p99 ${Math.round(loop)} ms, expected under ${thresholds.eventLoopP99Ms} ms`,
          'Check its processor and whether other processes share it',
          5_000,
        ),
      );
    }
    const offset = node.clock.offsetMs;
    if (offset !== null && Math.abs(offset) > thresholds.clockOffsetMs) {
      const refused = Math.abs(offset) > thresholds.clockOffsetRefusedMs;
      found.push(
        about(
          'clock-skew',
          refused ? 'critical' : 'warning',
          `The clock of ${node.name} is ${offset > 0 ? 'ahead' : 'behind'}`,
          refused
            ? 'Beyond the trusted difference: timestamps of this node are refused'
            : 'Leases and expiry times are off by this much',
          `${Math.round(offset)} ms against this node`,
          'Check time synchronisation on both hosts',
          5_000,
        ),
      );
    }
    return found;
  });
}

function lossImpact(node: NodeRow, view: ClusterView): string {
  const lost = view.partitions.filter(p => p.flags.includes('no-quorum') && p.replicas.some(r => r.nodeId === node.nodeId));
  if (lost.length > 0) return `${partitionList(lost.map(p => p.partitionId))} lost the quorum`;
  return 'The others serve its partitions; one more lost node may cost a quorum';
}

// ---- cluster ----------------------------------------------------------------------------------------------------------------

function clusterConditions(view: ClusterView, thresholds: Thresholds): readonly Condition[] {
  const found: Condition[] = [];
  const spread = leaderSpread(view);
  if (
    spread !== undefined &&
    spread.most - spread.fewest >= thresholds.leaderSpreadAtLeast &&
    spread.imbalance > thresholds.leaderSpreadShare
  ) {
    found.push({
      id: 'leaders-unbalanced',
      kind: 'leaders-unbalanced',
      severity: 'info',
      afterMs: 60_000,
      title: 'Leaders are unevenly spread',
      impact: 'The node with most leaders does most of the work',
      cause: `most ${spread.most}, fewest ${spread.fewest}`,
      advice: [{ text: 'The balancer evens this out by itself after a while', link: '/map' }],
      subjects: view.nodes.filter(n => isReachable(n.state)).map(n => `node/${n.nodeId}`),
      source: view.selfId,
    });
  }
  const plain = view.nodes.filter(n => n.consoleUrl?.startsWith('http:'));
  if (plain.length > 0) {
    found.push({
      id: 'tls-off',
      kind: 'tls-off',
      severity: 'info',
      afterMs: 0,
      title: 'Traffic to clients is not encrypted',
      impact: 'Whoever can listen on the network reads keys and values',
      cause: `${plain.length} of ${view.nodes.length} nodes advertise http`,
      advice: [{ text: 'Start the nodes with a certificate where the network is not private', link: null }],
      subjects: plain.map(n => `node/${n.nodeId}`),
      source: view.selfId,
    });
  }
  return found;
}

interface LeaderSpread {
  readonly most: number;
  readonly fewest: number;
  /** (most - fewest) / mean. */
  readonly imbalance: number;
}

function leaderSpread(view: ClusterView): LeaderSpread | undefined {
  const counts = view.nodes.filter(n => n.role === 'Voter' && isReachable(n.state)).map(n => n.leads ?? 0);
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (counts.length < 2 || total === 0) return undefined;
  const most = Math.max(...counts);
  const fewest = Math.min(...counts);
  return { most, fewest, imbalance: ((most - fewest) * counts.length) / total };
}

// ---- verdict ----------------------------------------------------------------------------------------------------------------

export interface VerdictResult {
  readonly verdict: Verdict;
  readonly sentence: string;
}

/** The table of console §6.1, first row that applies. */
export function verdictOf(view: ClusterView, problems: readonly ProblemRow[]): VerdictResult {
  const self = view.nodes.find(n => n.nodeId === view.selfId);
  const name = self?.name ?? 'This node';
  if (!view.initialized) {
    return {
      verdict: 'unknown',
      sentence: `${name} has not joined a cluster yet: it serves nothing and knows nothing about the others.`,
    };
  }
  const voters = view.nodes.filter(n => n.role === 'Voter');
  const others = voters.filter(n => n.nodeId !== view.selfId);
  if (others.length > 0 && others.every(n => n.state === 'suspect' || n.state === 'dead')) {
    return {
      verdict: 'isolated',
      sentence: `${name} reaches no other node. Nothing can be read or written through it; the others may be fine.`,
    };
  }
  return unavailable(view) ?? degraded(view, problems) ?? attentionOrHealthy(view, problems, voters.length);
}

const leaderless = (p: PartitionRow): boolean => p.leader === null || p.flags.includes('last-known-leader');

function unavailable(view: ClusterView): VerdictResult | undefined {
  const noQuorum = view.partitions.filter(p => p.flags.includes('no-quorum'));
  if (noQuorum.length > 0) {
    return {
      verdict: 'unavailable',
      sentence: `${countOf(noQuorum.length, view.partitions.length)} no quorum; reads and writes to ${noQuorum.length === 1 ? 'it' : 'them'} wait.`,
    };
  }
  const control = view.partitions.find(p => (p.kind === 'system' || p.kind === 'meta') && leaderless(p));
  if (control === undefined) return undefined;
  const what = control.kind === 'system' ? 'membership' : 'routing';
  return { verdict: 'unavailable', sentence: `The ${control.kind} partition has no leader; changes to ${what} wait.` };
}

function degraded(view: ClusterView, problems: readonly ProblemRow[]): VerdictResult | undefined {
  const raised = (kind: string): boolean => problems.some(p => p.kind === kind);
  const without = view.partitions.filter(leaderless).length;
  if (raised('partition-no-leader') && without > 0) {
    return {
      verdict: 'degraded',
      sentence: `${countOf(without, view.partitions.length)} no leader; writes to ${without === 1 ? 'it' : 'them'} wait.`,
    };
  }
  const silent = view.nodes.filter(n => n.state === 'suspect' || n.state === 'dead');
  if (silent.length > 0) {
    const names = silent.map(n => n.name).join(', ');
    return {
      verdict: 'degraded',
      sentence: `${names} ${silent.length === 1 ? 'does' : 'do'} not answer; every partition still has a quorum, reads and writes go on.`,
    };
  }
  const under = view.partitions.filter(p => p.flags.includes('under-replicated')).length;
  if (under > 0) {
    return {
      verdict: 'degraded',
      sentence: `${countOf(under, view.partitions.length)} a replica missing; reads and writes go on.`,
    };
  }
  const worst = problems.find(p => p.severity === 'critical');
  return worst === undefined ? undefined : { verdict: 'degraded', sentence: `${worst.title}. ${worst.impact}.` };
}

function attentionOrHealthy(view: ClusterView, problems: readonly ProblemRow[], voters: number): VerdictResult {
  const warnings = problems.filter(p => p.severity === 'warning');
  if (warnings.length > 0) {
    return {
      verdict: 'attention',
      sentence:
        warnings.length === 1
          ? `${warnings[0]?.title}. ${warnings[0]?.impact}.`
          : `${warnings.length} warnings; reads and writes go on.`,
    };
  }
  const total = view.partitions.length;
  const electing = view.partitions.filter(leaderless).length;
  if (electing > 0) {
    return {
      verdict: 'healthy',
      sentence: `${countOf(electing, total)} an election under way; ${voters === 1 ? 'the node answers' : 'all nodes answer'}.`,
    };
  }
  if (total === 0) return { verdict: 'healthy', sentence: 'The node answers; it hosts no partition yet.' };
  const nodes = voters === 1 ? 'The only node answers' : `All ${voters} voters answer`;
  return { verdict: 'healthy', sentence: `${nodes} and every partition (${total}) has a leader and its quorum.` };
}

function countOf(n: number, total: number): string {
  if (n === total && n > 1) return `All ${total} partitions have`;
  return `${n} of ${total} partitions ${n === 1 ? 'has' : 'have'}`;
}

// ---- overview ---------------------------------------------------------------------------------------------------------------

export interface OverviewExtras {
  readonly verdictSinceMs: number;
  /** Nobody looked before. */
  readonly verdictSinceAtLeast: boolean;
  readonly p99Ms: { readonly read: number | null; readonly write: number | null };
  readonly retriesPerSec: number | null;
}

export function overviewRow(
  view: ClusterView,
  problems: readonly ProblemRow[],
  result: VerdictResult,
  extras: OverviewExtras,
): OverviewRow {
  const voters = view.nodes.filter(n => n.role === 'Voter');
  const count = (severity: Severity): number => problems.filter(p => p.severity === severity).length;
  const answering = view.nodes.filter(n => isReachable(n.state));
  return {
    verdict: result.verdict,
    sentence: result.sentence,
    sinceMs: extras.verdictSinceMs,
    sinceAtLeast: extras.verdictSinceAtLeast,
    nodes: {
      voters: voters.length,
      reachable: voters.filter(n => isReachable(n.state)).length,
      learners: view.nodes.filter(n => n.role === 'Learner').length,
      leaving: view.nodes.filter(n => n.role === 'Leaving').length,
    },
    partitions: {
      total: view.partitions.length,
      withLeader: view.partitions.filter(p => !leaderless(p)).length,
      underReplicated: view.partitions.some(p => p.quorum !== null)
        ? view.partitions.filter(p => p.flags.includes('under-replicated') || p.flags.includes('no-quorum')).length
        : null,
      moving: view.partitions.filter(p => p.flags.includes('electing') || p.flags.includes('snapshot')).length,
    },
    traffic: {
      readsPerSec: sumKnown(answering.map(n => n.traffic.readsPerSec)),
      writesPerSec: sumKnown(answering.map(n => n.traffic.writesPerSec)),
      p99Ms: extras.p99Ms,
      retriesPerSec: extras.retriesPerSec,
    },
    spread: {
      leadersByNode: Object.fromEntries(view.nodes.map(n => [String(n.nodeId), n.leads ?? 0])),
      imbalance: round2(leaderSpread(view)?.imbalance ?? 0),
    },
    problems: { critical: count('critical'), warning: count('warning'), info: count('info') },
    notCounted: view.sourceAges.filter(s => s.state === 'stale' || s.state === 'missing').map(s => s.nodeId),
    source: view.selfId,
  };
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
