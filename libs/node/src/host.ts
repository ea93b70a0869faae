import {
  ByteReader,
  DecodeError,
  HLC_ZERO,
  type Hlc,
  HybridClock,
  META_PARTITION,
  type PartitionId,
  SYSTEM_PARTITION,
} from '@kahuna/base';
import {
  type CommandPolicy,
  createPartitionMachine,
  DEFAULT_LOCK_EVICTION,
  decodeMetaRow,
  EphemeralLocks,
  EphemeralTable,
  type FetchedRow,
  HeadCache,
  type HoldAnswer,
  type HoldOperation,
  type KeySpaceAnswer,
  type KeySpaceQuery,
  type ListingAnswer,
  type ListingQuery,
  LOCK_CLOCK_SKEW_MS,
  type LockOperation,
  lastStampOf,
  metaRowKey,
  type Operation,
  type PartitionMachine,
  type ReadNeed,
  type ScanAnswer,
  type ScanQuery,
  type SequenceOperation,
  type SystemState,
} from '@kahuna/partition';
import {
  type Configuration,
  createRaftGroup,
  decodeMessage,
  type Entry,
  EntryKind,
  encodeMessage,
  type Message,
  MessageType,
  type RaftGroup,
} from '@kahuna/raft';
import { RoutingTable } from '@kahuna/range-router';
import type { HealthView, Instrument, KahunaNode, MembershipView, NodeFacts, ResultSink, RoutingView } from './api.ts';
import { ChecksumExchange } from './checksum-exchange.ts';
import { CommitNotices } from './commit-notices.ts';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { EventRing } from './events.ts';
import { FactsExchange } from './facts-exchange.ts';
import { Founding } from './founding.ts';
import { decodeHello, encodeHello, type Hello, PROTOCOL_VERSION } from './hello.ts';
import { Holds } from './holds.ts';
import { instrumentsOf } from './instruments.ts';
import { type NodeInternals, newCounters } from './internals.ts';
import { LatencyHistogram } from './latency.ts';
import { Leases } from './leases.ts';
import { Listings } from './listings.ts';
import { recoverLog } from './lost-log.ts';
import { Meters } from './meters.ts';
import { type NameKind, NameTap } from './name-tap.ts';
import { Peer } from './peer.ts';
import { ForwardStatus, type FrameHeader, ItemKind, readHeader } from './peer-frame.ts';
import type { LogRecord, Ports, RecoveredGroup, TransportListener } from './ports.ts';
import { Pruner } from './pruner.ts';
import { Replica, type ReplicaHost } from './replica.ts';
import { type PendingRequest, requestOfNode } from './request.ts';
import { Scans } from './scans.ts';
import { Sequencer } from './sequencer.ts';
import { DEFAULT_SETTINGS, type NodeOptions, type NodeSettings, type SequenceSettings } from './settings.ts';
import { SnapshotTransfers } from './snapshots.ts';
import { StateKeeper } from './state-keeper.ts';
import { healthView, membershipView, nodeFacts, routingView } from './views.ts';
import type { Watch, WatchQuery } from './watch-api.ts';
import { WatchHub } from './watch-hub.ts';

/** One group's part of a log write under way. */
interface PendingPersist {
  readonly replica: Replica;
  readonly group: RaftGroup;
  readonly index: number;
  readonly term: number;
  readonly messages: Message[];
}

interface LogWrite {
  readonly records: LogRecord[];
  readonly parts: PendingPersist[];
}

/**
 * The multi-Raft host: runs every group of one node over one log, one engine and one stream per peer.
 *
 * All work happens in `flush`, at most once per turn of the event loop: propose what gathered, take every group's Ready, send the
 * appends, hand all entries to the log as one durable write, apply, answer. Votes and acknowledgements leave when that write is
 * durable; the next turn goes on meanwhile.
 *
 * N1 A message in `Ready.promises` leaves only after the log write of its Ready and of all earlier ones of its group.
 * N2 A lease counts from the sending of a heartbeat that a quorum answered with a promise, in a boot and allegiance in which each of
 *    them had answered this leadership (see `peer.ts`).
 * N3 The engine may lag behind what is applied, never the log behind what is acknowledged; the log is compacted only up to what the
 *    engine has made durable.
 * N4 After a failed write of log or engine nothing is acknowledged or sent any more.
 */
export class NodeHost implements KahunaNode, NodeInternals, ReplicaHost, DispatchHost, TransportListener {
  readonly options: NodeOptions;
  readonly settings: NodeSettings;
  readonly clock: Ports['clock'];
  readonly hlc: HybridClock;
  readonly events: EventRing;
  readonly limits: NodeSettings['limits'];
  readonly maxWaitingReads: number;
  readsInFetch = 0;
  readonly replicas = new Map<PartitionId, Replica>();
  readonly peers = new Map<string, Peer>();
  readonly dispatcher: Dispatcher;
  readonly readLatency = new LatencyHistogram();
  readonly writeLatency = new LatencyHistogram();
  readonly logLatency = new LatencyHistogram();
  readonly startedWallMs: number;
  readonly headCache: HeadCache;
  private readonly ephemeralCache: HeadCache;
  poolSize: number;
  fatalFault: string | null = null;
  stopping = false;
  readonly counters = newCounters();
  readonly policy: CommandPolicy;
  readonly meters = new Meters();

  private readonly ports: Ports;
  private readonly byNode = new Map<number, Peer>();
  private readonly leases: Leases;
  private readonly founding: Founding;
  private readonly keeper: StateKeeper;
  private readonly exchange: FactsExchange;
  private readonly checksums: ChecksumExchange<Replica>;
  private readonly commitNotices: CommitNotices;
  private readonly snapshots: SnapshotTransfers;
  /** With callbacks, for those who cannot wait for a promise; everybody else calls `scan` and `keySpaces`. */
  readonly scans: Scans;
  /** As {@link NodeHost.scans}, for `hold`. */
  readonly holds: Holds;
  readonly pruner: Pruner;
  readonly watches: WatchHub;
  readonly names = new NameTap();
  /** As {@link NodeHost.scans}, for `list`. */
  readonly listings: Listings;
  private readonly onFatal: ((reason: string) => void) | undefined;
  private dirty: Replica[] = [];
  private readonly awake = new Set<Replica>();
  private readonly outbox = new Set<Peer>();
  private flushScheduled = false;
  private flushing = false;
  private started = false;
  private table: RoutingTable | undefined;
  private boundRequested = 0;
  /** Monotonic instant before which frames do not tell the clock. */
  private clockFrom = 0;
  private rotateLatenciesAt = 0;
  private readonly lastWrite = new Map<Replica, LogWrite>();
  private cancelTick: (() => void) | undefined;
  private readonly whenStopped: (() => void)[] = [];
  private isStopped = false;
  /** While the state is written out for the last time: what follows. */
  private closeNow: (() => void) | undefined;
  private readFetches: { readonly replica: Replica; readonly request: PendingRequest; readonly keys: readonly Uint8Array[] }[] =
    [];

