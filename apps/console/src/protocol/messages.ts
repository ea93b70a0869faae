/**
 * The console's live protocol `kahuna.console.v1` (console §5): what crosses the WebSocket between a browser and the node it loaded
 * from. Types only, so that node and browser share one truth and neither imports the other's code.
 *
 * Conventions (console §5.2): 64-bit integers are decimal strings, times are Unix milliseconds, a member that is `null` is not known
 * to the server and is never drawn as zero, a member that is absent from a `set` is unchanged.
 */

export const SUBPROTOCOL = 'kahuna.console.v1';
export const PROTOCOL_VERSION = 1;
/** Distance of the server's ticks in milliseconds; a browser that hears nothing for three of them takes the connection for lost. */
export const TICK_MS = 2000;

export type Severity = 'info' | 'warning' | 'critical';
export type Verdict = 'unknown' | 'isolated' | 'unavailable' | 'degraded' | 'attention' | 'healthy';

// ---- rows -------------------------------------------------------------------------------------------------------------------

export interface OverviewRow {
  readonly verdict: Verdict;
  /** What, how much, who feels it: one sentence written by the server. */
  readonly sentence: string;
  readonly sinceMs: number;
  readonly nodes: { readonly voters: number; readonly reachable: number; readonly learners: number; readonly leaving: number };
  readonly partitions: {
    readonly total: number;
    readonly withLeader: number;
    readonly underReplicated: number | null;
    readonly moving: number;
  };
  readonly traffic: {
    readonly readsPerSec: number | null;
    readonly writesPerSec: number | null;
    readonly p99Ms: { readonly read: number | null; readonly write: number | null };
    readonly retriesPerSec: number | null;
  };
  readonly spread: { readonly leadersByNode: Readonly<Record<string, number>>; readonly imbalance: number };
  readonly problems: { readonly critical: number; readonly warning: number; readonly info: number };
  /** Nodes whose facts are missing or older than the stale limit: what every sum above leaves out. */
  readonly notCounted: readonly number[];
  readonly source: number;
}

export interface ProblemRow {
  readonly id: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly title: string;
  readonly since: number;
  readonly impact: string;
  readonly cause: string | null;
  readonly advice: readonly { readonly text: string; readonly link: string | null }[];
  readonly subjects: readonly string[];
  readonly source: number;
}

export type NodeState = 'self' | 'live' | 'suspect' | 'dead' | 'unknown';

export interface NodeRow {
  readonly nodeId: number;
  readonly name: string;
  readonly endpoint: string;
  readonly role: string;
  readonly state: NodeState;
  /** Since when it is in this state as far as the serving node knows. */
  readonly stateSinceMs: number | null;
  readonly version: string | null;
  readonly startedMs: number | null;
  /** Partitions it leads and hosts according to the view. */
  readonly leads: number | null;
  readonly hosts: number | null;
  /** Share of one processor, 0 to 1 per core. */
  readonly cpu: number | null;
  readonly eventLoopP99Ms: number | null;
  readonly rssBytes: string | null;
  readonly heapBytes: string | null;
  readonly disk: { readonly usedBytes: string | null; readonly totalBytes: string | null; readonly fsyncP99Ms: number | null };
  readonly clock: { readonly offsetMs: number | null; readonly hlcAheadMs: number | null };
  readonly net: { readonly inBytesPerSec: number | null; readonly outBytesPerSec: number | null };
  readonly queues: { readonly wal: number | null; readonly client: number | null };
  readonly traffic: { readonly readsPerSec: number | null; readonly writesPerSec: number | null };
  readonly fatalFault: string | null;
  readonly safeToStop: { readonly ok: boolean; readonly why: readonly string[] } | null;
  readonly consoleUrl: string | null;
  readonly source: number;
}

export interface ReachRow {
  readonly from: number;
  readonly to: number;
  readonly connected: boolean;
  readonly rttMs: number | null;
  readonly lastHeardAgoMs: number | null;
  readonly clockOffsetMs: number | null;
  readonly source: number;
}

export type ReplicaState = 'leader' | 'probe' | 'replicate' | 'snapshot' | 'unknown';

