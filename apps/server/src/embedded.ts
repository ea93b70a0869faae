import type { NodeHost } from '@kahuna/node';
import { createGateways, type Gateways } from './gateways.ts';
import { PortListeners } from './listeners/port-listeners.ts';
import { createMemoryHost, startMemoryHost } from './runtime/memory-host.ts';

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
  const identity = { name: options.name ?? 'embedded', endpoint: address, clientUrl: url, partitions: options.partitions ?? 3 };
  const node = createMemoryHost(identity, reason => onFault('the node gave up', new Error(reason)));
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
    await startMemoryHost(node);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

function warn(what: string, error: unknown): void {
  process.emitWarning(`embedded node, ${what}: ${error instanceof Error ? error.stack : String(error)}`);
}
