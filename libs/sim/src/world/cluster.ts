import { assert } from '@kahuna/base';
import { installMarkKey, NodeHost, type NodeOptions, type NodeSettings, type Ports, type Replica } from '@kahuna/node';
import {
  checkInvariants,
  decodeMetaRow,
  KeyValueMachine,
  type LockOperation,
  metaRowKey,
  type Operation,
  type OperationResult,
  type SequenceOperation,
} from '@kahuna/partition';
import { isJoint, type Message, MessageType } from '@kahuna/raft';
import { ClockCeiling } from '../checkers/clock.ts';
import { RaftSafety, SafetyViolation, type Survivors } from '../checkers/raft-safety.ts';
import { EngineDisk, type EngineOptions, FAST_ENGINE, SimEngine } from './engine-disk.ts';
import { FAST_LOG_DISK, LogDisk, type LogDiskOptions, SimLogStore } from './log-disk.ts';
import { SimClock, SimProcess } from './machine.ts';
import { CALM_NETWORK, type NetworkOptions, SimNetwork, type SimTransport } from './network.ts';
import { type Feature, Reached } from './reached.ts';
import type { Simulation } from './simulation.ts';

export interface ClusterOptions {
  readonly nodes: number;
  readonly poolSize: number;
  readonly settings: Partial<NodeSettings>;
  readonly network: NetworkOptions;
  readonly logDisk: LogDiskOptions;
  readonly engine: EngineOptions;
  /** Largest difference of a node's wall clock from true time at the start, milliseconds. */
  readonly skewMs: number;
  /** Largest deviation of a clock's rate from 1. */
  readonly drift: number;
  /** Checksums of replicas are compared from outside too, which is sooner than the cluster finds a difference by itself. */
  readonly watchChecksums: boolean;
}

/** Timers ten times shorter than the defaults: more elections, flushes and checkpoints per simulated minute. */
export const QUICK_SETTINGS: Partial<NodeSettings> = {
  tickMs: 10,
  heartbeatMs: 50,
  electionMinMs: 200,
  electionMaxMs: 400,
  checkQuorumMs: 400,
  timerInitialDelayMs: 250,
  leadershipBarrierMs: 1000,
  stateFlushMs: 20,
  checkpointMs: 500,
  keepEntries: 40,
  leaderWaitMs: 1000,
  outcomeWaitMs: 2000,
  snapshotChunkBytes: 512,
};

export const CALM_CLUSTER: ClusterOptions = {
  nodes: 3,
  poolSize: 2,
  settings: QUICK_SETTINGS,
  network: CALM_NETWORK,
  logDisk: FAST_LOG_DISK,
  engine: FAST_ENGINE,
  skewMs: 50,
  drift: 0.0002,
  watchChecksums: true,
};

const EVENT_FEATURES: ReadonlyMap<string, Feature> = new Map([
  ['leader-changed', 'election won'],
  ['leader-lost', 'leadership lost'],
  ['snapshot-sending', 'snapshot sent'],
  ['snapshot-installed', 'snapshot installed'],
  ['link-down', 'link broken'],
  ['clock-skew', 'clock beyond trust'],
]);

/** A heartbeat of a group is part of a round of ReadIndex if it names one. */
const MESSAGE_FEATURES: ReadonlyMap<MessageType, Feature> = new Map([
  [MessageType.TimeoutNow, 'leadership transferred'],
  [MessageType.Heartbeat, 'ReadIndex round'],
]);

const REFUSAL_FEATURES: ReadonlyMap<MessageType, Feature> = new Map([
  [MessageType.PreVoteResponse, 'pre-vote refused'],
  [MessageType.VoteResponse, 'vote refused'],
  [MessageType.AppendResponse, 'conflicting append refused'],
]);

/** A node's state machines are looked into once in so many of its turns. */
const TURNS_PER_LOOK = 64;

/** What a crash takes with it besides the process: `power` also what the engine had not synced. */
export type CrashKind = 'kill' | 'power';

