import type { OperationResult, SequenceAllocation, SequenceEntry, SequenceOperation } from '@kahuna/partition';
import { SequenceResponseType } from '@kahuna/partition';
import { writeHlc, writeInt64, writeText } from './key-value-codec.ts';
import type { ProtoReader } from './proto-reader.ts';
import type { ReverseWriter } from './reverse-writer.ts';

/** The messages of the `Sequencer` service (grpc §5.12), between bytes and operations. Values are bigint: all of int64 is in use. */

/** Methods of the service by what they ask for; `next` is a reserve with count 1 and without the field. */
export type SequenceMethod = 'create' | 'get' | 'next' | 'reserve' | 'update' | 'delete';

export interface RequestedSequence {
  readonly operation: SequenceOperation;
  /** Whatever number came; 1 is the only kind there is (sequences §2.2). */
  readonly durability: number;
}

// ---- requests --------------------------------------------------------------------------------------------------------------

/** Throws `DecodeError`. */
export function decodeSequence(reader: ProtoReader, method: SequenceMethod): RequestedSequence {
  switch (method) {
    case 'create':
      return decodeCreate(reader);
    case 'update':
      return decodeUpdate(reader);
    case 'next':
      return decodeNext(reader);
    case 'reserve':
      return decodeReserve(reader);
    case 'get':
    case 'delete':
      return decodeNamed(reader, method);
  }
}

function decodeCreate(reader: ProtoReader): RequestedSequence {
  let key = '';
  let initialValue = 0n;
  let increment = 0n;
  let maxValue: bigint | undefined;
  let blockSize: number | undefined;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 16) initialValue = reader.bigInt64();
    else if (tag === 24) increment = reader.bigInt64();
    else if (tag === 32) maxValue = reader.bigInt64();
    else if (tag === 40) durability = reader.int32();
    else if (tag === 48) blockSize = reader.int32();
    else reader.skip(tag);
  }
  return { operation: { kind: 'sequence-create', key, initialValue, increment, maxValue, blockSize }, durability };
}

function decodeUpdate(reader: ProtoReader): RequestedSequence {
  let key = '';
  let currentValue: bigint | undefined;
  let increment: bigint | undefined;
  let initialValue: bigint | undefined;
  let maxValue: bigint | undefined;
  let removeMaxValue = false;
  let blockSize: number | undefined;
  let removeBlockSize = false;
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 16) currentValue = reader.bigInt64();
    else if (tag === 24) increment = reader.bigInt64();
    else if (tag === 32) initialValue = reader.bigInt64();
    else if (tag === 40) maxValue = reader.bigInt64();
    else if (tag === 48) removeMaxValue = reader.nonZero64();
    else if (tag === 56) blockSize = reader.int32();
    else if (tag === 64) removeBlockSize = reader.nonZero64();
    else if (tag === 72) durability = reader.int32();
    else reader.skip(tag);
  }
  const changes = { currentValue, increment, initialValue, maxValue, removeMaxValue, blockSize, removeBlockSize };
  return { operation: { kind: 'sequence-update', key, ...changes }, durability };
}

function decodeNext(reader: ProtoReader): RequestedSequence {
  let key = '';
  let idempotencyKey = '';
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.repeatedText();
    else if (tag === 18) idempotencyKey = reader.text();
    else if (tag === 24) durability = reader.int32();
    else reader.skip(tag);
  }
  return { operation: { kind: 'sequence-reserve', key, count: 1, idempotencyKey }, durability };
}

function decodeReserve(reader: ProtoReader): RequestedSequence {
  let key = '';
  let count = 0;
  let idempotencyKey = '';
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.repeatedText();
    else if (tag === 16) count = reader.int32();
    else if (tag === 26) idempotencyKey = reader.text();
    else if (tag === 32) durability = reader.int32();
    else reader.skip(tag);
  }
  return { operation: { kind: 'sequence-reserve', key, count, idempotencyKey }, durability };
}

function decodeNamed(reader: ProtoReader, method: 'get' | 'delete'): RequestedSequence {
  let key = '';
  let durability = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 10) key = reader.text();
    else if (tag === 16) durability = reader.int32();
    else reader.skip(tag);
  }
  return { operation: { kind: `sequence-${method}`, key }, durability };
}

// ---- responses -------------------------------------------------------------------------------------------------------------

/** The wire's number for a type that the server uses inside (sequences §2.1): only these three differ. */
export function sequenceWireType(type: number): number {
  if (type === SequenceResponseType.InvalidInput) return 3;
  return type === SequenceResponseType.MustRetry ? 5 : type;
}

/** Revision of an answer that is no success: none of create, get and update, nothing of the others (sequences §3). */
export function sequenceRevision(kind: SequenceOperation['kind'], result: OperationResult): number {
  if (kind === 'sequence-delete') return 0;
  if (result.type === SequenceResponseType.Success) return result.revision;
  return kind === 'sequence-reserve' ? 0 : -1;
}

/** `GrpcSequenceAllocationResponse` for reserve, `GrpcSequenceResponse` for the others. `hint`: an encoded `GrpcRouteHint`. */
export function writeSequenceResponse(
  writer: ReverseWriter,
  kind: SequenceOperation['kind'],
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
): void {
  const isReserve = kind === 'sequence-reserve';
  const { detail } = result;
  if (hint !== undefined) {
    writer.bytes(hint);
    writer.u8(isReserve ? 42 : 50);
  }
  writeInt64(writer, isReserve ? 32 : 40, elapsedMs);
  if (!isReserve) writeInt64(writer, 32, sequenceRevision(kind, result));
  const start = writer.mark;
  if (isReserve && detail?.kind === 'sequence-allocation') {
    writeAllocation(writer, detail);
    endMember(writer, start);
  } else if (kind === 'sequence-get' && detail?.kind === 'sequence-entry') {
    writeEntry(writer, detail);
    endMember(writer, start);
  }
  writeInt64(writer, 16, sequenceWireType(result.type));
}

/** Makes what was written since `start` a message as field 3, present also where all of it is default. */
function endMember(writer: ReverseWriter, start: number): void {
  writer.uint32(writer.mark - start);
  writer.u8(26);
}

function writeBigInt64(writer: ReverseWriter, tag: number, value: bigint): void {
  if (value === 0n) return;
  writer.bigInt64(value);
  writer.u8(tag);
}

function writeAllocation(writer: ReverseWriter, { name, start, end, count, revision }: SequenceAllocation): void {
  writeInt64(writer, 40, revision);
  writeInt64(writer, 32, count);
  writeBigInt64(writer, 24, end);
  writeBigInt64(writer, 16, start);
  writeText(writer, 10, name);
}

function writeEntry(writer: ReverseWriter, entry: SequenceEntry): void {
  writeInt64(writer, 120, entry.incarnation);
  if (entry.blockSize !== undefined) {
    writer.int64(entry.blockSize);
    writer.u8(112);
  }
  writeHlc(writer, 88, entry.updatedAt);
  writeHlc(writer, 64, entry.createdAt);
  writeInt64(writer, 56, PERSISTENT);
  writeInt64(writer, 48, entry.revision);
  if (entry.maxValue !== undefined) {
    writer.bigInt64(entry.maxValue);
    writer.u8(40);
  }
  writeBigInt64(writer, 32, entry.increment);
  writeBigInt64(writer, 24, entry.initialValue);
  writeBigInt64(writer, 16, entry.currentValue);
  writeText(writer, 10, entry.name);
}

const PERSISTENT = 1;
