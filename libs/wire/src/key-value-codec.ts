import { HLC_ZERO, type Hlc } from '@kahuna/base';
import type { OperationResult } from '@kahuna/partition';
import type { ProtoReader } from './proto-reader.ts';
import type { RequestedDelete, RequestedExtend, RequestedGet, RequestedSet } from './requested.ts';
import type { ReverseWriter } from './reverse-writer.ts';

/**
 * The one-key messages of the `KeyValuer` service, between their bytes and the domain types, with nothing in between
 * (grpc §5.2). The generated code in `generated/` is the reference that the tests hold it to. A tag is written as one number,
 * `field << 3 | wire type`, as it stands on the wire.
 */

/** What a request says about a transaction (grpc §4.2): bits, because on the hot path all of them are absent. */
export const Identity = { None: 0, Transaction: 1, CoordinatorKey: 2, OperationId: 4, Complete: 7 } as const;

/** What came with the request decoded last, besides the operation itself. One object serves all requests of a reader. */
export interface RequestExtras {
  /** Bits of {@link Identity}. */
  identity: number;
  /** Revision asked for, where a number cannot hold it: such a revision never exists, and the answer echoes it. */
  exactRevision: bigint | undefined;
}

/** A compare revision that no record can have (keyvalues §6.2): what takes the place of one beyond the safe integers. */
const IMPOSSIBLE_REVISION = -2;

// ---- requests, server side -------------------------------------------------------------------------------------------------

export function decodeSet(reader: ProtoReader, extras: RequestExtras): RequestedSet {
  let identity = 0;
  let key = '';
  let value: Uint8Array | null = null;
  let compareValue: Uint8Array | null = null;
  let compareRevision = 0;
  let flags = 0;
  let expiresMs = 0;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        if (reader.nonZero64()) identity |= Identity.Transaction;
        break;
      case 34:
        key = reader.text();
        break;
      case 42:
        value = reader.view();
        break;
      case 50:
        compareValue = reader.view();
        break;
      case 56:
        compareRevision = reader.int64();
        break;
      case 64:
        flags = reader.int32();
        break;
      case 72:
        expiresMs = reader.int32();
        break;
      case 80:
        durability = reader.int32();
        break;
      case 98:
        if (reader.text() !== '') identity |= Identity.CoordinatorKey;
        break;
      case 104:
      case 112:
        if (reader.nonZero64()) identity |= Identity.OperationId;
        break;
      default:
        reader.skip(tag);
    }
  }
  extras.identity = identity;
  if (Math.abs(compareRevision) === Number.MAX_SAFE_INTEGER) compareRevision = IMPOSSIBLE_REVISION;
  return { kind: 'set', key, value, expiresMs, flags, compareValue, compareRevision, durability };
}

export function decodeExtend(reader: ProtoReader, extras: RequestExtras): RequestedExtend {
  let identity = 0;
  let key = '';
  let expiresMs = 0;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        if (reader.nonZero64()) identity |= Identity.Transaction;
        break;
      case 34:
        key = reader.text();
        break;
      case 40:
        expiresMs = reader.int32();
        break;
      case 48:
        durability = reader.int32();
        break;
      case 58:
        if (reader.text() !== '') identity |= Identity.CoordinatorKey;
        break;
      case 64:
      case 72:
        if (reader.nonZero64()) identity |= Identity.OperationId;
        break;
      default:
        reader.skip(tag);
    }
  }
  extras.identity = identity;
  return { kind: 'extend', key, expiresMs, durability };
}

export function decodeDelete(reader: ProtoReader, extras: RequestExtras): RequestedDelete {
  let identity = 0;
  let key = '';
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        if (reader.nonZero64()) identity |= Identity.Transaction;
        break;
      case 34:
        key = reader.text();
        break;
      case 40:
        durability = reader.int32();
        break;
      case 50:
        if (reader.text() !== '') identity |= Identity.CoordinatorKey;
        break;
      case 56:
      case 64:
        if (reader.nonZero64()) identity |= Identity.OperationId;
        break;
      default:
        reader.skip(tag);
    }
  }
  extras.identity = identity;
  return { kind: 'delete', key, durability };
}

