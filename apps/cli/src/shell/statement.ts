/**
 * The statements that the shell runs itself, as one operation each: reading, writing, deleting and prolonging keys (spec scripts §9).
 * Everything else of the language (variables, expressions, control flow, transactions) is for the server's script runner.
 */

import type { Durability } from '@kahuna/client';
import { NeedsScript, UsageError } from '../failures.ts';
import { INT32_MAX, parseInt64 } from '../options/numbers.ts';
import { type Token, tokenize } from './lexer.ts';
import { integerOf, numberText, unquote } from './literals.ts';
import { CONSTANTS, KEYWORDS } from './words.ts';

export interface SetRequest {
  key: string;
  value: Uint8Array;
  /** Milliseconds; 0 = for ever. */
  expiresMs: number;
  durability: Durability;
  ifAbsent?: boolean;
  ifPresent?: boolean;
  ifValue?: Uint8Array;
  ifRevision?: number;
  noHistory?: boolean;
}

export interface GetRequest {
  readonly key: string;
  readonly durability: Durability;
  readonly revision?: number;
  /** Unix milliseconds. */
  readonly asOf?: number;
}

export interface KeysRequest {
  readonly prefix: string;
  readonly durability: Durability;
  /** Unix milliseconds. */
  readonly asOf?: number;
}

export type Statement =
  | ({ readonly kind: 'set' } & SetRequest)
  | ({ readonly kind: 'get' | 'exists' } & GetRequest)
  | { readonly kind: 'delete'; readonly key: string; readonly durability: Durability }
  | { readonly kind: 'extend'; readonly key: string; readonly expiresMs: number; readonly durability: Durability }
  | ({ readonly kind: 'bucket' | 'scan' } & KeysRequest);

const SPELLINGS: ReadonlyMap<string, 'set' | 'get' | 'exists' | 'delete' | 'extend' | 'scan'> = new Map([
  ['set', 'set'],
  ['get', 'get'],
  ['exists', 'exists'],
  ['delete', 'delete'],
  ['del', 'delete'],
  ['extend', 'extend'],
  ['scan', 'scan'],
]);

const USAGE = {
  set: 'usage: set <key> <value> [nx|xx] [ex <milliseconds>] [cmp <value>] [cmprev <revision>] [norev]',
  get: 'usage: get <key> [at <revision> | as of <unix-ms>]  or  get by bucket <bucket> [as of <unix-ms>]',
  exists: 'usage: exists <key> [at <revision> | as of <unix-ms>]',
  delete: 'usage: delete <key>',
  extend: 'usage: extend <key> <milliseconds>',
  scan: 'usage: scan by prefix <prefix> [as of <unix-ms>]',
} as const;

const UTF8 = new TextEncoder();
const LITERAL_WORDS: ReadonlySet<string> = new Set(CONSTANTS);
const RESERVED: ReadonlySet<string> = new Set([...KEYWORDS, ...CONSTANTS]);

/**
 * Reads one statement. Undefined if the text does not begin with one of the words above. Throws {@link UsageError} for what no
 * script could mean either, {@link NeedsScript} for what only a script can do.
 */
export function parseStatement(text: string): Statement | undefined {
  const tokens = tokenize(text).filter(token => token.kind !== 'comment');
  const first = tokens[0];
  if (first?.kind !== 'word') return undefined;
  const word = first.text.toLowerCase();
  const plain = SPELLINGS.get(word);
  const ephemeral = word.startsWith('e') ? SPELLINGS.get(word.slice(1)) : undefined;
  const verb = plain ?? ephemeral;
  if (verb === undefined) return undefined;
  return new StatementReader(tokens, verb, plain === undefined ? 'ephemeral' : 'persistent').read();
}

type Verb = keyof typeof USAGE;

class StatementReader {
  private at = 1;
  private readonly tokens: readonly Token[];
  private readonly verb: Verb;
  private readonly durability: Durability;

  constructor(tokens: readonly Token[], verb: Verb, durability: Durability) {
    this.tokens = tokens;
    this.verb = verb;
    this.durability = durability;
  }

  read(): Statement {
    const statement = this.body();
    if (this.peek() !== undefined) this.refuseRest();
    return statement;
  }

  private body(): Statement {
    const { durability } = this;
    switch (this.verb) {
      case 'set':
        return { kind: 'set', ...this.write() };
      case 'delete':
        return { kind: 'delete', key: this.key(), durability };
      case 'extend':
        return { kind: 'extend', key: this.key(), expiresMs: this.milliseconds('Invalid EXTEND expression'), durability };
      case 'get':
        if (this.takes('by')) {
          this.expect('bucket');
          return { kind: 'bucket', ...this.keys() };
        }
        return { kind: 'get', ...this.reading() };
      case 'exists':
        return { kind: 'exists', ...this.reading() };
      case 'scan':
        this.expect('by');
        this.expect('prefix');
        return { kind: 'scan', ...this.keys() };
    }
  }

