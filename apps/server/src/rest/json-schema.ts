/** The part of JSON Schema 2020-12 that the API document uses. */
export interface JsonSchema {
  readonly $id?: string;
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly format?: string;
  readonly contentEncoding?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly examples?: readonly unknown[];
}

/** Schemas that many others point to, by name. */
export const SHARED_SCHEMAS = {
  Hlc: object(
    {
      n: { type: 'integer', format: 'int32', description: 'Node that minted it' },
      l: { type: 'integer', format: 'int64', description: 'Milliseconds since 1970' },
      c: { type: 'integer', format: 'uint32', description: 'Counter within the millisecond' },
    },
    'Hybrid logical timestamp. All zero: none.',
  ),
  Route: object(
    {
      partitionId: { type: 'integer', format: 'int32' },
      endpoint: { type: 'string', description: 'Base URL of the node that owns the resource; empty when unknown' },
      provenance: { type: 'integer', description: '1 executed by this node, 2 forwarded' },
      generation: { type: 'integer', format: 'int64' },
    },
    'Advisory: who owns the resource.',
  ),
  Problem: object(
    {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
    },
    'Problem document (RFC 9457).',
  ),
} as const satisfies Readonly<Record<string, JsonSchema>>;

/** An object that always has all of its properties, as every answer has. */
export function object(properties: Readonly<Record<string, JsonSchema>>, description?: string): JsonSchema {
  return { type: 'object', properties, required: Object.keys(properties), ...(description === undefined ? {} : { description }) };
}

export function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

export function nullable(schema: JsonSchema): JsonSchema {
  return typeof schema.type === 'string' && schema.properties === undefined
    ? { ...schema, type: [schema.type, 'null'] }
    : { oneOf: [schema, { type: 'null' }] };
}

export function shared(name: keyof typeof SHARED_SCHEMAS): JsonSchema {
  return { $ref: `${name}#` };
}

export const INT32: JsonSchema = { type: 'integer', format: 'int32' };
export const INT64: JsonSchema = { type: 'integer', format: 'int64', description: 'Every digit counts: beyond 2^53 too' };
export const TEXT: JsonSchema = { type: 'string' };
export const BOOLEAN: JsonSchema = { type: 'boolean' };
export const BYTES: JsonSchema = {
  type: ['string', 'null'],
  contentEncoding: 'base64',
  description: 'null: no value; "": zero bytes',
};
export const HLC = shared('Hlc');
export const ROUTE = nullable(shared('Route'));
export const SERVED_FROM: JsonSchema = { type: ['string', 'null'], description: 'Always empty' };

/** The outcome, with its numbers. */
export function outcome(numbers: string): JsonSchema {
  return { type: 'integer', description: numbers };
}

export const KEY_VALUE_TYPES =
  '0 set, 1 not set, 2 extended, 3 got, 4 deleted, 10 exists, 99 errored, 100 invalid input, 101 must retry, 102 aborted, 103 does not exist';
export const LOCK_TYPES =
  '0 locked, 1 busy, 2 extended, 3 unlocked, 4 got, 99 errored, 100 invalid input, 101 must retry, 102 lock does not exist, 103 invalid owner';
export const SEQUENCE_TYPES =
  '0 success, 1 not found, 2 already exists, 3 invalid input, 4 maximum exceeded, 5 must retry, 6 aborted, 99 error';
