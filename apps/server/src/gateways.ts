import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ServerCredentials } from '@grpc/grpc-js';
import type { KahunaNode } from '@kahuna/node';
import type { FastifyInstance } from 'fastify';
import { type ConsoleSettings, registerConsoleStream } from './console/index.ts';
import { Unread } from './gateway/unread.ts';
import { createGrpcServer, type HintOptions, injectorBeside, registerGrpcServices } from './grpc/index.ts';
import type { ConnectionTakers } from './listeners/port-listeners.ts';
import { createRestApp } from './rest/app.ts';
import { systemClock } from './runtime/system-clock.ts';
import { registerWatchSocket, type WatchSockets } from './watch/index.ts';

/** What the console shows about itself; undefined in {@link GatewayOptions}: there is no console. */
export interface ConsoleOptions {
  readonly title: string | undefined;
  readonly banner: string | undefined;
  readonly bannerTone: 'warning' | 'danger' | 'neutral';
  /** What everybody who reaches it may do. */
  readonly level: ConsoleSettings['level'];
}

export interface GatewayOptions {
  readonly hints: HintOptions;
  /** `host:port` of this node in the cluster. */
  readonly localEndpoint: string;
  /** Origins of other web pages that may call this node. */
  readonly allowedOrigins: readonly string[];
  readonly console: ConsoleOptions | undefined;
  readonly reflection: boolean;
  /** Told about faults of our own; the client gets the documented answer meanwhile. */
  readonly onFault: (what: string, error: unknown) => void;
}

/** Everything that serves clients of one node: REST, gRPC, health, metrics and the console. Owns no port. */
export interface Gateways {
  readonly takers: Omit<ConnectionTakers, 'peer'>;
  /** Health is 503 at once and new work is turned away; resolves when the requests in flight are answered. */
  drain(): Promise<void>;
  /** After the connections are gone. */
  close(): Promise<void>;
}

export async function createGateways(node: KahunaNode, options: GatewayOptions): Promise<Gateways> {
  const lifecycle = { stopping: false };
  const unread = new Unread(systemClock);
  const { app, watchSockets } = await createApp(node, options, lifecycle, unread);
  const settled = countRequests(app);
  await app.ready();

  const grpcServer = createGrpcServer();
  const grpc = registerGrpcServices(grpcServer, node, {
    clock: systemClock,
    hints: options.hints,
    unread,
    protoFolder: options.reflection ? protoFolder() : undefined,
    onFault: options.onFault,
  });
  // It never listens itself, but its time limits on slow requests begin with this event.
  app.server.emit('listening');
  const grpcOnly = grpcServer.createConnectionInjector(ServerCredentials.createInsecure());
  const shared = injectorBeside(grpcServer, (request, response) => app.server.emit('request', request, response));

  return {
    takers: {
      http: socket => app.server.emit('connection', socket),
      http2: shared.inject,
      grpc: socket => grpcOnly.injectConnection(socket),
    },
    drain: async () => {
      lifecycle.stopping = true;
      watchSockets.drain();
      await Promise.all([grpc.drain(), settled()]);
    },
    close: async () => {
      grpcServer.forceShutdown();
      await app.close();
    },
  };
}

async function createApp(
  node: KahunaNode,
  options: GatewayOptions,
  lifecycle: { readonly stopping: boolean },
  unread: Unread,
): Promise<{ readonly app: FastifyInstance; readonly watchSockets: WatchSockets }> {
  const app = await createRestApp(node, {
    clock: systemClock,
    hints: options.hints,
    unread,
    localEndpoint: options.localEndpoint,
    allowedOrigins: options.allowedOrigins,
    consoleDirectory: firstExisting('../../console/dist', '../../apps/console/dist'),
    consoleEnabled: options.console !== undefined,
    isStopping: () => lifecycle.stopping,
    onInternalError: (error, path) => options.onFault(`internal error on ${path}`, error),
  });
  const watchSockets = registerWatchSocket(app, node, unread);
  if (options.console !== undefined) {
    registerConsoleStream(app, node, { ...options.console, allowedOrigins: options.allowedOrigins, clock: systemClock });
  }
  return { app, watchSockets };
}

/** The first of these that is there, relative to this file: from source and from the bundle in `dist/server` the way differs. */
function firstExisting(...candidates: readonly string[]): string | undefined {
  return candidates.map(path => fileURLToPath(new URL(path, import.meta.url))).find(path => existsSync(path));
}

function protoFolder(): string | undefined {
  return firstExisting('./proto', '../../../proto');
}

/** Resolves when no request is being answered; sockets of the console are no requests. */
function countRequests(app: FastifyInstance): () => Promise<void> {
  let inFlight = 0;
  let onIdle: (() => void) | undefined;
  app.addHook('onRequest', async request => {
    if (request.headers.upgrade === undefined) inFlight++;
  });
  app.addHook('onResponse', async request => {
    if (request.headers.upgrade === undefined && --inFlight === 0) onIdle?.();
  });
  return () =>
    new Promise(resolve => {
      if (inFlight === 0) resolve();
      else onIdle = resolve;
    });
}
