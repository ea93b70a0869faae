import { HLC_ZERO } from '@kahuna/base';
import {
  Durability,
  type OperationResult,
  type SequenceAllocation,
  type SequenceCreate,
  type SequenceEntry,
  type SequenceReserve,
  SequenceResponseType,
  type SequenceUpdate,
} from '@kahuna/partition';
import { sequenceStorageKey } from '@kahuna/range-router';
import { beforeAll, describe, expect, test } from 'vitest';
import { QUICK_SETTINGS } from '../world/cluster.ts';
import { AcceptanceWorld } from './acceptance-world.ts';

/** Acceptance cases of sequences §13 against three production nodes. */

const NAMES = new Map<number, string>(Object.entries(SequenceResponseType).map(([name, number]) => [number, name]));

/** `5` or `1..10` for an allocation; the type's name for everything else. */
function show(result: OperationResult): string {
  if (result.type !== SequenceResponseType.Success) return NAMES.get(result.type) as string;
  const { detail } = result;
  if (detail?.kind !== 'sequence-allocation') return `Success r${result.revision}`;
  return detail.count === 1 ? `${detail.start}` : `${detail.start}..${detail.end}`;
}

function allocationOf(result: OperationResult): SequenceAllocation {
  expect(result.detail?.kind).toBe('sequence-allocation');
  return result.detail as SequenceAllocation;
}

type Parameters = Partial<Omit<SequenceCreate, 'kind' | 'key'>>;
type Changes = Partial<Omit<SequenceUpdate, 'kind' | 'key'>>;

const NO_CHANGES: Required<Changes> = {
  currentValue: undefined,
  increment: undefined,
  initialValue: undefined,
  maxValue: undefined,
  removeMaxValue: false,
  blockSize: undefined,
  removeBlockSize: false,
};

class SequenceUnderTest {
  readonly world: AcceptanceWorld;
  readonly name: string;

  constructor(world: AcceptanceWorld, name = world.fresh('sequence')) {
    this.world = world;
    this.name = name;
  }

  create(parameters: Parameters = {}): string {
    return show(this.world.ask(this.creation(parameters)));
  }

  creation(parameters: Parameters = {}): SequenceCreate {
    const defaults = { initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: undefined };
    return { kind: 'sequence-create', key: this.name, ...defaults, ...parameters };
  }

  get(node = 1): OperationResult {
    return this.world.ask({ kind: 'sequence-get', key: this.name }, node);
  }

  entry(node = 1): SequenceEntry {
    const answer = this.get(node);
    expect(show(answer)).toMatch(/^Success/);
    return answer.detail as SequenceEntry;
  }

  reservation(count = 1, idempotencyKey = ''): SequenceReserve {
    return { kind: 'sequence-reserve', key: this.name, count, idempotencyKey };
  }

  reserve(count = 1, idempotencyKey = '', node = 1): OperationResult {
    return this.world.ask(this.reservation(count, idempotencyKey), node);
  }

  next(key = '', node = 1): string {
    return show(this.reserve(1, key, node));
  }

  update(changes: Changes): string {
    return show(this.world.ask({ kind: 'sequence-update', key: this.name, ...NO_CHANGES, ...changes }));
  }

  delete(): string {
    return show(this.world.ask({ kind: 'sequence-delete', key: this.name }));
  }

  get partition(): number {
    return this.world.partitionOf(sequenceStorageKey(this.name));
  }
}

/** One step of a script: a question and the answer to it. */
type Step = readonly [ask: (s: SequenceUnderTest) => string, answer: string];
const next =
  (key = '') =>
  (s: SequenceUnderTest): string =>
    s.next(key);
const reserve =
  (count: number, key = '') =>
  (s: SequenceUnderTest): string =>
    show(s.reserve(count, key));
const create =
  (parameters: Parameters = {}) =>
  (s: SequenceUnderTest): string =>
    s.create(parameters);
const update =
  (changes: Changes) =>
  (s: SequenceUnderTest): string =>
    s.update(changes);
const remove =
  () =>
  (s: SequenceUnderTest): string =>
    s.delete();
const get = () => (s: SequenceUnderTest) => show(s.get());
const mark = () => (s: SequenceUnderTest) => `${s.entry().currentValue} r${s.entry().revision}`;
const B1: Parameters = { blockSize: 1 };
const MAX = 'MaxValueExceeded';