export interface ReplicaCell {
  readonly nodeId: number;
  readonly role: 'Voter' | 'Learner';
  readonly state: ReplicaState;
  /** Entries the replica is behind the leader's commit index; null while no leader reports it. */
  readonly lag: string | null;
}

export interface LeaderCell {
  readonly nodeId: number;
  readonly term: string;
  readonly sinceMs: number;
}

export interface PartitionRow {
  readonly partitionId: number;
  readonly kind: 'system' | 'meta' | 'hash' | 'range';
  readonly state: string;
  /** null: nobody is known to lead it now. */
  readonly leader: LeaderCell | null;
  /** Term known to the replicas that answered. */
  readonly term: string;
  readonly replicas: readonly ReplicaCell[];
  readonly quorum: { readonly needed: number; readonly reachable: number } | null;
  readonly targetReplicationFactor: number | null;
  readonly commitIndex: string | null;
  readonly appliedIndex: string | null;
  readonly durableIndex: string | null;
  readonly firstIndex: string | null;
  readonly load: {
    readonly readsPerSec: number | null;
    readonly writesPerSec: number | null;
    readonly clientQueue: number | null;
    readonly commitP99Ms: number | null;
  };
  readonly size: { readonly keys: number | null; readonly bytes: string | null; readonly approximate: boolean };
  /** `electing`, `last-known-leader`, `two-leaders`, `no-quorum`, `under-replicated`, `quiescent`, `snapshot`. */
  readonly flags: readonly string[];
  readonly checksum: { readonly index: string; readonly ok: boolean } | null;
  readonly source: number;
}

/** Topic `partition`: one partition with what each of its replicas says about itself. */
export interface PartitionDetailRow extends PartitionRow {
  readonly reports: readonly {
    readonly nodeId: number;
    readonly role: string;
    readonly term: string;
    readonly believesLeader: number | null;
    readonly commitIndex: string;
    readonly appliedIndex: string;
    readonly durableIndex: string;
    readonly firstIndex: string;
    readonly lastIndex: string;
  }[];
}

export interface SpaceRow {
  readonly keySpace: string;
  readonly mode: 'Hash' | 'KeyRange';
  readonly rangeCount: number;
  readonly tiling: string | null;
  readonly source: number;
}

export interface EventItem {
  readonly seq: string;
  readonly atMs: number;
  readonly kind: string;
  readonly severity: Severity;
  readonly subject: string;
  readonly text: string;
  readonly data: Readonly<Record<string, string | number>>;
  readonly source: number;
}

/** One bucket of the charts; a name the serving node cannot tell is `null`. */
export interface SeriesItem {
  readonly seq: string;
  readonly atMs: number;
  readonly values: Readonly<Record<string, number | null>>;
}

/** What a subscription to each topic carries. */
export interface TopicRows {
  overview: OverviewRow;
  problems: ProblemRow;
  nodes: NodeRow;
  reach: ReachRow;
  partitions: PartitionRow;
  partition: PartitionDetailRow;
  spaces: SpaceRow;
  events: EventItem;
  series: SeriesItem;
}
export type Topic = keyof TopicRows;
/** Parameters of the topics; each topic knows some of them (console §5.5). */
export interface TopicParams {
  /** A row passes when each named member has one of the listed values. */
  readonly filter?: Readonly<Record<string, readonly unknown[]>>;
  readonly partitionId?: number;
  readonly names?: readonly string[];
  /** Width of a bucket in seconds: 1, 10 or 60. */
  readonly step?: number;
}

// ---- client to server -------------------------------------------------------------------------------------------------------

export type ClientMessage =
  | {
      readonly t: 'hello';
      readonly protocol: number;
      readonly client: string;
      readonly clockMs: number;
      readonly locale?: string;
    }
  | {
      readonly t: 'sub';
      readonly id: number;
      readonly topic: string;
      readonly params?: TopicParams;
      readonly maxHz?: number;
      readonly resume?: { readonly stream: string; readonly seq: string };
    }
  | { readonly t: 'param'; readonly id: number; readonly params: TopicParams }
  | { readonly t: 'ack'; readonly id: number; readonly seq: string }
  | { readonly t: 'resync'; readonly id: number; readonly reason: string }
  | { readonly t: 'unsub'; readonly id: number }
  | { readonly t: 'ping'; readonly n: number; readonly clockMs: number };

