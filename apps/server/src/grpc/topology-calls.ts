import { status } from '@grpc/grpc-js';
import type { KahunaNode } from '@kahuna/node';
import { clusterMessages, keyValueMessages } from '@kahuna/wire';
import * as topology from '../gateway/topology.ts';
import { asBuffer, type UnaryHandler } from './unary.ts';

const {
  GrpcClusterLeaveResponse,
  GrpcLeaveClusterOutcome,
  GrpcMergeRangesResponse,
  GrpcSetReplicationFactorRequest,
  GrpcSetReplicationFactorResponse,
  GrpcSplitRangeRequest,
  GrpcSplitRangeResponse,
} = clusterMessages;
const { GrpcRegisterKeyRangeRequest, GrpcRegisterKeyRangeResponse, GrpcRemoveKeyRangeRequest, GrpcRemoveKeyRangeResponse } =
  keyValueMessages;

const OUTCOMES = {
  NotAMember: GrpcLeaveClusterOutcome.LEAVE_CLUSTER_OUTCOME_NOT_A_MEMBER,
  RefusedInsufficientVoters: GrpcLeaveClusterOutcome.LEAVE_CLUSTER_OUTCOME_REFUSED_INSUFFICIENT_VOTERS,
  NotInitialized: GrpcLeaveClusterOutcome.LEAVE_CLUSTER_OUTCOME_NOT_INITIALIZED,
} as const;

/** Calls of `KeyValuer` that make key spaces range-routed (grpc §7.6): every refusal is status OK. */
export function keySpaceCalls(): Record<string, UnaryHandler> {
  return {
    RegisterKeyRange: decoded(GrpcRegisterKeyRangeRequest, ({ KeySpace }) => {
      const { success, status: Status, seeded, routingMode, descriptorCount, reason } = topology.registerKeyRange(KeySpace);
      const where = { RoutingMode: routingMode, DescriptorCount: descriptorCount };
      return GrpcRegisterKeyRangeResponse.encode({ Success: success, Status, Seeded: seeded, ...where, Reason: reason ?? '' });
    }),
    RemoveKeyRange: decoded(GrpcRemoveKeyRangeRequest, ({ KeySpace }) => {
      const { success, status: Status, routingMode, descriptorCount, reason } = topology.removeKeyRange(KeySpace);
      const where = { RoutingMode: routingMode, DescriptorCount: descriptorCount };
      return GrpcRemoveKeyRangeResponse.encode({ Success: success, Status, ...where, Reason: reason ?? '' });
    }),
  };
}

/** Calls of `Cluster` that change ranges, replicas and members (grpc §7.6, §7.9): every refusal is status OK. */
export function topologyCalls(node: KahunaNode): Record<string, UnaryHandler> {
  return {
    SplitRange: decoded(GrpcSplitRangeRequest, ({ KeySpace, SplitKey }) => {
      const { success, status: Status, determinate, reason } = topology.splitRange(KeySpace, SplitKey);
      const none = { NewPartitionId: 0, NewGeneration: 0n, LeaderHint: '' };
      return GrpcSplitRangeResponse.encode({ Success: success, Status, Determinate: determinate, ...none, Reason: reason ?? '' });
    }),
    MergeRanges: (_call, answer) => {
      const { success, status: Status, determinate, merges, reason } = topology.mergeRanges();
      const told = { Success: success, Status, Determinate: determinate, Merges: merges, LeaderHint: '', Reason: reason ?? '' };
      answer(null, asBuffer(GrpcMergeRangesResponse.encode(told).finish()));
    },
    SetReplicationFactor: decoded(GrpcSetReplicationFactorRequest, ({ PartitionId, ReplicationFactor }) => {
      const { success, status: Status, reason } = topology.setReplicationFactor(PartitionId, ReplicationFactor);
      return GrpcSetReplicationFactorResponse.encode({ Success: success, Status, Generation: 0n, Reason: reason ?? '' });
    }),
    Leave: (_call, answer) => {
      const { left, outcome, membershipVersion, retryable, reason } = topology.leaveCluster(node);
      const told = {
        ...{ Left: left, Outcome: OUTCOMES[outcome], MembershipVersion: BigInt(membershipVersion) },
        ...{ Retryable: retryable, Reason: reason, Drained: false },
      };
      answer(null, asBuffer(GrpcClusterLeaveResponse.encode(told).finish()));
    },
  };
}

function decoded<R>(request: { decode(bytes: Uint8Array): R }, respond: (request: R) => { finish(): Uint8Array }): UnaryHandler {
  return (call, answer) => {
    let asked: R;
    try {
      asked = request.decode(call.request);
    } catch (error) {
      answer({ code: status.INVALID_ARGUMENT, details: `request does not decode: ${String(error)}` });
      return;
    }
    answer(null, asBuffer(respond(asked).finish()));
  };
}
