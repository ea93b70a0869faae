import { expect } from 'vitest';
import {
  type AllocationAnswer,
  type CreateOptions,
  type Entry,
  type EntryAnswer,
  type SequenceApi,
  SequenceType,
} from '../clients/sequence-api.ts';
import { sleep } from '../harness/processes.ts';

/** What a case works with: the operations over one transport, and a sequence name that no other run of it uses. */
export interface SequenceBench {
  readonly api: SequenceApi;
  readonly name: string;
  create(options?: CreateOptions): Promise<EntryAnswer>;
  next(key?: string): Promise<AllocationAnswer>;
  reserve(count: number, key?: string): Promise<AllocationAnswer>;
  /** The entry as get answers it. */
  entry(): Promise<Entry>;
}

export interface SequenceCase {
  /** `sequences:<number>` and what it says. */
  readonly title: string;
  run(bench: SequenceBench): Promise<void>;
}

export function sequenceBench(api: SequenceApi, name: string): SequenceBench {
  return {
    api,
    name,
    create: options => api.create(name, options),
    next: key => api.next(name, key),
    reserve: (count, key) => api.reserve(name, count, key),
    entry: async () => {
      const { type, entry } = await api.get(name);
      expect(type).toBe(SequenceType.Success);
      return entry as Entry;
    },
  };
}

const NAMES = new Map<number, string>(Object.entries(SequenceType).map(([name, number]) => [number, name]));

/** An allocation as the specification writes it: `1`, `2..601`, `MaxValueExceeded`. */
export function issued(answer: AllocationAnswer): string {
  if (answer.type !== SequenceType.Success) return NAMES.get(answer.type) ?? `type ${answer.type}`;
  return answer.count === 1 && answer.start === answer.end ? `${answer.start}` : `${answer.start}..${answer.end}`;
}

export async function expectIssued(answer: Promise<AllocationAnswer>, wanted: string): Promise<AllocationAnswer> {
  const got = await answer;
  expect(issued(got)).toBe(wanted);
  return got;
}

/** An answer about the entry as the specification writes it: `Success r0`, `AlreadyExists`. */
export async function expectEntry(answer: Promise<EntryAnswer>, wanted: string): Promise<EntryAnswer> {
  const got = await answer;
  const name = NAMES.get(got.type) ?? `type ${got.type}`;
  expect(got.type === SequenceType.Success ? `${name} r${got.revision}` : name).toBe(wanted);
  return got;
}

const ONE_BY_ONE = { blockSize: 1 } as const;