// ---- server to client -------------------------------------------------------------------------------------------------------

export type RowValue = Readonly<Record<string, unknown>>;
export interface KeyedRow {
  readonly k: string;
  readonly v: RowValue;
}

export type SnapReason = 'new' | 'gap' | 'moved' | 'params' | 'resync';

export interface SnapFrame {
  readonly t: 'snap';
  readonly id: number;
  readonly topic: string;
  readonly stream: string;
  readonly seq: string;
  readonly part: number;
  readonly of: number;
  readonly total: number;
  readonly reason: SnapReason;
  readonly rows: readonly KeyedRow[];
}

export interface DeltaFrame {
  readonly t: 'delta';
  readonly id: number;
  readonly prev: string;
  readonly seq: string;
  readonly at: number;
  readonly put?: readonly KeyedRow[];
  readonly set?: readonly KeyedRow[];
  readonly del?: readonly string[];
}

export interface AppendFrame {
  readonly t: 'append';
  readonly id: number;
  readonly prev: string;
  readonly seq: string;
  readonly items: readonly (RowValue & { readonly seq: string })[];
  /** Items that were dropped for this client; older ones are read with GET /v1/console/events?before=. */
  readonly missed: number;
}

export type DataFrame = SnapFrame | DeltaFrame | AppendFrame;

export interface PeerAddress {
  readonly nodeId: number;
  readonly name: string;
  readonly consoleUrl: string | null;
}

export interface WelcomeFrame {
  readonly t: 'welcome';
  readonly protocol: number;
  readonly session: string;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly banner: { readonly text: string; readonly tone: 'warning' | 'danger' | 'neutral' } | null;
  readonly serverVersion: string;
  readonly consoleVersion: string;
  readonly node: { readonly nodeId: number; readonly name: string; readonly endpoint: string };
  readonly peers: readonly PeerAddress[];
  readonly user: { readonly name: string; readonly level: string; readonly auth: string };
  readonly serverTimeMs: number;
  readonly limits: {
    readonly subscriptions: number;
    readonly windowRows: number;
    readonly allRows: number;
    readonly frameBytes: number;
    readonly unackedFrames: number;
  };
  readonly features: Readonly<Record<string, boolean>>;
  readonly tickMs: number;
}

/** Freshness of one node's facts on the serving node. */
export interface SourceAge {
  readonly nodeId: number;
  /** null: it never reported. */
  readonly ageMs: number | null;
  readonly state: 'self' | 'live' | 'stale' | 'missing';
  readonly why?: string;
}

export interface TickFrame {
  readonly t: 'tick';
  readonly serverTimeMs: number;
  readonly viewSeq: string;
  readonly coalescing: boolean;
  readonly sources: readonly SourceAge[];
}

export interface PongFrame {
  readonly t: 'pong';
  readonly n: number;
  readonly clockMs: number;
  readonly serverTimeMs: number;
}

export type ErrorCode =
  | 'unknown-topic'
  | 'bad-params'
  | 'bad-message'
  | 'forbidden'
  | 'too-many-subscriptions'
  | 'too-many-rows'
  | 'not-initialised'
  | 'overloaded'
  | 'internal';

export interface ErrorFrame {
  readonly t: 'error';
  readonly id: number | null;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retry: boolean;
}

export interface ByeFrame {
  readonly t: 'bye';
  readonly code: string;
  readonly message: string;
  readonly reconnectMs: number;
  readonly tryUrls: readonly string[];
}

export type ServerFrame = DataFrame | WelcomeFrame | TickFrame | PongFrame | ErrorFrame | ByeFrame;

/** Why the server ends a connection (console §5.4). */
export const CloseCode = {
  protocolError: 4400,
  notSignedIn: 4401,
  levelTooLow: 4403,
  tooSlow: 4408,
  version: 4409,
  frameTooLarge: 4413,
  goingAway: 1001,
} as const;
