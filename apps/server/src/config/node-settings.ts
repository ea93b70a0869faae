import type { NodeSettings } from '@kahuna/node';
import type { FlagValues } from './flags.ts';

/** The option limits one worker of the released servers, which have this many; ours has one sequencer per partition. */
const SEQUENCER_WORKERS = 8;

/** What the options say about the multi-Raft host; what they do not name keeps the host's own defaults. */
export function nodeSettings(flags: FlagValues): Partial<NodeSettings> {
  return {
    heartbeatMs: flags['raft-heartbeat-interval'],
    electionMinMs: flags['raft-start-election-timeout'],
    electionMaxMs: flags['raft-end-election-timeout'],
    checkQuorumMs: flags['raft-heartbeat-interval'] * flags['raft-check-quorum-interval-multiplier'],
    timerInitialDelayMs: flags['raft-timer-initial-delay'],
    leadershipBarrierMs: flags['raft-leadership-barrier-timeout'],
    stateFlushMs: flags['dirty-objects-writer-delay'],
    checkpointMs: flags['checkpoint-interval'] * 1000,
    retention: {
      count: Math.max(0, flags['persistent-revision-retention-count']),
      ageMs: Math.max(0, flags['persistent-revision-retention-age']) * 1000,
      sweepMs: flags['persistent-revision-cleanup-interval'] * 1000,
      batchVersions: flags['persistent-revision-cleanup-batch-size'],
      onWrite: flags['persistent-revision-cleanup-on-write'] && !flags['disable-persistent-revision-cleanup-on-write'],
    },
    sequences: {
      blockSize: flags['sequencer-block-size'],
      retentionMax: flags['sequencer-idempotency-retention-max'],
      retentionMs: flags['sequencer-idempotency-retention-ttl'] * 1000,
      maxBlocks: flags['sequencer-max-sequences-per-actor'] * SEQUENCER_WORKERS,
    },
    lockIdleMs: flags['cache-entry-ttl'] * 1000,
    keepEntries: flags['raft-compact-every-operations'],
    limits: {
      maxBatchItems: flags['kv-write-max-batch-items'],
      maxBatchBytes: flags['kv-write-max-batch-bytes'],
      maxQueuedItems: flags['kv-write-max-queued-items'],
      maxQueuedBytes: flags['kv-write-max-queued-bytes'],
    },
  };
}
