import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { COLOURED } from '../output/style.ts';
import { complete } from './complete.ts';
import { highlight } from './highlight.ts';

const candidates = (text: string, resources: readonly string[] = []) => complete(text, text.length, resources).candidates;

test('the first word is a command or a statement', () => {
  expect(candidates('cre')).toEqual(['create-sequence']);
  expect(candidates('ge')).toEqual(['get', 'get-lock', 'get-sequence']);
  expect(candidates('GE')).toContain('get');
});

test('later words are keywords, functions and constants', () => {
  expect(candidates('set k "v" cm')).toEqual(['cmp', 'cmprev']);
  expect(candidates('return to_s')).toEqual(['to_str', 'to_string']);
  expect(candidates('return nu')).toEqual(['null']);
  expect(candidates('set ')).toEqual([]);
});

test('second words of commands, and resources of this session', () => {
  expect(candidates('cluster ')).toEqual(['leave', 'members']);
  expect(candidates('unlock ', ['jobs/b', 'jobs/a'])).toEqual(['jobs/a', 'jobs/b']);
  expect(candidates('unlock jobs/a ', ['jobs/a'])).toEqual([]);
  expect(candidates('get-sequence or')).toEqual([]);
});

test('only the line of the cursor counts', () => {
  const text = 'begin\ncre\nend';
  expect(complete(text, 9, [])).toEqual({ start: 6, candidates: ['create-sequence'] });
});

test('files behind run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kahuna-complete-'));
  try {
    writeFileSync(join(directory, 'one.kl'), '');
    mkdirSync(join(directory, 'once'));
    writeFileSync(join(directory, '.hidden'), '');
    expect(candidates(`run ${directory}/on`)).toEqual([`${directory}/once/`, `${directory}/one.kl`]);
    expect(candidates(`run ${directory}/`)).not.toContain(`${directory}/.hidden`);
    expect(candidates(`run ${directory}/nowhere/x`)).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('every class of word has its own colour, and no character is lost (cli §5.2)', () => {
  const text = 'set `k` "v" ex 10 # note\nlet x = to_int(null) lock \'q\'';
  const spans = highlight(text, COLOURED);
  expect(spans.map(span => span.text).join('')).toBe(text);
  const colour = (word: string) =>
    spans
      .find(span => span.text === word)
      ?.paint('|')
      .split('|')[0];
  const colours = ['set', 'to_int', 'lock', 'null', '10', '`k`', '"v"', "'q'", '# note'].map(colour);
  expect(new Set(colours).size).toBe(colours.length);
  expect(colours).not.toContain(undefined);
  expect(colours).not.toContain('');
});
