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
  /** It was so already when somebody began to look: it has been for longer than since `sinceMs`. */
  readonly sinceAtLeast?: boolean;
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
  /** It was there already when somebody began to look. */
  readonly sinceAtLeast?: boolean;
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
  /** Width of the bucket where it is coarser than was asked for: nobody looked at that time, and the nodes noted only this. */
  readonly stepMs?: number;
}

export type DurabilityName = 'persistent' | 'ephemeral';

/** Topic `tree`: one child of a level of key names. */
export interface TreeRow {
  /** The child as a key space, e.g. `orders/2026`. */
  readonly path: string;
  /** Its last segment. */
  readonly name: string;
  /** Keys stored in the space itself, dead ones included; null: no key is directly in it. */
  readonly keys: number | null;
  /** At least so many. */
  readonly more: boolean;
  /** There are key spaces below it. */
  readonly below: boolean;
  readonly source: number;
}

/** Topic `keys`: one key of a key space, without its value. */
export interface KeyListRow {
  readonly key: string;
  readonly durability: DurabilityName;
  readonly revision: string;
  /** Length of the value; null: the value is null. */
  readonly bytes: number | null;
  /** null: never. */
  readonly expiresMs: number | null;
  readonly modifiedMs: number | null;
  readonly partitionId: number | null;
  readonly source: number;
}

/** Topic `key`: one key with its value. */
export interface KeyRow {
  readonly key: string;
  readonly durability: DurabilityName;
  /** `dead`: deleted or expired, its revision says how often it was written; `never`: it was never written. */
  readonly state: 'live' | 'dead' | 'never';
  readonly revision: string;
  /** null with `bytes` null: the value is null. */
  readonly valueB64: string | null;
  /** Length of the whole value; longer than `valueB64` when only its head is here. */
  readonly bytes: number | null;
  readonly expiresMs: number | null;
  readonly modifiedMs: number | null;
  readonly partitionId: number | null;
  readonly source: number;
}

/** Topics `locks` and `lock`. */
export interface LockRow {
  readonly resource: string;
  readonly durability: DurabilityName;
  readonly state: 'held' | 'expired' | 'released';
  /** null after a release, and at viewer level. */
  readonly ownerB64: string | null;
  /** The owner in a form to read; null after a release. */
  readonly ownerText: string | null;
  readonly token: string;
  /** End of the lease; null after a release. */
  readonly expiresMs: number | null;
  /** How long the lease was when it was granted or last extended; null: its leader did not note it. */
  readonly leaseMs: number | null;
  /** When it was granted; null: its leader did not note it. */
  readonly grantedMs: number | null;
  /** Extensions that its leader noted: at least so many; null: it did not note this grant. */
  readonly extends: number | null;
  readonly lastExtendMs: number | null;
  /** Asks in vain within the last half to whole minute, as its leader counts them. */
  readonly refusals: number;
  readonly partitionId: number;
  readonly source: number;
}

/** One grant in the history of a lock, as far as its leader noted it. null: it did not. */
export interface LockGrant {
  readonly token: string;
  readonly ownerText: string | null;
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly leaseMs: number | null;
  /** At least so many. */
  readonly extends: number | null;
  /** null: it holds. `unknown`: it is over, and how it ended was not noted. */
  readonly end: 'released' | 'expired' | 'unknown' | null;
}

/** An owner that asks for a held lock again and again. */
export interface LockContender {
  readonly ownerText: string;
  /** Within the last half to whole minute. */
  readonly asks: number;
  readonly lastMs: number;
}

export interface LockDetailRow extends LockRow {
  /** The latest first, at most 20. */
  readonly contenders: readonly LockContender[];
  /** Newest first. Tokens grow by one from grant to grant: a larger step says how many were not noted. */
  readonly history: readonly LockGrant[];
  /** The history holds nothing from before; null: nothing of this lock was noted. */
  readonly notedSinceMs: number | null;
}

/** Topics `sequences` and `sequence`. */
export interface SequenceRow {
  readonly name: string;
  /** The mark: no value above it was handed out. */
  readonly currentValue: string;
  readonly initialValue: string;
  readonly increment: string;
  readonly maxValue: string | null;
  readonly blockSize: number | null;
  readonly incarnation: string;
  readonly revision: string;
  readonly createdMs: number;
  readonly updatedMs: number;
  /** Values reserved per second, measured while somebody looks; null until two looks are apart enough. */
  readonly reservedPerSec: number | null;
  /** Values left up to the maximum; null: there is no maximum. */
  readonly remaining: string | null;
  /** When the last value is reserved at the present rate; null: not in sight. */
  readonly exhaustsMs: number | null;
  readonly partitionId: number | null;
  readonly source: number;
}