/** A whole cluster of production hosts on simulated machines, watched by {@link RaftSafety}. */
export class Cluster {
  readonly simulation: Simulation;
  readonly options: ClusterOptions;
  readonly network: SimNetwork;
  readonly safety: RaftSafety;
  readonly clocks: ClockCeiling;
  readonly reached = new Reached();
  readonly nodes: SimNode[] = [];
  /** The first violation or unexpected error; the simulation halts with it. */
  failure: Error | undefined;

  constructor(simulation: Simulation, options: ClusterOptions) {
    this.simulation = simulation;
    this.options = options;
    this.safety = new RaftSafety(options.watchChecksums);
    this.clocks = new ClockCeiling(1 + options.drift);
    this.network = new SimNetwork(simulation, this.reached, options.network);
    for (let id = 1; id <= options.nodes; id++) this.nodes.push(new SimNode(this, id));
  }

  get endpoints(): string[] {
    return this.nodes.map(node => node.endpoint);
  }

  startAll(): void {
    for (const node of this.nodes) if (!node.isUp) node.start();
  }

  /** What counters of the nodes tell of the whole run; to be called once, at its end. */
  gatherReached(): void {
    for (const node of this.nodes) node.gatherReached();
    this.reached.note('joint configuration committed', this.safety.jointCommitted);
    this.reached.note('joint configuration left', this.safety.jointLeft);
  }

  /** Runs `task` so that a violation or an assertion in it ends the run instead of being lost. */
  guard(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  fail(error: Error): void {
    this.failure ??= error;
    this.simulation.halt();
  }
}

/** The production host; the only thing added is that messages are looked at as they leave. */
class ObservedHost extends NodeHost {
  private readonly node: SimNode;

  constructor(node: SimNode, options: NodeOptions, ports: Ports, onFatal: (reason: string) => void) {
    super(options, ports, onFatal);
    this.node = node;
  }

  override sendMessage(replica: Replica, message: Message): void {
    this.node.onMessage(replica.partitionId, message);
    super.sendMessage(replica, message);
  }

  override hasLease(replica: Replica): boolean {
    const held = super.hasLease(replica);
    if (held) this.node.reached.note('lease held');
    return held;
  }

  override fetchForApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void {
    this.node.reached.note('read from the engine');
    super.fetchForApply(replica, keys, resume);
  }
}

/** One machine: a clock and two disks that outlive the process on it. */
export class SimNode implements Survivors {
  readonly id: number;
  readonly endpoint: string;
  readonly clock: SimClock;
  readonly logDisk: LogDisk;
  readonly engineDisk = new EngineDisk();
  readonly reached: Reached;
  host: NodeHost | undefined;
  process: SimProcess | undefined;
  /** Why the host stopped itself in its present life. */
  fatalFault: string | undefined;
  /** The injected faults entitle the host to stop itself. */
  mayFail = false;
  engine: SimEngine | undefined;
  private readonly cluster: Cluster;
  private log: SimLogStore | undefined;
  private transport: SimTransport | undefined;
  private boots = 0;
  /** Names the present life of this node: the endpoint and a number. */
  private life = '';
  private turns = 0;
  /** Groups of the present life that were found asleep at the last look. */
  private asleep = new Set<Replica>();
  /** Runs when the present process ends. */
  private readonly onDeath = new Set<() => void>();

  constructor(cluster: Cluster, id: number) {
    this.cluster = cluster;
    this.id = id;
    this.endpoint = `node-${id}:7000`;
    this.reached = cluster.reached;
    this.logDisk = new LogDisk(cluster.reached);
    const { rng } = cluster.simulation;
    const { skewMs, drift } = cluster.options;
    this.clock = new SimClock(cluster.simulation, {
      skewMs: (rng.float() * 2 - 1) * skewMs,
      rate: 1 + (rng.float() * 2 - 1) * drift,
    });
    this.logDisk.onDurable = record =>
      cluster.guard(() => {
        cluster.safety.durable(this.endpoint, record);
        if (record.start === undefined || record.start.index === 0) return;
        // Once a snapshot is marked for installation a restart begins with that: neither the state nor where the log begins counts.
        if (this.engineDisk.durableRow(installMarkKey(record.partitionId)) !== undefined) return;
        cluster.safety.compacted(this.endpoint, record.partitionId, record.start.index, this.engineIndex(record.partitionId));
      });
  }

