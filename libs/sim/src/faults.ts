import type { Rng } from '@kahuna/base';
import type { Cluster, SimNode } from './world/cluster.ts';
import { CALM_NETWORK, type NetworkOptions } from './world/network.ts';
import type { Feature } from './world/reached.ts';

/** Which kinds of trouble a run has. Each run draws its own mix, so that faults meet in ever new company. */
export interface FaultMix {
  /** Mean time between two faults, virtual milliseconds. */
  readonly everyMs: number;
  readonly crashes: boolean;
  readonly powerLoss: boolean;
  readonly pauses: boolean;
  /** Suspended machines; never together with wall clocks set back, against which no lease can be defended (design §5, Lease). */
  readonly suspends: boolean;
  readonly clockSteps: boolean;
  readonly isolations: boolean;
  readonly slowDisks: boolean;
  readonly diskErrors: boolean;
  readonly transfers: boolean;
  /** Leaders that cannot hear for about an election timeout, so that others are elected without their knowledge. */
  readonly deafLeaders: boolean;
  /** Processes that are killed again as soon as they run, several times in a row. */
  readonly restartLoops: boolean;
  /** Groups that change who votes in them, see `member-changes.ts`. */
  readonly memberChanges: boolean;
  /** The network between nodes while faults last. */
  readonly network: NetworkOptions;
}

export function drawFaultMix(rng: Rng, rare: Pick<FaultMix, 'deafLeaders' | 'restartLoops'>): FaultMix {
  const suspends = rng.chance(0.3);
  return {
    everyMs: rng.pick([150, 400, 1000, 2500]),
    crashes: rng.chance(0.7),
    powerLoss: rng.chance(0.5),
    pauses: rng.chance(0.5),
    suspends,
    clockSteps: !suspends && rng.chance(0.5),
    isolations: rng.chance(0.6),
    slowDisks: rng.chance(0.4),
    diskErrors: rng.chance(0.2),
    transfers: rng.chance(0.4),
    ...rare,
    memberChanges: false,
    network: drawNetwork(rng),
  };
}

function drawNetwork(rng: Rng): NetworkOptions {
  const adversarial = rng.chance(0.4);
  return {
    delayMinMs: rng.pick([0.1, 0.5, 2]),
    delayMeanMs: rng.pick([0.2, 1, 5, 20]),
    breakChance: rng.chance(0.5) ? rng.pick([0.0005, 0.005]) : 0,
    lossChance: adversarial ? rng.pick([0, 0.01, 0.05]) : 0,
    duplicateChance: adversarial ? rng.pick([0, 0.01, 0.05]) : 0,
    reorderChance: adversarial ? rng.pick([0, 0.02, 0.1]) : 0,
  };
}

type Fault = (node: SimNode) => void;

const FAULT_FEATURES: ReadonlyMap<string, Feature> = new Map([
  ['crash-majority', 'crash of a majority'],
  ['crash-all', 'crash of all'],
  ['restart-loop', 'restart loop'],
  ['pause', 'pause'],
  ['suspend', 'suspension'],
  ['step-clock', 'clock step'],
  ['deafen-leader', 'deaf leader'],
]);

/** Lets faults happen at random until told to stop, then undoes them all. */
export class FaultInjector {
  /** Faults so far, by name. */
  readonly counts = new Map<string, number>();
  private readonly cluster: Cluster;
  private readonly mix: FaultMix;
  private readonly rng: Rng;
  private readonly faults: readonly { readonly name: string; readonly run: Fault }[];
  private running = true;

  constructor(cluster: Cluster, mix: FaultMix) {
    this.cluster = cluster;
    this.mix = mix;
    this.rng = cluster.simulation.rng.fork();
    this.faults = this.chosen();
  }

  start(): void {
    this.cluster.network.options = this.mix.network;
    this.next();
  }

  /** Ends all trouble: networks heal, the dead are restarted, the stopped go on. */
  stop(): void {
    this.running = false;
    const { network, nodes } = this.cluster;
    network.options = CALM_NETWORK;
    network.healAll();
    for (const node of nodes) {
      node.logDisk.slowUntilMs = 0;
      node.clock.resume();
      node.process?.resume();
      if (node.isUp && node.fatalFault !== undefined) node.crash('kill');
      if (node.isUp && node.mayFail) node.crash('kill');
      if (!node.isUp) node.start();
    }
  }

