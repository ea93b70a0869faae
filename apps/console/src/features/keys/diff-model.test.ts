import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DiffLine, diffLines } from './diff-model.ts';

const side = (lines: readonly DiffLine[], without: DiffLine['kind']): string[] =>
  lines.filter(line => line.kind !== without).map(line => line.text);

describe('console:§6.6 difference between two revisions', () => {
  test('unchanged lines stay, changed ones are removed and added', () => {
    expect(diffLines(['{', '  "state": "open"', '}'], ['{', '  "state": "paid"', '}'])).toEqual([
      { kind: 'same', text: '{' },
      { kind: 'removed', text: '  "state": "open"' },
      { kind: 'added', text: '  "state": "paid"' },
      { kind: 'same', text: '}' },
    ]);
  });

  test('a line between equal ones moves nothing else', () => {
    expect(diffLines(['a', 'b', 'c'], ['a', 'x', 'b', 'c']).filter(line => line.kind !== 'same')).toEqual([
      { kind: 'added', text: 'x' },
    ]);
  });

  test('both sides can be read back from the difference', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = diffLines(before, after);
        expect(side(diff, 'added')).toEqual(before);
        expect(side(diff, 'removed')).toEqual(after);
      }),
    );
  });
});
