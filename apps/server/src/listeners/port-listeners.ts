import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { ListenerPlan } from '../config/settings.ts';
import { PEER_ALPN } from '../transport/magic.ts';
import { type Spoken, tellProtocol } from './first-bytes.ts';

/** Who takes a connection once it is known what it speaks. The bytes seen so far are still to be read from the socket. */
export interface ConnectionTakers {
  readonly http: (socket: Socket) => void;
  /** HTTP/2 on a cleartext or TLS connection: gRPC and everything else. */
  readonly http2: (socket: Socket) => void;
  /** HTTP/2 on a port for gRPC alone. */
  readonly grpc: (socket: Socket) => void;
  readonly peer: (socket: Socket) => void;
}

export interface PortOptions {
  /** undefined: all interfaces. */
  readonly host: string | undefined;
  readonly tls: TlsOptions | undefined;
  /** A connection that the port does not serve was closed. */
  readonly onRefused: (port: number, spoken: Spoken, from: string) => void;
}

/** A port cannot be listened on; the message names it and its option. */
export class ListenError extends Error {
  override name = 'ListenError';
}

const FIRST_BYTES_MS = 10_000;
const MAX_CONNECTIONS = 20_000;
const NO_HTTP1_TEXT = 'This port speaks HTTP/2 with prior knowledge.\n';
const NO_HTTP1_ANSWER = [
  'HTTP/1.1 505 HTTP Version Not Supported',
  'Connection: close',
  'Content-Type: text/plain; charset=utf-8',
  `Content-Length: ${NO_HTTP1_TEXT.length}`,
  '',
  NO_HTTP1_TEXT,
].join('\r\n');

/** The listening ports of one process. */
export class PortListeners {
  private readonly takers: ConnectionTakers;
  private readonly options: PortOptions;
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  constructor(takers: ConnectionTakers, options: PortOptions) {
    this.takers = takers;
    this.options = options;
  }

  /** Listens on all ports of the plan, or throws {@link ListenError} with none left open. Returns the ports (the system chooses for 0). */
  async open(plan: readonly ListenerPlan[]): Promise<readonly number[]> {
    try {
      const ports: number[] = [];
      for (const listener of plan) ports.push(await this.listen(listener));
      return ports;
    } catch (error) {
      await this.stopAccepting();
      throw error;
    }
  }

  /** Ports stop accepting; open connections go on. */
  async stopAccepting(): Promise<void> {
    const closing = this.servers.splice(0).map(server => new Promise<void>(resolve => server.close(() => resolve())));
    for (const socket of this.sockets) if (socket.bytesRead === 0) socket.destroy();
    // Resolves only when the last connection is gone, so nobody waits for it.
    void Promise.all(closing);
  }

  destroyConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  get connections(): number {
    return this.sockets.size;
  }

  private async listen(plan: ListenerPlan): Promise<number> {
    const server = plan.tls ? this.tlsServer(plan) : this.tcpServer(plan);
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      // Later ones say that a connection could not be accepted, for want of descriptors, say: whoever wanted it comes again.
      server.on('error', (error: NodeJS.ErrnoException) => reject(listenError(error, plan)));
      server.listen({ port: plan.port, host: this.options.host, backlog: 1024 }, resolve);
    });
    this.servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  private tcpServer(plan: ListenerPlan): Server {
    return createTcpServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false }, socket => this.take(socket, plan));
  }

  private tlsServer(plan: ListenerPlan): Server {
    const protocols = plan.peers ? [PEER_ALPN, 'h2', 'http/1.1'] : ['h2', 'http/1.1'];
    const server = createTlsServer({ ...this.options.tls, ALPNProtocols: protocols, allowHalfOpen: true, noDelay: true });
    server.on('secureConnection', socket => this.take(socket, plan));
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  private take(socket: Socket, plan: ListenerPlan): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    tellProtocol(socket, FIRST_BYTES_MS, spoken => this.handOver(socket, spoken, plan));
  }

  private handOver(socket: Socket, spoken: Spoken, plan: ListenerPlan): void {
    if (spoken === 'peer' && plan.peers) {
      this.takers.peer(socket);
    } else if (spoken === 'http2' && plan.kind !== 'peer') {
      if (plan.kind === 'grpc') this.takers.grpc(socket);
      else this.takers.http2(socket);
    } else if (spoken === 'http1' && (plan.kind === 'http' || plan.kind === 'https')) {
      this.takers.http(socket);
      process.nextTick(() => socket.resume());
    } else {
      this.options.onRefused(plan.port, spoken, `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`);
      socket.on('error', () => socket.destroy());
      socket.end(spoken === 'http1' && plan.kind === 'grpc' ? NO_HTTP1_ANSWER : '');
      setTimeout(() => socket.destroy(), 500).unref();
    }
  }
}

function listenError(error: NodeJS.ErrnoException, { port, flag }: ListenerPlan): ListenError {
  if (error.code === 'EADDRINUSE') return new ListenError(`port ${port} is already in use (${flag})`);
  if (error.code === 'EACCES') return new ListenError(`no permission to listen on port ${port} (${flag})`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new ListenError(`--host is no address of this machine: ${error.message}`);
  return new ListenError(`cannot listen on port ${port} (${flag}): ${error.message}`);
}
