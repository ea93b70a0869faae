import type { ByteReader, ByteWriter, Hlc } from '@kahuna/base';
import { DecodeError, HLC_ZERO, isZeroHlc } from '@kahuna/base';
import {
  type GetOperation,
  type HistoryCommand,
  isHistoryCommand,
  type LockOperation,
  type Operation,
  type OperationResult,
  type ResponseType,
  readDurability,
  readHistoryCommand,
  readLock,
  readSequenceCreate,
  readSequenceUpdate,
  type SequenceEntry,
  type SequenceOperation,
  writeHistoryCommand,
  writeLock,
  writeSequenceCreate,
  writeSequenceUpdate,
} from '@kahuna/partition';

/**
 * The node-to-node protocol: one frame carries everything that one node has for another at the end of one event-loop turn.
 *
 *     frame  = header item*
 *     header = version, sender boot, receiver boot as known to the sender (0 = not known), number, allegiance, clock
 *     item   = kind, body
 *
 * `number` grows with every frame of one boot, over reconnects too; a frame that is not above the last one is dropped. So a frame takes effect at
 * most once and in order, whatever the network does, and a forwarded request needs no further defence against duplicates (against coming late: D3 of `dispatcher.ts`). `allegiance` counts how often the sender has left a group's leader that lives on the receiver (see `peer.ts`). A frame for another boot of
 * the receiver than the present one is dropped: what was meant for a process that is gone must not take effect in its successor.
 * Requests, answers and Raft messages are encoded by hand, as hot-path §4 measured.
 */
export const FRAME_VERSION = 1;

export const ItemKind = {
  Heartbeat: 1,
  HeartbeatAck: 2,
  Raft: 3,
  Forward: 4,
  ForwardAnswer: 5,
  Snapshot: 6,
  SnapshotAck: 7,
  FactsRequest: 8,
  Facts: 9,
  Checksum: 10,
  /** Asks the leader of a partition to hand it over: partition, node that shall lead. */
  Transfer: 11,
  Listing: 16,
  ListingPart: 17,
  Scan: 20,
  ScanPage: 21,
  ScanMore: 22,
  ScanEnd: 23,
} as const;

export interface FrameHeader {
  readonly senderBoot: number;
  readonly receiverBoot: number;
  readonly number: number;
  readonly allegiance: number;
  /** Of the sender, when it ended the frame: not below any stamp in it. */
  readonly clock: Hlc;
}

/** Room for the clock, which is only known at the end of the frame: milliseconds for 17,000 years, and any counter. */
const CLOCK_MS_BYTES = 7;
const CLOCK_COUNTER_BYTES = 5;

/** All but the clock; returns its place for {@link writeClock}. */
export function writeHeader(writer: ByteWriter, header: Omit<FrameHeader, 'clock'> & { readonly nodeId: number }): number {
  writer.u8(FRAME_VERSION);
  writer.varint(header.senderBoot);
  writer.varint(header.receiverBoot);
  writer.varint(header.number);
  writer.varint(header.allegiance);
  writer.varint(header.nodeId);
  const clockAt = writer.placeholderVarint(CLOCK_MS_BYTES);
  writer.placeholderVarint(CLOCK_COUNTER_BYTES);
  return clockAt;
}

export function writeClock(writer: ByteWriter, at: number, clock: Hlc): void {
  writer.patchVarint(at, CLOCK_MS_BYTES, clock.l);
  writer.patchVarint(at + CLOCK_MS_BYTES, CLOCK_COUNTER_BYTES, clock.c);
}

export function readHeader(reader: ByteReader): FrameHeader {
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw new DecodeError(`frame version ${version}, this node speaks ${FRAME_VERSION}`);
  const senderBoot = reader.varint();
  const receiverBoot = reader.varint();
  const number = reader.varint();
  const allegiance = reader.varint();
  const n = reader.varint();
  const l = reader.varint();
  const c = reader.varint();
  return { senderBoot, receiverBoot, number, allegiance, clock: { n, l, c } };
}

export function writeHlc(writer: ByteWriter, t: Hlc): void {
  writer.varint(t.l);
  if (t.l === 0) return;
  writer.varint(t.c);
  writer.varint(t.n);
}

/** Inverse of {@link writeHlc}; a zero physical part stands for "none", which is the only timestamp with l = 0 that we write. */
export function readHlc(reader: ByteReader): Hlc {
  const l = reader.varint();
  if (l === 0) return HLC_ZERO;
  const c = reader.varint();
  return { n: reader.varint(), l, c };
}

/** A read timestamp comes from a client and may be any triple; only "latest" is short. */
function writeClientHlc(writer: ByteWriter, t: Hlc): void {
  if (isZeroHlc(t)) {
    writer.u8(0);
    return;
  }
  writer.u8(1);
  writer.varint(t.l);
  writer.varint(t.c);
  writer.svarint(t.n);
}