  constructor(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void) {
    this.options = options;
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
    this.limits = this.settings.limits;
    this.maxWaitingReads = this.settings.maxWaitingReads;
    this.policy = policyOf(this.settings.sequences);
    this.ports = ports;
    this.clock = ports.clock;
    this.poolSize = options.poolSize;
    this.onFatal = onFatal;
    this.hlc = new HybridClock(options.nodeId, ports.clock);
    this.events = new EventRing(ports.clock);
    this.headCache = new HeadCache({ maxEntries: this.settings.headCacheEntries, maxBytes: this.settings.headCacheBytes });
    this.ephemeralCache = new HeadCache({
      maxEntries: this.settings.ephemeralEntries,
      maxBytes: this.settings.ephemeralBytes,
    });
    this.startedWallMs = Math.floor(ports.clock.wallMs());
    this.dispatcher = new Dispatcher(
      this,
      { leaderMs: this.settings.leaderWaitMs, outcomeMs: this.settings.outcomeWaitMs, maxRequests: this.settings.maxRequests },
      this.readLatency,
      this.writeLatency,
    );
    this.leases = new Leases(this);
    this.founding = new Founding(this, ports.log, (partitionId, configuration) => this.createReplica(partitionId, configuration));
    this.keeper = new StateKeeper(this, ports.engine, ports.log);
    this.exchange = new FactsExchange(this);
    this.checksums = new ChecksumExchange<Replica>(this);
    this.commitNotices = new CommitNotices(ports.scheduler, replica => this.wake(replica));
    this.snapshots = new SnapshotTransfers(this, ports.engine, this.keeper);
    this.scans = new Scans(this, ports.engine);
    this.listings = new Listings(this, ports.engine);
    this.holds = new Holds(this, this.dispatcher, () => drawHex(ports.rng, HOLD_ID_DIGITS));
    this.pruner = new Pruner(this, ports.engine, this.dispatcher);
    this.watches = new WatchHub(this, ports.engine, this.dispatcher);
    ports.transport.listener = this;
  }

  get nodeId(): number {
    return this.options.nodeId;
  }

  get boot(): number {
    return this.options.boot;
  }

  /** Nobody else takes part. What a founded node was started with does not decide that: its groups do. */
  get standalone(): boolean {
    const system = this.replicas.get(SYSTEM_PARTITION);
    return system === undefined ? this.otherEndpoints().length === 0 : system.isOnlyVoter;
  }

  get accepting(): boolean {
    return this.started && !this.stopping && this.fatalFault === null;
  }

  get logPending(): number {
    return this.ports.log.pending;
  }

  get system(): SystemState | undefined {
    return this.replicas.get(SYSTEM_PARTITION)?.machine.system;
  }

  private otherEndpoints(): string[] {
    return this.options.initialCluster.filter(endpoint => endpoint !== this.options.endpoint);
  }

  // ---- start and stop --------------------------------------------------------------------------------------------------------

  /** Recovers log and state, then begins to serve. `done` reports what makes a start impossible; afterwards faults go to `onFatal`. */
  start(done: (error: Error | undefined) => void): void {
    recoverLog(this.ports, this.options, (error, log) => {
      if (error !== undefined || log === undefined) {
        done(error ?? new Error('the log could not be read'));
        return;
      }
      this.hlc.restart(log.clockBoundMs);
      const { groups } = log;
      const ids = groups.map(group => group.partitionId);
      this.snapshots.recover(ids, markError => {
        if (markError !== undefined) {
          done(markError);
          return;
        }
        this.readDurable(ids.map(metaRowKey), (engineError, rows) => {
          if (engineError !== undefined || this.stopping) {
            done(engineError ?? new Error(STOPPED));
            return;
          }
          try {
            this.recoverGroups(groups, rows);
          } catch (reason) {
            done(reason instanceof Error ? reason : new Error(String(reason)));
            return;
          }
          this.begin(groups.length === 0);
          done(undefined);
        });
      });
    });
  }

