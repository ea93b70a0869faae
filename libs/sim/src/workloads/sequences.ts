import type { Rng } from '@kahuna/base';
import { type OperationResult, type SequenceOperation, SequenceResponseType } from '@kahuna/partition';
import type { SequenceEvent } from '../checkers/sequence.ts';
import type { Cluster, SimNode } from '../world/cluster.ts';

export interface SequenceClientOptions {
  readonly clients: number;
  /** Name and block size of each sequence. */
  readonly sequences: readonly { readonly name: string; readonly blockSize: number }[];
  /** Mean pause between two operations of one client; how long it waits for an answer. Milliseconds. */
  readonly thinkMs: number;
  readonly patienceMs: number;
}

/** Keys are used again while they are among the last so many: far fewer than a sequence remembers. */
const RECENT_KEYS = 6;

/** Clients that take runs of values, keyed and not, repeat keys long after they were answered, and look at the marks. */
export class SequenceClients {
  readonly events: SequenceEvent[] = [];
  private readonly cluster: Cluster;
  private readonly options: SequenceClientOptions;
  private readonly rng: Rng;
  private keys = 0;
  private readonly recent: { readonly sequence: string; readonly key: string; readonly count: number }[] = [];
  private running = true;

  constructor(cluster: Cluster, options: SequenceClientOptions) {
    this.cluster = cluster;
    this.options = options;
    this.rng = cluster.simulation.rng.fork();
  }

  get allocations(): number {
    return this.events.filter(({ kind, answer }) => kind === 'reserve' && answer !== undefined).length;
  }

  start(): void {
    for (const { name, blockSize } of this.options.sequences) this.create(name, blockSize);
    for (let i = 0; i < this.options.clients; i++) this.think();
  }

  stop(): void {
    this.running = false;
  }

  /** Takes a value, repeats the last keys and reads the mark of every sequence through every node until all are answered; `done` follows. Used once faults are over. */
  finish(done: () => void): void {
    let open = 0;
    const ask = (node: SimNode, event: Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'>): void => {
      open++;
      this.persist(node, event, () => --open === 0 && done());
    };
    for (const node of this.cluster.nodes) {
      for (const { name } of this.options.sequences) {
        ask(node, { sequence: name, kind: 'reserve', count: 1, key: '' });
        ask(node, { sequence: name, kind: 'get', count: 0, key: '' });
      }
      for (const repeat of this.recent) ask(node, { ...repeat, kind: 'reserve' });
    }
  }

  private persist(node: SimNode, event: Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'>, done: () => void): void {
    this.run(node, event, answer => {
      if (answer !== undefined) done();
      else this.cluster.simulation.after(20, () => this.persist(node, event, done));
    });
  }

  private create(name: string, blockSize: number): void {
    const operation = {
      kind: 'sequence-create',
      key: name,
      initialValue: 0n,
      increment: 1n,
      maxValue: undefined,
      blockSize,
    } as const;
    this.rng.pick(this.cluster.nodes).submit(operation, result => {
      const exists = result?.type === SequenceResponseType.Success || result?.type === SequenceResponseType.AlreadyExists;
      if (!exists) this.cluster.simulation.after(20, () => this.create(name, blockSize));
    });
  }

  private think(): void {
    this.cluster.simulation.after(-Math.log(1 - this.rng.float()) * this.options.thinkMs, () => {
      if (this.running) this.run(this.rng.pick(this.cluster.nodes), this.draw(), () => this.think());
    });
  }

  private draw(): Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'> {
    const { rng } = this;
    const sequence = rng.pick(this.options.sequences).name;
    const roll = rng.int(0, 9);
    if (roll === 0) return { sequence, kind: 'get', count: 0, key: '' };
    const count = rng.pick([1, 1, 1, 2, 7]);
    if (roll < 6) return { sequence, kind: 'reserve', count, key: '' };
    if (roll < 8 && this.recent.length > 0) return { ...rng.pick(this.recent), kind: 'reserve' };
    const keyed = { sequence, key: `k${++this.keys}`, count };
    this.recent.push(keyed);
    if (this.recent.length > RECENT_KEYS) this.recent.shift();
    return { ...keyed, kind: 'reserve' };
  }

  private run(
    node: SimNode,
    event: Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'>,
    then: (answer: SequenceEvent['answer']) => void,
  ): void {
    const { simulation } = this.cluster;
    const invokedAt = simulation.nowMs;
    let open = true;
    const finish = (result: OperationResult | undefined): void => {
      if (!open) return;
      open = false;
      const answer = toAnswer(result);
      const completedAt = answer === undefined ? Number.POSITIVE_INFINITY : simulation.nowMs;
      this.events.push({ ...event, invokedAt, completedAt, answer });
      then(answer);
    };
    node.submit(toOperation(event), finish);
    simulation.after(this.options.patienceMs, () => finish(undefined));
  }
}

function toOperation({
  kind,
  sequence,
  count,
  key,
}: Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'>): SequenceOperation {
  return kind === 'get'
    ? { kind: 'sequence-get', key: sequence }
    : { kind: 'sequence-reserve', key: sequence, count, idempotencyKey: key };
}

function toAnswer(result: OperationResult | undefined): SequenceEvent['answer'] {
  const detail = result?.type === SequenceResponseType.Success ? result.detail : undefined;
  if (result === undefined || detail === undefined) return undefined;
  const { revision } = result;
  if (detail.kind === 'sequence-entry') return { start: detail.currentValue, end: detail.currentValue, revision };
  return { start: detail.start, end: detail.end, revision };
}
