import { type CommandPolicy, LOCK_CLOCK_SKEW_MS } from '@kahuna/partition';
import type { ReplicaLimits } from './replica/replica-host.ts';

/** Of the sequencer (spec sequences §9). There is no block lease: a block is compared with the record whenever it serves. */
export interface SequenceSettings {
  /** Values per reservation where a sequence has no block size of its own. */
  readonly blockSize: number;
  /** Idempotency keys kept per sequence; 0 = all. */
  readonly retentionMax: number;
  /** Age at which one is forgotten; 0 = never. Milliseconds. */
  readonly retentionMs: number;
  /** Sequences of one partition with a block in the leader's memory; 0 = no limit. */
  readonly maxBlocks: number;
}

/** Times are milliseconds. Defaults are those of the flags of the same name (spec operations §13). */
export interface NodeSettings {
  /** One step of logical time of the Raft groups. */
  readonly tickMs: number;
  readonly heartbeatMs: number;
  readonly electionMinMs: number;
  readonly electionMaxMs: number;
  /** A leader without answers of a quorum for this long steps down. */
  readonly checkQuorumMs: number;
  /** After a restart, before the first election is considered. */
  readonly timerInitialDelayMs: number;
  /** Time a new leader has to commit its first entry. */
  readonly leadershipBarrierMs: number;
  /** Applied state waits at most this long before it is written to the engine. */
  readonly stateFlushMs: number;
  /** The engine is made durable, and the log compacted, this often. */
  readonly checkpointMs: number;
  /** Entries and bytes that a group keeps behind its applied index for followers that lag; beyond them: a snapshot. */
  readonly keepEntries: number;
  readonly keepBytes: number;
  readonly maxAppendBytes: number;
  readonly maxInflightBytes: number;
  readonly maxUncommittedBytes: number;
  readonly limits: ReplicaLimits;
  readonly leaderWaitMs: number;
  readonly outcomeWaitMs: number;
  readonly maxRequests: number;
  /** Reads, and operations on what is in memory only, that wait on the leader of one partition; beyond it: MustRetry. */
  readonly maxWaitingReads: number;
  /** Rows that calls for many keys have gathered and not answered yet, of all calls together. Beyond it: MustRetry, but for one call. */
  readonly maxGatheredBytes: number;
  readonly headCacheEntries: number;
  readonly headCacheBytes: number;
  /** Ephemeral records of all partitions that this node leads. */
  readonly ephemeralEntries: number;
  readonly ephemeralBytes: number;
  readonly sequences: SequenceSettings;
  /** Idle time before a free ephemeral lock may be forgotten. */
  readonly lockIdleMs: number;
  readonly retention: RetentionSettings;
  /** Longest stretch of applying in one turn of the event loop. */
  readonly applyBudgetMs: number;
  readonly snapshotChunkBytes: number;
}

export const DEFAULT_SETTINGS: NodeSettings = {
  tickMs: 100,
  heartbeatMs: 500,
  electionMinMs: 2000,
  electionMaxMs: 4000,
  checkQuorumMs: 4000,
  timerInitialDelayMs: 2500,
  leadershipBarrierMs: 10_000,
  stateFlushMs: 20,
  checkpointMs: 30_000,
  keepEntries: 10_000,
  keepBytes: 32 * 1024 * 1024,
  maxAppendBytes: 1024 * 1024,
  maxInflightBytes: 8 * 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
  limits: { maxBatchItems: 512, maxBatchBytes: 4 * 1024 * 1024, maxQueuedItems: 8192, maxQueuedBytes: 32 * 1024 * 1024 },
  leaderWaitMs: 5000,
  outcomeWaitMs: 10_000,
  maxRequests: 131_072,
  maxWaitingReads: 32_768,
  maxGatheredBytes: 256 * 1024 * 1024,
  headCacheEntries: 200_000,
  headCacheBytes: 256 * 1024 * 1024,
  ephemeralEntries: 200_000,
  ephemeralBytes: 256 * 1024 * 1024,
  sequences: { blockSize: 1000, retentionMax: 256, retentionMs: 600_000, maxBlocks: 80_000 },
  lockIdleMs: 1_800_000,
  retention: { count: 0, ageMs: 0, sweepMs: 300_000, batchVersions: 1000, onWrite: true },
  applyBudgetMs: 5,
  snapshotChunkBytes: 256 * 1024,
};

/**
 * A larger write is refused, or it would be tried again for ever: an entry has to fit into a frame between nodes and into a segment of the
 * log, 64 MiB each, with what stands around it.
 */
export const MAX_ITEM_BYTES = 32 * 1024 * 1024;
/** Bytes in one entry, whatever is set: names count by their characters, which may take three bytes each. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;

/** The limits as they may be followed. */
export function limitsOf({ limits }: NodeSettings): ReplicaLimits {
  return { ...limits, maxBatchBytes: Math.min(limits.maxBatchBytes, MAX_BATCH_BYTES) };
}

/** How much history of persistent keys is kept (keyvalues §10.2). */
export interface RetentionSettings {
  /** Newest archived versions per key; 0 = all. */
  readonly count: number;
  /** Versions superseded longer ago go; 0 = none. */
  readonly ageMs: number;
  /** Between full sweeps of a partition. */
  readonly sweepMs: number;
  /** Versions removed by one command. */
  readonly batchVersions: number;
  /** Keys are also looked at shortly after they were written. */
  readonly onWrite: boolean;
}

/** Who this node is, and whom it starts with. */
export interface NodeOptions {
  readonly nodeId: number;
  /** Raft endpoint `host:port`, as other nodes reach it. */
  readonly endpoint: string;
  readonly name: string;
  readonly version: string;
  /** Of the data directory. */
  readonly storageId: number;
  readonly boot: number;
  /** Longest lower election timeout of former processes on this data directory, whose promises may still hold. Milliseconds; 0 = none. */
  readonly formerElectionMs?: number;
  /** The former process kept its log in memory, so that it is gone in good order. */
  readonly logWasVolatile?: boolean;
  /** Raft endpoints of the initial cluster, with or without our own; empty = standalone. */
  readonly initialCluster: readonly string[];
  /** Hash pool size at the founding. */
  readonly poolSize: number;
  readonly clientUrl: string;
  readonly consoleUrl: string;
  /** Drawn by the caller: used only if this node founds the cluster. */
  readonly newClusterId: string;
  readonly settings?: Partial<NodeSettings>;
  /** Gauges of the process that the node runs in (memory, processor, event loop); they join the node's facts. Cheap, no I/O. */
  readonly vitals?: () => Readonly<Record<string, number>>;
}

/** Listed endpoints but our own. */
export function otherEndpoints({ initialCluster, endpoint }: NodeOptions): string[] {
  return initialCluster.filter(listed => listed !== endpoint);
}

/** What shapes commands, and so stands in their entries. Below 1 counts as 1, and a negative retention as none (spec sequences §6, §7). */
export function policyOf({ blockSize, retentionMax, retentionMs }: SequenceSettings): CommandPolicy {
  return {
    lockSkewMs: LOCK_CLOCK_SKEW_MS,
    blockSize: Math.max(1, blockSize),
    retentionMax: Math.max(0, retentionMax),
    retentionMs: Math.max(0, retentionMs),
  };
}
