import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** How many bytes of one direction a broken link holds before it stops reading: what a TCP send buffer would hold. */
const HELD_BYTES = 4 * 1024 * 1024;

/** What the network does to bytes that one node sends to another. */
interface Direction {
  blocked: boolean;
  delayMs: number;
}

/**
 * The network between the nodes of one cluster: every node's raft port stands behind a proxy that knows which node dialled, so
 * that each direction of each pair can be blocked or delayed on its own. Needs no privileges.
 *
 * Each node listens on a loopback address of its own (`127.0.2.<n>`) and is known to its peers by another (`127.0.1.<n>`), where
 * the proxy listens on the same port. Who dialled is read from /proc: the socket's inode belongs to one of the node processes.
 */
export class Network {
  private readonly servers: Server[] = [];
  private readonly links = new Set<Link>();
  private readonly directions = new Map<string, Direction>();
  private readonly pidOf: (node: number) => number | undefined;
  private readonly nodes: number;

  constructor(nodes: number, pidOf: (node: number) => number | undefined) {
    this.nodes = nodes;
    this.pidOf = pidOf;
  }

  static publicHost(node: number): string {
    return `127.0.1.${node}`;
  }

  static privateHost(node: number): string {
    return `127.0.2.${node}`;
  }

  /** Opens the proxy of one node (1-based). */
  listen(node: number, port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: false, pauseOnConnect: true }, socket => this.accept(node, port, socket));
    this.servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: Network.publicHost(node), port }, () => resolve());
    });
  }

  private accept(to: number, port: number, inbound: Socket): void {
    inbound.on('error', () => inbound.destroy());
    const from = this.dialler(inbound.remotePort ?? 0);
    const outbound = createConnection({ host: Network.privateHost(to), port });
    const link = new Link(inbound, outbound, this.direction(from, to), this.direction(to, from));
    this.links.add(link);
    link.onClosed = () => this.links.delete(link);
  }

  /** The node whose process owns the connection that comes from this local port; 0 if none does. */
  private dialler(port: number): number {
    const inode = inodeOfConnectionFrom(port);
    if (inode === undefined) return 0;
    for (let node = 1; node <= this.nodes; node++) {
      const pid = this.pidOf(node);
      if (pid !== undefined && ownsSocket(pid, inode)) return node;
    }
    return 0;
  }

  private direction(from: number, to: number): Direction {
    const key = `${from}>${to}`;
    let direction = this.directions.get(key);
    if (!direction) {
      direction = { blocked: false, delayMs: 0 };
      this.directions.set(key, direction);
    }
    return direction;
  }

  /** From now on nothing that `from` sends reaches `to`; it is held, as a network that drops packets makes TCP hold it. */
  block(from: number, to: number): void {
    this.direction(from, to).blocked = true;
  }

  /** Cuts a node off from all others, both ways. */
  isolate(node: number): void {
    for (let other = 1; other <= this.nodes; other++) {
      if (other === node) continue;
      this.block(node, other);
      this.block(other, node);
    }
  }

  /** Every message between any two nodes takes this much longer, each way. Milliseconds. */
  delayAll(delayMs: number): void {
    for (let from = 1; from <= this.nodes; from++)
      for (let to = 1; to <= this.nodes; to++) if (from !== to) this.direction(from, to).delayMs = delayMs;
  }

  /** Removes every fault; what was held goes on its way. */
  heal(): void {
    for (const direction of this.directions.values()) {
      direction.blocked = false;
      direction.delayMs = 0;
    }
    for (const link of this.links) link.pump();
  }

  async close(): Promise<void> {
    for (const link of this.links) link.destroy();
    await Promise.all(this.servers.map(server => new Promise(resolve => server.close(resolve))));
  }
}

/** One proxied connection. */
class Link {
  onClosed: () => void = () => undefined;
  private readonly pipes: readonly [Pipe, Pipe];
  private readonly sockets: readonly [Socket, Socket];

  constructor(inbound: Socket, outbound: Socket, forth: Direction, back: Direction) {
    this.sockets = [inbound, outbound];
    this.pipes = [new Pipe(inbound, outbound, forth), new Pipe(outbound, inbound, back)];
    for (const socket of this.sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => this.destroy());
      socket.on('close', () => this.destroy());
    }
    inbound.resume();
  }

  pump(): void {
    for (const pipe of this.pipes) pipe.pump();
  }

  destroy(): void {
    for (const socket of this.sockets) socket.destroy();
    this.onClosed();
  }
}

/** One direction of a connection: keeps order, holds bytes while the direction is blocked or until their delay is over. */
class Pipe {
  private readonly held: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  private heldBytes = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly direction: Direction;

  constructor(from: Socket, to: Socket, direction: Direction) {
    this.from = from;
    this.to = to;
    this.direction = direction;
    from.on('data', (chunk: Buffer) => {
      this.held.push({ chunk, dueMs: performance.now() + direction.delayMs });
      this.heldBytes += chunk.length;
      if (this.heldBytes > HELD_BYTES) from.pause();
      this.pump();
    });
  }

  pump(): void {
    if (this.direction.blocked) return;
    for (let first = this.held[0]; first !== undefined; first = this.held[0]) {
      const waitMs = first.dueMs - performance.now();
      if (waitMs > 0) {
        this.timer ??= setTimeout(() => {
          this.timer = undefined;
          this.pump();
        }, Math.ceil(waitMs));
        return;
      }
      this.held.shift();
      this.heldBytes -= first.chunk.length;
      if (!this.to.destroyed) this.to.write(first.chunk);
    }
    if (this.from.isPaused()) this.from.resume();
  }
}

/** Inode of the established TCP connection whose local port is this one (proc(5), /proc/net/tcp). */
function inodeOfConnectionFrom(port: number): string | undefined {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(`:${wanted}`) && fields[3] === '01') return fields[9];
  }
  return undefined;
}

function ownsSocket(pid: number, inode: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some(fd => {
      try {
        return readlinkSync(`${directory}/${fd}`) === `socket:[${inode}]`;
      } catch {
        return false; // closed while we looked
      }
    });
  } catch {
    return false; // the process has ended
  }
}
