import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { Ephemeral, Flag, type Hlc, Persistent, Type, ZERO } from '../clients/kv-api.ts';
import { HANGS_MS, sleep, until } from '../harness/processes.ts';
import {
  type Bench,
  type Case,
  expectRead,
  expectSaid,
  justBefore,
  LONG_MS,
  later,
  outlive,
  read,
  said,
  withinLifetime,
} from './case.ts';

const both = ['P', 'E'] as const;
const P = ['P'] as const;
const E = ['E'] as const;

const ONE_OF_THE_CONDITIONS_FAILS = Flag.IfExists | Flag.IfNotExists;

/** Keys and values: keyvalues §20.1. */
const keysAndValues: readonly Case[] = [
  {
    title: 'keyvalues:K1 keyvalues:K2 an empty key is refused by every operation',
    durabilities: both,
    run: async ({ api, durability }) => {
      await expectSaid(api.set({ key: '', value: Buffer.from('1'), durability }), 'InvalidInput');
      await expectSaid(api.get({ key: '', durability }), 'InvalidInput');
      await expectSaid(api.exists({ key: '', durability }), 'InvalidInput');
      await expectSaid(api.delete({ key: '', durability }), 'InvalidInput');
      await expectSaid(api.extend({ key: '', expiresMs: 1, durability }), 'InvalidInput');
    },
  },
  {
    title: 'keyvalues:K3 a key with the reserved prefix is refused by every operation',
    durabilities: both,
    run: async ({ api, durability }) => {
      const key = '__kahuna:x';
      await expectSaid(api.set({ key, value: Buffer.from('1'), durability }), 'InvalidInput');
      await expectSaid(api.get({ key, durability }), 'InvalidInput');
      await expectSaid(api.exists({ key, durability }), 'InvalidInput');
      await expectSaid(api.delete({ key, durability }), 'InvalidInput');
      await expectSaid(api.extend({ key, expiresMs: 1, durability }), 'InvalidInput');
    },
  },
  {
    title: 'keyvalues:K4 a key that only resembles the reserved prefix is an ordinary key',
    durabilities: both,
    run: async ({ api, durability, key }) => {
      await expectSaid(api.set({ key: `__kahunax${key('')}`, value: Buffer.from('1'), durability }), 'Set r0');
    },
  },
  {
    title: 'keyvalues:K5 white space is a key, and two blanks are another key than one',
    durabilities: both,
    run: async b => {
      const blank = `${b.key('')}/ `;
      await expectSaid(b.api.set({ key: blank, value: Buffer.from('1'), durability: b.durability }), 'Set r0');
      await expectRead(b.api.get({ key: blank, durability: b.durability }), 'Get r0 "1"');
      await expectRead(b.api.get({ key: `${blank} `, durability: b.durability }), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:K5 one blank alone is a key too',
    durabilities: both,
    run: async ({ api, durability }) => {
      // No other case and no other transport may have a key of this name to itself, so only this set's own step is known.
      const before = await api.get({ key: ' ', durability });
      const set = await api.set({ key: ' ', value: Buffer.from('1'), durability });
      expect([set.type, set.revision > before.revision]).toEqual([Type.Set, true]);
      const after = await api.get({ key: ' ', durability });
      expect([after.type, after.value?.toString()]).toEqual([Type.Get, '1']);
      await expectRead(api.get({ key: '  ', durability }), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:K6 keys are case-sensitive',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('Tap', '1'), 'Set r0');
      await expectRead(b.get('tap'), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:K7 the value null exists',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('n', null), 'Set r0');
      await expectRead(b.get('n'), 'Get r0 null');
      await expectSaid(b.exists('n'), 'Exists r0');
    },
  },
  {
    title: 'keyvalues:K8 the empty value is not null',
    durabilities: both,
    run: async b => {
      await b.set('e', '');
      await expectRead(b.get('e'), 'Get r0 ""');
    },
  },
  {
    title: 'keyvalues:K9 null and empty are equal in a comparison',
    durabilities: both,
    run: async b => {
      await b.set('n', null);
      await expectSaid(b.set('n', '1', { flags: Flag.CompareValue, compareValue: '' }), 'Set r1');
    },
  },
  {
    title: 'keyvalues:K10 a value is equal to neither null nor empty',
    durabilities: both,
    run: async b => {
      await b.set('n', '1');
      await expectSaid(b.set('n', '2', { flags: Flag.CompareValue, compareValue: null }), 'NotSet r0');
      await expectSaid(b.set('n', '2', { flags: Flag.CompareValue, compareValue: '' }), 'NotSet r0');
    },
  },
  {
    title: 'keyvalues:K11 a value of one mebibyte comes back byte for byte',
    durabilities: both,
    run: async b => {
      const value = randomBytes(1024 * 1024);
      await expectSaid(b.set('large', value), 'Set r0');
      expect((await b.get('large')).value?.equals(value)).toBe(true);
    },
  },
  {
    title: 'keyvalues:K12 a key of 60,000 characters',
    durabilities: both,
    run: async b => {
      const name = 'k'.repeat(60_000);
      await expectSaid(b.set(name, 'v'), 'Set r0');
      await expectRead(b.get(name), 'Get r0 "v"');
    },
  },
  {
    title: 'keyvalues:K13 bytes that are no text',
    durabilities: both,
    run: async b => {
      const value = Buffer.from([0x00, 0xff, 0x0a, 0x22]);
      await b.set('bytes', value);
      expect((await b.get('bytes')).value?.equals(value)).toBe(true);
    },
  },
];

/** Revisions and conditions: keyvalues §20.2. */
const revisions: readonly Case[] = [
  {
    title: 'keyvalues:R1 a key never written answers revision -1',
    durabilities: both,
    run: async b => {
      await expectRead(b.get('k'), 'DoesNotExist r-1');
      await expectSaid(b.exists('k'), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:R2 setting the same value again is a new revision',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'v'), 'Set r0');
      await expectSaid(b.set('k', 'v'), 'Set r1');
    },
  },
  {
    title: 'keyvalues:R3 each key counts for itself',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('a1', 'v'), 'Set r0');
      await expectSaid(b.set('a2', 'v'), 'Set r0');
    },
  },
  {
    title: 'keyvalues:R4 xx on a key never written leaves it so',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'v', { flags: Flag.IfExists }), 'NotSet r-1');
      await expectRead(b.get('k'), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:R5 nx takes effect once',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'first', { flags: Flag.IfNotExists }), 'Set r0');
      await expectSaid(b.set('k', 'second', { flags: Flag.IfNotExists }), 'NotSet r0');
      await expectRead(b.get('k'), 'Get r0 "first"');
    },
  },
  {
    title: 'keyvalues:R6 a comparison that fails changes nothing and tells the last modification',
    durabilities: both,
    run: async b => {
      const first = await b.set('k', 'x');
      const refused = await b.set('k', 'y', { flags: Flag.CompareValue, compareValue: 'z' });
      expect(said(refused)).toBe('NotSet r0');
      expect(refused.lastModified).toEqual(first.lastModified);
      await expectRead(b.get('k'), 'Get r0 "x"');
    },
  },
  {
    title: 'keyvalues:R7 a comparison that holds',
    durabilities: both,
    run: async b => {
      await b.set('k', 'x');
      await expectSaid(b.set('k', 'y', { flags: Flag.CompareValue, compareValue: 'x' }), 'Set r1');
    },
  },
  {
    title: 'keyvalues:R8 comparing with null holds for a key never written',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'y', { flags: Flag.CompareValue, compareValue: 'x' }), 'NotSet r-1');
      await expectSaid(b.set('k', 'y', { flags: Flag.CompareValue, compareValue: null }), 'Set r0');
    },
  },
  {
    title: 'keyvalues:R9 keyvalues:R10 comparing revisions',
    durabilities: both,
    run: async b => {
      await b.set('k', 'x');
      await b.set('k', 'x');
      await expectSaid(b.set('k', 'y', { flags: Flag.CompareRevision, compareRevision: 10 }), 'NotSet r1');
      await expectSaid(b.set('k', 'y', { flags: Flag.CompareRevision, compareRevision: 1 }), 'Set r2');
    },
  },
  {
    title: 'keyvalues:R11 revision 0 does not match a key never written',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'x', { flags: Flag.CompareRevision, compareRevision: 0 }), 'NotSet r-1');
    },
  },
  {
    title: 'keyvalues:R12 revision -1 creates, once',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'x', { flags: Flag.CompareRevision, compareRevision: -1 }), 'Set r0');
      await expectSaid(b.set('k', 'x', { flags: Flag.CompareRevision, compareRevision: -1 }), 'NotSet r0');
    },
  },
  {
    title: 'keyvalues:R13 xx and nx together never hold',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('never', 'v', { flags: ONE_OF_THE_CONDITIONS_FAILS }), 'NotSet r-1');
      await b.set('live', 'v');
      await expectSaid(b.set('live', 'v', { flags: ONE_OF_THE_CONDITIONS_FAILS }), 'NotSet r0');
    },
  },
  {
    title: 'keyvalues:R14 three conditions that all hold',
    durabilities: both,
    run: async b => {
      await b.set('k', 'w');
      await b.set('k', 'x');
      const flags = Flag.IfExists | Flag.CompareValue | Flag.CompareRevision;
      await expectSaid(b.set('k', 'y', { flags, compareValue: 'x', compareRevision: 1 }), 'Set r2');
    },
  },
  {
    title: 'keyvalues:R15 of two conditions one fails',
    durabilities: both,
    run: async b => {
      await b.set('k', 'w');
      await b.set('k', 'x');
      const flags = Flag.CompareValue | Flag.CompareRevision;
      await expectSaid(b.set('k', 'y', { flags, compareValue: 'x', compareRevision: 0 }), 'NotSet r1');
    },
  },
  {
    title: 'keyvalues:R16 keyvalues:R17 flags 0 and 1 are the same, and unknown bits are ignored',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'v', { flags: 0 }), 'Set r0');
      await expectSaid(b.set('k', 'v', { flags: 1 }), 'Set r1');
      await expectSaid(b.set('k', 'v', { flags: 64 + 128 + 1 }), 'Set r2');
    },
  },
  {
    title: 'keyvalues:R18 a negative lifetime is refused',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'v', { expiresMs: -1 }), 'InvalidInput');
      await expectRead(b.get('k'), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:R19 a condition that fails leaves the expiry alone',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v', { expiresMs: LONG_MS });
      const before = await b.get('k');
      await expectSaid(b.set('k', 'w', { flags: Flag.IfExists | Flag.CompareValue, compareValue: 'other' }), 'NotSet r0');
      expect((await b.get('k')).expires).toEqual(before.expires);
    },
  },
  {
    title: 'keyvalues:R21 of fifty nx sets at once exactly one takes effect',
    durabilities: both,
    run: async b => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => b.set('k', String(i), { flags: Flag.IfNotExists })));
      expect(answers.map(said).sort()).toEqual([...Array(49).fill('NotSet r0'), 'Set r0']);
    },
  },
  {
    title: 'keyvalues:R22 twenty clients count to 200 by comparing revisions',
    durabilities: both,
    run: async b => {
      await expectSaid(b.set('k', 'start'), 'Set r0');
      const written = new Set<string>(['start']);
      const readValues: string[] = [];
      const client = async (id: number): Promise<void> => {
        for (let done = 0; done < 10; ) {
          const askedAt = performance.now();
          const seen = await b.get('k');
          readValues.push(seen.value?.toString() ?? '');
          const value = `${id}.${done}`;
          written.add(value);
          const answer = await b.set('k', value, { flags: Flag.CompareRevision, compareRevision: seen.revision });
          if (answer.type === Type.Set) done += 1;
          // Who lost lets some others go first, each another number: else nearly all attempts lose, and the case is a load test.
          else await sleep(Math.min(1000, (performance.now() - askedAt) * ((id * 7 + done * 13) % 12)));
        }
      };
      await Promise.all(Array.from({ length: 20 }, (_, id) => client(id)));
      expect((await b.get('k')).revision).toBe(200);
      expect(readValues.filter(value => !written.has(value))).toEqual([]);
    },
  },
  {
    title: 'keyvalues:R20 the durabilities are two name spaces',
    durabilities: P,
    run: async b => {
      await expectSaid(b.set('k', 'p'), 'Set r0');
      const ephemeral = { key: b.key('k'), durability: Ephemeral };
      await expectSaid(b.api.set({ ...ephemeral, value: Buffer.from('e') }), 'Set r0');
      await expectSaid(b.api.set({ ...ephemeral, value: Buffer.from('e') }), 'Set r1');
      await expectSaid(b.api.delete(ephemeral), 'Deleted r1');
      await expectRead(b.get('k'), 'Get r0 "p"');
    },
  },
];

