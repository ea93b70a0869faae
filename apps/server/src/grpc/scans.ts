import { ResponseType, type ScanAnswer, type ScanQuery } from '@kahuna/partition';
import {
  decodeBucketScan,
  decodePrefixScan,
  decodeRangeScan,
  Identity,
  type ProtoReader,
  ReverseWriter,
  type ScanRequest,
  writeBucketResponse,
  writePrefixResponse,
  writeRangeResponse,
} from '@kahuna/wire';
import { readRange } from '../gateway/range-page.ts';
import { isValidScan, scanRefusal } from '../gateway/validate.ts';
import type { BatchContext } from './batch-stream.ts';

type ScanKind = ScanQuery['kind'];

const DECODERS = { bucket: decodeBucketScan, prefix: decodePrefixScan, range: decodeRangeScan } as const;
const WRITERS = { bucket: writeBucketResponse, prefix: writePrefixResponse, range: writeRangeResponse } as const;

/** Throws `DecodeError`. */
export function decodeScan(reader: ProtoReader, kind: ScanKind): ScanRequest {
  return DECODERS[kind](reader);
}

/** The encoded response; memory of its own. */
export function encodeScan(kind: ScanKind, answer: ScanAnswer): Uint8Array {
  const writer = new ReverseWriter();
  const start = writer.mark;
  WRITERS[kind](writer, answer);
  return writer.since(start);
}

/** What the request is refused with before any partition is asked; undefined: it may run. */
export function refusedScan({ query, identity }: ScanRequest): ScanAnswer | undefined {
  if (!isValidScan(query)) return scanRefusal(ResponseType.InvalidInput);
  if ((identity & Identity.Transaction) === 0) return undefined;
  // A session that is named in full is one that this node does not know (grpc §7.3); named in part, the request is wrong.
  return scanRefusal(identity === Identity.Complete ? ResponseType.Aborted : ResponseType.InvalidInput);
}

/** Never rejects. `deadlineMs`: monotonic, 0 = the specification's own bounds. `paged`: a range may end short, its reader goes on. */
export async function runScan(
  { node, settings }: Pick<BatchContext, 'node' | 'settings'>,
  request: ScanRequest,
  deadlineMs: number,
  paged = false,
): Promise<ScanAnswer> {
  const refused = refusedScan(request);
  if (refused !== undefined) return refused;
  try {
    const query = request.query as ScanQuery;
    return query.kind === 'range' && !paged ? await readRange(node, query, deadlineMs) : await node.scan(query, deadlineMs);
  } catch (error) {
    settings.onFault('scanning', error);
    return scanRefusal(ResponseType.MustRetry);
  }
}
