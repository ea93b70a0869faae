import { expect } from 'vitest';
import { type LockAnswer, type LockApi, type LockInfo, LockType } from '../clients/lock-api.ts';
import { sleep } from '../harness/processes.ts';
import { LONG_MS, outlive, withinLifetime } from './case.ts';

/** What a case works with: the operations over one transport in one durability, with resources of its own. */
export interface LockBench {
  readonly api: LockApi;
  readonly durability: number;
  /** A resource of this case that no other run of it uses. */
  resource(name: string): string;
  acquire(owner: Buffer, expiresMs?: number, name?: string): Promise<LockAnswer>;
  extend(owner: Buffer, expiresMs: number, name?: string): Promise<LockAnswer>;
  unlock(owner: Buffer, name?: string): Promise<LockAnswer>;
  info(name?: string): Promise<LockInfo>;
}

export const A = Buffer.from('owner A');
export const B = Buffer.from('owner B');
/** A lease that an owner outlives by waiting. */
const SHORT_MS = 100;
/** Nobody is told later than this after the end of a lease that the lock is busy. */
const FREED_WITHIN_MS = 2000;

export function lockBench(api: LockApi, durability: number, prefix: string): LockBench {
  const resource = (name: string): string => `${prefix}${name}`;
  return {
    api,
    durability,
    resource,
    acquire: (owner, expiresMs = LONG_MS, name = 'door') => api.acquire(resource(name), owner, expiresMs, durability),
    extend: (owner, expiresMs, name = 'door') => api.extend(resource(name), owner, expiresMs, durability),
    unlock: (owner, name = 'door') => api.unlock(resource(name), owner, durability),
    info: (name = 'door') => api.info(resource(name), durability),
  };
}

export interface LockCase {
  /** `locks:<number>` and what it says. */
  readonly title: string;
  run(bench: LockBench): Promise<void>;
}

const NAMES = new Map<number, string>(Object.entries(LockType).map(([name, number]) => [number, name]));
const WITH_TOKEN: ReadonlySet<number> = new Set([LockType.Locked, LockType.Extended, LockType.Got]);

/** An answer as the specification writes it: `Locked f0`, `Busy`, `LockDoesNotExist`. */
export function lockSaid(answer: LockAnswer): string {
  const name = NAMES.get(answer.type) ?? `type ${answer.type}`;
  if (WITH_TOKEN.has(answer.type)) return `${name} f${answer.token}`;
  return answer.token === 0n ? name : `${name} with a token`;
}

export async function expectLock<T extends LockAnswer>(answer: Promise<T>, wanted: string): Promise<T> {
  const got = await answer;
  expect(lockSaid(got)).toBe(wanted);
  return got;
}

/** An acquire whose lease is over before the next call of this case. */
async function acquireAndOutlive(b: LockBench, owner: Buffer, wanted: string): Promise<void> {
  await expectLock(b.acquire(owner, SHORT_MS), wanted);
  await outlive(SHORT_MS);
}

