import type { Transport, TransportListener } from './ports.ts';

/** Streams between nodes of one process: ordered, without loss while the link is up. For tests and embedded clusters. */
export class MemoryNetwork {
  private readonly nodes = new Map<string, MemoryTransport>();
  readonly soon: (task: () => void) => void;

  constructor(soon: (task: () => void) => void) {
    this.soon = soon;
  }

  attach(endpoint: string): MemoryTransport {
    const transport = new MemoryTransport(endpoint, this);
    this.nodes.set(endpoint, transport);
    return transport;
  }

  detach(endpoint: string): void {
    this.nodes.get(endpoint)?.dropAll();
    this.nodes.delete(endpoint);
  }

  find(endpoint: string): MemoryTransport | undefined {
    return this.nodes.get(endpoint);
  }
}

export class MemoryTransport implements Transport {
  listener!: TransportListener;
  private readonly network: MemoryNetwork;
  private readonly endpoint: string;
  private readonly links = new Map<string, MemoryTransport>();

  constructor(endpoint: string, network: MemoryNetwork) {
    this.endpoint = endpoint;
    this.network = network;
  }

  connect(endpoint: string): void {
    if (endpoint < this.endpoint) return;
    const attempt = (): void => {
      if (this.network.find(this.endpoint) !== this || this.links.has(endpoint)) return;
      const other = this.network.find(endpoint);
      if (other?.listener === undefined || !this.shakeHands(other, endpoint)) setTimeout(attempt, 10);
    };
    this.network.soon(attempt);
  }

  private shakeHands(other: MemoryTransport, endpoint: string): boolean {
    const theirs = other.listener.onHello(this.listener.hello(), undefined);
    const ours = this.listener.onHello(other.listener.hello(), endpoint);
    if ('refused' in theirs || 'refused' in ours) return false;
    this.links.set(endpoint, other);
    other.links.set(this.endpoint, this);
    this.listener.onUp(endpoint);
    other.listener.onUp(this.endpoint);
    return true;
  }

  disconnect(endpoint: string): void {
    const other = this.links.get(endpoint);
    if (other === undefined) return;
    this.links.delete(endpoint);
    other.links.delete(this.endpoint);
    this.listener.onDown(endpoint, 'closed');
    other.listener.onDown(this.endpoint, 'closed');
    other.connect(this.endpoint);
    this.connect(endpoint);
  }

  dropAll(): void {
    for (const endpoint of [...this.links.keys()]) this.disconnect(endpoint);
  }

  send(endpoint: string, frame: Uint8Array): boolean {
    const other = this.links.get(endpoint);
    if (other === undefined) return false;
    this.network.soon(() => {
      if (this.links.get(endpoint) === other) other.listener.onFrame(this.endpoint, frame);
    });
    return true;
  }

  queuedBytes(): number {
    return 0;
  }

  close(done: () => void): void {
    this.network.detach(this.endpoint);
    this.network.soon(done);
  }
}
