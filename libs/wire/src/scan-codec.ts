import { HLC_ZERO } from '@kahuna/base';
import type { BucketQuery, HoldAnswer, HoldOperation, PrefixQuery, RangeQuery, ScanAnswer, ScanRow } from '@kahuna/partition';
import { Identity, toHlc, writeHlc, writeInt64, writeOptionalBytes, writeText } from './key-value-codec.ts';
import type { ProtoReader } from './proto-reader.ts';
import type { ReverseWriter } from './reverse-writer.ts';

/** Scans and snapshot holds of the `KeyValuer` service (grpc §5.4, §5.8), between bytes and queries, as in `key-value-codec.ts`. */

type Requested<Q> = Omit<Q, 'durability'> & { readonly durability: number };
export type RequestedScan = Requested<BucketQuery> | Requested<PrefixQuery> | Requested<RangeQuery>;

/** A query, and what it says about a transaction: bits of {@link Identity}. */
export interface ScanRequest<Q extends RequestedScan = RequestedScan> {
  readonly query: Q;
  readonly identity: number;
}

// ---- requests --------------------------------------------------------------------------------------------------------------

/** Throws `DecodeError`, like all of these. */
export function decodeBucketScan(reader: ProtoReader): ScanRequest<Requested<BucketQuery>> {
  let identity = 0;
  let prefix = '';
  let durability = 0;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 8 || tag === 16 || tag === 24) identity |= reader.nonZero64() ? Identity.Transaction : 0;
    else if (tag === 34) prefix = reader.text();
    else if (tag === 40) durability = reader.int32();
    else if (tag === 48) n = reader.int32();
    else if (tag === 56) l = reader.int64();
    else if (tag === 64) c = reader.uint32();
    else if (tag === 74) identity |= reader.text() === '' ? 0 : Identity.CoordinatorKey;
    else if (tag === 80 || tag === 88) identity |= reader.nonZero64() ? Identity.OperationId : 0;
    else reader.skip(tag);
  }
  return { query: { kind: 'bucket', prefix, readTimestamp: toHlc(n, l, c), durability }, identity };
}

/** `ScanAllByPrefix`. A node and milliseconds of zero mean the latest, whatever the counter says (grpc §4.1). */
export function decodePrefixScan(reader: ProtoReader): ScanRequest<Requested<PrefixQuery>> {
  let prefix = '';
  let durability = 0;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) prefix = reader.text();
    else if (tag === 16) durability = reader.int32();
    else if (tag === 24) n = reader.int32();
    else if (tag === 32) l = reader.int64();
    else if (tag === 40) c = reader.uint32();
    else reader.skip(tag);
  }
  const readTimestamp = n === 0 && l === 0 ? HLC_ZERO : { n, l, c };
  return { query: { kind: 'prefix', prefix, readTimestamp, durability }, identity: Identity.None };
}

export function decodeRangeScan(reader: ProtoReader): ScanRequest<Requested<RangeQuery>> {
  let identity = 0;
  let prefix = '';
  let startKey: string | undefined;
  let startInclusive = false;
  let endKey: string | undefined;
  let endInclusive = false;
  let limit = 0;
  let durability = 0;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 8 || tag === 16 || tag === 24) identity |= reader.nonZero64() ? Identity.Transaction : 0;
    else if (tag === 34) prefix = reader.text();
    else if (tag === 42) startKey = reader.text();
    else if (tag === 48) startInclusive = reader.nonZero64();
    else if (tag === 58) endKey = reader.text();
    else if (tag === 64) endInclusive = reader.nonZero64();
    else if (tag === 72) limit = reader.int32();
    else if (tag === 80) n = reader.int32();
    else if (tag === 88) l = reader.int64();
    else if (tag === 96) c = reader.uint32();
    else if (tag === 104) durability = reader.int32();
    else if (tag === 114) identity |= reader.text() === '' ? 0 : Identity.CoordinatorKey;
    else if (tag === 120 || tag === 128) identity |= reader.nonZero64() ? Identity.OperationId : 0;
    else reader.skip(tag);
  }
  const bounds = {
    startKey,
    startInclusive: startInclusive || startKey === undefined,
    endKey,
    endInclusive: endInclusive && endKey !== undefined,
  };
  const readTimestamp = toHlc(n, l, c);
  return { query: { kind: 'range', prefix, ...bounds, limit, readTimestamp, durability, cursor: undefined }, identity };
}

// ---- responses -------------------------------------------------------------------------------------------------------------

/** Bytes that a row takes in an answer, at most, beside its key and value. */
const ROW_FIELDS_BYTES = 128;
const MAX_UTF8_BYTES_PER_UNIT = 3;

