import { RESERVED_KEY_PREFIX } from '../gateway/validate.ts';
import { int32, type Read, text } from './shape.ts';

/**
 * `/v1/ranges` and the replication factor while every key space is hash-routed and every node holds everything: the documented
 * refusals for that state, with inputs checked first (spec rest §15, §16.4).
 */
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

const DISABLED = 'Range routing is not available in this release.';
const BAD_SPACE = `keySpace must not be empty, begin with ${RESERVED_KEY_PREFIX} or end in /meta.`;

function isValidSpace(keySpace: string): boolean {
  return keySpace !== '' && !keySpace.startsWith(RESERVED_KEY_PREFIX) && !keySpace.endsWith('/meta');
}

export function registerRange({ keySpace }: Read<typeof KEY_SPACE>): TypedAnswer {
  const valid = isValidSpace(keySpace);
  const body = { success: false, status: valid ? 'KeyRangeDisabled' : 'InvalidInput', seeded: false, routingMode: 'Hash' };
  return { status: valid ? 409 : 400, body: { ...body, descriptorCount: 0, reason: valid ? DISABLED : BAD_SPACE } };
}

/** A space without descriptors is what unregistering leads to, so that is a success. */
export function unregisterRange({ keySpace }: Read<typeof KEY_SPACE>): TypedAnswer {
  const valid = isValidSpace(keySpace);
  const body = { success: valid, status: valid ? 'Removed' : 'InvalidInput', routingMode: 'Hash', descriptorCount: 0 };
  return { status: valid ? 200 : 400, body: { ...body, reason: valid ? null : BAD_SPACE } };
}

export function splitRange({ keySpace, splitKey }: Read<typeof SPLIT>): TypedAnswer {
  const valid = isValidSpace(keySpace) && splitKey !== '';
  return {
    status: valid ? 409 : 400,
    body: {
      success: false,
      status: valid ? 'KeyRangeDisabled' : 'InvalidInput',
      determinate: true,
      newPartitionId: 0,
      newGeneration: 0,
      leaderHint: null,
      reason: valid ? DISABLED : `${BAD_SPACE} splitKey must not be empty.`,
    },
  };
}

/** One pass over all range-routed spaces, of which there are none. */
export function mergeRanges(): TypedAnswer {
  return {
    status: 200,
    body: { success: true, status: 'Completed', determinate: true, merges: 0, leaderHint: null, reason: null },
  };
}

const BAD_FACTOR = 'partitionId must be a data partition (> 0) and replicationFactor must be >= 0 (0 clears the override).';

export function setReplicationFactor({ partitionId, replicationFactor }: Read<typeof REPLICATION_FACTOR>): TypedAnswer {
  const valid = partitionId > 1 && replicationFactor >= 0;
  return {
    status: 409,
    body: {
      success: false,
      status: valid ? 'Refused' : 'InvalidInput',
      generation: 0,
      reason: valid ? 'Replica placement is not available in this release: every node holds every partition.' : BAD_FACTOR,
    },
  };
}
