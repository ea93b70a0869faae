import { HLC_MAX_COUNTER, HLC_ZERO, type Hlc } from '@kahuna/base';
import { isWellFormedText, MAX_MANY_ITEMS } from '../gateway/validate.ts';
import { NumberText } from './json-input.ts';
import { BadRequest } from './problem.ts';

/** An exact 64-bit integer: a number where it is a safe one, else a bigint. */
export type Integer = number | bigint;

const INT32 = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const UINT32 = { min: 0n, max: BigInt(HLC_MAX_COUNTER) };
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const UINT64 = { min: 0n, max: 2n ** 64n - 1n };
type Limits = typeof INT32;

const DURABILITY_NAMES: Readonly<Record<string, number>> = { ephemeral: 0, persistent: 1 };
const FLAG_NAMES: Readonly<Record<string, number>> = {
  none: 0,
  set: 1,
  setnorevision: 2,
  setifexists: 4,
  setifnotexists: 8,
  setifequaltovalue: 16,
  setifequaltorevision: 32,
};

/**
 * The properties of one JSON object, read by the rules of spec rest §2: names in any case, the last of several equal names wins,
 * `null` is the same as absent, unknown ones are ignored. Every reader throws {@link BadRequest} that names the property.
 */
export class Fields {
  private readonly byName = new Map<string, unknown>();

  constructor(object: object) {
    for (const [name, value] of Object.entries(object)) this.byName.set(name.toLowerCase(), value);
  }

  private get(name: string): unknown {
    return this.byName.get(name.toLowerCase()) ?? undefined;
  }

  /** A key, prefix or name: '' when absent. Text that is no Unicode is refused (spec keyvalues §3, K15). */
  text(name: string): string {
    return this.optionalText(name) ?? '';
  }

  optionalText(name: string): string | null {
    const value = this.get(name);
    if (value === undefined) return null;
    if (typeof value !== 'string') throw new BadRequest(`${name} must be a string.`);
    if (!isWellFormedText(value)) throw new BadRequest(`${name} holds an unpaired surrogate.`);
    return value;
  }

  int32(name: string, absent: number): number {
    return Number(this.integer(name, INT32) ?? absent);
  }

  optionalInt32(name: string): number | undefined {
    const value = this.integer(name, INT32);
    return value === undefined ? undefined : Number(value);
  }

  optionalInt64(name: string): bigint | undefined {
    const value = this.integer(name, INT64);
    return value === undefined ? undefined : BigInt(value);
  }

  int64(name: string, absent: number): Integer {
    return this.integer(name, INT64) ?? absent;
  }

  uint64(name: string): Integer {
    return this.integer(name, UINT64) ?? 0;
  }

  /** Any whole number, however large (spec rest §9.3: `limit`). */
  anyInteger(name: string, absent: number): Integer {
    return this.integer(name, undefined) ?? absent;
  }

  boolean(name: string, absent = false): boolean {
    const value = this.get(name) ?? absent;
    if (typeof value !== 'boolean') throw new BadRequest(`${name} must be true or false.`);
    return value;
  }

  durability(name: string, absent: number): number {
    return this.enumeration(name, DURABILITY_NAMES, absent);
  }

  setFlags(): number {
    return this.enumeration('flags', FLAG_NAMES, 0);
  }

  /** A number or the name of a member; several names may stand with commas between them, for bit masks. */
  private enumeration(name: string, members: Readonly<Record<string, number>>, absent: number): number {
    const value = this.get(name);
    if (typeof value !== 'string' || /^-?\d+$/.test(value)) return this.int32(name, absent);
    return value.split(',').reduce((mask, part) => {
      const member = members[part.trim().toLowerCase()];
      if (member === undefined) throw new BadRequest(`${name}: unknown name.`);
      return mask | member;
    }, 0);
  }

  /** null: no value; zero bytes are a value. */
  bytes(name: string): Uint8Array | null {
    const value = this.get(name);
    if (value === undefined) return null;
    if (typeof value !== 'string') throw new BadRequest(`${name} must be a base64 string.`);
    return decodeBase64(name, value);
  }

  hlc(name: string): Hlc {
    const parts = this.object(name);
    if (parts === undefined) return HLC_ZERO;
    const l = parts.int64('l', 0);
    return {
      n: parts.int32('n', 0),
      // Beyond every clock that will ever run, so the nearest number that can be computed with means the same.
      l: typeof l === 'number' ? l : l < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER,
      c: Number(parts.integer('c', UINT32) ?? 0),
    };
  }

  /** undefined when absent. */
  object(name: string): Fields | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!isPlainObject(value)) throw new BadRequest(`${name} must be an object.`);
    return new Fields(value);
  }

  /** undefined when absent. */
  objects(name: string): Fields[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw new BadRequest(`${name} must be an array.`);
    if (value.length > MAX_MANY_ITEMS) throw new BadRequest(`${name} must hold at most ${MAX_MANY_ITEMS} objects.`);
    return value.map((item: unknown) => {
      if (!isPlainObject(item)) throw new BadRequest(`${name} must hold objects.`);
      return new Fields(item);
    });
  }

  private integer(name: string, limits: Limits | undefined): Integer | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    const exact = exactInteger(value);
    if (exact === undefined) throw new BadRequest(`${name} must be a whole number.`);
    if (limits !== undefined && (exact < limits.min || exact > limits.max)) throw new BadRequest(`${name} is out of range.`);
    return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
  }
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}

function exactInteger(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === 'string') return /^-?\d{1,40}$/.test(value) ? BigInt(value) : undefined;
  if (!(value instanceof NumberText)) return undefined;
  const match = /^(-?\d{1,400})(?:[eE]\+?(\d{1,2}))?$/.exec(value.text);
  return match === null ? undefined : BigInt(match[1] as string) * 10n ** BigInt(match[2] ?? 0);
}

/** Standard alphabet with padding and nothing else; Node's own decoder skips what it does not know, so lengths are compared. */
function decodeBase64(name: string, text: string): Uint8Array {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const expected = (text.length / 4) * 3 - padding;
  const decoded = Buffer.from(text, 'base64');
  if (text.length % 4 !== 0 || decoded.length !== expected || text.includes('-') || text.includes('_')) {
    throw new BadRequest(`${name} must be padded base64.`);
  }
  return decoded;
}
