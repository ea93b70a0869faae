import { type Hlc, isZeroHlc } from '@kahuna/base';
import type { HoldOperation } from '@kahuna/partition';
import { isWellFormed } from '@kahuna/range-router';

/** Of a client's name for itself, in UTF-16 units: every hold is in memory on each node. */
const MAX_HOLDER_ID = 1024;
const MAX_INT32 = 0x7fff_ffff;

/** Input rules of snapshot holds (keyvalues §10.3). */
export function isValidHold(operation: HoldOperation): boolean {
  switch (operation.kind) {
    case 'hold-acquire':
      return isHolder(operation.holderId) && isLease(operation.leaseMs) && isTimestamp(operation.timestamp);
    case 'hold-renew':
      return isWellFormed(operation.holdId) && operation.holdId !== '' && isLease(operation.leaseMs);
    case 'hold-release':
      return isWellFormed(operation.holdId) && operation.holdId !== '';
    case 'hold-floor':
      return true;
  }
}

function isHolder(holderId: string): boolean {
  return holderId !== '' && holderId.length <= MAX_HOLDER_ID && isWellFormed(holderId);
}

function isLease(leaseMs: number): boolean {
  return Number.isInteger(leaseMs) && leaseMs >= 1 && leaseMs <= MAX_INT32;
}

/** Any value but zero that the log can carry. */
function isTimestamp(t: Hlc): boolean {
  return !isZeroHlc(t) && Number.isSafeInteger(t.l) && Number.isInteger(t.n) && Number.isInteger(t.c) && t.c >= 0;
}