/** Never less than what the row takes in an answer. */
export function scanRowBytes({ key, result }: ScanRow): number {
  return key.length * MAX_UTF8_BYTES_PER_UNIT + (result.value?.length ?? 0) + ROW_FIELDS_BYTES;
}

function writeRows(writer: ReverseWriter, tag: number, rows: readonly ScanRow[]): void {
  for (let i = rows.length - 1; i >= 0; i--) {
    const { key, result } = rows[i] as ScanRow;
    const start = writer.mark;
    writeInt64(writer, 104, result.state);
    writeHlc(writer, 80, result.lastModified);
    writeHlc(writer, 56, result.lastUsed);
    writeHlc(writer, 32, result.expires);
    writeInt64(writer, 24, result.revision);
    writeOptionalBytes(writer, 18, result.value);
    writeText(writer, 10, key);
    writer.uint32(writer.mark - start);
    writer.u8(tag);
  }
}

/** `GrpcGetByBucketResponse`, and `GrpcScanByPrefixResponse`, which has the same fields. */
export function writeBucketResponse(writer: ReverseWriter, answer: ScanAnswer): void {
  writeRows(writer, 26, answer.rows);
  writeInt64(writer, 16, answer.type);
}

/** `GrpcScanAllByPrefixResponse`. */
export function writePrefixResponse(writer: ReverseWriter, answer: ScanAnswer): void {
  writeRows(writer, 18, answer.rows);
  writeInt64(writer, 8, answer.type);
}

/** `GrpcGetByRangeResponse`. */
export function writeRangeResponse(writer: ReverseWriter, answer: ScanAnswer): void {
  if (answer.hasMore) writeFlag(writer, 40);
  if (answer.nextCursor !== undefined) {
    writer.text(answer.nextCursor);
    writer.u8(34);
  }
  writeBucketResponse(writer, answer);
}

/** `GrpcGetByRangePageResponse`. */
export function writeRangePage(writer: ReverseWriter, answer: ScanAnswer): void {
  if (answer.hasMore) writeFlag(writer, 32);
  if (answer.nextCursor !== undefined) {
    writer.text(answer.nextCursor);
    writer.u8(26);
  }
  writePrefixResponse(writer, answer);
}

function writeFlag(writer: ReverseWriter, tag: number): void {
  writer.u8(1);
  writer.u8(tag);
}

// ---- snapshot holds --------------------------------------------------------------------------------------------------------

export function decodeHold(reader: ProtoReader, kind: HoldOperation['kind']): HoldOperation {
  switch (kind) {
    case 'hold-acquire':
      return decodeAcquireHold(reader);
    case 'hold-renew':
    case 'hold-release': {
      const { holdId, leaseMs } = decodeHoldId(reader);
      return kind === 'hold-renew' ? { kind, holdId, leaseMs } : { kind, holdId };
    }
    case 'hold-floor':
      while (reader.more) reader.skip(reader.tag());
      return { kind };
  }
}

function decodeAcquireHold(reader: ProtoReader): HoldOperation {
  let holderId = '';
  let leaseMs = 0;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) holderId = reader.text();
    else if (tag === 16) n = reader.int32();
    else if (tag === 24) l = reader.int64();
    else if (tag === 32) c = reader.uint32();
    else if (tag === 40) leaseMs = reader.int32();
    else reader.skip(tag);
  }
  return { kind: 'hold-acquire', holderId, timestamp: toHlc(n, l, c), leaseMs };
}

function decodeHoldId(reader: ProtoReader): { readonly holdId: string; readonly leaseMs: number } {
  let holdId = '';
  let leaseMs = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) holdId = reader.text();
    else if (tag === 16) leaseMs = reader.int32();
    else reader.skip(tag);
  }
  return { holdId, leaseMs };
}

export function writeHoldResponse(writer: ReverseWriter, kind: HoldOperation['kind'], answer: HoldAnswer): void {
  switch (kind) {
    case 'hold-acquire':
      writeHlc(writer, 24, answer.leaseExpiry);
      writeText(writer, 18, answer.holdId);
      writeInt64(writer, 8, answer.type);
      break;
    case 'hold-renew':
      writeHlc(writer, 16, answer.leaseExpiry);
      writeInt64(writer, 8, answer.type);
      break;
    case 'hold-release':
      writeInt64(writer, 8, answer.type);
      break;
    case 'hold-floor':
      // The type is the last field of this one message.
      writeInt64(writer, 40, answer.type);
      writeInt64(writer, 32, answer.liveHolds);
      writeHlc(writer, 8, answer.effectiveFloor);
      break;
  }
}
