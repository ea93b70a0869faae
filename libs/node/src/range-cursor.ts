import { ByteReader, ByteWriter, DecodeError, type Hlc } from '@kahuna/base';
import { Durability } from '@kahuna/partition';
import { xxHash32 } from '@kahuna/range-router';
import { readTime, writeTime } from './scan-frames.ts';

/**
 * Where a range walk goes on (keyvalues §13): everything that the next page needs, so that any node can serve it, also after a
 * restart. A checksum in front tells a damaged or invented cursor from ours.
 */
export interface RangeCursor {
  readonly prefix: string;
  readonly durability: Durability;
  /** Time that every page of the walk shows. */
  readonly readTimestamp: Hlc;
  /** The walk began without a read timestamp. */
  readonly plain: boolean;
  readonly lastKey: string;
}

const VERSION = 1;
const CHECKSUM_BYTES = 4;
const SEED = 0x6b61_6875;
/** Far more than any key makes. */
const MAX_TEXT = 1 << 20;

export function encodeCursor(cursor: RangeCursor): string {
  const writer = new ByteWriter(256 + 3 * (cursor.prefix.length + cursor.lastKey.length));
  writer.u32(0);
  writer.u8(VERSION);
  writer.u8((cursor.durability === Durability.Persistent ? 1 : 0) | (cursor.plain ? 2 : 0));
  writeTime(writer, cursor.readTimestamp);
  writer.string(cursor.prefix);
  writer.string(cursor.lastKey);
  const bytes = writer.finish();
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, checksum(bytes), true);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

/** undefined: not a cursor of ours. */
export function decodeCursor(text: string): RangeCursor | undefined {
  if (text.length > MAX_TEXT || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (bytes.length <= CHECKSUM_BYTES) return undefined;
  const reader = new ByteReader(bytes);
  if (reader.u32() !== checksum(bytes)) return undefined;
  try {
    if (reader.u8() !== VERSION) return undefined;
    const flags = reader.u8();
    const readTimestamp = readTime(reader);
    const prefix = reader.string();
    const lastKey = reader.string();
    const durability = (flags & 1) === 1 ? Durability.Persistent : Durability.Ephemeral;
    return { prefix, durability, readTimestamp, plain: (flags & 2) !== 0, lastKey };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function checksum(bytes: Uint8Array): number {
  return xxHash32(bytes.subarray(CHECKSUM_BYTES), bytes.length - CHECKSUM_BYTES, SEED);
}
