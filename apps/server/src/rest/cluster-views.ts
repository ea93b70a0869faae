import { FIRST_DATA_PARTITION } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import { RESERVED_KEY_PREFIX } from '../gateway/validate.ts';

/** Documents under `/v1/cluster` and `GET /v1/ranges` (spec rest §15.1, §16): what this node knows, never with a leader's help. */
const HASH_ALGORITHM = 'kahuna.placement-group-jump-xxh32-v1';

export function healthDocument(node: KahunaNode, stopping: boolean): { readonly status: number; readonly body: object } {
  const { ready, initialized, localRole, hostedPartitions, fatalFault } = node.health();
  const serving = ready && !stopping;
  return { status: serving ? 200 : 503, body: { ready: serving, initialized, localRole, hostedPartitions, fatalFault } };
}

export function membershipDocument(node: KahunaNode): object {
  const view = node.membership();
  return {
    membershipVersion: view.membershipVersion,
    members: view.members.map(({ endpoint, nodeId, role, joinedVersion }) => ({ endpoint, nodeId, role, joinedVersion })),
    localRole: view.localRole,
    initialized: view.initialized,
  };
}

/** Every member holds every partition, so the replica lists are empty and everything is hosted here (spec operations §4.1). */
export function placementDocument(node: KahunaNode, localEndpoint: string): object {
  const { initialized } = node.membership();
  const data = node.facts().partitions.filter(partition => partition.partitionId >= FIRST_DATA_PARTITION);
  return {
    replicationFactor: 0,
    rebalancerEnabled: false,
    initialized,
    localEndpoint,
    hostedPartitionCount: data.length,
    partitions: data
      .map(({ partitionId }) => partitionId)
      .sort((a, b) => a - b)
      .map(partitionId => ({
        partitionId,
        state: 'Active',
        generation: 0,
        effectiveReplicationFactor: 0,
        hostedLocally: true,
        replicas: [],
      })),
  };
}

export function routingDocument(node: KahunaNode, keySpace: string | undefined): object {
  const view = node.routing(keySpace);
  return {
    initialized: view.initialized,
    schemaVersion: 1,
    hashAlgorithm: HASH_ALGORITHM,
    prefixSeparator: '/',
    groupSeparator: '|',
    hashPoolSize: view.poolSize,
    hashPartitionOffset: FIRST_DATA_PARTITION,
    sequenceStorageKeyFormat: `${RESERVED_KEY_PREFIX}sequences:{0}`,
    reservedKeyPrefix: RESERVED_KEY_PREFIX,
    localEndpoint: view.localUrl,
    snapshotVersion: view.mapVersion,
    coherent: view.coherent,
    keySpaces: view.keySpaces.map(({ keySpace, mode, ranges }) => ({
      keySpace,
      routingMode: mode,
      ranges: ranges.map(({ startKey, endKey, partitionId, generation }) => ({ startKey, endKey, partitionId, generation })),
    })),
    leaders: view.leaders.map(({ partitionId, url }) => ({ partitionId, endpoint: url })),
  };
}

export function rangesDocument(node: KahunaNode, keySpace: string | undefined, localEndpoint: string): object {
  const view = node.routing(keySpace);
  return {
    initialized: view.initialized,
    localEndpoint,
    keySpaces: view.keySpaces.map(({ keySpace, mode, ranges }) => ({
      keySpace,
      routingMode: mode,
      descriptors: ranges.map(({ startKey, endKey, partitionId, generation }) => ({ startKey, endKey, partitionId, generation })),
    })),
  };
}
