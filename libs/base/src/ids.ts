declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]?: B };

/** Position of an entry in one group's log; the first entry is 1, 0 means "before the log". Safe integer. */
export type LogIndex = Branded<number, 'LogIndex'>;
/** Election term of one group; grows only. Safe integer. */
export type Term = Branded<number, 'Term'>;
/** Version of a range descriptor or of a replica set; grows only. Safe integer. */
export type Generation = Branded<number, 'Generation'>;
/** Numeric identity of a node, unique in the cluster; also the node part of an HLC timestamp. int32 above 0. */
export type NodeId = Branded<number, 'NodeId'>;
/** One Raft group: 0 system, 1 meta, data from 2. int32. */
export type PartitionId = Branded<number, 'PartitionId'>;
/** One membership of one node in one group; a node that leaves and returns gets a new one. Safe integer above 0. */
export type ReplicaId = Branded<number, 'ReplicaId'>;

/** P0: members, partition table, placement. */
export const SYSTEM_PARTITION: PartitionId = 0;
/** P1: key-space modes, range descriptors, snapshot holds. */
export const META_PARTITION: PartitionId = 1;
/** First partition of the hash pool (`HashPartitionOffset` of the wire contract). */
export const FIRST_DATA_PARTITION: PartitionId = 2;