  private next(): void {
    const pause = -Math.log(1 - this.rng.float()) * this.mix.everyMs;
    this.cluster.simulation.after(pause, () => {
      if (!this.running) return;
      const fault = this.rng.pick(this.faults);
      this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1);
      const feature = FAULT_FEATURES.get(fault.name);
      if (feature !== undefined) this.cluster.reached.note(feature);
      const { simulation, nodes } = this.cluster;
      // Leaders are where it hurts.
      const leaders = nodes.filter(node => [...(node.host?.replicas.values() ?? [])].some(replica => replica.leads));
      const node = leaders.length > 0 && this.rng.chance(0.5) ? this.rng.pick(leaders) : this.rng.pick(nodes);
      simulation.trace.note(simulation.nowMs, fault.name, node.endpoint, 0);
      this.cluster.guard(() => fault.run(node));
      this.next();
    });
  }

  private chosen(): { name: string; run: Fault }[] {
    const { mix } = this;
    const faults: { name: string; run: Fault }[] = [{ name: 'reset-stream', run: node => this.resetStream(node) }];
    if (mix.crashes) faults.push({ name: 'crash', run: node => this.crash([node]) });
    if (mix.crashes) faults.push({ name: 'crash-majority', run: () => this.crash(this.majority()) });
    if (mix.crashes && this.rng.chance(0.3)) faults.push({ name: 'crash-all', run: () => this.crash(this.cluster.nodes) });
    if (mix.pauses) faults.push({ name: 'pause', run: node => this.pause(node) });
    if (mix.suspends) faults.push({ name: 'suspend', run: node => this.suspend(node) });
    if (mix.clockSteps) faults.push({ name: 'step-clock', run: node => this.stepClock(node) });
    if (mix.isolations) faults.push({ name: 'isolate', run: node => this.isolate(node) });
    if (mix.isolations) faults.push({ name: 'cut-link', run: node => this.cutLink(node) });
    if (mix.slowDisks) faults.push({ name: 'slow-disk', run: node => this.slowDisk(node) });
    if (mix.diskErrors) faults.push({ name: 'disk-error', run: node => this.diskError(node) });
    if (mix.transfers) faults.push({ name: 'transfer', run: node => this.transfer(node) });
    if (mix.restartLoops) faults.push({ name: 'restart-loop', run: node => this.restartLoop(node, this.rng.int(3, 12)) });
    if (mix.deafLeaders) faults.push({ name: 'deafen-leader', run: node => this.deafen(node) });
    return faults;
  }

  /** Mostly around an election timeout, where leases end; sometimes much longer. */
  private duration(): number {
    const { electionMinMs = 2000 } = this.cluster.options.settings;
    return this.rng.chance(0.2) ? this.rng.int(1, 10) * electionMinMs : this.rng.float() * 2.5 * electionMinMs;
  }

  private later(ms: number, task: () => void): void {
    this.cluster.simulation.after(ms, () => {
      if (this.running) task();
    });
  }

  private majority(): SimNode[] {
    const shuffled = this.rng.shuffle([...this.cluster.nodes]);
    return shuffled.slice(0, Math.floor(shuffled.length / 2) + 1);
  }

  private crash(nodes: readonly SimNode[]): void {
    const kind = this.mix.powerLoss && this.rng.chance(0.5) ? 'power' : 'kill';
    for (const node of nodes) {
      if (!node.isUp) continue;
      node.crash(kind);
      const downMs = this.rng.chance(0.5) ? this.rng.float() * 100 : this.duration() * 2;
      this.later(downMs, () => {
        if (!node.isUp) node.start();
      });
    }
  }

  /** Lives of a few hundred milliseconds: long enough for a clock bound to be written, too short for its lead to pass. */
  private restartLoop(node: SimNode, times: number): void {
    if (times === 0 || !node.isUp) return;
    node.crash('kill');
    this.later(this.rng.float() * 20, () => {
      if (!node.isUp) node.start();
      this.later(20 + this.rng.float() * 200, () => this.restartLoop(node, times - 1));
    });
  }

  private pause(node: SimNode): void {
    const { process } = node;
    if (process === undefined || process.isPaused) return;
    process.pause();
    this.later(this.duration(), () => process.resume());
  }

  private suspend(node: SimNode): void {
    const { process } = node;
    if (process === undefined || process.isPaused) return;
    process.pause();
    node.clock.suspend();
    this.later(this.duration(), () => {
      node.clock.resume();
      process.resume();
    });
  }

  private stepClock(node: SimNode): void {
    node.clock.stepWall(this.rng.pick([-60_000, -1000, -100, 100, 1000, 60_000]));
  }

  private isolate(node: SimNode): void {
    const { network } = this.cluster;
    const ways = this.rng.pick(['both', 'both', 'in', 'out'] as const);
    network.isolate(node.endpoint, this.rng.pick(['break', 'stall'] as const), ways);
    this.later(this.duration() * 2, () => this.reconnect(node));
  }

  private reconnect(node: SimNode): void {
    const { network, nodes } = this.cluster;
    for (const other of nodes) {
      network.heal(node.endpoint, other.endpoint);
      network.heal(other.endpoint, node.endpoint);
    }
  }

  private cutLink(node: SimNode): void {
    const other = this.rng.pick(this.cluster.nodes);
    if (other === node) return;
    const { network } = this.cluster;
    const mode = this.rng.pick(['break', 'stall'] as const);
    network.cut(node.endpoint, other.endpoint, mode);
    if (this.rng.chance(0.5)) network.cut(other.endpoint, node.endpoint, mode);
    this.later(this.duration() * 2, () => {
      network.heal(node.endpoint, other.endpoint);
      network.heal(other.endpoint, node.endpoint);
    });
  }

  private resetStream(node: SimNode): void {
    const other = this.rng.pick(this.cluster.nodes);
    if (other !== node) this.cluster.network.breakStream(node.endpoint, other.endpoint);
  }

  private slowDisk(node: SimNode): void {
    node.logDisk.slowUntilMs = this.cluster.simulation.nowMs + this.duration() * 4;
    node.logDisk.slowExtraMs = this.rng.pick([20, 100, 500]);
  }

  /** The node must stop itself; its operator restarts it on a disk that works again. */
  private diskError(node: SimNode): void {
    const { process } = node;
    if (process === undefined || !node.isUp) return;
    node.mayFail = true;
    if (this.rng.chance(0.6)) node.logDisk.failNextWrite = true;
    else if (node.engine !== undefined) {
      node.engine.failNextWrite = true;
      this.cluster.reached.note('engine error');
    }
    this.later(this.duration() * 3, () => {
      if (node.process !== process || !process.isAlive) return;
      node.crash(this.mix.powerLoss && this.rng.chance(0.5) ? 'power' : 'kill');
      this.later(this.rng.float() * 200, () => {
        if (!node.isUp) node.start();
      });
    });
  }

  private transfer(node: SimNode): void {
    const target = this.rng.pick(this.cluster.nodes);
    this.handOver(node, target);
  }

  /** Hands the leadership of one partition to `target`. */
  private handOver(node: SimNode, target: SimNode): void {
    const { host } = node;
    if (host === undefined || node.process?.isPaused === true) return;
    const led = [...host.replicas.values()].filter(replica => replica.leads);
    if (led.length === 0) return;
    node.process?.deliver(() => {
      host.transferLeadership(this.rng.pick(led).partitionId, target.id);
    });
  }

  /**
   * A leader that hears nothing while another one is elected: because it falls silent too, hands leadership over, or is not heard by
   * one of its followers. Only what it was promised may make it answer reads then.
   */
  private deafen(leader: SimNode): void {
    const { network, nodes, options } = this.cluster;
    const { electionMinMs = 2000 } = options.settings;
    const others = nodes.filter(node => node !== leader);
    if (others.length === 0) return;
    const rival = this.rng.pick(others);
    const way = this.rng.pick(['mute', 'handing-over', 'estranged'] as const);
    let deafInMs = 0;
    if (way === 'mute') {
      this.later(this.rng.float() * 0.5 * electionMinMs, () => network.isolate(leader.endpoint, 'stall', 'out'));
    } else if (way === 'handing-over') {
      this.handOver(leader, rival);
      deafInMs = this.rng.float() * 6;
    } else if (way === 'estranged') {
      network.cut(leader.endpoint, rival.endpoint, 'stall');
      deafInMs = this.rng.float() * 2.5 * electionMinMs;
    }
    this.later(deafInMs, () => network.isolate(leader.endpoint, 'stall', 'in'));
    this.later(deafInMs + electionMinMs * (1 + this.rng.float()), () => this.reconnect(leader));
  }
}
