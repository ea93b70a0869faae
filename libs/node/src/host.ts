import { type Hlc, HybridClock, META_PARTITION, type PartitionId, SYSTEM_PARTITION } from '@kahuna/base';
import {
  type CommandPolicy,
  type EphemeralLocks,
  type EphemeralTable,
  HeadCache,
  type HoldAnswer,
  type HoldOperation,
  type KeySpaceAnswer,
  type KeySpaceQuery,
  type ListingAnswer,
  type ListingQuery,
  type LockOperation,
  type Operation,
  type ReadNeed,
  type ScanAnswer,
  type ScanQuery,
  type SequenceOperation,
  type SystemState,
} from '@kahuna/partition';
import type { Message } from '@kahuna/raft';
import { RoutingTable } from '@kahuna/range-router';
import type { HealthView, Instrument, KahunaNode, MembershipView, NodeFacts, ResultSink, RoutingView } from './api.ts';
import { CommitNotices } from './commit-notices.ts';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { EventRing } from './events.ts';
import { FactsExchange } from './facts-exchange.ts';
import { Founding } from './founding.ts';
import { Holds } from './holds.ts';
import { Elections } from './host/elections.ts';
import { EngineReads } from './host/engine-reads.ts';
import { FrameIntake } from './host/frame-intake.ts';
import { GroupTicks } from './host/group-ticks.ts';
import { Heartbeats } from './host/heartbeats.ts';
import { LeaderMemory } from './host/leader-memory.ts';
import { Leadership } from './host/leadership.ts';
import { Links } from './host/links.ts';
import { LogPipeline } from './host/log-pipeline.ts';
import { NodeClock } from './host/node-clock.ts';
import { type MessageSender, Outbox } from './host/outbox.ts';
import { type RecoveringNode, Recovery } from './host/recovery.ts';
import { ReplicaFactory } from './host/replica-factory.ts';
import { RunQueue } from './host/run-queue.ts';
import { Transfers } from './host/transfers.ts';
import { Turn } from './host/turn.ts';
import { instrumentsOf } from './instruments.ts';
import { newCounters } from './internals.ts';
import { LatencyHistogram } from './latency.ts';
import { Leases } from './leases.ts';
import { Listings } from './listings.ts';
import { Meters } from './meters.ts';
import { type NameKind, NameTap } from './name-tap.ts';
import type { Peer } from './peer.ts';
import type { Ports } from './ports.ts';
import { Pruner } from './pruner.ts';
import type { Replica, ReplicaHost } from './replica.ts';
import type { PendingRequest } from './request.ts';
import { Scans } from './scan/scans.ts';
import type { Sequencer } from './sequencer.ts';
import { DEFAULT_SETTINGS, limitsOf, type NodeOptions, type NodeSettings, otherEndpoints, policyOf } from './settings.ts';
import { ChecksumExchange } from './snapshot/checksum-exchange.ts';
import { SnapshotTransfers } from './snapshot/snapshots.ts';
import { StateKeeper } from './state-keeper.ts';
import { timeNote } from './time-note.ts';
import { healthView, membershipView, nodeFacts, routingView } from './views.ts';
import type { QueueMeter, Watch, WatchQuery } from './watch/watch-api.ts';
import { WatchHub } from './watch/watch-hub.ts';

/** A latency quantile covers between half of this and all of it. */
const LATENCY_WINDOW_MS = 10_000;