  private write(): SetRequest {
    const request: { -readonly [Name in keyof SetRequest]: SetRequest[Name] } = {
      key: this.key(),
      value: this.value(),
      expiresMs: 0,
      durability: this.durability,
    };
    for (;;) {
      if (this.takes('nx')) request.ifAbsent = true;
      else if (this.takes('xx')) request.ifPresent = true;
      else if (this.takes('norev')) request.noHistory = true;
      else if (this.takes('ex')) request.expiresMs = this.milliseconds('Invalid SET EX expression');
      else if (this.takes('cmp')) request.ifValue = this.value();
      else if (this.takes('cmprev')) request.ifRevision = this.integer('Invalid CMPREV expression');
      else return request;
    }
  }

  private reading(): GetRequest {
    const key = this.key();
    if (this.takes('at') || this.takes('@')) return { key, durability: this.durability, revision: this.revision() };
    return { key, durability: this.durability, ...this.asOf() };
  }

  private keys(): KeysRequest {
    return { prefix: this.key(), durability: this.durability, ...this.asOf() };
  }

  private asOf(): { asOf?: number } {
    if (!this.takes('as')) return {};
    this.expect('of');
    const asOf = this.integer('Invalid AS OF expression');
    if (asOf <= 0) throw new UsageError('AS OF 0 is not a valid snapshot timestamp');
    return { asOf };
  }

  private key(): string {
    const token = this.next();
    if (token.kind === 'string') {
      const key = unquote(token.text);
      if (key === '') throw new UsageError(`Invalid key name type ${token.text[0] === '`' ? 'Identifier' : 'StringType'}`);
      return key;
    }
    if (token.kind === 'placeholder') throw new UsageError(`Undefined parameter: ${token.text}`);
    if (token.kind !== 'word') throw new UsageError(`A key begins with a letter or stands in quotes, not '${token.text}'.`);
    if (RESERVED.has(token.text.toLowerCase())) {
      throw new UsageError(`${token.text} is a reserved word: write \`${token.text}\` if it is the name of a key.`);
    }
    return token.text;
  }

  /** The bytes of a literal: what it takes more than one token to say is an expression. */
  private value(): Uint8Array {
    const token = this.next();
    if (token.kind === 'string' && token.text[0] !== '`') return UTF8.encode(unquote(token.text));
    if (token.kind === 'number') return this.number(token, false);
    const following = this.peek();
    if (token.text === '-' && following?.kind === 'number') return this.number(this.next(), true);
    const word = token.text.toLowerCase();
    if (token.kind === 'word' && LITERAL_WORDS.has(word)) return UTF8.encode(word === 'null' ? '' : word);
    if (token.kind === 'placeholder') throw new UsageError(`Undefined parameter: ${token.text}`);
    if (token.kind === 'operator' || following?.text === '(' || following?.text === '[') throw new NeedsScript();
    throw new UsageError(`Undefined variable: ${token.text} (text stands in quotes: "${token.text.replaceAll('`', '')}")`);
  }

  private number(token: Token, negative: boolean): Uint8Array {
    const text = numberText(token.text, negative);
    if (text === undefined) throw new NeedsScript();
    return UTF8.encode(text);
  }

  private milliseconds(problem: string): number {
    const value = this.integer(problem);
    if (value < 0 || value > INT32_MAX) throw new UsageError(`${problem}: milliseconds go from 0 to ${INT32_MAX}`);
    return value;
  }

  private integer(problem: string): number {
    const negative = this.takes('-');
    const token = this.next();
    let value: bigint | undefined;
    if (token.kind === 'number' && !token.text.includes('.')) value = integerOf(token.text);
    else if (token.kind === 'string' && token.text[0] !== '`') value = parseInt64(unquote(token.text).trim());
    if (value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER)) throw new UsageError(problem);
    return Number(negative ? -value : value);
  }

  private revision(): number {
    const token = this.next();
    const value = /^\d+$/.test(token.text) ? Number(token.text) : Number.NaN;
    if (!(value <= INT32_MAX)) throw new UsageError(`Invalid revision: ${token.text}`);
    return value;
  }

  private peek(): Token | undefined {
    return this.tokens[this.at];
  }

  private next(): Token {
    const token = this.tokens[this.at];
    if (token === undefined) throw new UsageError(USAGE[this.verb]);
    if (!token.closed) throw new UsageError(`${token.text[0]} is never closed`);
    this.at += 1;
    return token;
  }

  private takes(word: string): boolean {
    const token = this.peek();
    if (token === undefined || token.kind === 'string' || token.text.toLowerCase() !== word) return false;
    this.at += 1;
    return true;
  }

  private expect(word: string): void {
    if (!this.takes(word)) throw new UsageError(USAGE[this.verb]);
  }

  /** Behind a whole statement: an operator goes on with an expression and a word begins a second statement, which a script could do. */
  private refuseRest(): never {
    const token = this.next();
    if (token.kind === 'operator' && token.text !== ';') throw new NeedsScript();
    if (token.kind === 'word' && RESERVED.has(token.text.toLowerCase())) throw new NeedsScript();
    throw new UsageError(`Unexpected '${token.text}'. ${USAGE[this.verb]}`);
  }
}