/** Get and exists have the same request. */
export function decodeGet(reader: ProtoReader, kind: 'get' | 'exists', extras: RequestExtras): RequestedGet {
  let identity = 0;
  let key = '';
  let revision = 0;
  let exactRevision: bigint | undefined;
  let durability = 0;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        if (reader.nonZero64()) identity |= Identity.Transaction;
        break;
      case 34:
        key = reader.text();
        break;
      case 40:
        revision = reader.int64();
        exactRevision = revision === Number.MAX_SAFE_INTEGER ? reader.exactInt64() : undefined;
        break;
      case 48:
        durability = reader.int32();
        break;
      case 56:
        n = reader.int32();
        break;
      case 64:
        l = reader.int64();
        break;
      case 72:
        c = reader.uint32();
        break;
      case 82:
        if (reader.text() !== '') identity |= Identity.CoordinatorKey;
        break;
      case 88:
      case 96:
        if (reader.nonZero64()) identity |= Identity.OperationId;
        break;
      default:
        reader.skip(tag);
    }
  }
  extras.identity = identity;
  extras.exactRevision = exactRevision;
  const readTimestamp = l === 0 && c === 0 && n === 0 ? HLC_ZERO : { n, l, c };
  return { kind, key, revision, readTimestamp, durability };
}

// ---- responses, server side ------------------------------------------------------------------------------------------------

export function writeHlc(writer: ReverseWriter, nodeTag: number, t: Hlc): void {
  if (t.c !== 0) {
    writer.uint32(t.c);
    writer.u8(nodeTag + 16);
  }
  if (t.l !== 0) {
    writer.int64(t.l);
    writer.u8(nodeTag + 8);
  }
  if (t.n !== 0) {
    writer.int64(t.n);
    writer.u8(nodeTag);
  }
}

export function writeInt64(writer: ReverseWriter, tag: number, value: number): void {
  if (value === 0) return;
  writer.int64(value);
  writer.u8(tag);
}

export function writeRevision(writer: ReverseWriter, tag: number, revision: number, exactRevision: bigint | undefined): void {
  if (exactRevision === undefined || revision !== Number.MAX_SAFE_INTEGER) {
    writeInt64(writer, tag, revision);
    return;
  }
  writer.bigInt64(exactRevision);
  writer.u8(tag);
}

/** Set, extend and delete have the same response. `hint`: an encoded `GrpcRouteHint`. */
export function writeMutationResponse(
  writer: ReverseWriter,
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
): void {
  if (hint !== undefined) {
    writer.bytes(hint);
    writer.u8(66);
  }
  writeInt64(writer, 56, elapsedMs);
  writeHlc(writer, 32, result.lastModified);
  writeInt64(writer, 24, result.revision);
  writeInt64(writer, 16, result.type);
}

export function writeGetResponse(
  writer: ReverseWriter,
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
  exactRevision: bigint | undefined,
): void {
  if (hint !== undefined) {
    writer.bytes(hint);
    writer.uint32(130);
  }
  writeInt64(writer, 120, elapsedMs);
  writeInt64(writer, 112, result.state);
  writeHlc(writer, 88, result.lastModified);
  writeHlc(writer, 64, result.lastUsed);
  writeHlc(writer, 40, result.expires);
  writeRevision(writer, 32, result.revision, exactRevision);
  if (result.value !== null) {
    writer.bytes(result.value);
    writer.u8(26);
  }
  writeInt64(writer, 16, result.type);
}

export function writeExistsResponse(
  writer: ReverseWriter,
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
  exactRevision: bigint | undefined,
): void {
  if (hint !== undefined) {
    writer.bytes(hint);
    writer.u8(122);
  }
  writeInt64(writer, 112, elapsedMs);
  writeInt64(writer, 104, result.state);
  writeHlc(writer, 80, result.lastModified);
  writeHlc(writer, 56, result.lastUsed);
  writeHlc(writer, 32, result.expires);
  writeRevision(writer, 24, result.revision, exactRevision);
  writeInt64(writer, 16, result.type);
}

// ---- requests, client side -------------------------------------------------------------------------------------------------

export function writeText(writer: ReverseWriter, tag: number, value: string): void {
  if (value === '') return;
  writer.text(value);
  writer.u8(tag);
}

