import { assert, DecodeError } from '@kahuna/base';
import type { OperationResult } from '@kahuna/partition';
import { GrpcClientBatchType as BatchType } from './generated/keyvalues.ts';
import {
  decodeDelete,
  decodeExtend,
  decodeGet,
  decodeMutationResponse,
  decodeReadResponse,
  decodeSet,
  Identity,
  type ReceivedResult,
  type RequestExtras,
  writeDeleteRequest,
  writeExistsResponse,
  writeExtendRequest,
  writeGetRequest,
  writeGetResponse,
  writeMutationResponse,
  writeSetRequest,
} from './key-value-codec.ts';
import type { LockKind } from './lock-codec.ts';
import { ProtoReader } from './proto-reader.ts';
import type { RequestedOperation } from './requested.ts';
import { ReverseWriter } from './reverse-writer.ts';

/**
 * The client batch stream (grpc §8): envelopes `{Type, RequestId, one payload}`, and frames of many of them. This is the path
 * that nearly all traffic takes, so requests are decoded straight into operations and results encoded straight into the frame.
 */

/** At most so many envelopes in one frame (grpc §8.3). */
export const MAX_FRAME_ITEMS = 256;
/** At most so many bytes in one frame, serialised (grpc §8.3). */
export const MAX_FRAME_BYTES = 1_048_576;
/** A frame of more is not read at all: those beyond {@link MAX_FRAME_ITEMS} are answered one by one, in one turn. */
const MAX_READ_ITEMS = 64 * MAX_FRAME_ITEMS;
/** A larger message on a batch stream kills the official client's stream (grpc §8.5). Bytes, envelope included. */
export const MAX_BATCH_MESSAGE_BYTES = 4_194_304;

/** What the length prefix of a frame, of its items and their envelope can add to a payload. Bytes. */
const ENVELOPE_OVERHEAD_BYTES = 64;

/** What the envelopes of one of the two batch streams look like. */
export interface EnvelopeLayout {
  /** Number of the oneof member by type: not in the order of the types (grpc §5.9, §5.11). */
  readonly members: readonly number[];
  readonly lastMember: number;
  /** Type of a frame; undefined on a stream without frames, where no number that a client sends makes one. */
  readonly frameType: number | undefined;
}

