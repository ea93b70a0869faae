import websocket from '@fastify/websocket';
import { CloseCode, type EventItem, SUBPROTOCOL } from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { ConsoleHub, type ConsoleSettings, eventItem, MAX_CONNECTIONS } from './hub.ts';
import { addKeyReads } from './key-routes.ts';
import { locate } from './locate.ts';
import { addOperations } from './operation-routes.ts';
import { originAllowed } from './origin.ts';

export type { ConsoleSettings } from './hub.ts';
export { effectiveLevel } from './levels.ts';

/**
 * Socket options the stream wants: compression of large frames only and without kept context, which costs memory per browser
 * (console §5.1). For servers that register `@fastify/websocket` themselves.
 */
export const consoleSocketOptions = {
  maxPayload: 1024 * 1024,
  perMessageDeflate: { threshold: 4096, serverNoContextTakeover: true, clientNoContextTakeover: true, concurrencyLimit: 2 },
};

const MAX_EVENTS = 1000;

/** Adds the console's stream and its request-answer paths to a server (console §5, §17). */
export function registerConsoleStream(app: FastifyInstance, node: KahunaNode, settings: ConsoleSettings): void {
  const hub = new ConsoleHub(node, settings);
  // Before the socket plugin's own hook, which would close the browsers without a word.
  const stopRecording = hub.record();
  app.addHook('preClose', async () => {
    stopRecording();
    hub.close();
  });
  app.register(async scope => {
    if (!scope.hasDecorator('websocketServer')) await scope.register(websocket, { options: consoleSocketOptions });
    preferOurProtocol(scope.websocketServer);
    addStream(scope, hub, settings);
    addReads(scope, hub, node);
    addKeyReads(scope, hub.reads, settings.level);
    addOperations(scope, hub.operations, settings);
  });
}

/** A client may offer further entries beside ours (a bearer token): the answer names ours wherever it stands. */
function preferOurProtocol(server: FastifyInstance['websocketServer']): void {
  server.options.handleProtocols ??= offered => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : ([...offered][0] ?? false));
}

function addStream(app: FastifyInstance, hub: ConsoleHub, settings: ConsoleSettings): void {
  const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    if (!originAllowed(request, settings.allowedOrigins)) {
      return reply.code(403).send({ error: 'this origin may not open the console stream', option: '--console-allowed-origins' });
    }
    if (!request.ws || !offersOurProtocol(request)) {
      return reply
        .code(426)
        .header('upgrade', 'websocket')
        .send({ error: `a WebSocket with the subprotocol ${SUBPROTOCOL} is needed` });
    }
    if (hub.connections >= MAX_CONNECTIONS) {
      return reply
        .code(503)
        .header('retry-after', '5')
        .send({ error: `all ${MAX_CONNECTIONS} console connections are in use` });
    }
    return undefined;
  };
  app.get('/v1/console/stream', { websocket: true, onRequest: admit }, socket => serve(hub, socket, settings));
}

function serve(hub: ConsoleHub, socket: WebSocket, settings: ConsoleSettings): void {
  const session = hub.connect(socket);
  socket.on('message', (data, isBinary) => {
    if (isBinary) socket.close(CloseCode.protocolError, 'text frames only');
    else session.receive(data.toString(), settings.clock.monotonicMs());
  });
  socket.on('close', () => hub.disconnect(session));
  // The close that follows every socket error gives the feeds back.
  socket.on('error', () => socket.terminate());
}

function offersOurProtocol(request: FastifyRequest): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some(entry => entry.trim() === SUBPROTOCOL);
}

function addReads(app: FastifyInstance, hub: ConsoleHub, node: KahunaNode): void {
  app.get('/v1/console/events', async (request, reply) => {
    const query = request.query as EventsQuery;
    const count = Number(query.count ?? 200);
    const before = query.before === undefined ? undefined : Number(query.before);
    if (!Number.isSafeInteger(count) || count < 1 || count > MAX_EVENTS) {
      return reply.code(400).send({ error: `count must be 1 to ${MAX_EVENTS}` });
    }
    if (before !== undefined && !Number.isSafeInteger(before))
      return reply.code(400).send({ error: 'before is a sequence number' });
    return readEvents(node, count, before);
  });
  app.get('/v1/console/diagnosis', async () => diagnosis(hub, node));
  app.get('/v1/console/locate', async (request, reply) => {
    const { key } = request.query as { readonly key?: string };
    if (key === undefined) return reply.code(400).send({ error: 'key is missing' });
    return locate(key, node.routing(undefined), hub.present().view);
  });
}

interface EventsQuery {
  readonly count?: string;
  readonly before?: string;
}

interface EventPage {
  readonly items: readonly EventItem[];
  /** Older ones exist. */
  readonly more: boolean;
}

function readEvents(node: KahunaNode, count: number, before: number | undefined): EventPage {
  const { nodeId } = node.facts();
  const found = node.events.recent(count + 1, before);
  const page = found.slice(-count);
  return { items: page.map(event => eventItem(event, nodeId)), more: found.length > count };
}

/** One document for a bug report: the view, the problems and the last events; no keys, no values (console §17). */
function diagnosis(hub: ConsoleHub, node: KahunaNode): unknown {
  const { view, problems, overview, input } = hub.present();
  return {
    atMs: view.nowMs,
    node: { nodeId: input.self.nodeId, name: input.self.name, version: input.self.version, boot: input.self.boot },
    clusterId: input.self.membership.clusterId,
    roster: input.self.membership.members,
    health: node.health(),
    console: { connections: hub.connections, ...hub.cost() },
    overview,
    problems,
    view,
    counters: input.self.counters,
    gauges: input.self.gauges,
    events: readEvents(node, 200, undefined).items,
  };
}
