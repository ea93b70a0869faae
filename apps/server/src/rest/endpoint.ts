import type { Clock } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import type { JsonSchema } from './json-schema.ts';
import type { NodeCalls } from './node-calls.ts';
import type { RouteHints } from './route-hints.ts';
import type { Read, Shape } from './shape.ts';

/** What the handlers of the data surfaces work with. */
export interface DataContext {
  readonly node: KahunaNode;
  readonly calls: NodeCalls;
  readonly hints: RouteHints;
  readonly clock: Clock;
}

/** One POST path of a data surface: every request that was parsed is answered with status 200 (rest §4.1). */
export interface Endpoint<S extends Shape = Shape> {
  readonly path: string;
  readonly summary: string;
  readonly body: S;
  readonly response: JsonSchema;
  /** The JSON text of the answer. */
  readonly handle: (body: Read<S>, context: DataContext) => Promise<string>;
}

/** Ties the types of body and handler together, then lets endpoints of all shapes stand in one list. */
export function endpoint<S extends Shape>(definition: Endpoint<S>): Endpoint {
  return { ...definition, handle: (body, context) => definition.handle(body as Read<S>, context) };
}
