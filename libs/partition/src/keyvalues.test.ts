import type { Hlc } from '@kahuna/base';
import { describe, expect, test } from 'vitest';
import { type Bench, del, EphemeralBench, endOf, exists, extend, get, PersistentBench, set } from '../test/replica.ts';
import { Durability, type Operation, type OperationResult, ResponseType, SetFlag } from './index.ts';

/**
 * Acceptance cases of keyvalues §20 that one partition decides, as tables. Persistent cases run twice: with everything in memory,
 * and with a flush and a restart after every step, so that each answer also comes from rows alone.
 */

/** Stamps remembered by name. */
type Marks = Record<string, Hlc>;
type Step =
  /** Milliseconds pass. */
  | number
  /** The stamp of the last command gets a name. */
  | string
  | readonly [Operation | ((marks: Marks) => Operation), string];

type Where = 'both' | 'P' | 'E';

const XX = SetFlag.IfExists;
const NX = SetFlag.IfNotExists;
const CMP = SetFlag.IfEqualToValue;
const REV = SetFlag.IfEqualToRevision;
const NOREV = SetFlag.NoRevision;
const PUT = SetFlag.Set;

const NAMES = new Map<number, string>(Object.entries(ResponseType).map(([name, number]) => [number, name]));

/** `Get "x" r0` for a hit with a value, `Get null r0` for a null value, `Set r0` and the like for the rest. */
function show(result: OperationResult): string {
  const value = result.value === null ? 'null' : JSON.stringify(new TextDecoder().decode(result.value));
  const shown = result.type === ResponseType.Get ? `Get ${value}` : NAMES.get(result.type);
  return `${shown} r${result.revision}`;
}

function play(bench: Bench, steps: readonly Step[], settleAlways: boolean): void {
  const marks: Marks = {};
  for (const [position, step] of steps.entries()) {
    if (typeof step === 'number') bench.nowMs += step;
    else if (typeof step === 'string') marks[step] = bench.lastStamp;
    else {
      const [operation, expected] = step;
      const result = bench.run(typeof operation === 'function' ? operation(marks) : operation);
      expect(show(result), `step ${position}`).toBe(expected);
      if (settleAlways) bench.settle();
    }
  }
}

function cases(title: string, table: readonly (readonly [id: string, where: Where, steps: readonly Step[]])[]): void {
  describe(title, () => {
    for (const [id, where, steps] of table) {
      if (where !== 'E') {
        test(`keyvalues:${id} persistent, in memory`, () => play(new PersistentBench(), steps, false));
        test(`keyvalues:${id} persistent, from rows`, () => play(new PersistentBench(), steps, true));
      }
      if (where !== 'P') test(`keyvalues:${id} ephemeral`, () => play(new EphemeralBench(), steps, false));
    }
  });
}

/** The mark, `ms` later and after everything of that millisecond. */
const after = (marks: Marks, name: string, ms: number): Hlc => endOf((marks[name] as Hlc).l + ms);
const exactly = (marks: Marks, name: string): Hlc => marks[name] as Hlc;
const justBefore = (marks: Marks, name: string): Hlc => ({ ...(marks[name] as Hlc), c: (marks[name] as Hlc).c - 1 });

const INVALID = 'InvalidInput r0';

