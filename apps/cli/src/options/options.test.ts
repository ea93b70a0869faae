import { describe, expect, test } from 'vitest';
import { DEFAULT_ENDPOINTS, parseEndpoints, parseNode, verifiesCertificates } from './endpoints.ts';
import { commandsGiven, parseOptions } from './parse-options.ts';

const parse = (...argv: string[]) => parseOptions(argv);

describe('the command line (cli §2)', () => {
  test('a flag and its value may be two words or one', () => {
    expect(parse('--set', 'k', '--value=a=b', '-c', 'http://h:1')).toEqual({
      set: 'k',
      value: 'a=b',
      'connection-source': 'http://h:1',
    });
  });

  test('aliases are the flag itself', () => {
    expect(parse('--get-by-bucket', 'b')).toEqual({ 'get-by-prefix': 'b' });
    expect(parse('--unlock-lock', 'r')).toEqual({ unlock: 'r' });
  });

  test('an empty value is a value', () => {
    expect(parse('--set', 'k', '--value', '')).toEqual({ set: 'k', value: '' });
  });

  test('a value that begins with two dashes needs the = form, and the error says so', () => {
    expect(() => parse('--value', '--x')).toThrow(
      "Option 'value' needs a value: --value <text>. If that is the value, write --value=--x.",
    );
    expect(parse('--value=--x')).toEqual({ value: '--x' });
    expect(() => parse('--get')).toThrow("Option 'get' needs a value: --get <key>.");
    expect(() => parse('--get', '--json')).toThrow('--get=--json');
    expect(() => parse('--get', '--help')).not.toThrow('--get=--help');
  });

  test('negative numbers and the lone dash are values', () => {
    expect(parse('--initial-value', '-5', '--value', '-')).toEqual({ 'initial-value': -5n, value: '-' });
  });

  test('64-bit numbers are exact and bounded', () => {
    expect(parse('--max-value', '9223372036854775807')).toEqual({ 'max-value': 9223372036854775807n });
    expect(() => parse('--max-value', '9223372036854775808')).toThrow('at most 64 bits');
    expect(() => parse('--expires', '2147483648')).toThrow("Option 'expires' takes a whole number up to 2147483647 in size");
    expect(() => parse('--expires', '1.5')).toThrow('whole number');
  });

  test('cli:T50 an unknown flag is named with a hint', () => {
    expect(() => parse('--frobnicate')).toThrow("Option 'frobnicate' is unknown. Try --help.");
    expect(() => parse('word')).toThrow("Unexpected argument 'word'. Try --help.");
  });

  test('formats, shells and timeouts are checked', () => {
    expect(() => parse('--format', 'xml')).toThrow("Option 'format' takes console or json, not 'xml'.");
    expect(() => parse('--completion', 'csh')).toThrow('bash, zsh or fish');
    expect(() => parse('-t', '0')).toThrow('above 0');
    expect(parse('-t', '0.5')).toEqual({ 'default-timeout': 0.5 });
    expect(() => parse('--insecure=yes')).toThrow('takes no value');
  });

  test('of several commands the first of the table runs', () => {
    expect(commandsGiven(parse('--get', 'a', '--set', 'b'))).toEqual(['set', 'get']);
  });
});

describe('the connection (cli §1)', () => {
  test('a list is split at commas; blanks and empty parts do not count', () => {
    expect(parseEndpoints(' https://a:8082 ,, http://b:1/ ')).toEqual(['https://a:8082', 'http://b:1']);
    expect(parseEndpoints(DEFAULT_ENDPOINTS)).toHaveLength(3);
  });

  test.each(['a:8082', 'ftp://a:1', 'https://', 'http://a:b', 'grpc://a'])('%s is no endpoint', text => {
    expect(() => parseEndpoints(text)).toThrow(`Invalid endpoint '${text}': expected http:// or https:// URL`);
  });

  test('an empty list is refused', () => {
    expect(() => parseEndpoints(' , ')).toThrow('lists no endpoint');
  });

  test('a bare host and port takes the scheme of the first endpoint', () => {
    expect(parseNode('node-2:8084', ['https://a:1'])).toBe('https://node-2:8084');
    expect(parseNode('node-2:8084', ['http://a:1'])).toBe('http://node-2:8084');
    expect(parseNode('http://b:2/', ['https://a:1'])).toBe('http://b:2');
    expect(() => parseNode('a b', ['http://a:1'])).toThrow("Invalid endpoint 'a b'");
  });

  test('certificates go unchecked only when every node is local, or on demand', () => {
    expect(verifiesCertificates(['https://localhost:1', 'https://127.0.0.1:2', 'https://[::1]:3'], false)).toBe(false);
    expect(verifiesCertificates(['https://localhost:1', 'https://db.example:2'], false)).toBe(true);
    expect(verifiesCertificates(['https://db.example:2'], true)).toBe(false);
  });
});