/**
 * The multi-Raft host: runs every group of one node over one log, one engine and one stream per peer.
 *
 * Here are its life (start, tick, stop, failure) and what others may ask of it. What it does is in rooms, each a class that owns its
 * state, and most of them under `host/`:
 *
 *     requests   dispatcher, scans, holds, listings, watches     ─▶ replicas
 *     replicas   run-queue: who has work ─▶ turn: propose, persist, send, apply, answer
 *                log-pipeline · outbox · engine-reads · leader-memory · state-keeper
 *     peers      links ─▶ frame-intake ─▶ heartbeats, groups, and whoever a frame is for
 *     leaders    leadership: who leads · leases: who may answer · elections, group-ticks, transfers: how that changes
 *     beginnings recovery: a former life · founding: a new cluster · replica-factory · snapshots: a copy from the leader
 *
 * All work happens in turns, at most one per turn of the event loop (`host/turn.ts`), and with every tick.
 *
 * N1 A message in `Ready.promises` leaves only after the log write of its Ready and of all earlier ones of its group
 *    (`host/log-pipeline.ts`).
 * N2 A lease counts from the sending of a heartbeat that a quorum answered with a promise, in a boot and allegiance in which each of
 *    them had answered this leadership (`peer.ts`, `leases.ts`).
 * N3 The engine may lag behind what is applied, never the log behind what is acknowledged; the log is compacted only up to what the
 *    engine has made durable (`state-keeper.ts`).
 * N4 After a failed write of log or engine nothing is acknowledged or sent any more (`fatal`, `running`).
 */
export class NodeHost implements KahunaNode, RecoveringNode, ReplicaHost, DispatchHost, MessageSender {
  readonly options: NodeOptions;
  readonly settings: NodeSettings;
  readonly clock: Ports['clock'];
  readonly hlc: HybridClock;
  readonly events: EventRing;
  readonly limits: NodeSettings['limits'];
  readonly maxWaitingReads: number;
  readonly policy: CommandPolicy;
  readonly startedWallMs: number;
  readonly replicas = new Map<PartitionId, Replica>();
  readonly readLatency = new LatencyHistogram();
  readonly writeLatency = new LatencyHistogram();
  readonly logLatency = new LatencyHistogram();
  readonly counters = newCounters();
  readonly meters = new Meters();
  poolSize: number;
  started = false;
  stopping = false;
  fatalFault: string | null = null;

  readonly dispatcher: Dispatcher;
  /** With callbacks, for those who cannot wait for a promise; everybody else calls `scan` and `keySpaces`. */
  readonly scans: Scans;
  /** As {@link NodeHost.scans}, for `hold`. */
  readonly holds: Holds;
  /** As {@link NodeHost.scans}, for `list`. */
  readonly listings: Listings;
  readonly pruner: Pruner;
  readonly watches: WatchHub;
  readonly names = new NameTap();
  private readonly ports: Ports;
  private readonly queue: RunQueue;
  private readonly turn: Turn;
  private readonly outbox: Outbox;
  private readonly links: Links;
  private readonly heartbeats: Heartbeats;
  private readonly leases: Leases;
  private readonly leadership: Leadership;
  private readonly elections: Elections;
  private readonly groupTicks: GroupTicks;
  private readonly transfers: Transfers;
  private readonly nodeClock: NodeClock;
  private readonly reads: EngineReads;
  private readonly leaderMemory: LeaderMemory;
  private readonly founding: Founding;
  private readonly recovery: Recovery;
  private readonly snapshots: SnapshotTransfers;
  private readonly keeper: StateKeeper;
  private readonly exchange: FactsExchange;
  private readonly checksums: ChecksumExchange<Replica>;
  private readonly commitNotices: CommitNotices;

  private table: RoutingTable | undefined;
  private rotateLatenciesAt = 0;
  private cancelTick: (() => void) | undefined;
  private readonly onFatal: ((reason: string) => void) | undefined;
  private readonly whenStopped: (() => void)[] = [];
  private closing = false;
  private isStopped = false;
  /** While the state is written out for the last time: what follows. */
  private closeNow: (() => void) | undefined;

