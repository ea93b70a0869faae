import { assert, ByteWriter, DecodeError, type PartitionId } from '@kahuna/base';
import { leafStart } from '@kahuna/range-router';
import type { StoredKey } from './rows.ts';

/**
 * Keys of the rows in the engine.
 *
 *     group row   family u8 · partition id u32
 *     head        family u8 · bucket u32 · space 00 01 · leaf 00 01
 *     history     family u8 · bucket u32 · space 00 01 · leaf 00 01 · revision u64
 *     lock        family u8 · bucket u32 · name 00 01
 *     sequence    family u8 · bucket u32 · name 00 01
 *
 * Integers are big-endian, so that bytes sort as numbers. Texts are CESU-8 (every UTF-16 unit encoded alone: its byte order is
 * UTF-16 order, and ASCII stays one byte), a zero byte escaped as 00 FF, ended by 00 01: what ends sorts before what goes on.
 * A key space is therefore one interval, whole and in ordinal order, and nothing in the key of data names a partition: neither a
 * split nor a promotion of a key space to range routing moves a byte. The leaf keeps its leading '/': the key `fleet` (leaf '')
 * and the key `fleet/` (leaf '/') share the space `fleet`.
 */
export const Family = {
  /** One row per partition: applied index, stamp, checksum, members. */
  Group: 0x01,
  Heads: 0x10,
  History: 0x11,
  Intents: 0x12,
  Locks: 0x13,
  Sequences: 0x14,
  Staging: 0x15,
} as const;
export type Family = (typeof Family)[keyof typeof Family];

/** Families of {@link nameKey}. */
export type NameFamily = typeof Family.Locks | typeof Family.Sequences;

/** Families whose rows lie under a hash bucket. */
export const BUCKET_FAMILIES: readonly Family[] = [
  Family.Heads,
  Family.History,
  Family.Intents,
  Family.Locks,
  Family.Sequences,
  Family.Staging,
];

const PREFIX_BYTES = 5;
const REVISION_BYTES = 8;
const ESCAPED_ZERO = 0xff;
const END = 0x01;
const END_BYTES = 2;
/** No encoded text goes on with this byte, but for the escape of a zero, which is complete with it. */
const ABOVE_TEXT = 0xff;

