import { createServer, type Server } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type HTTPMethods } from 'fastify';
import type { HintOptions } from '../grpc/index.ts';
import { healthDocument, membershipDocument, placementDocument, rangesDocument, routingDocument } from './cluster-views.ts';
import { addConsoleHeaders, registerConsoleFiles } from './console-files.ts';
import { Fields } from './fields.ts';
import { parseBody } from './json-input.ts';
import * as kv from './key-values.ts';
import { Metrics } from './metrics.ts';
import { NodeCalls } from './node-calls.ts';
import { isOriginAllowed } from './origin.ts';
import { BadRequest, PROBLEM_TYPE, problem } from './problem.ts';
import {
  mergeRanges,
  registerRange,
  setReplicationFactor,
  splitRange,
  type TypedAnswer,
  unregisterRange,
} from './range-refusals.ts';
import { RouteHints } from './route-hints.ts';
import { UNAVAILABLE } from './unavailable.ts';

export interface RestOptions {
  readonly clock: Clock;
  readonly hints: HintOptions;
  /** `host:port` of this node in the cluster. */
  readonly localEndpoint: string;
  readonly allowedOrigins: readonly string[];
  /** Directory of the built console; undefined: there is none. */
  readonly consoleDirectory: string | undefined;
  /** False: nothing under `/ui` and `/v1/console`. */
  readonly consoleEnabled: boolean;
  /** True from the moment the stop signal arrives. */
  readonly isStopping: () => boolean;
  readonly onInternalError: (error: unknown, path: string) => void;
}

/** Largest request body in bytes (spec rest §1). */
const BODY_LIMIT = 30_000_000;
const JSON_TYPE = 'application/json; charset=utf-8';
const JSON_CONTENT = /^\s*application\/(?:json|[\w.+-]*\+json)\s*(;.*)?$/i;
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;
const DATA_SURFACE = /^\/v1\/(kv|locks|sequences)\//i;

const KEY_VALUE_PATHS: Readonly<Record<string, kv.KeyValueHandler>> = {
  '/v1/kv/try-set': kv.trySet,
  '/v1/kv/try-extend': kv.tryExtend,
  '/v1/kv/try-delete': kv.tryDelete,
  '/v1/kv/try-get': kv.tryGet,
  '/v1/kv/try-exists': kv.tryExists,
  '/v1/kv/try-set-many': kv.trySetMany,
  '/v1/kv/try-delete-many': kv.tryDeleteMany,
  '/v1/kv/try-get-many': kv.tryGetMany,
  '/v1/kv/try-exists-many': kv.tryExistsMany,
};

/** What a POST path does with the request's body. */
interface BodyConfig {
  readonly bindsBody?: boolean;
}

class UnsupportedMediaType extends Error {
  override name = 'UnsupportedMediaType';
}

/**
 * The HTTP surface of one node: REST, health, metrics and the console's files. Connections are handed to `app.server` by the port
 * listeners; it never listens itself. Call `ready()` before the first connection.
 */
export async function createRestApp(node: KahunaNode, options: RestOptions): Promise<FastifyInstance> {
  const app = fastify({
    serverFactory: handler => createHttpServer(handler),
    routerOptions: { caseSensitive: false, ignoreTrailingSlash: true },
    exposeHeadRoutes: false,
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: 'idle',
  });
  const paths = new KnownPaths();
  app.addHook('onRoute', route => paths.add(route.method, route.url));

  app.addHook('onRequest', async (request, reply) => {
    if (!changesState(request) || originAllowed(request, options.allowedOrigins)) return;
    await reply
      .code(403)
      .type(PROBLEM_TYPE)
      .send(problem(403, 'Requests from this origin are refused (--console-allowed-origins).'));
  });
  app.addHook('onRequest', async request => {
    // Such a path drops whatever comes, so a type it does not know, or cannot parse, is nothing to refuse.
    if (!bodyConfig(request).bindsBody) request.raw.headers['content-type'] = undefined;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (options.isStopping()) reply.header('connection', 'close');
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    if (!bodyConfig(request).bindsBody) return undefined;
    if (!isJsonContent(request.headers['content-type'])) {
      // Without a body there is nothing whose type could be wrong; the missing body is refused instead.
      if (body.length > 0) throw new UnsupportedMediaType();
    }
    return body;
  });

  app.setErrorHandler((error: unknown, request, reply) => answerError(error, request, reply, options));
  app.setNotFoundHandler((request, reply) => {
    const allowed = paths.methodsOf(pathOf(request));
    if (allowed.length === 0) return reply.code(404).type(PROBLEM_TYPE).send(problem(404, 'No such path.'));
    return reply.code(405).header('allow', allowed.join(', ')).type(PROBLEM_TYPE).send(problem(405, 'Method not allowed.'));
  });

  registerKeyValues(app, node, options);
  registerUnavailable(app);
  registerRanges(app, node, options);
  registerCluster(app, node, options);
  registerProbes(app, node, options);
  registerRoot(app, options);
  if (options.consoleEnabled) await registerConsoleFiles(app, options.consoleDirectory);
  return app;
}

