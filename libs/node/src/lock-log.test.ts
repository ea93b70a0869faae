import { Durability, type Lock, type LockGrant, type LockRow } from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import { LockLog, MAX_GRANTS } from './lock-log.ts';

const stamp = (l: number) => ({ n: 1, l, c: 0 });
const lock = (owner: string | undefined, token: number, expiresMs: number, lapsed = false): Lock => ({
  owner: owner === undefined ? undefined : Buffer.from(owner),
  expires: stamp(expiresMs),
  term: 1,
  token,
  lapsed,
});
const row: LockRow = {
  name: 'jobs/a',
  durability: Durability.Persistent,
  held: true,
  owner: null,
  expires: stamp(0),
  token: 0,
  partitionId: 2,
};
const told = (log: LockLog, most = MAX_GRANTS) => log.describe(row, most).history;
const inWords = ({ token, owner, fromMs, end, endMs }: LockGrant) =>
  `f${token} ${Buffer.from(owner)} ${fromMs}-${end === undefined ? '' : `${endMs} ${end}`}`;

/** Applies states of one lock one after the other. */
function play(log: LockLog, states: readonly (readonly [number, Lock])[], name = 'jobs/a'): void {
  let before: Lock | undefined;
  for (const [atMs, after] of states) {
    log.note(Durability.Persistent, name, before, after, stamp(atMs));
    before = after;
  }
}

describe('console:6.7 what is noted of the grants of a lock', () => {
  test('grant, extension, release, expiry and takeover, with their times', () => {
    const log = new LockLog();
    play(log, [
      [1000, lock('a', 0, 5000)],
      [2000, lock('a', 0, 9000)],
      [3000, lock(undefined, 0, 0)],
      [4000, lock('b', 1, 5000)],
      [6000, lock('c', 2, 7000)],
      [7500, lock('c', 2, 7000, true)],
      [8000, lock('d', 3, 20_000)],
    ]);
    expect(told(log)?.grants.map(inWords)).toEqual([
      'f3 d 8000-',
      'f2 c 6000-7000 expired',
      'f1 b 4000-5000 expired',
      'f0 a 1000-3000 released',
    ]);
    expect(told(log)?.grants.at(-1)).toMatchObject({ extensions: 1, lastExtendMs: 2000, leaseMs: 7000 });
    expect(told(log)?.sinceMs).toBe(1000);
    expect(told(log, 1)?.grants.map(inWords)).toEqual(['f3 d 8000-']);
  });

  test('what was there before is known as far as its last state tells', () => {
    const log = new LockLog();
    log.note(Durability.Persistent, 'jobs/a', lock('a', 7, 5000), lock('a', 7, 9000), stamp(4000));
    expect(told(log)?.grants).toMatchObject([{ token: 7, fromMs: 0, extensions: 1, leaseMs: 5000, end: undefined }]);
  });

  test('the owner is a copy: the bytes it came in are used again', () => {
    const log = new LockLog();
    const owner = Buffer.from('a');
    log.note(Durability.Persistent, 'jobs/a', undefined, { ...lock('x', 0, 5000), owner }, stamp(1000));
    owner.write('z');
    expect(told(log)?.grants.map(inWords)).toEqual(['f0 a 1000-']);
  });

  test('bounded: grants of a lock, locks, and changes in a second; what is left out shows in the tokens', () => {
    const log = new LockLog();
    play(
      log,
      Array.from({ length: 300 }, (_, token) => [1000 + token, lock(`o${token}`, token, 90_000)] as const),
    );
    expect(told(log)?.grants).toHaveLength(MAX_GRANTS);
    // 200 of them fell into the budget of their second.
    expect(told(log)?.grants[0]).toMatchObject({ token: 199, end: undefined });
    log.note(Durability.Persistent, 'jobs/a', lock('o299', 299, 90_000), lock('p', 300, 99_000), stamp(2500));
    expect(told(log)?.grants.slice(0, 2).map(inWords)).toEqual(['f300 p 2500-', 'f199 o199 1199-']);
    for (let i = 0; i < 2_000; i++) play(log, [[3000 + i * 10, lock('q', 0, 90_000)]], `other/${i}`);
    expect(told(log)).toBeUndefined();
  });

  test('each durability by itself', () => {
    const log = new LockLog();
    play(log, [[1000, lock('a', 0, 5000)]]);
    expect(log.describe({ ...row, durability: Durability.Ephemeral }, 1).history).toBeUndefined();
  });
});

test('invariant 13: owners and names of any length are not kept', () => {
  const log = new LockLog();
  const long = 'x'.repeat(1025);
  play(log, [
    [1000, lock(long, 0, 5000)],
    [2000, lock(undefined, 0, 0)],
  ]);
  expect(told(log)).toBeUndefined();
  log.note(Durability.Persistent, long, undefined, lock('a', 0, 5000), stamp(3000));
  expect(log.describe({ ...row, name: long }, 1).history).toBeUndefined();
});
