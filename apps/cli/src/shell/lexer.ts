/**
 * Splits what is typed in the shell into tokens, by the lexical rules of the script language (spec scripts §2) with one addition: a
 * word may go on behind `-`, `/`, `.` and `:`, as command names and bare keys do. Never fails: what it does not know is an operator.
 */

export type TokenKind = 'word' | 'number' | 'string' | 'placeholder' | 'comment' | 'operator';

export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  /** As written, quotes included. */
  readonly text: string;
  /** A string in any of the three quotes that has its closing quote; true for everything else. */
  readonly closed: boolean;
}

const BLANK = /[ \t\r\n]+/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*(?:[-/.:]+[A-Za-z0-9_]+)*/y;
const NUMBER = /0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]+)?/y;
const PLACEHOLDER = /@[A-Za-z0-9_]+/y;
const COMMENT = /#[^\r\n]*/y;
const OPERATOR = /==|!=|<>|<=|>=|&&|\|\||\.\.|[\s\S]/uy;

export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const blank = match(BLANK, text, at);
    if (blank > at) {
      at = blank;
      continue;
    }
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
  return tokens;
}

function tokenAt(text: string, start: number): Token {
  const quote = text[start] as string;
  if (quote === '"' || quote === "'" || quote === '`') return stringAt(text, start, quote);
  const kinds: readonly (readonly [TokenKind, RegExp])[] = [
    ['word', WORD],
    ['number', NUMBER],
    ['placeholder', PLACEHOLDER],
    ['comment', COMMENT],
    ['operator', OPERATOR],
  ];
  for (const [kind, pattern] of kinds) {
    const end = match(pattern, text, start);
    if (end > start) return { kind, start, end, text: text.slice(start, end), closed: true };
  }
  return { kind: 'operator', start, end: start + 1, text: quote, closed: true };
}

function stringAt(text: string, start: number, quote: string): Token {
  let at = start + 1;
  while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1;
  const closed = at < text.length;
  const end = Math.min(text.length, closed ? at + 1 : at);
  return { kind: 'string', start, end, text: text.slice(start, end), closed };
}

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

const BLOCK_OPENERS: ReadonlySet<string> = new Set(['begin', 'if', 'for', 'switch']);

/** True while Enter should go on rather than run: a block is open, or a string has no end (spec cli §5.2). */
export function isUnfinished(text: string): boolean {
  let open = 0;
  for (const token of tokenize(text)) {
    if (!token.closed) return true;
    if (token.kind !== 'word') continue;
    const word = token.text.toLowerCase();
    if (BLOCK_OPENERS.has(word)) open += 1;
    else if (word === 'end') open -= 1;
  }
  return open > 0;
}
