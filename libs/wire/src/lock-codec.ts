import { HLC_ZERO, type Hlc } from '@kahuna/base';
import type { LockOperation, OperationResult } from '@kahuna/partition';
import { toHlc, writeHlc, writeInt64, writeOptionalBytes, writeText } from './key-value-codec.ts';
import type { ProtoReader } from './proto-reader.ts';
import type { ReverseWriter } from './reverse-writer.ts';

/** The messages of the `Locker` service (grpc §5.11), between bytes and operations, as in `key-value-codec.ts`. */

/** As the client wrote it: the durability is whatever number came. */
export type RequestedLock = Omit<LockOperation, 'durability'> & { readonly durability: number };
export type LockKind = LockOperation['kind'];

const NO_OWNER = new Uint8Array(0);

// ---- server side -----------------------------------------------------------------------------------------------------------

/** Throws `DecodeError`. The owner is a copy: locks outlive the message they came in. */
export function decodeLock(reader: ProtoReader, kind: LockKind): RequestedLock {
  switch (kind) {
    case 'lock-acquire':
    case 'lock-extend':
      return decodeLease(reader, kind);
    case 'lock-release':
      return decodeRelease(reader);
    case 'lock-info':
      return decodeInfo(reader);
  }
}

function decodeLease(reader: ProtoReader, kind: 'lock-acquire' | 'lock-extend'): RequestedLock {
  let key = '';
  let owner = NO_OWNER;
  let expiresMs = 0;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 18) owner = new Uint8Array(reader.view());
    else if (tag === 24) expiresMs = reader.int32();
    else if (tag === 32) durability = reader.int32();
    else reader.skip(tag);
  }
  return { kind, key, owner, expiresMs, durability };
}

function decodeRelease(reader: ProtoReader): RequestedLock {
  let key = '';
  let owner = NO_OWNER;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 18) owner = new Uint8Array(reader.view());
    else if (tag === 24) durability = reader.int32();
    else reader.skip(tag);
  }
  return { kind: 'lock-release', key, owner, expiresMs: 0, durability };
}

function decodeInfo(reader: ProtoReader): RequestedLock {
  let key = '';
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 16) durability = reader.int32();
    else reader.skip(tag);
  }
  return { kind: 'lock-info', key, owner: NO_OWNER, expiresMs: 0, durability };
}

/** `result`: as {@link LockOperation} describes it. `hint`: an encoded `GrpcRouteHint`. */
export function writeLockResponse(
  writer: ReverseWriter,
  kind: LockKind,
  result: OperationResult,
  hint: Uint8Array | undefined,
): void {
  if (hint !== undefined) {
    writer.bytes(hint);
    writer.u8(kind === 'lock-info' ? 66 : kind === 'lock-release' ? 26 : 34);
  }
  if (kind === 'lock-info') {
    writeInt64(writer, 56, result.revision);
    writeHlc(writer, 32, result.expires);
    writeOptionalBytes(writer, 26, result.value);
  } else if (kind !== 'lock-release') {
    writeInt64(writer, 24, result.revision);
  }
  writeInt64(writer, 16, result.type);
}

// ---- client side -----------------------------------------------------------------------------------------------------------

export function writeLockRequest(writer: ReverseWriter, operation: RequestedLock): void {
  switch (operation.kind) {
    case 'lock-acquire':
    case 'lock-extend':
      writeInt64(writer, 32, operation.durability);
      writeInt64(writer, 24, operation.expiresMs);
      writeOptionalBytes(writer, 18, operation.owner);
      break;
    case 'lock-release':
      writeInt64(writer, 24, operation.durability);
      writeOptionalBytes(writer, 18, operation.owner);
      break;
    case 'lock-info':
      writeInt64(writer, 16, operation.durability);
      break;
  }
  writeText(writer, 10, operation.key);
}

/** A lock's answer as a client sees it. */
export interface ReceivedLock {
  /** Number of `GrpcLockResponseType`. */
  type: number;
  fencingToken: number;
  /** null: nobody holds it, or the answer does not say. */
  owner: Uint8Array | null;
  expires: Hlc;
  /** Encoded `GrpcRouteHint`, undefined if none came. A view of the response. */
  hint: Uint8Array | undefined;
}

export function decodeLockResponse(reader: ProtoReader, kind: LockKind): ReceivedLock {
  const result: ReceivedLock = { type: 0, fencingToken: 0, owner: null, expires: HLC_ZERO, hint: undefined };
  const hintTag = kind === 'lock-info' ? 66 : kind === 'lock-release' ? 26 : 34;
  const tokenTag = kind === 'lock-info' ? 56 : 24;
  let n = 0;
  let l = 0;
  let c = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 16) result.type = reader.int32();
    else if (tag === hintTag) result.hint = reader.view();
    else if (tag === tokenTag && kind !== 'lock-release') result.fencingToken = reader.int64();
    else if (kind !== 'lock-info') reader.skip(tag);
    else if (tag === 26) result.owner = new Uint8Array(reader.view());
    else if (tag === 32) n = reader.int32();
    else if (tag === 40) l = reader.int64();
    else if (tag === 48) c = reader.uint32();
    else reader.skip(tag);
  }
  result.expires = toHlc(n, l, c);
  return result;
}
