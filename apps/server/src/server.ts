import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ServerCredentials } from '@grpc/grpc-js';
import { createNodeHost, type NodeHost } from '@kahuna/node';
import type { FastifyInstance } from 'fastify';
import { nodeSettings } from './config/node-settings.ts';
import type { ServerSettings } from './config/settings.ts';
import { readCertificate } from './config/tls-files.ts';
import { registerConsoleStream } from './console/index.ts';
import { createGrpcServer, type HintOptions, registerGrpcServices } from './grpc/index.ts';
import { PortListeners } from './listeners/port-listeners.ts';
import { createRestApp } from './rest/app.ts';
import { readyAddresses, startupLines } from './runtime/banner.ts';
import { deferred } from './runtime/deferred.ts';
import { componentLog, type Logger } from './runtime/logger.ts';
import { NodeReporter } from './runtime/node-reporter.ts';
import { type OpenedStorage, openStorage } from './runtime/open-storage.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemRng } from './runtime/system-rng.ts';
import { systemScheduler } from './runtime/system-scheduler.ts';
import { VERSION } from './runtime/version.ts';
import { Vitals } from './runtime/vitals.ts';
import { TcpTransport } from './transport/tcp-transport.ts';

/** One node in this process. */
export interface RunningServer {
  readonly node: NodeHost;
  /** Resolves when the node first serves; never, if it is stopped before. */
  readonly ready: Promise<void>;
  /** Resolves with the reason if the node gives up while it runs (spec operations §16). Health goes on saying why. */
  readonly failed: Promise<string>;
  /** Health is 503 at once; then requests in flight end, leadership is handed over, state and log are closed. */
  stop(): Promise<void>;
}

/** How long requests in flight may take after the stop signal. */
const DRAIN_MS = 5000;
/** How long the node may take to hand over and close. */
const CLOSE_MS = 15_000;
/** How long a start that failed may take to close what it had opened. */
const ABANDON_MS = 2000;

/** Starts a node with everything it serves. Rejects, with nothing left open, where it cannot: ports, directories, damaged files. */
export async function startServer(settings: ServerSettings, logger: Logger): Promise<RunningServer> {
  const log = componentLog(logger, 'server', systemClock.monotonicMs);
  const { flags } = settings;
  const certificate =
    flags['https-certificate'] === ''
      ? undefined
      : readCertificate(flags['https-certificate'], flags['https-certificate-password']);
  for (const warning of settings.warnings) log.warn(warning);

  const storage = await openStorage(settings, log);
  for (const line of startupLines(settings, { nodeId: storage.directory.nodeId, ...storage.places })) log.info(line);

  const failure = deferred<string>();
  const readiness = deferred<void>();
  const vitals = new Vitals(storage.directory.stateDirectory, systemClock);
  const transport = createTransport(settings, certificate, logger);
  const node = createNode(settings, storage, transport, vitals, failure.resolve);
  const lifecycle = { stopping: false };
  const hints: HintOptions = {
    localUrl: settings.clientUrl,
    disabled: flags['disable-routing-hints'],
    hidePeers: flags['disable-peer-endpoint-advertisement'],
  };

  const { app, settled } = await createApp(node, settings, hints, lifecycle, logger);
  const grpcServer = createGrpcServer();
  const grpc = registerGrpcServices(grpcServer, node, {
    clock: systemClock,
    hints,
    protoFolder: flags['disable-grpc-reflection'] ? undefined : protoFolder(),
    onFault: (what, error) => log.error(what, error),
  });
  const injector = grpcServer.createConnectionInjector(ServerCredentials.createInsecure());

  const ports = new PortListeners(
    { http: app.server, http2: socket => injector.injectConnection(socket), peer: socket => transport.accept(socket) },
    {
      host: settings.bindHost,
      tls: certificate,
      onRefused: (port, spoken, from) => log.warn('connection refused: not spoken on this port', { port, spoken, from }),
    },
  );
  const reporter = new NodeReporter(node, componentLog(logger, 'node', systemClock.monotonicMs), () => {
    log.info(`Ready. ${readyAddresses(settings)}`);
    readiness.resolve();
  });

  const stop = once(async () => {
    lifecycle.stopping = true;
    ports.stopAccepting();
    await within(DRAIN_MS, Promise.all([grpc.drain(), settled()]));
    await within(CLOSE_MS, new Promise<void>(resolve => node.stop(resolve)));
    reporter.stop();
    vitals.stop();
    grpcServer.forceShutdown();
    ports.destroyConnections();
    await app.close();
    await storage.release();
  });

  try {
    await ports.open(settings.listeners);
    await new Promise<void>((resolve, reject) => node.start(error => (error === undefined ? resolve() : reject(error))));
  } catch (error) {
    reporter.stop();
    ports.stopAccepting();
    ports.destroyConnections();
    grpcServer.forceShutdown();
    await app.close();
    vitals.stop();
    await new Promise<void>(resolve => transport.close(resolve));
    // Log and engine may never have been begun, and then need not answer.
    await within(ABANDON_MS, storage.abandon());
    throw error;
  }
  return { node, ready: readiness.promise, failed: failure.promise, stop };
}

