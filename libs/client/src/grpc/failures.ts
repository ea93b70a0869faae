import { type ServiceError, status } from '@grpc/grpc-js';
import { NotLeaderFailure, TransportFailure, type TransportFault } from '../transport.ts';

const NOT_LEADER = /^NOT_LEADER ?(.*)$/;

export function failureOf(error: ServiceError | null): TransportFailure {
  return failureFor(error?.code ?? status.UNKNOWN, error?.details || error?.message || 'no answer', { cause: error });
}

/** What the status of a call, or of one watch among many, means. */
export function failureFor(code: number, details: string, options?: ErrorOptions): TransportFailure {
  const [, leaderUrl] = (code === status.FAILED_PRECONDITION && NOT_LEADER.exec(details)) || [];
  if (leaderUrl !== undefined) return new NotLeaderFailure(details, leaderUrl, options);
  const fault = faultOf(code);
  // What is refused for its size or its form was not executed; of everything else nobody knows.
  return new TransportFailure(details, fault === 'endpoint', fault, options);
}

function faultOf(code: number): TransportFault {
  if (code === status.UNIMPLEMENTED) return 'protocol';
  if (code === status.OUT_OF_RANGE) return 'pruned';
  return code === status.RESOURCE_EXHAUSTED || code === status.INVALID_ARGUMENT ? 'request' : 'endpoint';
}
