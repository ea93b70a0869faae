import { Rng } from '@kahuna/base';
import { DEFAULT_SETTINGS } from '@kahuna/node';
import { checkLocks } from './checkers/lock.ts';
import { SafetyViolation } from './checkers/raft-safety.ts';
import { checkRegisters } from './checkers/register.ts';
import { checkSequences } from './checkers/sequence.ts';
import { checkSnapshots, type SnapshotReport } from './checkers/snapshot.ts';
import { checkWatches } from './checkers/watch.ts';
import { drawFaultMix, FaultInjector, type FaultMix } from './faults.ts';
import { MemberChanges } from './member-changes.ts';
import { type ClientOptions, Clients, History, persist } from './workloads/clients.ts';
import { type LockClientOptions, LockClients } from './workloads/locks.ts';
import { type SequenceClientOptions, SequenceClients } from './workloads/sequences.ts';
import { type SnapshotClientOptions, SnapshotClients } from './workloads/snapshots.ts';
import { type WatchClientOptions, WatchClients } from './workloads/watchers.ts';
import { CALM_CLUSTER, Cluster, type ClusterOptions, QUICK_SETTINGS } from './world/cluster.ts';
import { Simulation, Trace } from './world/simulation.ts';

/** Everything about a run that is not drawn while it goes on. */
export interface RunPlan {
  readonly cluster: ClusterOptions;
  readonly clients: ClientOptions;
  readonly locks: LockClientOptions | undefined;
  readonly sequences: SequenceClientOptions | undefined;
  readonly snapshots: Omit<SnapshotClientOptions, 'judgesHolds'> | undefined;
  readonly watches: WatchClientOptions | undefined;
  readonly faults: FaultMix;
  /** Length of the phase with faults, virtual milliseconds. */
  readonly troubleMs: number;
}

export interface RunReport {
  readonly seed: number;
  /** undefined: nothing is wrong. */
  readonly failure: string | undefined;
  readonly traceHash: number;
  /** Virtual time the run took, milliseconds. */
  readonly simulatedMs: number;
  readonly events: number;
  readonly acknowledgedWrites: number;
  readonly reads: number;
  readonly lockGrants: number;
  readonly allocations: number;
  readonly unknown: number;
  readonly safetyChecks: number;
  readonly faults: Readonly<Record<string, number>>;
  /** See `world/reached.ts`. */
  readonly reached: Readonly<Record<string, number>>;
}

/** Time within which a healed cluster must serve, as election timeouts; virtual. */
const RECOVERY_ELECTIONS = 60;
/** Time within which all replicas must be equal after that: two snapshots that stall may stand in the way (30 s each, operations §10). Virtual. */
const CONVERGENCE_MS = 90_000;

/** Hundreds of lost answers on one key take some seconds to be put in order. */
const MAX_CONFIGURATIONS = 3_000_000;

/** Between two looks whether a run has got where it must. Virtual milliseconds. */
const LOOK_MS = 50;

/** Windows of holds are judged with half a second to spare (transactions WL-5): clocks may be apart by a little less. Milliseconds. */
const HOLD_SKEW_MS = 450;

/** History goes quickly, so that holds and positions meet its end. */
const EAGER_PRUNING = { retention: { count: 1, ageMs: 0, sweepMs: 500, batchVersions: 20, onWrite: true } };

const SEQUENCES = [
  { name: 'ticket', blockSize: 50 },
  { name: 'exact', blockSize: 1 },
] as const;