const input: readonly LockCase[] = [
  {
    title: 'locks:I1 locks:I5 locks:I6 an empty resource is refused by every operation',
    run: async ({ api, durability }) => {
      await expectLock(api.acquire('', A, LONG_MS, durability), 'InvalidInput');
      await expectLock(api.extend('', A, LONG_MS, durability), 'InvalidInput');
      await expectLock(api.unlock('', A, durability), 'InvalidInput');
      await expectLock(api.info('', durability), 'InvalidInput');
    },
  },
  {
    title: 'locks:I2 locks:I5 an owner that is absent or of no bytes is refused',
    run: async ({ api, durability, resource }) => {
      for (const owner of [undefined, Buffer.alloc(0)]) {
        await expectLock(api.acquire(resource('r'), owner, LONG_MS, durability), 'InvalidInput');
        await expectLock(api.extend(resource('r'), owner, LONG_MS, durability), 'InvalidInput');
        await expectLock(api.unlock(resource('r'), owner, durability), 'InvalidInput');
      }
    },
  },
  {
    title: 'locks:I3 there is no eternal lock',
    run: async b => {
      await expectLock(b.acquire(A, 0), 'InvalidInput');
      await expectLock(b.acquire(A, -1), 'InvalidInput');
      await expectLock(b.info(), 'LockDoesNotExist');
    },
  },
  {
    title: 'locks:I4 an extension by nothing or less is refused and leaves the lease',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      const { expires } = await b.info();
      await expectLock(b.extend(A, 0), 'InvalidInput');
      await expectLock(b.extend(A, -7), 'InvalidInput');
      expect((await b.info()).expires).toEqual(expires);
    },
  },
  {
    title: 'locks:I7 a name with the reserved prefix of keys is an ordinary lock',
    run: async ({ api, durability, resource }) => {
      await expectLock(api.acquire(`__kahuna:x${resource('')}`, A, LONG_MS, durability), 'Locked f0');
    },
  },
  {
    title: 'locks:I8 owners are compared byte for byte',
    run: async b => {
      await expectLock(b.acquire(Buffer.from([0])), 'Locked f0');
      await expectLock(b.acquire(Buffer.from([0, 0])), 'Busy');
    },
  },
  {
    title: 'locks:I9 names are case-sensitive',
    run: async b => {
      await expectLock(b.acquire(A, LONG_MS, 'Door'), 'Locked f0');
      await expectLock(b.acquire(B, LONG_MS, 'door'), 'Locked f0');
    },
  },
  {
    title: 'locks:I11 an unknown durability',
    run: async ({ api, resource }) => {
      await expectLock(api.acquire(resource('r'), A, LONG_MS, 5), 'InvalidInput');
      await expectLock(api.extend(resource('r'), A, LONG_MS, 5), 'InvalidInput');
      await expectLock(api.unlock(resource('r'), A, 5), 'InvalidInput');
      await expectLock(api.info(resource('r'), 5), 'InvalidInput');
    },
  },
];