function readClientHlc(reader: ByteReader): Hlc {
  if (reader.u8() === 0) return HLC_ZERO;
  const l = reader.varint();
  const c = reader.varint();
  return { l, c, n: reader.svarint() };
}

function writeNullable(writer: ByteWriter, value: Uint8Array | null): void {
  if (value === null) {
    writer.varint(0);
    return;
  }
  writer.varint(value.length + 1);
  writer.raw(value);
}

function readNullable(reader: ByteReader): Uint8Array | null {
  const length = reader.varint();
  return length === 0 ? null : reader.raw(length - 1);
}

export type ForwardedOperation = Operation | LockOperation | SequenceOperation | HistoryCommand;

const OperationCode = {
  set: 1,
  delete: 2,
  extend: 3,
  get: 4,
  exists: 5,
  'lock-acquire': 6,
  'lock-extend': 7,
  'lock-release': 8,
  'lock-info': 9,
  'sequence-create': 10,
  'sequence-get': 11,
  'sequence-reserve': 12,
  'sequence-update': 13,
  'sequence-delete': 14,
} as const;
const HISTORY_COMMAND = 32;
const LOCK_KINDS = ['lock-acquire', 'lock-extend', 'lock-release', 'lock-info'] as const;

export function writeOperation(writer: ByteWriter, operation: ForwardedOperation): void {
  if (isHistoryCommand(operation)) {
    writer.u8(HISTORY_COMMAND);
    writeHistoryCommand(writer, operation);
    return;
  }
  writer.u8(OperationCode[operation.kind]);
  switch (operation.kind) {
    case 'lock-acquire':
    case 'lock-extend':
    case 'lock-release':
    case 'lock-info':
      writeLock(writer, operation);
      return;
    case 'sequence-create':
      writeSequenceCreate(writer, operation);
      return;
    case 'sequence-update':
      writeSequenceUpdate(writer, operation);
      return;
    case 'sequence-reserve':
      writer.string(operation.key);
      writer.varint(operation.count);
      writer.string(operation.idempotencyKey);
      return;
    case 'sequence-get':
    case 'sequence-delete':
      writer.string(operation.key);
      return;
    default:
      writeKeyValueOperation(writer, operation);
  }
}

/**
 * No key comes to so many revisions, so a greater one that a client made up is asked for as this one: a signed varint ends at half of the
 * numbers that clients may name. Who forwards such a read puts the client's number back into the answer.
 */
export const MAX_FORWARDED_REVISION = 2 ** 51;
/** A compare revision that no key has. */
const NO_REVISION = -2;

function writeKeyValueOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(operation.durability);
  writer.string(operation.key);
  switch (operation.kind) {
    case 'set':
      writeNullable(writer, operation.value);
      writer.varint(operation.expiresMs);
      writer.varint(operation.flags >>> 0);
      writeNullable(writer, operation.compareValue);
      writer.svarint(Math.abs(operation.compareRevision) <= MAX_FORWARDED_REVISION ? operation.compareRevision : NO_REVISION);
      return;
    case 'extend':
      writer.varint(operation.expiresMs);
      return;
    case 'get':
    case 'exists':
      writer.svarint(Math.max(-1, Math.min(operation.revision, MAX_FORWARDED_REVISION)));
      writeClientHlc(writer, operation.readTimestamp);
      return;
    case 'delete':
      return;
  }
}

export function readOperation(reader: ByteReader): ForwardedOperation {
  const code = reader.u8();
  switch (code) {
    case OperationCode['lock-acquire']:
    case OperationCode['lock-extend']:
    case OperationCode['lock-release']:
    case OperationCode['lock-info']:
      return readLock(reader, LOCK_KINDS[code - OperationCode['lock-acquire']] as LockOperation['kind']);
    case OperationCode['sequence-create']:
      return readSequenceCreate(reader);
    case OperationCode['sequence-update']:
      return readSequenceUpdate(reader);
    case OperationCode['sequence-reserve']: {
      const key = reader.string();
      const count = reader.varint();
      return { kind: 'sequence-reserve', key, count, idempotencyKey: reader.string() };
    }
    case OperationCode['sequence-get']:
      return { kind: 'sequence-get', key: reader.string() };
    case OperationCode['sequence-delete']:
      return { kind: 'sequence-delete', key: reader.string() };
    case HISTORY_COMMAND:
      return readHistoryCommand(reader);
    default:
      return readKeyValueOperation(reader, code);
  }
}