const creating: readonly SequenceCase[] = [
  {
    title: 'sequences:C1 the entry of a sequence created with defaults',
    run: async b => {
      await expectEntry(b.create(), 'Success r0');
      const { createdAt, updatedAt, ...entry } = await b.entry();
      expect(entry).toEqual({
        name: b.name,
        currentValue: 0n,
        initialValue: 0n,
        increment: 1n,
        maxValue: null,
        blockSize: null,
        incarnation: 0n,
        revision: 0n,
        durability: 1,
      });
      expect(updatedAt).toEqual(createdAt);
      expect(createdAt.l).toBeGreaterThan(0);
    },
  },
  {
    title: 'sequences:C2 initial value and increment',
    run: async b => {
      await expectEntry(b.create({ initialValue: 10n, increment: 2n }), 'Success r0');
      expect(await b.entry()).toMatchObject({ initialValue: 10n, increment: 2n });
      await expectIssued(b.next(), '12');
    },
  },
  {
    title: 'sequences:C3 a name that is taken',
    run: async b => {
      await b.create();
      const before = await b.entry();
      for (const options of [{}, { increment: 7n }]) {
        const again = await expectEntry(b.create(options), 'AlreadyExists');
        expect(again.revision).toBe(-1n);
      }
      expect(await b.entry()).toEqual(before);
    },
  },
  {
    title: 'sequences:C4 sequences:C5 sequences:C7 parameters that make no sequence',
    run: async b => {
      for (const options of [
        { increment: 0n },
        { increment: -1n },
        { initialValue: 5n, maxValue: 4n },
        { blockSize: 0 },
        { blockSize: -3 },
      ]) {
        await expectEntry(b.create(options), 'InvalidInput');
      }
      await expectEntry(b.api.get(b.name), 'NotFound');
    },
  },
  {
    title: 'sequences:C6 a sequence without room',
    run: async b => {
      await expectEntry(b.create({ initialValue: 5n, maxValue: 5n }), 'Success r0');
      await expectIssued(b.next(), 'MaxValueExceeded');
    },
  },
  {
    title: 'sequences:C8 a block size of its own',
    run: async b => {
      await b.create(ONE_BY_ONE);
      expect(await b.entry()).toMatchObject({ blockSize: 1, incarnation: 0n });
    },
  },
  {
    title: 'sequences:C9 names that are refused by every operation',
    run: async ({ api }) => {
      for (const name of ['', '   ', 'n'.repeat(1025), '__kahuna:sequences:a']) {
        await expectEntry(api.create(name), 'InvalidInput');
        await expectEntry(api.get(name), 'InvalidInput');
        await expectEntry(api.update(name, { currentValue: 1n }), 'InvalidInput');
        await expectEntry(api.delete(name), 'InvalidInput');
        await expectIssued(api.next(name), 'InvalidInput');
        await expectIssued(api.reserve(name, 2), 'InvalidInput');
      }
    },
  },
  {
    title: 'sequences:C10 a name of 1,024 characters',
    run: async ({ api, name }) => void (await expectEntry(api.create(name.padEnd(1024, 'n')), 'Success r0')),
  },
  {
    title: 'sequences:C11 sequences:C12 names are trimmed, and case-sensitive',
    run: async ({ api, name }) => {
      await expectEntry(api.create(`  ${name}Lot  `), 'Success r0');
      expect((await api.get(`${name}Lot`)).entry?.name).toBe(`${name}Lot`);
      await expectEntry(api.get(`${name}lot`), 'NotFound');
    },
  },
  {
    title: 'sequences:C14 a name that is missing',
    run: async b => {
      const get = await expectEntry(b.api.get(b.name), 'NotFound');
      expect(get.revision).toBe(-1n);
      await expectIssued(b.next(), 'NotFound');
      await expectIssued(b.reserve(5), 'NotFound');
      const gone = await expectEntry(b.api.delete(b.name), 'NotFound');
      expect(gone.revision).toBe(0n);
      await expectEntry(b.api.update(b.name, { currentValue: 1n }), 'NotFound');
    },
  },
  {
    title: 'sequences:C15 a sequence is deleted once',
    run: async b => {
      await b.create();
      await expectEntry(b.api.delete(b.name), 'Success r0');
      await expectEntry(b.api.delete(b.name), 'NotFound');
    },
  },
  {
    title: 'sequences:C16 sequences:R3 a sequence created again begins by its own parameters, its revision goes on',
    run: async b => {
      await b.create(ONE_BY_ONE);
      for (let i = 1; i <= 7; i++) await expectIssued(b.next(), `${i}`);
      await b.api.delete(b.name);
      await expectEntry(b.create({ initialValue: 100n }), 'Success r8');
      expect(await b.entry()).toMatchObject({ incarnation: 0n, revision: 8n });
      await expectIssued(b.next(), '101');
    },
  },
  {
    title: 'sequences:C18 of fifty creates at once one takes effect',
    run: async b => {
      const answers = await Promise.all(Array.from({ length: 50 }, () => b.create()));
      const types = answers.map(answer => answer.type);
      expect(types.filter(type => type === SequenceType.Success)).toHaveLength(1);
      expect(types.filter(type => type === SequenceType.AlreadyExists)).toHaveLength(49);
    },
  },
];