cases('keys and values (keyvalues §20.1)', [
  ['K1', 'both', [[set('', '1'), INVALID]]],
  [
    'K2',
    'both',
    [
      [get(''), INVALID],
      [exists(''), INVALID],
      [del(''), INVALID],
      [extend('', 5), INVALID],
    ],
  ],
  [
    'K3',
    'both',
    [
      [set('__kahuna:x', '1'), INVALID],
      [get('__kahuna:x'), INVALID],
      [exists('__kahuna:x'), INVALID],
      [del('__kahuna:x'), INVALID],
      [extend('__kahuna:x', 5), INVALID],
    ],
  ],
  ['K4', 'both', [[set('__kahunax', '1'), 'Set r0']]],
  [
    'K5',
    'both',
    [
      [set(' ', '1'), 'Set r0'],
      [get(' '), 'Get "1" r0'],
      [get('  '), 'DoesNotExist r-1'],
    ],
  ],
  [
    'K6',
    'both',
    [
      [set('Tap', '1'), 'Set r0'],
      [get('tap'), 'DoesNotExist r-1'],
    ],
  ],
  [
    'K7',
    'both',
    [
      [set('n', null), 'Set r0'],
      [get('n'), 'Get null r0'],
      [exists('n'), 'Exists r0'],
    ],
  ],
  [
    'K8',
    'both',
    [
      [set('e', ''), 'Set r0'],
      [get('e'), 'Get "" r0'],
    ],
  ],
  [
    'K9',
    'both',
    [
      [set('n', null), 'Set r0'],
      [set('n', '1', { flags: CMP, cmp: '' }), 'Set r1'],
    ],
  ],
  [
    'K10',
    'both',
    [
      [set('n', '1'), 'Set r0'],
      [set('n', '2', { flags: CMP, cmp: null }), 'NotSet r0'],
      [set('n', '2', { flags: CMP, cmp: '' }), 'NotSet r0'],
    ],
  ],
  [
    'K12',
    'both',
    [
      [set('k'.repeat(60_000), '1'), 'Set r0'],
      [get('k'.repeat(60_000)), 'Get "1" r0'],
    ],
  ],
  [
    'K13',
    'both',
    [
      [set('nul\0key', '\u0000\n"'), 'Set r0'],
      [get('nul\0key'), `Get ${JSON.stringify('\u0000\n"')} r0`],
    ],
  ],
  [
    'K15',
    'both',
    [
      [set('a\ud800', '1'), INVALID],
      [get('a\udc00b'), INVALID],
    ],
  ],
]);

cases('revisions and conditions (keyvalues §20.2)', [
  [
    'R1',
    'both',
    [
      [get('k'), 'DoesNotExist r-1'],
      [exists('k'), 'DoesNotExist r-1'],
    ],
  ],
  [
    'R2',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      [set('k', 'x'), 'Set r1'],
    ],
  ],
  [
    'R3',
    'both',
    [
      [set('a1', 'x'), 'Set r0'],
      [set('a2', 'x'), 'Set r0'],
    ],
  ],
  [
    'R4',
    'both',
    [
      [set('k', 'x', { flags: XX }), 'NotSet r-1'],
      [get('k'), 'DoesNotExist r-1'],
    ],
  ],
  [
    'R5',
    'both',
    [
      [set('k', '1', { flags: NX }), 'Set r0'],
      [set('k', '2', { flags: NX }), 'NotSet r0'],
      [get('k'), 'Get "1" r0'],
    ],
  ],
  [
    'R6',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      [set('k', 'y', { flags: CMP, cmp: 'z' }), 'NotSet r0'],
      [get('k'), 'Get "x" r0'],
    ],
  ],
  [
    'R7',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      [set('k', 'y', { flags: CMP, cmp: 'x' }), 'Set r1'],
    ],
  ],
  [
    'R8',
    'both',
    [
      [set('k', 'y', { flags: CMP, cmp: 'x' }), 'NotSet r-1'],
      [set('k', 'y', { flags: CMP, cmp: null }), 'Set r0'],
    ],
  ],
  [
    'R9',
    'both',
    [
      [set('k', '0'), 'Set r0'],
      [set('k', '1'), 'Set r1'],
      [set('k', '2', { flags: REV, compareRevision: 10 }), 'NotSet r1'],
    ],
  ],
  [
    'R10',
    'both',
    [
      [set('k', '0'), 'Set r0'],
      [set('k', '1'), 'Set r1'],
      [set('k', '2', { flags: REV, compareRevision: 1 }), 'Set r2'],
    ],
  ],
  ['R11', 'both', [[set('k', 'x', { flags: REV, compareRevision: 0 }), 'NotSet r-1']]],
  [
    'R12',
    'both',
    [
      [set('k', 'x', { flags: REV, compareRevision: -1 }), 'Set r0'],
      [set('k', 'x', { flags: REV, compareRevision: -1 }), 'NotSet r0'],
      [set('k', 'x', { flags: REV, compareRevision: -2 }), 'NotSet r0'],
      [set('k', 'x', { flags: REV, compareRevision: Number.MIN_SAFE_INTEGER }), 'NotSet r0'],
      [set('k', 'x', { flags: REV, compareRevision: Number.MAX_SAFE_INTEGER }), 'NotSet r0'],
    ],
  ],
  [
    'R13',
    'both',
    [
      [set('k', 'x', { flags: XX | NX }), 'NotSet r-1'],
      [set('k', 'x'), 'Set r0'],
      [set('k', 'x', { flags: XX | NX }), 'NotSet r0'],
    ],
  ],
  [
    'R14',
    'both',
    [
      [set('k', '0'), 'Set r0'],
      [set('k', 'x'), 'Set r1'],
      [set('k', 'y', { flags: XX | CMP | REV, cmp: 'x', compareRevision: 1 }), 'Set r2'],
    ],
  ],
  [
    'R15',
    'both',
    [
      [set('k', '0'), 'Set r0'],
      [set('k', 'x'), 'Set r1'],
      [set('k', 'y', { flags: CMP | REV, cmp: 'x', compareRevision: 0 }), 'NotSet r1'],
    ],
  ],
  [
    'R16',
    'both',
    [
      [set('k', 'x', { flags: 0 }), 'Set r0'],
      [set('k', 'x', { flags: PUT }), 'Set r1'],
    ],
  ],
  ['R17', 'both', [[set('k', 'x', { flags: 64 + 128 + 1 }), 'Set r0']]],
  [
    'R18',
    'both',
    [
      [set('k', 'x', { expiresMs: -1 }), INVALID],
      [get('k'), 'DoesNotExist r-1'],
    ],
  ],
  [
    'R19',
    'both',
    [
      [set('k', 'x', { expiresMs: 100 }), 'Set r0'],
      [set('k', 'y', { flags: XX | CMP, cmp: 'no' }), 'NotSet r0'],
      50,
      [get('k'), 'Get "x" r0'],
      60,
      [get('k'), 'DoesNotExist r0'],
    ],
  ],
]);

