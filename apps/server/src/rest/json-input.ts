import { isUtf8 } from 'node:buffer';
import { parse } from 'lossless-json';
import { BadRequest } from './problem.ts';

/** A number whose digits a double might not keep, or that is not written as a plain integer: its own spelling. */
export class NumberText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const MAX_DEPTH = 64;
/** Long runs of digits, and numbers with a fraction or an exponent, need the exact parser; hits inside strings only cost time. */
const NEEDS_EXACT = /\d{16}|[:,[\s-]\d+[.eE]/;

/** The body of a request. Throws {@link BadRequest}. */
export function parseBody(body: Buffer): object {
  if (body.length === 0) throw new BadRequest('A JSON body is required.');
  return parseObject(body, 'The body');
}

/**
 * Parses by spec rest §2: strict JSON in valid UTF-8, an object at the top, at most 64 levels, integers exact. `what`: how it is
 * called where it is refused. Throws {@link BadRequest}.
 */
export function parseObject(data: Buffer, what: string): object {
  if (!isUtf8(data)) throw new BadRequest(`${what} is not valid UTF-8.`);
  const text = data.toString('utf8');
  checkDepth(text, what);
  let value: unknown;
  try {
    value = NEEDS_EXACT.test(text)
      ? parse(text, undefined, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue })
      : JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadRequest(`${what} is not valid JSON.`);
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new BadRequest(`${what} must be a JSON object.`);
  return value;
}

function exactNumber(text: string): number | NumberText {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : new NumberText(text);
}

/** Before parsing, so that a parser that recurses cannot be driven out of its stack. */
function checkDepth(text: string, what: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > MAX_DEPTH) throw new BadRequest(`${what} is nested too deeply.`);
    } else if (code === 0x7d || code === 0x5d) {
      depth--;
    }
  }
}

/** Position of the quote that ends the string opened at `start`; the end of the text if there is none. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
}
