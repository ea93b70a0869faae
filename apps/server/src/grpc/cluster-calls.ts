import { status } from '@grpc/grpc-js';
import { FIRST_DATA_PARTITION } from '@kahuna/base';
import type { KahunaNode, MemberRole } from '@kahuna/node';
import { clusterMessages, routingMessages } from '@kahuna/wire';
import { RESERVED_KEY_PREFIX } from '../gateway/validate.ts';
import type { HintOptions } from './grpc-settings.ts';
import { asBuffer, type UnaryHandler } from './unary.ts';

const {
  GrpcClusterMemberRole,
  GrpcGetMembershipResponse,
  GrpcGetPlacementResponse,
  GrpcGetRangesRequest,
  GrpcGetRangesResponse,
} = clusterMessages;
const { GrpcGetRoutingMetadataRequest, GrpcGetRoutingMetadataResponse } = routingMessages;

/** Name of the placement function that clients must share with us (routing §3). */
const HASH_ALGORITHM = 'kahuna.placement-group-jump-xxh32-v1';

const ROLES = {
  Learner: GrpcClusterMemberRole.CLUSTER_MEMBER_ROLE_LEARNER,
  Voter: GrpcClusterMemberRole.CLUSTER_MEMBER_ROLE_VOTER,
  Leaving: GrpcClusterMemberRole.CLUSTER_MEMBER_ROLE_LEAVING,
  NotMember: GrpcClusterMemberRole.CLUSTER_MEMBER_ROLE_NOT_MEMBER,
} as const satisfies Record<MemberRole, number>;

/** The reads of the `Cluster` service (grpc §7.9): from what this node has applied, without a leader's help, always OK. */
export function clusterCalls(node: KahunaNode, hints: HintOptions): Record<string, UnaryHandler> {
  return {
    GetMembership: (_call, answer) => answer(null, membership(node)),
    GetPlacement: (_call, answer) => answer(null, placement(node)),
    GetRanges: (call, answer) => withKeySpace(GrpcGetRangesRequest, call.request, answer, keySpace => ranges(node, keySpace)),
    GetRoutingMetadata: (call, answer) =>
      withKeySpace(GrpcGetRoutingMetadataRequest, call.request, answer, keySpace => routing(node, keySpace, hints)),
  };
}

/** Decodes a request whose one field is an optional filter, and answers. */
function withKeySpace(
  request: { decode(bytes: Uint8Array): { KeySpace: string } },
  bytes: Uint8Array,
  answer: Parameters<UnaryHandler>[1],
  respond: (keySpace: string | undefined) => Buffer,
): void {
  let keySpace: string;
  try {
    keySpace = request.decode(bytes).KeySpace;
  } catch (error) {
    answer({ code: status.INVALID_ARGUMENT, details: `request does not decode: ${String(error)}` });
    return;
  }
  answer(null, respond(keySpace === '' ? undefined : keySpace));
}

function membership(node: KahunaNode): Buffer {
  const view = node.membership();
  return asBuffer(
    GrpcGetMembershipResponse.encode({
      MembershipVersion: BigInt(view.membershipVersion),
      Members: view.members.map(member => ({
        Endpoint: member.endpoint,
        NodeId: member.nodeId,
        Role: ROLES[member.role],
        JoinedVersion: BigInt(member.joinedVersion),
      })),
      LocalRole: ROLES[view.localRole],
      Initialized: view.initialized,
    }).finish(),
  );
}

/** Every member holds every partition, so the lists of explicit replicas are empty (operations §4). */
function placement(node: KahunaNode): Buffer {
  const facts = node.facts();
  const data = facts.partitions.map(partition => partition.partitionId).filter(id => id >= FIRST_DATA_PARTITION);
  return asBuffer(
    GrpcGetPlacementResponse.encode({
      ReplicationFactor: 0,
      RebalancerEnabled: false,
      Initialized: facts.membership.initialized,
      LocalEndpoint: facts.endpoint,
      HostedPartitionCount: data.length,
      Partitions: data
        .sort((a, b) => a - b)
        .map(PartitionId => ({
          PartitionId,
          State: 'Active',
          Generation: 0n,
          EffectiveReplicationFactor: 0,
          HostedLocally: true,
          Replicas: [],
        })),
    }).finish(),
  );
}

function ranges(node: KahunaNode, keySpace: string | undefined): Buffer {
  const view = node.routing(keySpace);
  return asBuffer(
    GrpcGetRangesResponse.encode({
      Initialized: view.initialized,
      LocalEndpoint: node.facts().endpoint,
      KeySpaces: view.keySpaces.map(space => ({
        KeySpace: space.keySpace,
        RoutingMode: space.mode,
        Descriptors: space.ranges.map(toRange),
      })),
    }).finish(),
  );
}

function routing(node: KahunaNode, keySpace: string | undefined, hints: HintOptions): Buffer {
  const view = node.routing(keySpace);
  const visible = (url: string): string => (hints.hidePeers && url !== hints.localUrl ? '' : url);
  return asBuffer(
    GrpcGetRoutingMetadataResponse.encode({
      Initialized: view.initialized,
      SchemaVersion: 1,
      HashAlgorithm: HASH_ALGORITHM,
      PrefixSeparator: '/',
      HashPoolSize: view.poolSize,
      HashPartitionOffset: FIRST_DATA_PARTITION,
      SequenceStorageKeyFormat: `${RESERVED_KEY_PREFIX}sequences:{0}`,
      ReservedKeyPrefix: RESERVED_KEY_PREFIX,
      LocalEndpoint: hints.disabled ? '' : hints.localUrl,
      SnapshotVersion: BigInt(view.mapVersion),
      Coherent: view.coherent,
      KeySpaces: view.keySpaces.map(space => ({
        KeySpace: space.keySpace,
        RoutingMode: space.mode,
        Ranges: space.ranges.map(toRange),
      })),
      Leaders: view.leaders.map(leader => ({ PartitionId: leader.partitionId, Endpoint: visible(leader.url) })),
      GroupSeparator: '|',
    }).finish(),
  );
}

type Range = ReturnType<KahunaNode['routing']>['keySpaces'][number]['ranges'][number];

/** An open bound is absent; an empty one is a real bound (grpc §4.4). */
function toRange(range: Range): { StartKey?: string; EndKey?: string; PartitionId: number; Generation: bigint } {
  return {
    ...(range.startKey === null ? {} : { StartKey: range.startKey }),
    ...(range.endKey === null ? {} : { EndKey: range.endKey }),
    PartitionId: range.partitionId,
    Generation: BigInt(range.generation),
  };
}