const allocating: readonly SequenceCase[] = [
  {
    title: 'sequences:N1 sequences:N7 the first values, and the mark ahead of them',
    run: async b => {
      await b.create();
      for (const value of ['1', '2', '3', '4']) {
        const answer = await expectIssued(b.next(), value);
        expect(answer).toMatchObject({ count: 1, revision: 1n });
      }
      expect(await b.entry()).toMatchObject({ currentValue: 1000n, revision: 1n });
    },
  },
  {
    title: 'sequences:N2 sequences:N4 runs in steps of the increment',
    run: async b => {
      await b.create({ increment: 5n });
      for (const value of ['5', '10', '15']) await expectIssued(b.next(), value);
      const run = await expectIssued(b.reserve(4), '20..35');
      expect(run.count).toBe(4);
    },
  },
  {
    title: 'sequences:N3 a run, then the value behind it',
    run: async b => {
      await b.create();
      await expectIssued(b.reserve(10), '1..10');
      await expectIssued(b.next(), '11');
    },
  },
  {
    title: 'sequences:N5 a run of nothing or less',
    run: async b => {
      await b.create();
      const before = await b.entry();
      await expectIssued(b.reserve(0), 'InvalidInput');
      await expectIssued(b.reserve(-1), 'InvalidInput');
      expect(await b.entry()).toEqual(before);
    },
  },
  {
    title: 'sequences:N8 with blocks of one the mark is the last value',
    run: async b => {
      await b.create(ONE_BY_ONE);
      for (let i = 1; i <= 4; i++) expect(await b.next()).toMatchObject({ start: BigInt(i), revision: BigInt(i) });
      expect(await b.entry()).toMatchObject({ currentValue: 4n, revision: 4n });
    },
  },
  {
    title: 'sequences:N11 runs and single values never overlap',
    run: async b => {
      await b.create();
      const clients = Array.from({ length: 16 }, async (_, client) => {
        const mine: AllocationAnswer[] = [];
        for (let i = 0; i < 30; i++) mine.push(await (i % 2 === 0 ? b.next() : b.reserve(1 + ((client * 7 + i) % 50))));
        return mine;
      });
      const runs = (await Promise.all(clients)).flat().sort((a, c) => Number(a.start - c.start));
      for (const [i, run] of runs.entries()) {
        expect(run.end - run.start).toBe(BigInt(run.count - 1));
        if (i > 0) expect(run.start).toBeGreaterThan((runs[i - 1] as AllocationAnswer).end);
      }
    },
  },
  {
    title: 'sequences:N12 the maximum',
    run: async b => {
      await b.create({ maxValue: 2n });
      for (const value of ['1', '2', 'MaxValueExceeded', 'MaxValueExceeded']) await expectIssued(b.next(), value);
    },
  },
  {
    title: 'sequences:N13 a run that does not fit consumes nothing',
    run: async b => {
      await b.create({ ...ONE_BY_ONE, initialValue: 98n, maxValue: 100n });
      await expectIssued(b.reserve(5), 'MaxValueExceeded');
      await expectIssued(b.reserve(2), '99..100');
      await expectIssued(b.next(), 'MaxValueExceeded');
    },
  },
  {
    title: 'sequences:N15 a value asked for after another was answered is greater, on whichever node',
    run: async b => {
      await b.create();
      let last = 0n;
      for (let i = 0; i < 20; i++) {
        const { start } = await b.next();
        expect(start).toBeGreaterThan(last);
        last = start;
      }
    },
  },
];

interface Example {
  readonly name: string;
  readonly options: CreateOptions;
  /** Count of each call, and what it answers; 1 = next. */
  readonly calls: readonly (readonly [number, string])[];
  readonly mark?: bigint;
}

