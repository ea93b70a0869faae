import type { KahunaError } from '@kahuna/client';

/** The command line or a shell command is wrong; the message fits one line and says what to write instead. Nothing was sent. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** What is asked for takes a script to do. */
export class NeedsScript extends Error {
  override name = 'NeedsScript';
}

/** What the contract has and this release has not; `what` in the plural. */
export class NotInThisRelease extends Error {
  override name = 'NotInThisRelease';

  constructor(what: string) {
    super(`${what} are not available in this release.`);
  }
}

/** No endpoint accepts a connection. */
export class NoServer extends Error {
  override name = 'NoServer';
}

/** An error as the command line shows it (spec cli §3): its type and message, and what to do about it. */
export interface Failure {
  readonly type: 'KahunaException' | 'ConnectionException' | 'UsageException';
  readonly message: string;
  /** For a reader who can do something about it; programs that compare lines get the message alone. */
  readonly cure: string | undefined;
  /** Why there is no connection although somebody accepted one. */
  readonly reason?: string | undefined;
}

const CONNECTION_MESSAGE =
  'Cannot connect to the server. Check that the server is running and the connection settings are correct.';

/** The released client's words, where it has some; the codes are the client library's. */
const MESSAGES: Readonly<Record<string, string>> = {
  DEADLINE_EXCEEDED: 'Operation cancelled',
  UNAVAILABLE: 'Retries exhausted.',
  SEQUENCE_EXISTS: 'Sequence already exists',
  SEQUENCE_NOT_FOUND: 'Sequence not found',
  SEQUENCE_EXHAUSTED: 'Sequence max value exceeded',
};

export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { type: 'UsageException', message: error.message, cure: undefined };
  if (error instanceof NeedsScript) {
    return {
      type: 'KahunaException',
      message: 'This needs scripts and transactions, and this server does not have them yet.',
      cure: 'Single statements on keys run: set, get, exists, delete, extend, get by bucket, scan by prefix. help lists all commands.',
    };
  }
  if (error instanceof NoServer) return { type: 'ConnectionException', message: CONNECTION_MESSAGE, cure: undefined };
  if (isAbort(error)) return { type: 'KahunaException', message: 'Operation cancelled', cure: undefined };
  if (isKahunaError(error)) {
    if (noServerAnswered(error)) {
      return { type: 'ConnectionException', message: CONNECTION_MESSAGE, cure: undefined, reason: reasonOf(error) };
    }
    const message = MESSAGES[error.code] ?? (error.outcomeUnknown ? `Outcome unknown: ${error.message}` : error.message);
    return { type: 'KahunaException', message, cure: error.cure };
  }
  return { type: 'KahunaException', message: error instanceof Error ? error.message : String(error), cure: undefined };
}

/** As one line. Wrong usage speaks for itself. */
export function failureLine({ type, message }: Failure): string {
  return type === 'UsageException' ? message : `${type}: ${message}`;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** By its shape: the client library is loaded only by those who call it. */
function isKahunaError(error: unknown): error is KahunaError {
  return error instanceof Error && 'code' in error && 'cure' in error && typeof error.cure === 'string';
}

/** The library gives up on a call for want of a server only after the transport failed; a server that refuses leaves no such cause. */
function noServerAnswered({ code, cause }: KahunaError): boolean {
  return code === 'UNAVAILABLE' && cause instanceof Error && cause.name === 'TransportFailure';
}

/**
 * What users get wrong if a connection is made and of no use. The transport's own words are for its authors, and a server that is
 * simply gone needs none.
 */
function reasonOf({ message }: Error): string | undefined {
  const certificate = /[a-z- ]*certificate[a-z- ]*/i.exec(message)?.[0].trim();
  if (certificate !== undefined) return `The certificate is not accepted: ${certificate}. --insecure accepts any.`;
  if (!/Failed to connect|SSL routines/.test(message)) return undefined;
  return 'A connection was made, but not to a Kahuna server: check the port, and whether it is http:// or https://.';
}

export function isConnectionFailure({ type }: Failure): boolean {
  return type === 'ConnectionException';
}
