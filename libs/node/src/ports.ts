import type { Clock, PartitionId, Rng, RowBatch } from '@kahuna/base';
import type { Configuration, Entry, HardState } from '@kahuna/raft';

/**
 * The doors of the multi-Raft host. All callbacks run on the host's own thread, never inside the call that asked for them
 * (the memory and the simulated implementations too), so that no caller is re-entered.
 */
export interface Ports {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly scheduler: Scheduler;
  readonly log: LogStore;
  readonly engine: StateEngine;
  readonly transport: Transport;
}

export interface Scheduler {
  /** Runs `task` once the present turn of the event loop is over (setImmediate). */
  soon(task: () => void): void;
  /** Runs `task` after `ms` milliseconds; returns a function that cancels it. */
  after(ms: number, task: () => void): () => void;
}

// ---- log -------------------------------------------------------------------------------------------------------------------

/** One group's part of one durable write. Applied in order; a later record of a group replaces its entries from that index on. */
export interface LogRecord {
  readonly partitionId: PartitionId;
  /** Membership this record belongs to; a newer one voids everything an older one wrote. */
  readonly replicaId: number;
  readonly hardState: HardState | undefined;
  /** Contiguous; empty if none. */
  readonly entries: readonly Entry[];
  /** The log now begins behind this entry: written by compaction, by a snapshot install (then all entries go) and at creation. */
  readonly start: LogStart | undefined;
}

export interface LogStart {
  readonly index: number;
  readonly term: number;
  /** Configuration as of `index`. */
  readonly configuration: Configuration;
  /** The entries at hand are void: a snapshot replaced them. */
  readonly reset: boolean;
}

/** What the log holds of one group. */
export interface RecoveredGroup {
  readonly partitionId: PartitionId;
  readonly replicaId: number;
  readonly hardState: HardState;
  readonly start: LogStart;
  /** Contiguous from start.index + 1. */
  readonly entries: readonly Entry[];
}

export interface RecoveredLog {
  readonly groups: readonly RecoveredGroup[];
  /** Highest durable clock bound, 0 if none (milliseconds). */
  readonly clockBoundMs: number;
}

/**
 * The node's one durable log. `append` is the group commit: everything handed over while a write is in flight goes into the next
 * one. Completions come in the order of the calls. An error is final: the host stops, nothing after it is durable.
 */
export interface LogStore {
  /** Called once, before anything else. */
  recover(done: (error: Error | undefined, log: RecoveredLog | undefined) => void): void;
  append(records: readonly LogRecord[], clockBoundMs: number | undefined, done: (error: Error | undefined) => void): void;
  /** The engine is durable up to these indexes (all groups): segments that hold nothing newer may be recycled. */
  release(durable: ReadonlyMap<PartitionId, number>): void;
  /** Records waiting or in flight, for metrics and overload. */
  readonly pending: number;
  close(done: (error: Error | undefined) => void): void;
}

// ---- state engine ----------------------------------------------------------------------------------------------------------

/** A row to be written; `value` undefined deletes. */
export interface EngineRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface EngineRange {
  /** Inclusive. */
  readonly from: Uint8Array;
  /** Exclusive. */
  readonly to: Uint8Array;
}

export interface ScanOptions extends EngineRange {
  readonly reverse?: boolean;
  readonly maxRows: number;
  /** Stop after this many bytes of keys and values (at least one row is returned). */
  readonly maxBytes: number;
}

export interface ScanPage {
  readonly rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
  /** More rows may follow the last one. */
  readonly more: boolean;
}

/**
 * Ordered byte keys to byte values; keys compare as unsigned bytes, a prefix before its extensions. A write is atomic and visible
 * to every read issued after its callback; it survives a kill of the process, but only `sync` makes it survive power loss.
 * Scans and snapshots keep to the order of the calls: they show the writes issued before them, done or not, and no others.
 * After a crash all families come back at one point: a prefix of the writes.
 */
export interface StateEngine {
  getMany(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, values: readonly (Uint8Array | undefined)[]) => void,
  ): void;
  /** One atomic batch. The engine copies its bytes during the call, or takes its memory and gives it back before `done`: either way the caller may clear it afterwards. */
  write(rows: RowBatch, done: (error: Error | undefined) => void): void;
  /** Removes a whole interval; ordered with writes. */
  deleteRange(range: EngineRange, done: (error: Error | undefined) => void): void;
  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void;
  /** A frozen view for snapshots and walks. */
  snapshot(done: (error: Error | undefined, snapshot: EngineSnapshot | undefined) => void): void;
  /** Everything written so far becomes durable. */
  sync(done: (error: Error | undefined) => void): void;
  close(done: (error: Error | undefined) => void): void;
}

export interface EngineSnapshot {
  getMany(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, values: readonly (Uint8Array | undefined)[]) => void,
  ): void;
  scan(options: ScanOptions, done: (error: Error | undefined, page: ScanPage) => void): void;
  close(): void;
}

// ---- transport -------------------------------------------------------------------------------------------------------------

/**
 * One ordered stream of frames per peer. A frame arrives whole or not at all; when a stream breaks, frames in flight are lost and
 * the host is told. Peers are named by their raft endpoint (`host:port`) until the hello says who they are.
 */
export interface Transport {
  /** Set once by the host before `start`. */
  listener: TransportListener;
  /** Keep a stream to this endpoint alive from now on (dialling again with back-off). Idempotent. */
  connect(endpoint: string): void;
  disconnect(endpoint: string): void;
  /** Queues a frame; dropped if the stream is down. Returns false when the peer's outbound queue is over its bound. */
  send(endpoint: string, frame: Uint8Array): boolean;
  /** Bytes queued towards this peer. */
  queuedBytes(endpoint: string): number;
  close(done: () => void): void;
}

export interface TransportListener {
  /** Our hello, sent first on every new stream. */
  hello(): Uint8Array;
  /** The peer's hello on a new stream, and whom we dialled (undefined: it dialled us). Returns the endpoint the stream belongs to, or a refusal that is sent to the peer and logged. */
  onHello(hello: Uint8Array, dialled: string | undefined): { readonly endpoint: string } | { readonly refused: string };
  onUp(endpoint: string): void;
  onDown(endpoint: string, reason: string): void;
  onFrame(endpoint: string, frame: Uint8Array): void;
}
