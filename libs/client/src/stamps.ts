import { HLC_MAX_COUNTER, HLC_ZERO, type Hlc } from '@kahuna/base';
import { InvalidInputError } from './errors.ts';
import type { TimePoint } from './options.ts';

/** A timestamp out of the three fields that messages have for it. */
export function stampOf(n: number, l: bigint, c: number): Hlc {
  return n === 0 && l === 0n && c === 0 ? HLC_ZERO : { n, l: Number(l), c };
}

/** undefined for "never". */
export function expiryOf(stamp: Hlc): Hlc | undefined {
  return stamp.l === 0 && stamp.c === 0 && stamp.n === 0 ? undefined : stamp;
}

/** A time of the wall clock includes everything committed in its millisecond (keyvalues §1.1). */
export function stampAt(time: TimePoint | undefined): Hlc {
  if (time === undefined) return HLC_ZERO;
  const ms = typeof time === 'number' ? time : time instanceof Date ? time.getTime() : undefined;
  if (ms === undefined) return time as Hlc;
  if (!Number.isSafeInteger(Math.trunc(ms)) || ms < 0)
    throw new InvalidInputError('a time is a number of milliseconds since 1970');
  return { n: 0, l: Math.trunc(ms), c: HLC_MAX_COUNTER };
}