/** Delete, expiry, extend: keyvalues §20.3. */
const endings: readonly Case[] = [
  {
    title:
      'keyvalues:D1 keyvalues:D2 keyvalues:D9 keyvalues:D10 a deleted key is a miss that tells its counter, and its history stays',
    durabilities: both,
    run: async b => {
      await b.set('k', 'old');
      await expectSaid(b.delete('k'), 'Deleted r0');
      await expectRead(b.get('k'), 'DoesNotExist r0');
      await expectSaid(b.exists('k'), 'DoesNotExist r0');
      await expectSaid(b.delete('k'), 'DoesNotExist r0');
      await expectSaid(b.extend('k', 1000), 'DoesNotExist r0');
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "old"');
      await expectSaid(b.exists('k', { revision: 0 }), 'Exists r0');
      await expectRead(b.get('k', { revision: 1 }), 'DoesNotExist r1');
    },
  },
  ...(
    [
      ['keyvalues:D3 set', {}, 'Set r1'],
      ['keyvalues:D4 xx', { flags: Flag.IfExists }, 'NotSet r0'],
      ['keyvalues:D5 nx', { flags: Flag.IfNotExists }, 'Set r1'],
      ['keyvalues:D6 cmp with the old value', { flags: Flag.CompareValue, compareValue: 'old' }, 'NotSet r0'],
      ['keyvalues:D6 cmp with empty', { flags: Flag.CompareValue, compareValue: '' }, 'Set r1'],
      ['keyvalues:D7 cmprev 0', { flags: Flag.CompareRevision, compareRevision: 0 }, 'NotSet r0'],
      ['keyvalues:D8 cmprev -1', { flags: Flag.CompareRevision, compareRevision: -1 }, 'NotSet r0'],
    ] as const
  ).map(
    ([title, options, wanted]): Case => ({
      title: `${title} after a delete: ${wanted}`,
      durabilities: both,
      run: async b => {
        await b.set('k', 'old');
        await b.delete('k');
        await expectSaid(b.set('k', 'new', options), wanted);
      },
    }),
  ),
  {
    title: 'keyvalues:D11 every revision before and after a delete stays readable',
    durabilities: both,
    run: async b => {
      await b.set('k', 'a');
      await b.set('k', 'b');
      await b.delete('k');
      await expectSaid(b.set('k', 'c'), 'Set r2');
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "a"');
      await expectRead(b.get('k', { revision: 1 }), 'Get r1 "b"');
      await expectRead(b.get('k', { revision: 2 }), 'Get r2 "c"');
    },
  },
  {
    title: 'keyvalues:D12 deleting what was never written',
    durabilities: both,
    run: async b => {
      await expectSaid(b.delete('k'), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:D13 deletes do not count',
    durabilities: both,
    run: async b => {
      for (let i = 0; i < 4; i++) {
        await b.set('k', 'v');
        await b.delete('k');
      }
      await expectSaid(b.set('k', 'v'), 'Set r4');
    },
  },
  {
    title: 'keyvalues:X1 a lifetime of one millisecond',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v', { expiresMs: 1 });
      await outlive(1);
      await expectRead(b.get('k'), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:X2 an expired key can be created again',
    durabilities: both,
    run: async b => {
      await expired(b);
      await expectSaid(b.set('k', 'new', { flags: Flag.IfNotExists }), 'Set r1');
    },
  },
  {
    title: 'keyvalues:X3 keyvalues:X4 an expired key answers as a deleted one, and its history stays',
    durabilities: both,
    run: async b => {
      await expired(b);
      await expectSaid(b.set('k', 'new', { flags: Flag.IfExists }), 'NotSet r0');
      await expectSaid(b.set('k', 'new', { flags: Flag.CompareRevision, compareRevision: 0 }), 'NotSet r0');
      await expectSaid(b.extend('k', 1000), 'DoesNotExist r0');
      await expectSaid(b.delete('k'), 'DoesNotExist r0');
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "old"');
    },
  },
  {
    title: 'keyvalues:X5 a set without a lifetime clears the earlier one',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v', { expiresMs: 100 });
      await b.set('k', 'w');
      await outlive(100);
      expect((await expectRead(b.get('k'), 'Get r1 "w"')).expires).toEqual(ZERO);
    },
  },
  {
    title: 'keyvalues:X6 extend prolongs',
    durabilities: both,
    run: async b => {
      const { name, lifetimeMs } = await extended(b, LONG_MS);
      await outlive(lifetimeMs);
      await expectRead(b.get(name), 'Get r0 "v"');
    },
  },
  {
    title: 'keyvalues:X7 extend may shorten',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v', { expiresMs: LONG_MS });
      await expectSaid(b.extend('k', 100), 'Extended r0');
      await outlive(100);
      await expectRead(b.get('k'), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:X8 extend by 0 takes the expiry away',
    durabilities: both,
    run: async b => {
      const { name, lifetimeMs } = await extended(b, 0);
      await outlive(lifetimeMs);
      expect((await expectRead(b.get(name), 'Get r0 "v"')).expires).toEqual(ZERO);
    },
  },
  {
    title: 'keyvalues:X9 extend gives an expiry to a key without one',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v');
      await b.extend('k', 100);
      await outlive(100);
      await expectRead(b.get('k'), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:X10 extending by a negative time is refused and changes nothing',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v', { expiresMs: LONG_MS });
      const before = await b.get('k');
      await expectSaid(b.extend('k', -5), 'InvalidInput');
      expect((await b.get('k')).expires).toEqual(before.expires);
    },
  },
  {
    title: 'keyvalues:X11 extend changes the last modification and nothing else',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v');
      const before = await b.get('k');
      await expectSaid(b.extend('k', LONG_MS), 'Extended r0');
      const after = await expectRead(b.get('k'), 'Get r0 "v"');
      expect(later(after.lastModified, before.lastModified)).toBe(true);
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "v"');
    },
  },
  {
    title: 'keyvalues:X14 an expired ephemeral key remembers its counter',
    durabilities: E,
    run: async b => {
      await b.set('k', 'v', { expiresMs: 50 });
      await outlive(50);
      await expectRead(b.get('k'), 'DoesNotExist r0');
    },
  },
];

async function expired(b: Bench): Promise<void> {
  await b.set('k', 'old', { expiresMs: 100 });
  await outlive(100);
}

/** A key with a lifetime that was extended before its end, by as much again unless told otherwise. */
function extended(b: Bench, extensionMs?: number) {
  return withinLifetime(async lifetimeMs => {
    const name = `k-${lifetimeMs}`;
    const { lastModified: set } = await b.set(name, 'v', { expiresMs: lifetimeMs });
    // So that the extension is stamped later, in milliseconds.
    await outlive(1);
    const extension = await b.extend(name, extensionMs ?? lifetimeMs);
    return { name, lifetimeMs, set, extension };
  }).then(outcome => {
    expect(said(outcome.extension)).toBe('Extended r0');
    return outcome;
  });
}

/** History, NOREV, as-of: keyvalues §20.4. */
const history: readonly Case[] = [
  {
    title: 'keyvalues:H1 keyvalues:H2 reading by revision',
    durabilities: P,
    run: async b => {
      for (const value of ['v1', 'v2', 'v3']) await b.set('k', value);
      await expectRead(b.get('k', { revision: 1 }), 'Get r1 "v2"');
      await expectRead(b.get('k'), 'Get r2 "v3"');
      await expectRead(b.get('k', { revision: 3 }), 'DoesNotExist r3');
      await expectRead(b.get('k', { revision: 99 }), 'DoesNotExist r99');
    },
  },
  {
    title: 'keyvalues:H3 of two unarchived sets only the newest can be read by revision',
    durabilities: P,
    run: async b => {
      await expectSaid(b.set('k', 'a', { flags: Flag.NoRevision }), 'Set r0');
      await expectSaid(b.set('k', 'b', { flags: Flag.NoRevision }), 'Set r1');
      await expectRead(b.get('k', { revision: 1 }), 'Get r1 "b"');
      await expectRead(b.get('k', { revision: 0 }), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:H4 keyvalues:H5 keyvalues:H6 a superseded unarchived version leaves a gap, not the version before it',
    durabilities: P,
    run: async b => {
      const a = await b.set('k', 'A');
      const bb = await b.set('k', 'B', { flags: Flag.NoRevision });
      await b.set('k', 'C');
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "A"');
      await expectRead(b.get('k', { revision: 1 }), 'DoesNotExist r1');
      await expectRead(b.get('k', { revision: 2 }), 'Get r2 "C"');
      await expectRead(b.get('k', { readTimestamp: bb.lastModified }), 'DoesNotExist r1');
      await expectRead(b.get('k', { readTimestamp: a.lastModified }), 'Get r0 "A"');
    },
  },
  {
    title: 'keyvalues:H7 an unarchived head that was deleted stays readable by its revision',
    durabilities: P,
    run: async b => {
      await b.set('k', 'v', { flags: Flag.NoRevision });
      await b.delete('k');
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "v"');
    },
  },
  {
    title: 'keyvalues:H8 all versions are kept unless told otherwise',
    durabilities: P,
    run: async b => {
      await b.set('k', 'first');
      for (let i = 1; i < 100; i++) await b.set('k', String(i));
      await expectRead(b.get('k', { revision: 0 }), 'Get r0 "first"');
    },
  },
  {
    title: 'keyvalues:H9 of an ephemeral key the newest sixteen revisions',
    durabilities: E,
    run: async b => {
      for (let i = 0; i < 20; i++) await b.set('k', String(i));
      await expectRead(b.get('k', { revision: 19 }), 'Get r19 "19"');
      await expectRead(b.get('k', { revision: 4 }), 'Get r4 "4"');
      await expectRead(b.get('k', { revision: 3 }), 'DoesNotExist r3');
    },
  },
  {
    title: 'keyvalues:H10 an as-of read includes what was committed at exactly that time',
    durabilities: P,
    run: async b => {
      const first = await b.set('k', 'old');
      const second = await b.set('k', 'new');
      await expectRead(b.get('k', { readTimestamp: first.lastModified }), 'Get r0 "old"');
      await expectRead(b.get('k', { readTimestamp: second.lastModified }), 'Get r1 "new"');
      await expectRead(b.get('k', { readTimestamp: justBefore(first.lastModified) }), 'DoesNotExist r-1');
    },
  },
  {
    title: 'keyvalues:H11 keyvalues:H12 an as-of read sees a delete from its time on, also after the key came back',
    durabilities: P,
    run: async b => {
      await b.set('k', 'v');
      const deleted = await b.delete('k');
      await expectRead(b.get('k', { readTimestamp: deleted.lastModified }), 'DoesNotExist r0');
      await expectRead(b.get('k', { readTimestamp: justBefore(deleted.lastModified) }), 'Get r0 "v"');
      await b.set('k', 'again');
      await expectRead(b.get('k', { readTimestamp: deleted.lastModified }), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:H13 expiry is judged at the time that is read',
    durabilities: P,
    run: async b => {
      const { lastModified: t0 } = await b.set('k', 'v', { expiresMs: 300 });
      await outlive(300);
      await expectRead(b.get('k', { readTimestamp: { ...t0, l: t0.l + 100 } }), 'Get r0 "v"');
      await expectRead(b.get('k', { readTimestamp: { ...t0, l: t0.l + 400 } }), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:H15 a revision wins over a read timestamp',
    durabilities: P,
    run: async b => {
      await b.set('k', 'a');
      const second = await b.set('k', 'b');
      await expectRead(b.get('k', { revision: 0, readTimestamp: second.lastModified }), 'Get r0 "a"');
    },
  },
  {
    title: 'keyvalues:H16 a timestamp far ahead reads the latest and moves no clock',
    durabilities: P,
    run: async b => {
      const { lastModified } = await b.set('k', 'v');
      await expectRead(b.get('k', { readTimestamp: { n: 0, l: lastModified.l + 3_600_000, c: 0 } }), 'Get r0 "v"');
      const asked = performance.now();
      const next = await b.set('k', 'w');
      expect(performance.now() - asked).toBeLessThan(60_000);
      expect(next.lastModified.l - lastModified.l).toBeLessThan(60_000);
    },
  },
  {
    title: 'keyvalues:H22 a write after a read slightly ahead is stamped after what was read',
    durabilities: P,
    run: async b => {
      const { lastModified } = await b.set('k', 'v');
      const readTimestamp = { n: 0, l: lastModified.l + 300, c: 0 };
      await expectRead(b.get('k', { readTimestamp }), 'Get r0 "v"');
      await b.set('k', 'w');
      await expectRead(b.get('k', { readTimestamp }), 'Get r0 "v"');
    },
  },
  {
    title: 'keyvalues:H14 an extension counts also for a time that is long past',
    durabilities: P,
    run: async b => {
      const { name, lifetimeMs, set, extension } = await extended(b);
      const firstEnd = set.l + lifetimeMs;
      const end = extension.lastModified.l + lifetimeMs;
      await until('the end', HANGS_MS, async () => (await b.get(name)).type === Type.DoesNotExist);
      expect(end).toBeGreaterThan(firstEnd);
      await expectRead(b.get(name, { readTimestamp: { n: 0, l: firstEnd + 1, c: 0 } }), 'Get r0 "v"');
      await expectRead(b.get(name, { readTimestamp: { n: 0, l: end, c: 0 } }), 'Get r0 "v"');
      await expectRead(b.get(name, { readTimestamp: { n: 0, l: end + 1, c: 0 } }), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:H25 what is forgotten of an ephemeral key is not taken for nothing',
    durabilities: E,
    run: async b => {
      const stamps: Hlc[] = [];
      for (let i = 0; i < 20; i++) stamps.push((await b.set('k', String(i))).lastModified);
      await expectSaid(b.get('k', { readTimestamp: stamps[1] as Hlc }), 'Aborted');
      await expectSaid(b.exists('k', { readTimestamp: stamps[3] as Hlc }), 'Aborted');
      await expectRead(b.get('k', { readTimestamp: stamps[4] as Hlc }), 'Get r4 "4"');
      const items = [{ key: b.key('k'), durability: b.durability }];
      expect((await b.api.getMany(items, stamps[1])).map(said)).toEqual(['Aborted']);
    },
  },
  {
    title: 'keyvalues:H18 exists as of a time agrees with get as of that time',
    durabilities: P,
    run: async b => {
      const set = (await b.set('k', 'v')).lastModified;
      const unarchived = (await b.set('k', 'w', { flags: Flag.NoRevision })).lastModified;
      const again = (await b.set('k', 'x')).lastModified;
      const deleted = (await b.delete('k')).lastModified;
      for (const [readTimestamp, wanted] of [
        [justBefore(set), 'DoesNotExist r-1'],
        [set, 'Exists r0'],
        [unarchived, 'DoesNotExist r1'],
        [again, 'Exists r2'],
        [deleted, 'DoesNotExist r2'],
      ] as const) {
        await expectSaid(b.exists('k', { readTimestamp }), wanted);
        await expectSaid(b.get('k', { readTimestamp }), wanted.replace(/^Exists/, 'Get'));
      }
    },
  },
  {
    title: 'keyvalues:H17 an as-of read answers the same for ever, while a writer goes on',
    durabilities: P,
    run: async b => {
      const { lastModified: readTimestamp } = await b.set('k', 'then');
      let stop = false;
      const writer = (async () => {
        while (!stop) await b.set('k', 'now');
      })();
      const answers = new Set<string>();
      for (let i = 0; i < 100; i++) {
        answers.add(`${said(await b.get('k', { readTimestamp }))}, ${said(await b.exists('k', { readTimestamp }))}`);
      }
      stop = true;
      await writer;
      expect([...answers]).toEqual(['Get r0, Exists r0']);
    },
  },
];

/** Many-variants: keyvalues §20.7. */
const many: readonly Case[] = [
  {
    title: 'keyvalues:M1 set-many answers in the order of the request',
    durabilities: both,
    run: async b => {
      const keys = Array.from({ length: 10 }, (_, i) => b.key(`m${i}/k`));
      const rows = await b.api.setMany(keys.map(key => ({ key, value: Buffer.from('v'), durability: b.durability })));
      expect(rows.map(row => [row.key, said(row), row.durability])).toEqual(keys.map(key => [key, 'Set r0', b.durability]));
    },
  },
  {
    title: 'keyvalues:M2 keyvalues:M12 one bad item refuses a whole set-many, and fails alone in get-many',
    durabilities: both,
    run: async b => {
      for (const [bad, good] of [
        ['', b.key('ok')],
        ['__kahuna:z', b.key('ok2')],
      ] as const) {
        const { durability } = b;
        const set = await b.api.setMany([bad, good].map(key => ({ key, value: Buffer.from('v'), durability })));
        expect(set.map(said)).toEqual(['InvalidInput', 'InvalidInput']);
        const got = await b.api.getMany([bad, good].map(key => ({ key, durability })));
        expect(got.map(said)).toEqual(['InvalidInput', 'DoesNotExist r-1']);
      }
    },
  },
  {
    title: 'keyvalues:M3 a bad item fails alone in delete-many',
    durabilities: both,
    run: async b => {
      await b.set('v', '1');
      const rows = await b.api.deleteMany(['', b.key('v'), b.key('w')].map(key => ({ key, durability: b.durability })));
      expect(rows.map(said)).toEqual(['InvalidInput', 'Deleted r0', 'DoesNotExist r-1']);
      await expectRead(b.get('v'), 'DoesNotExist r0');
    },
  },
  {
    title: 'keyvalues:M4 rows carry their durability',
    durabilities: E,
    run: async b => {
      await b.set('v', '1');
      const rows = await b.api.deleteMany([Ephemeral, Persistent].map(durability => ({ key: b.key('v'), durability })));
      expect(rows.map(row => [said(row), row.durability])).toEqual([
        ['Deleted r0', Ephemeral],
        ['DoesNotExist r-1', Persistent],
      ]);
    },
  },
  {
    title: 'keyvalues:M5 keyvalues:M6 a hit and a miss in get-many and exists-many',
    durabilities: both,
    run: async b => {
      await b.set('hit', '1');
      const items = ['hit', 'miss'].map(name => ({ key: b.key(name), durability: b.durability }));
      expect((await b.api.getMany(items)).map(said)).toEqual(['Get r0', 'DoesNotExist r-1']);
      expect((await b.api.existsMany(items)).map(said)).toEqual(['Exists r0', 'DoesNotExist r-1']);
    },
  },
  {
    title: 'keyvalues:M7 the same key twice runs in the order of the request',
    durabilities: both,
    run: async b => {
      const rows = await b.api.setMany(
        ['1', '2'].map(value => ({ key: b.key('d'), value: Buffer.from(value), durability: b.durability })),
      );
      expect(rows.map(said)).toEqual(['Set r0', 'Set r1']);
      await expectRead(b.get('d'), 'Get r1 "2"');
    },
  },
  {
    title: 'keyvalues:M8 nothing asked, nothing answered',
    durabilities: P,
    run: async ({ api }) => {
      expect(await api.setMany([])).toEqual([]);
      expect(await api.getMany([])).toEqual([]);
      expect(await api.existsMany([])).toEqual([]);
      expect(await api.deleteMany([])).toEqual([]);
    },
  },
  {
    title: 'keyvalues:M9 conditions in set-many stand alone',
    durabilities: both,
    run: async b => {
      await b.set('q', 'a');
      await b.set('q', 'b');
      const { durability } = b;
      const rows = await b.api.setMany([
        { key: b.key('q'), value: Buffer.from('c'), durability, flags: Flag.CompareRevision, compareRevision: 0 },
        { key: b.key('q2'), value: Buffer.from('c'), durability, flags: Flag.IfNotExists },
      ]);
      expect(rows.map(said)).toEqual(['NotSet r1', 'Set r0']);
    },
  },
  {
    title: 'keyvalues:M11 revisions and a read timestamp in get-many',
    durabilities: P,
    run: async b => {
      const first = await b.set('h', 'a');
      await b.set('h', 'b');
      await b.set('h', 'c');
      const { durability } = b;
      const items = [
        { key: b.key('h'), revision: 0, durability },
        { key: b.key('h'), durability },
      ];
      expect((await b.api.getMany(items)).map(said)).toEqual(['Get r0', 'Get r2']);
      expect((await b.api.getMany(items, first.lastModified)).map(said)).toEqual(['Get r0', 'Get r0']);
    },
  },
];

/** A key that was `idle` (r0), then `run` (r1), then ended: keyvalues §6.6. */
async function pump(b: Bench, ending: 'deleted' | 'expired'): Promise<{ t0: Hlc; t1: Hlc; end: Hlc }> {
  const t0 = (await b.set('pump', 'idle')).lastModified;
  const t1 = (await b.set('pump', 'run')).lastModified;
  if (ending === 'deleted') return { t0, t1, end: (await b.delete('pump')).lastModified };
  const { lastModified } = await b.extend('pump', 50);
  await until('the expiry', HANGS_MS, async () => (await b.get('pump')).type === Type.DoesNotExist);
  return { t0, t1, end: { n: 0, l: lastModified.l + 51, c: 0 } };
}

const ENDINGS = ['deleted', 'expired'] as const;

/** The worked examples of keyvalues §6.5, §6.6, §8.3 and §18, step by step. */
const examples: readonly Case[] = [
  {
    title: 'keyvalues:§6.5 the example of versions that are not archived',
    durabilities: both,
    run: async b => {
      for (const [value, flags] of [
        ['A', Flag.Set],
        ['B', Flag.NoRevision],
        ['C', Flag.Set],
        ['D', Flag.NoRevision],
      ] as const) {
        await b.set('rack', value, { flags });
      }
      const at = async (revision: number): Promise<string> => read(await b.get('rack', { revision }));
      await expectRead(b.get('rack'), 'Get r3 "D"');
      expect([await at(0), await at(1), await at(2), await at(3)]).toEqual([
        'Get r0 "A"',
        'DoesNotExist r1',
        'Get r2 "C"',
        'Get r3 "D"',
      ]);
      await expectSaid(b.set('rack', 'E'), 'Set r4');
      expect([await at(3), await at(4)]).toEqual(['DoesNotExist r3', 'Get r4 "E"']);
    },
  },
  ...ENDINGS.map(
    (ending): Case => ({
      title: `keyvalues:§6.6 every read of a key that is ${ending}`,
      durabilities: both,
      run: async b => {
        const { t0, t1, end } = await pump(b, ending);
        const asOf = (readTimestamp: Hlc): ReturnType<Bench['get']> => b.get('pump', { readTimestamp });
        await expectRead(b.get('pump'), 'DoesNotExist r1');
        await expectSaid(b.exists('pump'), 'DoesNotExist r1');
        await expectRead(b.get('pump', { revision: 1 }), 'Get r1 "run"');
        await expectRead(b.get('pump', { revision: 0 }), 'Get r0 "idle"');
        await expectRead(b.get('pump', { revision: 2 }), 'DoesNotExist r2');
        await expectSaid(b.exists('pump', { revision: 1 }), 'Exists r1');
        await expectSaid(b.exists('pump', { revision: 0 }), 'Exists r0');
        await expectRead(asOf(t1), 'Get r1 "run"');
        await expectRead(asOf(justBefore(end)), 'Get r1 "run"');
        await expectRead(asOf(t0), 'Get r0 "idle"');
        await expectRead(asOf(justBefore(t1)), 'Get r0 "idle"');
        await expectRead(asOf(end), 'DoesNotExist r1');
        await expectRead(asOf(justBefore(t0)), 'DoesNotExist r-1');
        await expectSaid(b.extend('pump', 1000), 'DoesNotExist r1');
        await expectSaid(b.delete('pump'), 'DoesNotExist r1');
        await expectSaid(b.set('pump', 'go'), 'Set r2');
        await expectRead(b.get('pump', { revision: 1 }), 'Get r1 "run"');
        await expectRead(asOf(end), 'DoesNotExist r1');
      },
    }),
  ),
  ...ENDINGS.flatMap(ending =>
    (
      [
        ['nx', { flags: Flag.IfNotExists }, 'Set r2'],
        ['xx', { flags: Flag.IfExists }, 'NotSet r1'],
        ['cmp with the old value', { flags: Flag.CompareValue, compareValue: 'run' }, 'NotSet r1'],
        ['cmp with null', { flags: Flag.CompareValue, compareValue: null }, 'Set r2'],
        ['cmp with empty', { flags: Flag.CompareValue, compareValue: '' }, 'Set r2'],
        ['cmprev 1', { flags: Flag.CompareRevision, compareRevision: 1 }, 'NotSet r1'],
        ['cmprev -1', { flags: Flag.CompareRevision, compareRevision: -1 }, 'NotSet r1'],
      ] as const
    ).map(
      ([title, options, wanted]): Case => ({
        title: `keyvalues:§6.6 set with ${title} on a key that is ${ending}: ${wanted}`,
        durabilities: both,
        run: async b => {
          await pump(b, ending);
          await expectSaid(b.set('pump', 'go', options), wanted);
        },
      }),
    ),
  ),
  {
    title: 'keyvalues:§8.3 the example of reads as of a time',
    durabilities: both,
    run: async b => {
      const shut = (await b.set('gate', 'shut', { expiresMs: LONG_MS })).lastModified;
      await b.extend('gate', 2 * LONG_MS);
      const deleted = (await b.delete('gate')).lastModified;
      const open = (await b.set('gate', 'open')).lastModified;
      for (const [readTimestamp, wanted] of [
        [justBefore(shut), 'DoesNotExist r-1'],
        [shut, 'Get r0 "shut"'],
        [justBefore(deleted), 'Get r0 "shut"'],
        [deleted, 'DoesNotExist r0'],
        [justBefore(open), 'DoesNotExist r0'],
        [open, 'Get r1 "open"'],
      ] as const) {
        await expectRead(b.get('gate', { readTimestamp }), wanted);
      }
    },
  },
  {
    title: 'keyvalues:§18 the worked sequence',
    durabilities: both,
    run: async b => {
      const cmp = (compareValue: string) => ({ flags: Flag.CompareValue, compareValue });
      const cmprev = (compareRevision: number) => ({ flags: Flag.CompareRevision, compareRevision });
      await expectRead(b.get('lamp'), 'DoesNotExist r-1');
      await expectSaid(b.set('lamp', 'off', { flags: Flag.IfExists }), 'NotSet r-1');
      await expectSaid(b.set('lamp', 'off', { flags: Flag.IfNotExists }), 'Set r0');
      await expectSaid(b.set('lamp', 'on', { flags: Flag.IfNotExists }), 'NotSet r0');
      await expectSaid(b.set('lamp', 'on', cmp('dim')), 'NotSet r0');
      await expectSaid(b.set('lamp', 'on', cmp('off')), 'Set r1');
      await expectSaid(b.set('lamp', 'dim', cmprev(0)), 'NotSet r1');
      await expectSaid(b.set('lamp', 'dim', cmprev(1)), 'Set r2');
      await expectSaid(b.extend('lamp', LONG_MS), 'Extended r2');
      await expectSaid(b.extend('lamp', 0), 'Extended r2');
      await expectSaid(b.delete('lamp'), 'Deleted r2');
      await expectRead(b.get('lamp'), 'DoesNotExist r2');
      await expectRead(b.get('lamp', { revision: 2 }), 'Get r2 "dim"');
      await expectSaid(b.set('lamp', 'off', cmprev(2)), 'NotSet r2');
      await expectSaid(b.set('lamp', 'off'), 'Set r3');
      await expectRead(b.get('lamp', { revision: 1 }), 'Get r1 "on"');
    },
  },
  {
    title: 'keyvalues:§8.1 what each kind of read says of expiry and last modification',
    durabilities: both,
    run: async b => {
      const first = await b.set('k', 'v', { expiresMs: LONG_MS });
      const extended = await b.extend('k', 2 * LONG_MS);
      const expires = { ...extended.lastModified, l: extended.lastModified.l + 2 * LONG_MS };
      expect(await b.get('k')).toMatchObject({ type: Type.Get, expires, lastModified: extended.lastModified });
      expect(await b.exists('k')).toMatchObject({ type: Type.Exists, expires, lastModified: extended.lastModified });
      expect(await b.get('k', { revision: 0 })).toMatchObject({ type: Type.Get, expires: ZERO, lastModified: ZERO });
      const asOf = { type: Type.Get, expires, lastModified: first.lastModified };
      expect(await b.get('k', { readTimestamp: extended.lastModified })).toMatchObject(asOf);
      await b.delete('k');
      for (const miss of [await b.get('k'), await b.get('k', { revision: 7 }), await b.get('never')]) {
        expect(miss).toMatchObject({ type: Type.DoesNotExist, value: null, expires: ZERO, lastModified: ZERO });
      }
    },
  },
  {
    title: 'keyvalues:§8.3 a time before all times is refused',
    durabilities: both,
    run: async b => {
      await b.set('k', 'v');
      await expectSaid(b.get('k', { readTimestamp: { n: 0, l: -1, c: 0 } }), 'InvalidInput');
      await expectSaid(b.exists('k', { readTimestamp: { n: 0, l: -1, c: 0 } }), 'InvalidInput');
    },
  },
];

export const KEY_VALUE_CASES: readonly Case[] = [...keysAndValues, ...revisions, ...endings, ...history, ...many, ...examples];
