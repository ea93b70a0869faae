import type { Hlc } from '@kahuna/base';
import type {
  HoldAnswer,
  HoldOperation,
  KeySpaceAnswer,
  KeySpaceQuery,
  ListingAnswer,
  ListingQuery,
  LockOperation,
  Operation,
  OperationResult,
  ScanAnswer,
  ScanQuery,
  SequenceOperation,
} from '@kahuna/partition';
import type { QueueMeter, Watch, WatchQuery } from './watch/watch-api.ts';

/** Receives answers without a closure per operation: `token` is whatever the submitter chose. Called exactly once per operation, never inside `submit`. */
export interface ResultSink {
  complete(token: number, result: OperationResult): void;
}

/** The node as its gateways (gRPC, REST, WebSocket) see it. */
export interface KahunaNode {
  /**
   * Any operation on any node: routed, forwarded once to the leader if need be, answered with a result in all cases.
   * `deadlineMs`: monotonic instant of `clock` after which the answer is not wanted any more (0 = the spec's own bounds).
   */
  submit(operation: Operation | LockOperation | SequenceOperation, sink: ResultSink, token: number, deadlineMs: number): void;
  /** Reads many keys by order, over as many partitions as it takes. Never rejects: refusals are answers. `deadlineMs` as above. */
  scan(query: ScanQuery, deadlineMs: number): Promise<ScanAnswer>;
  hold(operation: HoldOperation, deadlineMs: number): Promise<HoldAnswer>;
  /** Pages through the names of the key spaces of all partitions, for the console. Never rejects. `deadlineMs` as above. */
  keySpaces(query: KeySpaceQuery, deadlineMs: number): Promise<KeySpaceAnswer>;
  /** A page of locks or sequences over all partitions, for the console. Never rejects. */
  list(query: ListingQuery, deadlineMs: number): Promise<ListingAnswer>;
  /** Changes of keys from this node's own replicas. `wake`: there is something to take, or the watch has ended; never called inside `watch`. */
  watch(query: WatchQuery, wake: () => void, meter?: QueueMeter): Watch;
  /**
   * A hint for lists: `changed` is called whenever a lock or a sequence whose name begins so may have changed on a replica of this
   * node. Called in the middle of things: it may only take note. Returns the end. Ephemeral locks: on the leader of their partition.
   */
  watchNames(kind: ListingQuery['kind'], prefix: string, changed: () => void): () => void;
  membership(): MembershipView;
  routing(keySpace: string | undefined): RoutingView;
  health(): HealthView;
  /** Facts for the console and the metrics; cheap, no I/O. */
  facts(): NodeFacts;
  /** What this node measures, for scrapers; cheap, no I/O. */
  instruments(): readonly Instrument[];
  /** What happened lately on this node: elections, links, snapshots. Bounded ring; the callback sees new ones. */
  events: EventLog;
  /** Facts of a peer for the console, streamed while somebody subscribes; undefined until the first answer. */
  peerFacts(nodeId: number): { readonly facts: NodeFacts; readonly receivedAtMs: number } | undefined;
  /** What the application adds to the facts that a peer is given: JSON, at most some hundred kilobytes each time. `nodeId`: who asks. */
  shareWithPeers(share: (nodeId: number) => unknown): void;
  /** Gathering from peers runs while at least one interest is held. Returns the release. */
  gatherPeerFacts(): () => void;
  /** Hands the leadership over that this node has; false: it has none, or the other is no voter or not there. */
  transferLeadership(partitionId: number, toNodeId: number): boolean;
  /** The same, wherever the leader is. true: it was asked, and who leads tells what became of it; false: nobody could be asked. */
  requestTransfer(partitionId: number, toNodeId: number): boolean;
}

export type MemberRole = 'Learner' | 'Voter' | 'Leaving' | 'NotMember';

export interface MemberView {
  readonly endpoint: string;
  readonly nodeId: number;
  readonly name: string;
  readonly role: MemberRole;
  readonly joinedVersion: number;
  /** Advertised client URL, '' if not known. */
  readonly clientUrl: string;
  /** Where its console can be opened, '' if not known. */
  readonly consoleUrl: string;
}