  constructor(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void) {
    const { clock, rng, scheduler, log, engine, transport } = ports;
    this.options = options;
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
    this.ports = ports;
    this.onFatal = onFatal;
    const { settings } = this;
    this.limits = limitsOf(settings);
    this.maxWaitingReads = settings.maxWaitingReads;
    this.policy = policyOf(settings.sequences);
    this.poolSize = options.poolSize;
    this.clock = clock;
    this.startedWallMs = Math.floor(clock.wallMs());
    this.hlc = new HybridClock(options.nodeId, clock);
    this.events = new EventRing(clock);

    this.queue = new RunQueue(scheduler, () => this.takeTurn());
    this.nodeClock = new NodeClock(this, log, this.queue);
    this.outbox = new Outbox(this, transport, this.queue, this.nodeClock.told);
    this.reads = new EngineReads(this, engine, this.queue);
    this.dispatcher = new Dispatcher(
      this,
      { leaderMs: settings.leaderWaitMs, outcomeMs: settings.outcomeWaitMs, maxRequests: settings.maxRequests },
      this.readLatency,
      this.writeLatency,
    );
    this.scans = new Scans(this, engine);
    this.listings = new Listings(this, engine);
    this.holds = new Holds(this, this.dispatcher, rng);
    this.pruner = new Pruner(this, engine, this.dispatcher);
    this.watches = new WatchHub(this, engine, this.dispatcher);
    this.leaderMemory = new LeaderMemory(this, this.policy, this.reads, this.watches);

    this.leases = new Leases(this);
    this.leadership = new Leadership(this, this.leases, this.queue, this.dispatcher);
    this.elections = new Elections(this, rng, this.queue, this.leadership);
    this.groupTicks = new GroupTicks(this, this.queue, this.leases, this.leadership, this.elections);
    this.heartbeats = new Heartbeats(this, this.leases, this.groupTicks);
    this.transfers = new Transfers(this, this.queue);

    this.keeper = new StateKeeper(this, engine, log);
    this.snapshots = new SnapshotTransfers(this, engine, this.keeper);
    this.exchange = new FactsExchange(this);
    this.checksums = new ChecksumExchange<Replica>(this);
    this.commitNotices = new CommitNotices(scheduler, replica => this.wake(replica));

    const headCache = new HeadCache({ maxEntries: settings.headCacheEntries, maxBytes: settings.headCacheBytes });
    const factory = new ReplicaFactory(this, rng, headCache);
    const { queue, outbox, dispatcher, scans, listings, leases, leadership, elections, heartbeats, transfers } = this;
    const { keeper, snapshots, exchange, checksums, commitNotices, reads, nodeClock } = this;
    this.recovery = new Recovery(this, { log, engine, factory, clock: nodeClock, snapshots, keeper });
    this.founding = new Founding(this, log, (partitionId, configuration) => {
      const replica = factory.founded(partitionId, configuration);
      this.addReplica(replica);
      return replica;
    });
    this.turn = new Turn(this, {
      ...{ queue, log: new LogPipeline(this, log, this, queue), sender: this, outbox, leadership, reads },
      ...{ keeper, checksums, commitNotices, snapshots, dispatcher },
    });
    const intake = new FrameIntake(this, {
      ...{ queue, clock: nodeClock, leases, leadership, heartbeats, transfers },
      ...{ dispatcher, scans, snapshots, listings, exchange, checksums },
    });
    this.links = new Links(this, transport, {
      ...{ queue, leadership, elections, heartbeats, intake },
      ...{ dispatcher, checksums, snapshots, scans },
    });
    transport.listener = this.links;
  }

  // ---- who this is -----------------------------------------------------------------------------------------------------------

  get nodeId(): number {
    return this.options.nodeId;
  }

  get boot(): number {
    return this.options.boot;
  }

  /** Nobody else takes part. What a founded node was started with does not decide that: its groups do. */
  get standalone(): boolean {
    const system = this.replicas.get(SYSTEM_PARTITION);
    return system === undefined ? otherEndpoints(this.options).length === 0 : system.isOnlyVoter;
  }

  get running(): boolean {
    return this.started && this.fatalFault === null;
  }

  get accepting(): boolean {
    return this.running && !this.stopping;
  }

  get logPending(): number {
    return this.ports.log.pending;
  }

  get system(): SystemState | undefined {
    return this.replicas.get(SYSTEM_PARTITION)?.machine.system;
  }

