import type {
  LeaderCell,
  NodeRow,
  NodeState,
  PartitionDetailRow,
  PartitionRow,
  ReachRow,
  ReplicaCell,
  SourceAge,
  SpaceRow,
} from '@kahuna/console/protocol';
import type { NodeFacts, PartitionFacts, RoutingView } from '@kahuna/node';
import { Counter, Gauge } from './fact-names.ts';
import type { NodeRates, RateMeter } from './rate-meter.ts';

/** A source silent for longer is stale: its rows are muted and its claims need a second witness. Milliseconds (console §4.4). */
export const STALE_AFTER_MS = 3_000;
/** A source silent for longer is taken for gone: hatched, not counted. Milliseconds (console §4.4). */
export const LOST_AFTER_MS = 15_000;

/** What one node said, and how long ago it was heard saying it. */
export interface SourceFacts {
  readonly facts: NodeFacts;
  /** Milliseconds since these facts arrived at the serving node; 0 for its own. */
  readonly ageMs: number;
}

export interface ViewInput {
  /** Wall clock of the serving node. */
  readonly nowMs: number;
  readonly self: NodeFacts;
  /** Facts of every source by node, the serving node's own included. */
  readonly sources: ReadonlyMap<number, SourceFacts>;
  /** For how long each peer has been without a link from the serving node, as far as the console watched; absent while linked. */
  readonly unlinkedMs: ReadonlyMap<number, number>;
  readonly rates: RateMeter;
}

/** What the serving node knows about the whole cluster, for display only (console §4.1). */
export interface ClusterView {
  readonly nowMs: number;
  readonly selfId: number;
  readonly initialized: boolean;
  readonly nodes: readonly NodeRow[];
  readonly partitions: readonly PartitionRow[];
  readonly reach: readonly ReachRow[];
  readonly sourceAges: readonly SourceAge[];
}

/** Builds the rows from the facts. Pure; merge rules of console §4.1. */
export function buildView(input: ViewInput): ClusterView {
  const states = nodeStates(input);
  const partitions = mergePartitions(input, states);
  return {
    nowMs: input.nowMs,
    selfId: input.self.nodeId,
    initialized: input.self.membership.initialized,
    nodes: nodeRows(input, states, partitions),
    partitions,
    reach: reachRows(input),
    sourceAges: sourceAges(input),
  };
}

// ---- nodes ------------------------------------------------------------------------------------------------------------------

interface Liveness {
  readonly state: NodeState;
  readonly silentMs: number;
}

/**
 * A peer is live while facts or the link say so, suspect when both have been quiet for the stale limit, dead after the lost limit.
 * A peer of which nothing was ever heard, and whose link the console has watched for less than the stale limit, is unknown.
 */
function nodeStates(input: ViewInput): ReadonlyMap<number, Liveness> {
  const states = new Map<number, Liveness>();
  for (const member of input.self.membership.members) {
    if (member.nodeId === input.self.nodeId) {
      states.set(member.nodeId, { state: 'self', silentMs: 0 });
      continue;
    }
    const link = input.self.peers.find(peer => peer.nodeId === member.nodeId);
    const factsAge = input.sources.get(member.nodeId)?.ageMs;
    const unlinked = input.unlinkedMs.get(member.nodeId);
    const silentMs = Math.min(factsAge ?? Number.POSITIVE_INFINITY, link?.connected ? 0 : (unlinked ?? 0));
    states.set(member.nodeId, { state: livenessOf(silentMs, link?.connected === true, factsAge), silentMs });
  }
  return states;
}

function livenessOf(silentMs: number, linked: boolean, factsAge: number | undefined): NodeState {
  if (silentMs > LOST_AFTER_MS) return 'dead';
  if (silentMs > STALE_AFTER_MS) return 'suspect';
  if (linked || (factsAge !== undefined && factsAge <= STALE_AFTER_MS)) return 'live';
  return 'unknown';
}

export function isReachable(state: NodeState): boolean {
  return state === 'self' || state === 'live';
}

