import type { Clock, Hlc, HybridClock, PartitionId } from '@kahuna/base';
import type { SystemState } from '@kahuna/partition';
import type { RoutingTable } from '@kahuna/range-router';
import type { EventRing } from './events.ts';
import type { LatencyHistogram } from './latency.ts';
import type { Meters } from './meters.ts';
import type { NameTap } from './name-tap.ts';
import type { Peer } from './peer.ts';
import type { Replica } from './replica.ts';
import type { NodeOptions, NodeSettings } from './settings.ts';

/** The node as its own parts see it: what they share, and what they ask of it. */
export interface NodeInternals {
  readonly options: NodeOptions;
  readonly settings: NodeSettings;
  readonly clock: Clock;
  readonly hlc: HybridClock;
  readonly events: EventRing;
  readonly nodeId: number;
  readonly boot: number;
  /** Hash pool of the cluster; before the founding that of the options. */
  readonly poolSize: number;
  readonly replicas: ReadonlyMap<PartitionId, Replica>;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly system: SystemState | undefined;
  /** Log and state are recovered, and it has not closed. */
  readonly started: boolean;
  /** Started, and nothing has failed: turns and ticks go on. */
  readonly running: boolean;
  /** Running, and not about to stop: takes requests. */
  readonly accepting: boolean;
  readonly fatalFault: string | null;
  readonly startedWallMs: number;
  readonly readLatency: LatencyHistogram;
  readonly writeLatency: LatencyHistogram;
  readonly logLatency: LatencyHistogram;
  readonly counters: NodeCounters;
  readonly meters: Meters;
  readonly names: NameTap;
  /** Records that the log has not written yet. */
  readonly logPending: number;
  readonly scans: { readonly counters: Readonly<Record<string, number>> };
  readonly pruner: { readonly counters: Readonly<Record<string, number>>; knownFloor(): Hlc; readonly liveHolds: number };
  readonly dispatcher: { readonly waiting: number; readonly counters: Readonly<Record<string, number>> };

  monotonicMs(): number;
  /** Number of an operation that this node itself begins. */
  takeNumber(): number;
  after(ms: number, task: () => void): void;
  /** Runs `task` in a later turn of the event loop, as soon as may be. */
  soon(task: () => void): void;
  replica(partitionId: PartitionId): Replica | undefined;
  peerByNode(nodeId: number): Peer | undefined;
  routingTable(): RoutingTable | undefined;
  isAwake(replica: Replica): boolean;
  /** The replica has something to do in the next turn. */
  wake(replica: Replica): void;
  /** Starts an election of this replica now. */
  campaign(replica: Replica): void;
  /** Opens the frame for a peer; it leaves at the end of this turn. */
  writeTo(peer: Peer): ReturnType<Peer['openFrame']>;
  /** Nothing is acknowledged or sent after this. */
  fatal(reason: string): void;
  /** True if the node must not go on: the engine failed, now or before, or the node has stopped. */
  failedEngine(error: Error | undefined): boolean;
  /** A read as of `t` was aborted, because history was pruned. */
  historyMissing(t: Hlc): void;
  /** State of P0 or P1 changed. */
  systemChanged(replica: Replica): void;
}

/** Since start; monotonic. */
export interface NodeCounters {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  logWrites: number;
  logRecords: number;
  elections: number;
  snapshotsSent: number;
  snapshotsInstalled: number;
  checkpoints: number;
}

export function newCounters(): NodeCounters {
  return {
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    logWrites: 0,
    logRecords: 0,
    elections: 0,
    snapshotsSent: 0,
    snapshotsInstalled: 0,
    checkpoints: 0,
  };
}
