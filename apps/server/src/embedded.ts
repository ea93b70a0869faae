import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createNodeHost, MemoryNetwork, type NodeHost } from '@kahuna/node';
import { openMemoryEngine, openMemoryLog } from '@kahuna/storage';
import { createGateways, type Gateways } from './gateways.ts';
import { PortListeners } from './listeners/port-listeners.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemRng } from './runtime/system-rng.ts';
import { systemScheduler } from './runtime/system-scheduler.ts';
import { VERSION } from './runtime/version.ts';

export interface EmbeddedNodeOptions {
  /** Partitions of the hash pool. Default 3. */
  readonly partitions?: number;
  readonly name?: string;
  /** Port on 127.0.0.1; 0 (the default) lets the system choose. */
  readonly port?: number;
  /** Told about faults of the node's own; by default they are warnings of the process. */
  readonly onFault?: (what: string, error: unknown) => void;
  /** Listens with TLS: certificate and key in PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string };
}

/**
 * A whole Kahuna node inside this process, for tests: the production code over a log and an engine in memory, with real listeners on
 * the loopback interface. It serves when it is returned, and everything in it is gone when it is disposed.
 *
 *     await using node = await startEmbeddedNode();
 *     const client = await connect(node.url);
 */
export interface EmbeddedNode extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or `https://…` with a certificate: REST, the console, and gRPC for clients that start with HTTP/2. */
  readonly url: string;
  /** `127.0.0.1:<port>`, as gRPC libraries want it. */
  readonly address: string;
  readonly port: number;
  readonly node: NodeHost;
  /** Ends every connection and the node. Idempotent. */
  stop(): Promise<void>;
}

/** The node serves within this, or the start is given up. Milliseconds. */
const READY_LIMIT_MS = 10_000;
const READY_LOOK_MS = 2;
/** One node alone has nothing to wait for, so logical time may run fast. Milliseconds. */
const TICK_MS = 10;
const NODE_ID = 1;

/** Rejects, with nothing left open, if the port cannot be had or the node does not come to serve. */
export async function startEmbeddedNode(options: EmbeddedNodeOptions = {}): Promise<EmbeddedNode> {
  let gateways: Gateways | undefined;
  const ports = new PortListeners(
    {
      // Nobody knows the port before the gateways stand, so a connection that comes earlier is none of ours.
      http: socket => (gateways === undefined ? socket.destroy() : gateways.takers.http(socket)),
      http2: socket => (gateways === undefined ? socket.destroy() : gateways.takers.http2(socket)),
      grpc: socket => socket.destroy(),
      peer: socket => socket.destroy(),
    },
    { host: '127.0.0.1', tls: options.certificate, onRefused: () => undefined },
  );
  const tls = options.certificate !== undefined;
  const kind = tls ? 'https' : 'http';
  const [port] = await ports.open([{ kind, port: options.port ?? 0, flag: 'port', tls, peers: false }]);
  const address = `127.0.0.1:${port}`;
  const url = `${kind}://${address}`;

  const onFault = options.onFault ?? warn;
  const node = createNode(options, address, url, reason => onFault('the node gave up', new Error(reason)));
  const serving = await createGateways(node, {
    hints: { localUrl: url, disabled: false, hidePeers: false },
    localEndpoint: address,
    allowedOrigins: [],
    console: { title: undefined, banner: undefined, bannerTone: 'neutral', level: 'admin' },
    reflection: false,
    onFault,
  });
  gateways = serving;

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    ports.stopAccepting();
    await new Promise<void>(resolve => node.stop(resolve));
    ports.destroyConnections();
    await serving.close();
  };
  const running: EmbeddedNode = {
    url,
    address,
    port: port as number,
    node,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
    [Symbol.asyncDispose]: () => running.stop(),
  };
  try {
    await new Promise<void>((resolve, reject) => node.start(error => (error === undefined ? resolve() : reject(error))));
    await untilReady(node);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

function warn(what: string, error: unknown): void {
  process.emitWarning(`embedded node, ${what}: ${error instanceof Error ? error.stack : String(error)}`);
}

function createNode(options: EmbeddedNodeOptions, endpoint: string, url: string, onFatal: (reason: string) => void): NodeHost {
  return createNodeHost(
    {
      nodeId: NODE_ID,
      endpoint,
      name: options.name ?? 'embedded',
      version: VERSION,
      storageId: randomBytes(4).readUInt32LE(0) || 1,
      boot: 1,
      initialCluster: [],
      poolSize: options.partitions ?? 3,
      clientUrl: url,
      consoleUrl: `${url}/ui/`,
      newClusterId: randomUUID(),
      settings: { tickMs: TICK_MS },
    },
    {
      clock: systemClock,
      rng: systemRng(0),
      scheduler: systemScheduler,
      log: openMemoryLog(),
      engine: openMemoryEngine(),
      transport: new MemoryNetwork(systemScheduler.soon).attach(endpoint),
    },
    onFatal,
  );
}

async function untilReady(node: NodeHost): Promise<void> {
  const limitMs = systemClock.monotonicMs() + READY_LIMIT_MS;
  while (!node.health().ready) {
    const { fatalFault } = node.health();
    if (fatalFault !== null) throw new Error(`the embedded node gave up: ${fatalFault}`);
    if (systemClock.monotonicMs() > limitMs) throw new Error(`the embedded node did not come to serve in ${READY_LIMIT_MS} ms`);
    await delay(READY_LOOK_MS);
  }
}
