import { describe, expect, test } from 'vitest';
import { toJson } from './json.ts';
import { shown, shownValue, textOf } from './render.ts';
import { PLAIN } from './style.ts';
import { table } from './table.ts';
import { displayWidth } from './width.ts';

const PIPE = { style: PLAIN, terminal: false };
const TERMINAL = { style: PLAIN, terminal: true };

describe('values (cli §3)', () => {
  test('bytes that are not UTF-8 are hexadecimal', () => {
    expect(textOf(Uint8Array.of(0xff, 0x00, 0x0a))).toBe('0xff000a');
    expect(textOf(new TextEncoder().encode('\ufeffgrüße 🎉'))).toBe('\ufeffgrüße 🎉');
  });

  test('null and empty have words', () => {
    expect(shownValue(null, PIPE)).toBe('(null)');
    expect(shownValue(null, PIPE, '-')).toBe('-');
    expect(shownValue(new Uint8Array(0), PIPE)).toBe('(empty str)');
  });

  test('a terminal is not driven by what a value holds; a pipe gets it unchanged', () => {
    const title = '\x1b]0;mine\x07 a\nb\tc \x9b1m';
    expect(shown(title, TERMINAL)).toBe('\\x1b]0;mine\\x07 a\nb\tc \\x9b1m');
    expect(shown(title, PIPE)).toBe(title);
  });
});

describe('tables (cli §3.1)', () => {
  test('cli:T42 the box of the members', () => {
    expect(table(['Endpoint', 'Node ID', 'Role', 'Joined Version'], [['node-1:8082', '1', 'Voter', '1']])).toEqual([
      '┌─────────────┬─────────┬───────┬────────────────┐',
      '│ Endpoint    │ Node ID │ Role  │ Joined Version │',
      '├─────────────┼─────────┼───────┼────────────────┤',
      '│ node-1:8082 │ 1       │ Voter │ 1              │',
      '└─────────────┴─────────┴───────┴────────────────┘',
    ]);
  });

  test('columns stay aligned beside wide characters', () => {
    const widths = table(
      ['A', 'B'],
      [
        ['漢字', '1'],
        ['é', '🎉'],
      ],
    ).map(displayWidth);
    expect(new Set(widths).size).toBe(1);
  });
});

test('the width of what is written', () => {
  expect(displayWidth('abc')).toBe(3);
  expect(displayWidth('e\u0301')).toBe(1);
  expect(displayWidth('漢字')).toBe(4);
  expect(displayWidth('👩‍👩‍👧')).toBe(2);
  expect(displayWidth('🇩🇪')).toBe(2);
});

test('64-bit numbers are exact in JSON', () => {
  expect(toJson({ a: 9223372036854775807n, b: [null, true, 'x"y'], c: {}, d: -0.5 })).toBe(
    '{"a":9223372036854775807,"b":[null,true,"x\\"y"],"c":{},"d":-0.5}',
  );
});