/** The plan of a seed. A stream of its own, so that a change of the plan's shape does not shift the run's other draws. */
export function planFor(seed: number): RunPlan {
  const rng = new Rng(seed ^ 0x5eed);
  const nodes = rng.pick([1, 3, 3, 3, 3, 3, 3, 3, 5, 5]);
  const slowTimers = rng.chance(0.1);
  const settings = slowTimers
    ? { checkpointMs: 5000, keepEntries: 40, snapshotChunkBytes: 512 }
    : { ...QUICK_SETTINGS, keepEntries: rng.pick([5, 40, 200]), checkpointMs: rng.pick([100, 500, 3000]) };
  // Heads that must be fetched from the engine in the middle of applying.
  const headCacheEntries = seed % 3 === 0 ? 1 : DEFAULT_SETTINGS.headCacheEntries;
  // Only in seeds that no regression of older workloads bears.
  const withLocks = seed % 8 === 4 || seed % 8 === 6;
  const withSnapshots = [0, 9, 13].includes(seed % 16);
  const withWatches = [0, 9, 11].includes(seed % 16);
  const pace = { thinkMs: slowTimers ? 100 : 20, patienceMs: slowTimers ? 15_000 : 1000 };
  const keys = ['a/1', 'a/2', 'b/1', 'counter/1', 'c'].slice(0, rng.int(1, 5));
  return {
    cluster: {
      ...CALM_CLUSTER,
      nodes,
      poolSize: rng.pick([1, 1, 2, 3]),
      settings: { ...settings, headCacheEntries, ...(withSnapshots ? EAGER_PRUNING : {}) },
      logDisk: { fsyncMinMs: 0.3, fsyncMeanMs: rng.pick([0.5, 5, 20]), slowChance: rng.chance(0.3) ? 0.02 : 0 },
      engine: { callMinMs: 0.05, callMeanMs: rng.pick([0.1, 2]), stallChance: rng.chance(0.3) ? 0.01 : 0 },
      skewMs: rng.pick([5, 100, 3000]),
      drift: rng.pick([0.0002, 0.01]),
    },
    clients: {
      clients: rng.int(3, 8),
      keys,
      thinkMs: slowTimers ? 100 : rng.pick([5, 20, 50]),
      patienceMs: slowTimers ? 15_000 : rng.pick([300, 3000]),
    },
    locks: withLocks ? { clients: 4, locks: ['press/1', 'press/2'], ...pace } : undefined,
    sequences: withLocks ? { clients: 4, sequences: SEQUENCES, ...pace } : undefined,
    snapshots: withSnapshots ? { clients: 3, ...pace } : undefined,
    watches: withWatches ? { clients: 3, ...pace } : undefined,
    // By residues that leave the draws of older seeds as they were.
    faults: drawFaultMix(rng, { deafLeaders: seed % 5 === 1, restartLoops: seed % 11 === 3 }),
    troubleMs: slowTimers ? 60_000 : rng.pick([3000, 6000, 12_000]),
  };
}

/** The plan of a seed in a sweep: in some seeds, which no regression of older kinds of trouble bears, groups change their members too. */
export function sweepPlanFor(seed: number): RunPlan {
  const plan = planFor(seed);
  const memberChanges = plan.cluster.nodes > 1 && [4, 9, 10, 16].includes(seed % 17);
  return memberChanges ? { ...plan, faults: { ...plan.faults, memberChanges } } : plan;
}

/** A seed's plan bent towards a kind of trouble. */
export const SHAPES = {
  /** Whether replicas agree is left to the cluster itself. */
  unwatched: (plan: RunPlan): RunPlan => ({ ...plan, cluster: { ...plan.cluster, watchChecksums: false } }),
  /** Logs are cut short while the engine is far behind them. */
  tight: (plan: RunPlan): RunPlan => ({
    ...plan,
    cluster: {
      ...CALM_CLUSTER,
      settings: { ...QUICK_SETTINGS, keepEntries: 2, checkpointMs: 100 },
      engine: { callMinMs: 2, callMeanMs: 10, stallChance: 0 },
    },
    troubleMs: 3000,
  }),
  /** Locks and sequences are what most clients are about. */
  services: (plan: RunPlan): RunPlan => ({
    ...plan,
    locks: { clients: 6, locks: ['press/1'], thinkMs: 20, patienceMs: 500 },
    sequences: { clients: 6, sequences: SEQUENCES, thinkMs: 20, patienceMs: 500 },
    troubleMs: 6000,
  }),
  /** Three nodes with clocks that are nearly true, more partitions to elect leaders for. */
  brisk: (plan: RunPlan): RunPlan => ({
    ...plan,
    cluster: { ...plan.cluster, nodes: 3, poolSize: 3, skewMs: 5 },
    troubleMs: 6000,
  }),
  /** Most clients read the past while it is pruned, or watch. */
  past: (plan: RunPlan): RunPlan => ({
    ...plan,
    cluster: {
      ...plan.cluster,
      settings: { ...QUICK_SETTINGS, ...EAGER_PRUNING, keepEntries: 5, checkpointMs: 100 },
      skewMs: 50,
      drift: 0.0002,
    },
    snapshots: { clients: 3, thinkMs: 20, patienceMs: 1000 },
    watches: { clients: 3, thinkMs: 20, patienceMs: 1000 },
    troubleMs: 5000,
  }),
  /** Writes take so long that processes come and go meanwhile. */
  sluggish: (plan: RunPlan): RunPlan => ({
    ...plan,
    cluster: { ...CALM_CLUSTER, logDisk: { fsyncMinMs: 60, fsyncMeanMs: 60, slowChance: 0 } },
    clients: { clients: 12, keys: ['a/1', 'a/2'], thinkMs: 20, patienceMs: 3000 },
    troubleMs: 12_000,
  }),
} as const satisfies Record<string, (plan: RunPlan) => RunPlan>;