const acquiring: readonly LockCase[] = [
  {
    title: 'locks:A1 the first grant has the token 0',
    run: async b => void (await expectLock(b.acquire(A), 'Locked f0')),
  },
  {
    title: 'locks:A2 a lock that is held is busy for another owner, and its lease stays',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      const { expires } = await b.info();
      await expectLock(b.acquire(B), 'Busy');
      expect(await b.info()).toMatchObject({ owner: A, expires });
    },
  },
  {
    title: 'locks:A3 locks:F8 acquiring again by the holder answers the same grant and does not prolong it',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      const { expires } = await b.info();
      await expectLock(b.acquire(A, 2 * LONG_MS), 'Locked f0');
      expect((await b.info()).expires).toEqual(expires);
    },
  },
  {
    title: 'locks:A4 the same owner gets a new grant after it unlocked',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.acquire(A), 'Locked f1');
    },
  },
  {
    title: 'locks:A5 another owner gets the next token',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:A6 an expired lease is free for another owner',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:A7 an expired lease is a new grant for its own owner too',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.acquire(A), 'Locked f1');
    },
  },
  {
    title: 'locks:A8 a hundred grants have a hundred tokens in order',
    run: async b => {
      for (let i = 0; i < 100; i++) {
        const owner = Buffer.from(`owner ${i}`);
        await expectLock(b.acquire(owner), `Locked f${i}`);
        await expectLock(b.unlock(owner), 'Unlocked');
      }
    },
  },
  {
    title: 'locks:A9 of fifty owners at once exactly one is granted the lock',
    run: async b => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => b.acquire(Buffer.from(`owner ${i}`))));
      expect(answers.map(lockSaid).sort()).toEqual([...Array.from({ length: 49 }, () => 'Busy'), 'Locked f0']);
    },
  },
  {
    title: 'locks:A10 twenty workers count under the lock: nothing is lost, every token is new and greater',
    run: async b => {
      let counter = 0;
      const tokens: bigint[] = [];
      const worker = async (_: unknown, number: number): Promise<void> => {
        const owner = Buffer.from(`worker ${number}`);
        for (let round = 0; round < 20; round++) {
          let askedAt = performance.now();
          let grant = await b.acquire(owner);
          while (grant.type === LockType.Busy) {
            // Each another time, and together often enough that the lock is hardly ever free.
            await sleep(Math.min(500, (performance.now() - askedAt) * (1 + ((number * 7 + round * 13) % 40))));
            askedAt = performance.now();
            grant = await b.acquire(owner);
          }
          expect(lockSaid(grant)).toMatch(/^Locked/);
          const read = counter;
          await sleep(0);
          counter = read + 1;
          tokens.push(grant.token);
          await expectLock(b.unlock(owner), 'Unlocked');
        }
      };
      await Promise.all(Array.from({ length: 20 }, worker));
      expect(counter).toBe(400);
      expect(tokens).toEqual(Array.from({ length: 400 }, (_, i) => BigInt(i)));
    },
  },
  {
    title: 'locks:A11 calls that fail cost no token',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      for (let i = 0; i < 10; i++) {
        await expectLock(b.acquire(B), 'Busy');
        await expectLock(b.extend(B, LONG_MS), 'InvalidOwner');
        await expectLock(b.unlock(B), 'InvalidOwner');
      }
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:A12 locks:G4 the lock of the same name in the other durability is another lock',
    run: async ({ api, durability, resource }) => {
      await expectLock(api.acquire(resource('r'), A, LONG_MS, durability), 'Locked f0');
      await expectLock(api.info(resource('r'), 1 - durability), 'LockDoesNotExist');
      await expectLock(api.acquire(resource('r'), B, LONG_MS, 1 - durability), 'Locked f0');
    },
  },
  {
    title: 'locks:A13 a client that polls gets the lock when the lease ends, not before',
    run: async b => {
      const began = performance.now();
      await expectLock(b.acquire(A, 1000), 'Locked f0');
      const granted = performance.now();
      for (;;) {
        const asked = performance.now();
        const answer = await b.acquire(B);
        if (lockSaid(answer) === 'Locked f1') break;
        expect(lockSaid(answer)).toBe('Busy');
        expect(asked - granted).toBeLessThan(1000 + FREED_WITHIN_MS);
        await sleep(50);
      }
      expect(performance.now() - began).toBeGreaterThanOrEqual(1000);
    },
  },
  {
    title: 'locks:A14 a lease of one millisecond',
    run: async b => {
      await expectLock(b.acquire(A, 1), 'Locked f0');
      await outlive(1);
      await expectLock(b.info(), 'LockDoesNotExist');
    },
  },
];