const CASES: readonly (readonly [id: string, steps: readonly Step[]])[] = [
  // 13.1
  [
    'C2',
    [
      [create({ initialValue: 10n, increment: 2n }), 'Success r0'],
      [next(), '12'],
    ],
  ],
  [
    'C3',
    [
      [create(), 'Success r0'],
      [create({ initialValue: 5n }), 'AlreadyExists'],
      [next(), '1'],
    ],
  ],
  [
    'C4',
    [
      [create({ increment: 0n }), 'InvalidInput'],
      [create({ increment: -1n }), 'InvalidInput'],
      [get(), 'NotFound'],
    ],
  ],
  ['C5', [[create({ initialValue: 5n, maxValue: 4n }), 'InvalidInput']]],
  [
    'C6',
    [
      [create({ initialValue: 5n, maxValue: 5n }), 'Success r0'],
      [next(), MAX],
    ],
  ],
  [
    'C7',
    [
      [create({ blockSize: 0 }), 'InvalidInput'],
      [create({ blockSize: -3 }), 'InvalidInput'],
    ],
  ],
  [
    'C14',
    [
      [get(), 'NotFound'],
      [next(), 'NotFound'],
      [reserve(3), 'NotFound'],
      [remove(), 'NotFound'],
      [update({ currentValue: 1n }), 'NotFound'],
      [next('k'), 'NotFound'],
    ],
  ],
  [
    'C15',
    [
      [create(), 'Success r0'],
      [remove(), 'Success r0'],
      [remove(), 'NotFound'],
    ],
  ],
  [
    'C16',
    [
      [create(B1), 'Success r0'],
      [reserve(7), '1..7'],
      [remove(), 'Success r0'],
      [next(), 'NotFound'],
      [create({ initialValue: 100n }), 'Success r2'],
      [next(), '101'],
    ],
  ],
  // 13.2
  [
    'N1',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [next(), '3'],
    ],
  ],
  [
    'N2',
    [
      [create({ increment: 5n }), 'Success r0'],
      [next(), '5'],
      [next(), '10'],
      [next(), '15'],
    ],
  ],
  [
    'N3',
    [
      [create(), 'Success r0'],
      [reserve(10), '1..10'],
      [next(), '11'],
    ],
  ],
  [
    'N4',
    [
      [create({ increment: 3n }), 'Success r0'],
      [reserve(4), '3..12'],
    ],
  ],
  [
    'N5',
    [
      [create(), 'Success r0'],
      [reserve(0), 'InvalidInput'],
      [reserve(-1), 'InvalidInput'],
      [mark(), '0 r0'],
    ],
  ],
  [
    'N6 tick',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [next(), '3'],
      [mark(), '1000 r1'],
    ],
  ],
  [
    'N6 inv',
    [
      [create({ initialValue: 100n, increment: 10n, blockSize: 1 }), 'Success r0'],
      [next(), '110'],
      [reserve(3), '120..140'],
      [next(), '150'],
      [mark(), '150 r3'],
    ],
  ],
  [
    'N6 neg',
    [
      [create({ initialValue: -5n, increment: 2n }), 'Success r0'],
      [next(), '-3'],
      [next(), '-1'],
      [next(), '1'],
      [next(), '3'],
    ],
  ],
  [
    'N6 cap',
    [
      [create({ maxValue: 3n }), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [next(), '3'],
      [next(), MAX],
    ],
  ],
  [
    'N6 cap2',
    [
      [create({ increment: 4n, maxValue: 10n }), 'Success r0'],
      [next(), '4'],
      [next(), '8'],
      [next(), MAX],
      [mark(), '8 r1'],
    ],
  ],
  [
    'N6 big',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [reserve(600), '2..601'],
      [reserve(600), '1001..1600'],
      [next(), '1601'],
      [mark(), '2000 r2'],
    ],
  ],
  [
    'N6 big2',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [reserve(1500), '1001..2500'],
      [next(), '2501'],
      [mark(), '3500 r3'],
    ],
  ],
  [
    'N6 tail',
    [
      [create({ maxValue: 2000n }), 'Success r0'],
      [next(), '1'],
      [reserve(1500), MAX],
      [next(), '2'],
    ],
  ],
  [
    'N6 ten',
    [
      [create({ maxValue: 10n }), 'Success r0'],
      [next(), '1'],
      [reserve(10), MAX],
      [reserve(9), '2..10'],
      [next(), MAX],
    ],
  ],
  [
    'N6 top',
    [
      [create({ initialValue: 9223372036854775806n }), 'Success r0'],
      [next(), '9223372036854775807'],
      [next(), MAX],
    ],
  ],
  [
    'N8',
    [
      [create(B1), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [next(), '3'],
      [next(), '4'],
      [mark(), '4 r4'],
    ],
  ],
  [
    'N12',
    [
      [create({ maxValue: 2n }), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [next(), MAX],
      [next(), MAX],
    ],
  ],
  [
    'N13',
    [
      [create({ initialValue: 98n, maxValue: 100n, blockSize: 1 }), 'Success r0'],
      [reserve(5), MAX],
      [reserve(2), '99..100'],
      [next(), MAX],
    ],
  ],
  // 13.3
  [
    'I1',
    [
      [create(), 'Success r0'],
      [next('q1'), '1'],
      [next('q1'), '1'],
      [next(), '2'],
    ],
  ],
  [
    'I3',
    [
      [create(), 'Success r0'],
      [next('q3'), '1'],
      [reserve(1, 'q3'), '1'],
    ],
  ],
  [
    'I4',
    [
      [create(), 'Success r0'],
      [reserve(5, 'q4'), '1..5'],
      [reserve(6, 'q4'), 'InvalidInput'],
      [next('q4'), 'InvalidInput'],
      [next(), '6'],
    ],
  ],
  [
    'I5',
    [
      [create(), 'Success r0'],
      [next('q5'), '1'],
      [next('  q5 '), '1'],
    ],
  ],
  [
    'I6',
    [
      [create(), 'Success r0'],
      [next(''), '1'],
      [next('   '), '2'],
    ],
  ],
  [
    'I7',
    [
      [create(), 'Success r0'],
      [next('k'.repeat(1024)), '1'],
      [next('k'.repeat(1025)), 'InvalidInput'],
      [next('€'.repeat(400)), 'InvalidInput'],
      [next('€'.repeat(341)), '2'],
    ],
  ],
  [
    'I13',
    [
      [create(), 'Success r0'],
      [next('z'), '1'],
      [remove(), 'Success r0'],
      [create(), 'Success r2'],
      [next('z'), '1'],
    ],
  ],
  [
    'I14',
    [
      [create({ maxValue: 1n }), 'Success r0'],
      [next(), '1'],
      [next('m1'), MAX],
      [update({ removeMaxValue: true }), 'Success r2'],
      [next('m1'), '2'],
    ],
  ],
  // 13.4
  [
    'U1',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [update({ currentValue: 5000n, increment: 10n }), 'Success r2'],
      [s => `${s.entry().currentValue} ${s.entry().increment} ${s.entry().incarnation}`, '5000 10 1'],
      [next(), '5010'],
    ],
  ],
  [
    'U2',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [next(), '2'],
      [update({ currentValue: 0n }), 'Success r2'],
      [next(), '1'],
    ],
  ],
  [
    'U3',
    [
      [create({ blockSize: 4 }), 'Success r0'],
      [next(), '1'],
      [update({ currentValue: 100n, increment: 10n, maxValue: 130n }), 'Success r2'],
      [next(), '110'],
      [next(), '120'],
      [next(), '130'],
      [next(), MAX],
    ],
  ],
  [
    'U4',
    [
      [create({ maxValue: 2n, blockSize: 2 }), 'Success r0'],
      [reserve(2), '1..2'],
      [next(), MAX],
      [update({ removeMaxValue: true }), 'Success r2'],
      [s => `${s.entry().maxValue}`, 'undefined'],
      [next(), '3'],
    ],
  ],
  [
    'U5',
    [
      [create(), 'Success r0'],
      [update({ maxValue: 1000n, blockSize: 4 }), 'Success r1'],
      [s => `${s.entry().maxValue} ${s.entry().blockSize} ${s.entry().incarnation}`, '1000 4 1'],
      [update({ removeMaxValue: true, removeBlockSize: true }), 'Success r2'],
      [s => `${s.entry().maxValue} ${s.entry().blockSize} ${s.entry().incarnation}`, 'undefined undefined 2'],
    ],
  ],
  [
    'U6',
    [
      [create(), 'Success r0'],
      [update({}), 'InvalidInput'],
      [s => `${s.entry().incarnation}`, '0'],
    ],
  ],
  [
    'U7',
    [
      [create({ maxValue: 1000n }), 'Success r0'],
      [update({ increment: 0n }), 'InvalidInput'],
      [update({ increment: -1n }), 'InvalidInput'],
      [update({ blockSize: 0 }), 'InvalidInput'],
      [update({ maxValue: 10n, removeMaxValue: true }), 'InvalidInput'],
      [update({ blockSize: 10, removeBlockSize: true }), 'InvalidInput'],
      [update({ maxValue: -5n }), 'InvalidInput'],
      [s => `${s.entry().maxValue} ${s.entry().incarnation}`, '1000 0'],
      [next(), '1'],
    ],
  ],
  [
    'U8',
    [
      [update({ currentValue: 10n }), 'NotFound'],
      [update({}), 'InvalidInput'],
    ],
  ],
  [
    'U9',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [update({ maxValue: 500n }), 'InvalidInput'],
    ],
  ],
  [
    'U10',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [update({ blockSize: 1 }), 'Success r2'],
      [next(), '1001'],
    ],
  ],
  [
    'U11',
    [
      [create(), 'Success r0'],
      [update({ initialValue: 77n }), 'Success r1'],
      [s => `${s.entry().initialValue}`, '77'],
      [next(), '1'],
    ],
  ],
  [
    'U12',
    [
      [create(), 'Success r0'],
      [next('w'), '1'],
      [update({ currentValue: 7000n }), 'Success r2'],
      [next('w'), '7001'],
    ],
  ],
  [
    'U17',
    [
      [create(), 'Success r0'],
      [update({ increment: 1n }), 'Success r1'],
      [s => `${s.entry().incarnation}`, '1'],
    ],
  ],
  // 13.5
  [
    'R1 block 1000',
    [
      [create(), 'Success r0'],
      [next(), '1'],
      [reserve(5), '2..6'],
      [mark(), '1000 r1'],
      [update({ currentValue: 5000n }), 'Success r2'],
      [next(), '5001'],
      [mark(), '6000 r3'],
      [remove(), 'Success r0'],
      [create(), 'Success r4'],
    ],
  ],
  [
    'R1 block 1',
    [
      [create(B1), 'Success r0'],
      [next(), '1'],
      [reserve(5), '2..6'],
      [mark(), '6 r2'],
    ],
  ],
  [
    'R2',
    [[create(), 'Success r0'], ...Array.from({ length: 10 }, (_, i): Step => [next(`k${i}`), `${i + 1}`]), [mark(), '1000 r1']],
  ],
];

