import type { FlagSpec, NumberFlag } from './flag-spec.ts';
import { FLAG_NAMES, type FlagName, type FlagValues, flagSpec } from './flags.ts';

/** The command line is wrong; the message names the option and fits one line. */
export class FlagError extends Error {
  override name = 'FlagError';
}

export interface ParsedFlags {
  readonly values: FlagValues;
  /** Options that stood on the command line; the others have their defaults. */
  readonly given: ReadonlySet<FlagName>;
}

export type ParseResult =
  | { readonly kind: 'run'; readonly flags: ParsedFlags }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that switch an option off; the option given explicitly wins (spec operations §1.3). */
const ENVIRONMENT_SWITCHES: readonly (readonly [string, FlagName])[] = [
  ['KAHUNA_AUTO_REJOIN', 'raft-enable-auto-rejoin'],
  ['KAHUNA_QUIESCENCE', 'raft-enable-quiescence'],
  ['KAHUNA_SHARED_POOL', 'raft-enable-shared-executor-pool'],
];

const BY_SPELLING: ReadonlyMap<string, FlagName> = new Map(
  FLAG_NAMES.flatMap(name => {
    const spec = flagSpec(name);
    const spellings: [string, FlagName][] = [[`--${name}`, name]];
    if (spec.short !== undefined) spellings.push([`-${spec.short}`, name]);
    if (spec.alias !== undefined) spellings.push([`--${spec.alias}`, name]);
    return spellings;
  }),
);

const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const INT_LIMITS = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const LONG_LIMITS = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/**
 * Reads a command line by the rules of spec operations §1.4: `--name value`, `--name=value`, `-h` (host) and `-p`; a bare boolean is
 * true and takes the next token only if that is `true` or `false`; a list runs up to the next token that starts with `-`.
 * Throws {@link FlagError}; has no other effect.
 */
export function parseFlags(argv: readonly string[], environment: Environment): ParseResult {
  if (argv.includes('--help')) return { kind: 'help' };
  if (argv.includes('--version')) return { kind: 'version' };

  const values: Record<string, unknown> = Object.fromEntries(FLAG_NAMES.map(name => [name, flagSpec(name).default]));
  const given = new Set<FlagName>();
  for (let at = 0; at < argv.length; ) at = takeFlag(argv, at, values, given);

  for (const [variable, name] of ENVIRONMENT_SWITCHES) {
    if (environment[variable] === '0' && !given.has(name)) values[name] = false;
  }
  return { kind: 'run', flags: { values: values as FlagValues, given } };
}

/** Of the options that begin alike, or of which one is the beginning of the other, the first; nothing if there is none. */
function meant(spelling: string): string {
  const alike = (known: string): boolean => known.startsWith(spelling) || spelling.startsWith(known);
  const found = [...BY_SPELLING.keys()].find(known => known.startsWith('--') && spelling.length > 4 && alike(known));
  return found === undefined ? '' : `did you mean ${found}? `;
}

/** Reads the option at `at` with its values; returns where the next one begins. */
function takeFlag(argv: readonly string[], at: number, values: Record<string, unknown>, given: Set<FlagName>): number {
  const token = argv[at] as string;
  if (!token.startsWith('-')) throw new FlagError(`unexpected argument '${token}' (options begin with --; --help lists them)`);
  const equals = token.indexOf('=');
  const spelling = equals === -1 ? token : token.slice(0, equals);
  const name = BY_SPELLING.get(spelling);
  if (name === undefined) throw new FlagError(`unknown option ${spelling} (${meant(spelling)}--help lists all)`);
  const spec = flagSpec(name);
  const inline = equals === -1 ? undefined : token.slice(equals + 1);

  if (spec.kind === 'texts' || spec.kind === 'ports') {
    let next = at + 1;
    const raw = inline === undefined ? [] : [inline];
    while (next < argv.length && !(argv[next] as string).startsWith('-')) raw.push(argv[next++] as string);
    if (raw.length === 0) throw new FlagError(`${spelling} needs a value`);
    const items = raw
      .flatMap(text => text.split(','))
      .map(text => text.trim())
      .filter(text => text !== '');
    const parsed = spec.kind === 'ports' ? items.map(item => port(spelling, item)) : items;
    values[name] = given.has(name) ? [...(values[name] as unknown[]), ...parsed] : parsed;
    given.add(name);
    return next;
  }

  if (given.has(name)) throw new FlagError(`${spelling} is given twice`);
  given.add(name);
  if (spec.kind === 'boolean') {
    const following = argv[at + 1]?.toLowerCase();
    const consumes = inline === undefined && (following === 'true' || following === 'false');
    const text = consumes ? following : (inline?.toLowerCase() ?? 'true');
    if (text !== 'true' && text !== 'false') throw new FlagError(`${spelling} takes true or false, not '${inline}'`);
    values[name] = text === 'true';
    return at + (consumes ? 2 : 1);
  }

  const following = argv[at + 1];
  const usable = following !== undefined && (!following.startsWith('-') || (isNumeric(spec) && DECIMAL.test(following)));
  if (inline === undefined && !usable) throw new FlagError(`${spelling} needs a value`);
  values[name] = scalar(spelling, spec, inline ?? (following as string));
  return at + (inline === undefined ? 2 : 1);
}

function isNumeric(spec: FlagSpec): spec is NumberFlag {
  return spec.kind === 'int' || spec.kind === 'long' || spec.kind === 'double';
}

function scalar(spelling: string, spec: FlagSpec, text: string): string | number {
  if (isNumeric(spec)) return number(spelling, spec, text);
  if (spec.kind === 'uuid') {
    if (text !== '' && !UUID.test(text)) throw new FlagError(`${spelling} takes a UUID, not '${text}'`);
    return text.toLowerCase();
  }
  if (spec.kind === 'text' && spec.allowed !== undefined && !spec.allowed.includes(text)) {
    const allowed = spec.allowed.filter(value => value !== '').join(', ');
    throw new FlagError(`${spelling} must be one of ${allowed}, not '${text}'`);
  }
  return text;
}

function number(spelling: string, spec: NumberFlag, text: string): number {
  if (!(spec.kind === 'double' ? DECIMAL : INTEGER).test(text)) {
    throw new FlagError(`${spelling} takes ${spec.kind === 'double' ? 'a number' : 'a whole number'}, not '${text}'`);
  }
  if (spec.kind !== 'double') {
    const exact = BigInt(text.startsWith('+') ? text.slice(1) : text);
    const limits = spec.kind === 'int' ? INT_LIMITS : LONG_LIMITS;
    if (exact < limits.min || exact > limits.max) throw new FlagError(`${spelling}: ${text} is out of range`);
  }
  const value = Number(text);
  if (!Number.isFinite(value)) throw new FlagError(`${spelling}: ${text} is out of range`);
  if (spec.min !== undefined && value < spec.min) throw new FlagError(`${spelling} must be at least ${spec.min}, not ${text}`);
  if (spec.max !== undefined && value > spec.max) throw new FlagError(`${spelling} must be at most ${spec.max}, not ${text}`);
  return value;
}

function port(spelling: string, text: string): number {
  const value = INTEGER.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= 65_535)) throw new FlagError(`${spelling} takes ports from 1 to 65535, not '${text}'`);
  return value;
}
