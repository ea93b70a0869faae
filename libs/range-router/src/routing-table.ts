import { FIRST_DATA_PARTITION, type Generation, type PartitionId } from '@kahuna/base';
import { keySpaceOf } from './key-space.ts';
import { PlacementCache } from './placement.ts';

/** Where a request goes. `generation`: that of the range descriptor which admitted it, 0 for hash routing (routing §5.4). */
export interface RoutingTarget {
  readonly partitionId: PartitionId;
  readonly generation: Generation;
}

/**
 * One immutable picture of who serves which keys. A change of the range map makes a new table; whoever holds the old one routes
 * to a partition that refuses what it does not own, so a stale table costs a retry and never an answer.
 * All key spaces are hash routed so far: a space in key-range mode will be looked up in its descriptors before the hash.
 */
export class RoutingTable {
  readonly poolSize: number;
  /** Version of the range map this table was made from. */
  readonly mapVersion: number;
  private readonly placement: PlacementCache;
  /** One target per bucket, made once: a look-up allocates nothing. */
  private readonly targets: readonly RoutingTarget[];

  constructor(poolSize: number, mapVersion: number) {
    this.poolSize = poolSize;
    this.mapVersion = mapVersion;
    this.placement = new PlacementCache(poolSize);
    this.targets = Array.from({ length: poolSize }, (_, bucket) => ({
      partitionId: FIRST_DATA_PARTITION + bucket,
      generation: 0,
    }));
  }

  lookup(key: string): RoutingTarget {
    return this.lookupSpace(keySpaceOf(key));
  }

  /** Target of locks, sequences and whatever else is placed by the hash alone, and of hash-routed key spaces. */
  lookupSpace(keySpace: string): RoutingTarget {
    return this.targets[this.placement.bucketOfSpace(keySpace)] as RoutingTarget;
  }

  /** Partitions of the hash pool, ascending. */
  poolPartitions(): readonly PartitionId[] {
    return this.targets.map(target => target.partitionId);
  }
}
