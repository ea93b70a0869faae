import type { Hlc } from '@kahuna/base';
import { Durability } from '@kahuna/partition';

/**
 * Where a range walk goes on (keyvalues §13): everything that the next page needs, so that any node can serve it, also after a
 * restart.
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
/** Version, two lengths, durability, time. */
const FIXED_BYTES = 1 + 4 + 4 + 1 + 4 + 8 + 4;
/** Far more than any key makes. */
const MAX_TEXT = 1 << 20;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * base64url, without padding, of the layout of routing §8:
 *
 *     0x01 · length, last key · length, prefix · durability · time: node i32, physical i64, counter u32      (little endian)
 *
 * A time of a server's clock has its node, one that a client made has none (grpc §4.1), which tells the two kinds of walks apart. A
 * client may hand in a server's time too: only then one byte follows, 0, and says that the time was given.
 */
export function encodeCursor({ prefix, durability, readTimestamp, plain, lastKey }: RangeCursor): string {
  const texts = [Buffer.from(lastKey), Buffer.from(prefix)];
  const wasGiven = !plain && readTimestamp.n !== 0;
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + texts.reduce((sum, text) => sum + text.length, 0) + (wasGiven ? 1 : 0));
  let at = bytes.writeUInt8(VERSION, 0);
  for (const text of texts) {
    at = bytes.writeInt32LE(text.length, at);
    at += text.copy(bytes, at);
  }
  at = bytes.writeUInt8(durability === Durability.Persistent ? 1 : 0, at);
  at = bytes.writeInt32LE(readTimestamp.n, at);
  at = bytes.writeBigInt64LE(BigInt(readTimestamp.l), at);
  at = bytes.writeUInt32LE(readTimestamp.c, at);
  if (wasGiven) bytes.writeUInt8(0, at);
  return bytes.toString('base64url');
}

/** undefined: not a cursor of ours. */
export function decodeCursor(text: string): RangeCursor | undefined {
  if (text.length > MAX_TEXT || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION) return undefined;
  const lastKey = textAt(bytes, 1);
  const prefix = lastKey === undefined ? undefined : textAt(bytes, lastKey.end);
  if (lastKey === undefined || prefix === undefined) return undefined;
  const at = prefix.end;
  const left = bytes.length - at - (FIXED_BYTES - 9);
  const persistent = bytes[at];
  if ((left !== 0 && (left !== 1 || bytes.at(-1) !== 0)) || persistent === undefined || persistent > 1) return undefined;
  const l = Number(bytes.readBigInt64LE(at + 5));
  const readTimestamp = { n: bytes.readInt32LE(at + 1), l, c: bytes.readUInt32LE(at + 13) };
  if (!Number.isSafeInteger(l) || l <= 0) return undefined;
  const durability = persistent === 1 ? Durability.Persistent : Durability.Ephemeral;
  const plain = left === 0 && readTimestamp.n !== 0;
  return { prefix: prefix.text, durability, readTimestamp, plain, lastKey: lastKey.text };
}

function textAt(bytes: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  if (at + 4 > bytes.length) return undefined;
  const end = at + 4 + bytes.readInt32LE(at);
  if (end < at + 4 || end > bytes.length) return undefined;
  try {
    return { text: utf8.decode(bytes.subarray(at + 4, end)), end };
  } catch {
    return undefined; // not UTF-8, so none of ours
  }
}
