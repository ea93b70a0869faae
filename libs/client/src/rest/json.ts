import { DecodeError, HLC_ZERO, type Hlc } from '@kahuna/base';
import { fromBase64, toBase64 } from './base64.ts';

/** Integers of this many digits may be beyond what a number holds exactly. */
const LONG_INTEGER = /\d{16}/;
/** A whole text, or a long integer outside of one: the first alternative swallows texts, so that their digits stay alone. */
const TEXT_OR_LONG_INTEGER = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

/**
 * Parses JSON so that 64-bit integers survive: long ones are read as texts, and {@link JsonObject} takes either form. The platform's
 * parser would round them.
 */
export function parseExact(text: string): unknown {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(TEXT_OR_LONG_INTEGER, token => (token.startsWith('"') ? token : `"${token}"`)));
}

/** Reads the members of an object by the types of the contract; absent and null are defaults (rest §2). Throws {@link DecodeError}. */
export class JsonObject {
  private readonly members: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DecodeError('not a JSON object');
    this.members = value as Record<string, unknown>;
  }

  /** It is there, and not null. */
  has(name: string): boolean {
    return (this.members[name] ?? undefined) !== undefined;
  }

  /** The same for a member that is an object; undefined for null. */
  object(name: string): JsonObject | undefined {
    const value = this.members[name] ?? undefined;
    return value === undefined ? undefined : new JsonObject(value);
  }

  list(name: string): JsonObject[] {
    const value = this.members[name] ?? [];
    if (!Array.isArray(value)) throw new DecodeError(`${name} is not a list`);
    return value.map(item => new JsonObject(item));
  }

  number(name: string): number {
    return Number(this.big(name));
  }

  big(name: string): bigint {
    return this.optionalBig(name) ?? 0n;
  }

  optionalBig(name: string): bigint | undefined {
    const value = this.members[name] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
    if (typeof value === 'string' && /^-?\d+$/.test(value)) return BigInt(value);
    throw new DecodeError(`${name} is not an integer`);
  }

  optionalNumber(name: string): number | undefined {
    const value = this.optionalBig(name);
    return value === undefined ? undefined : Number(value);
  }

  text(name: string): string {
    return this.optionalText(name) ?? '';
  }

  optionalText(name: string): string | undefined {
    const value = this.members[name] ?? undefined;
    if (value !== undefined && typeof value !== 'string') throw new DecodeError(`${name} is not a text`);
    return value;
  }

  bool(name: string): boolean {
    return this.members[name] === true;
  }

  bytes(name: string): Uint8Array | undefined {
    const value = this.optionalText(name);
    return value === undefined ? undefined : fromBase64(value);
  }

  hlc(name: string): Hlc {
    const value = this.object(name);
    return value === undefined ? HLC_ZERO : { n: value.number('n'), l: value.number('l'), c: value.number('c') };
  }
}

/** Ends of the names of the three fields that a timestamp has in messages. */
const STAMP_FIELD = /^(.+)(Node|Physical|Counter)$/;
const STAMP_PART: Readonly<Record<string, string>> = { Node: 'n', Physical: 'l', Counter: 'c' };

const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);

/**
 * A message of the wire contract as REST has it: names in camel case, a timestamp as one object, bytes as base64, and 64-bit
 * integers as texts, which the server accepts and JSON carries exactly.
 */
export function toJson(message: object): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    if (value === undefined) continue;
    const stamp = STAMP_FIELD.exec(name);
    if (stamp === null) {
      json[lowerFirst(name)] = toJsonValue(value);
      continue;
    }
    const key = lowerFirst(stamp[1] as string);
    const parts = (json[key] ?? {}) as Record<string, unknown>;
    parts[STAMP_PART[stamp[2] as string] as string] = toJsonValue(value);
    json[key] = parts;
  }
  return json;
}

function toJsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return toBase64(value);
  if (Array.isArray(value)) return value.map(item => toJsonValue(item));
  return typeof value === 'object' && value !== null ? toJson(value) : value;
}