  get peers(): ReadonlyMap<string, Peer> {
    return this.links.peers;
  }

  get stateIsBehind(): boolean {
    return this.keeper.isBehind;
  }

  get readsInFetch(): number {
    return this.reads.underWay;
  }

  // ---- start -----------------------------------------------------------------------------------------------------------------

  /** Recovers log and state, then begins to serve. `done` reports what makes a start impossible; afterwards faults go to `onFatal`. */
  start(done: (error: Error | undefined) => void): void {
    this.recovery.run((error, fresh) => {
      if (error === undefined) this.begin(fresh);
      done(error);
    });
  }

  private begin(fresh: boolean): void {
    const now = this.clock.monotonicMs();
    this.started = true;
    this.keeper.begin(now);
    this.nodeClock.begin(now);
    // A restarted node may have promised its votes in its former life (design §5, Lease); alone there is nobody to wait for.
    const { electionMinMs, timerInitialDelayMs } = this.settings;
    const longest = Math.max(electionMinMs, timerInitialDelayMs, this.options.formerElectionMs ?? 0);
    const grace = fresh || this.standalone ? 0 : longest;
    this.leases.restarted(now + Math.max(grace, this.hlc.waitBeforeServingMs()));
    this.nodeClock.requestBound();
    for (const endpoint of otherEndpoints(this.options)) this.links.add(endpoint);
    this.linkMembers();
    for (const id of [SYSTEM_PARTITION, META_PARTITION]) {
      const replica = this.replicas.get(id);
      if (replica !== undefined) this.systemChanged(replica);
    }
    this.snapshots.resumeInstalls();
    this.elections.beginAlone();
    this.tick();
  }

  addReplica(replica: Replica): void {
    this.replicas.set(replica.partitionId, replica);
    this.queue.awake.add(replica);
    this.wake(replica);
  }

  // ---- time ------------------------------------------------------------------------------------------------------------------

  private takeTurn(): void {
    if (this.running) this.turn.run();
    else this.dispatcher.completeDeferred();
  }

  private readonly tick = (): void => {
    if (!this.running) return;
    const now = this.clock.monotonicMs();
    this.cancelTick = this.ports.scheduler.after(this.settings.tickMs, this.tick);
    if (this.stopping && this.standalone) return;
    this.nodeClock.requestBound();
    if (this.replicas.size === 0) this.founding.tryFound(now, otherEndpoints(this.options));
    else if (this.table === undefined) this.founding.proposeState(now);
    this.heartbeats.tick(now);
    this.groupTicks.tick(now);
    this.dispatcher.tick(now);
    this.scans.tick(now);
    this.listings.tick(now);
    this.holds.tick(now);
    this.pruner.tick(now);
    this.watches.tick();
    this.snapshots.tick(now);
    this.exchange.tick(now);
    this.checksums.tick(now);
    this.keeper.tick(now);
    this.rotateLatencies(now);
    this.scheduleFlush();
  };

  /** Quantiles are of the last window, not of all time. */
  private rotateLatencies(now: number): void {
    if (now < this.rotateLatenciesAt) return;
    this.rotateLatenciesAt = now + LATENCY_WINDOW_MS / 2;
    for (const histogram of [this.readLatency, this.writeLatency, this.logLatency]) histogram.rotate();
  }

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  after(ms: number, task: () => void): void {
    this.ports.scheduler.after(ms, task);
  }

  soon(task: () => void): void {
    this.ports.scheduler.soon(task);
  }

  // ---- end -------------------------------------------------------------------------------------------------------------------

  /** Stops answering, gives up leadership where a peer can take it, writes the state out and closes. Bounded by the caller. */
  stop(done: () => void): void {
    this.whenStopped.push(done);
    if (this.isStopped) this.stopped();
    if (this.stopping) return;
    this.stopping = true;
    this.dispatcher.refuseAll();
    this.scans.refuseAll();
    this.watches.endAll();
    for (const replica of this.replicas.values()) if (replica.leads) this.transfers.handOver(replica);
    // The others are given a moment to take over.
    if (this.standalone || this.fatalFault !== null) this.writeOut();
    else this.ports.scheduler.after(Math.min(1000, this.settings.heartbeatMs), () => this.writeOut());
  }

