import type { ByteReader, ByteWriter } from '@kahuna/base';
import type { EngineRange, ScanOptions, ScanPage } from '@kahuna/node';

/**
 * Requests to an engine's thread and its answers. Each message is one transferred ArrayBuffer that holds all requests of an event-loop
 * turn (posting objects costs ten times as much); answers come in the order of the requests, so neither carries a number. Only a batch to
 * write is a message of its own, {@link BatchMessage}.
 */
export const EngineCall = {
  GetMany: 1,
  DeleteRange: 3,
  Scan: 4,
  Snapshot: 5,
  SnapshotGetMany: 6,
  SnapshotScan: 7,
  SnapshotClose: 8,
  Sync: 9,
  Close: 10,
} as const;

/** The memory of a batch of rows goes to the engine's thread, and comes back with the answer: a flush of a megabyte is not copied. */
export interface BatchMessage {
  readonly memory: ArrayBuffer;
  readonly from: number;
  readonly to: number;
}

export interface BatchAnswer {
  readonly memory: ArrayBuffer;
  readonly answer: ArrayBuffer;
}

export const AnswerStatus = { Done: 0, Failed: 1 } as const;

/** The bytes of a writer's message in a buffer of their own, fit to be transferred. */
export function takeMessage(out: ByteWriter): ArrayBuffer {
  const message = new Uint8Array(out.written()).buffer;
  out.clear();
  return message;
}

export function encodeKeys(out: ByteWriter, keys: readonly Uint8Array[]): void {
  out.varint(keys.length);
  for (const key of keys) out.bytes(key);
}

export function decodeKeys(input: ByteReader): Uint8Array[] {
  return Array.from({ length: input.varint() }, () => input.bytes());
}

export function encodeValues(out: ByteWriter, values: readonly (Uint8Array | undefined)[]): void {
  out.varint(values.length);
  for (const value of values) encodeValue(out, value);
}

export function decodeValues(input: ByteReader): (Uint8Array | undefined)[] {
  return Array.from({ length: input.varint() }, () => decodeValue(input));
}

function encodeValue(out: ByteWriter, value: Uint8Array | undefined): void {
  out.varint(value === undefined ? 0 : value.length + 1);
  if (value !== undefined) out.raw(value);
}

function decodeValue(input: ByteReader): Uint8Array | undefined {
  const length = input.varint();
  return length === 0 ? undefined : input.raw(length - 1);
}

export function encodeRange(out: ByteWriter, range: EngineRange): void {
  out.bytes(range.from);
  out.bytes(range.to);
}

export function decodeRange(input: ByteReader): EngineRange {
  return { from: input.bytes(), to: input.bytes() };
}

export function encodeScan(out: ByteWriter, options: ScanOptions): void {
  encodeRange(out, options);
  out.u8(options.reverse ? 1 : 0);
  out.varint(Math.min(options.maxRows, Number.MAX_SAFE_INTEGER));
  out.varint(Math.min(options.maxBytes, Number.MAX_SAFE_INTEGER));
}

export function decodeScan(input: ByteReader): ScanOptions {
  return { ...decodeRange(input), reverse: input.u8() === 1, maxRows: input.varint(), maxBytes: input.varint() };
}

export function encodePage(out: ByteWriter, page: ScanPage): void {
  out.u8(page.more ? 1 : 0);
  out.varint(page.rows.length);
  for (const { key, value } of page.rows) {
    out.bytes(key);
    out.bytes(value);
  }
}

export function decodePage(input: ByteReader): ScanPage {
  const more = input.u8() === 1;
  return { rows: Array.from({ length: input.varint() }, () => ({ key: input.bytes(), value: input.bytes() })), more };
}