/** `entries`: of the log. All per second. */
export const HEAT_METRICS = ['reads', 'writes', 'entries'] as const;
export type HeatMetric = (typeof HEAT_METRICS)[number];

/**
 * Topic `heat`: one column of time over partitions. Cells as in `heat-scale.ts`, one byte for each partition, base64. A column in which
 * nothing was measured is absent, and so are measures that were not asked for.
 */
export interface HeatRow {
  /** Begin of the column; it is whole. */
  readonly atMs: number;
  readonly stepMs: number;
  /** Numbers of the partitions in the order of the cells, ascending: `0-31,40`. */
  readonly partitions: string;
  readonly reads?: string;
  readonly writes?: string;
  readonly entries?: string;
  readonly source: number;
}

/** Topic `vitals`: a node over time. Cells as in `heat-scale.ts`, one for each column up to `endMs`, base64. */
export interface VitalsRow {
  readonly nodeId: number;
  readonly stepMs: number;
  readonly endMs: number;
  /** Percent of one processor. */
  readonly cpu: string;
  readonly logP99Ms: string;
  readonly eventLoopP99Ms: string;
  readonly reads: string;
  readonly writes: string;
  readonly source: number;
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
  tree: TreeRow;
  keys: KeyListRow;
  key: KeyRow;
  locks: LockRow;
  lock: LockDetailRow;
  sequences: SequenceRow;
  sequence: SequenceRow;
  operations: OperationReport;
  heat: HeatRow;
  vitals: VitalsRow;
}
export type Topic = keyof TopicRows;
/** Parameters of the topics; each topic knows some of them (console §5.5). */
export interface TopicParams {
  /** A row passes when each named member has one of the listed values. */
  readonly filter?: Readonly<Record<string, readonly unknown[]>>;
  readonly partitionId?: number;
  readonly names?: readonly string[];
  /** Width of a bucket in seconds: 1, 10 or 60; of `heat` and `vitals` 10 (an hour) or 60 (twelve hours). */
  readonly step?: number;
  /** Names that begin with this; for `keys` the key space, for `tree` the level (empty, or ending in `/`). */
  readonly prefix?: string;
  readonly durability?: DurabilityName;
  /** Rows after this name only: the window goes by name and not by position, so that it stands still while rows come and go. */
  readonly from?: string;
  /** Rows of a window, 1 to 500; of `heat` so many of the busiest partitions. */
  readonly count?: number;
  /** `heat`: only this measure; absent: all. */
  readonly metric?: HeatMetric;
  /** Instant in Unix milliseconds at which keys are read; absent: now. */
  readonly asOfMs?: number;
  /** `locks` and `sequences`: by a {@link LockSort} or {@link SequenceSort} instead of the name; then there is one window, the first. */
  readonly sort?: string;
  readonly dir?: 'asc' | 'desc';
  readonly key?: string;
  readonly resource?: string;
  readonly name?: string;
}

export const LOCK_SORTS = ['expires', 'owner', 'token', 'refused', 'extends'] as const;
export type LockSort = (typeof LOCK_SORTS)[number];
export const SEQUENCE_SORTS = ['mark', 'rate', 'remaining', 'updated'] as const;
export type SequenceSort = (typeof SEQUENCE_SORTS)[number];

/** What a topic that is read on demand says about its rows. */
export interface WindowInfo {
  /** Rows follow the last one: the next window begins `from` here. */
  readonly next: string | null;
  /** Of a sorted window: rows that match; `atLeast`: only so many were looked at. */
  readonly matching?: { readonly rows: number; readonly atLeast: boolean };
  /** Partitions whose rows are not among these. */
  readonly missing: readonly number[];
  /** Why the rows are not of now, or not there: the last read failed. */
  readonly problem: string | null;
}

// ---- operations (console §7) ------------------------------------------------------------------------------------------------

export type Level = 'viewer' | 'reader' | 'editor' | 'operator' | 'admin';
/** Ascending: each level may what the ones before it may. */
export const LEVELS: readonly Level[] = ['viewer', 'reader', 'editor', 'operator', 'admin'];

