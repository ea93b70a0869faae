import type { Hlc } from '@kahuna/base';
import type { Fields, Integer } from './fields.ts';
import { HLC, type JsonSchema } from './json-schema.ts';

/**
 * What a request body holds: each property knows how it is read and checked, and what the API document says of it. The two cannot
 * disagree, because there is only this one description.
 */
export interface Property<T> {
  /** Throws `BadRequest`, which names the property. */
  readonly read: (fields: Fields, name: string) => T;
  readonly schema: JsonSchema;
}

export type Shape = Readonly<Record<string, Property<unknown>>>;

/** The values that a body of this shape has. */
export type Read<S extends Shape> = { readonly [N in keyof S]: S[N] extends Property<infer T> ? T : never };

export function readShape<S extends Shape>(shape: S, fields: Fields): Read<S> {
  const entries = Object.entries(shape).map(([name, property]) => [name, property.read(fields, name)] as const);
  return Object.fromEntries(entries) as Read<S>;
}

export function shapeSchema(shape: Shape): JsonSchema {
  const properties = Object.entries(shape).map(([name, property]) => [name, property.schema] as const);
  return { type: 'object', properties: Object.fromEntries(properties) };
}

function property<T>(schema: JsonSchema, read: Property<T>['read']): Property<T> {
  return { schema, read };
}

/** '' when absent. */
export function text(description: string): Property<string> {
  return property({ type: 'string', description }, (f, name) => f.text(name));
}

export function optionalText(description: string): Property<string | undefined> {
  return property({ type: ['string', 'null'], description }, (f, name) => f.optionalText(name) ?? undefined);
}

/** null: absent, which is a value of its own. */
export function bytes(description: string): Property<Uint8Array | null> {
  return property({ type: ['string', 'null'], contentEncoding: 'base64', description }, (f, name) => f.bytes(name));
}

export function int32(absent: number, description: string): Property<number> {
  const schema = { type: 'integer', format: 'int32', default: absent, description };
  return property(schema, (f, name) => f.int32(name, absent));
}

export function optionalInt32(description: string): Property<number | undefined> {
  return property({ type: ['integer', 'null'], format: 'int32', description }, (f, name) => f.optionalInt32(name));
}

export function int64(absent: number, description: string): Property<Integer> {
  const schema = { type: 'integer', format: 'int64', default: absent, description };
  return property(schema, (f, name) => f.int64(name, absent));
}

export function optionalInt64(description: string): Property<bigint | undefined> {
  return property({ type: ['integer', 'null'], format: 'int64', description }, (f, name) => f.optionalInt64(name));
}

export function uint64(description: string): Property<Integer> {
  return property({ type: 'integer', format: 'uint64', default: 0, description }, (f, name) => f.uint64(name));
}

/** Any whole number, however large. */
export function anyInteger(absent: number, description: string): Property<Integer> {
  return property({ type: 'integer', default: absent, description }, (f, name) => f.anyInteger(name, absent));
}

export function boolean(description: string, absent = false): Property<boolean> {
  return property({ type: 'boolean', default: absent, description }, (f, name) => f.boolean(name, absent));
}

/** Whatever number came; names are read as their numbers. */
export function durability(absent: 0 | 1 = 0): Property<number> {
  const description = absent === 0 ? '0 ephemeral, 1 persistent' : '1 persistent';
  return property({ type: 'integer', default: absent, description }, (f, name) => f.durability(name, absent));
}

export function setFlags(): Property<number> {
  const description =
    'Bit mask: 1 set, 2 without revision, 4 if exists, 8 if not exists, 16 if equal to value, 32 if equal to revision';
  return property({ type: 'integer', default: 0, description }, f => f.setFlags());
}

export function hlc(description: string): Property<Hlc> {
  return property({ ...HLC, description }, (f, name) => f.hlc(name));
}

/** undefined: absent, which is not the same as all zero. */
export function optionalHlc(description: string): Property<Hlc | undefined> {
  return property({ ...HLC, description }, (f, name) => (f.object(name) === undefined ? undefined : f.hlc(name)));
}

/** undefined when absent. */
export function nested<S extends Shape>(shape: S, description: string): Property<Read<S> | undefined> {
  return property({ ...shapeSchema(shape), description }, (f, name) => {
    const inner = f.object(name);
    return inner === undefined ? undefined : readShape(shape, inner);
  });
}

/** An item of a list: what it holds, and the fields that it was read from. */
export function items<S extends Shape>(shape: S): Property<readonly Read<S>[] | undefined> {
  return property({ type: 'array', items: shapeSchema(shape) }, (f, name) =>
    f.objects(name)?.map(item => readShape(shape, item)),
  );
}
