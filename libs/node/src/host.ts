import { ByteReader, DecodeError, HybridClock, META_PARTITION, type PartitionId, SYSTEM_PARTITION } from '@kahuna/base';
import {
  createPartitionMachine,
  decodeMetaRow,
  EphemeralTable,
  type FlushBatch,
  type FoundCluster,
  type FoundRangeMap,
  type GetOperation,
  HeadCache,
  lastStampOf,
  metaRowKey,
  type Operation,
  type PartitionMachine,
  type SystemState,
} from '@kahuna/partition';
import {
  type Configuration,
  createRaftGroup,
  decodeMessage,
  type Entry,
  EntryKind,
  encodeMessage,
  type Member,
  type Message,
  MessageType,
  type RaftGroup,
} from '@kahuna/raft';
import { RoutingTable } from '@kahuna/range-router';
import type { HealthView, KahunaNode, MembershipView, NodeFacts, ResultSink, RoutingView } from './api.ts';
import { Dispatcher, type DispatchHost } from './dispatcher.ts';
import { EventRing } from './events.ts';
import { FactsExchange } from './facts-exchange.ts';
import { decodeHello, encodeHello, type Hello, PROTOCOL_VERSION } from './hello.ts';
import { LatencyHistogram } from './latency.ts';
import { Peer } from './peer.ts';
import { type FrameHeader, ItemKind, readHeader } from './peer-frame.ts';
import type { LogRecord, Ports, RecoveredGroup, TransportListener } from './ports.ts';
import { Replica, type ReplicaHost } from './replica.ts';
import { PendingRequest, type RequestOrigin } from './request.ts';
import { DEFAULT_SETTINGS, type NodeOptions, type NodeSettings } from './settings.ts';
import { SnapshotTransfers } from './snapshots.ts';
import { healthView, membershipView, nodeFacts, routingView } from './views.ts';

/** A promise of a peer is trusted for this share of its length: the two monotonic clocks may run at different rates. */
const LEASE_DRIFT_MARGIN = 0.9;
/** Share of the lower election timeout that a heartbeat asks to be promised (design §5, Lease). */
const PROMISE_SHARE = 0.75;

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
export class NodeHost implements KahunaNode, ReplicaHost, DispatchHost, TransportListener {
  readonly options: NodeOptions;
  readonly settings: NodeSettings;
  readonly clock: Ports['clock'];
  readonly hlc: HybridClock;
  readonly events: EventRing;
  readonly limits: NodeSettings['limits'];
  readonly replicas = new Map<PartitionId, Replica>();
  readonly peers = new Map<string, Peer>();
  readonly dispatcher: Dispatcher;
  readonly readLatency = new LatencyHistogram();
  readonly writeLatency = new LatencyHistogram();
  readonly logLatency = new LatencyHistogram();
  readonly startedWallMs: number;
  readonly headCache: HeadCache;
  private readonly ephemeralCache: HeadCache;
  fatalFault: string | null = null;
  stopping = false;
  readonly counters = {
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    logWrites: 0,
    logRecords: 0,
    elections: 0,
    snapshotsSent: 0,
    snapshotsInstalled: 0,
  };

  private readonly ports: Ports;
  private readonly byNode = new Map<number, Peer>();
  private readonly facts$: FactsExchange;
  private readonly snapshots: SnapshotTransfers;
  private readonly onFatal: ((reason: string) => void) | undefined;
  private dirty: Replica[] = [];
  private readonly awake = new Set<Replica>();
  private readonly outbox = new Set<Peer>();
  private flushScheduled = false;
  private flushing = false;
  private started = false;
  private table: RoutingTable | undefined;
  private poolSize: number;
  private electionsFrom = 0;
  private boundRequested = 0;
  /** When the founding command of P0 and P1 was last proposed. */
  private readonly founding = new Map<PartitionId, number>();
  private unfoundedSince = 0;
  private lastFoundingReport = 0;
  private readonly lastWrite = new Map<Replica, LogWrite>();
  private stateFlushInFlight = false;
  private stateFlushDue = 0;
  private stateDirty = new Set<Replica>();
  private checkpointDue = 0;
  private checkpointInFlight = false;
  private cancelTick: (() => void) | undefined;
  private readFetches: {
    readonly replica: Replica;
    readonly request: PendingRequest;
    readonly keys: readonly Uint8Array[];
    readonly flushSeq: number;
  }[] = [];

