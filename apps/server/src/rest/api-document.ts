import swagger from '@fastify/swagger';
import swaggerPage from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { VERSION } from '../runtime/version.ts';
import type { Endpoint } from './endpoint.ts';
import { type JsonSchema, SHARED_SCHEMAS, shared } from './json-schema.ts';
import { shapeSchema } from './shape.ts';

const DESCRIPTION = `Keys, locks and sequences of a Kahuna cluster; any node takes any request.

An outcome is the \`type\` of the answer, with status 200. Status 400 means that the request itself is wrong: not JSON, a property of the
wrong type. Property names match in any case, unknown ones are ignored, \`null\` is the same as absent. Whole numbers may stand in
strings. 64-bit numbers are exact: read them with a parser that keeps every digit.`;

const WATCH_DESCRIPTION = `What happens to keys, as it happens, over a WebSocket of JSON messages. This document can describe its
handshake only; docs/watch.md has the messages.

    → {"t":"watch","id":1,"bucket":"config","initial":true,"progressMs":5000}
    ← {"t":"events","id":1,"events":[{"kind":"set","key":"config/a","value":"b24=","revision":"0",…}],"position":"AYe…"}
    ← {"t":"end","id":1,"code":"HISTORY_PRUNED","message":"…"}`;

/** Sections of the document, in its order. */
export type ApiSection =
  | 'keys'
  | 'scans'
  | 'locks'
  | 'sequences'
  | 'watch'
  | 'ranges'
  | 'cluster'
  | 'probes'
  | 'console'
  | 'later';

const SECTIONS: readonly { readonly name: ApiSection; readonly description: string }[] = [
  { name: 'keys', description: 'One key, or many that each stand alone' },
  { name: 'scans', description: 'Many keys in order, and holds that keep their history' },
  { name: 'locks', description: 'Leases with fencing tokens' },
  { name: 'sequences', description: 'Counters that hand out every value at most once' },
  {
    name: 'watch',
    description: WATCH_DESCRIPTION,
  },
  { name: 'ranges', description: 'How key spaces are split' },
  { name: 'cluster', description: 'Who is there, and who leads what' },
  { name: 'probes', description: 'Is this node alive and ready' },
  { name: 'console', description: 'What the pages of the console use; it changes with them' },
  { name: 'later', description: 'Documented, and refused by this release' },
];

const CONSOLE_PATH = '/v1/console/';

/**
 * The OpenAPI document of everything this app serves, at `/openapi.json`, and a page to browse it at `/docs/api`. It collects the
 * routes that are added after this call. What it says of bodies is made from the shapes that read them.
 */
export async function registerApiDocument(app: FastifyInstance): Promise<void> {
  // Bodies are checked by their shapes, and answers are text already: the schemas are for the document alone.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => value => JSON.stringify(value));
  for (const [name, schema] of Object.entries(SHARED_SCHEMAS)) app.addSchema({ $id: name, ...schema });
  app.addHook('onRoute', route => {
    if (route.url.startsWith(CONSOLE_PATH))
      route.schema ??= describe('console', `Used by the pages of the console: ${route.url.slice(CONSOLE_PATH.length)}`);
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Kahuna', version: VERSION, description: DESCRIPTION, license: { name: 'MIT', identifier: 'MIT' } },
      tags: [...SECTIONS],
    },
    hideUntagged: true,
    refResolver: { buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === 'string' ? $id : `schema-${i}`) },
  });
  await app.register(swaggerPage, {
    routePrefix: '/docs/api',
    staticCSP:
      "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    uiConfig: { url: '/openapi.json', deepLinking: true },
  });
  app.get('/openapi.json', { schema: describe('probes', 'This document') }, async (_request, reply) => {
    reply.type('application/json; charset=utf-8');
    return JSON.stringify(app.swagger());
  });
}

/** What the document says of a route. `responses`: by status. */
export function describe(
  section: ApiSection,
  summary: string,
  responses: Readonly<Record<number, JsonSchema>> = {},
): FastifySchema {
  const described = Object.entries(responses).map(([status, schema]) => [status, schema] as const);
  return { tags: [section], summary, ...(described.length === 0 ? {} : { response: Object.fromEntries(described) }) };
}

export function describeEndpoint(section: ApiSection, { summary, body, response }: Endpoint): FastifySchema {
  return { ...describe(section, summary, { 200: response, 400: shared('Problem') }), body: shapeSchema(body) };
}
