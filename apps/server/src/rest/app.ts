import { createServer, type Server } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '@kahuna/base';
import type { KahunaNode } from '@kahuna/node';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type HTTPMethods } from 'fastify';
import type { Unread } from '../gateway/unread.ts';
import type { HintOptions } from '../grpc/index.ts';
import { type ApiSection, describe, describeEndpoint, registerApiDocument } from './api-document.ts';
import { healthDocument, membershipDocument, placementDocument, rangesDocument, routingDocument } from './cluster-views.ts';
import { addConsoleHeaders, registerConsoleFiles } from './console-files.ts';
import type { DataContext, Endpoint } from './endpoint.ts';
import { Fields } from './fields.ts';
import { FLOOR_RESPONSE, HOLD_ENDPOINTS, snapshotFloor } from './holds.ts';
import { parseBody } from './json-input.ts';
import { KEY_VALUE_ENDPOINTS } from './key-values.ts';
import { LOCK_ENDPOINTS } from './locks.ts';
import { Metrics } from './metrics.ts';
import { NodeCalls } from './node-calls.ts';
import { isOriginAllowed } from './origin.ts';
import { BadRequest, PROBLEM_TYPE, problem } from './problem.ts';
import { RouteHints } from './route-hints.ts';
import { SCAN_ENDPOINTS } from './scans.ts';
import { SEQUENCE_ENDPOINTS } from './sequences.ts';
import { type Read, readShape, type Shape, shapeSchema } from './shape.ts';
import {
  KEY_SPACE,
  leaveCluster,
  mergeRanges,
  REPLICATION_FACTOR,
  registerRange,
  SPLIT,
  setReplicationFactor,
  splitRange,
  type TypedAnswer,
  unregisterRange,
} from './topology-endpoints.ts';
import { UNAVAILABLE } from './unavailable.ts';

export interface RestOptions {
  readonly clock: Clock;
  readonly hints: HintOptions;
  /** What clients of this node have not read yet. */
  readonly unread: Unread;
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
  /** Told of every route that is served. */
  readonly onRoute?: (method: string, url: string) => void;
}

/** Answers of less are not counted: the kernel takes them. */
const LARGE_ANSWER_BYTES = 64 * 1024;
/** Largest request body in bytes (spec rest §1). */
const BODY_LIMIT = 30_000_000;
const JSON_TYPE = 'application/json; charset=utf-8';
const JSON_CONTENT = /^\s*application\/(?:json|[\w.+-]*\+json)\s*(;.*)?$/i;
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;
const DATA_SURFACE = /^\/v1\/(kv|locks|sequences)\//i;

/** The data surfaces: sections of the document, and what is answered once the node is stopping. */
const DATA_ENDPOINTS: readonly {
  readonly section: ApiSection;
  readonly endpoints: readonly Endpoint[];
  readonly mustRetry: string;
}[] = [
  { section: 'keys', endpoints: KEY_VALUE_ENDPOINTS, mustRetry: '{"type":101}' },
  { section: 'scans', endpoints: [...SCAN_ENDPOINTS, ...HOLD_ENDPOINTS], mustRetry: '{"type":101}' },
  { section: 'locks', endpoints: LOCK_ENDPOINTS, mustRetry: '{"type":101}' },
  { section: 'sequences', endpoints: SEQUENCE_ENDPOINTS, mustRetry: '{"type":5}' },
];

/** What a POST path does with the request's body. */
interface BodyConfig {
  readonly bindsBody?: boolean;
}

