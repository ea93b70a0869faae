import { HLC_ZERO, type Rng } from '@kahuna/base';
import { Durability, type Operation, type OperationResult, ResponseType, SetFlag } from '@kahuna/partition';
import type { RegisterAnswer, RegisterCall, RegisterOperation } from '../checkers/register.ts';
import type { Cluster, SimNode } from '../world/cluster.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What all clients of a run did, in the form that the checkers read. */
export class History {
  readonly operations: RegisterOperation[] = [];
  /** Acknowledged operations that had an effect or showed a value. */
  acknowledgedWrites = 0;
  readValues = 0;
  retries = 0;
  unknown = 0;
  /** Orders calls and answers more finely than virtual time: two of them never touch. */
  private ticks = 0;

  tick(): number {
    return ++this.ticks;
  }

  /** Classifies an answer (transactions §18.1) and records what it proves. Reads without an answer prove nothing and are left out. */
  record(
    process: number,
    key: string,
    call: RegisterCall,
    invokedAt: number,
    completedAt: number,
    answer: RegisterAnswer | undefined,
  ): void {
    const isRead = call.kind === 'get' || call.kind === 'exists';
    if (answer === undefined) {
      if (isRead) return;
      this.unknown++;
      this.operations.push({ process, key, call, invokedAt, completedAt: Number.POSITIVE_INFINITY, answer });
      return;
    }
    if (answer.type === ResponseType.Set || answer.type === ResponseType.Deleted) this.acknowledgedWrites++;
    if (answer.type === ResponseType.Get) this.readValues++;
    this.operations.push({ process, key, call, invokedAt, completedAt, answer });
  }
}

export function toOperation(key: string, call: RegisterCall): Operation {
  const durability = Durability.Persistent;
  switch (call.kind) {
    case 'set':
      return {
        kind: 'set',
        key,
        value: call.value === null ? null : encoder.encode(call.value),
        expiresMs: 0,
        flags: call.flags,
        compareValue: call.compareValue === null ? null : encoder.encode(call.compareValue),
        compareRevision: call.compareRevision,
        durability,
      };
    case 'delete':
      return { kind: 'delete', key, durability };
    case 'extend':
      return { kind: 'extend', key, expiresMs: 0, durability };
    case 'get':
    case 'exists':
      return { kind: call.kind, key, revision: -1, readTimestamp: HLC_ZERO, durability };
  }
}

/** undefined: MustRetry or an error, which for a write means "perhaps". */
function toAnswer(result: OperationResult | undefined): RegisterAnswer | undefined {
  if (result === undefined || result.type === ResponseType.MustRetry || result.type === ResponseType.Errored) return undefined;
  return { type: result.type, revision: result.revision, value: result.value === null ? null : decoder.decode(result.value) };
}

export interface ClientOptions {
  readonly clients: number;
  readonly keys: readonly string[];
  /** Mean pause between two operations of one client, milliseconds. */
  readonly thinkMs: number;
  /** A client that has waited this long for an answer goes away; virtual milliseconds. */
  readonly patienceMs: number;
}

/**
 * Register workload (transactions WL-1) with read-your-writes across nodes (WL-6b) and counters (WL-7, keyvalues:R22) mixed in: clients send each operation
 * to a random node, now and then read back on another node what was just acknowledged, and increment counter keys by compare-and-set.
 */
export class Clients {
  private readonly cluster: Cluster;
  private readonly history: History;
  private readonly options: ClientOptions;
  private readonly rng: Rng;
  private processes = 0;
  private values = 0;
  private running = true;
  /** Last known state per key, as some client saw it: what conditional writes are based on. */
  private readonly lastSeen = new Map<string, RegisterAnswer>();

  constructor(cluster: Cluster, history: History, options: ClientOptions) {
    this.cluster = cluster;
    this.history = history;
    this.options = options;
    this.rng = cluster.simulation.rng.fork();
  }

  start(): void {
    for (let i = 0; i < this.options.clients; i++) this.think(++this.processes);
  }

  stop(): void {
    this.running = false;
  }

  private think(process: number): void {
    const pause = -Math.log(1 - this.rng.float()) * this.options.thinkMs;
    this.cluster.simulation.after(pause, () => {
      if (this.running) this.act(process);
    });
  }

