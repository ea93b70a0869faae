import type { Configuration, Member } from './types.ts';

/**
 * Majorities over a configuration. While it is joint every decision needs a majority of the incoming and a majority of the
 * outgoing voters (Raft §6); no caller ever counts by itself.
 */

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Whether the members for whom `has` holds form a quorum. A configuration without voters never has one. */
export function hasQuorum(configuration: Configuration, has: (member: Member) => boolean): boolean {
  return hasMajority(configuration.voters, has) && (!isJoint(configuration) || hasMajority(configuration.outgoing, has));
}

function hasMajority(voters: readonly Member[], has: (member: Member) => boolean): boolean {
  let count = 0;
  for (const voter of voters) if (has(voter)) count++;
  return count * 2 > voters.length;
}

/** The greatest number that a quorum reaches; −∞ in a configuration without voters. */
export function quorumValue(configuration: Configuration, value: (member: Member) => number): number {
  const incoming = majorityValue(configuration.voters, value);
  return isJoint(configuration) ? Math.min(incoming, majorityValue(configuration.outgoing, value)) : incoming;
}

/**
 * The greatest number that a majority of `items` reaches: with the values in falling order, the one in the middle.
 *
 *     5 items, values 9 7 4 4 1: three of them reach 4, so 4
 */
export function majorityValue<T>(items: readonly T[], value: (item: T) => number): number {
  const n = items.length;
  if (n === 0) return Number.NEGATIVE_INFINITY;
  if (n === 1) return value(items[0] as T);
  if (n === 2) return Math.min(value(items[0] as T), value(items[1] as T));
  if (n === 3) {
    // The usual group, without an array: the median of three.
    const a = value(items[0] as T);
    const b = value(items[1] as T);
    const c = value(items[2] as T);
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }
  const values = new Array<number>(n);
  for (let i = 0; i < n; i++) values[i] = value(items[i] as T);
  values.sort(descending);
  return values[n >> 1] as number;
}

function descending(a: number, b: number): number {
  return b - a;
}