  /** What a killed process left in the engine is made durable before anything is based on it: a log may be restarted behind it. */
  private readDurable(
    keys: readonly Uint8Array[],
    done: (error: Error | undefined, rows: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    this.ports.engine.sync(error => {
      if (error !== undefined) done(error, []);
      else this.ports.engine.getMany(keys, done);
    });
  }

  private recoverGroups(groups: readonly RecoveredGroup[], metaRows: readonly (Uint8Array | undefined)[]): void {
    const system = metaRows[groups.findIndex(group => group.partitionId === SYSTEM_PARTITION)];
    const founded = system === undefined ? undefined : decodeMetaRow(system).system;
    this.poolSize = founded?.poolSize ?? this.options.poolSize;
    for (const [i, group] of groups.entries()) this.recoverGroup(group, metaRows[i]);
  }

  private begin(fresh: boolean): void {
    const now = this.clock.monotonicMs();
    this.started = true;
    this.keeper.begin(now);
    this.clockFrom = now + this.hlc.waitBeforeServingMs();
    // A restarted node may have promised its votes in its former life (design §5, Lease); alone there is nobody to wait for.
    const { electionMinMs, timerInitialDelayMs } = this.settings;
    const longest = Math.max(electionMinMs, timerInitialDelayMs, this.options.formerElectionMs ?? 0);
    const grace = fresh || this.standalone ? 0 : longest;
    this.leases.restarted(now + Math.max(grace, this.hlc.waitBeforeServingMs()));
    this.requestClockBound();
    for (const endpoint of this.otherEndpoints()) this.addPeer(endpoint);
    for (const member of this.system?.members ?? []) {
      if (member.endpoint !== this.options.endpoint) this.addPeer(member.endpoint);
    }
    for (const id of [SYSTEM_PARTITION, META_PARTITION]) {
      const replica = this.replicas.get(id);
      if (replica !== undefined) this.systemChanged(replica);
    }
    this.snapshots.resumeInstalls();
    this.campaignAlone();
    this.tick();
  }

  /**
   * Where nobody else votes there is no leader to wait for, so no election timeout either; only for the clock of the former life,
   * which may have run ahead of the present.
   */
  private campaignAlone(): void {
    const alone = [...this.replicas.values()].filter(replica => !replica.installing && !replica.diverged && replica.isOnlyVoter);
    if (alone.length === 0) return;
    const begin = (): void => {
      if (!this.accepting) return;
      for (const replica of alone) this.campaign(replica);
    };
    const waitMs = this.hlc.waitBeforeServingMs();
    if (waitMs > 0) this.after(waitMs, begin);
    else begin();
  }

  campaign(replica: Replica): void {
    replica.group.campaign();
    // A group of one leads at once: a tick that came before anybody looked would find a leader elected long ago that never got ready.
    this.observe(replica);
    this.wake(replica);
  }

  private addPeer(endpoint: string): Peer {
    let peer = this.peers.get(endpoint);
    if (peer === undefined) {
      peer = new Peer(endpoint);
      this.peers.set(endpoint, peer);
      this.ports.transport.connect(endpoint);
    }
    return peer;
  }

  /** Stops answering, gives up leadership where a peer can take it, writes the state out and closes. Bounded by the caller. */
  stop(done: () => void): void {
    this.whenStopped.push(done);
    if (this.isStopped) this.stopped();
    if (this.stopping) return;
    this.stopping = true;
    this.dispatcher.refuseAll();
    this.scans.refuseAll();
    this.watches.endAll();
    for (const replica of this.replicas.values()) if (replica.leads) this.handOver(replica);
    const { engine, log, transport } = this.ports;
    const close = (): void => {
      this.closeNow = undefined;
      this.started = false;
      this.refuseUndecided();
      // What fails from here on is lost to nobody: the log has all that was acknowledged.
      engine.sync(() => transport.close(() => log.close(() => engine.close(() => this.stopped()))));
    };
    const finish = (): void => {
      this.cancelTick?.();
      this.commitNotices.stop();
      if (this.fatalFault !== null) {
        close();
        return;
      }
      this.closeNow = close;
      this.keeper.flush(() => this.closeNow?.());
    };
    if (this.standalone || this.fatalFault !== null) finish();
    else this.ports.scheduler.after(Math.min(1000, this.settings.heartbeatMs), finish);
  }

  private stopped(): void {
    this.isStopped = true;
    for (const done of this.whenStopped.splice(0)) done();
  }

  private handOver(replica: Replica): void {
    const best = replica.group
      .progress()
      .filter(peer => peer.role === 'voter' && this.byNode.get(peer.member.nodeId)?.connected)
      .sort((a, b) => b.match - a.match)[0];
    if (best !== undefined && replica.group.transferLeadership(best.member.replicaId)) this.wake(replica);
  }

  transferLeadership(partitionId: number, toNodeId: number): boolean {
    const replica = this.replicas.get(partitionId);
    const member = replica?.group.configuration.voters.find(voter => voter.nodeId === toNodeId);
    // Until a node that is not there has caught up, nothing could be proposed.
    if (replica === undefined || member === undefined || !replica.leads || !this.byNode.get(toNodeId)?.connected) return false;
    const begun = replica.group.transferLeadership(member.replicaId);
    this.wake(replica);
    return begun;
  }

  requestTransfer(partitionId: number, toNodeId: number): boolean {
    const replica = this.replicas.get(partitionId);
    if (replica === undefined || replica.leads) return this.transferLeadership(partitionId, toNodeId);
    const leader = this.byNode.get(replica.leaderNode);
    if (leader?.connected !== true) return false;
    const writer = this.writeTo(leader);
    writer.u8(ItemKind.Transfer);
    writer.varint(partitionId);
    writer.varint(toNodeId);
    return true;
  }

  fatal(reason: string): void {
    if (this.fatalFault !== null) return;
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

  /** No turn follows in which anything could be decided: what waits is told so. */
  private refuseUndecided(): void {
    this.scans.refuseAll();
    this.listings.refuseAll();
    this.snapshots.endAll();
    for (const replica of this.replicas.values()) replica.giveUp();
    // Last: it takes what the replicas give back.
    this.dispatcher.refuseAll();
  }

  // ---- groups ----------------------------------------------------------------------------------------------------------------

  private recoverGroup(recovered: RecoveredGroup, metaRow: Uint8Array | undefined): void {
    const { partitionId, start } = recovered;
    const machine = this.createMachine(partitionId, metaRow);
    for (const entry of recovered.entries) this.observeStamp(entry);
    const installing = this.snapshots.marked(partitionId) !== undefined;
    if (machine.appliedIndex < start.index && !installing) {
      throw new Error(
        `partition ${partitionId}: the state ends at ${machine.appliedIndex}, but the log begins behind ${start.index}: state was lost`,
      );
    }
    // The engine outlived the end of the log, or what replaced that end: the log restarts behind it, as after a snapshot.
    const ahead = !installing && termInLog(recovered, machine.appliedIndex) !== machine.appliedTerm;
    const configuration = machine.configuration ?? start.configuration;
    const begin = ahead ? { index: machine.appliedIndex, term: machine.appliedTerm, configuration } : start;
    const group = this.createGroup({
      replicaId: recovered.replicaId,
      configuration: begin.configuration,
      hardState: recovered.hardState,
      startIndex: begin.index,
      startTerm: begin.term,
      entries: ahead ? [] : recovered.entries,
      appliedIndex: installing ? begin.index : Math.max(machine.appliedIndex, begin.index),
    });
    if (ahead) this.keeper.writeStart(partitionId, recovered.replicaId, begin.index, begin.term, configuration, true);
    const replica = new Replica(partitionId, group, machine, begin.configuration, this);
    replica.installing = installing;
    replica.diverged = this.snapshots.hadDiverged(partitionId);
    replica.checksumAgrees = !replica.diverged;
    this.addReplica(replica);
  }

  private createMachine(partitionId: PartitionId, metaRow: Uint8Array | undefined): PartitionMachine {
    const machine = createPartitionMachine({ partitionId, poolSize: this.poolSize, headCache: this.headCache, metaRow });
    machine.names = this.names;
    return machine;
  }

  private createGroup(from: {
    replicaId: number;
    configuration: Configuration;
    hardState: { term: number; vote: number };
    startIndex: number;
    startTerm: number;
    entries: RecoveredGroup['entries'];
    appliedIndex: number;
  }): RaftGroup {
    const { settings } = this;
    return createRaftGroup({
      ...from,
      nodeId: this.nodeId,
      electionTicksMin: Math.max(2, Math.ceil(settings.electionMinMs / settings.tickMs)),
      electionTicksMax: Math.max(3, Math.ceil(settings.electionMaxMs / settings.tickMs)),
      randomInt: (low, high) => this.ports.rng.int(low, high),
      maxAppendBytes: settings.maxAppendBytes,
      maxInflightBytes: settings.maxInflightBytes,
      maxUncommittedBytes: settings.maxUncommittedBytes,
    });
  }

  /** A replica of a group that begins now. */
  private createReplica(partitionId: PartitionId, configuration: Configuration): Replica {
    const group = this.createGroup({
      replicaId: this.options.storageId,
      configuration,
      hardState: { term: 0, vote: 0 },
      startIndex: 0,
      startTerm: 0,
      entries: [],
      appliedIndex: 0,
    });
    const replica = new Replica(partitionId, group, this.createMachine(partitionId, undefined), configuration, this);
    this.addReplica(replica);
    return replica;
  }

  private addReplica(replica: Replica): void {
    this.replicas.set(replica.partitionId, replica);
    this.awake.add(replica);
    this.wake(replica);
  }

  replica(partitionId: PartitionId): Replica | undefined {
    return this.replicas.get(partitionId);
  }

  peerByNode(nodeId: number): Peer | undefined {
    return this.byNode.get(nodeId);
  }

  // ---- what the cluster says of itself ---------------------------------------------------------------------------------------

  systemChanged(replica: Replica): void {
    const { system } = this;
    if (system === undefined) return;
    if (replica.partitionId === SYSTEM_PARTITION) {
      for (const member of system.members) if (member.endpoint !== this.options.endpoint) this.addPeer(member.endpoint);
    }
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

  routingTable(): RoutingTable | undefined {
    return this.table;
  }

  // ---- requests --------------------------------------------------------------------------------------------------------------

  submit(operation: Operation | LockOperation | SequenceOperation, sink: ResultSink, token: number, deadlineMs: number): void {
    this.dispatcher.submit(operation, sink, token, deadlineMs);
  }

  historyMissing(t: Hlc): void {
    if (this.pruner.protects(t)) this.meters.missingProtectedVersions++;
  }

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  takeNumber(): number {
    return this.dispatcher.takeNumber();
  }

  after(ms: number, task: () => void): void {
    this.ports.scheduler.after(ms, task);
  }

  soon(task: () => void): void {
    this.ports.scheduler.soon(task);
  }

  divergedAt(replica: Replica, index: number): void {
    this.snapshots.diverged(replica, index);
    this.watches.endAll();
  }

  sendSnapshot(replica: Replica, replicaId: number): void {
    const member = replica.memberById(replicaId);
    if (member !== undefined) this.snapshots.send(replica, member);
  }

  comparedIndexReached(replica: Replica): void {
    this.checksums.reached(replica);
  }

  createEphemeralTable(replica: Replica): EphemeralTable {
    return new EphemeralTable({ partitionId: replica.partitionId, poolSize: this.poolSize, cache: this.ephemeralCache });
  }

  createEphemeralLocks(replica: Replica): EphemeralLocks {
    const eviction = { ...DEFAULT_LOCK_EVICTION, idleMs: this.settings.lockIdleMs };
    const locks = new EphemeralLocks(replica.group.term, this.ephemeralCache, eviction);
    locks.observer = this.watches.ephemeralObserver(replica.partitionId);
    return locks;
  }

  createSequencer(replica: Replica): Sequencer {
    const { machine, partitionId } = replica;
    return new Sequencer({
      policy: this.policy,
      maxBlocks: this.settings.sequences.maxBlocks,
      maxWaiting: this.maxWaitingReads,
      nowMs: () => this.hlc.current().l,
      sequence: name => machine.sequence(name),
      fetch: (request, row) => this.fetchForRead(replica, request, { kind: 'rows', keys: [row] }),
      propose: (command, origin) => replica.accept(requestOfNode(this, command, partitionId, origin)),
      evaluated: (request, result) => replica.confirmLater(request, result),
    });
  }

  fetchForApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void {
    this.ports.engine.getMany(keys, (error, values) => {
      if (this.failedEngine(error)) return;
      replica.machine.supply(keys.map((key, i) => ({ key, value: values[i] })));
      resume();
    });
  }

  fetchForRead(replica: Replica, request: PendingRequest, need: ReadNeed): void {
    this.readsInFetch++;
    if (need.kind === 'rows') {
      this.readFetches.push({ replica, request, keys: need.keys });
      this.scheduleFlush();
      return;
    }
    const { from, to, reverse, maxRows } = need;
    this.ports.engine.scan({ from, to, reverse, maxRows, maxBytes: READ_SCAN_BYTES }, (error, page) => {
      this.readsInFetch--;
      if (this.failedEngine(error)) request.refuse(ForwardStatus.Unknown);
      else this.readFetched(replica, request, page.rows);
    });
  }

  /** All rows that reads of this turn need are asked for in one call. */
  private startReadFetches(): void {
    if (this.readFetches.length === 0) return;
    const fetches = this.readFetches;
    this.readFetches = [];
    const keys = fetches.flatMap(fetch => fetch.keys);
    this.ports.engine.getMany(keys, (error, values) => {
      this.readsInFetch -= fetches.length;
      if (this.failedEngine(error)) {
        for (const { request } of fetches) request.refuse(ForwardStatus.Unknown);
        return;
      }
      let at = 0;
      for (const { replica, request, keys: asked } of fetches) {
        // The machine tells late rows from fresh ones by the key objects that it asked with.
        this.readFetched(
          replica,
          request,
          asked.map(key => ({ key, value: values[at++] })),
        );
      }
    });
  }

  private readFetched(replica: Replica, request: PendingRequest, rows: readonly FetchedRow[]): void {
    if (!request.done && replica.mayServe) replica.evaluateWith(request, rows);
    else {
      // The machine waits for the rows whatever has become of the request.
      replica.machine.supply(rows);
      if (!request.done) replica.accept(request);
    }
    this.scheduleFlush();
  }

  failedEngine(error: Error | undefined): boolean {
    if (error !== undefined) this.fatal(`state engine failed: ${error.message}`);
    return this.fatalFault !== null || !this.started;
  }

  hasLease(replica: Replica): boolean {
    return this.leases.hasLease(replica);
  }

  quorumHasPassed(replica: Replica, t: Hlc): boolean {
    return this.leases.quorumHasPassed(replica, t);
  }

  // ---- the turn --------------------------------------------------------------------------------------------------------------

  /** Ticks run again too: whatever is begun now may have to be asked for again, since a peer may never answer. */
  wake(replica: Replica): void {
    if (!replica.dirty) {
      this.awake.add(replica);
      replica.dirty = true;
      this.dirty.push(replica);
    }
    this.scheduleFlush();
  }

  scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    this.ports.scheduler.soon(this.flushTask);
  }

  private readonly flushTask = (): void => {
    this.flushScheduled = false;
    if (this.started && this.fatalFault === null) this.flush();
    else this.dispatcher.completeDeferred();
  };

  private flush(): void {
    if (this.flushing) return;
    this.flushing = true;
    const dirty = this.dirty;
    this.dirty = [];
    const write: LogWrite = { records: [], parts: [] };
    for (const replica of dirty) {
      replica.dirty = false;
      replica.proposeQueued();
      this.takeReady(replica, write);
    }
    // Appends leave before the own write begins: replicas persist in parallel (design §2).
    this.sendFrames();
    if (write.records.length > 0) this.appendToLog(write);
    for (const replica of dirty) {
      if (replica.pumpApply(this.settings.applyBudgetMs)) this.wake(replica);
      replica.serveReads();
      this.afterApply(replica);
    }
    this.startReadFetches();
    this.dispatcher.completeDeferred();
    this.sendFrames();
    this.flushing = false;
  }

  private takeReady(replica: Replica, write: LogWrite): void {
    const { group } = replica;
    for (let ready = group.ready(); ready !== undefined; ready = group.ready()) {
      for (const message of ready.appends) this.sendMessage(replica, message);
      if (ready.hardState !== undefined || ready.entries.length > 0) {
        write.records.push({
          partitionId: replica.partitionId,
          replicaId: replica.replicaId,
          hardState: ready.hardState,
          entries: ready.entries,
          start: undefined,
        });
        const last = ready.entries.at(-1);
        write.parts.push({ replica, group, index: last?.index ?? 0, term: last?.term ?? 0, messages: [...ready.promises] });
        this.lastWrite.set(replica, write);
      } else if (ready.promises.length > 0) {
        this.promise(replica, ready.promises);
      }
      if (replica.leads && ready.committed.length > 0 && this.peers.size > 0) this.commitNotices.committed(replica);
      replica.take(ready);
      for (const member of ready.snapshots) this.snapshots.send(replica, member);
    }
    this.observe(replica);
  }

  /** Promises without anything of their own to persist wait for the last write of their group, if there is one (N1). */
  private promise(replica: Replica, messages: readonly Message[]): void {
    const part = this.lastWrite.get(replica)?.parts.findLast(candidate => candidate.replica === replica);
    if (part !== undefined) part.messages.push(...messages);
    else for (const message of messages) this.sendMessage(replica, message);
  }

  private appendToLog(write: LogWrite): void {
    this.counters.logWrites++;
    this.counters.logRecords += write.records.length;
    this.meters.logBatchSize.record(write.records.length);
    const begun = this.clock.monotonicMs();
    this.ports.log.append(write.records, undefined, error => {
      if (error !== undefined) {
        this.fatal(`log write failed: ${error.message}`);
        return;
      }
      if (!this.started || this.fatalFault !== null) return;
      this.logLatency.record(this.clock.monotonicMs() - begun);
      for (const part of write.parts) {
        const { replica, group } = part;
        if (this.lastWrite.get(replica) === write) this.lastWrite.delete(replica);
        if (part.index > 0) {
          if (group.termAt(part.index) !== part.term) replica.staleCompletions++;
          group.persisted(part.index, part.term);
        }
        for (const message of part.messages) {
          // An answer of a term that has passed would be read as loyalty to it under today's allegiance.
          if (message.term === group.term || !isAnswer(message)) this.sendMessage(replica, message);
        }
        this.wake(replica);
      }
    });
  }

  /** Every Raft message passes here; a simulation overrides it to look whether what is promised is durable. */
  protected sendMessage(replica: Replica, message: Message): void {
    const member = replica.memberById(message.to);
    const peer = member === undefined ? undefined : this.byNode.get(member.nodeId);
    if (peer === undefined || !peer.connected) return;
    const writer = this.writeTo(peer);
    writer.u8(ItemKind.Raft);
    writer.varint(replica.partitionId);
    encodeMessage(writer, message);
  }

  writeTo(peer: Peer): ReturnType<Peer['openFrame']> {
    if (this.outbox.size === 0 && !this.flushing) this.scheduleFlush();
    this.outbox.add(peer);
    const writer = peer.openFrame(this.boot, this.nodeId, this.currentClock);
    if (peer.frameBytes > MAX_FRAME_BYTES) {
      peer.finishFrame();
      return peer.openFrame(this.boot, this.nodeId, this.currentClock);
    }
    return writer;
  }

  /**
   * What frames tell of this node's clock. It begins above everything that the former life may have stamped, ahead of the present;
   * others must not follow it there, or leases everywhere would end early. Nothing that promises a time is sent before that has passed.
   */
  private readonly currentClock = () => (this.clock.monotonicMs() < this.clockFrom ? HLC_ZERO : this.hlc.current());

  private sendFrames(): void {
    if (this.outbox.size === 0) return;
    for (const peer of this.outbox) {
      peer.takeFrames(frame => {
        this.counters.framesOut++;
        this.counters.bytesOut += frame.length;
        this.ports.transport.send(peer.endpoint, frame);
      });
    }
    this.outbox.clear();
  }

  /** What follows from having applied: the state goes to the engine behind us; leadership may be usable now. */
  private afterApply(replica: Replica): void {
    this.keeper.applied(replica);
    this.checksums.applied(replica);
    this.observe(replica);
    if (replica.leads && replica.group.leaderReady && !replica.servesAsLeader) {
      replica.servesAsLeader = true;
      // Requests that waited for this moment: repeats may be looked up now, parked ones routed here.
      this.wake(replica);
      this.dispatcher.leaderChanged(replica.partitionId);
    }
  }

  /** Looks whether the leader as this replica knows it has changed, and says so to whom it concerns. Must follow every step of a group. */
  private observe(replica: Replica): void {
    const { group } = replica;
    if (group.leaderId === replica.knownLeader && group.term === replica.knownTerm) return;
    const former = replica.knownLeader;
    const formerNode = former === 0 ? 0 : (replica.memberById(former)?.nodeId ?? replica.knownLeaderNode);
    if (formerNode !== 0 && formerNode !== this.nodeId) this.leases.left(replica, this.byNode.get(formerNode));
    const led = former !== 0 && former === group.replicaId;
    if (group.term > replica.knownTerm && (group.role === 'candidate' || replica.leads)) this.electionBegan(replica, formerNode);
    replica.knownLeader = group.leaderId;
    replica.knownTerm = group.term;
    replica.knownLeaderNode = replica.leaderNode;
    replica.leaderSinceMs = Math.floor(this.clock.wallMs());
    this.awake.add(replica);
    replica.answered.clear();
    if (replica.leads) {
      this.becameLeader(replica);
    } else {
      replica.servesAsLeader = false;
      if (led) {
        replica.leadershipLost();
        this.events.record(
          'leader-lost',
          'warning',
          `partition/${replica.partitionId}`,
          `${this.options.name} no longer leads partition ${replica.partitionId}`,
          {
            partitionId: replica.partitionId,
            term: group.term,
          },
        );
      }
      if (group.leaderId !== 0) this.dispatcher.leaderChanged(replica.partitionId);
    }
  }

  private electionBegan(replica: Replica, formerNode: number): void {
    replica.electionsStarted++;
    const heard = this.byNode.get(formerNode)?.heartbeatReceivedAt ?? Number.NEGATIVE_INFINITY;
    if (heard > 0) this.meters.electionDelayMs.record(this.clock.monotonicMs() - heard);
  }

  private becameLeader(replica: Replica): void {
    const { group } = replica;
    replica.servesAsLeader = false;
    replica.electedAt = this.clock.monotonicMs();
    this.counters.elections++;
    // Above every stamp in the log, which were observed when appended, and in the state; the clocks of the votes came with their frames.
    this.hlc.observe(replica.machine.lastStamp);
    this.events.record(
      'leader-changed',
      'info',
      `partition/${replica.partitionId}`,
      `${this.options.name} leads partition ${replica.partitionId} (term ${group.term})`,
      {
        partitionId: replica.partitionId,
        term: group.term,
        nodeId: this.nodeId,
      },
    );
    this.wake(replica);
  }

  /** Appending an entry, not only applying it, advances the clock (design §5, Stamps). */
  private observeStamp(entry: Entry): void {
    if (entry.kind !== EntryKind.Command) return;
    try {
      this.hlc.observe(lastStampOf(entry.data));
    } catch (error) {
      this.fatal(
        `entry ${entry.index} cannot be read by this version: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  // ---- time ------------------------------------------------------------------------------------------------------------------

  private readonly tick = (): void => {
    if (!this.started || this.fatalFault !== null) return;
    const now = this.clock.monotonicMs();
    this.cancelTick = this.ports.scheduler.after(this.settings.tickMs, this.tick);
    if (this.stopping && this.standalone) return;
    this.requestClockBound();
    if (this.replicas.size === 0) this.founding.tryFound(now, this.otherEndpoints());
    else if (this.table === undefined) this.founding.proposeState(now);
    this.tickPeers(now);
    this.tickGroups(now);
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

  private requestClockBound(): void {
    const wanted = this.hlc.boundWanted();
    if (wanted === undefined || wanted <= this.boundRequested) return;
    this.boundRequested = wanted;
    this.ports.log.append([], wanted, error => {
      if (error !== undefined) {
        this.fatal(`log write failed: ${error.message}`);
        return;
      }
      const wasHeldBack = this.hlc.isHeldBack;
      this.hlc.boundDurable(wanted);
      if (wasHeldBack) for (const replica of this.awake) if (replica.hasWork) this.wake(replica);
    });
  }

  private tickPeers(now: number): void {
    const { heartbeatMs, tickMs } = this.settings;
    for (const peer of this.peers.values()) {
      const sinceLast = now - peer.lastHeartbeatSentAt;
      if (peer.connected && sinceLast >= heartbeatMs) {
        this.meters.heartbeatsSent++;
        if (Number.isFinite(sinceLast)) this.meters.heartbeatDelayMs.record(sinceLast);
        peer.writeHeartbeat(this.writeTo(peer), now, this.clock.wallMs(), this.leases.promiseMs);
      }
      const silent = now - peer.heartbeatReceivedAt;
      if (peer.alive && silent > heartbeatMs * 1.5 + tickMs) this.peerSilent(peer, silent);
    }
  }

  /** No heartbeats from a peer: the groups that follow it wake up, and their election timers go on from its last sign of life. */
  private peerSilent(peer: Peer, silentMs: number): void {
    peer.alive = false;
    this.events.record(
      'node-suspect',
      'warning',
      `node/${peer.nodeId}`,
      `no heartbeat from ${peer.hello?.name ?? peer.endpoint}`,
      { nodeId: peer.nodeId },
    );
    // After a pause of our own the silence says little: at most half an election timeout is credited.
    const credit = Math.floor(Math.min(silentMs, this.settings.electionMinMs / 2) / this.settings.tickMs);
    for (const replica of this.replicas.values()) {
      if (replica.leads) {
        this.awake.add(replica);
        continue;
      }
      if (replica.leaderNode !== peer.nodeId) continue;
      if (!this.awake.has(replica)) {
        this.awake.add(replica);
        replica.group.leaderAlive();
        for (let i = 0; i < credit; i++) replica.group.tick();
        this.observe(replica);
      }
      this.wake(replica);
    }
  }

  private tickGroups(now: number): void {
    const { settings } = this;
    const requestsBefore = now - settings.outcomeWaitMs;
    const readsBefore = now - settings.leaderWaitMs;
    for (const replica of this.awake) {
      const { group } = replica;
      if (replica.installing) continue;
      replica.expireInFlight(requestsBefore);
      replica.expireWaiting(readsBefore);
      if (group.role === 'leader') {
        this.checkLeadership(replica, now);
        group.tick();
      } else if (!replica.diverged && this.leases.mayCampaign(replica, now)) {
        this.tryToReplaceLeader(replica, now);
        group.tick();
      }
      this.observe(replica);
      if (this.maySleep(replica)) this.awake.delete(replica);
      else this.wake(replica);
    }
  }

  /** Check-quorum (dissertation §6.2) over pair heartbeats, and the time a new leader has to commit its first entry. */
  private checkLeadership(replica: Replica, now: number): void {
    const { settings } = this;
    const heard = replica.group.quorum(
      member => member.nodeId === this.nodeId || this.heardWithin(member.nodeId, now, settings.checkQuorumMs),
    );
    const late = !replica.group.leaderReady && now - replica.electedAt > settings.leadershipBarrierMs;
    if ((!heard && now - replica.electedAt > settings.checkQuorumMs) || late) replica.group.stepDown();
  }

  private heardWithin(nodeId: number, now: number, ms: number): boolean {
    const peer = this.byNode.get(nodeId);
    return peer !== undefined && now - Math.max(peer.answeredMonotonic, peer.heartbeatReceivedAt) <= ms;
  }

  /** A leader sleeps while all its peers are heard from and up to date; a follower while its leader's node is alive. */
  private maySleep(replica: Replica): boolean {
    const { group } = replica;
    if (!group.quiet || replica.queuedItems > 0 || replica.hasWork) return false;
    if (!replica.leads) return this.byNode.get(replica.leaderNode)?.alive === true;
    return group.configuration.voters.every(
      member => member.nodeId === this.nodeId || this.byNode.get(member.nodeId)?.alive === true,
    );
  }

  // ---- peers -----------------------------------------------------------------------------------------------------------------

  hello(): Uint8Array {
    const { options } = this;
    const knows: Record<string, number> = {};
    for (const member of this.replicas.get(SYSTEM_PARTITION)?.group.configuration.voters ?? [])
      knows[member.nodeId] = member.replicaId;
    return encodeHello({
      protocolMin: PROTOCOL_VERSION,
      protocolMax: PROTOCOL_VERSION,
      clusterId: this.system?.clusterId ?? '',
      endpoint: options.endpoint,
      nodeId: options.nodeId,
      name: options.name,
      storageId: options.storageId,
      boot: options.boot,
      poolSize: this.poolSize,
      founded: this.replicas.size > 0,
      knows,
      listed: this.otherEndpoints().length + 1,
      clientUrl: options.clientUrl,
      consoleUrl: options.consoleUrl,
      electionTimeoutMs: this.settings.electionMinMs,
      version: options.version,
    });
  }

  onHello(bytes: Uint8Array, dialled: string | undefined): { readonly endpoint: string } | { readonly refused: string } {
    let hello: Hello;
    try {
      hello = decodeHello(bytes);
    } catch (error) {
      return { refused: error instanceof DecodeError ? error.message : 'hello could not be read' };
    }
    const refused = this.refusal(hello);
    if (refused !== undefined) {
      this.events.record('peer-refused', 'warning', `node/${hello.nodeId}`, `${hello.endpoint}: ${refused}`);
      return { refused };
    }
    const endpoint = dialled ?? hello.endpoint;
    const peer = this.peers.get(endpoint);
    if (peer === undefined) {
      return { refused: this.started ? `${endpoint} is not a member of this cluster` : 'still starting: it reads its log first' };
    }
    this.identify(peer, hello);
    return { endpoint };
  }

  private refusal(hello: Hello): string | undefined {
    if (hello.protocolMin > PROTOCOL_VERSION || hello.protocolMax < PROTOCOL_VERSION) {
      return `speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, this node ${PROTOCOL_VERSION}`;
    }
    if (hello.nodeId === this.nodeId) return `has this node's id ${this.nodeId}; give each node its own --raft-nodeid`;
    const { system } = this;
    if (system !== undefined && hello.clusterId !== '' && hello.clusterId !== system.clusterId) {
      return `belongs to cluster ${hello.clusterId}, this node to ${system.clusterId}`;
    }
    const known = this.byNode.get(hello.nodeId);
    if (known !== undefined && known.hello?.storageId === hello.storageId && hello.boot < known.boot) {
      return `its process ${hello.boot} is gone: process ${known.boot} of the same data directory was here`;
    }
    if (hello.poolSize !== this.poolSize) return `was started with ${hello.poolSize} partitions, this node has ${this.poolSize}`;
    const voter = this.replicas.get(SYSTEM_PARTITION)?.group.configuration.voters.find(member => member.nodeId === hello.nodeId);
    if (voter !== undefined && voter.replicaId !== hello.storageId) {
      return 'its data directory is not the one that is a member: it has lost its votes and entries';
    }
    return undefined;
  }

  private identify(peer: Peer, hello: Hello): void {
    peer.hello = hello;
    peer.nodeId = hello.nodeId;
    this.byNode.set(hello.nodeId, peer);
    if (!peer.bootIs(hello.boot)) return;
    // A new process leads nothing yet: what followed the old one looks for another leader.
    for (const replica of this.replicas.values()) {
      if (replica.leads || replica.leaderNode !== hello.nodeId) continue;
      replica.group.leaderLost();
      this.observe(replica);
      this.awake.add(replica);
    }
  }

  onUp(endpoint: string): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined) return;
    peer.connected = true;
    this.events.record('link-up', 'info', `node/${peer.nodeId}`, `connected to ${peer.hello?.name ?? endpoint}`, {
      nodeId: peer.nodeId,
    });
    this.resetReplication(peer);
    this.checksums.peerUp();
    const now = this.clock.monotonicMs();
    peer.writeHeartbeat(this.writeTo(peer), now, this.clock.wallMs(), this.leases.promiseMs);
    for (const replica of this.replicas.values()) {
      if (replica.leaderNode === peer.nodeId) this.dispatcher.leaderChanged(replica.partitionId);
    }
  }

  onDown(endpoint: string, reason: string): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined) return;
    const was = peer.connected;
    peer.linkLost();
    if (!was) return;
    this.events.record(
      'link-down',
      'warning',
      `node/${peer.nodeId}`,
      `connection to ${peer.hello?.name ?? endpoint} lost: ${reason}`,
      { nodeId: peer.nodeId },
    );
    this.resetReplication(peer);
    this.replaceLeaders(peer);
    this.snapshots.linkLost(peer);
    this.dispatcher.linkLost(peer.nodeId);
    this.scans.linkLost(peer);
  }

