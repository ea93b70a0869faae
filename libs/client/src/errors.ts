/** Stable codes of {@link KahunaError}; a program switches on these, never on messages. */
export type KahunaErrorCode =
  | 'INVALID_INPUT'
  | 'UNAVAILABLE'
  | 'OUTCOME_UNKNOWN'
  | 'DEADLINE_EXCEEDED'
  | 'HISTORY_PRUNED'
  | 'SERVER_FAULT'
  | 'TRUNCATED'
  | 'LOCK_BUSY'
  | 'LOCK_LOST'
  | 'HOLD_LOST'
  | 'SEQUENCE_NOT_FOUND'
  | 'SEQUENCE_EXISTS'
  | 'SEQUENCE_EXHAUSTED'
  | 'CLIENT_CLOSED'
  | 'PROTOCOL';

/** Everything this library rejects with, apart from the reason of a caller's own `AbortSignal`. */
export abstract class KahunaError extends Error {
  abstract readonly code: KahunaErrorCode;
  /** The same call may succeed later, unchanged. Says nothing about whether repeating is safe: see `outcomeUnknown`. */
  readonly retryable: boolean = false;
  /** The operation may have taken effect. Where false, it certainly has not. */
  readonly outcomeUnknown: boolean = false;
  /** What the caller can do about it, in one sentence. */
  abstract readonly cure: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The request breaks a rule of the contract; nothing was done. */
export class InvalidInputError extends KahunaError {
  readonly code = 'INVALID_INPUT';
  readonly cure = 'Correct the request: repeating it unchanged is refused again.';
}

/** No node could serve the request within its time or its attempts. Nothing was done. */
export class UnavailableError extends KahunaError {
  readonly code = 'UNAVAILABLE';
  override readonly retryable = true;
  readonly cure = 'Try again after a pause; if it goes on, look at the health of the cluster and at the endpoints.';
}

/** A write of which nobody can say whether it took effect: its answer was lost, or the server could not tell. */
export class OutcomeUnknownError extends KahunaError {
  readonly code = 'OUTCOME_UNKNOWN';
  override readonly retryable = true;
  override readonly outcomeUnknown = true;
  readonly cure = 'Read the present state before deciding; repeat only what may be applied twice.';
}

/** The call's time was over before an answer came. */
export class DeadlineExceededError extends KahunaError {
  readonly code = 'DEADLINE_EXCEEDED';
  override readonly retryable = true;
  override readonly outcomeUnknown: boolean;
  readonly cure: string;

  constructor(message: string, outcomeUnknown: boolean, options?: ErrorOptions) {
    super(message, options);
    this.outcomeUnknown = outcomeUnknown;
    this.cure = outcomeUnknown
      ? 'The write may have taken effect: read the present state before repeating it.'
      : 'Nothing was done: try again, with more time where the cluster is far away or busy.';
  }
}

/** A read or a hold at a time whose history is no longer kept; a watch behind a position whose history is gone, or is of another cluster. */
export class HistoryPrunedError extends KahunaError {
  readonly code = 'HISTORY_PRUNED';
  readonly cure: string;

  constructor(message: string, options?: ErrorOptions & { readonly cure?: string }) {
    super(message, options);
    this.cure = options?.cure ?? 'Read at a later time; a snapshot hold taken beforehand keeps the history that is needed.';
  }
}

/** The server failed in a way that is none of the documented outcomes. Nothing was applied. */
export class ServerFaultError extends KahunaError {
  readonly code = 'SERVER_FAULT';
  readonly cure = 'Look at the log of the node that answered; repeating will hardly help.';
}

/** A scan met the row limit of the server and has no way to go on. The rows up to there were delivered. */
export class TruncatedError extends KahunaError {
  readonly code = 'TRUNCATED';
  readonly cure = 'Use a longer prefix, or walk the key space with `range`, which has no limit.';
}

/** Another owner kept the lock for as long as the caller was willing to wait. */
export class LockBusyError extends KahunaError {
  readonly code = 'LOCK_BUSY';
  override readonly retryable = true;
  readonly cure = 'Try again later, wait longer, or ask who holds it.';
}

/** Why a lock is no longer held, or can no longer be proved to be. */
export type LockLossReason =
  /** The lease ran out by this process's own clock before a renewal succeeded. */
  | 'lease-over'
  /** The server said that the lease is gone or another owner has the lock. */
  | 'taken'
  /** `maxHoldMs` is over. */
  | 'held-too-long'
  /** This process released it. */
  | 'released';

/** The lock is not held any more, or that can no longer be proved. */
export class LockLostError extends KahunaError {
  readonly code = 'LOCK_LOST';
  readonly cure = 'Stop the protected work at once; acquire the lock anew before going on.';
  readonly reason: LockLossReason;

  constructor(message: string, reason: LockLossReason, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The snapshot hold ran out or was released: its history may be pruned from now on. */
export class HoldLostError extends KahunaError {
  readonly code = 'HOLD_LOST';
  readonly cure = 'Acquire a new hold; if that ends in HISTORY_PRUNED, at a later time.';
}

/** There is no sequence of that name. */
export class SequenceNotFoundError extends KahunaError {
  readonly code = 'SEQUENCE_NOT_FOUND';
  readonly cure = 'Create the sequence first.';
}

/** A sequence of that name exists already, whatever its parameters. */
export class SequenceExistsError extends KahunaError {
  readonly code = 'SEQUENCE_EXISTS';
  readonly cure = 'Use it as it is, update it, or choose another name.';
}

/** The sequence has reached its maximum. Nothing was consumed. */
export class SequenceExhaustedError extends KahunaError {
  readonly code = 'SEQUENCE_EXHAUSTED';
  readonly cure = 'Raise or remove the maximum with `update`, or ask for fewer values.';
}

/** The client was closed before the call was over. */
export class ClientClosedError extends KahunaError {
  readonly code = 'CLIENT_CLOSED';
  override readonly outcomeUnknown: boolean;
  readonly cure = 'Make a new client; a write that was under way may have taken effect.';

  constructor(outcomeUnknown: boolean) {
    super('the client is closed');
    this.outcomeUnknown = outcomeUnknown;
  }
}

/** The other side answered something that the contract does not know. */
export class ProtocolError extends KahunaError {
  readonly code = 'PROTOCOL';
  override readonly outcomeUnknown = true;
  readonly cure = 'Check that the endpoint is a Kahuna server and that its version is not older than this client.';
}
