import { type OperationResult, ResponseType } from '@kahuna/partition';
import { batchTypeOf, type ManyKind, OperationDecoder, type RequestedOperation, writeOperationResponse } from '@kahuna/wire';
import { refusal } from '../gateway/validate.ts';
import { isPlainOperation, refusalOf } from './admission.ts';
import { decodeMany, encodeMany, encodeManyRefusal, runMany } from './many-keys.ts';
import { asBuffer, MAX_UNARY_RESPONSE_BYTES, type UnaryCalls, type UnaryHandler } from './unary.ts';

/** The unary methods of `KeyValuer` on one key and on many (grpc §7.1, §7.2). */
export function keyValueCalls(calls: UnaryCalls): Record<string, UnaryHandler> {
  return {
    TrySetKeyValue: oneKey(calls, 'set'),
    TryGetKeyValue: oneKey(calls, 'get'),
    TryExistsKeyValue: oneKey(calls, 'exists'),
    TryDeleteKeyValue: oneKey(calls, 'delete'),
    TryExtendKeyValue: oneKey(calls, 'extend'),
    TrySetManyKeyValue: manyKeys(calls, 'set'),
    TryDeleteManyKeyValue: manyKeys(calls, 'delete'),
    TryGetManyValues: manyKeys(calls, 'get'),
    TryExistsManyValues: manyKeys(calls, 'exists'),
  };
}

function oneKey(calls: UnaryCalls, kind: RequestedOperation['kind']): UnaryHandler {
  const type = batchTypeOf(kind);
  const decoder = new OperationDecoder();
  return (call, answer) => {
    const startedMs = calls.settings.clock.monotonicMs();
    let operation: RequestedOperation;
    try {
      operation = decoder.decode(type, call.request, 0, call.request.length);
    } catch (error) {
      answer(calls.undecodable(error));
      return;
    }
    const { identity, exactRevision } = decoder.extras;
    const respond = (result: OperationResult, elapsedMs: number, revision: bigint | undefined): void =>
      answer(
        null,
        calls.encoded(writer =>
          writeOperationResponse(writer, type, result, elapsedMs, calls.hints.hint(result.route), revision),
        ),
      );
    if (!isPlainOperation(operation, identity)) {
      respond(refusalOf(operation, identity), 0, undefined);
    } else if (calls.stopping) {
      respond(refusal(ResponseType.MustRetry), 0, undefined);
    } else {
      const complete = (_token: number, result: OperationResult): void =>
        respond(result, calls.elapsedMs(startedMs), exactRevision);
      calls.submit(operation, { complete }, calls.deadlineOf(call));
    }
  };
}

function manyKeys(calls: UnaryCalls, kind: ManyKind): UnaryHandler {
  return (call, answer) => {
    const startedMs = calls.settings.clock.monotonicMs();
    let request: ReturnType<typeof decodeMany>;
    try {
      request = decodeMany(kind, call.request, 0, call.request.length);
    } catch (error) {
      answer(calls.undecodable(error));
      return;
    }
    if (calls.stopping) {
      answer(null, asBuffer(encodeManyRefusal(kind, request, ResponseType.MustRetry, calls.hints)));
      return;
    }
    runMany(calls.node, kind, request, call.request, calls.deadlineOf(call), results => {
      const encoded = encodeMany(kind, request, results, calls.elapsedMs(startedMs), calls.hints);
      const fits = encoded.length <= MAX_UNARY_RESPONSE_BYTES;
      answer(null, asBuffer(fits ? encoded : encodeManyRefusal(kind, request, ResponseType.Errored, calls.hints)));
    });
  };
}