/** Vitals as the node reported them; null for whatever it did not say or said too long ago (console C1). */
function nodeRows(
  input: ViewInput,
  states: ReadonlyMap<number, Liveness>,
  partitions: readonly PartitionRow[],
): readonly NodeRow[] {
  const leads = countBy(partitions, p => (p.leader === null ? [] : [p.leader.nodeId]));
  const hosts = countBy(partitions, p => p.replicas.map(replica => replica.nodeId));
  return [...input.self.membership.members]
    .sort((a, b) => a.nodeId - b.nodeId)
    .map(member => {
      const source = input.sources.get(member.nodeId);
      const facts = source === undefined || source.ageMs > LOST_AFTER_MS ? undefined : source.facts;
      const liveness = states.get(member.nodeId) ?? { state: 'unknown', silentMs: 0 };
      const link = input.self.peers.find(peer => peer.nodeId === member.nodeId);
      const isSelf = member.nodeId === input.self.nodeId;
      return {
        nodeId: member.nodeId,
        name: member.name,
        endpoint: member.endpoint,
        role: member.role,
        state: liveness.state,
        stateSinceMs: isReachable(liveness.state) ? null : Math.round(input.nowMs - liveness.silentMs),
        version: source?.facts.version ?? null,
        startedMs: source?.facts.startedMs ?? null,
        leads: leads.get(member.nodeId) ?? 0,
        hosts: hosts.get(member.nodeId) ?? 0,
        ...vitals(facts, input.rates.of(member.nodeId)),
        clock: {
          offsetMs: isSelf ? 0 : (numberOrNull(link?.connected ? link.clockOffsetMs : undefined) ?? null),
          hlcAheadMs: facts === undefined ? null : Math.max(0, facts.hlc.l - Math.floor(facts.wallMs)),
        },
        fatalFault: source?.facts.fatalFault ?? null,
        safeToStop: safeToStop(member.nodeId, input, states, partitions),
        consoleUrl: member.consoleUrl === '' ? null : member.consoleUrl,
        source: member.nodeId,
      };
    });
}

type Vitals = Pick<NodeRow, 'cpu' | 'eventLoopP99Ms' | 'rssBytes' | 'heapBytes' | 'disk' | 'net' | 'queues' | 'traffic'>;

function vitals(facts: NodeFacts | undefined, rates: NodeRates): Vitals {
  const gauge = (name: string): number | null => numberOrNull(facts?.gauges[name]);
  const bytes = (name: string): string | null => {
    const value = gauge(name);
    return value === null ? null : String(Math.round(value));
  };
  const rate = (name: string): number | null => (facts === undefined ? null : rates.counter(name));
  return {
    cpu: gauge(Gauge.cpu),
    eventLoopP99Ms: gauge(Gauge.eventLoopP99),
    rssBytes: bytes(Gauge.rssBytes),
    heapBytes: bytes(Gauge.heapBytes),
    disk: { usedBytes: bytes(Gauge.diskUsedBytes), totalBytes: bytes(Gauge.diskTotalBytes), fsyncP99Ms: gauge(Gauge.fsyncP99) },
    net: { inBytesPerSec: rate(Counter.netIn), outBytesPerSec: rate(Counter.netOut) },
    queues: { wal: gauge(Gauge.walQueue), client: gauge(Gauge.clientQueue) },
    traffic: facts === undefined ? { readsPerSec: null, writesPerSec: null } : ledTraffic(facts, rates),
  };
}

function ledTraffic(facts: NodeFacts, rates: NodeRates): NodeRow['traffic'] {
  const led = facts.partitions.filter(p => p.role === 'leader').map(p => rates.partition(p.partitionId));
  return { readsPerSec: sumKnown(led.map(r => r.readsPerSec)), writesPerSec: sumKnown(led.map(r => r.writesPerSec)) };
}

/** Sum of what is known; null when there is something to add but none of it is known. */
export function sumKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null);
  return known.length === 0 && values.length > 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

