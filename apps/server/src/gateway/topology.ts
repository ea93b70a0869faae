import { FIRST_DATA_PARTITION } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import { RESERVED_KEY_PREFIX } from './validate.ts';

/**
 * What the calls that change ranges, replicas and members answer while every key space is hash-routed, every node holds everything
 * and the roster is the one of the founding: the documented refusals for that state, inputs checked first (spec routing §5.2, §6.1,
 * operations §3.4, §4.1). The same on every surface; texts that the specification gives are given.
 */
interface Told {
  readonly success: boolean;
  readonly status: string;
  /** null: there is nothing to say. */
  readonly reason: string | null;
}

interface RoutingTold extends Told {
  readonly routingMode: 'Hash';
  readonly descriptorCount: 0;
}

const NO_RANGES = 'Range routing is not available in this release.';
const HASH = { routingMode: 'Hash', descriptorCount: 0 } as const;

function badSpace(keySpace: string): string | undefined {
  if (keySpace === '') return 'Key space must be non-empty.';
  if (keySpace.startsWith(RESERVED_KEY_PREFIX)) return `Key space '${keySpace}' is reserved.`;
  if (keySpace.endsWith('/meta')) return `Key space '${keySpace}' is a schema-log space and is never key-range routed.`;
  return undefined;
}

export function registerKeyRange(keySpace: string): RoutingTold & { readonly seeded: false } {
  const bad = badSpace(keySpace);
  const told = bad === undefined ? { status: 'KeyRangeDisabled', reason: NO_RANGES } : { status: 'InvalidInput', reason: bad };
  return { success: false, ...told, seeded: false, ...HASH };
}

/** A space without descriptors is what unregistering leads to, so that is a success. */
export function removeKeyRange(keySpace: string): RoutingTold {
  const bad = badSpace(keySpace);
  if (bad !== undefined) return { success: false, status: 'InvalidInput', reason: bad, ...HASH };
  return { success: true, status: 'Removed', reason: null, ...HASH };
}

export interface SplitTold extends Told {
  readonly determinate: true;
}

/** No space has a range that could be split. */
export function splitRange(keySpace: string, splitKey: string): SplitTold {
  const bad = badSpace(keySpace) ?? (splitKey === '' ? 'Split key must be non-empty.' : undefined);
  if (bad !== undefined) return { success: false, status: 'InvalidInput', determinate: true, reason: bad };
  const reason = 'No range descriptor covers that key: the key space is not registered, or has no seed descriptor yet.';
  return { success: false, status: 'NoRange', determinate: true, reason };
}

/** One pass over all range-routed spaces, of which there are none. */
export function mergeRanges(): SplitTold & { readonly merges: 0 } {
  return { success: true, status: 'Completed', determinate: true, merges: 0, reason: null };
}

const BAD_FACTOR = 'partitionId must be a data partition (> 0) and replicationFactor must be >= 0 (0 clears the override).';

export function setReplicationFactor(partitionId: number, replicationFactor: number): Told {
  if (partitionId < FIRST_DATA_PARTITION || replicationFactor < 0) {
    return { success: false, status: 'InvalidInput', reason: BAD_FACTOR };
  }
  const reason = 'Replica placement is not available in this release: every node holds every partition.';
  return { success: false, status: 'Refused', reason };
}

export interface LeaveTold {
  readonly left: boolean;
  readonly outcome: 'NotAMember' | 'RefusedInsufficientVoters' | 'NotInitialized';
  readonly membershipVersion: number;
  readonly retryable: boolean;
  readonly reason: string;
}

/** A cluster keeps all of its voters in this release; one that would lose its last has a reason of its own. */
export function leaveCluster(node: KahunaNode): LeaveTold {
  const { initialized, localRole, members, membershipVersion } = node.membership();
  if (!initialized) {
    const reason = 'The node has not finished cluster initialization, so it has no roster entry to remove.';
    return { left: false, outcome: 'NotInitialized', membershipVersion, retryable: true, reason };
  }
  if (localRole === 'NotMember') {
    const reason = 'The node is not in the committed roster; it already left or was evicted. Nothing to do.';
    return { left: true, outcome: 'NotAMember', membershipVersion, retryable: false, reason };
  }
  const isLast = members.filter(member => member.role === 'Voter').length <= 1;
  const reason = isLast
    ? 'Refused: removing this node would leave the cluster without a voter. Do not retry — add a voter first, or stop the cluster instead of shrinking it.'
    : 'Refused: changes of the membership are not available in this release, so the cluster keeps all of its voters. Do not retry.';
  return { left: false, outcome: 'RefusedInsufficientVoters', membershipVersion, retryable: false, reason };
}
