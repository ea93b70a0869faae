import type { CallOptions } from './options.ts';

export interface ClusterMember {
  readonly endpoint: string;
  readonly nodeId: number;
  readonly role: 'learner' | 'voter' | 'leaving' | 'not-member';
  readonly joinedVersion: bigint;
}

export interface Membership {
  /** False while the answering node has not joined: the other fields say nothing then. */
  readonly initialized: boolean;
  readonly version: bigint;
  readonly members: readonly ClusterMember[];
  /** Role of the node that answered. */
  readonly localRole: ClusterMember['role'];
}

/** Questions about the cluster that any node answers from what it knows. */
export interface Cluster {
  membership(options?: CallOptions): Promise<Membership>;
}
