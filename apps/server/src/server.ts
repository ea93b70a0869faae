import { randomUUID } from 'node:crypto';
import { createNodeHost, type NodeHost } from '@kahuna/node';
import type { FlagValues } from './config/flags.ts';
import { nodeSettings } from './config/node-settings.ts';
import type { ServerSettings } from './config/settings.ts';
import { readCertificate } from './config/tls-files.ts';
import { effectiveLevel } from './console/index.ts';
import { type ConsoleOptions, createGateways } from './gateways.ts';
import { PortListeners } from './listeners/port-listeners.ts';
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
  const gateways = await createGateways(node, {
    hints: {
      localUrl: settings.clientUrl,
      disabled: flags['disable-routing-hints'],
      hidePeers: flags['disable-peer-endpoint-advertisement'],
    },
    localEndpoint: settings.raftEndpoint,
    allowedOrigins: flags['console-allowed-origins'],
    console: consoleOptions(flags),
    reflection: !flags['disable-grpc-reflection'],
    onFault: (what, error) => log.error(what, error),
  });
  const ports = new PortListeners(
    { ...gateways.takers, peer: socket => transport.accept(socket) },
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
    ports.stopAccepting();
    await within(DRAIN_MS, gateways.drain());
    await within(CLOSE_MS, new Promise<void>(resolve => node.stop(resolve)));
    reporter.stop();
    vitals.stop();
    ports.destroyConnections();
    await gateways.close();
    await storage.release();
  });

  try {
    await ports.open(settings.listeners);
    await new Promise<void>((resolve, reject) => node.start(error => (error === undefined ? resolve() : reject(error))));
  } catch (error) {
    reporter.stop();
    ports.stopAccepting();
    ports.destroyConnections();
    await gateways.close();
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
      formerElectionMs: storage.directory.promisedMs,
      logWasVolatile: storage.directory.logWasVolatile,
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

function consoleOptions(flags: FlagValues): ConsoleOptions | undefined {
  if (flags['console-level'] === 'off') return undefined;
  return {
    title: flags['console-title'] || undefined,
    banner: flags['console-banner'] || undefined,
    bannerTone: flags['console-banner-tone'] as ConsoleOptions['bannerTone'],
    level: effectiveLevel(flags['console-level'], flags['console-readonly']),
  };
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