const r0Deleted: readonly Step[] = [
  [set('k', 'old'), 'Set r0'],
  [del('k'), 'Deleted r0'],
];

const expiredAfter150: readonly Step[] = [[set('k', 'old', { expiresMs: 100 }), 'Set r0'], 150];

cases('delete, expiry, extend (keyvalues §20.3)', [
  ['D1', 'both', r0Deleted],
  [
    'D2',
    'both',
    [
      ...r0Deleted,
      [get('k'), 'DoesNotExist r0'],
      [exists('k'), 'DoesNotExist r0'],
      [del('k'), 'DoesNotExist r0'],
      [extend('k', 1000), 'DoesNotExist r0'],
    ],
  ],
  ['D3', 'both', [...r0Deleted, [set('k', 'x'), 'Set r1']]],
  ['D4', 'both', [...r0Deleted, [set('k', 'x', { flags: XX }), 'NotSet r0']]],
  ['D5', 'both', [...r0Deleted, [set('k', 'x', { flags: NX }), 'Set r1']]],
  [
    'D6',
    'both',
    [...r0Deleted, [set('k', 'x', { flags: CMP, cmp: 'old' }), 'NotSet r0'], [set('k', 'x', { flags: CMP, cmp: '' }), 'Set r1']],
  ],
  ['D7', 'both', [...r0Deleted, [set('k', 'x', { flags: REV, compareRevision: 0 }), 'NotSet r0']]],
  ['D8', 'both', [...r0Deleted, [set('k', 'x', { flags: REV, compareRevision: -1 }), 'NotSet r0']]],
  ['D9', 'both', [...r0Deleted, [get('k', { revision: 0 }), 'Get "old" r0'], [exists('k', { revision: 0 }), 'Exists r0']]],
  ['D10', 'both', [...r0Deleted, [get('k', { revision: 1 }), 'DoesNotExist r1']]],
  [
    'D11',
    'both',
    [
      [set('k', 'a'), 'Set r0'],
      [set('k', 'b'), 'Set r1'],
      [del('k'), 'Deleted r1'],
      [set('k', 'c'), 'Set r2'],
      [get('k', { revision: 0 }), 'Get "a" r0'],
      [get('k', { revision: 1 }), 'Get "b" r1'],
      [get('k', { revision: 2 }), 'Get "c" r2'],
    ],
  ],
  ['D12', 'both', [[del('k'), 'DoesNotExist r-1']]],
  [
    'D13',
    'both',
    [0, 1, 2, 3, 4].flatMap((r): Step[] => [
      [set('k', 'x'), `Set r${r}`],
      [del('k'), `Deleted r${r}`],
    ]),
  ],
  [
    'D14',
    'P',
    [
      ...[0, 1, 2, 3].map((r): Step => [set('k', 'x'), `Set r${r}`]),
      [del('k'), 'Deleted r3'],
      [get('k'), 'DoesNotExist r3'],
      [set('k', 'x'), 'Set r4'],
    ],
  ],
  ['X1', 'both', [[set('k', 'x', { expiresMs: 1 }), 'Set r0'], 1, [get('k'), 'Get "x" r0'], 49, [get('k'), 'DoesNotExist r0']]],
  ['X2', 'both', [...expiredAfter150, [set('k', 'x', { flags: NX }), 'Set r1']]],
  [
    'X3',
    'both',
    [
      ...expiredAfter150,
      [set('k', 'x', { flags: XX }), 'NotSet r0'],
      [set('k', 'x', { flags: REV, compareRevision: 0 }), 'NotSet r0'],
      [extend('k', 1000), 'DoesNotExist r0'],
      [del('k'), 'DoesNotExist r0'],
    ],
  ],
  ['X4', 'both', [...expiredAfter150, [get('k', { revision: 0 }), 'Get "old" r0']]],
  ['X5', 'both', [[set('k', 'x', { expiresMs: 100 }), 'Set r0'], [set('k', 'y'), 'Set r1'], 300, [get('k'), 'Get "y" r1']]],
  [
    'X6',
    'both',
    [[set('k', 'x', { expiresMs: 200 }), 'Set r0'], [extend('k', 2000), 'Extended r0'], 500, [get('k'), 'Get "x" r0']],
  ],
  [
    'X7',
    'both',
    [[set('k', 'x', { expiresMs: 60_000 }), 'Set r0'], [extend('k', 100), 'Extended r0'], 300, [get('k'), 'DoesNotExist r0']],
  ],
  ['X8', 'both', [[set('k', 'x', { expiresMs: 200 }), 'Set r0'], [extend('k', 0), 'Extended r0'], 500, [get('k'), 'Get "x" r0']]],
  ['X9', 'both', [[set('k', 'x'), 'Set r0'], [extend('k', 100), 'Extended r0'], 300, [get('k'), 'DoesNotExist r0']]],
  [
    'X10',
    'both',
    [
      [set('k', 'x', { expiresMs: 100 }), 'Set r0'],
      [extend('k', -5), INVALID],
      100,
      [get('k'), 'Get "x" r0'],
      1,
      [get('k'), 'DoesNotExist r0'],
    ],
  ],
  ['X14', 'E', [...expiredAfter150, 59_000, [get('k'), 'DoesNotExist r0']]],
]);

