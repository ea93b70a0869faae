import type { Instrument, Sample } from './api.ts';
import type { NodeInternals } from './internals.ts';
import type { Histogram } from './meters.ts';

const NO_LABELS = {};

/** What a node tells scrapers. Mechanisms that this server does not have are left out rather than reported as zero. */
export function instrumentsOf(node: NodeInternals): readonly Instrument[] {
  return [...keyValueWrites(node), ...snapshotFloor(node), ...consensus(node), ...perPartition(node), ...links(node)];
}

function keyValueWrites(node: NodeInternals): Instrument[] {
  const { meters } = node;
  const replicas = [...node.replicas.values()];
  const total = (of: (replica: (typeof replicas)[number]) => number): number =>
    replicas.reduce((sum, replica) => sum + of(replica), 0);
  return [
    counter('kahuna.kv.write.admitted', 'Writes taken into a batch queue', meters.admitted),
    labelled('kahuna.kv.write.rejections', 'Writes refused before they were proposed', 'reason', meters.rejections),
    counter('kahuna.kv.write.batches', 'Log entries proposed for writes', meters.batches),
    counter('kahuna.kv.write.entries', 'Writes in the proposed log entries', meters.entries),
    labelled('kahuna.kv.write.outcomes', 'What became of proposed writes', 'outcome', meters.outcomes),
    histogram('kahuna.kv.write.batch_items', 'Writes in a batch', meters.batchItems),
    histogram('kahuna.kv.write.batch_bytes', 'Bytes of a batch', meters.batchBytes),
    histogram('kahuna.kv.write.queue_age', 'Wait of the oldest write of a batch before its proposal', meters.queueAgeMs, true),
    histogram('kahuna.kv.write.raft_duration', 'Proposal of a batch to its commit', meters.raftMs, true),
    gauge(
      'kahuna.kv.write.queued_items',
      'Writes waiting for or under proposal',
      total(replica => replica.queuedItems),
    ),
    gauge(
      'kahuna.kv.write.queued_bytes',
      'Bytes of writes under proposal',
      total(replica => replica.proposedBytes),
    ),
    gauge(
      'kahuna.kv.write.in_flight_partitions',
      'Partitions with writes under proposal',
      total(replica => (replica.queuedItems > 0 ? 1 : 0)),
    ),
  ];
}

function snapshotFloor({ pruner, meters }: NodeInternals): Instrument[] {
  return [
    gauge('kahuna.snapshot_floor.live_holds', 'Snapshot holds in force, as this node knows them', pruner.liveHolds),
    gauge('kahuna.snapshot_floor.effective_floor_ms', 'Earliest time that they protect, 0 if none', pruner.knownFloor().l),
    counter(
      'kahuna.snapshot_floor.missing_protected_version_total',
      'Reads of a protected time that found its history removed; must stay 0',
      meters.missingProtectedVersions,
    ),
    counter(
      'kahuna.snapshot_floor.prune_skipped_unconfirmed_total',
      'Batches of pruning given up because no ceiling was confirmed',
      meters.prunesSkipped,
    ),
  ];
}

function consensus({ meters, counters, logPending }: NodeInternals): Instrument[] {
  return [
    labelled('raft.executor.operations_total', 'Steps of the Raft groups', 'class', meters.steps),
    counter(
      'raft.executor.rejections_total',
      'Client proposals refused because the queue of their partition was full',
      meters.rejections.queue_full,
    ),
    counter('raft.wal.batches_total', 'Durable writes of the log', counters.logWrites),
    counter('raft.wal.operations_total', 'Writes of groups in them', counters.logRecords),
    histogram('raft.wal.batch_size', 'Writes of groups per durable write of the log', meters.logBatchSize),
    gauge('raft.wal.queue_depth', 'Records that wait for the log', logPending),
    counter('raft.heartbeats_sent_total', 'Heartbeats sent to peers, one for all groups of a pair', meters.heartbeatsSent),
    histogram('raft.heartbeat_delay_ms', 'Time between heartbeats to one peer', meters.heartbeatDelayMs, true),
    histogram('raft.election_delay_ms', 'Silence of the leader when an election began', meters.electionDelayMs, true),
  ];
}