  /** Applied index that the engine would come back with after the worst power loss. */
  readonly engineIndex = (partitionId: number): number => {
    const row = this.engineDisk.durableRow(metaRowKey(partitionId));
    return row === undefined ? 0 : decodeMetaRow(row).appliedIndex;
  };

  get isUp(): boolean {
    return this.process?.isAlive === true;
  }

  start(): void {
    assert(!this.isUp, 'the process runs already');
    const { simulation, network, options } = this.cluster;
    const process = new SimProcess(simulation, this.clock, this.endpoint, ++this.boots, this.afterTurn);
    this.life = `${this.endpoint}#${this.boots}`;
    process.onError = error => this.cluster.fail(error);
    this.process = process;
    if (this.boots > 1) this.cluster.clocks.restarted();
    this.fatalFault = undefined;
    this.mayFail = false;
    this.logDisk.failNextWrite = false;
    this.log = new SimLogStore(simulation, process, this.logDisk, options.logDisk);
    this.engine = new SimEngine(simulation, process, this.engineDisk, options.engine);
    this.transport = network.attach(this.endpoint, process);
    const ports: Ports = {
      clock: this.clock,
      rng: simulation.rng.fork(),
      scheduler: process,
      log: this.log,
      engine: this.engine,
      transport: this.transport,
    };
    simulation.trace.note(simulation.nowMs, 'start', this.endpoint, this.boots);
    process.deliver(() => {
      const host = new ObservedHost(this, this.nodeOptions(), ports, reason => this.onFatal(reason));
      this.host = host;
      host.events.subscribe(event => {
        if (event.kind === 'checksum-mismatch') this.onMismatch(`${this.endpoint}: ${event.text}`);
        const feature = EVENT_FEATURES.get(event.kind);
        if (feature !== undefined) this.reached.note(feature);
        const { partitionId } = event.data;
        if (event.kind === 'leader-changed') this.noteJoint('election won while joint', partitionId);
      });
      host.start(error => {
        if (error !== undefined) this.onFatal(`cannot start: ${error.message}`);
        for (const replica of host.replicas.values()) {
          if (replica.installing) this.reached.note('install resumed after a restart');
        }
      });
    });
  }

  crash(kind: CrashKind): void {
    const { simulation } = this.cluster;
    simulation.trace.note(simulation.nowMs, `crash-${kind}`, this.endpoint, this.boots);
    this.gatherReached();
    if (this.isUp) this.noteJoint('crash while joint');
    this.process?.kill();
    this.transport?.kill();
    this.log?.crash();
    if (kind === 'power') {
      const lost = this.engineDisk.losePower(unsynced => simulation.rng.int(0, unsynced));
      if (lost > 0) this.reached.note('engine writes lost with the power');
    }
    this.host = undefined;
    for (const task of [...this.onDeath]) task();
    this.onDeath.clear();
  }

  /** Asks this node, as a gateway on it would. `done` comes with the answer, or with undefined if the process dies first. */
  submit(operation: Operation | LockOperation | SequenceOperation, done: (result: OperationResult | undefined) => void): void {
    this.ask((host, answer) => {
      const sink = { complete: (_token: number, result: OperationResult): void => answer(result) };
      host.submit(operation, sink, 0, 0);
    }, done);
  }

