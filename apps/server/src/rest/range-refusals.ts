import { RESERVED_KEY_PREFIX } from '../gateway/validate.ts';
import type { Fields } from './fields.ts';

/**
 * `/v1/ranges` and the replication factor while every key space is hash-routed and every node holds everything: the documented
 * refusals for that state, with inputs checked first (spec rest §15, §16.4).
 */
export interface TypedAnswer {
  readonly status: number;
  readonly body: object;
}

const DISABLED = 'Range routing is not available in this release.';
const BAD_SPACE = `keySpace must not be empty, begin with ${RESERVED_KEY_PREFIX} or end in /meta.`;

function isValidSpace(keySpace: string): boolean {
  return keySpace !== '' && !keySpace.startsWith(RESERVED_KEY_PREFIX) && !keySpace.endsWith('/meta');
}

export function registerRange(fields: Fields): TypedAnswer {
  const valid = isValidSpace(fields.text('keySpace'));
  const body = { success: false, status: valid ? 'KeyRangeDisabled' : 'InvalidInput', seeded: false, routingMode: 'Hash' };
  return { status: valid ? 409 : 400, body: { ...body, descriptorCount: 0, reason: valid ? DISABLED : BAD_SPACE } };
}

/** A space without descriptors is what unregistering leads to, so that is a success. */
export function unregisterRange(fields: Fields): TypedAnswer {
  const valid = isValidSpace(fields.text('keySpace'));
  const body = { success: valid, status: valid ? 'Removed' : 'InvalidInput', routingMode: 'Hash', descriptorCount: 0 };
  return { status: valid ? 200 : 400, body: { ...body, reason: valid ? null : BAD_SPACE } };
}

export function splitRange(fields: Fields): TypedAnswer {
  const valid = isValidSpace(fields.text('keySpace')) && fields.text('splitKey') !== '';
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

export function setReplicationFactor(fields: Fields): TypedAnswer {
  const valid = fields.int32('partitionId', 0) > 1 && fields.int32('replicationFactor', 0) >= 0;
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
