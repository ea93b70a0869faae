import { Rng } from '@kahuna/base';
import { checkSequences, type SequenceEvent } from '@kahuna/sim';
import { type SequenceApi, SequenceType } from '../clients/sequence-api.ts';
import { sleep } from '../harness/processes.ts';
import type { SideWorkload } from './side-workload.ts';

/** Block sizes: a write per value, a few values, the server's default. */
const SEQUENCES = [
  { name: 'chaos-sequence-1', blockSize: 1 },
  { name: 'chaos-sequence-2', blockSize: 7 },
  { name: 'chaos-sequence-3', blockSize: 1000 },
] as const;
/** Keys are used again while they are among the last so many: far fewer than a sequence remembers. */
const RECENT_KEYS = 8;

type Call = Pick<SequenceEvent, 'sequence' | 'kind' | 'count' | 'key'>;

/** Clients that take runs of values, keyed and not, repeat keys long after they were answered, and look at the marks. */
export class SequenceWorkload implements SideWorkload {
  readonly name = 'sequences';
  readonly events: SequenceEvent[] = [];
  private readonly rng: Rng;
  private readonly apis: readonly SequenceApi[];
  private readonly recent: Call[] = [];
  private readonly clients: Promise<void>[] = [];
  private keys = 0;
  private stopping = false;

  constructor(seed: number, apis: readonly SequenceApi[]) {
    this.rng = new Rng(seed);
    this.apis = apis;
  }

  start(clients: number): void {
    const created = Promise.all(SEQUENCES.map(({ name, blockSize }) => this.create(name, blockSize)));
    for (let i = 0; i < clients; i++) this.clients.push(created.then(() => this.client()));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.clients);
  }

  async close(): Promise<void> {
    for (const api of this.apis) api.close();
  }

  /** Every sequence gives a value and its mark, and the last keys are replayed, through every node. */
  async settle(deadlineMs: number): Promise<string | undefined> {
    const deadline = performance.now() + deadlineMs;
    const calls: Call[] = SEQUENCES.flatMap(({ name: sequence }): Call[] => [
      { sequence, kind: 'reserve', count: 1, key: '' },
      { sequence, kind: 'get', count: 0, key: '' },
    ]);
    const asked = [...calls, ...this.recent].flatMap(call => this.apis.map(api => this.runUntil(deadline, api, call)));
    const open = (await Promise.all(asked)).filter(sequence => sequence !== undefined);
    return open.length === 0 ? undefined : `not answered ${deadlineMs} ms after the last repair: ${[...new Set(open)]}`;
  }

  verdict(): string | undefined {
    return checkSequences(this.events);
  }

  private async runUntil(deadline: number, api: SequenceApi, call: Call): Promise<string | undefined> {
    while (performance.now() < deadline) {
      if (await this.run(api, call)) return undefined;
      await sleep(50);
    }
    return call.sequence;
  }

  private async create(name: string, blockSize: number): Promise<void> {
    while (!this.stopping) {
      const type = await this.rng
        .pick(this.apis)
        .create(name, { blockSize })
        .then(
          answer => answer.type,
          () => undefined,
        );
      if (type === SequenceType.Success || type === SequenceType.AlreadyExists) return;
      await sleep(50);
    }
  }

  private async client(): Promise<void> {
    while (!this.stopping) {
      const answered = await this.run(this.rng.pick(this.apis), this.draw());
      await sleep(answered ? this.rng.int(0, 40) : 100);
    }
  }

  private draw(): Call {
    const { rng } = this;
    const sequence = rng.pick(SEQUENCES).name;
    const roll = rng.int(0, 9);
    if (roll === 0) return { sequence, kind: 'get', count: 0, key: '' };
    const count = rng.pick([1, 1, 1, 2, 7]);
    if (roll < 6) return { sequence, kind: 'reserve', count, key: '' };
    if (roll < 8 && this.recent.length > 0) return rng.pick(this.recent);
    const keyed: Call = { sequence, kind: 'reserve', key: `key ${++this.keys}`, count };
    this.recent.push(keyed);
    if (this.recent.length > RECENT_KEYS) this.recent.shift();
    return keyed;
  }

  /** False if nobody knows what became of it. */
  private async run(api: SequenceApi, call: Call): Promise<boolean> {
    const invokedAt = performance.now();
    let answer: SequenceEvent['answer'];
    try {
      answer = await perform(api, call);
    } catch {
      answer = undefined; // the connection broke
    }
    const completedAt = answer === undefined ? Number.POSITIVE_INFINITY : performance.now();
    this.events.push({ ...call, invokedAt, completedAt, answer });
    return answer !== undefined;
  }
}

async function perform(api: SequenceApi, { kind, sequence, count, key }: Call): Promise<SequenceEvent['answer']> {
  if (kind === 'get') {
    const { entry } = await api.get(sequence);
    return entry === null ? undefined : { start: entry.currentValue, end: entry.currentValue, revision: Number(entry.revision) };
  }
  const { type, start, end, revision } = await api.reserve(sequence, count, key === '' ? undefined : key);
  return type === SequenceType.Success ? { start, end, revision: Number(revision) } : undefined;
}