const norevBetween: readonly Step[] = [
  [set('k', 'A'), 'Set r0'],
  'A',
  10,
  [set('k', 'B', { flags: NOREV }), 'Set r1'],
  'B',
  10,
  [set('k', 'C'), 'Set r2'],
  'C',
];

cases('history, NOREV, as-of (keyvalues §20.4)', [
  [
    'H1',
    'both',
    [
      [set('k', '1'), 'Set r0'],
      [set('k', '2'), 'Set r1'],
      [set('k', '3'), 'Set r2'],
      [get('k', { revision: 1 }), 'Get "2" r1'],
      [get('k'), 'Get "3" r2'],
    ],
  ],
  [
    'H2',
    'both',
    [
      [set('k', '1'), 'Set r0'],
      [get('k', { revision: 3 }), 'DoesNotExist r3'],
      [get('k', { revision: 99 }), 'DoesNotExist r99'],
      [get('never', { revision: 0 }), 'DoesNotExist r0'],
    ],
  ],
  [
    'H3',
    'both',
    [
      [set('k', '1', { flags: NOREV }), 'Set r0'],
      [set('k', '2', { flags: NOREV }), 'Set r1'],
      [get('k', { revision: 1 }), 'Get "2" r1'],
      [get('k', { revision: 0 }), 'DoesNotExist r0'],
    ],
  ],
  [
    'H4',
    'both',
    [
      ...norevBetween,
      [get('k', { revision: 0 }), 'Get "A" r0'],
      [get('k', { revision: 1 }), 'DoesNotExist r1'],
      [exists('k', { revision: 1 }), 'DoesNotExist r1'],
      [get('k', { revision: 2 }), 'Get "C" r2'],
    ],
  ],
  ['H5', 'both', [...norevBetween, [m => get('k', { asOf: after(m, 'B', 5) }), 'DoesNotExist r1']]],
  ['H6', 'both', [...norevBetween, [m => get('k', { asOf: after(m, 'A', 5) }), 'Get "A" r0']]],
  [
    'H7',
    'both',
    [
      [set('k', '1', { flags: NOREV }), 'Set r0'],
      [del('k'), 'Deleted r0'],
      [get('k', { revision: 0 }), 'Get "1" r0'],
    ],
  ],
  [
    'H8',
    'P',
    [
      ...Array.from({ length: 100 }, (_, r): Step => [set('k', `v${r}`), `Set r${r}`]),
      [get('k', { revision: 0 }), 'Get "v0" r0'],
      [get('k', { revision: 57 }), 'Get "v57" r57'],
    ],
  ],
  [
    'H9',
    'E',
    [
      ...Array.from({ length: 20 }, (_, r): Step => [set('k', `v${r}`), `Set r${r}`]),
      [get('k', { revision: 19 }), 'Get "v19" r19'],
      [get('k', { revision: 4 }), 'Get "v4" r4'],
      [get('k', { revision: 3 }), 'DoesNotExist r3'],
    ],
  ],
  [
    'H10',
    'both',
    [
      [set('k', 'old'), 'Set r0'],
      't0',
      1,
      [set('k', 'new'), 'Set r1'],
      't1',
      [m => get('k', { asOf: exactly(m, 't0') }), 'Get "old" r0'],
      [m => get('k', { asOf: exactly(m, 't1') }), 'Get "new" r1'],
      [m => get('k', { asOf: justBefore(m, 't0') }), 'DoesNotExist r-1'],
    ],
  ],
  [
    'H11',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      [del('k'), 'Deleted r0'],
      'D',
      [m => get('k', { asOf: exactly(m, 'D') }), 'DoesNotExist r0'],
      [m => get('k', { asOf: justBefore(m, 'D') }), 'Get "x" r0'],
    ],
  ],
  [
    'H12',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      5,
      [del('k'), 'Deleted r0'],
      'D',
      10,
      [set('k', 'y'), 'Set r1'],
      [m => get('k', { asOf: after(m, 'D', 5) }), 'DoesNotExist r0'],
    ],
  ],
  [
    'H13',
    'both',
    [
      [set('k', 'x', { expiresMs: 300 }), 'Set r0'],
      't0',
      100_000,
      [m => get('k', { asOf: after(m, 't0', 100) }), 'Get "x" r0'],
      [m => get('k', { asOf: after(m, 't0', 300) }), 'Get "x" r0'],
      [m => get('k', { asOf: after(m, 't0', 400) }), 'DoesNotExist r0'],
    ],
  ],
  [
    'H14',
    'both',
    [
      [set('k', 'x', { expiresMs: 300 }), 'Set r0'],
      't0',
      200,
      [extend('k', 5000), 'Extended r0'],
      86_400_000,
      [m => get('k', { asOf: after(m, 't0', 1000) }), 'Get "x" r0'],
      [m => get('k', { asOf: after(m, 't0', 6000) }), 'DoesNotExist r0'],
    ],
  ],
  [
    'H15',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      10,
      [set('k', 'y'), 'Set r1'],
      't1',
      [m => get('k', { revision: 0, asOf: exactly(m, 't1') }), 'Get "x" r0'],
    ],
  ],
  [
    'H18',
    'both',
    [
      [set('k', 'x'), 'Set r0'],
      't0',
      10,
      [del('k'), 'Deleted r0'],
      't1',
      10,
      [set('k', 'y'), 'Set r1'],
      't2',
      [m => exists('k', { asOf: justBefore(m, 't0') }), 'DoesNotExist r-1'],
      [m => exists('k', { asOf: after(m, 't0', 0) }), 'Exists r0'],
      [m => exists('k', { asOf: after(m, 't1', 0) }), 'DoesNotExist r0'],
      [m => exists('k', { asOf: after(m, 't2', 0) }), 'Exists r1'],
    ],
  ],
  [
    'H25',
    'E',
    [
      [set('k', 'v0'), 'Set r0'],
      10,
      [set('k', 'v1'), 'Set r1'],
      'T',
      10,
      ...Array.from({ length: 18 }, (_, i): Step => [set('k', `v${i + 2}`), `Set r${i + 2}`]),
      [m => get('k', { asOf: after(m, 'T', 5) }), 'Aborted r0'],
    ],
  ],
]);