/** One whole run of a seed: trouble, healing, recovery, verdict. Never throws for what the code under test did. */
export async function runSeed(seed: number, print?: (line: string) => void, plan = sweepPlanFor(seed)): Promise<RunReport> {
  const restore = forbidRealTime();
  try {
    return await new Run(seed, plan, print).report();
  } finally {
    restore();
  }
}

class Run {
  private readonly plan: RunPlan;
  private readonly simulation: Simulation;
  private readonly cluster: Cluster;
  private readonly history = new History();
  private readonly clients: Clients;
  private readonly lockClients: LockClients | undefined;
  private readonly sequenceClients: SequenceClients | undefined;
  private readonly snapshotClients: SnapshotClients | undefined;
  private readonly watchClients: WatchClients | undefined;
  private readonly faults: FaultInjector;
  private readonly memberChanges: MemberChanges | undefined;
  private pastReads: SnapshotReport | undefined;

  constructor(seed: number, plan: RunPlan, print?: (line: string) => void) {
    this.plan = plan;
    this.simulation = new Simulation(seed, new Trace(print));
    this.cluster = new Cluster(this.simulation, plan.cluster);
    this.clients = new Clients(this.cluster, this.history, plan.clients);
    this.lockClients = plan.locks && new LockClients(this.cluster, plan.locks);
    this.sequenceClients = plan.sequences && new SequenceClients(this.cluster, plan.sequences);
    this.faults = new FaultInjector(this.cluster, plan.faults);
    this.memberChanges = plan.faults.memberChanges ? new MemberChanges(this.cluster, plan.faults) : undefined;
    const judgesHolds = !plan.faults.clockSteps && 2 * this.clockErrorMs(plan.troubleMs) < HOLD_SKEW_MS;
    this.snapshotClients = plan.snapshots && new SnapshotClients(this.cluster, { ...plan.snapshots, judgesHolds });
    this.watchClients = plan.watches && new WatchClients(this.cluster, plan.watches);
  }

  /** How far a clock that nobody sets is from true time, at most: it runs at another rate and is off by more and more. */
  private clockErrorMs(atMs: number): number {
    const { skewMs, drift } = this.plan.cluster;
    return skewMs + drift * atMs;
  }

  private get services() {
    const all = [this.lockClients, this.sequenceClients, this.snapshotClients, this.watchClients];
    return all.filter(clients => clients !== undefined);
  }

  async report(): Promise<RunReport> {
    const failure = await this.verdict();
    const { simulation, history, cluster } = this;
    cluster.gatherReached();
    this.noteServices();
    return {
      seed: simulation.seed,
      failure,
      traceHash: simulation.trace.hash,
      simulatedMs: simulation.nowMs,
      events: simulation.steps,
      acknowledgedWrites: history.acknowledgedWrites,
      reads: history.readValues,
      lockGrants: this.lockClients?.grants ?? 0,
      allocations: this.sequenceClients?.allocations ?? 0,
      unknown: history.unknown,
      safetyChecks: this.cluster.safety.checks,
      faults: Object.fromEntries(this.faults.counts),
      reached: cluster.reached.counts,
    };
  }