/** sequences §10. */
const EXAMPLES: readonly Example[] = [
  {
    name: 'tick',
    options: {},
    calls: [
      [1, '1'],
      [1, '2'],
      [1, '3'],
    ],
    mark: 1000n,
  },
  {
    name: 'inv',
    options: { initialValue: 100n, increment: 10n, blockSize: 1 },
    calls: [
      [1, '110'],
      [3, '120..140'],
      [1, '150'],
    ],
    mark: 150n,
  },
  {
    name: 'neg',
    options: { initialValue: -5n, increment: 2n },
    calls: [
      [1, '-3'],
      [1, '-1'],
      [1, '1'],
      [1, '3'],
    ],
  },
  {
    name: 'cap',
    options: { maxValue: 3n },
    calls: [
      [1, '1'],
      [1, '2'],
      [1, '3'],
      [1, 'MaxValueExceeded'],
    ],
  },
  {
    name: 'cap2',
    options: { increment: 4n, maxValue: 10n },
    calls: [
      [1, '4'],
      [1, '8'],
      [1, 'MaxValueExceeded'],
    ],
    mark: 8n,
  },
  {
    name: 'big',
    options: {},
    calls: [
      [1, '1'],
      [600, '2..601'],
      [600, '1001..1600'],
      [1, '1601'],
    ],
  },
  {
    name: 'big2',
    options: {},
    calls: [
      [1, '1'],
      [1500, '1001..2500'],
      [1, '2501'],
    ],
    mark: 3500n,
  },
  {
    name: 'tail',
    options: { maxValue: 2000n },
    calls: [
      [1, '1'],
      [1500, 'MaxValueExceeded'],
      [1, '2'],
    ],
  },
  {
    name: 'ten',
    options: { maxValue: 10n },
    calls: [
      [1, '1'],
      [10, 'MaxValueExceeded'],
      [9, '2..10'],
      [1, 'MaxValueExceeded'],
    ],
  },
  {
    name: 'top',
    options: { initialValue: 9223372036854775806n },
    calls: [
      [1, '9223372036854775807'],
      [1, 'MaxValueExceeded'],
    ],
  },
];

const examples = EXAMPLES.map(
  ({ name, options, calls, mark }): SequenceCase => ({
    title: `sequences:N6 the worked example ${name}`,
    run: async b => {
      await expectEntry(b.create(options), 'Success r0');
      for (const [count, wanted] of calls) await expectIssued(count === 1 ? b.next() : b.reserve(count), wanted);
      if (mark !== undefined) expect((await b.entry()).currentValue).toBe(mark);
    },
  }),
);

const keyed: readonly SequenceCase[] = [
  {
    title: 'sequences:I1 a key has one value',
    run: async b => {
      await b.create();
      for (const value of ['1', '1']) await expectIssued(b.next('q1'), value);
      await expectIssued(b.next(), '2');
    },
  },
  {
    title: 'sequences:I2 sequences:I4 a key has one run, of one length',
    run: async b => {
      await b.create();
      const first = await expectIssued(b.reserve(5, 'q4'), '1..5');
      expect(await b.reserve(5, 'q4')).toEqual(first);
      await expectIssued(b.reserve(6, 'q4'), 'InvalidInput');
      await expectIssued(b.next('q4'), 'InvalidInput');
      await expectIssued(b.next(), '6');
    },
  },
  {
    title: 'sequences:I3 sequences:I5 next is reserve of one, and keys are trimmed',
    run: async b => {
      await b.create();
      await expectIssued(b.next('q3'), '1');
      await expectIssued(b.reserve(1, 'q3'), '1');
      await expectIssued(b.next('  q3 '), '1');
    },
  },
  {
    title: 'sequences:I6 a blank key is none',
    run: async b => {
      await b.create();
      await expectIssued(b.next(''), '1');
      await expectIssued(b.next('   '), '2');
    },
  },
  {
    title: 'sequences:I7 the length of a key counts in bytes',
    run: async b => {
      await b.create();
      await expectIssued(b.next('k'.repeat(1024)), '1');
      await expectIssued(b.next('k'.repeat(1025)), 'InvalidInput');
      await expectIssued(b.next('€'.repeat(400)), 'InvalidInput');
    },
  },
  {
    title: 'sequences:I12 keys of two sequences are independent',
    run: async ({ api, name }) => {
      for (const suffix of ['s1', 's2']) await api.create(`${name}${suffix}`, { initialValue: suffix === 's1' ? 0n : 500n });
      await expectIssued(api.next(`${name}s1`, 'z'), '1');
      await expectIssued(api.next(`${name}s2`, 'z'), '501');
    },
  },
  {
    title: 'sequences:I13 a sequence created again has forgotten its keys',
    run: async b => {
      await b.create();
      await expectIssued(b.next('k'), '1');
      await b.api.delete(b.name);
      await b.create({ initialValue: 70n });
      await expectIssued(b.next('k'), '71');
    },
  },
  {
    title: 'sequences:I14 a failed allocation does not use up its key',
    run: async b => {
      await b.create({ maxValue: 1n });
      await expectIssued(b.next(), '1');
      await expectIssued(b.next('m1'), 'MaxValueExceeded');
      await expectEntry(b.api.update(b.name, { removeMaxValue: true }), 'Success r2');
      await expectIssued(b.next('m1'), '2');
    },
  },
  {
    title: 'sequences:I15 twenty at once with one key: one value',
    run: async b => {
      await b.create(ONE_BY_ONE);
      const answers = await Promise.all(Array.from({ length: 20 }, () => b.next('same')));
      expect(new Set(answers.map(issued))).toEqual(new Set(['1']));
      await expectIssued(b.next(), '2');
    },
  },
];