describe('sequences', () => {
  let world: AcceptanceWorld;
  beforeAll(() => {
    world = new AcceptanceWorld(21);
  });

  test.each(CASES)('sequences:%s', (_id, steps) => {
    const sequence = new SequenceUnderTest(world);
    for (const [position, [ask, answer]] of steps.entries()) expect(ask(sequence), `step ${position}`).toBe(answer);
  });

  test('sequences:C1 defaults', () => {
    const s = new SequenceUnderTest(world);
    expect(s.create()).toBe('Success r0');
    const entry = s.entry(2);
    expect(entry).toMatchObject({ currentValue: 0n, initialValue: 0n, increment: 1n, maxValue: undefined, blockSize: undefined });
    expect(entry).toMatchObject({ name: s.name, incarnation: 0, revision: 0 });
    expect(entry.createdAt).toEqual(entry.updatedAt);
    expect(entry.createdAt.l).toBeGreaterThan(0);
  });

  test('sequences:C3 answers of failed calls', () => {
    const s = new SequenceUnderTest(world);
    expect(s.get()).toMatchObject({ type: SequenceResponseType.NotFound, revision: -1 });
    expect(s.reserve()).toMatchObject({ type: SequenceResponseType.NotFound, revision: 0 });
    s.create();
    expect(world.ask(s.creation())).toMatchObject({ type: SequenceResponseType.AlreadyExists, revision: -1 });
    expect(world.ask(s.creation({ increment: 0n }))).toMatchObject({ type: SequenceResponseType.InvalidInput, revision: -1 });
  });

  test('sequences:C8 block size of its own', () => {
    const s = new SequenceUnderTest(world);
    s.create(B1);
    expect(s.entry()).toMatchObject({ blockSize: 1, incarnation: 0 });
  });

  test.each(['', '   ', 'n'.repeat(1025), '__kahuna:sequences:a'])('sequences:C9 name %j', name => {
    const s = new SequenceUnderTest(world, name);
    const answers = [s.create(), show(s.get()), s.next(), show(s.reserve(2)), s.update({ currentValue: 1n }), s.delete()];
    expect(answers).toEqual(answers.map(() => 'InvalidInput'));
  });

  test('sequences:C10, sequences:C11, sequences:C12 names', () => {
    expect(new SequenceUnderTest(world, 'n'.repeat(1024)).create()).toBe('Success r0');
    expect(new SequenceUnderTest(world, '  lot  ').create()).toBe('Success r0');
    expect(new SequenceUnderTest(world, 'lot').entry().name).toBe('lot');
    new SequenceUnderTest(world, 'Plot').create();
    expect(show(new SequenceUnderTest(world, 'plot').get())).toBe('NotFound');
  });

  test('sequences:C17 the key/value store refuses the reserved key', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    const common = { key: sequenceStorageKey(s.name), durability: Durability.Persistent };
    const set = { value: null, expiresMs: 0, flags: 0, compareValue: null, compareRevision: 0 };
    const answers = [
      world.ask({ kind: 'set', ...common, ...set }),
      world.ask({ kind: 'get', ...common, revision: -1, readTimestamp: HLC_ZERO }),
      world.ask({ kind: 'delete', ...common }),
    ];
    expect(answers.map(answer => answer.type)).toEqual([100, 100, 100]);
    expect(s.next()).toBe('1');
  });

  test('sequences:C18 fifty creators', () => {
    const s = new SequenceUnderTest(world);
    const answers = world
      .askAll(
        Array.from({ length: 50 }, () => s.creation()),
        'all',
      )
      .map(show);
    expect(answers.filter(answer => answer === 'Success r0')).toHaveLength(1);
    expect(answers.filter(answer => answer === 'AlreadyExists')).toHaveLength(49);
  });

  test('sequences:N7 and the revision of allocations', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    for (let i = 1; i <= 4; i++) {
      expect(allocationOf(s.reserve())).toMatchObject({ start: BigInt(i), end: BigInt(i), count: 1, revision: 1, name: s.name });
    }
    expect(s.entry()).toMatchObject({ currentValue: 1000n, revision: 1 });
  });

  test('sequences:N9 durable writes', () => {
    const entries = (parameters: Parameters): number => {
      const s = new SequenceUnderTest(world);
      s.create(parameters);
      const before = world.lastIndexOf(s.partition);
      for (let i = 1; i <= 5; i++) expect(s.next()).toBe(`${i}`);
      return world.lastIndexOf(s.partition) - before;
    };
    expect([entries(B1), entries({})]).toEqual([5, 1]);
  });

  test('thousands of next in one turn cost one entry', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    const leader = world.leaderOf(s.partition);
    const before = world.lastIndexOf(s.partition);
    const answers = world.askAll(
      Array.from({ length: 3000 }, () => s.reservation()),
      leader.id,
    );
    expect(answers.map(show)).toEqual(Array.from({ length: 3000 }, (_, i) => `${i + 1}`));
    expect(world.lastIndexOf(s.partition) - before).toBe(1);
  });

  test('sequences:N10 clients over all nodes', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    const clients = Array.from({ length: 64 }, (_, i) => ({ node: (i % 3) + 1, values: [] as bigint[] }));
    const turns = clients.map(client => ({ client, pending: world.start(s.reservation(), client.node) }));
    world.until(() => {
      for (const turn of turns) {
        const { client, pending } = turn;
        if (pending.answer === undefined || client.values.length === 50) continue;
        client.values.push(allocationOf(pending.answer).start);
        if (client.values.length < 50) turn.pending = world.start(s.reservation(), client.node);
      }
      return clients.every(client => client.values.length === 50);
    });
    const all = clients.flatMap(client => client.values);
    expect(new Set(all).size).toBe(3200);
    for (const { values } of clients) {
      expect(values).toEqual([...values].sort((a, b) => Number(a - b)));
      expect(values[0] as bigint).toBeGreaterThanOrEqual(1n);
    }
  });

  test('sequences:N11 runs do not overlap', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    const sizes = Array.from({ length: 400 }, () => world.simulation.rng.int(1, 50));
    const runs = world
      .askAll(
        sizes.map(size => s.reservation(size)),
        'all',
      )
      .map(allocationOf);
    const values = runs.flatMap(run => Array.from({ length: run.count }, (_, i) => run.start + BigInt(i)));
    expect(new Set(values).size).toBe(values.length);
    for (const run of runs) expect(run.end - run.start).toBe(BigInt(run.count - 1));
  });

  test('sequences:N15 order over nodes', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    let last = 0;
    for (let i = 0; i < 30; i++) {
      const value = Number(s.next('', (i % 3) + 1));
      expect(value).toBeGreaterThan(last);
      last = value;
    }
  });

  test('sequences:I2 the identical allocation', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    const first = allocationOf(s.reserve(5, 'q2', 2));
    s.update({ increment: 1n });
    s.reserve(5, 'q2');
    const second = allocationOf(s.reserve(5, 'q2', 3));
    expect(first).toMatchObject({ start: 1n, end: 5n, count: 5, revision: 1 });
    expect(allocationOf(s.reserve(5, 'q2'))).toMatchObject({ start: second.start, end: second.end, revision: second.revision });
  });

  test('sequences:I10 retention by number', () => {
    const quick = new AcceptanceWorld(22, {
      nodes: 1,
      settings: { ...QUICK_SETTINGS, sequences: { blockSize: 1000, retentionMax: 8, retentionMs: 600_000, maxBlocks: 10 } },
    });
    const s = new SequenceUnderTest(quick);
    s.create();
    for (let i = 0; i < 40; i++) expect(s.next(`k${i}`)).toBe(`${i + 1}`);
    expect([s.next('k39'), s.next('k32'), s.next('k31'), s.next('k0')]).toEqual(['40', '33', '41', '42']);
  });

  test('sequences:I11 retention by age, sequences:I16 without a limit, sequences:F9 more sequences than memory', () => {
    const settings = { ...QUICK_SETTINGS, sequences: { blockSize: 1000, retentionMax: 0, retentionMs: 1000, maxBlocks: 4 } };
    const quick = new AcceptanceWorld(23, { nodes: 1, settings });
    const s = new SequenceUnderTest(quick);
    s.create();
    expect(s.next('aged')).toBe('1');
    quick.pass(2000);
    expect(s.next('aged')).toBe('2');
    const keys = Array.from({ length: 1000 }, (_, i) => s.reservation(1, `key-${i}`));
    quick.askAll(keys);
    expect(s.next('key-0')).toBe('3');

    const many = Array.from({ length: 20 }, () => new SequenceUnderTest(quick));
    for (const one of many) expect([one.create(), one.next()]).toEqual(['Success r0', '1']);
    const again = many.map(one => Number(one.next()));
    expect(again.filter(value => value === 1001).length).toBeGreaterThan(10);
    expect(again.every(value => value === 2 || value === 1001)).toBe(true);
  });

  test('sequences:N14 the server comes back with another block size', () => {
    const limits = { retentionMax: 256, retentionMs: 600_000, maxBlocks: 10 };
    const settings = { ...QUICK_SETTINGS, sequences: { ...limits, blockSize: 4 } };
    const quick = new AcceptanceWorld(25, { nodes: 1, settings });
    const s = new SequenceUnderTest(quick);
    s.create();
    expect([s.next(), `${s.entry().currentValue}`]).toEqual(['1', '4']);
    settings.sequences = { ...limits, blockSize: 100 };
    quick.restartAll();
    expect([s.next(), `${s.entry().currentValue}`]).toEqual(['5', '104']);
  });

  test('sequences:I12 keys belong to one sequence', () => {
    const [s1, s2] = [new SequenceUnderTest(world), new SequenceUnderTest(world)];
    s1.create();
    s2.create({ initialValue: 50n });
    expect([s1.next('z'), s2.next('z')]).toEqual(['1', '51']);
  });

  test('sequences:I15 twenty with one key', () => {
    for (const parameters of [{}, B1]) {
      const s = new SequenceUnderTest(world);
      s.create(parameters);
      const answers = world
        .askAll(
          Array.from({ length: 20 }, () => s.reservation(1, 'same')),
          'all',
        )
        .map(show);
      expect(answers).toEqual(answers.map(() => '1'));
      expect(s.next()).toBe('2');
    }
  });

  test('different keys at once get different runs, in blocks and without', () => {
    for (const parameters of [{}, B1, { blockSize: 7 }]) {
      const s = new SequenceUnderTest(world);
      s.create(parameters);
      const answers = world
        .askAll(
          Array.from({ length: 100 }, (_, i) => s.reservation(1, `key-${i % 50}`)),
          'all',
        )
        .map(show);
      expect(new Set(answers).size).toBe(50);
      expect(answers.slice(50)).toEqual(answers.slice(0, 50));
    }
  });

  test('sequences:U13 an update under load', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    s.next();
    const before = world
      .askAll(
        Array.from({ length: 50 }, () => s.reservation()),
        'all',
      )
      .map(answer => allocationOf(answer).start);
    const racing = Array.from({ length: 300 }, (_, i) => world.start(s.reservation(), (i % 3) + 1));
    expect(s.update({ currentValue: 1_000_000n })).toMatch(/^Success/);
    const after = world
      .askAll(
        Array.from({ length: 50 }, () => s.reservation()),
        'all',
      )
      .map(answer => allocationOf(answer).start);
    world.until(() => racing.every(({ answer }) => answer !== undefined));
    expect(before.every(value => value <= 1_000_000n)).toBe(true);
    expect(after.every(value => value > 1_000_000n)).toBe(true);
    const all = [...before, ...after, ...racing.map(({ answer }) => allocationOf(answer as OperationResult).start)];
    expect(new Set(all).size).toBe(all.length);
    expect(s.entry().incarnation).toBe(1);
  });

  test('sequences:U15, sequences:U16 an update delays nobody', () => {
    const s = new SequenceUnderTest(world);
    s.create();
    s.next();
    const begun = world.simulation.nowMs;
    expect(s.update({ currentValue: 10n })).toMatch(/^Success/);
    expect(s.next()).toBe('11');
    expect(world.simulation.nowMs - begun).toBeLessThan(100);
  });

  test('sequences:R3 the revision goes on', () => {
    const s = new SequenceUnderTest(world);
    s.create(B1);
    for (let i = 0; i < 7; i++) s.next();
    s.delete();
    expect(s.create()).toBe('Success r8');
  });

  test('invariant 5: all replicas have the same checksum in the end', () => world.replicasAgree());
});