  /** As {@link submit}, for everything else that a node is asked. */
  ask<T>(begin: (host: NodeHost, answer: (value: T) => void) => void, done: (value: T | undefined) => void): void {
    const { process } = this;
    if (process === undefined || !process.isAlive) {
      this.cluster.simulation.after(0.1, () => done(undefined));
      return;
    }
    const onDeath = (): void => {
      this.cluster.simulation.after(0.1, () => done(undefined));
    };
    this.onDeath.add(onDeath);
    const answer = (value: T): void => {
      if (!this.onDeath.delete(onDeath)) this.cluster.fail(new Error(`${this.endpoint} answered a request twice`));
      else done(value);
    };
    process.deliver(() => {
      if (this.host !== undefined) begin(this.host, answer);
    });
  }

  /** What the cluster itself has found out about its replicas; a finding unless a test wants it. */
  onMismatch = (text: string): void => this.cluster.fail(new SafetyViolation(text));

  /** What the counters of the present life tell, which end with it. */
  gatherReached(): void {
    const { host, reached } = this;
    if (host === undefined) return;
    reached.note('request forwarded', host.dispatcher.counters.forwards);
    reached.note('version pruned', host.pruner.counters.prunedVersions);
    for (const replica of host.replicas.values()) reached.note('write done for a replaced entry', replica.staleCompletions);
  }

  /** If a group of this node, or the one that is named, is between two sets of voters. */
  private noteJoint(feature: Feature, partitionId?: unknown): void {
    for (const replica of this.host?.replicas.values() ?? []) {
      if (partitionId !== undefined && replica.partitionId !== partitionId) continue;
      if (isJoint(replica.group.configuration)) this.reached.note(feature);
    }
  }

  onMessage(partitionId: number, message: Message): void {
    const feature = message.reject ? REFUSAL_FEATURES.get(message.type) : MESSAGE_FEATURES.get(message.type);
    if (feature !== undefined && (message.type !== MessageType.Heartbeat || message.context > 0)) this.reached.note(feature);
    this.cluster.safety.sending(this.endpoint, partitionId, message, this);
  }

  private onFatal(reason: string): void {
    const { simulation } = this.cluster;
    simulation.trace.remark(simulation.nowMs, `${this.endpoint} stops itself: ${reason}`);
    this.fatalFault = reason;
    if (!this.mayFail) this.cluster.fail(new Error(`${this.endpoint} stopped itself without cause: ${reason}`));
  }

  private readonly afterTurn = (): void => {
    if (this.host !== undefined) this.cluster.guard(this.check);
  };

  private readonly check = (): void => {
    const { host, life } = this;
    if (host === undefined) return;
    if (++this.turns % TURNS_PER_LOOK === 0) this.lookInside(host);
    const { clocks, safety, simulation } = this.cluster;
    safety.afterTurn(life, host.replicas.values(), this.holdsLease);
    clocks.check(life, simulation.nowMs, this.clock.wallMs(), host.hlc.peek().l);
  };

  private readonly holdsLease = (replica: Replica): boolean => this.host?.hasLease(replica) === true;

  private lookInside(host: NodeHost): void {
    for (const replica of host.replicas.values()) {
      if (replica.machine instanceof KeyValueMachine) checkInvariants(replica.machine);
      this.lookForSleep(host, replica);
    }
  }

  private lookForSleep(host: NodeHost, replica: Replica): void {
    if (!host.isAwake(replica)) {
      if (!this.asleep.has(replica)) this.reached.note('group asleep');
      this.asleep.add(replica);
    } else if (this.asleep.delete(replica)) {
      this.reached.note('group woken');
    }
  }

  private nodeOptions(): NodeOptions {
    const { options } = this.cluster;
    return {
      nodeId: this.id,
      endpoint: this.endpoint,
      name: `node-${this.id}`,
      version: 'sim',
      storageId: 1000 + this.id,
      boot: this.boots,
      initialCluster: options.nodes === 1 ? [] : this.cluster.endpoints,
      poolSize: options.poolSize,
      clientUrl: `http://node-${this.id}`,
      consoleUrl: `http://node-${this.id}`,
      newClusterId: `cluster-${this.cluster.simulation.seed}`,
      settings: options.settings,
    };
  }
}
