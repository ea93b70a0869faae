import { FIRST_DATA_PARTITION } from '@kahuna/base';
import type { HealthView, MemberRole, MembershipView, MemberView, NodeFacts, PartitionFacts, RoutingView } from './api.ts';
import type { NodeInternals } from './internals.ts';
import type { LatencyHistogram } from './latency.ts';
import type { Replica } from './replica.ts';

/** What a node tells about itself. Reads only; nothing in the database depends on it. */

export function membershipView(node: NodeInternals): MembershipView {
  const { system } = node;
  if (system === undefined) {
    return { membershipVersion: 0, members: [], localRole: 'NotMember', initialized: false, clusterId: '' };
  }
  const members = system.members.map((member): MemberView => {
    const hello = node.peerByNode(member.nodeId)?.hello;
    const self = member.nodeId === node.nodeId ? node.options : undefined;
    return {
      endpoint: member.endpoint,
      nodeId: member.nodeId,
      name: self?.name ?? hello?.name ?? member.name,
      role: member.role,
      joinedVersion: member.joinedVersion,
      clientUrl: self?.clientUrl ?? hello?.clientUrl ?? member.clientUrl,
      consoleUrl: self?.consoleUrl ?? hello?.consoleUrl ?? member.consoleUrl,
    };
  });
  const localRole: MemberRole = members.find(member => member.nodeId === node.nodeId)?.role ?? 'NotMember';
  const initialized = node.routingTable() !== undefined;
  return { membershipVersion: system.membershipVersion, members, localRole, initialized, clusterId: system.clusterId };
}

export function healthView(node: NodeInternals): HealthView {
  const { localRole, initialized } = membershipView(node);
  let hostedPartitions = 0;
  for (const id of node.replicas.keys()) if (id >= FIRST_DATA_PARTITION) hostedPartitions++;
  const member = localRole === 'Voter' || localRole === 'Learner';
  return {
    ready: initialized && member && node.accepting,
    initialized,
    localRole,
    hostedPartitions,
    fatalFault: node.fatalFault,
  };
}

export function routingView(node: NodeInternals, keySpace: string | undefined): RoutingView {
  const table = node.routingTable();
  const localUrl = node.options.clientUrl;
  if (table === undefined) {
    return { initialized: false, poolSize: 0, localUrl, mapVersion: 0, coherent: true, keySpaces: [], leaders: [] };
  }
  const urls = new Map(membershipView(node).members.map(member => [member.nodeId, member.clientUrl]));
  const leaders = table.poolPartitions().map(partitionId => {
    const leader = node.replica(partitionId)?.leaderNode ?? 0;
    return { partitionId, url: leader === 0 ? '' : (urls.get(leader) ?? '') };
  });
  const keySpaces = keySpace === undefined || keySpace === '' ? [] : [{ keySpace, mode: 'Hash' as const, ranges: [] }];
  return {
    initialized: true,
    poolSize: table.poolSize,
    localUrl,
    mapVersion: table.mapVersion,
    coherent: true,
    keySpaces,
    leaders,
  };
}

export function nodeFacts(node: NodeInternals): NodeFacts {
  const { options, clock } = node;
  const now = clock.monotonicMs();
  const wallMs = Math.floor(clock.wallMs());
  return {
    nodeId: node.nodeId,
    name: options.name,
    endpoint: options.endpoint,
    boot: options.boot,
    version: options.version,
    startedMs: node.startedWallMs,
    wallMs,
    hlc: node.hlc.peek(),
    membership: membershipView(node),
    partitions: [...node.replicas.values()].map(replica => partitionFacts(node, replica)),
    peers: [...node.peers.values()].map(peer => ({
      nodeId: peer.nodeId,
      endpoint: peer.endpoint,
      connected: peer.connected,
      lastHeardMs:
        peer.heartbeatReceivedAt === Number.NEGATIVE_INFINITY ? 0 : wallMs - Math.floor(now - peer.heartbeatReceivedAt),
      rttMs: peer.rttMs,
      clockOffsetMs: peer.clockOffsetMs,
    })),
    counters: { ...node.counters, ...node.dispatcher.counters, ...node.scans.counters, ...node.pruner.counters },
    gauges: {
      waitingRequests: node.dispatcher.waiting,
      readCount: node.readLatency.count,
      readSumMs: node.readLatency.sumMs,
      writeCount: node.writeLatency.count,
      writeSumMs: node.writeLatency.sumMs,
      ...quantiles('read', node.readLatency),
      ...quantiles('write', node.writeLatency),
      ...quantiles('log', node.logLatency),
      walQueue: node.logPending,
      ...options.vitals?.(),
    },
    fatalFault: node.fatalFault,
  };
}

/** Members without samples are left out: unknown is not zero. */
function quantiles(name: string, histogram: LatencyHistogram): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [suffix, q] of QUANTILES) {
    const value = histogram.quantile(q);
    if (value !== undefined) result[name + suffix] = value;
  }
  return result;
}

const QUANTILES = [
  ['P50', 0.5],
  ['P99', 0.99],
  ['P999', 0.999],
] as const;

function kindOf(partitionId: number): PartitionFacts['kind'] {
  if (partitionId === 0) return 'system';
  return partitionId === 1 ? 'meta' : 'hash';
}

function partitionFacts(node: NodeInternals, replica: Replica): PartitionFacts {
  const { group, machine } = replica;
  const { voters, learners } = group.configuration;
  const progress = new Map(group.progress().map(peer => [peer.member.replicaId, peer]));
  const describe = (role: 'voter' | 'learner') => (member: { replicaId: number; nodeId: number }) => {
    const peer = progress.get(member.replicaId);
    const leads = member.replicaId === group.leaderId;
    return {
      nodeId: member.nodeId,
      role,
      state: leads ? ('leader' as const) : (peer?.state ?? ('unknown' as const)),
      match: leads && replica.leads ? group.lastIndex : (peer?.match ?? 0),
    };
  };
  const learner = learners.some(member => member.replicaId === group.replicaId);
  const candidate = group.role === 'candidate' || group.role === 'precandidate';
  return {
    partitionId: replica.partitionId,
    kind: kindOf(replica.partitionId),
    role: replica.leads ? 'leader' : candidate ? 'candidate' : learner ? 'learner' : 'follower',
    leaderNodeId: replica.leaderNode,
    term: group.term,
    leaderSinceMs: replica.leaderSinceMs,
    commitIndex: group.commitIndex,
    appliedIndex: machine.appliedIndex,
    durableIndex: replica.durableIndex,
    firstIndex: group.firstIndex,
    lastIndex: group.lastIndex,
    quiescent: !node.isAwake(replica),
    reads: replica.readCount,
    writes: replica.writeCount,
    queuedProposals: replica.queuedItems,
    keys: machine.keyCount,
    checksum: { index: machine.appliedIndex, value: machine.checksum, ok: replica.checksumAgrees },
    replicas: [...voters.map(describe('voter')), ...learners.map(describe('learner'))],
  };
}
