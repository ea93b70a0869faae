import { ByteReader, ByteWriter, DecodeError, HLC_ZERO, SYSTEM_PARTITION } from '@kahuna/base';
import type { Place } from '@kahuna/partition';
import { GrpcWatchRequest } from './generated/watch.ts';

/**
 * Where a watch has arrived: a text that clients keep and give back (docs/decisions/0006-watch.md).
 *
 *     base64url( version u8 · hash of the target u32 · partitions · { partition · stamp · key of an expiry } )
 *
 * Stamps mean nothing in another cluster, nor in one that was lost and founded anew at the same addresses: the cluster that a position
 * is of stands in it, as the key of a place in P0. No watch has a place there, so releases that know nothing of it pass it over and keep
 * it, and a position that was taken from one of them has none.
 */
const VERSION = 1;

export type WatchTarget = NonNullable<GrpcWatchRequest['Target']>;
export type WatchPlace = Place;
export type WatchPlaces = ReadonlyMap<number, Place>;

export interface WatchPosition {
  /** Id of the cluster; undefined in a position of a release that did not say it. */
  readonly cluster: string | undefined;
  readonly places: WatchPlaces;
}

export function encodePosition(target: WatchTarget, { cluster, places }: WatchPosition): string {
  const writer = new ByteWriter(128 + 32 * places.size);
  writer.u8(VERSION);
  writer.varint(hashOf(target));
  writer.varint(places.size + (cluster === undefined ? 0 : 1));
  if (cluster !== undefined) writePlace(writer, SYSTEM_PARTITION, { stamp: HLC_ZERO, key: cluster });
  for (const [partition, place] of places) writePlace(writer, partition, place);
  const binary = Array.from(writer.finish(), byte => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function writePlace(writer: ByteWriter, partition: number, { stamp, key }: Place): void {
  writer.varint(partition);
  writer.svarint(stamp.n);
  writer.svarint(stamp.l);
  writer.varint(stamp.c);
  writer.string(key);
}

/** Throws {@link DecodeError} for what is no position, or one of another target. */
export function decodePosition(target: WatchTarget, text: string): WatchPosition {
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
  const cluster = places.get(SYSTEM_PARTITION)?.key;
  places.delete(SYSTEM_PARTITION);
  return { cluster, places };
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
