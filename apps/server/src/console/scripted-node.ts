import type { Clock } from '@kahuna/base';
import type {
  EventLog,
  HealthView,
  KahunaNode,
  MembershipView,
  MemberView,
  NodeEvent,
  NodeFacts,
  PartitionFacts,
  RoutingView,
} from '@kahuna/node';

type Replica = PartitionFacts['replicas'][number];

export interface ScriptedPartition {
  readonly partitionId: number;
  readonly kind: PartitionFacts['kind'];
  leader: number;
  term: number;
  leaderSinceMs: number;
  commitIndex: number;
  reads: number;
  writes: number;
  keys: number;
  readonly voters: number[];
  readonly learners: number[];
  /** Entries each replica is behind. */
  readonly lag: Map<number, number>;
  checksumOk: boolean;
}

export interface ScriptedMember {
  readonly nodeId: number;
  readonly name: string;
  alive: boolean;
  /** Facts no longer arrive, although the process lives (paused or cut off). */
  silent: boolean;
  gauges: Record<string, number>;
  counters: Record<string, number>;
  clockOffsetMs: number;
  fatalFault: string | null;
  /** What its application adds to what it tells others. */
  share: (nodeId: number) => unknown;
  /** What it last said, kept by the others while it is silent. */
  last: NodeFacts | undefined;
}

/**
 * A cluster that exists only as facts: tests and the preview move leaders, stop nodes and let time pass, and the console sees it
 * through the same door as a real node ({@link KahunaNode}).
 */
export class ScriptedCluster {
  readonly members: ScriptedMember[];
  readonly partitions: ScriptedPartition[];
  private readonly log: NodeEvent[] = [];
  private readonly listeners = new Set<(event: NodeEvent) => void>();
  private readonly clock: Clock;
  initialized = true;
  gathering = 0;

  constructor(clock: Clock, nodes: number, hashPartitions: number) {
    this.clock = clock;
    this.members = Array.from({ length: nodes }, (_, i) => ({
      nodeId: i + 1,
      name: `node-${i + 1}`,
      alive: true,
      silent: false,
      gauges: {},
      counters: {},
      clockOffsetMs: 0,
      fatalFault: null,
      share: () => undefined,
      last: undefined,
    }));
    const ids = this.members.map(m => m.nodeId);
    this.partitions = Array.from({ length: hashPartitions + 2 }, (_, partitionId) => ({
      partitionId,
      kind: partitionId === 0 ? ('system' as const) : partitionId === 1 ? ('meta' as const) : ('hash' as const),
      leader: (partitionId % nodes) + 1,
      term: 1,
      leaderSinceMs: clock.wallMs(),
      commitIndex: 100,
      reads: 0,
      writes: 0,
      keys: 0,
      voters: [...ids],
      learners: [],
      lag: new Map(),
      checksumOk: true,
    }));
  }

  member(nodeId: number): ScriptedMember {
    const found = this.members.find(m => m.nodeId === nodeId);
    if (found === undefined) throw new Error(`no member ${nodeId}`);
    return found;
  }

  partition(partitionId: number): ScriptedPartition {
    const found = this.partitions.find(p => p.partitionId === partitionId);
    if (found === undefined) throw new Error(`no partition ${partitionId}`);
    return found;
  }

  /** `nodeId` wins the next election; 0 leaves the partition without a leader in a new term. */
  elect(partitionId: number, nodeId: number): void {
    const p = this.partition(partitionId);
    p.leader = nodeId;
    p.term++;
    p.leaderSinceMs = this.clock.wallMs();
    const text =
      nodeId === 0
        ? `partition ${partitionId} has no leader (term ${p.term})`
        : `${this.member(nodeId).name} leads partition ${partitionId} (term ${p.term})`;
    this.emit('leader-changed', 'info', `partition/${partitionId}`, text);
  }

  kill(nodeId: number): void {
    const member = this.member(nodeId);
    member.last = this.factsOf(nodeId);
    member.alive = false;
    this.emit('link-down', 'warning', `node/${nodeId}`, `the link to ${member.name} is down`);
  }

  revive(nodeId: number): void {
    const member = this.member(nodeId);
    member.alive = true;
    this.emit('link-up', 'info', `node/${nodeId}`, `${member.name} is connected`);
  }

  emit(kind: string, severity: NodeEvent['severity'], subject: string, text: string): void {
    const event = { seq: this.log.length + 1, atMs: this.clock.wallMs(), kind, severity, subject, text, data: {} };
    this.log.push(event);
    for (const listener of this.listeners) listener(event);
  }

  factsOf(nodeId: number): NodeFacts {
    const member = this.member(nodeId);
    const wallMs = this.clock.wallMs() + member.clockOffsetMs;
    return {
      nodeId,
      name: member.name,
      endpoint: `127.0.0.1:${8080 + nodeId}`,
      boot: 1,
      version: '0.1.0',
      startedMs: 1_763_700_000_000,
      wallMs,
      hlc: { n: nodeId, l: Math.floor(wallMs), c: 0 },
      membership: this.membership(nodeId),
      partitions: this.partitions
        .filter(p => p.voters.includes(nodeId) || p.learners.includes(nodeId))
        .map(p => this.partitionFacts(p, nodeId)),
      peers: this.members
        .filter(m => m.nodeId !== nodeId)
        .map(m => ({
          nodeId: m.nodeId,
          endpoint: `127.0.0.1:${8080 + m.nodeId}`,
          connected: m.alive && member.alive,
          lastHeardMs: wallMs,
          rttMs: 0.4,
          clockOffsetMs: m.clockOffsetMs - member.clockOffsetMs,
        })),
      counters: { ...member.counters },
      gauges: { ...member.gauges },
      fatalFault: member.fatalFault,
    };
  }

