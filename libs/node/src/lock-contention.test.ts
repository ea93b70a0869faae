import { HLC_ZERO } from '@kahuna/base';
import { Durability, type LockOperation, type LockRow } from '@kahuna/partition';
import { describe, expect, test } from 'vitest';
import { LockContention } from './lock-contention.ts';

const ask = (owner: string, key = 'jobs/a', durability: Durability = Durability.Persistent): LockOperation => ({
  kind: 'lock-acquire',
  key,
  owner: Buffer.from(owner),
  expiresMs: 1000,
  durability,
});
const row = (name = 'jobs/a', durability: Durability = Durability.Persistent): LockRow => ({
  name,
  durability,
  held: true,
  owner: Buffer.from('holder'),
  expires: HLC_ZERO,
  token: 3,
  partitionId: 2,
});
const told = (contention: LockContention, nowMs: number, name?: string, durability?: Durability) =>
  (contention.describe(row(name, durability), nowMs).contenders ?? []).map(c => [
    Buffer.from(c.owner).toString(),
    c.asks,
    c.lastMs,
  ]);

describe('console:§6.7 contenders', () => {
  test('asks are counted per owner, the latest first, each lock and durability by itself', () => {
    const contention = new LockContention();
    for (let i = 0; i < 3; i++) contention.note(ask('w-1'), 1000 + i);
    contention.note(ask('w-2'), 2000);
    contention.note(ask('w-3', 'jobs/b'), 2000);
    contention.note(ask('w-4', 'jobs/a', Durability.Ephemeral), 2000);
    expect(told(contention, 3000)).toEqual([
      ['w-2', 1, 2000],
      ['w-1', 3, 1002],
    ]);
    expect(told(contention, 3000, 'jobs/a', Durability.Ephemeral)).toEqual([['w-4', 1, 2000]]);
    expect(told(contention, 3000, 'jobs/c')).toEqual([]);
  });

  test('who asks no more is gone after a minute, and asks are those of the last half to whole minute', () => {
    const contention = new LockContention();
    contention.note(ask('w-1'), 1_000);
    contention.note(ask('w-1'), 31_000);
    expect(told(contention, 32_000)).toEqual([['w-1', 2, 31_000]]);
    expect(told(contention, 61_000)).toEqual([['w-1', 1, 31_000]]);
    expect(told(contention, 91_000)).toEqual([]);
  });

  test('the owner is remembered as it was: the frame that brought it is used again', () => {
    const contention = new LockContention();
    const owner = Buffer.from('w-1');
    contention.note({ ...ask(''), owner }, 1000);
    owner.fill(0);
    expect(told(contention, 1000)).toEqual([['w-1', 1, 1000]]);
  });

  test('bounded: twenty owners of a lock, a thousand locks', () => {
    const contention = new LockContention();
    for (let i = 0; i < 25; i++) contention.note(ask(`w-${i}`), 1000 + i);
    const owners = told(contention, 2000);
    expect([owners.length, owners[0]?.[0], owners.at(-1)?.[0]]).toEqual([20, 'w-24', 'w-5']);
    for (let i = 0; i < 1000; i++) contention.note(ask('w', `many/${i}`), 3000);
    expect(told(contention, 3000)).toEqual([]);
    expect(told(contention, 3000, 'many/0')).toHaveLength(1);
  });
});

test('invariant 13: owners and names of any length are not kept', () => {
  const contention = new LockContention();
  const long = 'x'.repeat(1025);
  contention.note(ask(long), 1000);
  contention.note(ask('w', long), 1000);
  expect([told(contention, 2000), told(contention, 2000, long)]).toEqual([[], []]);
});