  constructor(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void) {
    this.options = options;
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
    this.limits = this.settings.limits;
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
    this.facts$ = new FactsExchange(this);
    this.snapshots = new SnapshotTransfers(this, ports);
    ports.transport.listener = this;
  }

  get nodeId(): number {
    return this.options.nodeId;
  }

  get boot(): number {
    return this.options.boot;
  }

  get standalone(): boolean {
    return this.otherEndpoints().length === 0;
  }

  get accepting(): boolean {
    return this.started && !this.stopping && this.fatalFault === null;
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
    this.ports.log.recover((error, log) => {
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
        this.ports.engine.getMany(ids.map(metaRowKey), (engineError, rows) => {
          if (engineError !== undefined) {
            done(engineError);
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

  private recoverGroups(groups: readonly RecoveredGroup[], metaRows: readonly (Uint8Array | undefined)[]): void {
    const system = metaRows[groups.findIndex(group => group.partitionId === SYSTEM_PARTITION)];
    const founded = system === undefined ? undefined : decodeMetaRow(system).system;
    this.poolSize = founded?.poolSize ?? this.options.poolSize;
    for (const [i, group] of groups.entries()) this.recoverGroup(group, metaRows[i]);
  }

  private begin(fresh: boolean): void {
    const now = this.clock.monotonicMs();
    this.started = true;
    this.unfoundedSince = now;
    this.checkpointDue = now + this.settings.checkpointMs;
    // A restarted node may have promised its votes in its former life (design §5, Lease); alone there is nobody to wait for.
    const grace = fresh || this.standalone ? 0 : Math.max(this.settings.electionMinMs, this.settings.timerInitialDelayMs);
    this.electionsFrom = now + Math.max(grace, this.hlc.waitBeforeServingMs());
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
    this.tick();
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
    this.stopping = true;
    this.dispatcher.refuseAll();
    for (const replica of this.replicas.values()) if (replica.leads) this.handOver(replica);
    const finish = (): void => {
      this.cancelTick?.();
      this.flushState(() => {
        this.started = false;
        this.ports.engine.sync(() => {
          this.ports.transport.close(() => this.ports.log.close(() => this.ports.engine.close(() => done())));
        });
      });
    };
    if (this.standalone || this.fatalFault !== null) finish();
    else this.ports.scheduler.after(Math.min(1000, this.settings.heartbeatMs), finish);
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
    if (replica === undefined || member === undefined || !replica.leads) return false;
    const begun = replica.group.transferLeadership(member.replicaId);
    this.wake(replica);
    return begun;
  }

  fatal(reason: string): void {
    if (this.fatalFault !== null) return;
    this.fatalFault = reason;
    this.events.record('fatal-fault', 'critical', `node/${this.nodeId}`, reason);
    this.dispatcher.refuseAll();
    this.cancelTick?.();
    this.onFatal?.(reason);
  }

  // ---- groups ----------------------------------------------------------------------------------------------------------------

  private recoverGroup(recovered: RecoveredGroup, metaRow: Uint8Array | undefined): void {
    const { partitionId, start } = recovered;
    const machine = this.createMachine(partitionId, metaRow);
    const last = recovered.entries.at(-1)?.index ?? start.index;
    for (const entry of recovered.entries) this.observeStamp(entry);
    const installing = this.snapshots.marked(partitionId) !== undefined;
    if (machine.appliedIndex < start.index && !installing) {
      throw new Error(
        `partition ${partitionId}: the state ends at ${machine.appliedIndex}, but the log begins behind ${start.index}: state was lost`,
      );
    }
    // The engine outlived the end of the log: the log restarts behind it, as after a snapshot.
    const ahead = machine.appliedIndex > last && !installing;
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
    if (ahead) this.writeStart(partitionId, recovered.replicaId, begin.index, begin.term, configuration, true);
    const replica = new Replica(partitionId, group, machine, begin.configuration, this);
    replica.installing = installing;
    this.addReplica(replica);
  }

  private createMachine(partitionId: PartitionId, metaRow: Uint8Array | undefined): PartitionMachine {
    return createPartitionMachine({ partitionId, poolSize: this.poolSize, headCache: this.headCache, metaRow });
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

  // ---- founding --------------------------------------------------------------------------------------------------------------

  /**
   * First boot: once every listed node has said hello, all of them create the same groups with the same members; no messages are
   * needed for that. A node whose peers have a cluster already waits, unless they count this very data directory as a member.
   */
  private tryFound(now: number): void {
    const peers = this.otherEndpoints().map(endpoint => this.peers.get(endpoint));
    const missing = this.otherEndpoints().filter(endpoint => this.peers.get(endpoint)?.hello === undefined);
    if (missing.length > 0) {
      this.reportWaiting(now, `waiting for ${missing.join(', ')} to found the cluster`);
      return;
    }
    const hellos = peers.map(peer => peer?.hello).filter(hello => hello !== undefined);
    const stranger = hellos.find(hello => hello.founded && hello.knows[this.nodeId] !== this.options.storageId);
    if (stranger !== undefined) {
      this.reportWaiting(
        now,
        `${stranger.endpoint} belongs to a cluster that does not know this data directory; remove this node there and let it join anew`,
      );
      return;
    }
    const members: Member[] = [
      { replicaId: this.options.storageId, nodeId: this.nodeId },
      ...hellos.map(hello => ({ replicaId: hello.storageId, nodeId: hello.nodeId })),
    ].sort((a, b) => a.replicaId - b.replicaId);
    if (new Set(members.map(member => member.nodeId)).size !== members.length) {
      this.reportWaiting(now, 'two nodes have the same node id; give each its own --raft-nodeid');
      return;
    }
    const configuration: Configuration = { voters: members, outgoing: [], learners: [] };
    const records: LogRecord[] = [];
    for (let id = 0; id < this.poolSize + 2; id++) {
      records.push({
        partitionId: id,
        replicaId: this.options.storageId,
        hardState: { term: 0, vote: 0 },
        entries: [],
        start: { index: 0, term: 0, configuration, reset: true },
      });
    }
    this.unfoundedSince = 0;
    this.ports.log.append(records, undefined, error => {
      if (error !== undefined) {
        this.fatal(`log write failed: ${error.message}`);
        return;
      }
      for (const record of records) {
        const { partitionId } = record;
        const group = this.createGroup({
          replicaId: this.options.storageId,
          configuration,
          hardState: { term: 0, vote: 0 },
          startIndex: 0,
          startTerm: 0,
          entries: [],
          appliedIndex: 0,
        });
        this.addReplica(new Replica(partitionId, group, this.createMachine(partitionId, undefined), configuration, this));
        // Alone: no reason to wait for an election timeout. Together each begins with its share of the leaders.
        if (members.length === 1) group.campaign();
        else if (members[partitionId % members.length]?.nodeId === this.nodeId) {
          this.after(this.settings.heartbeatMs, () => this.campaignIfLeaderless(partitionId));
        }
      }
      this.events.record(
        'founded',
        'info',
        `node/${this.nodeId}`,
        `created ${records.length} partitions with ${members.length} voter(s)`,
      );
    });
  }

  private campaignIfLeaderless(partitionId: PartitionId): void {
    const replica = this.replicas.get(partitionId);
    if (!this.accepting || replica === undefined || replica.group.leaderId !== 0 || replica.group.term > 0) return;
    replica.group.campaign();
    this.observe(replica);
    this.wake(replica);
  }

  private reportWaiting(now: number, text: string): void {
    if (now - this.lastFoundingReport < 10_000) return;
    this.lastFoundingReport = now;
    this.events.record('waiting', 'warning', `node/${this.nodeId}`, text);
  }

  /** The first leaders of P0 and P1 write the state that makes the cluster initialised. */
  private proposeFoundingState(now: number): void {
    const system = this.replicas.get(SYSTEM_PARTITION);
    const meta = this.replicas.get(META_PARTITION);
    if (system?.leads && system.group.leaderReady && system.machine.system === undefined) {
      const command = this.foundCluster(system);
      if (command !== undefined) this.proposeInternal(system, command, now);
    }
    if (meta?.leads && meta.group.leaderReady && meta.machine.meta === undefined) {
      this.proposeInternal(meta, { kind: 'found-range-map' }, now);
    }
  }

  private foundCluster(system: Replica): FoundCluster | undefined {
    const members = system.group.configuration.voters.map(voter => {
      if (voter.nodeId === this.nodeId) {
        const { endpoint, name, clientUrl, consoleUrl, storageId, nodeId } = this.options;
        return { endpoint, nodeId, name, storageId, clientUrl, consoleUrl };
      }
      const hello = this.byNode.get(voter.nodeId)?.hello;
      if (hello === undefined) return undefined;
      const { endpoint, name, clientUrl, consoleUrl, storageId, nodeId } = hello;
      return { endpoint, nodeId, name, storageId, clientUrl, consoleUrl };
    });
    const known = members.filter(member => member !== undefined);
    if (known.length !== members.length) return undefined;
    known.sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
    return { kind: 'found-cluster', clusterId: this.options.newClusterId, poolSize: this.poolSize, members: known };
  }

  private proposeInternal(replica: Replica, command: FoundCluster | FoundRangeMap, now: number): void {
    if (now - (this.founding.get(replica.partitionId) ?? Number.NEGATIVE_INFINITY) < FOUNDING_RETRY_MS) return;
    this.founding.set(replica.partitionId, now);
    const request = new PendingRequest(
      command,
      replica.partitionId,
      INTERNAL_ORIGIN,
      undefined,
      0,
      now,
      0,
      this.nodeId,
      this.boot,
      0,
      this.hlc.current(),
      false,
    );
    replica.accept(request);
  }

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

  submit(operation: Operation, sink: ResultSink, token: number, deadlineMs: number): void {
    this.dispatcher.submit(operation, sink, token, deadlineMs);
  }

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  after(ms: number, task: () => void): void {
    this.ports.scheduler.after(ms, task);
  }

  createEphemeralTable(replica: Replica): EphemeralTable {
    return new EphemeralTable({ partitionId: replica.partitionId, poolSize: this.poolSize, cache: this.ephemeralCache });
  }

  fetchForApply(replica: Replica, keys: readonly Uint8Array[], resume: () => void): void {
    this.ports.engine.getMany(keys, (error, values) => {
      if (this.failedEngine(error)) return;
      replica.machine.supply(keys.map((key, i) => ({ key, value: values[i] })));
      resume();
    });
  }

  fetchForRead(replica: Replica, request: PendingRequest): void {
    const need = replica.machine.read(request.read, this.hlc.current().l, undefined);
    if (!('kind' in need)) {
      replica.finishFetchedRead(request, need);
      return;
    }
    const { flushSeq } = replica;
    if (need.kind === 'rows') {
      this.readFetches.push({ replica, request, keys: need.keys, flushSeq });
      this.scheduleFlush();
      return;
    }
    this.ports.engine.scan(
      { from: need.from, to: need.to, reverse: need.reverse, maxRows: need.maxRows, maxBytes: 64 * 1024 * 1024 },
      (error, page) => {
        if (this.failedEngine(error)) return;
        this.readFetched(replica, request, page.rows, flushSeq);
      },
    );
  }

  /** All rows that reads of this turn need are asked for in one call. */
  private startReadFetches(): void {
    if (this.readFetches.length === 0) return;
    const fetches = this.readFetches;
    this.readFetches = [];
    const keys = fetches.flatMap(fetch => fetch.keys);
    this.ports.engine.getMany(keys, (error, values) => {
      if (this.failedEngine(error)) return;
      let at = 0;
      for (const fetch of fetches) {
        const rows = fetch.keys.map(key => ({ key, value: values[at++] }));
        this.readFetched(fetch.replica, fetch.request, rows, fetch.flushSeq);
      }
      this.scheduleFlush();
    });
  }

  /** A flush that ended meanwhile may have moved newer rows from memory to the engine: then the rows at hand are stale and are read again. */
  private readFetched(
    replica: Replica,
    request: PendingRequest,
    rows: readonly { key: Uint8Array; value: Uint8Array | undefined }[],
    flushSeq: number,
  ): void {
    if (request.done) return;
    if (replica.flushSeq !== flushSeq || !replica.leads) {
      replica.accept(request);
      return;
    }
    const outcome = replica.machine.read(request.read as GetOperation, this.hlc.current().l, rows);
    if ('kind' in outcome) this.fetchForRead(replica, request);
    else replica.finishFetchedRead(request, outcome);
    this.scheduleFlush();
  }

  failedEngine(error: Error | undefined): boolean {
    if (error !== undefined) this.fatal(`state engine failed: ${error.message}`);
    return this.fatalFault !== null || !this.started;
  }

  // ---- leases ----------------------------------------------------------------------------------------------------------------

  hasLease(replica: Replica): boolean {
    const { group } = replica;
    if (group.leaseForfeited) return false;
    const monotonic = this.clock.monotonicMs();
    const wall = this.clock.wallMs();
    if (replica.leaseTerm === group.term && monotonic < replica.leaseMonotonicUntil && wall < replica.leaseWallUntil) return true;
    const promise = this.promiseMs() * LEASE_DRIFT_MARGIN;
    // The monotonic clock stops while a machine is suspended, the wall clock may be set back: the greater of the two has passed.
    const remaining = group.quorumValue(member => {
      if (member.nodeId === this.nodeId) return promise;
      const peer = this.followingPeer(replica, member);
      if (peer === undefined || peer.answeredBoot !== peer.boot) return Number.NEGATIVE_INFINITY;
      const answered = replica.answered.get(member.replicaId);
      if (answered?.allegiance !== peer.answeredAllegiance) return Number.NEGATIVE_INFINITY;
      return promise - Math.max(monotonic - peer.answeredMonotonic, wall - peer.answeredWall);
    });
    if (remaining <= 0) return false;
    replica.leaseTerm = group.term;
    replica.leaseMonotonicUntil = monotonic + remaining;
    replica.leaseWallUntil = wall + remaining;
    return true;
  }

  quorumClockMs(replica: Replica): number {
    return replica.group.quorumValue(member => {
      if (member.nodeId === this.nodeId) return this.hlc.current().l;
      return this.followingPeer(replica, member)?.clockMs ?? 0;
    });
  }

  /** The peer of a member, if it has answered this leadership in its present boot and left no leader of ours since. */
  private followingPeer(replica: Replica, member: Member): Peer | undefined {
    const peer = this.byNode.get(member.nodeId);
    const answered = replica.answered.get(member.replicaId);
    if (peer === undefined || answered === undefined) return undefined;
    return answered.boot === peer.boot && answered.allegiance === peer.allegiance ? peer : undefined;
  }

  private promiseMs(): number {
    return Math.floor(this.settings.electionMinMs * PROMISE_SHARE);
  }

  /** Votes are bound: by a promise to the leader's node, by a lease of our own, or by what a former life may have promised. */
  private votesAreBound(replica: Replica): boolean {
    const now = this.clock.monotonicMs();
    if (now < this.electionsFrom || replica.installing) return true;
    if (replica.leads) return this.hasLease(replica);
    const leader = replica.leaderNode;
    return leader !== 0 && now < (this.byNode.get(leader)?.promisedUntil ?? 0);
  }

  // ---- the turn --------------------------------------------------------------------------------------------------------------

  wake(replica: Replica): void {
    if (!replica.dirty) {
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
    this.flush();
  };

  private flush(): void {
    if (!this.started || this.fatalFault !== null || this.flushing) return;
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
        if (part.index > 0) group.persisted(part.index, part.term);
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
    const writer = peer.openFrame(this.boot, this.currentClock);
    if (peer.frameBytes > MAX_FRAME_BYTES) {
      peer.finishFrame();
      return peer.openFrame(this.boot, this.currentClock);
    }
    return writer;
  }

  private readonly currentClock = () => this.hlc.current();

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
    if (replica.machine.appliedIndex > replica.flushedIndex) {
      this.stateDirty.add(replica);
      if (this.stateFlushDue === 0) this.stateFlushDue = this.clock.monotonicMs() + this.settings.stateFlushMs;
    }
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
    if (formerNode !== 0 && formerNode !== this.nodeId) this.byNode.get(formerNode)?.left();
    const led = former !== 0 && former === group.replicaId;
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
    if (this.replicas.size === 0) {
      if (this.unfoundedSince !== 0) this.tryFound(now);
    } else if (this.table === undefined) {
      this.proposeFoundingState(now);
    }
    this.tickPeers(now);
    this.tickGroups(now);
    this.dispatcher.tick(now);
    this.snapshots.tick(now);
    this.facts$.tick(now);
    if (this.stateFlushDue !== 0 && now >= this.stateFlushDue) this.flushState();
    if (now >= this.checkpointDue) this.checkpoint(now);
    this.scheduleFlush();
  };

  private requestClockBound(): void {
    const wanted = this.hlc.boundWanted();
    if (wanted === undefined || wanted <= this.boundRequested) return;
    this.boundRequested = wanted;
    this.ports.log.append([], wanted, error => {
      if (error !== undefined) this.fatal(`log write failed: ${error.message}`);
      else this.hlc.boundDurable(wanted);
    });
  }

  private tickPeers(now: number): void {
    const { heartbeatMs, tickMs } = this.settings;
    for (const peer of this.peers.values()) {
      if (peer.connected && now - peer.lastHeartbeatSentAt >= heartbeatMs) {
        peer.writeHeartbeat(this.writeTo(peer), now, this.clock.wallMs(), this.promiseMs());
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
      } else if (now >= this.electionsFrom) {
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

  // ---- state and log housekeeping --------------------------------------------------------------------------------------------

  /** Writes what was applied to the engine: all partitions in one atomic batch; one batch under way at a time. */
  flushState(done?: () => void): void {
    if (this.stateFlushInFlight) {
      if (done !== undefined) this.afterStateFlush.push(() => this.flushState(done));
      return;
    }
    this.stateFlushDue = 0;
    const batches: { replica: Replica; batch: FlushBatch }[] = [];
    const rows: FlushBatch['rows'][number][] = [];
    for (const replica of this.stateDirty) {
      if (replica.installing) continue;
      const batch = replica.takeFlush();
      if (batch === undefined) continue;
      batches.push({ replica, batch });
      for (const row of batch.rows) rows.push(row);
    }
    this.stateDirty.clear();
    if (rows.length === 0) {
      done?.();
      return;
    }
    this.stateFlushInFlight = true;
    this.ports.engine.write(rows, error => {
      this.stateFlushInFlight = false;
      if (error !== undefined) {
        this.fatal(`state engine failed: ${error.message}`);
        return;
      }
      for (const { replica, batch } of batches) replica.flushed(batch);
      done?.();
      for (const next of this.afterStateFlush.splice(0)) next();
    });
  }

  private readonly afterStateFlush: (() => void)[] = [];

  /** Makes the engine durable, then compacts every log up to what it holds (N3). */
  checkpoint(now: number, done?: () => void): void {
    this.checkpointDue = now + this.settings.checkpointMs;
    if (this.checkpointInFlight) return;
    this.checkpointInFlight = true;
    this.flushState(() => {
      const flushed = new Map<PartitionId, number>();
      for (const replica of this.replicas.values()) flushed.set(replica.partitionId, replica.flushedIndex);
      this.ports.engine.sync(error => {
        this.checkpointInFlight = false;
        if (error !== undefined) {
          this.fatal(`state engine failed: ${error.message}`);
          return;
        }
        for (const [partitionId, index] of flushed) {
          const replica = this.replicas.get(partitionId);
          if (replica === undefined || replica.installing) continue;
          replica.durableIndex = Math.max(replica.durableIndex, index);
          this.compact(replica);
        }
        this.ports.log.release(flushed);
        done?.();
      });
    });
  }

  private compact(replica: Replica): void {
    const { group } = replica;
    const { keepEntries, keepBytes } = this.settings;
    const kept = group.lastIndex - group.firstIndex + 1;
    const tooMany = kept > keepEntries * 1.1 || group.logBytes > keepBytes;
    if (!tooMany) return;
    // Bytes are spread evenly enough over entries to estimate how many fit.
    const fit = group.logBytes > keepBytes ? Math.floor((kept * keepBytes) / group.logBytes / 2) : keepEntries;
    const index = Math.min(replica.durableIndex, group.lastIndex - Math.min(fit, keepEntries));
    if (index < group.firstIndex || index > replica.durableIndex) return;
    const configuration = replica.machine.configuration ?? replica.baseConfiguration;
    const term = group.termAt(index);
    if (term === undefined) return;
    group.compact(index);
    this.writeStart(replica.partitionId, replica.replicaId, index, term, configuration, false);
  }

  /** The log of a group begins behind `index` from now on; with `reset` the entries at hand are void. */
  writeStart(
    partitionId: PartitionId,
    replicaId: number,
    index: number,
    term: number,
    configuration: Configuration,
    reset: boolean,
    done?: () => void,
  ): void {
    const start = { index, term, configuration, reset };
    this.ports.log.append([{ partitionId, replicaId, hardState: undefined, entries: [], start }], undefined, error => {
      if (error !== undefined) this.fatal(`log write failed: ${error.message}`);
      else done?.();
    });
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
    if (peer === undefined) return { refused: `${endpoint} is not a member of this cluster` };
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
    const now = this.clock.monotonicMs();
    peer.writeHeartbeat(this.writeTo(peer), now, this.clock.wallMs(), this.promiseMs());
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
    this.snapshots.linkLost(peer);
    this.dispatcher.linkLost(peer.nodeId);
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
      if (!this.hlc.merge(header.clock)) {
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
        this.stepGroup(header, partitionId, decodeMessage(reader));
        return;
      }
      case ItemKind.Forward:
        this.dispatcher.takeForward(reader, header, peer);
        return;
      case ItemKind.ForwardAnswer:
        this.dispatcher.takeForwardAnswer(reader);
        return;
      case ItemKind.Snapshot:
      case ItemKind.SnapshotAck:
        this.snapshots.takeItem(kind, peer, reader);
        return;
      case ItemKind.FactsRequest:
      case ItemKind.Facts:
        this.facts$.takeItem(kind, peer, reader);
        return;
      default:
        throw new DecodeError(`unknown item ${kind}`);
    }
  }

  private takeHeartbeat(peer: Peer, reader: ByteReader): void {
    const seq = reader.varint();
    const promiseMs = reader.varint();
    const now = this.clock.monotonicMs();
    const promised = promiseMs <= this.promiseMs();
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
    if (replica.installing && message.type !== MessageType.Append && message.type !== MessageType.Heartbeat) return;
    if (message.type === MessageType.VoteResponse && !message.reject) this.hlc.observe(header.clock);
    for (const entry of message.entries) this.observeStamp(entry);
    replica.group.step(message, this.votesAreBound(replica));
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

  peerFacts(nodeId: number): { readonly facts: NodeFacts; readonly receivedAtMs: number } | undefined {
    return this.facts$.of(nodeId);
  }

  gatherPeerFacts(): () => void {
    return this.facts$.gather();
  }

  isAwake(replica: Replica): boolean {
    return this.awake.has(replica);
  }
}

/** Commands of the node itself: nobody waits for their answer; whether they took effect shows in the state. */
const INTERNAL_ORIGIN: RequestOrigin = {
  answer: () => undefined,
  refuse: request => {
    request.done = true;
  },
};

const FOUNDING_RETRY_MS = 1000;
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

function isAnswer(message: Message): boolean {
  return message.type === MessageType.AppendResponse || message.type === MessageType.HeartbeatResponse;
}

export function createNodeHost(options: NodeOptions, ports: Ports, onFatal?: (reason: string) => void): NodeHost {
  return new NodeHost(options, ports, onFatal);
}