export const KEY_VALUE_ENVELOPES: EnvelopeLayout = {
  members: [0, 3, 4, 7, 6, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
  lastMember: 17,
  frameType: BatchType.CLIENT_BATCH_FRAME,
};
export const LOCK_ENVELOPES: EnvelopeLayout = { members: [0, 3, 5, 4, 6], lastMember: 6, frameType: undefined };

const FIRST_MEMBER = 3;
const DELIMITED = 2;

export type OneKeyType =
  | typeof BatchType.TRY_SET_KEY_VALUE
  | typeof BatchType.TRY_EXTEND_KEY_VALUE
  | typeof BatchType.TRY_DELETE_KEY_VALUE
  | typeof BatchType.TRY_GET_KEY_VALUE
  | typeof BatchType.TRY_EXISTS_KEY_VALUE;

/** Batch types whose payload is one operation on one key. */
export function isOneKeyType(type: number): type is OneKeyType {
  return (
    type >= BatchType.TRY_SET_KEY_VALUE && type <= BatchType.TRY_EXISTS_KEY_VALUE && type !== BatchType.TRY_SET_MANY_KEY_VALUE
  );
}

/** A type that a single envelope may have: declared, and neither NONE nor a frame. */
export function isRequestType(type: number): boolean {
  return type > BatchType.TYPE_NONE && type < BatchType.CLIENT_BATCH_FRAME;
}

const TYPE_OF_KIND = {
  set: BatchType.TRY_SET_KEY_VALUE,
  extend: BatchType.TRY_EXTEND_KEY_VALUE,
  delete: BatchType.TRY_DELETE_KEY_VALUE,
  get: BatchType.TRY_GET_KEY_VALUE,
  exists: BatchType.TRY_EXISTS_KEY_VALUE,
} as const satisfies Record<RequestedOperation['kind'], OneKeyType>;

export function batchTypeOf(kind: RequestedOperation['kind']): OneKeyType {
  return TYPE_OF_KIND[kind];
}

// ---- envelopes, either direction -------------------------------------------------------------------------------------------

/**
 * A cursor over the envelopes of one message of the stream: the one it is, or those of the frame it is. After `next()` the
 * fields describe the envelope at hand. Throws {@link DecodeError} where the bytes are no envelope; a payload that does not
 * decode is noticed only by who reads it.
 */
export class EnvelopeReader {
  type = 0;
  requestId = 0;
  /** Bounds of the payload, if the payload member is the one that belongs to `type`. */
  payloadStart = 0;
  payloadEnd = 0;
  hasPayload = false;
  /** The message is a frame. Its envelopes follow; a frame in a frame is handed out as an envelope of that type. */
  isFrame = false;
  /** Envelopes handed out so far. */
  count = 0;

  private bytes: Uint8Array = new Uint8Array(0);
  private readonly frame = new ProtoReader();
  private readonly reader = new ProtoReader();
  private readonly layout: EnvelopeLayout;
  private single = false;

  constructor(layout = KEY_VALUE_ENVELOPES) {
    this.layout = layout;
  }

  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.count = 0;
    this.readEnvelope(0, bytes.length);
    this.isFrame = this.type === this.layout.frameType;
    this.single = !this.isFrame;
    if (this.isFrame && this.hasPayload) this.frame.reset(bytes, this.payloadStart, this.payloadEnd);
    else this.frame.reset(bytes, 0, 0);
  }

  /** Moves to the next envelope; false at the end. */
  next(): boolean {
    if (this.single) {
      this.single = false;
      this.count = 1;
      return true;
    }
    while (this.frame.more) {
      const tag = this.frame.tag();
      if (tag !== ((1 << 3) | DELIMITED)) {
        this.frame.skip(tag);
        continue;
      }
      const length = this.frame.length();
      this.readEnvelope(this.frame.at, this.frame.at + length);
      this.frame.at += length;
      this.count += 1;
      if (this.count > MAX_READ_ITEMS) throw new DecodeError('a frame of far too many envelopes');
      return true;
    }
    return false;
  }

  private readEnvelope(start: number, end: number): void {
    const { reader } = this;
    const { members, lastMember } = this.layout;
    reader.reset(this.bytes, start, end);
    this.type = 0;
    this.requestId = 0;
    let member = 0;
    while (reader.more) {
      const tag = reader.tag();
      const field = tag >>> 3;
      if (tag === 8) this.type = reader.int32();
      else if (tag === 16) this.requestId = reader.int32();
      else if (field >= FIRST_MEMBER && field <= lastMember && (tag & 7) === DELIMITED) {
        const length = reader.length();
        member = field;
        this.payloadStart = reader.at;
        this.payloadEnd = reader.at + length;
        reader.at += length;
      } else reader.skip(tag);
    }
    this.hasPayload = member !== 0 && member === members[this.type];
  }
}

/** Puts type, request id and payload member around what was written since `start`. */
function wrapEnvelope(writer: ReverseWriter, layout: EnvelopeLayout, start: number, type: number, requestId: number): void {
  const member = layout.members[type];
  assert(member !== undefined && member !== 0, 'a payload belongs to a declared type');
  writer.uint32(writer.mark - start);
  writer.uint32((member << 3) | DELIMITED);
  writeEnvelopeHead(writer, type, requestId);
}

function writeEnvelopeHead(writer: ReverseWriter, type: number, requestId: number): void {
  if (requestId !== 0) {
    writer.int64(requestId);
    writer.u8(16);
  }
  if (type !== 0) {
    writer.u8(type);
    writer.u8(8);
  }
}

/**
 * Collects envelopes into messages of the stream: one message each, or after `allowFrames` frames of up to
 * {@link MAX_FRAME_ITEMS} and {@link MAX_FRAME_BYTES}. A frame of one envelope is sent as that envelope (grpc §8.3).
 *
 * The messages are views of the writer's slab: valid until `clear`.
 */
export class EnvelopeFrames {
  private framing = false;
  private readonly maxMessageBytes: number;
  private readonly layout: EnvelopeLayout;
  private readonly writer: ReverseWriter;
  private readonly messages: Uint8Array[] = [];
  /** Writer's mark at which the message in the making began, and after its first envelope without the item header. */
  private messageMark = 0;
  private firstEnvelope: Uint8Array | undefined;
  private items = 0;