function perPartition(node: NodeInternals): Instrument[] {
  const replicas = [...node.replicas.values()];
  const each = (of: (replica: (typeof replicas)[number]) => number): Sample[] =>
    replicas.map(replica => ({ labels: { partition_id: String(replica.partitionId) }, value: of(replica) }));
  const compactions = replicas.map(replica => ({
    labels: { partition_id: String(replica.partitionId), outcome: 'effective' },
    value: replica.compactions,
  }));
  return [
    counters(
      'raft.elections_started_total',
      'Elections in which this node was a candidate',
      each(r => r.electionsStarted),
    ),
    counters(
      'raft.stale_completions_total',
      'Log writes that completed for entries replaced since',
      each(r => r.staleCompletions),
    ),
    counters(
      'raft.snapshot.transfer_failures_total',
      'Snapshots that a follower could not install',
      each(r => r.snapshotFailures),
    ),
    counters('raft.wal.compaction_passes_total', 'Compactions of the log of a partition', compactions),
    gauges(
      'raft.executor.client_queue_depth',
      'Client proposals waiting in a partition',
      each(r => r.queuedItems),
    ),
    gauges(
      'raft.partition_leader',
      '1 if this node leads the partition',
      each(r => (r.leads ? 1 : 0)),
    ),
    gauges(
      'raft.term',
      'Present term',
      each(r => r.group.term),
    ),
    gauges(
      'raft.commit_index',
      'Last entry known to be committed',
      each(r => r.group.commitIndex),
    ),
    gauges(
      'raft.applied_index',
      'Last entry applied',
      each(r => r.machine.appliedIndex),
    ),
    gauges(
      'raft.durable_index',
      'Last entry whose effects are durable in the state engine',
      each(r => r.durableIndex),
    ),
    gauges(
      'kahuna.partition.diverged',
      '1 while the state here is known to differ from what a quorum has: it serves nothing until a snapshot replaces it',
      each(r => (r.diverged ? 1 : 0)),
    ),
    gauges(
      'kahuna.partition.keys',
      'Keys of a partition',
      each(r => r.machine.keyCount),
    ),
  ];
}

/** Values that are not known yet are left out. */
function links(node: NodeInternals): Instrument[] {
  const known = [...node.peers.values()].filter(peer => peer.nodeId !== 0);
  const answered = known.filter(peer => Number.isFinite(peer.answeredMonotonic));
  const samples = (peers: typeof known, of: (peer: (typeof known)[number]) => number): Sample[] =>
    peers.map(peer => ({ labels: { peer: String(peer.nodeId) }, value: of(peer) }));
  return [
    gauges(
      'raft.peer_connected',
      '1 while there is a connection to the peer',
      samples(known, peer => (peer.connected ? 1 : 0)),
    ),
    gauges(
      'raft.peer_rtt_ms',
      'Round trip of a heartbeat',
      samples(answered, peer => peer.rttMs),
    ),
    gauges(
      'raft.peer_clock_offset_ms',
      'Wall clock of the peer minus ours',
      samples(answered, peer => peer.clockOffsetMs),
    ),
  ];
}

function counter(name: string, help: string, value: number): Instrument {
  return { kind: 'counter', name, help, samples: [{ labels: NO_LABELS, value }] };
}

function counters(name: string, help: string, samples: readonly Sample[]): Instrument {
  return { kind: 'counter', name, help, samples };
}

function labelled(name: string, help: string, label: string, values: Readonly<Record<string, number>>): Instrument {
  return counters(
    name,
    help,
    Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value })),
  );
}

function gauge(name: string, help: string, value: number): Instrument {
  return { kind: 'gauge', name, help, samples: [{ labels: NO_LABELS, value }] };
}

function gauges(name: string, help: string, samples: readonly Sample[]): Instrument {
  return { kind: 'gauge', name, help, samples };
}

function histogram(name: string, help: string, of: Histogram, isDuration = false): Instrument {
  return { kind: 'histogram', name, help, isDuration, edges: of.edges, counts: of.counts, count: of.count, sum: of.sum };
}
