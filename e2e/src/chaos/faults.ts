import type { Rng } from '@kahuna/base';
import type { Cluster } from '../harness/cluster.ts';
import { sleep } from '../harness/processes.ts';

/** One thing that goes wrong with one node, and how it is put right again. */
export interface Fault {
  readonly kind: string;
  strike(cluster: Cluster, node: number): Promise<void>;
  repair(cluster: Cluster, node: number): Promise<void>;
  /** The process may end by itself while this fault lasts. */
  readonly mayEndProcess?: boolean;
}

export const KILL: Fault = {
  kind: 'kill -9',
  strike: (cluster, node) => cluster.node(node).kill(),
  repair: async (cluster, node) => cluster.node(node).start(),
};

export const PAUSE: Fault = {
  kind: 'pause (SIGSTOP)',
  strike: async (cluster, node) => cluster.node(node).pause(),
  repair: async (cluster, node) => cluster.node(node).resume(),
};

export const ISOLATE: Fault = {
  kind: 'isolate',
  strike: async (cluster, node) => cluster.network.isolate(node),
  repair: async cluster => cluster.network.heal(),
};

/** The node hears everybody and nobody hears it. */
export const MUTE: Fault = {
  kind: 'mute (one-way isolation)',
  strike: async (cluster, node) => {
    for (let other = 1; other <= cluster.nodes.length; other++) if (other !== node) cluster.network.block(node, other);
  },
  repair: async cluster => cluster.network.heal(),
};

/** Everybody hears the node and it hears nobody. */
export const DEAFEN: Fault = {
  kind: 'deafen (one-way isolation)',
  strike: async (cluster, node) => {
    for (let other = 1; other <= cluster.nodes.length; other++) if (other !== node) cluster.network.block(other, node);
  },
  repair: async cluster => cluster.network.heal(),
};

export const DELAY: Fault = {
  kind: 'delay of 150 ms everywhere',
  strike: async cluster => cluster.network.delayAll(150),
  repair: async cluster => cluster.network.heal(),
};

/**
 * Every node is ready again within this time. Long, because a run beside other work shares its processors; how soon clients are
 * served is measured where nothing else runs.
 */
export const REPAIR_MS = 180_000;

/** One fault of a run. */
export interface Inflicted {
  readonly kind: string;
  readonly node: number;
}

export function described({ kind, node }: Inflicted): string {
  return `${kind}: node ${node}`;
}

/** What strikes next, and whom; without a node, whoever is chosen when it strikes. */
interface Intended {
  readonly fault: Fault;
  readonly node?: number;
}

export interface FaultPlan {
  readonly faults: readonly Fault[];
  /** How long a fault lasts, and how long all is well between two. */
  readonly lastsMs: readonly [number, number];
  readonly restsMs: readonly [number, number];
}

/**
 * Lets one fault follow another until told to stop; always one node at a time, so that a quorum remains. Every run, however short,
 * begins with each kind once and the kill of each node, in a random order.
 */
export class FaultInjector {
  /** What was done, for the report. */
  readonly done: Inflicted[] = [];
  /** Processes that ended though nobody killed them. */
  readonly unexpectedEnds: string[] = [];
  private readonly cluster: Cluster;
  private readonly plan: FaultPlan;
  private readonly rng: Rng;
  private readonly say: (line: string) => void;
  private waiting: Intended[];
  /** Faults of the opening that are still to come. */
  private outstanding: number;
  private stopping = false;

  constructor(cluster: Cluster, plan: FaultPlan, rng: Rng, say: (line: string) => void) {
    this.cluster = cluster;
    this.plan = plan;
    this.rng = rng;
    this.say = say;
    this.waiting = this.opening();
    this.outstanding = this.waiting.length;
  }

  /** Whether everything that a run must have in it has struck and been repaired. */
  get isComplete(): boolean {
    return this.outstanding === 0;
  }

  stop(): void {
    this.stopping = true;
  }

  async run(): Promise<void> {
    while (!this.stopping) {
      await this.rest(this.plan.restsMs);
      if (this.stopping) break;
      // The kinds go on taking turns.
      if (this.waiting.length === 0) this.waiting = this.rng.shuffle(this.plan.faults.map(fault => ({ fault })));
      await this.inflict(this.waiting.pop() as Intended);
      if (this.outstanding > 0) this.outstanding -= 1;
    }
  }

  private opening(): Intended[] {
    const { faults } = this.plan;
    const others = faults.filter(fault => fault !== KILL).map(fault => ({ fault }));
    const kills = faults.includes(KILL) ? this.cluster.nodes.map((_, i) => ({ fault: KILL, node: i + 1 })) : [];
    return this.rng.shuffle<Intended>([...others, ...kills]);
  }

  private async inflict({ fault, node: intended }: Intended): Promise<void> {
    const node = intended ?? (await this.chooseVictim());
    const inflicted: Inflicted = { kind: fault.kind, node };
    this.say(described(inflicted));
    this.done.push(inflicted);
    await fault.strike(this.cluster, node);
    await this.rest(this.plan.lastsMs);
    if (fault.mayEndProcess !== true && fault !== KILL) this.noteEnds();
    await fault.repair(this.cluster, node);
    await this.cluster.ready(REPAIR_MS);
    this.noteEnds();
  }

  /** Mostly a leader: that is where faults hurt. */
  private async chooseVictim(): Promise<number> {
    const random = this.rng.int(1, this.cluster.nodes.length);
    if (this.rng.chance(0.3)) return random;
    const leader = await this.cluster.leaderOf(2 + this.rng.int(0, 2));
    return leader > 0 ? leader : random;
  }

  private noteEnds(): void {
    for (const node of this.cluster.nodes) {
      if (!node.running) this.unexpectedEnds.push(`${node.options.name} ended by itself:\n${node.output}`);
    }
  }

  private async rest([from, to]: readonly [number, number]): Promise<void> {
    const end = performance.now() + this.rng.int(from, to);
    while (!this.stopping && performance.now() < end) await sleep(50);
  }
}
