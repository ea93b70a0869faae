import type { HoldAnswer, HoldOperation } from '@kahuna/partition';
import { ResponseType, type ScanQuery } from '@kahuna/partition';
import { decodeHold, writeHoldResponse } from '@kahuna/wire';
import { holdRefusal, isValidHold, scanRefusal } from '../gateway/validate.ts';
import { decodeScan, encodeScan, runScan } from './scans.ts';
import { asBuffer, type UnaryCalls, type UnaryHandler } from './unary.ts';

/** Unary scans and snapshot holds of `KeyValuer` (grpc §7.2, §7.11). */
export function scanCalls(calls: UnaryCalls): Record<string, UnaryHandler> {
  return {
    GetByBucket: scan(calls, 'bucket'),
    ScanAllByPrefix: scan(calls, 'prefix'),
    GetByRange: scan(calls, 'range'),
    AcquireSnapshotHold: hold(calls, 'hold-acquire'),
    RenewSnapshotHold: hold(calls, 'hold-renew'),
    ReleaseSnapshotHold: hold(calls, 'hold-release'),
    GetSnapshotFloor: hold(calls, 'hold-floor'),
  };
}

function scan(calls: UnaryCalls, kind: ScanQuery['kind']): UnaryHandler {
  return (call, answer) => {
    const request = calls.decoded(call.request, reader => decodeScan(reader, kind), answer);
    if (request === undefined) return;
    if (calls.stopping) {
      answer(null, asBuffer(encodeScan(kind, scanRefusal(ResponseType.MustRetry))));
      return;
    }
    void runScan(calls, request.value, calls.deadlineOf(call)).then(result => answer(null, asBuffer(encodeScan(kind, result))));
  };
}

function hold(calls: UnaryCalls, kind: HoldOperation['kind']): UnaryHandler {
  return (call, answer) => {
    const request = calls.decoded(call.request, reader => decodeHold(reader, kind), answer);
    if (request === undefined) return;
    void runHold(calls, request.value, calls.deadlineOf(call)).then(result =>
      answer(
        null,
        calls.encoded(writer => writeHoldResponse(writer, kind, result)),
      ),
    );
  };
}

async function runHold(calls: UnaryCalls, operation: HoldOperation, deadlineMs: number): Promise<HoldAnswer> {
  if (!isValidHold(operation)) return holdRefusal(ResponseType.InvalidInput);
  if (calls.stopping) return holdRefusal(ResponseType.MustRetry);
  try {
    return await calls.node.hold(operation, deadlineMs);
  } catch (error) {
    calls.settings.onFault('a snapshot hold', error);
    return holdRefusal(ResponseType.MustRetry);
  }
}