const gate: readonly Step[] = [
  [set('gate/a', 'shut', { expiresMs: 400 }), 'Set r0'],
  'set',
  300,
  [extend('gate/a', 2000), 'Extended r0'],
  700,
  [del('gate/a'), 'Deleted r0'],
  'deleted',
  1000,
  [set('gate/a', 'open'), 'Set r1'],
];

const pump: readonly Step[] = [
  [set('pump/1', 'idle'), 'Set r0'],
  't0',
  10,
  [set('pump/1', 'run'), 'Set r1'],
  't1',
  10,
  [del('pump/1'), 'Deleted r1'],
  'D',
  10,
];

cases('examples in the text', [
  [
    '§8.3',
    'both',
    [
      ...gate,
      [m => get('gate/a', { asOf: after(m, 'set', -1) }), 'DoesNotExist r-1'],
      [m => get('gate/a', { asOf: after(m, 'set', 0) }), 'Get "shut" r0'],
      [m => get('gate/a', { asOf: after(m, 'set', 450) }), 'Get "shut" r0'],
      [m => get('gate/a', { asOf: after(m, 'set', 999) }), 'Get "shut" r0'],
      [m => get('gate/a', { asOf: exactly(m, 'deleted') }), 'DoesNotExist r0'],
      [m => get('gate/a', { asOf: after(m, 'set', 1999) }), 'DoesNotExist r0'],
      [m => get('gate/a', { asOf: after(m, 'set', 2000) }), 'Get "open" r1'],
    ],
  ],
  [
    '§6.6',
    'both',
    [
      ...pump,
      [get('pump/1'), 'DoesNotExist r1'],
      [exists('pump/1'), 'DoesNotExist r1'],
      [get('pump/1', { revision: 1 }), 'Get "run" r1'],
      [get('pump/1', { revision: 0 }), 'Get "idle" r0'],
      [get('pump/1', { revision: 2 }), 'DoesNotExist r2'],
      [exists('pump/1', { revision: 1 }), 'Exists r1'],
      [m => get('pump/1', { asOf: after(m, 't1', 5) }), 'Get "run" r1'],
      [m => get('pump/1', { asOf: after(m, 't0', 5) }), 'Get "idle" r0'],
      [m => get('pump/1', { asOf: exactly(m, 'D') }), 'DoesNotExist r1'],
      [m => get('pump/1', { asOf: after(m, 't0', -1) }), 'DoesNotExist r-1'],
      [set('pump/1', 'go', { flags: XX }), 'NotSet r1'],
      [set('pump/1', 'go', { flags: CMP, cmp: 'run' }), 'NotSet r1'],
      [set('pump/1', 'go', { flags: REV, compareRevision: 1 }), 'NotSet r1'],
      [set('pump/1', 'go', { flags: REV, compareRevision: -1 }), 'NotSet r1'],
      [extend('pump/1', 10), 'DoesNotExist r1'],
      [del('pump/1'), 'DoesNotExist r1'],
      [set('pump/1', 'go'), 'Set r2'],
      [get('pump/1', { revision: 1 }), 'Get "run" r1'],
      [m => get('pump/1', { asOf: after(m, 'D', 5) }), 'DoesNotExist r1'],
    ],
  ],
  [
    '§6.5',
    'both',
    [
      [set('rack/3', 'A'), 'Set r0'],
      [set('rack/3', 'B', { flags: NOREV }), 'Set r1'],
      [set('rack/3', 'C'), 'Set r2'],
      [set('rack/3', 'D', { flags: NOREV }), 'Set r3'],
      [get('rack/3'), 'Get "D" r3'],
      [get('rack/3', { revision: 0 }), 'Get "A" r0'],
      [get('rack/3', { revision: 1 }), 'DoesNotExist r1'],
      [get('rack/3', { revision: 2 }), 'Get "C" r2'],
      [get('rack/3', { revision: 3 }), 'Get "D" r3'],
      [set('rack/3', 'E'), 'Set r4'],
      [get('rack/3', { revision: 3 }), 'DoesNotExist r3'],
      [get('rack/3', { revision: 4 }), 'Get "E" r4'],
    ],
  ],
  [
    '§18',
    'both',
    [
      [get('lamp'), 'DoesNotExist r-1'],
      [set('lamp', 'off', { flags: XX }), 'NotSet r-1'],
      [set('lamp', 'off', { flags: NX }), 'Set r0'],
      [set('lamp', 'on', { flags: NX }), 'NotSet r0'],
      [set('lamp', 'on', { flags: CMP, cmp: 'dim' }), 'NotSet r0'],
      [set('lamp', 'on', { flags: CMP, cmp: 'off' }), 'Set r1'],
      [set('lamp', 'dim', { flags: REV, compareRevision: 0 }), 'NotSet r1'],
      [set('lamp', 'dim', { flags: REV, compareRevision: 1 }), 'Set r2'],
      [extend('lamp', 60_000), 'Extended r2'],
      [extend('lamp', 0), 'Extended r2'],
      [del('lamp'), 'Deleted r2'],
      [get('lamp'), 'DoesNotExist r2'],
      [get('lamp', { revision: 2 }), 'Get "dim" r2'],
      [set('lamp', 'off', { flags: REV, compareRevision: 2 }), 'NotSet r2'],
      [set('lamp', 'off'), 'Set r3'],
      [get('lamp', { revision: 1 }), 'Get "on" r1'],
    ],
  ],
  ['§8.3 negative time', 'both', [[get('k', { asOf: { n: 0, l: -1, c: 0 } }), INVALID]]],
]);