export interface MembershipView {
  readonly membershipVersion: number;
  readonly members: readonly MemberView[];
  readonly localRole: MemberRole;
  readonly initialized: boolean;
  readonly clusterId: string;
}

export interface RoutingView {
  readonly initialized: boolean;
  readonly poolSize: number;
  readonly localUrl: string;
  readonly mapVersion: number;
  readonly coherent: boolean;
  readonly keySpaces: readonly {
    readonly keySpace: string;
    readonly mode: 'Hash' | 'KeyRange';
    readonly ranges: readonly {
      readonly startKey: string | null;
      readonly endKey: string | null;
      readonly partitionId: number;
      readonly generation: number;
    }[];
  }[];
  /** Ascending by partition; url '' when the leader is not known here. */
  readonly leaders: readonly { readonly partitionId: number; readonly url: string }[];
}

export interface HealthView {
  readonly ready: boolean;
  readonly initialized: boolean;
  readonly localRole: MemberRole;
  readonly hostedPartitions: number;
  readonly fatalFault: string | null;
}

export interface PartitionFacts {
  readonly partitionId: number;
  readonly kind: 'system' | 'meta' | 'hash' | 'range';
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner';
  /** Node that leads as far as this replica knows, 0 = unknown. */
  readonly leaderNodeId: number;
  readonly term: number;
  /** Wall-clock instant since this replica knows this leadership. */
  readonly leaderSinceMs: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Applied and flushed into the engine. */
  readonly durableIndex: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly quiescent: boolean;
  /** Counters since start, on this replica as leader. */
  readonly reads: number;
  readonly writes: number;
  readonly queuedProposals: number;
  readonly keys: number;
  readonly checksum: { readonly index: number; readonly value: number; readonly ok: boolean };
  readonly replicas: readonly {
    readonly nodeId: number;
    readonly role: 'voter' | 'learner';
    readonly state: 'leader' | 'probe' | 'replicate' | 'snapshot' | 'unknown';
    readonly match: number;
  }[];
}

export interface NodeFacts {
  readonly nodeId: number;
  readonly name: string;
  readonly endpoint: string;
  readonly boot: number;
  readonly version: string;
  readonly startedMs: number;
  readonly wallMs: number;
  readonly hlc: Hlc;
  readonly membership: MembershipView;
  readonly partitions: readonly PartitionFacts[];
  /** Reachability as this node sees it. */
  readonly peers: readonly {
    readonly nodeId: number;
    readonly endpoint: string;
    readonly connected: boolean;
    readonly lastHeardMs: number;
    readonly rttMs: number;
    readonly clockOffsetMs: number;
  }[];
  /** Monotonic counters: reads, writes, retries, forwards, bytes …; names as in docs/operating.md. */
  readonly counters: Readonly<Record<string, number>>;
  /** Latency quantiles in milliseconds of the last 10 s window, e.g. `writeP99`. */
  readonly gauges: Readonly<Record<string, number>>;
  readonly fatalFault: string | null;
  /** Of a peer: what its application shares; whoever reads it looks at it with care, for releases differ. */
  readonly shared?: unknown;
}

/** One number of an instrument. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Something that a node measures, under its name in operations §14. */
export type Instrument =
  | { readonly kind: 'counter' | 'gauge'; readonly name: string; readonly help: string; readonly samples: readonly Sample[] }
  | {
      readonly kind: 'histogram';
      readonly name: string;
      readonly help: string;
      /** In milliseconds: the exposition name says so. */
      readonly isDuration: boolean;
      readonly edges: readonly number[];
      /** Samples at or below each edge and above the one before. */
      readonly counts: readonly number[];
      readonly count: number;
      readonly sum: number;
    };

export interface NodeEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly subject: string;
  readonly text: string;
  readonly data: Readonly<Record<string, string | number>>;
}

export interface EventLog {
  recent(limit: number, beforeSeq?: number): readonly NodeEvent[];
  subscribe(listener: (event: NodeEvent) => void): () => void;
}