function readKeyValueOperation(reader: ByteReader, code: number): Operation {
  const durability = readDurability(reader);
  const key = reader.string();
  switch (code) {
    case OperationCode.set: {
      const value = readNullable(reader);
      const expiresMs = reader.varint();
      const flags = reader.varint();
      const compareValue = readNullable(reader);
      return { kind: 'set', key, value, expiresMs, flags, compareValue, compareRevision: reader.svarint(), durability };
    }
    case OperationCode.delete:
      return { kind: 'delete', key, durability };
    case OperationCode.extend:
      return { kind: 'extend', key, expiresMs: reader.varint(), durability };
    case OperationCode.get:
    case OperationCode.exists: {
      const revision = reader.svarint();
      const kind: GetOperation['kind'] = code === OperationCode.get ? 'get' : 'exists';
      return { kind, key, revision, readTimestamp: readClientHlc(reader), durability };
    }
    default:
      throw new DecodeError(`unknown operation ${code}`);
  }
}

/** The route is not sent: the asking node knows whom it asked. */
export function writeResult(writer: ByteWriter, result: OperationResult): void {
  writer.u8(result.type);
  writer.svarint(result.revision);
  writeNullable(writer, result.value);
  writeHlc(writer, result.expires);
  writeHlc(writer, result.lastUsed);
  writeHlc(writer, result.lastModified);
  writer.u8(result.state);
  writeDetail(writer, result.detail);
}

const Detail = { None: 0, Entry: 1, Allocation: 2 } as const;

function writeDetail(writer: ByteWriter, detail: OperationResult['detail']): void {
  if (detail === undefined) {
    writer.u8(Detail.None);
    return;
  }
  if (detail.kind === 'sequence-allocation') {
    writer.u8(Detail.Allocation);
    writer.string(detail.name);
    writer.i64(detail.start);
    writer.i64(detail.end);
    writer.varint(detail.count);
    writer.varint(detail.revision);
    return;
  }
  writer.u8(Detail.Entry);
  writeSequenceEntry(writer, detail);
}

function readDetail(reader: ByteReader): OperationResult['detail'] {
  const code = reader.u8();
  switch (code) {
    case Detail.None:
      return undefined;
    case Detail.Allocation: {
      const name = reader.string();
      const start = reader.i64();
      const end = reader.i64();
      const count = reader.varint();
      return { kind: 'sequence-allocation', name, start, end, count, revision: reader.varint() };
    }
    case Detail.Entry:
      return readSequenceEntry(reader);
    default:
      throw new DecodeError(`unknown detail ${code}`);
  }
}

const HAS_MAX = 1;
const HAS_BLOCK_SIZE = 2;

export function writeSequenceEntry(writer: ByteWriter, entry: SequenceEntry): void {
  writer.string(entry.name);
  writer.i64(entry.currentValue);
  writer.i64(entry.initialValue);
  writer.i64(entry.increment);
  writer.u8((entry.maxValue === undefined ? 0 : HAS_MAX) | (entry.blockSize === undefined ? 0 : HAS_BLOCK_SIZE));
  if (entry.maxValue !== undefined) writer.i64(entry.maxValue);
  if (entry.blockSize !== undefined) writer.varint(entry.blockSize);
  writer.varint(entry.incarnation);
  writer.varint(entry.revision);
  writeHlc(writer, entry.createdAt);
  writeHlc(writer, entry.updatedAt);
}

export function readSequenceEntry(reader: ByteReader): SequenceEntry {
  const name = reader.string();
  const currentValue = reader.i64();
  const initialValue = reader.i64();
  const increment = reader.i64();
  const shape = reader.u8();
  const maxValue = (shape & HAS_MAX) === 0 ? undefined : reader.i64();
  const blockSize = (shape & HAS_BLOCK_SIZE) === 0 ? undefined : reader.varint();
  const incarnation = reader.varint();
  const revision = reader.varint();
  const createdAt = readHlc(reader);
  return {
    kind: 'sequence-entry',
    name,
    currentValue,
    initialValue,
    increment,
    maxValue,
    blockSize,
    incarnation,
    revision,
    createdAt,
    updatedAt: readHlc(reader),
  };
}

export function readResult(reader: ByteReader): OperationResult {
  const result: OperationResult = {
    type: reader.u8() as ResponseType,
    revision: reader.svarint(),
    value: readNullable(reader),
    expires: readHlc(reader),
    lastUsed: readHlc(reader),
    lastModified: readHlc(reader),
    state: reader.u8(),
    route: undefined,
  };
  const detail = readDetail(reader);
  if (detail !== undefined) result.detail = detail;
  return result;
}

/** Why a node did not execute a forwarded request; `Executed` carries a result instead. */
export const ForwardStatus = {
  Executed: 0,
  /** Surely not executed: this replica does not lead, or may not yet. The asking node looks for the leader again. */
  NotLeader: 1,
  /** Surely not executed: a queue is full. */
  Overloaded: 2,
  /** May or may not have been executed in an earlier attempt, and nobody can tell any more. */
  Unknown: 3,
} as const;
export type ForwardStatus = (typeof ForwardStatus)[keyof typeof ForwardStatus];