describe.each([
  ['persistent', () => new PersistentBench()],
  ['ephemeral', () => new EphemeralBench()],
] as const)('fields of answers, %s', (_, make) => {
  test('keyvalues:R6 a refused set reports when the head was last modified; a never written key reports zero', () => {
    const bench = make();
    const first = bench.run(set('k', 'x'));
    const written = bench.lastStamp;
    expect(first.lastModified).toEqual(written);
    bench.nowMs += 10;
    expect(bench.run(set('k', 'y', { flags: NX })).lastModified).toEqual(written);
    expect(bench.run(set('other', 'y', { flags: XX })).lastModified).toEqual({ n: 0, l: 0, c: 0 });
  });

  test('keyvalues:X5 keyvalues:X8 the expiry that a latest read reports', () => {
    const bench = make();
    bench.run(set('k', 'x', { expiresMs: 100 }));
    const { lastStamp } = bench;
    expect(bench.run(get('k')).expires).toEqual({ ...lastStamp, l: lastStamp.l + 100 });
    bench.run(extend('k', 0));
    expect(bench.run(get('k')).expires).toEqual({ n: 0, l: 0, c: 0 });
    bench.run(set('k', 'x', { expiresMs: 100 }));
    bench.run(set('k', 'x'));
    expect(bench.run(get('k')).expires).toEqual({ n: 0, l: 0, c: 0 });
  });

  test('keyvalues:X11 an extend changes lastModified and nothing of the version', () => {
    const bench = make();
    bench.run(set('k', 'x'));
    const commit = bench.lastStamp;
    bench.nowMs += 10;
    const extended = bench.run(extend('k', 1000));
    const modified = bench.lastStamp;
    expect(extended.lastModified).toEqual(modified);
    expect(bench.run(get('k'))).toMatchObject({ revision: 0, lastModified: modified, state: 1 });
    expect(bench.run(get('k', { revision: 0 }))).toMatchObject({ revision: 0, lastModified: { n: 0, l: 0, c: 0 }, state: 1 });
    expect(bench.run(get('k', { asOf: endOf(bench.nowMs) }))).toMatchObject({
      lastModified: commit,
      expires: { l: modified.l + 1000 },
    });
  });

  test('keyvalues:§8.1 a miss carries no value, times or state; exists carries no value', () => {
    const bench = make();
    const zero = { n: 0, l: 0, c: 0 };
    bench.run(set('k', 'x', { expiresMs: 5 }));
    expect(bench.run(exists('k'))).toMatchObject({ type: ResponseType.Exists, value: null, state: 1 });
    bench.nowMs += 50;
    expect(bench.run(get('k'))).toMatchObject({ value: null, state: 0, expires: zero, lastModified: zero, lastUsed: zero });
  });

  test('keyvalues:K13 bytes come back as they were given', () => {
    const bench = make();
    const value = Uint8Array.of(0x00, 0xff, 0x0a, 0x22);
    bench.run({ ...set('k', null), value });
    bench.settle();
    expect(bench.run(get('k')).value).toEqual(value);
  });

  test('keyvalues:K11 a value of one megabyte', () => {
    const bench = make();
    const value = Uint8Array.from({ length: 1_048_576 }, (_unused, i) => (i * 2654435761) >>> 24);
    bench.run({ ...set('k', null), value });
    bench.settle();
    expect(Buffer.compare(bench.run(get('k')).value as Uint8Array, value)).toBe(0);
  });

  test('keyvalues:M7 two commands on one key in one batch are executed in order', () => {
    const bench = make();
    const results =
      bench instanceof PersistentBench
        ? bench.runAll([set('d', '1'), set('d', '2')])
        : [bench.run(set('d', '1')), bench.run(set('d', '2'))];
    expect(results.map(show)).toEqual(['Set r0', 'Set r1']);
    expect(show(bench.run(get('d')))).toBe('Get "2" r1');
  });

  test('keyvalues:R20 the other durability is refused here: the host keeps the two apart', () => {
    const bench = make();
    const other = bench instanceof PersistentBench ? Durability.Ephemeral : Durability.Persistent;
    if (bench instanceof PersistentBench) {
      expect(show(bench.run({ ...set('k', 'x'), durability: other }))).toBe(INVALID);
      expect(show(bench.run({ ...get('k'), durability: other }))).toBe(INVALID);
    } else {
      expect(show(bench.table.execute({ ...set('k', 'x'), durability: other }, { n: 1, l: 1, c: 1 }))).toBe(INVALID);
    }
  });
});