export interface OperationRequests {
  'set-key': {
    readonly params: {
      readonly key: string;
      readonly durability: DurabilityName;
      readonly valueB64: string | null;
      /** 0: never. */
      readonly expiresMs: number;
      readonly noRevision: boolean;
    };
    /** The revision that was seen; null: there was no live key. */
    readonly expect: { readonly revision: string | null };
  };
  'delete-key': {
    readonly params: { readonly key: string; readonly durability: DurabilityName };
    readonly expect: { readonly revision: string };
  };
  /** Every live key whose name begins with the text. */
  'delete-prefix': {
    readonly params: { readonly prefix: string; readonly durability: DurabilityName };
    readonly expect: Readonly<Record<string, never>>;
  };
  'extend-key': {
    readonly params: { readonly key: string; readonly durability: DurabilityName; readonly expiresMs: number };
    readonly expect: { readonly revision: string };
  };
  'release-lock': {
    readonly params: { readonly resource: string; readonly durability: DurabilityName };
    readonly expect: { readonly ownerB64: string; readonly token: string };
  };
  'transfer-leader': {
    readonly params: { readonly partitionId: number; readonly toNodeId: number };
    readonly expect: { readonly leaderNodeId: number; readonly term: string };
  };
  /** Moves leaders until every node leads as many partitions as the others, give or take one. */
  'rebalance-leaders': {
    readonly params: Readonly<Record<string, never>>;
    readonly expect: Readonly<Record<string, never>>;
  };
  'create-sequence': {
    readonly params: {
      readonly name: string;
      readonly initialValue: string;
      readonly increment: string;
      readonly maxValue: string | null;
      readonly blockSize: number | null;
    };
    readonly expect: Readonly<Record<string, never>>;
  };
  'update-sequence': {
    readonly params: {
      readonly name: string;
      /** Absent: as it is. null: none any more. */
      readonly currentValue?: string;
      readonly increment?: string;
      readonly maxValue?: string | null;
      readonly blockSize?: number | null;
    };
    readonly expect: { readonly incarnation: string };
  };
  'reserve-sequence': {
    readonly params: { readonly name: string; readonly count: number };
    readonly expect: { readonly incarnation: string };
  };
  'delete-sequence': {
    readonly params: { readonly name: string };
    readonly expect: { readonly incarnation: string };
  };
}
export type OperationKind = keyof OperationRequests;
export type OperationRequest = {
  [K in OperationKind]: { readonly kind: K } & OperationRequests[K];
}[OperationKind];

/** The least level for each. */
export const OPERATION_LEVEL: Readonly<Record<OperationKind, Level>> = {
  'set-key': 'editor',
  'delete-key': 'editor',
  'delete-prefix': 'operator',
  'extend-key': 'editor',
  'release-lock': 'operator',
  'transfer-leader': 'operator',
  'rebalance-leaders': 'operator',
  'create-sequence': 'editor',
  'update-sequence': 'operator',
  'reserve-sequence': 'operator',
  'delete-sequence': 'operator',
};

export interface OperationCheck {
  readonly id: string;
  readonly ok: boolean;
  readonly text: string;
}

/** Answer of `POST /v1/console/operations?dryRun=true`. */
export interface Preflight {
  readonly allowed: boolean;
  readonly checks: readonly OperationCheck[];
  /** What will be, in numbers. */
  readonly effects: readonly string[];
  readonly risk: 'low' | 'medium' | 'high';
  /** To be typed before a start of high risk. */
  readonly phrase: string | null;
  /** null: the command line has no form for exactly this. */
  readonly cli: string | null;
  readonly curl: string;
}

export type Outcome = 'done' | 'refused' | 'failed' | 'unknown' | 'cancelled';

/**
 * What became of an operation: answer of `POST /v1/console/operations` and of `GET /v1/console/operations/{id}`, and a row of the topic
 * `operations`. Without values: whoever may look at the console may look at this.
 */
export interface OperationReport {
  readonly operationId: string;
  readonly kind: OperationKind;
  /** The key, lock or sequence it is about. */
  readonly subject: string;
  /** null: durability means nothing here. */
  readonly durability: DurabilityName | null;
  /** Address of the browser that started it. */
  readonly from: string;
  readonly state: 'running' | 'ended';
  /** How far it is; null where that is not told. `total` null: not known. */
  readonly progress: { readonly done: number; readonly total: number | null } | null;
  readonly canCancel: boolean;
  readonly outcome: Outcome | null;
  /** What happened, and what to do about it. */
  readonly text: string | null;
  /** The type the node answered, in the words of its API. */
  readonly statusText: string | null;
  /** What was looked at before it began. */
  readonly checks: readonly OperationCheck[];
  readonly startedMs: number;
  readonly endedMs: number | null;
  /** The node that executes it and remembers it. */
  readonly source: number;
}

/** One revision in `GET /v1/console/history`. */
export interface RevisionItem {
  readonly revision: string;
  /** When it was written; null: no read tells. */
  readonly atMs: number | null;
  /** false: superseded without being kept, or pruned. */
  readonly kept: boolean;
  readonly valueB64: string | null;
  readonly bytes: number | null;
  readonly truncated: boolean;
}

export interface HistoryPage {
  /** Newest first. */
  readonly items: readonly RevisionItem[];
  /** Ask `before` this for older ones. */
  readonly next: string | null;
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
  readonly window?: WindowInfo;
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
  /** All keys in their order, where it changed. */
  readonly order?: readonly string[];
  readonly window?: WindowInfo;
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
  readonly user: { readonly name: string; readonly level: Level; readonly auth: string };
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