  private writeOut(): void {
    this.cancelTick?.();
    this.commitNotices.stop();
    if (this.fatalFault !== null) {
      this.close();
      return;
    }
    this.closeNow = () => this.close();
    this.keeper.flush(() => this.closeNow?.());
  }

  private close(): void {
    this.closeNow = undefined;
    this.started = false;
    this.closing = true;
    this.refuseUndecided();
    const { engine, log, transport } = this.ports;
    // What fails from here on, or is refused because the engine is closed, is lost to nobody: the log has all that was acknowledged.
    engine.sync(() => transport.close(() => log.close(() => engine.close(() => this.stopped()))));
  }

  private stopped(): void {
    this.isStopped = true;
    for (const done of this.whenStopped.splice(0)) done();
  }

  fatal(reason: string): void {
    if (this.fatalFault !== null || this.closing) return;
    this.fatalFault = reason;
    this.events.record('fatal-fault', 'critical', `node/${this.nodeId}`, reason);
    this.refuseUndecided();
    this.watches.endAll();
    this.cancelTick?.();
    this.commitNotices.stop();
    this.onFatal?.(reason);
    // A flush that failed never ends.
    this.closeNow?.();
  }

  failedEngine(error: Error | undefined): boolean {
    if (error !== undefined) this.fatal(`state engine failed: ${error.message}`);
    return !this.running;
  }

  /** No turn follows in which anything could be decided: what waits is told so. */
  private refuseUndecided(): void {
    this.scans.refuseAll();
    this.listings.refuseAll();
    this.snapshots.endAll();
    for (const replica of this.replicas.values()) replica.giveUp();
    // Last: it takes what the replicas give back.
    this.dispatcher.refuseAll();
  }

  // ---- what the cluster says of itself ---------------------------------------------------------------------------------------

  systemChanged(replica: Replica): void {
    const { system } = this;
    if (system === undefined) return;
    if (replica.partitionId === SYSTEM_PARTITION) this.linkMembers();
    const meta = this.replicas.get(META_PARTITION)?.machine.meta;
    if (meta !== undefined && this.table?.mapVersion !== meta.mapVersion) {
      this.table = new RoutingTable(system.poolSize, meta.mapVersion);
      this.events.record(
        'initialised',
        'info',
        `node/${this.nodeId}`,
        `Membership advanced to version ${system.membershipVersion}: ${system.members.length} member(s), local role ${this.membership().localRole}`,
      );
    }
  }

  private linkMembers(): void {
    for (const { endpoint } of this.system?.members ?? []) if (endpoint !== this.options.endpoint) this.links.add(endpoint);
  }

  routingTable(): RoutingTable | undefined {
    return this.table;
  }

  // ---- for the rooms, the dispatcher and the replicas ------------------------------------------------------------------------

  replica(partitionId: PartitionId): Replica | undefined {
    return this.replicas.get(partitionId);
  }

  peerByNode(nodeId: number): Peer | undefined {
    return this.links.byNode.get(nodeId);
  }

  wake(replica: Replica): void {
    this.queue.wake(replica);
  }

  isAwake(replica: Replica): boolean {
    return this.queue.awake.has(replica);
  }

  scheduleFlush(): void {
    this.queue.schedule();
  }

  writeTo(peer: Peer): ReturnType<Peer['openFrame']> {
    return this.outbox.writeTo(peer);
  }

  /** Every Raft message passes here; a simulation overrides it to look whether what is promised is durable. */
  sendMessage(replica: Replica, message: Message): void {
    this.outbox.sendMessage(replica, message);
  }

  campaign(replica: Replica): void {
    this.elections.begin(replica);
  }