export interface Interval {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** Key of a partition's group row; the host reads it at start to create the machine. */
export function metaRowKey(partitionId: PartitionId): StoredKey {
  return prefix(Family.Group, partitionId);
}

/** Everything of one family under one number (bucket, or partition for group rows). */
export function familyInterval(family: Family, number: number): Interval {
  return { from: prefix(family, number), to: prefix(family, number + 1) };
}

function prefix(family: Family, number: number): Uint8Array {
  const key = new Uint8Array(PREFIX_BYTES);
  key[0] = family;
  new DataView(key.buffer).setUint32(1, number);
  return key;
}

/** All rows of one family and key space: heads of the space in ordinal order. */
export function spaceInterval(family: Family, bucket: number, keySpace: string): Interval {
  const writer = new ByteWriter(64 + keySpace.length * 3);
  writePrefix(writer, family, bucket);
  writeText(writer, keySpace);
  const from = writer.finish();
  const to = from.slice();
  // Only 00 01 ends this text; 00 FF, a longer space, lies beyond 00 02.
  to[to.length - 1] = END + 1;
  return { from, to };
}

/** One end of a range: a whole key, whose leaf may hold further '/' (it then only marks a place between leaves). */
export interface KeyBound {
  readonly key: string;
  readonly inclusive: boolean;
}

/**
 * Heads of the keys `space/…` that lie between the bounds, in ordinal order; undefined if nothing can. A key that is its own key
 * space has no leaf and is left out: it is in no bucket (keyvalues §3.1). Bounds outside the space only narrow.
 */
export function bucketInterval(
  bucket: number,
  keySpace: string,
  lower: KeyBound | undefined,
  upper: KeyBound | undefined,
): Interval | undefined {
  const first = `${keySpace}/`;
  let { to } = spaceInterval(Family.Heads, bucket, keySpace);
  let from = placeInSpace(bucket, keySpace, '/', false);
  if (lower !== undefined) {
    if (lower.key.startsWith(first)) {
      from = placeInSpace(bucket, keySpace, lower.key.slice(keySpace.length), true);
      if (!lower.inclusive) from = successor(from);
    } else if (lower.key > first) return undefined;
  }
  if (upper !== undefined) {
    if (upper.key.startsWith(first)) {
      to = placeInSpace(bucket, keySpace, upper.key.slice(keySpace.length), true);
      if (upper.inclusive) to = successor(to);
    } else if (upper.key < first) return undefined;
  }
  return compareBytes(from, to) < 0 ? { from, to } : undefined;
}

/**
 * Heads of all keys that begin with `prefix`: those of the space that the prefix reaches into, then those of the spaces whose
 * names begin with it. Each space is in ordinal order; over all of them the order is by space first.
 */
export function prefixIntervals(bucket: number, prefix: string): Interval[] {
  const intervals: Interval[] = [];
  const cut = prefix.lastIndexOf('/');
  if (cut >= 0) intervals.push(beginningWith(placeInSpace(bucket, prefix.slice(0, cut), prefix.slice(cut), false)));
  intervals.push(spacesBeginningWith(bucket, prefix));
  return intervals;
}

/** Heads of all key spaces whose names begin with this text. */
export function spacesBeginningWith(bucket: number, prefix: string): Interval {
  const writer = new ByteWriter(64 + prefix.length * 3);
  writePrefix(writer, Family.Heads, bucket);
  writeOpenText(writer, prefix);
  return beginningWith(writer.finish());
}

/** The smallest key above this one and all that a key space holds behind it. */
export function behindSpace(bucket: number, keySpace: string): StoredKey {
  return spaceInterval(Family.Heads, bucket, keySpace).to;
}

/** The smallest stored key above this one. */
export function successor(key: StoredKey): StoredKey {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function placeInSpace(bucket: number, keySpace: string, leaf: string, ended: boolean): StoredKey {
  const writer = new ByteWriter(64 + (keySpace.length + leaf.length) * 3);
  writePrefix(writer, Family.Heads, bucket);
  writeText(writer, keySpace);
  if (ended) writeText(writer, leaf);
  else writeOpenText(writer, leaf);
  return writer.finish();
}

/** All byte strings that begin with these bytes (not all of them FF). */
function beginningWith(from: Uint8Array): Interval {
  let length = from.length;
  while (from[length - 1] === 0xff) length--;
  const to = from.slice(0, length);
  to[length - 1] = (to[length - 1] as number) + 1;
  return { from, to };
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function headKey(writer: ByteWriter, bucket: number, key: string): StoredKey {
  writeHeadKey(writer, bucket, key);
  return writer.finish();
}

export function writeHeadKey(writer: ByteWriter, bucket: number, key: string): void {
  writeKeyPart(writer, Family.Heads, bucket, key);
}

export function historyKey(writer: ByteWriter, bucket: number, key: string, revision: number): StoredKey {
  writeHistoryKey(writer, bucket, key, revision);
  return writer.finish();
}

export function writeHistoryKey(writer: ByteWriter, bucket: number, key: string, revision: number): void {
  writeKeyPart(writer, Family.History, bucket, key);
  writeBigEndian(writer, Math.floor(revision / 0x1_0000_0000));
  writeBigEndian(writer, revision >>> 0);
}

/** Row of a lock or a sequence. They are never read by key space, so the name is one text and rows stand in its order. */
export function nameKey(writer: ByteWriter, family: NameFamily, bucket: number, name: string): StoredKey {
  writeNameKey(writer, family, bucket, name);
  return writer.finish();
}

export function writeNameKey(writer: ByteWriter, family: NameFamily, bucket: number, name: string): void {
  writePrefix(writer, family, bucket);
  writeText(writer, name);
}

/** Rows of names that begin with `prefix` and come after `after`, if there is one. Empty (from not below to) if no name can. */
export function nameInterval(family: NameFamily, bucket: number, prefix: string, after: string | undefined): Interval {
  const writer = new ByteWriter(64 + prefix.length * 3);
  const within = nameKey(writer, family, bucket, prefix).slice(0, -END_BYTES);
  const to = prefix === '' ? familyInterval(family, bucket).to : Uint8Array.of(...within, ABOVE_TEXT);
  // No byte string lies between a name's key and that key with a zero behind it.
  const from = after === undefined || after < prefix ? within : Uint8Array.of(...nameKey(writer, family, bucket, after), 0);
  return { from, to };
}

/** The name in a stored key that {@link nameKey} made. Throws {@link DecodeError} for anything else. */
export function nameIn(stored: StoredKey): string {
  const text = { value: '', at: PREFIX_BYTES };
  readText(stored, text);
  if (text.at !== stored.length) throw new DecodeError('bytes after a name');
  return text.value;
}

/** The history rows of one key, ascending by revision. */
export function historyInterval(bucket: number, key: string): Interval {
  const writer = new ByteWriter(64 + key.length * 3);
  const from = historyKey(writer, bucket, key, 0);
  return { from, to: successor(historyKey(writer, bucket, key, Number.MAX_SAFE_INTEGER)) };
}

function writeKeyPart(writer: ByteWriter, family: Family, bucket: number, key: string): void {
  writePrefix(writer, family, bucket);
  const cut = leafStart(key);
  writeText(writer, key, 0, cut);
  writeText(writer, key, cut);
}

function writePrefix(writer: ByteWriter, family: Family, number: number): void {
  writer.u8(family);
  writeBigEndian(writer, number);
}

function writeBigEndian(writer: ByteWriter, value: number): void {
  writer.u8(value >>> 24);
  writer.u8((value >>> 16) & 0xff);
  writer.u8((value >>> 8) & 0xff);
  writer.u8(value & 0xff);
}

function writeText(writer: ByteWriter, text: string, from = 0, to = text.length): void {
  writeOpenText(writer, text, from, to);
  writer.u8(0);
  writer.u8(END);
}

/** Without the end mark: what the encodings of all texts that begin with this one have in common. */
function writeOpenText(writer: ByteWriter, text: string, from = 0, to = text.length): void {
  for (let i = writer.ascii(text, from, to); i < to; i = writer.ascii(text, i + 1, to)) {
    const unit = text.charCodeAt(i);
    if (unit === 0) {
      writer.u8(0);
      writer.u8(ESCAPED_ZERO);
    } else if (unit < 0x800) {
      writer.u8(0xc0 | (unit >> 6));
      writer.u8(0x80 | (unit & 0x3f));
    } else {
      writer.u8(0xe0 | (unit >> 12));
      writer.u8(0x80 | ((unit >> 6) & 0x3f));
      writer.u8(0x80 | (unit & 0x3f));
    }
  }
}

export interface DecodedKey {
  readonly family: number;
  readonly bucket: number;
  readonly key: string;
  /** History rows only, else -1. */
  readonly revision: number;
}

/** The key a head or history row belongs to. Throws {@link DecodeError} for anything else. */
export function decodeStoredKey(stored: StoredKey): DecodedKey {
  const family = stored[0];
  if (family !== Family.Heads && family !== Family.History) throw new DecodeError(`not the row of a key: family ${family}`);
  if (stored.length < PREFIX_BYTES) throw new DecodeError('stored key too short');
  const text = { value: '', at: PREFIX_BYTES };
  readText(stored, text);
  readText(stored, text);
  const bucket =
    ((stored[1] as number) * 0x100 + (stored[2] as number)) * 0x1_0000 + (stored[3] as number) * 0x100 + (stored[4] as number);
  const rest = stored.length - text.at;
  if (family === Family.Heads) {
    if (rest !== 0) throw new DecodeError('bytes after a head key');
    return { family, bucket, key: text.value, revision: -1 };
  }
  if (rest !== REVISION_BYTES) throw new DecodeError('history key without revision');
  return { family, bucket, key: text.value, revision: revisionIn(stored) };
}

/** Revision of a history row's key; -1 for rows of other families. */
export function revisionIn(stored: StoredKey): number {
  if (stored[0] !== Family.History) return -1;
  const at = stored.byteOffset + stored.length - REVISION_BYTES;
  const view = new DataView(stored.buffer, at, REVISION_BYTES);
  const revision = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
  assert(Number.isSafeInteger(revision), 'stored revision is a safe integer');
  return revision;
}

/** Appends one terminated text to `into.value` and moves `into.at` behind it. */
function readText(stored: Uint8Array, into: { value: string; at: number }): void {
  let { value, at } = into;
  for (;;) {
    const byte = stored[at++];
    if (byte === undefined) throw new DecodeError('stored key without end');
    if (byte === 0) {
      const mark = stored[at++];
      if (mark === END) break;
      if (mark !== ESCAPED_ZERO) throw new DecodeError('bad escape in a stored key');
      value += '\0';
    } else if (byte < 0x80) {
      value += String.fromCharCode(byte);
    } else if (byte < 0xe0) {
      value += String.fromCharCode(((byte & 0x1f) << 6) | ((stored[at++] ?? 0) & 0x3f));
    } else {
      const middle = (stored[at++] ?? 0) & 0x3f;
      value += String.fromCharCode(((byte & 0x0f) << 12) | (middle << 6) | ((stored[at++] ?? 0) & 0x3f));
    }
  }
  into.value = value;
  into.at = at;
}
