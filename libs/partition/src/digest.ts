import type { Hlc } from '@kahuna/base';
import { type ByteHasher, mix } from './checksum.ts';
import type { Lock } from './locks.ts';
import type { OperationResult } from './operation.ts';
import type { SequenceRecord } from './sequences.ts';
import type { Version } from './version.ts';

/*
 * What goes into the checksum of a partition: of every command its answer and its stamp, and of what it changed whatever the answer does
 * not say. Each function takes the checksum so far and returns the next; what they mix, and in which order, is the same for all
 * releases that may stand side by side in a cluster.
 */

export function digestAnswer(sum: number, answer: OperationResult, stamp: Hlc): number {
  return mix(mix(mix(sum, (answer.type << 24) ^ answer.revision), stamp.l | 0), stamp.c ^ (stamp.n << 16)) >>> 0;
}

/** What a write left as the head; with `value`, if it brought one. */
export function digestHead(sum: number, { expires, value }: Version, withValue: boolean, hasher: ByteHasher): number {
  const expiring = mix(sum, expires.l | 0);
  return (withValue && value !== null ? mix(expiring, hasher.hash(value)) : expiring) >>> 0;
}

export function digestLock(sum: number, lock: Lock, hasher: ByteHasher): number {
  const held = digestWords(sum, lock.token, lock.expires.l, lock.lapsed ? 1 : 0);
  return digestWords(held, lock.owner === undefined ? 0 : hasher.hash(lock.owner), lock.term, lock.expires.c);
}

export function digestSequence(sum: number, { revision, live }: SequenceRecord): number {
  let next = digestWords(sum, revision, live?.incarnation ?? -1, live?.replays.size ?? -1);
  if (live === undefined) return next;
  next = digestInt64(next, live.mark, live.stream);
  next = digestInt64(next, live.initialValue, live.blockSize ?? 0);
  next = digestInt64(next, live.increment, live.maxValue === undefined ? 0 : 1);
  return digestInt64(next, live.maxValue ?? 0n, 0);
}

function digestInt64(sum: number, value: bigint, word: number): number {
  return digestWords(sum, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)), word);
}

export function digestTime(sum: number, t: Hlc, word: number): number {
  return digestWords(sum, t.l, t.c ^ (t.n << 16), word);
}

export function digestWords(sum: number, a: number, b: number, c: number): number {
  return mix(mix(mix(sum, a | 0), b | 0), c | 0) >>> 0;
}