  /**
   * A killed process is noticed by its broken links long before the election timers run out. Its followers campaign as soon as
   * nobody is bound any more by the promise to it, each a little apart from the others. Pre-vote keeps this harmless where only the link broke.
   */
  private replaceLeaders(peer: Peer): void {
    const from = Math.max(this.clock.monotonicMs(), peer.promisedUntil);
    for (const replica of this.replicas.values()) {
      if (replica.leads || replica.leaderNode !== peer.nodeId) continue;
      replica.replaceLeaderAt = from + this.ports.rng.int(REPLACE_MIN_MS, REPLACE_MAX_MS);
      replica.replaceLeaderTries = REPLACE_TRIES;
      this.awake.add(replica);
    }
  }

  private tryToReplaceLeader(replica: Replica, now: number): void {
    if (replica.replaceLeaderAt === 0 || now < replica.replaceLeaderAt) return;
    const leader = replica.leaderNode;
    const gone = leader === 0 || this.byNode.get(leader)?.connected !== true;
    replica.replaceLeaderTries--;
    const over = !gone || replica.leads || replica.replaceLeaderTries < 0;
    replica.replaceLeaderAt = over ? 0 : now + this.ports.rng.int(REPLACE_MIN_MS, REPLACE_MAX_MS);
    // A candidate waits for votes already.
    if (!over && replica.group.role !== 'candidate') replica.group.campaign();
  }