export function writeOptionalBytes(writer: ReverseWriter, tag: number, value: Uint8Array | null): void {
  if (value === null) return;
  writer.bytes(value);
  writer.u8(tag);
}

export function writeSetRequest(writer: ReverseWriter, operation: RequestedSet): void {
  writeInt64(writer, 80, operation.durability);
  writeInt64(writer, 72, operation.expiresMs);
  writeInt64(writer, 64, operation.flags);
  writeInt64(writer, 56, operation.compareRevision);
  writeOptionalBytes(writer, 50, operation.compareValue);
  writeOptionalBytes(writer, 42, operation.value);
  writeText(writer, 34, operation.key);
}

export function writeExtendRequest(writer: ReverseWriter, operation: RequestedExtend): void {
  writeInt64(writer, 48, operation.durability);
  writeInt64(writer, 40, operation.expiresMs);
  writeText(writer, 34, operation.key);
}

export function writeDeleteRequest(writer: ReverseWriter, operation: RequestedDelete): void {
  writeInt64(writer, 40, operation.durability);
  writeText(writer, 34, operation.key);
}

export function writeGetRequest(writer: ReverseWriter, operation: RequestedGet): void {
  writeHlc(writer, 56, operation.readTimestamp);
  writeInt64(writer, 48, operation.durability);
  writeInt64(writer, 40, operation.revision);
  writeText(writer, 34, operation.key);
}

// ---- responses, client side ------------------------------------------------------------------------------------------------

/** An answer as a client sees it: the result, and where the server says it was served. */
export interface ReceivedResult extends Omit<OperationResult, 'type' | 'route'> {
  /** Number of `GrpcKeyValueResponseType`. */
  type: number;
  elapsedMs: number;
  /** Encoded `GrpcRouteHint`, undefined if none came. A view of the response. */
  hint: Uint8Array | undefined;
}

function emptyResult(): ReceivedResult {
  return {
    type: 0,
    revision: 0,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    elapsedMs: 0,
    hint: undefined,
  };
}

export function toHlc(n: number, l: number, c: number): Hlc {
  return l === 0 && c === 0 && n === 0 ? HLC_ZERO : { n, l, c };
}

export function decodeMutationResponse(reader: ProtoReader): ReceivedResult {
  const result = emptyResult();
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 16:
        result.type = reader.int32();
        break;
      case 24:
        result.revision = reader.int64();
        break;
      case 32:
        n = reader.int32();
        break;
      case 40:
        l = reader.int64();
        break;
      case 48:
        c = reader.uint32();
        break;
      case 56:
        result.elapsedMs = reader.int32();
        break;
      case 66:
        result.hint = reader.view();
        break;
      default:
        reader.skip(tag);
    }
  }
  result.lastModified = toHlc(n, l, c);
  return result;
}

/** Get and exists: the same fields, those of exists one lower because it has no value. */
export function decodeReadResponse(reader: ProtoReader, kind: 'get' | 'exists'): ReceivedResult {
  const result = emptyResult();
  const shift = kind === 'get' ? 0 : 8;
  const times = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  while (reader.more) {
    const wireTag = reader.tag();
    if (wireTag === 16) {
      result.type = reader.int32();
      continue;
    }
    const tag = wireTag + shift;
    switch (tag) {
      case 26:
        if (kind === 'get') result.value = reader.view();
        else reader.skip(wireTag);
        break;
      case 32:
        result.revision = reader.int64();
        break;
      case 40:
      case 64:
      case 88:
        times[(tag - 40) / 8] = reader.int32();
        break;
      case 48:
      case 72:
      case 96:
        times[(tag - 40) / 8] = reader.int64();
        break;
      case 56:
      case 80:
      case 104:
        times[(tag - 40) / 8] = reader.uint32();
        break;
      case 112:
        result.state = reader.int32();
        break;
      case 120:
        result.elapsedMs = reader.int32();
        break;
      case 130:
        result.hint = reader.view();
        break;
      default:
        reader.skip(wireTag);
    }
  }
  const [en = 0, el = 0, ec = 0, un = 0, ul = 0, uc = 0, mn = 0, ml = 0, mc = 0] = times;
  result.expires = toHlc(en, el, ec);
  result.lastUsed = toHlc(un, ul, uc);
  result.lastModified = toHlc(mn, ml, mc);
  return result;
}