const updating: readonly SequenceCase[] = [
  {
    title: 'sequences:U1 another value and another step',
    run: async b => {
      await b.create();
      await expectIssued(b.next(), '1');
      await expectEntry(b.api.update(b.name, { currentValue: 5000n, increment: 10n }), 'Success r2');
      expect(await b.entry()).toMatchObject({ currentValue: 5000n, increment: 10n, incarnation: 1n });
      await expectIssued(b.next(), '5010');
    },
  },
  {
    title: 'sequences:U2 a value set back issues values again',
    run: async b => {
      await b.create();
      for (const value of ['1', '2']) await expectIssued(b.next(), value);
      await b.api.update(b.name, { currentValue: 0n });
      await expectIssued(b.next(), '1');
    },
  },
  {
    title: 'sequences:U3 a new stream up to a maximum',
    run: async b => {
      await b.create({ blockSize: 4 });
      await expectIssued(b.next(), '1');
      await b.api.update(b.name, { currentValue: 100n, increment: 10n, maxValue: 130n });
      for (const value of ['110', '120', '130', 'MaxValueExceeded']) await expectIssued(b.next(), value);
    },
  },
  {
    title: 'sequences:U4 a maximum taken away',
    run: async b => {
      await b.create({ maxValue: 2n, blockSize: 2 });
      for (const value of ['1', '2', 'MaxValueExceeded']) await expectIssued(b.next(), value);
      await b.api.update(b.name, { removeMaxValue: true });
      expect((await b.entry()).maxValue).toBeNull();
      await expectIssued(b.next(), '3');
    },
  },
  {
    title: 'sequences:U5 maximum and block size, set and taken away',
    run: async b => {
      await b.create();
      await b.api.update(b.name, { maxValue: 1000n, blockSize: 4 });
      expect(await b.entry()).toMatchObject({ maxValue: 1000n, blockSize: 4, incarnation: 1n });
      await b.api.update(b.name, { removeMaxValue: true, removeBlockSize: true });
      expect(await b.entry()).toMatchObject({ maxValue: null, blockSize: null, incarnation: 2n });
    },
  },
  {
    title: 'sequences:U6 an update of nothing',
    run: async b => {
      await b.create();
      await expectEntry(b.api.update(b.name, {}), 'InvalidInput');
      await expectEntry(b.api.update(b.name, { removeMaxValue: false, removeBlockSize: false }), 'InvalidInput');
      expect((await b.entry()).incarnation).toBe(0n);
    },
  },
  {
    title: 'sequences:U7 updates that are refused change nothing',
    run: async b => {
      await b.create({ maxValue: 1000n });
      for (const changes of [
        { increment: 0n },
        { increment: -1n },
        { blockSize: 0 },
        { maxValue: 10n, removeMaxValue: true },
        { blockSize: 10, removeBlockSize: true },
        { maxValue: -5n },
      ]) {
        await expectEntry(b.api.update(b.name, changes), 'InvalidInput');
      }
      expect(await b.entry()).toMatchObject({ maxValue: 1000n, incarnation: 0n });
      await expectIssued(b.next(), '1');
    },
  },
  {
    title: 'sequences:U8 input is checked before the name is looked up',
    run: async b => {
      await expectEntry(b.api.update(b.name, { currentValue: 10n }), 'NotFound');
      await expectEntry(b.api.update(b.name, {}), 'InvalidInput');
    },
  },
  {
    title: 'sequences:U9 sequences:U10 what was reserved counts, and is skipped',
    run: async b => {
      await b.create();
      await expectIssued(b.next(), '1');
      await expectEntry(b.api.update(b.name, { maxValue: 500n }), 'InvalidInput');
      await expectEntry(b.api.update(b.name, { blockSize: 1 }), 'Success r2');
      await expectIssued(b.next(), '1001');
    },
  },
  {
    title: 'sequences:U11 the initial value is a note',
    run: async b => {
      await b.create();
      await b.api.update(b.name, { initialValue: 77n });
      expect((await b.entry()).initialValue).toBe(77n);
      await expectIssued(b.next(), '1');
    },
  },
  {
    title: 'sequences:U12 an update forgets the keys',
    run: async b => {
      await b.create();
      await expectIssued(b.next('w'), '1');
      await b.api.update(b.name, { currentValue: 7000n });
      await expectIssued(b.next('w'), '7001');
    },
  },
  {
    title: 'sequences:U13 no value of the old stream after the update was answered, none of the new one before it was sent',
    run: async b => {
      await b.create();
      const seen: { sentAt: number; answeredAt: number; value: bigint }[] = [];
      let running = true;
      const clients = Array.from({ length: 8 }, async () => {
        while (running) {
          const sentAt = performance.now();
          const { start } = await b.next();
          seen.push({ sentAt, answeredAt: performance.now(), value: start });
        }
      });
      while (seen.length < 50) await sleep(5);
      const sentAt = performance.now();
      await expectEntry(b.api.update(b.name, { currentValue: 1_000_000n }), 'Success r2');
      const answeredAt = performance.now();
      const before = seen.length;
      while (seen.length < before + 50) await sleep(5);
      running = false;
      await Promise.all(clients);
      expect(seen.filter(s => s.sentAt > answeredAt && s.value <= 1_000_000n)).toEqual([]);
      expect(seen.filter(s => s.answeredAt < sentAt && s.value > 1_000_000n)).toEqual([]);
      expect((await b.entry()).incarnation).toBe(1n);
    },
  },
  {
    title: 'sequences:U17 an update to the same value is one',
    run: async b => {
      await b.create();
      await expectEntry(b.api.update(b.name, { increment: 1n }), 'Success r1');
      expect((await b.entry()).incarnation).toBe(1n);
    },
  },
];