const extending: readonly LockCase[] = [
  {
    title: 'locks:E1 extending keeps the token and counts from now',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.extend(A, LONG_MS), 'Extended f0');
      const first = await b.info();
      await sleep(5);
      await expectLock(b.extend(A, LONG_MS), 'Extended f0');
      expect((await b.info()).expires.l).toBeGreaterThan(first.expires.l);
    },
  },
  {
    title: 'locks:E2 an extended lease outlives the first one',
    run: async b => {
      const { name, leaseMs, extension } = await withinLifetime(async leaseMs => {
        const name = `door-${leaseMs}`;
        await expectLock(b.acquire(A, leaseMs, name), 'Locked f0');
        return { name, leaseMs, extension: await b.extend(A, LONG_MS, name) };
      });
      expect(lockSaid(extension)).toBe('Extended f0');
      await outlive(leaseMs);
      const info = await expectLock(b.info(name), 'Got f0');
      expect(info.owner).toEqual(A);
      await expectLock(b.acquire(B, LONG_MS, name), 'Busy');
    },
  },
  {
    title: 'locks:E3 extending may shorten',
    run: async b => {
      await expectLock(b.acquire(A, LONG_MS), 'Locked f0');
      await expectLock(b.extend(A, SHORT_MS), 'Extended f0');
      await outlive(SHORT_MS);
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:E4 locks:U3 locks:G1 a name never acquired',
    run: async b => {
      await expectLock(b.extend(A, LONG_MS), 'LockDoesNotExist');
      await expectLock(b.unlock(A), 'LockDoesNotExist');
      const info = await expectLock(b.info(), 'LockDoesNotExist');
      expect(info).toMatchObject({ owner: null, expires: { n: 0, l: 0, c: 0 } });
    },
  },
  {
    title: 'locks:E5 a released lock cannot be extended',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.extend(A, LONG_MS), 'LockDoesNotExist');
    },
  },
  {
    title: 'locks:E6 locks:E7 locks:G3 an expired lease can be extended by nobody, and shows nobody',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.extend(A, LONG_MS), 'LockDoesNotExist');
      await expectLock(b.extend(B, LONG_MS), 'LockDoesNotExist');
      await expectLock(b.info(), 'LockDoesNotExist');
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:E8 another owner cannot extend',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      const { expires } = await b.info();
      await expectLock(b.extend(B, LONG_MS), 'InvalidOwner');
      expect(await b.info()).toMatchObject({ owner: A, expires });
    },
  },
  {
    title: 'locks:E9 locks:U7 the former owner can neither extend nor unlock what another has now',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.acquire(B), 'Locked f1');
      const { expires } = await b.info();
      await expectLock(b.extend(A, LONG_MS), 'InvalidOwner');
      await expectLock(b.unlock(A), 'InvalidOwner');
      const info = await expectLock(b.info(), 'Got f1');
      expect(info).toMatchObject({ owner: B, expires });
    },
  },
];

const unlocking: readonly LockCase[] = [
  {
    title: 'locks:U1 locks:U2 an unlock works once',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.info(), 'LockDoesNotExist');
      await expectLock(b.unlock(A), 'LockDoesNotExist');
    },
  },
  {
    title: 'locks:U4 another owner cannot unlock',
    run: async b => {
      await expectLock(b.acquire(A), 'Locked f0');
      await expectLock(b.unlock(B), 'InvalidOwner');
      await expectLock(b.info(), 'Got f0');
    },
  },
  {
    title: 'locks:U5 locks:U8 the owner may unlock after its lease ran out, and that costs no token',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.unlock(A), 'Unlocked');
      await expectLock(b.acquire(B), 'Locked f1');
    },
  },
  {
    title: 'locks:U6 nobody else may unlock an expired lock',
    run: async b => {
      await acquireAndOutlive(b, A, 'Locked f0');
      await expectLock(b.unlock(B), 'InvalidOwner');
    },
  },
  {
    title: 'locks:G2 get info tells owner, end of the lease and token',
    run: async b => {
      for (let i = 0; i < 3; i++) {
        await expectLock(b.acquire(B), `Locked f${i}`);
        await expectLock(b.unlock(B), 'Unlocked');
      }
      await expectLock(b.acquire(A), 'Locked f3');
      const info = await expectLock(b.info(), 'Got f3');
      expect(info.owner).toEqual(A);
      expect(info.expires.l).toBeGreaterThan(Date.now());
    },
  },
  {
    title: 'locks:G5 owner bytes come back as they were',
    run: async b => {
      const owner = Buffer.from([0x00, 0xff, 0x80, 0x41]);
      await expectLock(b.acquire(owner), 'Locked f0');
      expect((await b.info()).owner).toEqual(owner);
    },
  },
];

/** Cases of locks §12 that hold in both durabilities on any node of a cluster that is well. */
export const LOCK_CASES: readonly LockCase[] = [...input, ...acquiring, ...extending, ...unlocking];