  private resetReplication(peer: Peer): void {
    for (const replica of this.replicas.values()) {
      if (!replica.leads) continue;
      const member = replica.group.progress().find(progress => progress.member.nodeId === peer.nodeId)?.member;
      if (member === undefined) continue;
      replica.group.peerReset(member.replicaId);
      this.awake.add(replica);
      this.wake(replica);
    }
  }

  onFrame(endpoint: string, frame: Uint8Array): void {
    const peer = this.peers.get(endpoint);
    if (peer === undefined || !this.started || this.fatalFault !== null) return;
    this.counters.framesIn++;
    this.counters.bytesIn += frame.length;
    try {
      const reader = new ByteReader(frame);
      const header = readHeader(reader);
      if (!peer.admits(header, this.boot)) return;
      if (!this.hlc.merge(header.clock) && peer.tellsOfSkew(this.clock.monotonicMs())) {
        this.events.record(
          'clock-skew',
          'warning',
          `node/${peer.nodeId}`,
          `the clock of ${peer.hello?.name ?? endpoint} is more than 5 s ahead`,
          { nodeId: peer.nodeId },
        );
      }
      while (reader.remaining > 0) this.takeItem(peer, header, reader);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.events.record('bad-frame', 'warning', `node/${peer.nodeId}`, `${endpoint}: ${error.message}`);
    }
    this.scheduleFlush();
  }