function createTransport(settings: ServerSettings, certificate: object | undefined, logger: Logger): TcpTransport {
  const tls = settings.listeners.find(listener => listener.peers)?.tls ?? false;
  const verify = !settings.flags['raft-allow-insecure-certificate-validation'];
  const log = componentLog(logger, 'transport', systemClock.monotonicMs);
  return new TcpTransport({
    self: settings.raftEndpoint,
    tls: tls ? { ...certificate, rejectUnauthorized: verify } : undefined,
    log: (level, message, fields) => log[level](message, fields),
    monotonicMs: systemClock.monotonicMs,
    random: Math.random,
  });
}

function createNode(
  settings: ServerSettings,
  storage: OpenedStorage,
  transport: TcpTransport,
  vitals: Vitals,
  onFatal: (reason: string) => void,
): NodeHost {
  const { flags } = settings;
  return createNodeHost(
    {
      nodeId: storage.directory.nodeId,
      endpoint: settings.raftEndpoint,
      name: settings.nodeName,
      version: VERSION,
      storageId: storage.directory.storageId,
      boot: storage.directory.boot,
      initialCluster: settings.standalone ? [] : [...settings.peers, settings.raftEndpoint],
      poolSize: storage.directory.partitions,
      clientUrl: settings.clientUrl,
      consoleUrl: settings.consoleUrl,
      newClusterId: randomUUID(),
      settings: nodeSettings(flags),
      vitals: () => vitals.read(),
    },
    {
      clock: systemClock,
      rng: systemRng(flags['raft-election-timeout-seed']),
      scheduler: systemScheduler,
      log: storage.log,
      engine: storage.engine,
      transport,
    },
    onFatal,
  );
}

async function createApp(
  node: NodeHost,
  settings: ServerSettings,
  hints: HintOptions,
  lifecycle: { readonly stopping: boolean },
  logger: Logger,
): Promise<{ readonly app: FastifyInstance; readonly settled: () => Promise<void> }> {
  const { flags } = settings;
  const log = componentLog(logger, 'rest', systemClock.monotonicMs);
  const consoleEnabled = flags['console-level'] !== 'off';
  const app = await createRestApp(node, {
    clock: systemClock,
    hints,
    localEndpoint: settings.raftEndpoint,
    allowedOrigins: flags['console-allowed-origins'],
    consoleDirectory: firstExisting('../../console/dist', '../../apps/console/dist'),
    consoleEnabled,
    isStopping: () => lifecycle.stopping,
    onInternalError: (error, path) => log.error(`internal error on ${path}`, error),
  });
  if (consoleEnabled) {
    registerConsoleStream(app, node, {
      title: flags['console-title'] || undefined,
      banner: flags['console-banner'] || undefined,
      bannerTone: flags['console-banner-tone'] as 'warning' | 'danger' | 'neutral',
      allowedOrigins: flags['console-allowed-origins'],
      clock: systemClock,
    });
  }
  const settled = countRequests(app);
  await app.ready();
  return { app, settled };
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

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}

function once(task: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= task();
    return running;
  };
}