function createHttpServer(handler: Parameters<typeof createServer>[1]): Server {
  // Idle clients keep their connection a little longer than common proxies do, so that it is never closed under a request.
  return createServer({ keepAliveTimeout: 75_000, requestTimeout: 300_000, headersTimeout: 30_000 }, handler);
}

function registerKeyValues(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const context: kv.KeyValueContext = {
    calls: new NodeCalls(node),
    hints: new RouteHints(node, options.hints),
    clock: options.clock,
  };
  for (const [path, handler] of Object.entries(KEY_VALUE_PATHS)) {
    app.post(path, { config: { bindsBody: true } satisfies BodyConfig }, async (request, reply) => {
      const fields = boundFields(request);
      reply.type(JSON_TYPE);
      if (options.isStopping()) return '{"type":101}';
      return handler(fields, context);
    });
  }
}

function registerUnavailable(app: FastifyInstance): void {
  for (const { method, path, bindsBody, status, body, headers } of UNAVAILABLE) {
    app.route({
      method,
      url: path,
      config: { bindsBody } satisfies BodyConfig,
      handler: async (request, reply) => {
        if (bindsBody) boundFields(request);
        reply.code(status).headers(headers ?? {});
        reply.type(status === 200 ? JSON_TYPE : PROBLEM_TYPE);
        return body;
      },
    });
  }
}

function registerRanges(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const post = (path: string, bindsBody: boolean, answer: (fields: Fields) => TypedAnswer): void => {
    app.post(path, { config: { bindsBody } satisfies BodyConfig }, async (request, reply) => {
      const { status, body } = answer(bindsBody ? boundFields(request) : new Fields({}));
      return json(reply, status, body);
    });
  };
  post('/v1/ranges/register', true, registerRange);
  post('/v1/ranges/unregister', true, unregisterRange);
  post('/v1/ranges/split', true, splitRange);
  post('/v1/ranges/merge', false, mergeRanges);
  post('/v1/cluster/replication-factor', true, setReplicationFactor);
  app.get('/v1/ranges', (request, reply) => json(reply, 200, rangesDocument(node, keySpaceOf(request), options.localEndpoint)));
}

function registerCluster(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  app.get('/v1/cluster/membership', (_request, reply) => json(reply, 200, membershipDocument(node)));
  app.get('/v1/cluster/placement', (_request, reply) => json(reply, 200, placementDocument(node, options.localEndpoint)));
  app.get('/v1/cluster/routing', (request, reply) => json(reply, 200, routingDocument(node, keySpaceOf(request))));
}

function registerProbes(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const metrics = new Metrics(node);
  app.get('/v1/cluster/health', (_request, reply) => {
    const { status, body } = healthDocument(node, options.isStopping());
    return json(reply, status, body);
  });
  app.get<{ Querystring: { verbose?: string } }>('/readyz', (request, reply) => {
    const { status, body } = healthDocument(node, options.isStopping());
    return probe(reply, status, request.query.verbose, body);
  });
  // Alive means: the process answers and has not given up; quorum and membership are no reason to restart it.
  app.get<{ Querystring: { verbose?: string } }>('/livez', (request, reply) => {
    const { fatalFault } = node.health();
    return probe(reply, fatalFault === null ? 200 : 503, request.query.verbose, { process: true, fatalFault });
  });
  app.get<{ Querystring: { partitions?: string } }>('/metrics', async (request, reply) => {
    reply.type(metrics.contentType);
    return metrics.text(request.query.partitions !== 'off');
  });
}