  /** `maxMessageBytes`: no envelope may be larger. */
  constructor(maxMessageBytes: number, layout = KEY_VALUE_ENVELOPES, writer = new ReverseWriter()) {
    this.maxMessageBytes = maxMessageBytes;
    this.layout = layout;
    this.writer = writer;
  }

  /** The other side has shown that it takes frames. What was begun without stays without. */
  allowFrames(): void {
    assert(this.layout.frameType !== undefined, 'the stream has frames');
    if (this.framing) return;
    if (this.items > 0) this.seal();
    this.framing = true;
  }

  get isEmpty(): boolean {
    return this.items === 0 && this.messages.length === 0;
  }

  /** Begins an envelope whose payload is not expected to pass `payloadBytes`; returns the writer to write the payload with. */
  begin(payloadBytes: number): ReverseWriter {
    const size = this.writer.mark - this.messageMark + payloadBytes + ENVELOPE_OVERHEAD_BYTES;
    if (this.items > 0 && (size > MAX_FRAME_BYTES || this.items === MAX_FRAME_ITEMS || !this.framing)) this.seal();
    return this.writer;
  }

  /** The payload written since `start` becomes an envelope; false if that is too large a message: then it is dropped. */
  end(start: number, type: number, requestId: number): boolean {
    const writer = this.writer;
    wrapEnvelope(writer, this.layout, start, type, requestId);
    if (writer.mark - start > this.maxMessageBytes) {
      writer.rewind(start);
      return false;
    }
    this.addItem(start);
    return true;
  }

  /** An envelope without payload. */
  addBare(type: number, requestId: number): void {
    const writer = this.begin(0);
    const start = writer.mark;
    writeEnvelopeHead(writer, type, requestId);
    this.addItem(start);
  }

  private addItem(start: number): void {
    const writer = this.writer;
    this.items += 1;
    if (this.items === 1) this.firstEnvelope = writer.since(start);
    if (!this.framing) return;
    writer.uint32(writer.mark - start);
    writer.u8((1 << 3) | DELIMITED);
  }

  /** Closes the message in the making. */
  private seal(): void {
    const writer = this.writer;
    if (this.items === 1) this.messages.push(this.firstEnvelope as Uint8Array);
    else {
      const { frameType } = this.layout;
      assert(frameType !== undefined, 'only a stream with frames collects several envelopes');
      wrapEnvelope(writer, this.layout, this.messageMark, frameType, 0);
      this.messages.push(writer.since(this.messageMark));
    }
    this.items = 0;
    this.firstEnvelope = undefined;
    this.messageMark = writer.mark;
  }

  /** All messages so far, ready to be sent. */
  take(): readonly Uint8Array[] {
    if (this.items > 0) this.seal();
    return this.messages;
  }

  /** The messages are sent: slab and object may be used again, by whoever; frames must be allowed anew. */
  clear(): void {
    this.framing = false;
    this.messages.length = 0;
    this.items = 0;
    this.firstEnvelope = undefined;
    this.writer.clear();
    this.messageMark = 0;
  }
}

// ---- locks -----------------------------------------------------------------------------------------------------------------

const LOCK_KINDS: readonly (LockKind | undefined)[] = [undefined, 'lock-acquire', 'lock-extend', 'lock-release', 'lock-info'];

/** What an envelope of the lock stream asks for; undefined where its type says nothing. */
export function lockKindOf(type: number): LockKind | undefined {
  return LOCK_KINDS[type];
}

export function lockBatchType(kind: LockKind): number {
  return LOCK_KINDS.indexOf(kind);
}

// ---- server side -----------------------------------------------------------------------------------------------------------

/** Decodes one-key payloads. `extras` holds what came with the operation decoded last. */
export class OperationDecoder {
  readonly extras: RequestExtras = { identity: Identity.None, exactRevision: undefined };
  private readonly reader = new ProtoReader();

