import { ByteReader, ByteWriter } from '@kahuna/base';
import { decodeMessage, encodeMessage } from './codec.ts';
import { RaftCore } from './group.ts';
import type { Configuration, Entry, HardState, Member, Message, RaftOptions, Ready } from './types.ts';

/** Replica i lives on node 100 + i, so that a mix-up of the two ids shows. */
export function member(replicaId: number): Member {
  return { replicaId, nodeId: 100 + replicaId };
}

export function voters(...replicaIds: number[]): Configuration {
  return { voters: replicaIds.map(member), outgoing: [], learners: [] };
}

/** A fresh replica with a fixed election timeout of ten ticks; everything else can be overridden. */
export function optionsOf(replicaId: number, configuration: Configuration, overrides: Partial<RaftOptions> = {}): RaftOptions {
  return {
    replicaId,
    nodeId: 100 + replicaId,
    configuration,
    hardState: { term: 0, vote: 0 },
    startIndex: 0,
    startTerm: 0,
    entries: [],
    appliedIndex: 0,
    electionTicksMin: 10,
    electionTicksMax: 10,
    randomInt: low => low,
    maxAppendBytes: 1024,
    maxInflightBytes: 4096,
    maxUncommittedBytes: 64 * 1024,
    ...overrides,
  };
}

export function makeCore(replicaId: number, configuration: Configuration, overrides: Partial<RaftOptions> = {}): RaftCore {
  return new RaftCore(optionsOf(replicaId, configuration, overrides));
}

/** A message as the other side sees it: through the codec, so that every test exercises it too. */
export function transmit(message: Message): Message {
  const out = new ByteWriter(512);
  encodeMessage(out, message);
  return decodeMessage(new ByteReader(out.finish()));
}

/**
 * Cores on a perfect network with disks that complete at once, stepped until nothing moves. Messages can be cut per direction and
 * disks stopped; what is cut is lost. Applies everything at once and remembers it.
 */
export class Cluster {
  readonly cores = new Map<number, RaftCore>();
  readonly applied = new Map<number, Entry[]>();
  readonly reads: { replica: number; context: number; index: number }[] = [];
  readonly dropped: number[] = [];
  readonly snapshots: { from: number; to: number }[] = [];
  readonly hardStates = new Map<number, HardState>();
  /** Everything that left a replica, cut or not, in order. */
  readonly sent: Message[] = [];
  private readonly cuts = new Set<string>();
  private readonly slowDisks = new Map<number, Ready[]>();
  private queue: Message[] = [];
  leaderPromised = (_replica: number): boolean => false;
  /** What is lost besides what is cut. */
  loses = (_message: Message): boolean => false;

  constructor(...cores: RaftCore[]) {
    for (const core of cores) this.add(core);
  }

  add(core: RaftCore): RaftCore {
    this.cores.set(core.replicaId, core);
    this.applied.set(core.replicaId, []);
    return core;
  }

  core(replicaId: number): RaftCore {
    return this.cores.get(replicaId) as RaftCore;
  }

  appliedText(replicaId: number): string[] {
    const decoder = new TextDecoder();
    return (this.applied.get(replicaId) as Entry[])
      .filter(entry => entry.data.length > 0 && entry.kind === 1)
      .map(entry => decoder.decode(entry.data));
  }

  cut(from: number, to: number): void {
    this.cuts.add(`${from}>${to}`);
  }

  isolate(replicaId: number): void {
    for (const other of this.cores.keys()) {
      if (other === replicaId) continue;
      this.cut(replicaId, other);
      this.cut(other, replicaId);
    }
  }

  heal(): void {
    this.cuts.clear();
  }

  /** From now on nothing of this replica becomes durable, and no promise leaves it. */
  stopDisk(replicaId: number): void {
    this.slowDisks.set(replicaId, []);
  }

  startDisk(replicaId: number): void {
    const waiting = this.slowDisks.get(replicaId) ?? [];
    this.slowDisks.delete(replicaId);
    for (const ready of waiting) this.complete(this.core(replicaId), ready);
    this.settle();
  }

  /** Runs until no core has anything to do. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      let moved = false;
      for (const core of this.cores.values()) {
        const ready = core.ready();
        if (ready === undefined) continue;
        moved = true;
        this.handle(core, ready);
      }
      const batch = this.queue;
      this.queue = [];
      for (const message of batch) {
        if (this.cuts.has(`${message.from}>${message.to}`) || this.loses(message)) continue;
        moved = true;
        this.cores.get(message.to)?.step(transmit(message), this.leaderPromised(message.to));
      }
      if (!moved) return;
    }
    throw new Error('the cluster never came to rest');
  }

  tick(count = 1, ...replicaIds: number[]): void {
    for (let i = 0; i < count; i++) {
      for (const core of this.cores.values()) if (replicaIds.length === 0 || replicaIds.includes(core.replicaId)) core.tick();
      this.settle();
    }
  }

  elect(replicaId: number): RaftCore {
    const core = this.core(replicaId);
    core.campaign();
    this.settle();
    if (core.role !== 'leader') throw new Error(`replica ${replicaId} did not win`);
    this.tick();
    return core;
  }

  propose(replicaId: number, text: string): ReturnType<RaftCore['propose']> {
    const result = this.core(replicaId).propose(new TextEncoder().encode(text));
    this.settle();
    return result;
  }

  private handle(core: RaftCore, ready: Ready): void {
    this.send(ready.appends);
    const waiting = this.slowDisks.get(core.replicaId);
    if (waiting === undefined) this.complete(core, ready);
    else waiting.push(ready);
    for (const entry of ready.committed) this.applied.get(core.replicaId)?.push(entry);
    if (ready.committed.length > 0) core.applied((ready.committed.at(-1) as Entry).index);
    for (const read of ready.reads) this.reads.push({ replica: core.replicaId, ...read });
    this.dropped.push(...ready.droppedReads);
    for (const target of ready.snapshots) this.snapshots.push({ from: core.replicaId, to: target.replicaId });
  }

  private complete(core: RaftCore, ready: Ready): void {
    if (ready.hardState !== undefined) this.hardStates.set(core.replicaId, ready.hardState);
    const last = ready.entries.at(-1);
    if (last !== undefined) core.persisted(last.index, last.term);
    this.send(ready.promises);
  }

  private send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.sent.push(message);
      this.queue.push(message);
    }
  }
}
