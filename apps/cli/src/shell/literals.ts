/** Literals of the script language and the bytes they are stored as (spec scripts §2, §5.1). */
import { UsageError } from '../failures.ts';

const INT64_MAX = 2n ** 63n - 1n;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  '`': '`',
};
const HEX_LENGTHS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** The text of a quoted literal, its quotes included. Throws {@link UsageError}. */
export function unquote(literal: string): string {
  const inner = literal.slice(1, -1);
  let text = '';
  for (let at = 0; at < inner.length; at++) {
    if (inner[at] !== '\\') {
      text += inner[at];
      continue;
    }
    const letter = inner[at + 1] ?? '';
    const octal = /^[0-7]{1,3}/.exec(inner.slice(at + 1))?.[0];
    const hexLength = HEX_LENGTHS[letter];
    if (octal !== undefined) {
      text += String.fromCodePoint(Number.parseInt(octal, 8));
      at += octal.length;
    } else if (hexLength !== undefined) {
      text += characterOf(inner.slice(at + 2, at + 2 + hexLength), hexLength);
      at += 1 + hexLength;
    } else {
      const simple = SIMPLE_ESCAPES[letter];
      if (simple === undefined) throw new UsageError(`Unknown escape sequence '\\${letter}' in string literal`);
      text += simple;
      at += 1;
    }
  }
  return text;
}

function characterOf(digits: string, length: number): string {
  if (digits.length < length) throw new UsageError('Truncated escape sequence in string literal');
  if (!/^[0-9A-Fa-f]+$/.test(digits)) throw new UsageError(`Invalid escape sequence '${digits}' in string literal`);
  const code = Number.parseInt(digits, 16);
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new UsageError(`Escape sequence '${digits}' is not a character`);
  }
  return String.fromCodePoint(code);
}

/** A number literal as it is stored. Throws {@link UsageError}; undefined where only the server knows how it is written. */
export function numberText(literal: string, negative: boolean): string | undefined {
  if (literal.includes('.')) return doubleText(negative ? -Number(literal) : Number(literal));
  const magnitude = integerOf(literal);
  return (negative ? -magnitude : magnitude).toString();
}

/** An integer literal; 16 hexadecimal digits are a two's-complement pattern. Throws {@link UsageError}. */
export function integerOf(literal: string): bigint {
  if (literal.startsWith('0x')) {
    if (literal.slice(2).replace(/^0+/, '').length > 16) throw new UsageError(`Invalid hexadecimal integer: ${literal}`);
    return BigInt.asIntN(64, BigInt(literal));
  }
  const value = BigInt(literal);
  if (value > INT64_MAX) throw new UsageError(`Integer out of range: ${literal}`);
  return value;
}

/** JavaScript and the language write doubles alike in this span; beyond it they differ in when an exponent begins. */
function doubleText(value: number): string | undefined {
  if (Object.is(value, -0)) return '-0';
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-4 && size < 1e15) ? String(value) : undefined;
}