/** An answer that the kernel may not take at once waits for its client until it has gone, or the connection has. */
function countUnread(unread: Unread, reply: FastifyReply, payload: unknown): void {
  const isText = typeof payload === 'string';
  if ((!isText && !Buffer.isBuffer(payload)) || payload.length < LARGE_ANSWER_BYTES) return;
  // The client did not wait for it.
  if (reply.raw.socket?.destroyed ?? true) return;
  const account = unread.of(() => reply.raw.destroy());
  account.add(payload.length);
  reply.raw.once('close', () => account.close());
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
  app.addHook('onRoute', route => {
    paths.add(route.method, route.url);
    for (const method of [route.method].flat()) options.onRoute?.(method, route.url);
  });

  app.addHook('onRequest', async (request, reply) => {
    if (!changesState(request) || originAllowed(request, options.allowedOrigins)) return;
    await reply
      .code(403)
      .type(PROBLEM_TYPE)
      .send(problem(403, 'Requests from this origin are refused (--console-allowed-origins).'));
  });
  app.addHook('onRequest', async request => {
    const { headers, httpVersionMajor } = request.raw;
    // Such a path drops whatever comes, so a type it does not know, or cannot parse, is nothing to refuse.
    if (!bodyConfig(request).bindsBody) headers['content-type'] = undefined;
    // Without a type the framework looks for a body by its length alone, which HTTP/2 need not say.
    else if (httpVersionMajor > 1) headers['content-type'] ??= 'application/octet-stream';
  });
  app.addHook('onSend', async (request, reply) => {
    // HTTP/2 knows no such header; the framework too sets it, where a body is refused.
    if (request.raw.httpVersionMajor > 1) reply.removeHeader('connection');
    else if (options.isStopping()) reply.header('connection', 'close');
  });

  app.addHook('onSend', async (_request, reply, payload) => countUnread(options.unread, reply, payload));

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

  await registerApiDocument(app);
  registerData(app, node, options);
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

function registerData(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const context: DataContext = {
    node,
    calls: new NodeCalls(node),
    hints: new RouteHints(node, options.hints),
    clock: options.clock,
  };
  for (const { section, endpoints, mustRetry } of DATA_ENDPOINTS) {
    for (const endpoint of endpoints) {
      const schema = describeEndpoint(section, endpoint);
      app.post(endpoint.path, { schema, config: { bindsBody: true } satisfies BodyConfig }, async (request, reply) => {
        const body = readShape(endpoint.body, boundFields(request));
        reply.type(JSON_TYPE);
        return options.isStopping() ? mustRetry : endpoint.handle(body, context);
      });
    }
  }
  const schema = describe('scans', 'The lowest time that a hold keeps readable', { 200: FLOOR_RESPONSE });
  app.get('/v1/kv/snapshot-floor', { schema }, async (_request, reply) => {
    reply.type(JSON_TYPE);
    return options.isStopping() ? '{"type":101}' : snapshotFloor(context);
  });
}

function registerUnavailable(app: FastifyInstance): void {
  for (const { method, path, bindsBody, status, body, headers, summary } of UNAVAILABLE) {
    app.route({
      method,
      url: path,
      schema: describe('later', summary),
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
  const post = <S extends Shape>(path: string, summary: string, shape: S, answer: (body: Read<S>) => TypedAnswer): void => {
    const bindsBody = Object.keys(shape).length > 0;
    const schema = { ...describe('ranges', summary), ...(bindsBody ? { body: shapeSchema(shape) } : {}) };
    app.post(path, { schema, config: { bindsBody } satisfies BodyConfig }, async (request, reply) => {
      const { status, body } = answer(readShape(shape, bindsBody ? boundFields(request) : new Fields({})));
      return json(reply, status, body);
    });
  };
  post('/v1/ranges/register', 'Route a key space by ranges', KEY_SPACE, registerRange);
  post('/v1/ranges/unregister', 'Route a key space by hash again', KEY_SPACE, unregisterRange);
  post('/v1/ranges/split', 'Split a range at a key', SPLIT, splitRange);
  post('/v1/ranges/merge', 'Merge small ranges, one pass', {}, mergeRanges);
  post('/v1/cluster/replication-factor', 'Replicas of a partition', REPLICATION_FACTOR, setReplicationFactor);
  post('/v1/cluster/leave', 'Take this node out of the cluster', {}, () => leaveCluster(node));
  const schema = { ...describe('ranges', 'The ranges of key spaces'), querystring: KEY_SPACE_QUERY };
  app.get('/v1/ranges', { schema }, (request, reply) =>
    json(reply, 200, rangesDocument(node, keySpaceOf(request), options.localEndpoint)),
  );
}

const KEY_SPACE_QUERY = { type: 'object', properties: { keySpace: { type: 'string', description: 'Empty or absent: all' } } };

function registerCluster(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const document = (path: string, summary: string, read: (request: FastifyRequest) => object, query?: object): void => {
    const schema = { ...describe('cluster', summary), ...(query === undefined ? {} : { querystring: query }) };
    app.get(path, { schema }, (request, reply) => json(reply, 200, read(request)));
  };
  document('/v1/cluster/membership', 'The members', () => membershipDocument(node));
  document('/v1/cluster/placement', 'Where partitions have replicas', () => placementDocument(node, options.localEndpoint));
  document(
    '/v1/cluster/routing',
    'What a client needs to find the owner of a key by itself',
    request => routingDocument(node, keySpaceOf(request)),
    KEY_SPACE_QUERY,
  );
}

function registerProbes(app: FastifyInstance, node: KahunaNode, options: RestOptions): void {
  const metrics = new Metrics(node);
  app.get('/v1/cluster/health', { schema: describe('probes', 'Is this node ready, and if not, why') }, (_request, reply) => {
    const { status, body } = healthDocument(node, options.isStopping());
    return json(reply, status, body);
  });
  const ready = describe('probes', 'Ready: 200, else 503');
  app.get<{ Querystring: { verbose?: string } }>('/readyz', { schema: ready }, (request, reply) => {
    const { status, body } = healthDocument(node, options.isStopping());
    return probe(reply, status, request.query.verbose, body);
  });
  // Alive means: the process answers and has not given up; quorum and membership are no reason to restart it.
  const alive = describe('probes', 'Alive: 200, else 503');
  app.get<{ Querystring: { verbose?: string } }>('/livez', { schema: alive }, (request, reply) => {
    const { fatalFault } = node.health();
    return probe(reply, fatalFault === null ? 200 : 503, request.query.verbose, { process: true, fatalFault });
  });
  const measures = describe('probes', 'Metrics in the text format of Prometheus');
  app.get<{ Querystring: { partitions?: string } }>('/metrics', { schema: measures }, async (request, reply) => {
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
  app.get('/', { schema: describe('probes', 'The name of the server; for browsers, the console') }, (request, reply) => {
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