/** Would every partition keep a quorum of reachable replicas without this node? null while the replicas are not known. */
function safeToStop(
  nodeId: number,
  input: ViewInput,
  states: ReadonlyMap<number, Liveness>,
  partitions: readonly PartitionRow[],
): NodeRow['safeToStop'] {
  const voters = input.self.membership.members.filter(member => member.role === 'Voter');
  if (voters.length === 1 && voters[0]?.nodeId === nodeId) {
    return { ok: false, why: ['it is the only voter: nothing can be read or written while it is stopped'] };
  }
  const losing = partitions.filter(p => {
    const votersOfGroup = p.replicas.filter(replica => replica.role === 'Voter');
    if (!votersOfGroup.some(replica => replica.nodeId === nodeId)) return false;
    const left = votersOfGroup.filter(
      replica => replica.nodeId !== nodeId && isReachable(states.get(replica.nodeId)?.state ?? 'unknown'),
    );
    return left.length < quorumOf(votersOfGroup.length);
  });
  if (partitions.length === 0) return null;
  if (losing.length === 0) return { ok: true, why: [] };
  return {
    ok: false,
    why: [`${partitionList(losing.map(p => p.partitionId))} would lose ${losing.length === 1 ? 'its' : 'their'} quorum`],
  };
}

/** `partition 4`, `partitions 4, 7 and 9`, `340 partitions`. */
export function partitionList(ids: readonly number[]): string {
  if (ids.length === 1) return `partition ${ids[0]}`;
  if (ids.length > 5) return `${ids.length} partitions`;
  return `partitions ${ids.slice(0, -1).join(', ')} and ${ids[ids.length - 1]}`;
}

export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

// ---- partitions -------------------------------------------------------------------------------------------------------------

/** One replica's account of its partition. */
interface Account {
  readonly nodeId: number;
  readonly facts: PartitionFacts;
  readonly fresh: boolean;
}

function mergePartitions(input: ViewInput, states: ReadonlyMap<number, Liveness>): readonly PartitionRow[] {
  const accounts = new Map<number, Account[]>();
  for (const [nodeId, source] of input.sources) {
    const fresh = source.ageMs <= STALE_AFTER_MS;
    for (const facts of source.facts.partitions) {
      const known = accounts.get(facts.partitionId);
      if (known === undefined) accounts.set(facts.partitionId, [{ nodeId, facts, fresh }]);
      else known.push({ nodeId, facts, fresh });
    }
  }
  return [...accounts.entries()]
    .sort(([a], [b]) => a - b)
    .map(([partitionId, replicas]) => mergePartition(partitionId, replicas, input, states));
}

function mergePartition(
  partitionId: number,
  accounts: readonly Account[],
  input: ViewInput,
  states: ReadonlyMap<number, Liveness>,
): PartitionRow {
  // A lone stale account must not outvote fresh ones: its term counts only when nobody fresh speaks.
  const witnesses = accounts.some(a => a.fresh) ? accounts.filter(a => a.fresh) : accounts;
  const leadership = findLeader(accounts, witnesses, states);
  const spokesman = leadership.account ?? newest(witnesses);
  const facts = spokesman.facts;
  const leads = leadership.account !== undefined;
  const replicas = replicaCells(spokesman, leads);
  const quorum = quorumFacts(replicas, states);
  const rates = leads ? input.rates.of(spokesman.nodeId).partition(partitionId) : { readsPerSec: null, writesPerSec: null };
  const gauges = leads ? input.sources.get(spokesman.nodeId)?.facts.gauges : undefined;
  const flags = [...leadership.flags];
  if (quorum !== null && quorum.reachable < quorum.needed) flags.push('no-quorum');
  else if (replicas.some(r => r.role === 'Voter' && !isReachable(states.get(r.nodeId)?.state ?? 'unknown')))
    flags.push('under-replicated');
  if (replicas.some(r => r.state === 'snapshot')) flags.push('snapshot');
  if (facts.quiescent) flags.push('quiescent');
  return {
    partitionId,
    kind: facts.kind,
    state: 'Active',
    leader: leadership.leader,
    term: String(leadership.term),
    replicas,
    quorum,
    targetReplicationFactor: null,
    commitIndex: String(facts.commitIndex),
    appliedIndex: String(facts.appliedIndex),
    durableIndex: String(facts.durableIndex),
    firstIndex: String(facts.firstIndex),
    load: {
      ...rates,
      clientQueue: leads ? facts.queuedProposals : null,
      commitP99Ms: numberOrNull(gauges?.[`${Gauge.commitP99}/${partitionId}`]),
    },
    size: { keys: facts.keys, bytes: null, approximate: !leads },
    flags,
    checksum: checksumOf(accounts, facts),
    source: spokesman.nodeId,
  };
}

