import websocket from '@fastify/websocket';
import type { KahunaNode } from '@kahuna/node';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { consoleSocketOptions } from '../console/index.ts';
import type { Unread } from '../gateway/unread.ts';
import { describe } from '../rest/api-document.ts';
import { PROBLEM_TYPE, problem } from '../rest/problem.ts';
import { CloseCode, WatchSession } from './watch-session.ts';

export const WATCH_PATH = '/v1/watch';
/** Needs not be offered; whoever offers protocols must offer this one. */
export const WATCH_PROTOCOL = 'kahuna.watch.v1';

/** Sockets of one node. */
const MAX_SOCKETS = 5000;
/** A socket on which nothing moved between two looks is closed. Milliseconds. */
const PING_MS = 30_000;

export interface WatchSockets {
  /** Ends them all so that clients go on elsewhere, and takes no more. */
  drain(): void;
}

/** Adds the WebSocket for watches (docs/watch.md). Before the console's stream, which shares the plugin. */
export function registerWatchSocket(app: FastifyInstance, node: KahunaNode, unread: Unread): WatchSockets {
  const sockets = new Sockets(node, unread);
  // Before the plugin's own hook, which would close them without a word.
  app.addHook('preClose', async () => sockets.drain());
  app.register(websocket, { options: consoleSocketOptions });
  app.register(async scope => {
    scope.route({
      method: 'GET',
      url: WATCH_PATH,
      schema: describe('watch', 'Changes of keys as they happen: a WebSocket, see docs/watch.md'),
      onRequest: async (request, reply) => sockets.admit(request, reply),
      // Without an upgrade `admit` has answered.
      handler: () => undefined,
      wsHandler: socket => sockets.serve(socket),
    });
  });
  return sockets;
}

class Sockets implements WatchSockets {
  private readonly node: KahunaNode;
  private readonly unread: Unread;
  private readonly sessions = new Map<WatchSession, WebSocket>();
  private timer: NodeJS.Timeout | undefined;
  private draining = false;

  constructor(node: KahunaNode, unread: Unread) {
    this.node = node;
    this.unread = unread;
  }

  /** Refusals are HTTP; foreign origins were refused before (console §14). */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const refuse = (status: number, detail: string): FastifyReply =>
      reply.code(status).type(PROBLEM_TYPE).send(problem(status, detail));
    if (!request.ws || !speaksOurs(request)) {
      reply.header('upgrade', 'websocket');
      return refuse(426, `This is a WebSocket; of subprotocols it knows ${WATCH_PROTOCOL}.`);
    }
    if (!this.draining && this.sessions.size < MAX_SOCKETS) return undefined;
    reply.header('retry-after', '5');
    return refuse(503, this.draining ? 'The node is stopping.' : `All ${MAX_SOCKETS} sockets for watches are in use.`);
  }

  serve(socket: WebSocket): void {
    const session = new WatchSession(this.node, socket, this.unread);
    this.sessions.set(session, socket);
    this.timer ??= setInterval(() => this.look(), PING_MS).unref();
    socket.on('message', (data, isBinary) => {
      if (isBinary) session.end(CloseCode.protocolError, 'Messages are text.');
      else session.receive(data as Buffer);
    });
    socket.on('pong', () => session.heard());
    socket.on('close', () => this.closed(session));
    // The close that follows every socket error gives the watches back.
    socket.on('error', () => socket.terminate());
    if (this.draining) session.end(CloseCode.goingAway, 'the node is stopping');
  }

  private look(): void {
    for (const [session, socket] of this.sessions) {
      if (session.takeMoved()) socket.ping();
      else session.end(CloseCode.tooSlow, 'nothing was read for long');
    }
  }

  private closed(session: WatchSession): void {
    session.close();
    this.sessions.delete(session);
    if (this.sessions.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  drain(): void {
    this.draining = true;
    for (const session of this.sessions.keys()) session.end(CloseCode.goingAway, 'the node is stopping');
  }
}

function speaksOurs(request: FastifyRequest): boolean {
  const offered = request.headers['sec-websocket-protocol'];
  return offered === undefined || offered.split(',').some(entry => entry.trim() === WATCH_PROTOCOL);
}
