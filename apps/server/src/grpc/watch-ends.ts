import { status } from '@grpc/grpc-js';
import type { Watch, WatchEnd } from '@kahuna/node';
import { ANOTHER_CLUSTER } from '../gateway/watch-query.ts';

export interface StatusOfEnd {
  readonly code: status;
  readonly details: string;
}

/** What a client is told about the end of a watch. */
export const ENDS: Readonly<Record<WatchEnd, StatusOfEnd>> = {
  invalid: { code: status.INVALID_ARGUMENT, details: 'this cannot be watched' },
  unavailable: { code: status.UNAVAILABLE, details: 'the watch cannot be served here now' },
  pruned: {
    code: status.OUT_OF_RANGE,
    details: 'HISTORY_PRUNED: changes behind this position are no longer kept; begin anew with the present state',
  },
  'another-cluster': { code: status.OUT_OF_RANGE, details: `HISTORY_PRUNED: ${ANOTHER_CLUSTER}` },
  'too-many-expiries': { code: status.RESOURCE_EXHAUSTED, details: 'too many keys with an expiry for one watch' },
  // Another node may have room.
  overloaded: { code: status.UNAVAILABLE, details: 'too many watches on this node' },
  'not-leader': { code: status.FAILED_PRECONDITION, details: 'NOT_LEADER' },
};

export function endOf({ leaderUrl }: Watch, end: WatchEnd): StatusOfEnd {
  const { code, details } = ENDS[end];
  return { code, details: leaderUrl === '' ? details : `${details} ${leaderUrl}` };
}