const revisions: readonly SequenceCase[] = [
  {
    title: 'sequences:R1 revisions with blocks of 1000',
    run: async b => {
      await expectEntry(b.create(), 'Success r0');
      expect(await b.next()).toMatchObject({ start: 1n, revision: 1n });
      expect(await b.reserve(5)).toMatchObject({ start: 2n, end: 6n, revision: 1n });
      expect(await b.entry()).toMatchObject({ revision: 1n, currentValue: 1000n });
      await expectEntry(b.api.update(b.name, { currentValue: 5000n }), 'Success r2');
      expect(await b.next()).toMatchObject({ start: 5001n, revision: 3n });
      await b.api.delete(b.name);
      await expectEntry(b.create(), 'Success r4');
    },
  },
  {
    title: 'sequences:R1 revisions with blocks of one',
    run: async b => {
      await expectEntry(b.create(ONE_BY_ONE), 'Success r0');
      expect(await b.next()).toMatchObject({ start: 1n, revision: 1n });
      expect(await b.reserve(5)).toMatchObject({ start: 2n, end: 6n, revision: 2n });
      expect(await b.entry()).toMatchObject({ revision: 2n, currentValue: 6n });
    },
  },
  {
    title: 'sequences:R2 keyed values out of the block move no revision',
    run: async b => {
      await b.create();
      for (let i = 1; i <= 10; i++) await expectIssued(b.next(`key ${i}`), `${i}`);
      expect((await b.entry()).revision).toBe(1n);
    },
  },
];

/** Cases of sequences §13 that hold on any node of a cluster that is well, with the server's default settings. */
export const SEQUENCE_CASES: readonly SequenceCase[] = [
  ...creating,
  ...allocating,
  ...examples,
  ...keyed,
  ...updating,
  ...revisions,
];
