import { crc32 } from './crc32.ts';

/**
 * Layout of a log segment: a header page, then writes, each beginning on a page.
 *
 *     segment header   magic, format, salt, sequence, size, checksum
 *     write            checksum, payload length, magic, salt, sequence, write number, payload, zeros up to the page
 *
 * Each write starts on a page of its own, so that a torn one can't damage bytes of the one before it, and so that writing it needs no
 * read of what the page held. A write belongs to a segment only if it names the segment's sequence number and salt: bytes left by an
 * earlier use of the file don't, and neither does anything a client could have planted in a value, because the salt is random
 * and never leaves the file. Write numbers count on over segments without a gap, so a write that is missing is noticed wherever it was.
 */
export const PAGE_BYTES = 4096;
export const WRITE_HEADER_BYTES = 32;
/** Of the segment header. A release reads what the one before it wrote, and refuses what a later one wrote. */
export const LOG_FORMAT_VERSION = 1;

const SEGMENT_MAGIC = 0x4c_48_41_4b; // "KAHL"
const SEGMENT_HEADER_BYTES = 40;
const WRITE_MAGIC = 0x57_48_41_4b; // "KAHW"

/** What the writes of one use of a file are recognised by. */
export interface SegmentIdentity {
  readonly sequence: number;
  /** uint32. */
  readonly salt: number;
}

/** The disk holds something that was never written there; the node must not start on it. */
export class LogCorruptionError extends Error {
  override name = 'LogCorruptionError';
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, what: string) {
    super(`log corrupted: ${what} in ${file} at offset ${offset}`);
    this.file = file;
    this.offset = offset;
  }
}

export function roundUpToPage(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** The first page of a segment. */
export function encodeSegmentHeader({ sequence, salt }: SegmentIdentity, segmentBytes: number): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  const view = new DataView(page.buffer);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint32(4, LOG_FORMAT_VERSION, true);
  view.setUint32(8, salt, true);
  view.setFloat64(16, sequence, true);
  view.setFloat64(24, segmentBytes, true);
  view.setUint32(SEGMENT_HEADER_BYTES - 4, crc32(page.subarray(0, SEGMENT_HEADER_BYTES - 4)), true);
  return page;
}

/** Throws {@link LogCorruptionError}, or an error that says the format is newer. */
export function decodeSegmentHeader(file: string, page: Uint8Array): SegmentIdentity {
  if (page.length < PAGE_BYTES) throw new LogCorruptionError(file, 0, 'segment shorter than its header');
  const view = new DataView(page.buffer, page.byteOffset, PAGE_BYTES);
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) throw new LogCorruptionError(file, 0, 'no segment header');
  if (view.getUint32(SEGMENT_HEADER_BYTES - 4, true) !== crc32(page.subarray(0, SEGMENT_HEADER_BYTES - 4))) {
    throw new LogCorruptionError(file, 0, 'segment header fails its checksum');
  }
  const version = view.getUint32(4, true);
  if (version > LOG_FORMAT_VERSION) {
    throw new Error(`${file} has log format ${version}, written by a newer release; this one reads up to ${LOG_FORMAT_VERSION}`);
  }
  return { sequence: view.getFloat64(16, true), salt: view.getUint32(8, true) };
}

/** Fills in everything but the checksum, which the writing thread computes: see {@link sealWrite}. */
export function encodeWriteHeader(view: DataView, segment: SegmentIdentity, writeNumber: number, payloadBytes: number): void {
  view.setUint32(4, payloadBytes, true);
  view.setUint32(8, WRITE_MAGIC, true);
  view.setUint32(12, segment.salt, true);
  view.setFloat64(16, segment.sequence, true);
  view.setFloat64(24, writeNumber, true);
}

/** Puts the checksum in front of a write whose header and payload are complete. */
export function sealWrite(write: Uint8Array, view: DataView): void {
  const end = WRITE_HEADER_BYTES + view.getUint32(4, true);
  view.setUint32(0, crc32(write.subarray(4, end)), true);
}

/** `foreign`: no write of this segment begins here. `bad`: one began here, but its bytes are not what was written. */
export type ReadWrite =
  | { readonly kind: 'foreign' | 'bad' }
  | { readonly kind: 'valid'; readonly writeNumber: number; readonly payload: Uint8Array; readonly nextOffset: number };

export function readWrite(buffer: Uint8Array, view: DataView, offset: number, segment: SegmentIdentity): ReadWrite {
  if (offset + WRITE_HEADER_BYTES > buffer.length) return { kind: 'foreign' };
  if (
    view.getUint32(offset + 8, true) !== WRITE_MAGIC ||
    view.getUint32(offset + 12, true) !== segment.salt ||
    view.getFloat64(offset + 16, true) !== segment.sequence
  ) {
    return { kind: 'foreign' };
  }
  const end = offset + WRITE_HEADER_BYTES + view.getUint32(offset + 4, true);
  if (end > buffer.length || view.getUint32(offset, true) !== crc32(buffer.subarray(offset + 4, end))) return { kind: 'bad' };
  return {
    kind: 'valid',
    writeNumber: view.getFloat64(offset + 24, true),
    payload: buffer.subarray(offset + WRITE_HEADER_BYTES, end),
    nextOffset: roundUpToPage(end),
  };
}