  private takeItem(peer: Peer, header: FrameHeader, reader: ByteReader): void {
    const kind = reader.u8();
    switch (kind) {
      case ItemKind.Heartbeat:
        this.takeHeartbeat(peer, reader);
        return;
      case ItemKind.HeartbeatAck: {
        const seq = reader.varint();
        const promised = reader.u8() === 1;
        const wall = reader.f64();
        peer.heartbeatAnswered(seq, promised, this.clock.monotonicMs(), this.clock.wallMs(), wall);
        return;
      }
      case ItemKind.Raft: {
        const partitionId = reader.varint();
        const message = decodeMessage(reader);
        if (message.type === MessageType.Append || message.type === MessageType.AppendResponse) this.meters.steps.replication++;
        else this.meters.steps.control++;
        this.stepGroup(header, partitionId, message);
        return;
      }
      case ItemKind.Forward:
        this.dispatcher.takeForward(reader, header, peer);
        return;
      case ItemKind.ForwardAnswer:
        this.dispatcher.takeForwardAnswer(reader);
        return;
      case ItemKind.Scan:
      case ItemKind.ScanPage:
      case ItemKind.ScanMore:
      case ItemKind.ScanEnd:
        this.scans.takeItem(kind, peer, reader);
        return;
      case ItemKind.Snapshot:
      case ItemKind.SnapshotAck:
        this.snapshots.takeItem(kind, peer, reader);
        return;
      case ItemKind.Listing:
      case ItemKind.ListingPart:
        this.listings.takeItem(kind, peer, reader);
        return;
      case ItemKind.FactsRequest:
      case ItemKind.Facts:
        this.exchange.takeItem(kind, peer, reader);
        return;
      case ItemKind.Checksum:
        this.checksums.takeItem(peer, reader);
        return;
      case ItemKind.Transfer:
        // Whoever does not lead any more lets it be: the one who asked sees who leads.
        this.transferLeadership(reader.varint(), reader.varint());
        return;
      default:
        throw new DecodeError(`unknown item ${kind}`);
    }
  }

