import { Rng } from '@kahuna/base';
import type { RegisterAnswer, RegisterCall, RegisterOperation } from '@kahuna/sim';
import { type Answer, Flag, type KvApi, Persistent, Type } from '../clients/kv-api.ts';
import { sleep } from '../harness/processes.ts';

/** Answers that say nothing about whether a write took effect. */
const UNDECIDED: ReadonlySet<number> = new Set([Type.MustRetry, Type.Errored]);

export interface WorkloadCounts {
  answered: number;
  /** Writes whose outcome nobody knows. */
  unknown: number;
  /** Requests that ended without an answer: the connection broke. */
  broken: number;
  /** Answers by type. */
  readonly types: Map<number, number>;
}

export interface WorkloadOptions {
  readonly seed: number;
  /** A client waits up to so long between two operations. */
  readonly thinkMs: number;
  /** Keys in use at a time. */
  readonly keys: number;
  /** After so long the clients move on to new keys, so that the search for an order stays small however long the run is. */
  readonly epochMs: number;
}

/**
 * Clients that read and write a few keys at once through any node and any transport, and write down what they asked and heard.
 * A write whose answer does not say what became of it stays in the history as unknown; a read that failed is left out.
 */
export class Workload {
  readonly history: RegisterOperation[] = [];
  readonly counts: WorkloadCounts = { answered: 0, unknown: 0, broken: 0, types: new Map() };
  private readonly options: WorkloadOptions;
  private readonly startedAt = performance.now();
  private stopping = false;
  private readonly clients: Promise<void>[] = [];
  private values = 0;

  constructor(options: WorkloadOptions) {
    this.options = options;
  }

  start(apis: readonly KvApi[]): void {
    apis.forEach((api, process) => {
      this.clients.push(this.client(process, api, new Rng(this.options.seed * 1000 + process)));
    });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.clients);
  }

  /** Every key that was used. */
  keys(): string[] {
    return [...new Set(this.history.map(operation => operation.key))];
  }

  /** Reads a key until it is answered, as part of the history. */
  async readBack(process: number, api: KvApi, key: string, deadlineMs: number): Promise<boolean> {
    const deadline = performance.now() + deadlineMs;
    while (performance.now() < deadline) {
      if (await this.run(process, api, key, { kind: 'get' })) return true;
      await sleep(50);
    }
    return false;
  }

  private async client(process: number, api: KvApi, rng: Rng): Promise<void> {
    while (!this.stopping) {
      const epoch = Math.floor((performance.now() - this.startedAt) / this.options.epochMs);
      const number = rng.int(0, this.options.keys - 1);
      // Each number is a key space of its own, so that the keys lie in all partitions.
      const key = `chaos-${number}/${epoch}`;
      const answered = await this.run(process, api, key, this.chooseCall(process, key, rng));
      await sleep(answered ? rng.int(0, this.options.thinkMs) : 100);
    }
  }

  private chooseCall(process: number, key: string, rng: Rng): RegisterCall {
    const value = `${process}.${this.values++}`;
    const set = { kind: 'set', value, flags: Flag.Set, compareValue: null, compareRevision: 0 } as const;
    const choice = rng.int(1, 100);
    if (choice <= 40) return { kind: 'get' };
    if (choice <= 45) return { kind: 'exists' };
    if (choice <= 75) return set;
    if (choice <= 88) {
      return { ...set, flags: Flag.CompareRevision, compareRevision: this.lastRevision.get(key) ?? -1 };
    }
    if (choice <= 94) return { ...set, flags: Flag.IfNotExists };
    return { kind: 'delete' };
  }

  /** The newest revision that any client saw of a key: what a compare-and-set compares with. */
  private readonly lastRevision = new Map<string, number>();

  /** One operation; false if it had no answer that says what happened. */
  private async run(process: number, api: KvApi, key: string, call: RegisterCall): Promise<boolean> {
    const invokedAt = performance.now();
    let answer: Answer | undefined;
    try {
      answer = await perform(api, key, call);
      this.counts.types.set(answer.type, (this.counts.types.get(answer.type) ?? 0) + 1);
    } catch {
      this.counts.broken += 1; // a broken connection is one of the answers this test is about
    }
    const decided = answer !== undefined && !UNDECIDED.has(answer.type);
    if (decided && answer) {
      this.counts.answered += 1;
      const { type, revision, value } = answer;
      const seen: RegisterAnswer = { type, revision, value: value === null ? null : value.toString('utf8') };
      this.history.push({ process, key, call, invokedAt, completedAt: performance.now(), answer: seen });
      this.lastRevision.set(key, Math.max(revision, this.lastRevision.get(key) ?? -1));
    } else if (call.kind !== 'get' && call.kind !== 'exists') {
      this.counts.unknown += 1;
      this.history.push({ process, key, call, invokedAt, completedAt: Number.POSITIVE_INFINITY, answer: undefined });
    }
    return decided;
  }
}

function perform(api: KvApi, key: string, call: RegisterCall): Promise<Answer> {
  const durability = Persistent;
  switch (call.kind) {
    case 'set':
      return api.set({
        key,
        durability,
        value: call.value === null ? null : Buffer.from(call.value),
        flags: call.flags,
        compareRevision: call.compareRevision,
      });
    case 'get':
      return api.get({ key, durability });
    case 'exists':
      return api.exists({ key, durability });
    case 'delete':
      return api.delete({ key, durability });
    case 'extend':
      return api.extend({ key, durability, expiresMs: 0 });
  }
}
