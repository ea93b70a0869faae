import { HLC_ZERO, type PartitionId } from '@kahuna/base';
import { type PendingRequest, type RequestingNode, requestOfNode } from './request.ts';

/** A prune of nothing: an entry without effect. Whoever takes it has a clock above its stamp from then on. */
export const TIME_NOTE = {
  kind: 'prune-history',
  retentionCount: 0,
  retentionAgeMs: 0,
  ceiling: HLC_ZERO,
  floor: HLC_ZERO,
  keys: [],
} as const;

/** As a leader's own request. `done` follows once it is applied, or will not be. */
export function timeNote(node: RequestingNode, partitionId: PartitionId, done: () => void): PendingRequest {
  const origin = {
    answer: done,
    refuse: (request: PendingRequest): void => {
      request.done = true;
      done();
    },
  };
  return requestOfNode(node, TIME_NOTE, partitionId, origin);
}