  /** The cluster as `nodeId` sees it. */
  node(nodeId: number): KahunaNode {
    const events: EventLog = {
      recent: (limit, beforeSeq = Number.MAX_SAFE_INTEGER) => this.log.filter(e => e.seq < beforeSeq).slice(-limit),
      subscribe: listener => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
    return {
      submit: () => {
        throw new Error('a scripted node serves no operations');
      },
      instruments: () => [],
      scan: () => Promise.reject(new Error('a scripted node serves no operations')),
      hold: () => Promise.reject(new Error('a scripted node serves no operations')),
      keySpaces: () => Promise.reject(new Error('a scripted node serves no operations')),
      list: () => Promise.reject(new Error('a scripted node serves no operations')),
      watch: (_query, wake) => {
        queueMicrotask(wake);
        return {
          end: 'unavailable',
          leaderUrl: '',
          cluster: '',
          take: () => [],
          position: () => undefined,
          close: () => undefined,
        };
      },
      watchNames: () => () => undefined,
      shareWithPeers: share => {
        this.member(nodeId).share = share;
      },
      membership: () => this.membership(nodeId),
      routing: () => this.routing(),
      health: () => this.health(nodeId),
      facts: () => this.factsOf(nodeId),
      events,
      peerFacts: id => this.peerFacts(id, nodeId),
      gatherPeerFacts: () => {
        this.gathering++;
        return () => {
          this.gathering--;
        };
      },
      transferLeadership: () => false,
      requestTransfer: (partitionId, toNodeId) => {
        this.elect(partitionId, toNodeId);
        return true;
      },
    };
  }

  private peerFacts(nodeId: number, askedBy: number): ReturnType<KahunaNode['peerFacts']> {
    const member = this.member(nodeId);
    if (this.gathering === 0 || nodeId === askedBy) return undefined;
    if (member.alive && !member.silent) member.last = { ...this.factsOf(nodeId), shared: member.share(askedBy) };
    return member.last === undefined ? undefined : { facts: member.last, receivedAtMs: member.last.wallMs };
  }

  private partitionFacts(p: ScriptedPartition, nodeId: number): PartitionFacts {
    const leads = p.leader === nodeId;
    const behind = p.lag.get(nodeId) ?? 0;
    return {
      partitionId: p.partitionId,
      kind: p.kind,
      role: leads ? 'leader' : p.learners.includes(nodeId) ? 'learner' : p.leader === 0 ? 'candidate' : 'follower',
      leaderNodeId: p.leader,
      term: p.term,
      leaderSinceMs: p.leaderSinceMs,
      commitIndex: p.commitIndex - behind,
      appliedIndex: p.commitIndex - behind,
      durableIndex: p.commitIndex - behind,
      firstIndex: 1,
      lastIndex: p.commitIndex - behind,
      quiescent: false,
      reads: leads ? p.reads : 0,
      writes: leads ? p.writes : 0,
      queuedProposals: 0,
      keys: p.keys,
      checksum: { index: p.commitIndex, value: 1, ok: p.checksumOk },
      replicas: [...p.voters, ...p.learners].map((id): Replica => {
        const reachable = this.member(id).alive;
        const match = p.commitIndex - (p.lag.get(id) ?? 0);
        const state = id === p.leader ? 'leader' : p.learners.includes(id) ? 'snapshot' : reachable ? 'replicate' : 'probe';
        return { nodeId: id, role: p.learners.includes(id) ? 'learner' : 'voter', state, match };
      }),
    };
  }

  private membership(nodeId: number): MembershipView {
    const members: MemberView[] = this.members.map(m => ({
      endpoint: `127.0.0.1:${8080 + m.nodeId}`,
      nodeId: m.nodeId,
      name: m.name,
      role: 'Voter',
      joinedVersion: 1,
      clientUrl: '',
      consoleUrl: '',
    }));
    const own = members.find(m => m.nodeId === nodeId);
    return {
      membershipVersion: 1,
      members,
      localRole: own?.role ?? 'NotMember',
      initialized: this.initialized,
      clusterId: this.initialized ? '8d1bd2f0a4c94a6f' : '',
    };
  }

  private routing(): RoutingView {
    return {
      initialized: this.initialized,
      poolSize: this.partitions.filter(p => p.kind === 'hash').length,
      localUrl: '',
      mapVersion: 1,
      coherent: true,
      keySpaces: [],
      leaders: [],
    };
  }

  private health(nodeId: number): HealthView {
    return {
      ready: true,
      initialized: this.initialized,
      localRole: 'Voter',
      hostedPartitions: this.partitions.length,
      fatalFault: this.member(nodeId).fatalFault,
    };
  }
}