  /** Throws {@link DecodeError} where [start, end) of `bytes` is not a message of that type. */
  decode(type: OneKeyType, bytes: Uint8Array, start: number, end: number): RequestedOperation {
    this.reader.reset(bytes, start, end);
    this.extras.exactRevision = undefined;
    switch (type) {
      case BatchType.TRY_SET_KEY_VALUE:
        return decodeSet(this.reader, this.extras);
      case BatchType.TRY_GET_KEY_VALUE:
        return decodeGet(this.reader, 'get', this.extras);
      case BatchType.TRY_EXISTS_KEY_VALUE:
        return decodeGet(this.reader, 'exists', this.extras);
      case BatchType.TRY_DELETE_KEY_VALUE:
        return decodeDelete(this.reader, this.extras);
      case BatchType.TRY_EXTEND_KEY_VALUE:
        return decodeExtend(this.reader, this.extras);
    }
  }
}

/** Writes the response message that belongs to a one-key request type. */
export function writeOperationResponse(
  writer: ReverseWriter,
  type: OneKeyType,
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
  exactRevision: bigint | undefined,
): void {
  switch (type) {
    case BatchType.TRY_GET_KEY_VALUE:
      writeGetResponse(writer, result, elapsedMs, hint, exactRevision);
      break;
    case BatchType.TRY_EXISTS_KEY_VALUE:
      writeExistsResponse(writer, result, elapsedMs, hint, exactRevision);
      break;
    default:
      writeMutationResponse(writer, result, elapsedMs, hint);
  }
}

/** Bytes of a response beyond its value and its hint, at most: every field at its longest. */
const RESPONSE_FIELDS_BYTES = 128;

/** Adds the answer of a one-key request; false if it is too large for the stream and nothing was added. */
export function addOperationResponse(
  frames: EnvelopeFrames,
  type: OneKeyType,
  requestId: number,
  result: OperationResult,
  elapsedMs: number,
  hint: Uint8Array | undefined,
  exactRevision: bigint | undefined,
): boolean {
  const valueBytes = result.value === null ? 0 : result.value.length;
  const hintBytes = hint === undefined ? 0 : hint.length;
  const writer = frames.begin(valueBytes + hintBytes + RESPONSE_FIELDS_BYTES);
  const start = writer.mark;
  writeOperationResponse(writer, type, result, elapsedMs, hint, exactRevision);
  return frames.end(start, type, requestId);
}

/** Adds an envelope whose payload is encoded already; false if it is too large for the stream and nothing was added. */
export function addEncoded(frames: EnvelopeFrames, type: number, requestId: number, payload: Uint8Array): boolean {
  const writer = frames.begin(payload.length);
  const start = writer.mark;
  writer.raw(payload);
  return frames.end(start, type, requestId);
}

// ---- client side -----------------------------------------------------------------------------------------------------------

/** Bytes of a request beyond its key and its values, at most. */
const REQUEST_FIELDS_BYTES = 96;
const MAX_UTF8_BYTES_PER_UNIT = 3;

/** Adds a one-key request; false if it is larger than the frames allow. */
export function addOperationRequest(frames: EnvelopeFrames, requestId: number, operation: RequestedOperation): boolean {
  const valueBytes = operation.kind === 'set' ? (operation.value?.length ?? 0) + (operation.compareValue?.length ?? 0) : 0;
  const writer = frames.begin(operation.key.length * MAX_UTF8_BYTES_PER_UNIT + valueBytes + REQUEST_FIELDS_BYTES);
  const start = writer.mark;
  switch (operation.kind) {
    case 'set':
      writeSetRequest(writer, operation);
      break;
    case 'extend':
      writeExtendRequest(writer, operation);
      break;
    case 'delete':
      writeDeleteRequest(writer, operation);
      break;
    case 'get':
    case 'exists':
      writeGetRequest(writer, operation);
      break;
  }
  return frames.end(start, TYPE_OF_KIND[operation.kind], requestId);
}

/** Decodes the payloads of one-key responses. */
export class ResponseDecoder {
  private readonly reader = new ProtoReader();

  decode(type: OneKeyType, bytes: Uint8Array, start: number, end: number): ReceivedResult {
    this.reader.reset(bytes, start, end);
    switch (type) {
      case BatchType.TRY_GET_KEY_VALUE:
        return decodeReadResponse(this.reader, 'get');
      case BatchType.TRY_EXISTS_KEY_VALUE:
        return decodeReadResponse(this.reader, 'exists');
      default:
        return decodeMutationResponse(this.reader);
    }
  }
}
