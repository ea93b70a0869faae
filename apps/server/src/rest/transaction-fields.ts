import { type Hlc, isZeroHlc } from '@kahuna/base';
import { ResponseType } from '@kahuna/partition';
import type { Integer } from './fields.ts';
import { hlc, text, uint64 } from './shape.ts';

/** Properties marked TX in rest §5.1. */
export const OPERATION_IDENTITY = {
  coordinatorKey: text('Key that the session was started with'),
  operationIdHigh: uint64('High half of the operation id'),
  operationIdLow: uint64('Low half of the operation id'),
} as const;

export const TRANSACTION = { transactionId: hlc('Session; zero: no transaction'), ...OPERATION_IDENTITY } as const;

export interface OperationIdentity {
  readonly coordinatorKey: string;
  readonly operationIdHigh: Integer;
  readonly operationIdLow: Integer;
}

/** What an operation that names a transaction is refused with; undefined: it names none. */
export function transactionRefusal(identity: OperationIdentity, transactionId: Hlc): ResponseType | undefined {
  if (isZeroHlc(transactionId)) return undefined;
  const { coordinatorKey, operationIdHigh, operationIdLow } = identity;
  const identified = coordinatorKey !== '' && (operationIdHigh !== 0 || operationIdLow !== 0);
  // No session can be started in this release, so a well-formed one is a session that nobody knows.
  return identified ? ResponseType.Aborted : ResponseType.InvalidInput;
}