  hasLease(replica: Replica): boolean {
    return this.leases.hasLease(replica);
  }

  quorumHasPassed(replica: Replica, t: Hlc): boolean {
    return this.leases.quorumHasPassed(replica, t);
  }

  noteTime(replica: Replica, done: () => void): void {
    replica.accept(timeNote(this, replica.partitionId, done));
  }

  fetchForApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void {
    this.reads.forApply(replica, keys, resume);
  }

  fetchForRead(replica: Replica, request: PendingRequest, need: ReadNeed): void {
    this.reads.forRead(replica, request, need);
  }

  createEphemeralTable(replica: Replica): EphemeralTable {
    return this.leaderMemory.ephemeralTable(replica);
  }

  createEphemeralLocks(replica: Replica): EphemeralLocks {
    return this.leaderMemory.ephemeralLocks(replica);
  }

  createSequencer(replica: Replica): Sequencer {
    return this.leaderMemory.sequencer(replica);
  }

  takeNumber(): number {
    return this.dispatcher.takeNumber();
  }

  historyMissing(t: Hlc): void {
    if (this.pruner.protects(t)) this.meters.missingProtectedVersions++;
  }

  comparedIndexReached(replica: Replica): void {
    this.checksums.reached(replica);
  }

  divergedAt(replica: Replica, index: number): void {
    this.snapshots.diverged(replica, index);
    this.watches.endAll();
  }

  sendSnapshot(replica: Replica, replicaId: number): void {
    const member = replica.memberById(replicaId);
    if (member !== undefined) this.snapshots.send(replica, member);
  }

  // ---- what gateways and the console ask -------------------------------------------------------------------------------------

  submit(operation: Operation | LockOperation | SequenceOperation, sink: ResultSink, token: number, deadlineMs: number): void {
    this.dispatcher.submit(operation, sink, token, deadlineMs);
  }

  scan(query: ScanQuery, deadlineMs: number): Promise<ScanAnswer> {
    return new Promise(resolve => this.scans.scan(query, deadlineMs, resolve));
  }

  keySpaces(query: KeySpaceQuery, deadlineMs: number): Promise<KeySpaceAnswer> {
    return new Promise(resolve => this.scans.keySpaces(query, deadlineMs, resolve));
  }

  hold(operation: HoldOperation, deadlineMs: number): Promise<HoldAnswer> {
    return new Promise(resolve => this.holds.ask(operation, deadlineMs, resolve));
  }

  list(query: ListingQuery, deadlineMs: number): Promise<ListingAnswer> {
    return new Promise(resolve => this.listings.list(query, deadlineMs, resolve));
  }

  watch(query: WatchQuery, wake: () => void, meter?: QueueMeter): Watch {
    return this.watches.open(query, wake, meter);
  }

  watchNames(kind: NameKind, prefix: string, changed: () => void): () => void {
    return this.names.listen(kind, prefix, changed);
  }

  transferLeadership(partitionId: number, toNodeId: number): boolean {
    return this.transfers.begin(partitionId, toNodeId);
  }

  requestTransfer(partitionId: number, toNodeId: number): boolean {
    return this.transfers.request(partitionId, toNodeId);
  }

  membership(): MembershipView {
    return membershipView(this);
  }

  routing(keySpace: string | undefined): RoutingView {
    return routingView(this, keySpace);
  }

  health(): HealthView {
    return healthView(this);
  }

  facts(): NodeFacts {
    return nodeFacts(this);
  }

  instruments(): readonly Instrument[] {
    return instrumentsOf(this);
  }

  peerFacts(nodeId: number): { readonly facts: NodeFacts; readonly receivedAtMs: number } | undefined {
    return this.exchange.of(nodeId);
  }

  shareWithPeers(share: (nodeId: number) => unknown): void {
    this.exchange.share = share;
  }

  gatherPeerFacts(): () => void {
    return this.exchange.gather();
  }
}

export function createNodeHost(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void): NodeHost {
  return new NodeHost(options, ports, onFatal);
}