/** A mismatch that any replica reports outranks the leader's own good one. */
function checksumOf(accounts: readonly Account[], facts: PartitionFacts): PartitionRow['checksum'] {
  const bad = accounts.find(a => !a.facts.checksum.ok)?.facts.checksum;
  const shown = bad ?? facts.checksum;
  return shown.index === 0 ? null : { index: String(shown.index), ok: shown.ok };
}

interface Leadership {
  readonly leader: LeaderCell | null;
  readonly term: number;
  /** The leader's own account, when it is the one that speaks. */
  readonly account: Account | undefined;
  readonly flags: readonly string[];
}

/**
 * The claim of the highest term wins; a second claim in the same term is never merged away. Followers that know a higher term and no
 * leader are electing: the old leader's claim is then history, even while it still repeats it. A leader whose node is silent counts
 * only while another fresh replica follows it; otherwise it is shown as last known.
 */
function findLeader(
  accounts: readonly Account[],
  witnesses: readonly Account[],
  states: ReadonlyMap<number, Liveness>,
): Leadership {
  const term = Math.max(...witnesses.map(a => a.facts.term));
  const claims = witnesses.filter(a => a.facts.role === 'leader' && a.facts.term === term);
  const claim = claims[0];
  if (claim !== undefined) {
    const leader = { nodeId: claim.nodeId, term: String(term), sinceMs: Math.round(claim.facts.leaderSinceMs) };
    const flags = claims.length > 1 ? ['two-leaders'] : [];
    if (!claim.fresh) flags.push('last-known-leader');
    return { leader, term, account: claim, flags };
  }
  const follower = witnesses.find(a => a.facts.term === term && a.facts.leaderNodeId !== 0);
  if (follower === undefined) return { leader: null, term, account: undefined, flags: ['electing'] };
  const leaderId = follower.facts.leaderNodeId;
  const own = accounts.find(a => a.nodeId === leaderId);
  if (own?.fresh && own.facts.term === term && own.facts.role !== 'leader') {
    return { leader: null, term, account: undefined, flags: ['electing'] }; // it has stepped down; the follower has not heard
  }
  const leader = { nodeId: leaderId, term: String(term), sinceMs: Math.round(follower.facts.leaderSinceMs) };
  const flags = isReachable(states.get(leaderId)?.state ?? 'unknown') ? [] : ['last-known-leader'];
  return { leader, term, account: undefined, flags };
}

function newest(accounts: readonly Account[]): Account {
  return accounts.reduce((best, a) =>
    a.facts.term > best.facts.term || (a.facts.term === best.facts.term && a.facts.commitIndex > best.facts.commitIndex)
      ? a
      : best,
  );
}

/** Lag is told by a leader only: a follower's idea of the others' progress is not knowledge. */
function replicaCells(spokesman: Account, leads: boolean): readonly ReplicaCell[] {
  const { facts } = spokesman;
  return facts.replicas
    .map(replica => ({
      nodeId: replica.nodeId,
      role: replica.role === 'learner' ? ('Learner' as const) : ('Voter' as const),
      state: leads ? (replica.nodeId === spokesman.nodeId ? ('leader' as const) : replica.state) : ('unknown' as const),
      lag: lagOf(replica, spokesman, leads),
    }))
    .sort((a, b) => a.nodeId - b.nodeId);
}

function lagOf(replica: PartitionFacts['replicas'][number], spokesman: Account, leads: boolean): string | null {
  if (!leads || replica.state === 'unknown') return null;
  if (replica.nodeId === spokesman.nodeId) return '0';
  return String(Math.max(0, spokesman.facts.commitIndex - replica.match));
}

function quorumFacts(replicas: readonly ReplicaCell[], states: ReadonlyMap<number, Liveness>): PartitionRow['quorum'] {
  const voters = replicas.filter(replica => replica.role === 'Voter');
  if (voters.length === 0) return null;
  // A node nothing was heard of yet is given the benefit of the doubt: absence of news in the first seconds is not a lost quorum.
  const reachable = voters.filter(replica => {
    const state = states.get(replica.nodeId)?.state ?? 'unknown';
    return isReachable(state) || state === 'unknown';
  });
  return { needed: quorumOf(voters.length), reachable: reachable.length };
}