  private noteServices(): void {
    const { reached } = this.cluster;
    reached.note('lock granted', this.lockClients?.grants ?? 0);
    reached.note('value of a sequence taken', this.sequenceClients?.allocations ?? 0);
    reached.note('past read while held', this.pastReads?.heldReads ?? 0);
    reached.note('past read after it was superseded', this.pastReads?.heldReadsOfThePast ?? 0);
    reached.note('past gone', this.pastReads?.prunedReads ?? 0);
    reached.note('watch resumed', this.watchClients?.resumes ?? 0);
    reached.note('watch found history gone', this.watchClients?.pruned ?? 0);
  }

  /** What went wrong first, if anything did. */
  private async verdict(): Promise<string | undefined> {
    return (
      (await this.founding()) ??
      (await this.trouble()) ??
      (await this.recovery()) ??
      (await this.finalReads()) ??
      this.checkHistory()
    );
  }

  private get electionMs(): number {
    return this.plan.cluster.settings.electionMinMs ?? DEFAULT_SETTINGS.electionMinMs;
  }

  /** A calm beginning: nothing can be said about a cluster that never was one. */
  private founding(): Promise<string | undefined> {
    this.cluster.startAll();
    return this.within('the cluster is not initialised', () =>
      this.cluster.nodes.every(node => node.host?.health().ready === true),
    );
  }

  private async trouble(): Promise<string | undefined> {
    this.clients.start();
    for (const clients of this.services) clients.start();
    await this.pass(10 * this.electionMs * 0.2);
    this.faults.start();
    this.memberChanges?.start();
    await this.pass(this.plan.troubleMs);
    return this.broken();
  }

  private async recovery(): Promise<string | undefined> {
    this.simulation.trace.remark(this.simulation.nowMs, 'healing');
    this.memberChanges?.stop();
    this.cluster.guard(() => this.faults.stop());
    // Clients go on for a while: liveness under load, not only at rest.
    const failure =
      (await this.within('not every node is ready', () =>
        this.cluster.nodes.every(node => node.host?.health().ready === true),
      )) ?? (await this.membersBack());
    await this.pass(2 * this.electionMs);
    this.clients.stop();
    for (const clients of this.services) clients.stop();
    // A call without an answer counts once its client has gone away.
    const { clients, locks, sequences, snapshots, watches } = this.plan;
    await this.pass(Math.max(...[clients, locks, sequences, snapshots, watches].map(each => each?.patienceMs ?? 0)));
    return failure ?? this.broken();
  }

  private async membersBack(): Promise<string | undefined> {
    const { memberChanges } = this;
    return memberChanges && this.within('not every member of every group votes again', () => memberChanges.restore());
  }

  private pass(ms: number): Promise<void> | void {
    return this.runTo(this.simulation.nowMs + ms);
  }

  /** Watches are served by code with promises; everything else is spared their time. */
  private runTo(untilMs: number): Promise<void> | void {
    return this.watchClients === undefined ? this.simulation.run(untilMs) : this.simulation.runWithPromises(untilMs);
  }

  /** Every node answers a write and a read of every key; then all replicas agree. */
  private async finalReads(): Promise<string | undefined> {
    let open = 0;
    let serial = 0;
    for (const node of this.cluster.nodes) {
      for (const key of this.plan.clients.keys) {
        open++;
        const value = key.startsWith('counter') ? undefined : `final${++serial}`;
        const read = (): void => persist(this.cluster, this.history, node, key, { kind: 'get' }, () => open--);
        if (value === undefined) read();
        else {
          const call = { kind: 'set', value, flags: 0, compareValue: null, compareRevision: 0 } as const;
          persist(this.cluster, this.history, node, key, call, read);
        }
      }
    }
    for (const clients of this.services) {
      open++;
      clients.finish(() => open--);
    }
    const stuck = await this.within('a write or a read does not succeed on every node', () => open === 0);
    return (
      stuck ??
      (await this.within(
        'replicas do not converge',
        () => this.difference() === undefined,
        () => this.difference(),
      ))
    );
  }

