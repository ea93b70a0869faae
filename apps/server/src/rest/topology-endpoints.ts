import * as topology from '../gateway/topology.ts';
import { int32, type Read, text } from './shape.ts';

/** `/v1/ranges`, the replication factor and leaving (spec rest §15, §16.4, §16.5): what is told, with its status of HTTP. */
export interface TypedAnswer {
  readonly status: number;
  readonly body: object;
}

export const KEY_SPACE = { keySpace: text('The key space') } as const;
export const SPLIT = { ...KEY_SPACE, splitKey: text('First key of the right half') } as const;
export const REPLICATION_FACTOR = {
  partitionId: int32(0, 'A data partition'),
  replicationFactor: int32(0, 'Replicas; 0: the setting of the cluster'),
} as const;

const LEAVE_STATUS = { NotAMember: 200, RefusedInsufficientVoters: 409, NotInitialized: 503 } as const;

function answer(body: { readonly success: boolean; readonly status: string }): TypedAnswer {
  return { status: body.success ? 200 : body.status === 'InvalidInput' ? 400 : 409, body };
}

export function registerRange({ keySpace }: Read<typeof KEY_SPACE>): TypedAnswer {
  const { success, status, seeded, routingMode, descriptorCount, reason } = topology.registerKeyRange(keySpace);
  return answer({ success, status, ...{ seeded, routingMode, descriptorCount, reason } });
}

export function unregisterRange({ keySpace }: Read<typeof KEY_SPACE>): TypedAnswer {
  const { success, status, routingMode, descriptorCount, reason } = topology.removeKeyRange(keySpace);
  return answer({ success, status, ...{ routingMode, descriptorCount, reason } });
}

export function splitRange({ keySpace, splitKey }: Read<typeof SPLIT>): TypedAnswer {
  const { success, status, determinate, reason } = topology.splitRange(keySpace, splitKey);
  return answer({ success, status, ...{ determinate, newPartitionId: 0, newGeneration: 0, leaderHint: null, reason } });
}

export function mergeRanges(): TypedAnswer {
  const { success, status, determinate, merges, reason } = topology.mergeRanges();
  return answer({ success, status, ...{ determinate, merges, leaderHint: null, reason } });
}

/** 409 for whatever is not a success, also for bad input. */
export function setReplicationFactor({ partitionId, replicationFactor }: Read<typeof REPLICATION_FACTOR>): TypedAnswer {
  const { success, status, reason } = topology.setReplicationFactor(partitionId, replicationFactor);
  return { status: success ? 200 : 409, body: { success, status, generation: 0, reason } };
}

export function leaveCluster(node: Parameters<typeof topology.leaveCluster>[0]): TypedAnswer {
  const { left, outcome, membershipVersion, retryable, reason } = topology.leaveCluster(node);
  return { status: LEAVE_STATUS[outcome], body: { left, drained: false, outcome, membershipVersion, retryable, reason } };
}
