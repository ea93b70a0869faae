import type { Rng } from '@kahuna/base';
import { Durability, type LockOperation, LockResponseType, type OperationResult } from '@kahuna/partition';
import type { LockEvent } from '../checkers/lock.ts';
import type { Cluster, SimNode } from '../world/cluster.ts';

export interface LockClientOptions {
  readonly clients: number;
  readonly locks: readonly string[];
  /** Mean pause between two operations of one client; how long it waits for an answer. Milliseconds. */
  readonly thinkMs: number;
  readonly patienceMs: number;
}

/** Between a lease that hardly lives until its answer and one that outlives elections. Milliseconds. */
const LEASES_MS = [50, 300, 1000, 3000] as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Clients that take persistent locks, keep them, extend them, give them back or let them run out, and look who holds them. */
export class LockClients {
  readonly events: LockEvent[] = [];
  private readonly cluster: Cluster;
  private readonly options: LockClientOptions;
  private readonly rng: Rng;
  private owners = 0;
  private running = true;

  constructor(cluster: Cluster, options: LockClientOptions) {
    this.cluster = cluster;
    this.options = options;
    this.rng = cluster.simulation.rng.fork();
  }

  get grants(): number {
    return this.events.filter(({ kind, answer }) => kind === 'acquire' && answer?.holds === true).length;
  }

  start(): void {
    for (let i = 0; i < this.options.clients; i++) this.begin();
  }

  stop(): void {
    this.running = false;
  }

  /**
   * Asks for every lock once more, through every node, until all are answered; `done` follows. Used once faults are over. Busy is an
   * answer too: a clock that was set back makes a lease last until it has caught up (locks §10).
   */
  finish(done: () => void): void {
    let open = this.options.locks.length * this.cluster.nodes.length;
    for (const lock of this.options.locks) {
      for (const node of this.cluster.nodes) this.persist(node, lock, `final${++this.owners}`, () => --open === 0 && done());
    }
  }

  private persist(node: SimNode, lock: string, owner: string, done: () => void): void {
    this.run(node, lock, owner, 'acquire', 50, answer => {
      if (answer !== undefined) done();
      else this.cluster.simulation.after(20, () => this.persist(node, lock, owner, done));
    });
  }

  private think(task: () => void): void {
    this.cluster.simulation.after(-Math.log(1 - this.rng.float()) * this.options.thinkMs, () => {
      if (this.running) task();
    });
  }

  private node(): SimNode {
    return this.rng.pick(this.cluster.nodes);
  }

  private begin(): void {
    this.think(() => {
      const lock = this.rng.pick(this.options.locks);
      const owner = `o${++this.owners}`;
      if (this.rng.chance(0.2)) this.run(this.node(), lock, owner, 'info', 0, () => this.begin());
      else this.acquire(lock, owner, this.rng.pick(LEASES_MS), 20);
    });
  }

  private acquire(lock: string, owner: string, leaseMs: number, attempts: number): void {
    this.run(this.node(), lock, owner, 'acquire', leaseMs, answer => {
      if (answer?.holds) this.hold(lock, owner);
      else if (attempts > 0) this.think(() => this.acquire(lock, owner, leaseMs, attempts - 1));
      else this.begin();
    });
  }

  private hold(lock: string, owner: string): void {
    this.think(() => {
      const roll = this.rng.int(0, 9);
      if (roll < 3) this.run(this.node(), lock, owner, 'extend', this.rng.pick(LEASES_MS), () => this.hold(lock, owner));
      else if (roll < 4) this.run(this.node(), lock, owner, 'acquire', this.rng.pick(LEASES_MS), () => this.hold(lock, owner));
      else if (roll < 8) this.run(this.node(), lock, owner, 'release', 0, () => this.begin());
      else this.begin();
    });
  }

  private run(
    node: SimNode,
    lock: string,
    owner: string,
    kind: LockEvent['kind'],
    leaseMs: number,
    then: (answer: LockEvent['answer']) => void,
  ): void {
    const { simulation } = this.cluster;
    const invokedAt = simulation.nowMs;
    let open = true;
    const finish = (result: OperationResult | undefined): void => {
      if (!open) return;
      open = false;
      const answer = toAnswer(result, owner);
      const completedAt = answer === undefined ? Number.POSITIVE_INFINITY : simulation.nowMs;
      this.events.push({ lock, owner, kind, leaseMs, invokedAt, completedAt, answer });
      then(answer);
    };
    const operation: LockOperation = {
      kind: `lock-${kind}`,
      key: lock,
      owner: kind === 'info' ? new Uint8Array(0) : encoder.encode(owner),
      expiresMs: leaseMs,
      durability: Durability.Persistent,
    };
    node.submit(operation, finish);
    simulation.after(this.options.patienceMs, () => finish(undefined));
  }
}

function toAnswer(result: OperationResult | undefined, owner: string): LockEvent['answer'] {
  switch (result?.type) {
    case LockResponseType.Locked:
    case LockResponseType.Extended:
      return { holds: true, owner, token: result.revision };
    case LockResponseType.Got:
      return { holds: true, owner: decoder.decode(result.value ?? new Uint8Array(0)), token: result.revision };
    case undefined:
    case LockResponseType.MustRetry:
    case LockResponseType.Errored:
      return undefined;
    default:
      return { holds: false, owner: '', token: 0 };
  }
}
