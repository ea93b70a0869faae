import { beforeEach, describe, expect, test, vi } from 'vitest';
import { complete } from '../shell/complete.ts';
import { isUnfinished } from '../shell/lexer.ts';
import { ScreenTerminal } from '../testing/screen-terminal.ts';
import { LineEditor, type ReadResult } from './line-editor.ts';

const LEFT = '\x1b[D';
const RIGHT = '\x1b[C';
const UP = '\x1b[A';
const DOWN = '\x1b[B';
const HOME = '\x1b[H';
const END = '\x1b[F';
const PAGE_UP = '\x1b[5~';
const PAGE_DOWN = '\x1b[6~';
const DELETE = '\x1b[3~';
const CONTROL_LEFT = '\x1b[1;5D';
const SHIFT_ENTER = '\x1b[13;2u';
const ALT_ENTER = '\x1b\r';
const pasted = (text: string) => `\x1b[200~${text}\x1b[201~`;
const control = (letter: string) => String.fromCharCode(letter.charCodeAt(0) - 96);

let terminal: ScreenTerminal;
let editor: LineEditor;
let history: string[];
let results: ReadResult[];

function start(columns = 80): void {
  terminal = new ScreenTerminal(columns);
  history = [];
  results = [];
  editor = new LineEditor(terminal, {
    prompts: { first: 'kahuna-cli> ', next: '       ...> ' },
    highlight: text => [{ text, paint: plain => plain }],
    complete: (text, cursor) => complete(text, cursor, ['jobs/a', 'jobs/b']),
    isUnfinished,
    history: () => history,
  });
  read();
}

function read(): void {
  void editor.read().then(result => {
    results.push(result);
  });
}

beforeEach(() => start());

const typed = async (keys: string): Promise<string | undefined> => {
  await terminal.type(`${keys}\r`);
  const result = results.at(-1);
  return result?.kind === 'text' ? result.text : result?.kind;
};

describe('keys of the line editor (cli §5.2)', () => {
  test.each([
    ['plain text', 'get k', 'get k'],
    ['left, insert', `gt${LEFT}e`, 'get'],
    ['home and end', `et${HOME}g${END}!`, 'get!'],
    ['backspace', 'geex\x7f\x7ft', 'get'],
    ['delete', `xget${HOME}${DELETE}`, 'get'],
    ['word left', `get key${CONTROL_LEFT}my-`, 'get my-key'],
    ['Ctrl+W', `get wrong-key${control('w')}k`, 'get wrong-k'],
    ['Ctrl+U', `nonsense${control('u')}get`, 'get'],
    ['Ctrl+K', `get k${LEFT}${control('k')}x`, 'get x'],
    ['an emoji is one character', `a🎉é${LEFT}${LEFT}${DELETE}b`, 'abé'],
    ['right at the end stays', `get${RIGHT}${RIGHT}k`, 'getk'],
    ['keys without a meaning type nothing', 'ge\x1b[15~t\x1b[99~', 'get'],
  ])('%s', async (_, keys, text) => {
    expect(await typed(keys)).toBe(text);
  });

  test('Shift+Enter and Alt+Enter begin a line, Up and Down move between lines', async () => {
    expect(await typed(`one${SHIFT_ENTER}two${ALT_ENTER}three${UP}${UP}!${DOWN}?`)).toBe('one!\ntwo?\nthree');
    expect(terminal.text()).toBe('kahuna-cli> one!\n       ...> two?\n       ...> three');
  });

  test('PageUp and PageDown go to both ends', async () => {
    expect(await typed(`b${SHIFT_ENTER}c${PAGE_UP}a${PAGE_DOWN}d`)).toBe('ab\ncd');
  });

  test('Enter goes on while a block is open, and shows it', async () => {
    await terminal.type('begin\r set a 1\r');
    expect(terminal.text()).toBe('kahuna-cli> begin\n       ...>  set a 1\n       ...>');
    expect(results).toEqual([]);
    expect(await typed('end')).toBe('begin\n set a 1\nend');
  });

  test('two blank continuation lines run an unfinished text anyway', async () => {
    await terminal.type('begin\r\r');
    expect(results).toEqual([]);
    await terminal.type('\r');
    expect(results).toEqual([{ kind: 'text', text: 'begin\n\n' }]);
  });

  test('cli:T29 pasted lines are inserted, not run', async () => {
    await terminal.type(pasted('begin\r\n set a 1\n commit\rend'));
    expect(results).toEqual([]);
    expect(terminal.text()).toBe('kahuna-cli> begin\n       ...>  set a 1\n       ...>  commit\n       ...> end');
    expect(await typed('')).toBe('begin\n set a 1\n commit\nend');
  });

  test('Ctrl+C clears what is typed, and on an empty prompt asks to leave', async () => {
    await terminal.type(`get k${control('c')}`);
    expect(results).toEqual([{ kind: 'text', text: '' }]);
    read();
    await terminal.type(control('c'));
    expect(results.at(-1)).toEqual({ kind: 'interrupt' });
  });

  test('Ctrl+C goes to the command that runs, and keys typed meanwhile wait', async () => {
    let interrupted = 0;
    editor.onInterrupt = () => {
      interrupted += 1;
    };
    await typed('first');
    await terminal.type(control('c'));
    expect(interrupted).toBe(1);
    await terminal.type('second\r');
    read();
    await terminal.type('');
    expect(results.at(-1)).toEqual({ kind: 'text', text: 'second' });
  });

  test('Ctrl+D deletes, and on an empty prompt ends', async () => {
    await terminal.type(`ab${HOME}${control('d')}${control('d')}`);
    expect(results).toEqual([]);
    await terminal.type(control('d'));
    expect(results).toEqual([{ kind: 'end' }]);
  });

  test('the end of the input ends the reading', async () => {
    terminal.input.end();
    await vi.waitFor(() => expect(results).toHaveLength(1));
    expect(results).toEqual([{ kind: 'end' }]);
  });

  test('Ctrl+L clears the screen and keeps the text', async () => {
    await terminal.type(`get k${control('l')}`);
    expect(terminal.text()).toBe('kahuna-cli> get k');
    expect(terminal.cursor()).toEqual([0, 17]);
  });

  test('the terminal is raw while it is in use', () => {
    expect(terminal.rawMode).toBe(true);
    editor.close();
    expect(terminal.rawMode).toBe(false);
  });
});