  /** What keeps the replicas from being equal, undefined if nothing does. */
  private difference(): string | undefined {
    const [first, ...others] = this.cluster.nodes;
    for (const [partitionId, replica] of first?.host?.replicas ?? []) {
      const leaders = this.cluster.nodes.filter(node => node.host?.replicas.get(partitionId)?.leads === true);
      if (leaders.length !== 1) return `partition ${partitionId} has ${leaders.length} leaders`;
      for (const node of others) {
        const twin = node.host?.replicas.get(partitionId);
        if (twin === undefined) return `${node.endpoint} has no replica of partition ${partitionId}`;
        if (twin.machine.appliedIndex !== replica.machine.appliedIndex) {
          return `partition ${partitionId}: ${node.endpoint} has applied ${twin.machine.appliedIndex}, ${first?.endpoint} ${replica.machine.appliedIndex}`;
        }
        if (twin.machine.checksum !== replica.machine.checksum) return `partition ${partitionId}: checksums differ`;
      }
    }
    return undefined;
  }

  private checkHistory(): string | undefined {
    // Writes of unknown outcome multiply the search. The logs know which of them never happened, so nothing may need those.
    const { safety } = this.cluster;
    const happened = this.history.operations.filter(
      ({ call, answer }) =>
        answer !== undefined || call.kind !== 'set' || call.value === null || safety.mayHaveHappened(call.value),
    );
    const { violation } = checkRegisters(happened, MAX_CONFIGURATIONS);
    const wrong =
      violation ??
      this.checkLocks() ??
      checkSequences(this.sequenceClients?.events ?? []) ??
      this.checkPast() ??
      checkWatches(this.watchClients?.writes ?? [], this.watchClients?.histories ?? []);
    if (wrong !== undefined) return wrong;
    // Vacuity floor (transactions §18.1): a run that did nothing proves nothing.
    if (this.history.acknowledgedWrites < 5 || this.history.readValues < 5)
      return 'too few operations succeeded to prove anything';
    return undefined;
  }

  private checkLocks(): string | undefined {
    const { cluster, faults } = this.plan;
    const skewMs = this.clockErrorMs(this.simulation.nowMs);
    const clocks = faults.clockSteps ? undefined : { rate: 1 + cluster.drift, skewMs };
    return checkLocks(this.lockClients?.events ?? [], clocks);
  }

  private checkPast(): string | undefined {
    if (this.snapshotClients === undefined) return undefined;
    this.pastReads = checkSnapshots(this.snapshotClients.events);
    return this.pastReads.violation;
  }

  private async within(what: string, done: () => boolean, detail?: () => string | undefined): Promise<string | undefined> {
    const limit = this.simulation.nowMs + Math.max(RECOVERY_ELECTIONS * this.electionMs, CONVERGENCE_MS);
    const over = (): boolean => this.cluster.failure !== undefined || done();
    while (!over() && this.simulation.nowMs < limit) await this.runTo(Math.min(limit, this.simulation.nowMs + LOOK_MS));
    const broken = this.broken();
    if (broken !== undefined) return broken;
    return done() ? undefined : `liveness: ${what} in time${detail === undefined ? '' : `: ${detail()}`}`;
  }

  private broken(): string | undefined {
    const { failure } = this.cluster;
    if (failure === undefined) return undefined;
    return failure instanceof SafetyViolation ? `safety: ${failure.message}` : (failure.stack ?? failure.message);
  }
}

/** The code under test gets time and chance from its ports only: whoever asks the real ones breaks the replay, so it fails at once. */
function forbidRealTime(): () => void {
  const { now } = Date;
  const { random } = Math;
  const forbidden = (): never => {
    throw new Error('real time or chance used inside the simulation');
  };
  Date.now = forbidden;
  Math.random = forbidden;
  return () => {
    Date.now = now;
    Math.random = random;
  };
}
