import type { NodeSettings } from '@kahuna/node';
import type { FlagValues } from './flags.ts';

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
    keepEntries: flags['raft-compact-every-operations'],
    limits: {
      maxBatchItems: flags['kv-write-max-batch-items'],
      maxBatchBytes: flags['kv-write-max-batch-bytes'],
      maxQueuedItems: flags['kv-write-max-queued-items'],
      maxQueuedBytes: flags['kv-write-max-queued-bytes'],
    },
  };
}