function probe(reply: FastifyReply, status: number, verbose: string | undefined, checks: object): FastifyReply {
  if (verbose !== undefined) return json(reply, status, checks);
  return reply
    .code(status)
    .type('text/plain; charset=utf-8')
    .send(status === 200 ? 'ok\n' : 'not ok\n');
}

function registerRoot(app: FastifyInstance, options: RestOptions): void {
  app.get('/', (request, reply) => {
    const wantsPage = request.headers.accept?.toLowerCase().includes('text/html') ?? false;
    if (!wantsPage || !options.consoleEnabled) return reply.type('text/plain; charset=utf-8').send('Kahuna.Server');
    addConsoleHeaders(reply);
    return reply.redirect('/ui/', 302);
  });
}

// ---- helpers ---------------------------------------------------------------------------------------------------------------

function json(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).type(JSON_TYPE).send(JSON.stringify(body));
}

function bodyConfig(request: FastifyRequest): BodyConfig {
  return request.routeOptions.config as BodyConfig;
}

function boundFields(request: FastifyRequest): Fields {
  return new Fields(parseBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)));
}

function isJsonContent(contentType: string | undefined): boolean {
  if (contentType === undefined || !JSON_CONTENT.test(contentType)) return false;
  const charset = CHARSET.exec(contentType)?.[1]?.toLowerCase();
  return charset === undefined || charset === 'utf-8' || charset === 'utf8';
}

/** Absent and empty mean the same: all spaces. */
function keySpaceOf(request: FastifyRequest): string | undefined {
  const { keySpace } = request.query as { keySpace?: string | string[] };
  const space = Array.isArray(keySpace) ? keySpace.at(-1) : keySpace;
  return space === undefined || space === '' ? undefined : space;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] as string;
}

function changesState(request: FastifyRequest): boolean {
  if (request.headers.upgrade !== undefined) return true;
  return request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'OPTIONS';
}

function originAllowed(request: FastifyRequest, allowed: readonly string[]): boolean {
  const tls = (request.raw.socket as Partial<TLSSocket>).encrypted === true;
  return isOriginAllowed(request.headers.origin, request.headers.host, tls, allowed);
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, options: RestOptions): FastifyReply {
  if (error instanceof BadRequest) return reply.code(400).type(PROBLEM_TYPE).send(problem(400, error.message));
  if (error instanceof UnsupportedMediaType) return reply.code(415).send();
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode === 413) return reply.code(413).header('connection', 'close').send();
  if (statusCode === 415) return reply.code(415).send();
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return reply
      .code(statusCode)
      .type(PROBLEM_TYPE)
      .send(problem(statusCode, message ?? 'Bad request.'));
  }
  options.onInternalError(error, pathOf(request));
  // Clients repeat 5xx blindly, so the data surfaces never answer one (spec rest §4.1).
  if (DATA_SURFACE.test(request.url)) return reply.code(200).type(JSON_TYPE).send('{"type":99}');
  return reply.code(500).type(PROBLEM_TYPE).send(problem(500, 'Internal error.'));
}

/** All served paths with their methods, to tell "unknown path" from "wrong method". */
class KnownPaths {
  private readonly patterns: { readonly pattern: RegExp; readonly method: string }[] = [];

  add(methods: HTTPMethods | HTTPMethods[], url: string): void {
    const escaped = url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replace(/\*/g, '.*');
    const pattern = new RegExp(`^${escaped}/?$`, 'i');
    for (const method of [methods].flat()) this.patterns.push({ pattern, method });
  }

  methodsOf(path: string): string[] {
    return [...new Set(this.patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
  }
}
