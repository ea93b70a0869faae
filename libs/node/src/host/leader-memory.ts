import { type CommandPolicy, DEFAULT_LOCK_EVICTION, EphemeralLocks, EphemeralTable, HeadCache } from '@kahuna/partition';
import type { NodeInternals } from '../internals.ts';
import type { Replica } from '../replica.ts';
import { requestOfNode } from '../request.ts';
import { Sequencer } from '../sequencer.ts';
import type { WatchHub } from '../watch/watch-hub.ts';
import type { EngineReads } from './engine-reads.ts';

/**
 * What the leader of a partition keeps in memory only: ephemeral records, ephemeral locks, blocks of sequence values. A replica asks for
 * each when it first needs it, and drops them all with its leadership.
 *
 * Ephemeral records and locks of all partitions share one bound of the node.
 */
export class LeaderMemory {
  private readonly node: NodeInternals;
  private readonly policy: CommandPolicy;
  private readonly reads: EngineReads;
  private readonly watches: WatchHub;
  private readonly cache: HeadCache;

  constructor(node: NodeInternals, policy: CommandPolicy, reads: EngineReads, watches: WatchHub) {
    this.node = node;
    this.policy = policy;
    this.reads = reads;
    this.watches = watches;
    const { ephemeralEntries, ephemeralBytes } = node.settings;
    this.cache = new HeadCache({ maxEntries: ephemeralEntries, maxBytes: ephemeralBytes });
  }

  ephemeralTable({ partitionId }: Replica): EphemeralTable {
    return new EphemeralTable({ partitionId, poolSize: this.node.poolSize, cache: this.cache });
  }

  ephemeralLocks(replica: Replica): EphemeralLocks {
    const eviction = { ...DEFAULT_LOCK_EVICTION, idleMs: this.node.settings.lockIdleMs };
    const locks = new EphemeralLocks(replica.group.term, this.cache, eviction);
    locks.observer = this.watches.ephemeralObserver(replica.partitionId);
    return locks;
  }

  sequencer(replica: Replica): Sequencer {
    const { machine, partitionId } = replica;
    const { settings } = this.node;
    return new Sequencer({
      policy: this.policy,
      maxBlocks: settings.sequences.maxBlocks,
      maxWaiting: settings.maxWaitingReads,
      nowMs: () => this.node.hlc.current().l,
      sequence: name => machine.sequence(name),
      fetch: (request, row) => this.reads.forRead(replica, request, { kind: 'rows', keys: [row] }),
      propose: (command, origin) => replica.accept(requestOfNode(this.node, command, partitionId, origin)),
      evaluated: (request, result) => replica.confirmLater(request, result),
    });
  }
}
