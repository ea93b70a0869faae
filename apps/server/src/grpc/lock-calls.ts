import { decodeLock, type LockKind, writeLockResponse } from '@kahuna/wire';
import { isValidLock } from '../gateway/validate.ts';
import type { UnaryCalls, UnaryHandler } from './unary.ts';

/** The unary methods of `Locker` (grpc §7.7). */
export function lockCalls(calls: UnaryCalls): Record<string, UnaryHandler> {
  const method = (kind: LockKind): UnaryHandler =>
    calls.operation(
      reader => decodeLock(reader, kind),
      request => (isValidLock(request) ? request : undefined),
      (writer, result) => writeLockResponse(writer, kind, result, calls.hints.hint(result.route)),
    );
  return {
    TryLock: method('lock-acquire'),
    TryExtendLock: method('lock-extend'),
    Unlock: method('lock-release'),
    GetLock: method('lock-info'),
  };
}
