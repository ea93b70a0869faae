import { type Operation, type OperationResult, ResponseType } from '@kahuna/partition';
import { Identity, type RequestedOperation } from '@kahuna/wire';
import { invalidInput, isValidOperation, refusal } from '../gateway/validate.ts';

/** Requests that name a transaction go to its session (grpc §4.2); all others, and only they, are plain operations. */
export function isPlainOperation(operation: RequestedOperation, identity: number): operation is Operation {
  return (identity & Identity.Transaction) === 0 && isValidOperation(operation);
}

/**
 * The answer to a request that {@link isPlainOperation} turned away. A transaction that is named in full is one that this
 * node does not know: its session answers Aborted (grpc §7.3). Named in part, the request is wrong.
 */
export function refusalOf(operation: RequestedOperation, identity: number): OperationResult {
  const namesSession = identity === Identity.Complete;
  return namesSession && isValidOperation(operation) ? refusal(ResponseType.Aborted) : invalidInput();
}