describe('ephemeral memory (keyvalues §16)', () => {
  test('keyvalues:C13 the most recently used live on, evicted keys count as never written', () => {
    const bench = new EphemeralBench({ maxEntries: 32 });
    for (let i = 0; i < 32; i++) bench.run(set(`k${i}`, 'x'));
    bench.run(get('k0'));
    for (let i = 32; i < 48; i++) bench.run(set(`k${i}`, 'x'));
    expect(bench.cache.entries).toBe(32);
    expect(show(bench.run(get('k0')))).toBe('Get "x" r0');
    expect(show(bench.run(get('k1')))).toBe('DoesNotExist r-1');
    expect(show(bench.run(set('k1', 'y')))).toBe('Set r0');
  });

  test('keyvalues:X14 a dead head keeps its counter for 60 s under pressure, then it may go', () => {
    const bench = new EphemeralBench({ maxEntries: 8 });
    bench.run(set('dead', 'x'));
    bench.run(del('dead'));
    for (let i = 0; i < 40; i++) bench.run(set(`k${i}`, 'x'));
    expect(show(bench.run(get('dead')))).toBe('DoesNotExist r0');
    bench.nowMs += 60_001;
    for (let i = 0; i < 40; i++) bench.run(set(`m${i}`, 'x'));
    expect(show(bench.run(get('dead')))).toBe('DoesNotExist r-1');
  });

  test('keyvalues:§15.3 dead heads that may not go yet cannot fill the memory: new keys are told to retry', () => {
    const bench = new EphemeralBench({ maxEntries: 8 });
    const answers = Array.from({ length: 40 }, (_, i) => {
      const written = show(bench.run(set(`k${i}`, 'x')));
      bench.run(del(`k${i}`));
      return written;
    });
    expect(answers.filter(answer => answer === 'Set r0').length).toBe(17);
    expect(answers.at(-1)).toBe('MustRetry r0');
    expect(show(bench.run(get('k0')))).toBe('DoesNotExist r0');
    bench.nowMs += 60_001;
    bench.run(set('a', 'x'));
    expect(show(bench.run(set('b', 'x')))).toBe('Set r0');
  });

  test('the byte budget counts the versions that are kept', () => {
    const bench = new EphemeralBench({ maxBytes: 400_000 });
    const value = 'x'.repeat(10_000);
    for (let i = 0; i < 64; i++) bench.run(set('hot', value));
    expect(bench.cache.bytes).toBeLessThan(40 * 10_000);
    for (let i = 0; i < 64; i++) bench.run(set(`k${i}`, value));
    expect(bench.cache.bytes).toBeLessThanOrEqual(400_000);
    bench.table.drop();
    expect([bench.cache.bytes, bench.cache.entries, bench.table.size]).toEqual([0, 0, 0]);
  });

  test('a failed condition on a new key leaves nothing behind', () => {
    const bench = new EphemeralBench();
    bench.run(set('k', 'x', { flags: XX }));
    expect(bench.table.size).toBe(0);
  });
});