/** The richer row of one partition: what each replica says about itself, side by side. */
export function partitionDetail(
  view: ClusterView,
  sources: ReadonlyMap<number, SourceFacts>,
  partitionId: number,
): PartitionDetailRow | undefined {
  const row = view.partitions.find(p => p.partitionId === partitionId);
  if (row === undefined) return undefined;
  const reports = [...sources].flatMap(([nodeId, source]) => {
    const facts = source.facts.partitions.find(p => p.partitionId === partitionId);
    if (facts === undefined) return [];
    return [
      {
        nodeId,
        role: facts.role,
        term: String(facts.term),
        believesLeader: facts.leaderNodeId === 0 ? null : facts.leaderNodeId,
        commitIndex: String(facts.commitIndex),
        appliedIndex: String(facts.appliedIndex),
        durableIndex: String(facts.durableIndex),
        firstIndex: String(facts.firstIndex),
        lastIndex: String(facts.lastIndex),
      },
    ];
  });
  return { ...row, reports: reports.sort((a, b) => a.nodeId - b.nodeId) };
}

// ---- reachability, sources, spaces --------------------------------------------------------------------------------------------

function reachRows(input: ViewInput): readonly ReachRow[] {
  const rows: ReachRow[] = [];
  for (const [from, source] of input.sources) {
    for (const peer of source.facts.peers) {
      rows.push({
        from,
        to: peer.nodeId,
        connected: peer.connected,
        rttMs: peer.connected ? numberOrNull(peer.rttMs) : null,
        lastHeardAgoMs: peer.lastHeardMs > 0 ? Math.max(0, Math.round(source.facts.wallMs - peer.lastHeardMs)) : null,
        clockOffsetMs: peer.connected ? numberOrNull(peer.clockOffsetMs) : null,
        source: from,
      });
    }
  }
  return rows.sort((a, b) => a.from - b.from || a.to - b.to);
}

/** Freshness of every member's facts, as of the ages in `input`. */
export function sourceAges(input: Pick<ViewInput, 'self' | 'sources'>): readonly SourceAge[] {
  return [...input.self.membership.members]
    .sort((a, b) => a.nodeId - b.nodeId)
    .map(member => {
      if (member.nodeId === input.self.nodeId) return { nodeId: member.nodeId, ageMs: 0, state: 'self' as const };
      const source = input.sources.get(member.nodeId);
      const linked = input.self.peers.find(peer => peer.nodeId === member.nodeId)?.connected === true;
      const why = linked ? 'connected, but sends no facts' : 'no connection';
      if (source === undefined) return { nodeId: member.nodeId, ageMs: null, state: 'missing' as const, why };
      const ageMs = Math.round(source.ageMs);
      if (ageMs <= STALE_AFTER_MS) return { nodeId: member.nodeId, ageMs, state: 'live' as const };
      return { nodeId: member.nodeId, ageMs, state: 'stale' as const, why };
    });
}

export function spaceRows(routing: RoutingView, selfId: number): readonly SpaceRow[] {
  return routing.keySpaces.map(space => ({
    keySpace: space.keySpace,
    mode: space.mode,
    rangeCount: space.ranges.length,
    tiling: space.mode === 'KeyRange' ? (tiles(space.ranges) ? 'ok' : 'gap') : null,
    source: selfId,
  }));
}

/** Do the ranges cover the space from -inf to +inf without gap or overlap? */
function tiles(ranges: RoutingView['keySpaces'][number]['ranges']): boolean {
  const first = ranges[0];
  const last = ranges[ranges.length - 1];
  if (first === undefined || last === undefined || first.startKey !== null || last.endKey !== null) return false;
  return ranges.every((range, i) => i === 0 || ranges[i - 1]?.endKey === range.startKey);
}

// ---- small helpers ----------------------------------------------------------------------------------------------------------

function numberOrNull(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}

function countBy<T>(items: readonly T[], keysOf: (item: T) => readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const item of items) for (const key of keysOf(item)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