  private takeHeartbeat(peer: Peer, reader: ByteReader): void {
    const seq = reader.varint();
    const promiseMs = reader.varint();
    const now = this.clock.monotonicMs();
    const promised = promiseMs <= this.leases.promiseMs;
    peer.heartbeatReceivedAt = now;
    if (promised) peer.promisedUntil = Math.max(peer.promisedUntil, now + promiseMs);
    if (!peer.alive) {
      peer.alive = true;
      this.events.record('node-alive', 'info', `node/${peer.nodeId}`, `heartbeats from ${peer.hello?.name ?? peer.endpoint}`, {
        nodeId: peer.nodeId,
      });
    }
    for (const replica of this.awake) {
      if (!replica.leads && replica.leaderNode === peer.nodeId) replica.group.leaderAlive();
    }
    const writer = this.writeTo(peer);
    writer.u8(ItemKind.HeartbeatAck);
    writer.varint(seq);
    writer.u8(promised ? 1 : 0);
    writer.f64(this.clock.wallMs());
  }

  private stepGroup(header: FrameHeader, partitionId: PartitionId, message: Message): void {
    const replica = this.replicas.get(partitionId);
    if (replica === undefined || message.to !== replica.replicaId) return;
    // Entries taken now would be acknowledged and then go with the log that the snapshot replaces.
    if (replica.installing && message.type !== MessageType.Heartbeat) return;
    if (replica.diverged && message.type === MessageType.TimeoutNow) return;
    if (isElection(message) && this.clock.monotonicMs() < this.clockFrom) return;
    if (message.type === MessageType.VoteResponse && !message.reject) this.hlc.observe(header.clock);
    for (const entry of message.entries) this.observeStamp(entry);
    replica.group.step(message, this.leases.votesAreBound(replica));
    this.observe(replica);
    if (isAnswer(message) && replica.leads && message.term === replica.group.term) {
      const answered = replica.answered.get(message.from);
      if (answered === undefined) replica.answered.set(message.from, { boot: header.senderBoot, allegiance: header.allegiance });
      else {
        answered.boot = header.senderBoot;
        answered.allegiance = header.allegiance;
      }
    }
    this.awake.add(replica);
    this.wake(replica);
  }

