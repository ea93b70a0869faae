import { describe, expect, test } from 'vitest';
import { asText, comparable, formOf, fromBase64, hexDump, prettyJson, shownAs, toBase64, viewersFor } from './value-model.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('console:§6.6 what a value is', () => {
  test.each([
    ['{"a":1}', 'json'],
    ['[1,2]', 'json'],
    ['{"a":', 'text'],
    ['42', 'number'],
    ['-3.5', 'number'],
    ['hello\nworld', 'text'],
    ['😀', 'text'],
    ['a\u0000b', 'binary'],
  ])('%j is %s', (text, form) => {
    expect(formOf(bytes(text))).toBe(form);
  });

  test('null and zero bytes are different values', () => {
    expect([formOf(null), formOf(new Uint8Array())]).toEqual(['null', 'empty']);
  });

  test('invalid UTF-8 is never shown as text', () => {
    const broken = Uint8Array.of(0xc3, 0x28);
    expect(formOf(broken)).toBe('binary');
    expect(asText(broken)).toBeUndefined();
    expect(viewersFor('binary')).not.toContain('text');
  });

  test('a byte order mark survives the round trip', () => {
    const marked = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61);
    expect(bytes(asText(marked) ?? '')).toEqual(marked);
  });

  test('base64 carries every byte', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(fromBase64(toBase64(all))).toEqual(all);
  });
});

describe('viewers', () => {
  test('JSON is indented and its tokens stay as they were written', () => {
    expect(prettyJson('{"big":12345678901234567890,"e":1e400,"s":"a,{\\"b\\"}:","l":[],"o":{ },"n":[1, 2]}')).toBe(
      [
        '{',
        '  "big": 12345678901234567890,',
        '  "e": 1e400,',
        '  "s": "a,{\\"b\\"}:",',
        '  "l": [],',
        '  "o": {},',
        '  "n": [',
        '    1,',
        '    2',
        '  ]',
        '}',
      ].join('\n'),
    );
  });

  test('hex shows offsets, bytes and what can be read of them', () => {
    expect(hexDump(bytes('jobs/nightly\u0000\n01234'))).toBe(
      [
        '00000000  6a 6f 62 73 2f 6e 69 67  jobs/nig',
        '00000008  68 74 6c 79 00 0a 30 31  htly..01',
        '00000010  32 33 34                 234',
      ].join('\n'),
    );
  });

  test('binary on either side is compared in hex', () => {
    expect(comparable(bytes('a'), Uint8Array.of(0xff))[0]).toMatch(/^00000000/);
    expect(comparable(bytes('{"a":1}'), bytes('{"a":2}'))).toEqual(['{', '  "a": 1', '}']);
    expect(shownAs(bytes('x'), 'base64')).toBe('eA==');
  });
});