describe('history (cli §5.2)', () => {
  beforeEach(async () => {
    history.push('get a', 'begin\nend', 'get c');
    await typed('');
    read();
  });

  test('Up and Down walk it; the unsent draft comes back', async () => {
    await terminal.type(`draft${UP}${UP}${UP}${UP}${UP}${DOWN}${DOWN}${DOWN}${DOWN}${DOWN}`);
    expect(await typed('!')).toBe('draft!');
  });

  test('entries of several lines come back whole', async () => {
    expect(await typed(`${UP}${UP}`)).toBe('begin\nend');
  });

  test('Ctrl+R searches backwards while one types; Escape gives the draft back', async () => {
    await terminal.type(`x${control('r')}get`);
    expect(terminal.text()).toContain("(search) 'get': get c");
    await terminal.type(control('r'));
    expect(terminal.text()).toContain("(search) 'get': get a");
    expect(await typed('')).toBe('get a');
  });
});

describe('completion (cli §5.2)', () => {
  test('one match completes, and goes on with a blank', async () => {
    expect(await typed('cre\t')).toBe('create-sequence ');
    read();
    expect(await typed('unlock jobs/a\t')).toBe('unlock jobs/a ');
  });

  test('several are listed, after what they share', async () => {
    await terminal.type('ex\t');
    expect(terminal.text()).toBe(
      'exists       exit         extend       extend-lock\nkahuna-cli> ex'.replace(/^/, 'kahuna-cli> ex\n'),
    );
    await terminal.type('te\t');
    expect(await typed('\t-\t')).toBe('extend-lock ');
  });

  test('a shared beginning is inserted', async () => {
    expect(await typed('unlock jo\t')).toBe('unlock jobs/');
  });

  test('nothing that fits changes nothing', async () => {
    expect(await typed('zzz\t')).toBe('zzz');
  });
});

describe('what is on the screen', () => {
  test('text that wraps is painted once and the cursor finds its place', async () => {
    start(20);
    await terminal.type('get abcdefghij');
    expect(terminal.text()).toBe('kahuna-cli> get abcd\nefghij');
    await terminal.type(`${HOME}x`);
    expect(terminal.text()).toBe('kahuna-cli> xget abc\ndefghij');
    expect(terminal.cursor()).toEqual([0, 13]);
  });

  test('a row that is exactly full', async () => {
    start(20);
    await terminal.type('get abcd');
    expect(terminal.cursor()).toEqual([1, 0]);
    await terminal.type('e\x7f');
    expect(terminal.text()).toBe('kahuna-cli> get abcd');
    expect(await typed('')).toBe('get abcd');
  });

  test('shrinking text leaves nothing behind', async () => {
    await terminal.type(`one${SHIFT_ENTER}two${control('w')}\x7f\x7f\x7f`);
    expect(terminal.text()).toBe('kahuna-cli> o');
  });

  test('control characters in a recalled text do not drive the terminal', async () => {
    history.push('set k "\x1b[2J"');
    await typed('');
    read();
    await terminal.type(UP);
    expect(terminal.text()).toContain('set k "␛[2J"');
  });
});
