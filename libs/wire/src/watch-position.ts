import { ByteReader, ByteWriter, DecodeError } from '@kahuna/base';
import type { Place } from '@kahuna/partition';
import { GrpcWatchRequest } from './generated/watch.ts';

/**
 * Where a watch has arrived: a text that clients keep and give back (docs/decisions/0006-watch.md).
 *
 *     base64url( version u8 · hash of the target u32 · partitions · { partition · stamp · key of an expiry } )
 */
const VERSION = 1;

export type WatchTarget = NonNullable<GrpcWatchRequest['Target']>;
export type WatchPlace = Place;
export type WatchPlaces = ReadonlyMap<number, Place>;

export function encodePosition(target: WatchTarget, places: WatchPlaces): string {
  const writer = new ByteWriter(64 + 32 * places.size);
  writer.u8(VERSION);
  writer.varint(hashOf(target));
  writer.varint(places.size);
  for (const [partition, { stamp, key }] of places) {
    writer.varint(partition);
    writer.svarint(stamp.n);
    writer.svarint(stamp.l);
    writer.varint(stamp.c);
    writer.string(key);
  }
  const binary = Array.from(writer.finish(), byte => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Throws {@link DecodeError} for what is no position, or one of another target. */
export function decodePosition(target: WatchTarget, text: string): WatchPlaces {
  const reader = new ByteReader(bytesOf(text));
  if (reader.u8() !== VERSION) throw new DecodeError('a position of another version');
  if (reader.varint() !== hashOf(target)) throw new DecodeError('a position of another watch');
  const count = reader.varint();
  if (count > reader.remaining) throw new DecodeError('more places than bytes');
  const places = new Map<number, Place>();
  for (let i = 0; i < count; i++) {
    const partition = reader.varint();
    const n = reader.svarint();
    const l = reader.svarint();
    const c = reader.varint();
    places.set(partition, { stamp: { n, l, c }, key: reader.string() });
  }
  if (reader.remaining > 0) throw new DecodeError('bytes behind a position');
  return places;
}

function bytesOf(text: string): Uint8Array {
  if (!/^[\w-]*$/.test(text)) throw new DecodeError('not a position');
  let binary: string;
  try {
    binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  } catch (error) {
    throw new DecodeError(`not a position: ${String(error)}`);
  }
  return Uint8Array.from(binary, unit => unit.charCodeAt(0));
}

/** FNV-1a, 32 bits: tells one target from another by mistake, not by malice. */
function hashOf(target: WatchTarget): number {
  const bytes = GrpcWatchRequest.encode({ Target: target, ProgressMs: 0, Durability: 0 }).finish();
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