describe('failures (sequences §13.6)', () => {
  let world: AcceptanceWorld;
  beforeAll(() => {
    world = new AcceptanceWorld(24);
  });
  const created = (parameters: Parameters = {}): SequenceUnderTest => {
    const s = new SequenceUnderTest(world);
    expect(s.create(parameters)).toBe('Success r0');
    return s;
  };
  const killLeader = (s: SequenceUnderTest): number => {
    const leader = world.leaderOf(s.partition);
    leader.crash('kill');
    world.simulation.after(3000, () => leader.start());
    return world.cluster.nodes.find(node => node.isUp)?.id as number;
  };

  test('sequences:F1, sequences:F8, sequences:I8 the owner dies', () => {
    const s = created({ blockSize: 100 });
    expect([s.next(), s.next('q8')]).toEqual(['1', '2']);
    const other = killLeader(s);
    const answers = [s.next('', other), s.next('q8', other)];
    world.pass(4000);
    expect(answers).toEqual(['101', '2']);
  });

  test('sequences:F2 leadership is moved', () => {
    const s = created({ blockSize: 100 });
    expect(s.next()).toBe('1');
    world.transfer(s.partition, world.followerOf(s.partition));
    expect(s.next()).toBe('101');
  });

  test('sequences:F3, sequences:C19, sequences:I9 all nodes restart', () => {
    const s = created(B1);
    expect([s.next(), s.next(), s.next('k')]).toEqual(['1', '2', '3']);
    const before = s.entry();
    world.restartAll();
    expect(s.entry()).toEqual(before);
    expect([s.next(), s.next(), s.next(), s.next('k')]).toEqual(['4', '5', '6', '3']);
  });

  test('sequences:F4 an old owner, paused and resumed, issues nothing', () => {
    const s = created();
    s.next();
    const old = world.leaderOf(s.partition);
    old.process?.pause();
    const other = world.cluster.nodes.find(node => node !== old)?.id as number;
    world.pass(3000);
    const issued = Number(show(world.askUntilServed(s.reservation(), other)));
    expect(issued).toBe(1001);
    const pending = Array.from({ length: 5 }, () => world.start(s.reservation(), old.id));
    old.process?.resume();
    world.until(() => pending.every(({ answer }) => answer !== undefined));
    for (const { answer } of pending) {
      const value = show(answer as OperationResult);
      expect(value === 'MustRetry' || Number(value) > issued).toBe(true);
    }
  });

  test('sequences:F5 the owner is cut off from its quorum', () => {
    const s = created();
    s.next();
    const leader = world.leaderOf(s.partition);
    world.cluster.network.isolate(leader.endpoint, 'stall', 'both');
    // Its lease has run out; it has not yet noticed that nobody follows it.
    world.pass(250);
    expect(leader.host?.replica(s.partition)?.leads).toBe(true);
    const answers = [s.next('', leader.id), s.next('key', leader.id)];
    world.cluster.network.healAll();
    world.pass(2000);
    expect(answers).toEqual(['MustRetry', 'MustRetry']);
  });

  test('sequences:F10 a snapshot on a lagging replica that leads then', () => {
    const s = created();
    expect(s.next('old')).toBe('1');
    const leader = world.leaderOf(s.partition);
    const lagging = world.followerOf(s.partition);
    lagging.crash('kill');
    for (let i = 0; i < 200; i++) s.next(`key-${i}`, leader.id);
    world.pass(2000);
    lagging.start();
    const applied = (node: typeof leader) => node.host?.replica(s.partition)?.machine.appliedIndex;
    world.until(() => applied(lagging) === applied(leader));
    expect(lagging.host?.counters.snapshotsInstalled).toBeGreaterThan(0);
    world.transfer(s.partition, lagging);
    expect([s.next(), s.next('old')]).toEqual(['1001', '1']);
  });

  test('sequences:F11 leadership moves while clients allocate', () => {
    const s = created();
    const values: bigint[] = [];
    let pending = world.start(s.reservation(), 1);
    let transfers = 0;
    for (let i = 0; i < 400; i++) {
      world.until(() => pending.answer !== undefined);
      values.push(allocationOf(pending.answer as OperationResult).start);
      pending = world.start(s.reservation(), (i % 3) + 1);
      if (i % 100 === 50) {
        transfers++;
        world.transfer(s.partition, world.followerOf(s.partition));
      }
    }
    expect(transfers).toBe(4);
    expect(values).toEqual([...new Set(values)].sort((a, b) => Number(a - b)));
  });

  test('sequences:F6 a crowd draws values from blocks reserved ahead, and the owner changes, by kill and by transfer', () => {
    const s = created();
    const values: bigint[] = [];
    const clients = Array.from({ length: 40 }, () => ({ last: 0n, pending: world.start(s.reservation(), 1) }));
    const turn = (): void => {
      const node = world.cluster.nodes.find(candidate => candidate.isUp)?.id as number;
      for (const client of clients) {
        const { answer } = client.pending;
        if (answer === undefined) continue;
        if (answer.type === SequenceResponseType.Success) {
          const { start } = allocationOf(answer);
          if (start <= client.last) throw new Error(`${start} after ${client.last}`);
          client.last = start;
          values.push(start);
        }
        client.pending = world.start(s.reservation(), node);
      }
    };
    const draw = (count: number): void => {
      const goal = values.length + count;
      world.until(() => {
        turn();
        return values.length >= goal;
      });
    };
    draw(3000);
    const [entries, revision] = [world.lastIndexOf(s.partition), s.entry().revision];
    draw(6000);
    // Several blocks to an entry.
    expect(s.entry().revision - revision).toBeGreaterThan(world.lastIndexOf(s.partition) - entries);
    world.transfer(s.partition, world.followerOf(s.partition));
    draw(6000);
    world.pass(4000);
    killLeader(s);
    draw(6000);
    world.pass(4000);
    expect(new Set(values).size).toBe(values.length);
    expect(s.entry().currentValue).toBeLessThan(BigInt(values.length + 3 * 17_000));
  });

  test('invariant 5: all replicas have the same checksum in the end', () => world.replicasAgree());
});
