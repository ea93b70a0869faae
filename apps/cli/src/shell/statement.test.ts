import { describe, expect, test } from 'vitest';
import { NeedsScript } from '../failures.ts';
import { isUnfinished, tokenize } from './lexer.ts';
import { parseStatement } from './statement.ts';

const UTF8 = new TextEncoder();
const bytes = (text: string) => UTF8.encode(text);
const set = { kind: 'set', expiresMs: 0, durability: 'persistent' };

describe('statements the shell runs itself (scripts §9)', () => {
  test('keys stand bare, in backticks or in quotes', () => {
    for (const key of ['`a b`', '"a b"', "'a b'"])
      expect(parseStatement(`get ${key}`)).toMatchObject({ kind: 'get', key: 'a b' });
    expect(parseStatement('GET my-config')).toMatchObject({ key: 'my-config' });
    expect(parseStatement('get services/email/instance-3')).toMatchObject({ key: 'services/email/instance-3' });
  });

  test('a set with every modifier', () => {
    expect(parseStatement('set k "v" nx xx ex 500 cmp "w" cmprev -1 norev')).toEqual({
      ...set,
      key: 'k',
      value: bytes('v'),
      expiresMs: 500,
      ifAbsent: true,
      ifPresent: true,
      ifValue: bytes('w'),
      ifRevision: -1,
      noHistory: true,
    });
  });

  test('an e in front means ephemeral; extend and exists are words of their own', () => {
    expect(parseStatement('eset k 1')).toMatchObject({ kind: 'set', durability: 'ephemeral' });
    expect(parseStatement('extend k 1')).toMatchObject({ kind: 'extend', durability: 'persistent' });
    expect(parseStatement('eextend k "60000"')).toMatchObject({ kind: 'extend', durability: 'ephemeral', expiresMs: 60000 });
    expect(parseStatement('exists k')).toMatchObject({ kind: 'exists', durability: 'persistent' });
    expect(parseStatement('eexists k')).toMatchObject({ kind: 'exists', durability: 'ephemeral' });
    expect(parseStatement('edel k')).toMatchObject({ kind: 'delete', durability: 'ephemeral' });
  });

  test.each([
    ['5', '5'],
    ['-5', '-5'],
    ['0x10', '16'],
    ['0xFFFFFFFFFFFFFFFF', '-1'],
    ['007', '7'],
    ['1.50', '1.5'],
    ['true', 'true'],
    ['NULL', ''],
    ['"a\\n\\x41\\u00e9\\101\\`"', 'a\nAéA`'],
    ['\'say "hi"\'', 'say "hi"'],
  ])('the literal %s is stored as %j', (literal, stored) => {
    expect(parseStatement(`set k ${literal}`)).toMatchObject({ value: bytes(stored) });
  });

  test('reads of the past and of many keys', () => {
    expect(parseStatement('get k at 3')).toMatchObject({ kind: 'get', revision: 3 });
    expect(parseStatement('get k @ 3')).toMatchObject({ kind: 'get', revision: 3 });
    expect(parseStatement('exists k as of 1700000000000')).toMatchObject({ kind: 'exists', asOf: 1700000000000 });
    expect(parseStatement('get by bucket `services/email`')).toEqual({
      kind: 'bucket',
      prefix: 'services/email',
      durability: 'persistent',
    });
    expect(parseStatement('escan by prefix ser as of 5')).toMatchObject({ kind: 'scan', durability: 'ephemeral', asOf: 5 });
  });

  test('comments do not count', () => {
    expect(parseStatement('get k # the key')).toMatchObject({ kind: 'get', key: 'k' });
  });

  test.each(['set k 1 + 1', 'set k to_int("1")', 'set k (1)', 'set a 1 set b 2', 'get a get b', 'set k 0.00001'])(
    '%s is for a script',
    text => {
      expect(() => parseStatement(text)).toThrow(NeedsScript);
    },
  );

  test.each(['let a = 1', 'begin set a 1 commit end', 'return 1', 'foo', '', '# nothing'])(
    '%j is no statement of the shell',
    text => {
      expect(parseStatement(text)).toBeUndefined();
    },
  );

  test.each([
    ['get', 'usage: get <key>'],
    ['set k', 'usage: set <key> <value>'],
    ['extend k', 'usage: extend <key> <milliseconds>'],
    ['scan prefix a', 'usage: scan by prefix <prefix>'],
    ['set k hello', 'Undefined variable: hello (text stands in quotes: "hello")'],
    ['set k "v" now', "Unexpected 'now'. usage: set"],
    ['set k "v";', "Unexpected ';'"],
    ['set k @v', 'Undefined parameter: @v'],
    ['get end', 'end is a reserved word: write `end` if it is the name of a key.'],
    ['get ""', 'Invalid key name type StringType'],
    ['get 5', "A key begins with a letter or stands in quotes, not '5'."],
    ['get k at -1', 'Invalid revision: -'],
    ['get k at 2147483648', 'Invalid revision: 2147483648'],
    ['get k as of 0', 'AS OF 0 is not a valid snapshot timestamp'],
    ['set k 9223372036854775808', 'Integer out of range: 9223372036854775808'],
    ['set k "v" ex -1', 'Invalid SET EX expression'],
    ['set k "v" ex 1.5', 'Invalid SET EX expression'],
    ['extend k 2147483648', 'Invalid EXTEND expression'],
    ['set k "\\q"', "Unknown escape sequence '\\q' in string literal"],
    ['set k "\\ud800"', "Escape sequence 'd800' is not a character"],
    ['set k "open', '" is never closed'],
  ])('%s is refused with a reason', (text, reason) => {
    expect(() => parseStatement(text)).toThrow(reason);
  });
});

describe('when Enter goes on instead of running (cli §5.2)', () => {
  test.each([
    ['get k', false],
    ['begin', true],
    ['begin set a 1', true],
    ['begin set a 1 commit end', false],
    ['if a then if b then x end', true],
    ['set k "if"', false],
    ['set k 1 # begin', false],
    ['set k "two', true],
    ['set k `two', true],
    ['set k "a\\"', true],
    ['end', false],
  ])('%j: %s', (text, unfinished) => {
    expect(isUnfinished(text)).toBe(unfinished);
  });
});

test('every character of the input belongs to a token or is blank', () => {
  const text = 'set k-1 "a" cmp 0x1f @p # c\n .. && $ 1.5 `b';
  const tokens = tokenize(text);
  let rebuilt = ' '.repeat(text.length);
  for (const token of tokens) {
    expect(token.text).toBe(text.slice(token.start, token.end));
    rebuilt = rebuilt.slice(0, token.start) + token.text + rebuilt.slice(token.end);
  }
  expect(rebuilt).toBe(text.replaceAll('\n', ' '));
});
