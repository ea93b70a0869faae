import type { Rng } from '@kahuna/base';
import { hostileBytes, hostileInteger, hostileText } from './hostile-values.ts';

/** A part of the API document that requests are made from. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly contentEncoding?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** What the only schema has that others point to from a request. */
const HLC_PROPERTIES: Readonly<Record<string, Schema>> = {
  n: { type: 'integer' },
  l: { type: 'integer' },
  c: { type: 'integer' },
};

const WRONG = ['null', 'true', '1.5', '-0', '1e400', '[]', '{}', '"x"', '99999999999999999999999', '[[[[]]]]'];

/** JSON text that mostly has the form of the schema; numbers keep all of their digits. */
export function hostileJson(rng: Rng, schema: Schema): string {
  if (rng.chance(0.05)) return rng.pick(WRONG);
  const type = [schema.type ?? 'object'].flat()[0];
  switch (type) {
    case 'string':
      return JSON.stringify(
        schema.contentEncoding === 'base64' && rng.chance(0.9) ? hostileBytes(rng).toString('base64') : hostileText(rng),
      );
    case 'integer':
      return rng.chance(0.5) ? rng.pick(['0', '1', '1000']) : String(hostileInteger(rng));
    case 'boolean':
      return String(rng.chance(0.5));
    case 'array':
      return `[${Array.from({ length: rng.int(0, 4) }, () => hostileJson(rng, schema.items ?? {})).join(',')}]`;
    default: {
      const properties = schema.$ref === undefined ? (schema.properties ?? {}) : HLC_PROPERTIES;
      const chosen = Object.entries(properties).filter(([name]) => rng.chance(name.startsWith('transaction') ? 0.1 : 0.8));
      return `{${chosen.map(([name, inner]) => `${JSON.stringify(name)}:${hostileJson(rng, inner)}`).join(',')}}`;
    }
  }
}