  private act(process: number): void {
    const key = this.rng.pick(this.options.keys);
    if (key.startsWith('counter')) this.increment(process, key);
    else this.run(process, this.rng.pick(this.cluster.nodes), key, this.draw(key), () => this.think(process));
  }

  private draw(key: string): RegisterCall {
    const { rng } = this;
    const seen = this.lastSeen.get(key);
    const value = `v${++this.values}`;
    const roll = rng.int(0, 99);
    if (roll < 40) return { kind: rng.chance(0.9) ? 'get' : 'exists' };
    if (roll < 65) return set(value);
    if (roll < 75) return set(value, SetFlag.IfEqualToRevision, null, seen?.revision ?? -1);
    if (roll < 82) return set(value, SetFlag.IfEqualToValue, seen?.value ?? null);
    if (roll < 88) return set(value, SetFlag.IfNotExists);
    if (roll < 91) return set(value, SetFlag.IfExists);
    if (roll < 93) return set(value, SetFlag.NoRevision);
    if (roll < 97) return { kind: 'delete' };
    return { kind: 'extend' };
  }

  /** Read, then set the next number if the revision is still the same: each number is written once, by one client. */
  private increment(process: number, key: string): void {
    this.run(process, this.rng.pick(this.cluster.nodes), key, { kind: 'get' }, answer => {
      if (answer === undefined || !this.running) {
        this.think(process);
        return;
      }
      const next = answer.type === ResponseType.Get ? Number(answer.value) + 1 : 0;
      const call = set(String(next), SetFlag.IfEqualToRevision, null, answer.revision);
      this.run(process, this.rng.pick(this.cluster.nodes), key, call, () => this.think(process));
    });
  }

  private run(
    process: number,
    node: SimNode,
    key: string,
    call: RegisterCall,
    then: (answer: RegisterAnswer | undefined) => void,
  ): void {
    const invokedAt = this.history.tick();
    let open = true;
    const finish = (result: OperationResult | undefined): void => {
      if (!open) return;
      open = false;
      const answer = toAnswer(result);
      if (result?.type === ResponseType.MustRetry) this.history.retries++;
      this.history.record(process, key, call, invokedAt, this.history.tick(), answer);
      if (answer !== undefined) this.learn(key, call, answer);
      if (answer !== undefined && call.kind === 'set' && answer.type === ResponseType.Set && this.rng.chance(0.2)) {
        this.readBack(process, key, then);
      } else {
        then(answer);
      }
    };
    node.submit(toOperation(key, call), finish);
    // A client that goes away leaves its request behind: it may still take effect.
    this.cluster.simulation.after(this.options.patienceMs, () => finish(undefined));
  }

  private readBack(process: number, key: string, then: (answer: RegisterAnswer | undefined) => void): void {
    this.run(process, this.rng.pick(this.cluster.nodes), key, { kind: 'get' }, then);
  }

  private learn(key: string, call: RegisterCall, answer: RegisterAnswer): void {
    if (call.kind === 'set' && answer.type === ResponseType.Set) {
      this.lastSeen.set(key, { ...answer, value: call.value });
      if (call.value !== null && !key.startsWith('counter')) this.checkDurable(call.value);
    } else if (call.kind === 'get') {
      this.lastSeen.set(key, answer);
    }
  }

  private checkDurable(value: string): void {
    this.cluster.guard(() => this.cluster.safety.acknowledged(value, this.cluster.nodes));
  }
}

function set(value: string, flags = 0, compareValue: string | null = null, compareRevision = 0): RegisterCall {
  return { kind: 'set', value, flags, compareValue, compareRevision };
}

/** Runs one operation on one node until it answers something other than MustRetry. Used once faults are over. */
export function persist(
  cluster: Cluster,
  history: History,
  node: SimNode,
  key: string,
  call: RegisterCall,
  done: () => void,
): void {
  const invokedAt = history.tick();
  node.submit(toOperation(key, call), result => {
    const answer = toAnswer(result);
    history.record(0, key, call, invokedAt, history.tick(), answer);
    if (answer !== undefined) done();
    else cluster.simulation.after(20, () => persist(cluster, history, node, key, call, done));
  });
}