  // ---- views -----------------------------------------------------------------------------------------------------------------

  scan(query: ScanQuery, deadlineMs: number): Promise<ScanAnswer> {
    return new Promise(resolve => this.scans.scan(query, deadlineMs, resolve));
  }

  hold(operation: HoldOperation, deadlineMs: number): Promise<HoldAnswer> {
    return new Promise(resolve => this.holds.ask(operation, deadlineMs, resolve));
  }

  watch(query: WatchQuery, wake: () => void): Watch {
    return this.watches.open(query, wake);
  }

  watchNames(kind: NameKind, prefix: string, changed: () => void): () => void {
    return this.names.listen(kind, prefix, changed);
  }

  list(query: ListingQuery, deadlineMs: number): Promise<ListingAnswer> {
    return new Promise(resolve => this.listings.list(query, deadlineMs, resolve));
  }

  keySpaces(query: KeySpaceQuery, deadlineMs: number): Promise<KeySpaceAnswer> {
    return new Promise(resolve => this.scans.keySpaces(query, deadlineMs, resolve));
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

  isAwake(replica: Replica): boolean {
    return this.awake.has(replica);
  }
}

const STOPPED = 'the node was stopped while it started';
/** A read by revision or time takes one row at a time; its value may be large. */
const READ_SCAN_BYTES = 64 * 1024 * 1024;
/** A latency quantile covers between half of this and all of it. */
const LATENCY_WINDOW_MS = 10_000;
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** How long after the promise to a lost leader a follower tries to replace it, and how often. Milliseconds. */
const REPLACE_MIN_MS = 20;
const REPLACE_MAX_MS = 250;
const REPLACE_TRIES = 6;

function policyOf(sequences: SequenceSettings): CommandPolicy {
  const { blockSize, retentionMax, retentionMs } = sequences;
  // Below 1 counts as 1, and a negative retention as none (spec sequences §6, §7).
  return {
    lockSkewMs: LOCK_CLOCK_SKEW_MS,
    blockSize: Math.max(1, blockSize),
    retentionMax: Math.max(0, retentionMax),
    retentionMs: Math.max(0, retentionMs),
  };
}

const HOLD_ID_DIGITS = 32;

function drawHex(rng: Ports['rng'], digits: number): string {
  let text = '';
  while (text.length < digits) text += rng.int(0, 15).toString(16);
  return text;
}

/** undefined beyond the log's end. */
function termInLog({ start, entries }: RecoveredGroup, index: number): number | undefined {
  return index === start.index ? start.term : entries[index - start.index - 1]?.term;
}

/** What may end in a new leader, which must stamp above every time that its voters have told. */
function isElection({ type }: Message): boolean {
  return type === MessageType.Vote || type === MessageType.TimeoutNow;
}

function isAnswer(message: Message): boolean {
  return message.type === MessageType.AppendResponse || message.type === MessageType.HeartbeatResponse;
}

export function createNodeHost(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void): NodeHost {
  return new NodeHost(options, ports, onFatal);
}
