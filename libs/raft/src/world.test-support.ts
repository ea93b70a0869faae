import { assert, Rng } from '@kahuna/base';
import { transmit } from './cluster.test-support.ts';
import { decodeConfiguration } from './codec.ts';
import { allMembers, includes } from './configuration.ts';
import { RaftCore } from './group.ts';
import {
  type Configuration,
  type Entry,
  EntryKind,
  type HardState,
  type Member,
  type Message,
  MessageType,
  type Ready,
} from './types.ts';

/**
 * A cluster of cores under a hostile host: messages are lost, repeated, delayed and reordered; disks complete late and lose what they
 * had not completed in a crash; the state machine's store is synced at its own pace, sometimes ahead of the log; hosts look at
 * `ready` late; logs are compacted, snapshots shipped, configurations changed, leadership moved.
 *
 * One seed decides everything, so a failing seed replays step by step. After every step the world checks what Raft promises
 * (Raft figure 3); the numbers S1 … S9 name the properties in failures.
 */

interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  /** Rolling digest of every applied entry: equal digests mean equal histories. */
  readonly digest: number;
}

interface Disk {
  hardState: HardState;
  start: Snapshot;
  entries: Entry[];
  /** The state machine's own durable state. */
  engine: Snapshot;
}

interface Transfer {
  readonly from: number;
  readonly to: number;
  readonly snapshot: Snapshot;
}

const NOBODY: Configuration = { voters: [], outgoing: [], learners: [] };

function member(replicaId: number): Member {
  return { replicaId, nodeId: 100 + replicaId };
}

function digestOf(before: number, entry: Entry): number {
  let hash = Math.imul(before ^ entry.index, 0x01000193) ^ entry.term ^ (entry.kind << 20);
  for (const byte of entry.data) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export class Replica {
  readonly id: number;
  readonly disk: Disk;
  core: RaftCore | undefined;
  /** Handed to the disk, not completed: oldest first. A snapshot stands for "the log now begins behind it" (compaction). */
  writes: (Ready | Snapshot)[] = [];
  state: Snapshot;
  /** Committed configurations by index, newest last. */
  configurations: { index: number; configuration: Configuration }[] = [];
  seenCommit = 0;
  /** Own ticks since the leader was heard of. */
  silence = 0;

  constructor(id: number, configuration: Configuration) {
    this.id = id;
    const empty: Snapshot = { index: 0, term: 0, configuration, digest: 0 };
    this.disk = { hardState: { term: 0, vote: 0 }, start: empty, entries: [], engine: empty };
    this.state = empty;
  }
}

export interface WorldOptions {
  readonly seed: number;
  readonly replicas: number;
  readonly initialVoters: number;
  /** Scales crashes, losses and isolations: 0 … 1. Calm worlds get far, rough ones meet corner cases. */
  readonly roughness: number;
}

export class World {
  readonly rng: Rng;
  private readonly roughness: number;
  readonly replicas: Replica[] = [];
  /** The latest events worth reading, for the message of a failure. */
  private readonly trace: string[] = [];
  private network: Message[] = [];
  private transfers: Transfer[] = [];
  private readonly isolated = new Set<number>();
  private counter = 0;
  private contexts = 0;
  private chaos = true;
  /** S2: what stands at each committed index, for ever. */
  private readonly committed: { term: number; digest: number; committedIn: number }[] = [];
  /** Digest of the whole history up to each committed index. */
  private readonly histories = [0];
  /** S1 */
  private readonly leaders = new Map<number, number>();
  /** S6: the candidate each replica voted for, by `replica/term`. */
  private readonly votes = new Map<string, number>();
  /** S8: highest committed index when the read was asked for, by `replica/context`. */
  private readonly reads = new Map<string, number>();
  readonly counts = { elections: 0, proposals: 0, reads: 0, changes: 0, snapshots: 0, crashes: 0, transfers: 0, joint: 0 };

  constructor(options: WorldOptions) {
    this.rng = new Rng(options.seed);
    this.roughness = options.roughness;
    const initial: Configuration = { ...NOBODY, voters: Array.from({ length: options.initialVoters }, (_, i) => member(i + 1)) };
    for (let id = 1; id <= options.replicas; id++) {
      this.replicas.push(new Replica(id, id <= options.initialVoters ? initial : NOBODY));
    }
    for (const replica of this.replicas) this.start(replica);
  }

  get committedCount(): number {
    return this.committed.length;
  }

  // ---- the two phases ------------------------------------------------------------------------------------------------------

  runChaos(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.randomStep();
      this.checkAll(i % 16 === 0);
    }
    this.checkAll(true);
  }

  /** Faults stop. In bounded time one leader must have brought every member to the same committed log, and be quiet. */
  runUntilHealed(maxRounds: number): void {
    this.chaos = false;
    this.isolated.clear();
    for (const replica of this.replicas) {
      if (replica.core === undefined) this.start(replica);
      for (const other of this.replicas) replica.core?.peerReset(other.id);
    }
    let proposed = 0;
    for (let round = 0; round < maxRounds; round++) {
      this.healthyRound();
      this.checkAll(round % 16 === 0);
      const leader = this.currentLeader();
      if (leader?.leaderReady && proposed < 3 && this.converged(leader)) {
        if (this.propose(leader)) proposed++;
      } else if (leader !== undefined && proposed === 3 && this.converged(leader)) return;
    }
    throw new Error(`no recovery within ${maxRounds} rounds:\n${this.describe()}`);
  }

  private healthyRound(): void {
    for (const replica of this.replicas) {
      const core = replica.core as RaftCore;
      const leader = this.replicas[core.leaderId - 1]?.core;
      if (core.leaderId !== 0 && core.role === 'follower') {
        if (leader?.role === 'leader' && leader.term === core.term) core.leaderAlive();
        else core.leaderLost();
      }
      core.tick();
    }
    for (let i = 0; i < 6; i++) {
      for (const replica of this.replicas) {
        this.pump(replica);
        while (replica.writes.length > 0) this.completeWrite(replica);
      }
      const batch = this.network;
      this.network = [];
      for (const message of batch) this.deliver(message);
      const transfers = this.transfers;
      this.transfers = [];
      for (const transfer of transfers) this.install(transfer);
    }
  }

  private currentLeader(): RaftCore | undefined {
    let best: RaftCore | undefined;
    for (const { core } of this.replicas) {
      if (core?.role === 'leader' && (best === undefined || core.term > best.term)) best = core;
    }
    return best;
  }

  private converged(leader: RaftCore): boolean {
    if (!leader.quiet || leader.configuration.outgoing.length > 0 || leader.commitIndex !== leader.lastIndex) return false;
    const applied = this.stateOf(leader.replicaId);
    return allMembers(leader.configuration).every(({ replicaId }) => {
      const core = this.replicas[replicaId - 1]?.core as RaftCore;
      const state = this.stateOf(replicaId);
      return core.quiet && core.term === leader.term && state.index === leader.lastIndex && state.digest === applied.digest;
    });
  }

  private stateOf(id: number): Snapshot {
    return (this.replicas[id - 1] as Replica).state;
  }

  // ---- one random thing ----------------------------------------------------------------------------------------------------

  private randomStep(): void {
    const { rng } = this;
    const replica = rng.pick(this.replicas);
    const core = replica.core;
    const roll = rng.int(1, 1000);
    if (roll <= 450) this.networkStep();
    else if (roll <= 620) this.pump(replica);
    else if (roll <= 740) this.completeWrite(replica);
    else if (core === undefined) {
      if (rng.chance(0.2)) this.start(replica);
    } else if (roll <= 830) this.tick(replica, core);
    else if (roll <= 900) this.withLeader(leader => this.propose(leader));
    else if (roll <= 920) this.withLeader(leader => this.read(leader));
    else if (roll <= 935) this.withLeader(leader => this.change(leader));
    else if (roll <= 940) this.withLeader(leader => this.transfer(leader));
    else if (roll <= 946) this.ifRough(() => this.crash(replica));
    else if (roll <= 966) replica.disk.engine = replica.state;
    else if (roll <= 976) this.compact(replica, core);
    else if (roll <= 986) this.transferStep();
    else if (roll <= 990) core.peerReset(rng.int(1, this.replicas.length));
    else if (roll <= 992) this.ifRough(() => core.leaderLost());
    else if (roll <= 993) this.ifRough(() => core.campaign(true));
    else if (roll <= 994) this.ifRough(() => core.stepDown());
    else if (roll <= 997) this.ifRough(() => this.isolated.add(replica.id));
    else this.isolated.clear();
    if (replica.core !== undefined && rng.chance(0.5)) this.pump(replica);
  }

  private ifRough(act: () => void): void {
    if (this.rng.chance(this.roughness)) act();
  }

  private withLeader(act: (leader: RaftCore) => void): void {
    const leaders = this.replicas.filter(({ core }) => core?.role === 'leader');
    if (leaders.length > 0) act(this.rng.pick(leaders).core as RaftCore);
  }

  private networkStep(): void {
    if (this.network.length === 0) return;
    const { rng } = this;
    const at = rng.chance(0.7) ? 0 : rng.int(0, this.network.length - 1);
    const message = this.network[at] as Message;
    if (!rng.chance(0.03)) this.network.splice(at, 1);
    if (rng.chance(0.06 * this.roughness) || this.isolated.has(message.from) || this.isolated.has(message.to)) return;
    this.deliver(message);
  }

  private deliver(message: Message): void {
    const replica = this.replicas[message.to - 1] as Replica;
    const core = replica.core;
    if (core === undefined) return;
    const promised = core.leaderId !== 0 && replica.silence < 6;
    const deciding = core.configuration;
    core.step(transmit(message), promised);
    this.checkCommit(replica, core, deciding);
    if (message.from === core.leaderId) replica.silence = 0;
  }

  private tick(replica: Replica, core: RaftCore): void {
    replica.silence += 1;
    const ticks = core.role === 'leader' ? 1 : this.rng.int(1, 4);
    for (let i = 0; i < ticks; i++) core.tick();
  }

  private propose(leader: RaftCore): boolean {
    const size = this.rng.chance(0.1) ? 300 : 8;
    const data = new Uint8Array(size);
    new DataView(data.buffer).setUint32(0, ++this.counter);
    const result = leader.propose(data);
    if (result.ok) this.counts.proposals++;
    return result.ok;
  }

  private read(leader: RaftCore): void {
    const context = ++this.contexts;
    // Everything committed anywhere by now may have been acknowledged to a client: the read has to see it.
    if (leader.readIndex(context)) this.reads.set(`${leader.replicaId}/${context}`, this.committed.length);
  }

  private change(leader: RaftCore): void {
    const { rng } = this;
    const ids = this.replicas.map(({ id }) => id);
    const now = leader.configuration;
    let chosen = new Set(now.voters.map(voter => voter.replicaId));
    const kind = rng.chance(0.5) ? 'simple' : 'joint';
    if (kind === 'simple') {
      const id = rng.pick(ids);
      if (!chosen.delete(id)) chosen.add(id);
    } else {
      chosen = new Set(rng.shuffle(ids).slice(0, rng.int(1, Math.min(5, ids.length))));
    }
    const learners = this.replicas.map(({ id }) => id).filter(id => !chosen.has(id) && rng.chance(0.3));
    const result = leader.proposeChange({ kind, voters: [...chosen].map(member), learners: learners.map(member) });
    if (!result.ok) return;
    this.counts.changes++;
    this.note(`${leader.replicaId} appends a ${kind} change at ${result.index}: ${votersOf(leader.configuration)}`);
    if (kind === 'joint') this.counts.joint++;
  }

  private transfer(leader: RaftCore): void {
    if (leader.transferLeadership(this.rng.int(1, this.replicas.length))) this.counts.transfers++;
  }

  // ---- disk and process ----------------------------------------------------------------------------------------------------

  private start(replica: Replica): void {
    const { disk } = replica;
    replica.state = disk.engine;
    replica.silence = 100;
    const { start, engine } = disk;
    const known = engine.index === start.index ? start.term : disk.entries[engine.index - start.index - 1]?.term;
    if (known !== engine.term) {
      // The engine knows more than the log (or other than what the log has not yet replaced): begin behind it.
      disk.start = engine;
      disk.entries = [];
    }
    replica.configurations = [{ index: engine.index, configuration: engine.configuration }];
    replica.core = new RaftCore({
      replicaId: replica.id,
      nodeId: 100 + replica.id,
      configuration: disk.start.configuration,
      hardState: disk.hardState,
      startIndex: disk.start.index,
      startTerm: disk.start.term,
      entries: disk.entries,
      appliedIndex: engine.index,
      electionTicksMin: 10,
      electionTicksMax: 20,
      randomInt: (low, high) => this.rng.int(low, high),
      maxAppendBytes: 200,
      maxInflightBytes: 600,
      maxUncommittedBytes: 4000,
    });
    replica.seenCommit = replica.core.commitIndex;
    const { firstIndex, lastIndex, lastTerm, term } = replica.core;
    this.note(
      `${replica.id} starts in term ${term} with ${firstIndex}..${lastIndex} (term ${lastTerm}), applied ${engine.index}`,
    );
    if (!this.chaos) for (const other of this.replicas) other.core?.peerReset(replica.id);
  }

  private crash(replica: Replica): void {
    this.counts.crashes++;
    const survived = this.rng.int(0, replica.writes.length);
    this.note(`${replica.id} crashes; ${survived} of ${replica.writes.length} writes survive`);
    for (const write of replica.writes.slice(0, survived)) this.toDisk(replica, write);
    replica.writes = [];
    replica.core = undefined;
  }

  private toDisk(replica: Replica, ready: Ready | Snapshot): void {
    const { disk } = replica;
    if ('digest' in ready) {
      disk.entries = disk.entries.filter(entry => entry.index > ready.index);
      disk.start = ready;
      return;
    }
    if (ready.hardState !== undefined) {
      assert(ready.hardState.term >= disk.hardState.term, 'S7: a durable term never falls');
      disk.hardState = ready.hardState;
    }
    const first = ready.entries.find(entry => entry.index > disk.start.index);
    if (first === undefined) return;
    const keep = first.index - disk.start.index - 1;
    assert(keep <= disk.entries.length, 'S7: writes leave no gap');
    disk.entries.length = keep;
    for (const entry of ready.entries) if (entry.index > disk.start.index) disk.entries.push(entry);
  }

  private completeWrite(replica: Replica): void {
    const ready = replica.writes.shift();
    if (ready === undefined) return;
    this.toDisk(replica, ready);
    if ('digest' in ready) return;
    const last = ready.entries.at(-1);
    if (replica.core !== undefined && last !== undefined) {
      const deciding = replica.core.configuration;
      replica.core.persisted(last.index, last.term);
      this.checkCommit(replica, replica.core, deciding);
    }
    this.send(replica, ready.promises);
  }

  private pump(replica: Replica): void {
    const core = replica.core;
    const ready = core?.ready();
    if (core === undefined || ready === undefined) return;
    for (const message of ready.appends) this.checkLeavesAtOnce(message);
    this.send(replica, ready.appends);
    replica.writes.push(ready);
    for (const entry of ready.committed) this.apply(replica, entry);
    if (ready.committed.length > 0) core.applied(replica.state.index);
    for (const read of ready.reads) this.checkRead(replica, read.context, read.index);
    for (const target of ready.snapshots) this.beginTransfer(replica, target.replicaId);
  }

  private apply(replica: Replica, entry: Entry): void {
    const { state } = replica;
    assert(entry.index === state.index + 1, `S4: replica ${replica.id} applies ${entry.index} after ${state.index}`);
    const configuration = entry.kind === EntryKind.Configuration ? decodeConfiguration(entry.data) : state.configuration;
    replica.state = { index: entry.index, term: entry.term, configuration, digest: digestOf(state.digest, entry) };
    if (entry.kind === EntryKind.Configuration) replica.configurations.push({ index: entry.index, configuration });
    assert(
      this.histories[entry.index] === replica.state.digest,
      `S4: replica ${replica.id} applied another history at ${entry.index}`,
    );
  }

  private compact(replica: Replica, core: RaftCore): void {
    const index = Math.min(core.appliedIndex, replica.disk.engine.index) - this.rng.int(0, 3);
    if (index < core.firstIndex) return;
    const term = core.termAt(index) as number;
    const configuration = replica.configurations.findLast(version => version.index <= index)?.configuration;
    // A log that began with an older configuration than was in force there would bring removed voters back at the next start.
    if (configuration === undefined) return;
    core.compact(index);
    replica.writes.push({ index, term, configuration, digest: 0 });
  }

  // ---- snapshots -----------------------------------------------------------------------------------------------------------

  private beginTransfer(replica: Replica, to: number): void {
    if (this.transfers.some(transfer => transfer.from === replica.id && transfer.to === to)) return;
    this.transfers.push({ from: replica.id, to, snapshot: replica.state });
  }

  private transferStep(): void {
    const transfer = this.transfers.shift();
    if (transfer === undefined) return;
    if (this.rng.chance(0.2)) this.replicas[transfer.from - 1]?.core?.snapshotFailed(transfer.to);
    else this.install(transfer);
  }

  private install({ from, to, snapshot }: Transfer): void {
    const replica = this.replicas[to - 1] as Replica;
    const sender = this.replicas[from - 1]?.core;
    const core = replica.core;
    if (core === undefined) {
      sender?.snapshotFailed(to);
      return;
    }
    this.pump(replica);
    while (replica.writes.length > 0) this.completeWrite(replica);
    if (snapshot.index > core.commitIndex && core.termAt(snapshot.index) !== snapshot.term) {
      replica.disk.start = snapshot;
      replica.disk.entries = [];
      replica.disk.engine = snapshot;
      replica.state = snapshot;
      replica.configurations = [{ index: snapshot.index, configuration: snapshot.configuration }];
      assert(core.restore(snapshot.index, snapshot.term, snapshot.configuration), 'a newer snapshot is taken');
      this.counts.snapshots++;
      this.note(`${to} installs snapshot ${snapshot.index}:t${snapshot.term} from ${from}`);
    }
    sender?.snapshotSent(to, snapshot.index);
  }

  // ---- network -------------------------------------------------------------------------------------------------------------

  private send(replica: Replica, messages: readonly Message[]): void {
    for (const message of messages) {
      assert(message.from === replica.id, 'a replica speaks for itself');
      this.checkVote(replica, message);
      this.network.push(message);
    }
    if (this.chaos && this.network.length > 400) this.network.splice(0, 100);
  }

  // ---- properties ----------------------------------------------------------------------------------------------------------

  /** S9: what leaves without waiting for the disk must promise nothing. */
  private checkLeavesAtOnce(message: Message): void {
    const harmless =
      message.type === MessageType.Append ||
      message.type === MessageType.Heartbeat ||
      message.type === MessageType.HeartbeatResponse ||
      message.type === MessageType.TimeoutNow ||
      message.type === MessageType.PreVote ||
      message.type === MessageType.PreVoteResponse ||
      (message.type === MessageType.AppendResponse && message.reject);
    assert(harmless, `S9: message type ${message.type} left before the disk was asked`);
  }

  /** S6: one vote per replica and term, over crashes. S7: what is promised is on disk. */
  private checkVote(replica: Replica, message: Message): void {
    const { disk } = replica;
    const granted = message.type === MessageType.VoteResponse && !message.reject;
    if (granted || message.type === MessageType.Vote) {
      const candidate = granted ? message.to : replica.id;
      const key = `${replica.id}/${message.term}`;
      const before = this.votes.get(key) ?? candidate;
      assert(before === candidate, `S6: replica ${replica.id} voted for ${before} and ${candidate} in term ${message.term}`);
      this.votes.set(key, candidate);
      if (before !== candidate || granted) this.note(`${replica.id} votes for ${candidate} in term ${message.term}`);
      assert(
        disk.hardState.term >= message.term,
        `S7: replica ${replica.id} sent ${JSON.stringify(message)} with ${JSON.stringify(disk.hardState)} on disk`,
      );
    }
    if (message.type === MessageType.AppendResponse && !message.reject) {
      assert(message.index <= disk.start.index + disk.entries.length, 'S7: an acknowledged entry is not on disk');
    }
  }

  /** S8: a read sees everything that was committed before it was asked for. */
  private checkRead(replica: Replica, context: number, index: number): void {
    const floor = this.reads.get(`${replica.id}/${context}`) as number;
    assert(index >= floor, `S8: replica ${replica.id} serves a read at ${index}, but ${floor} was committed before it began`);
    this.counts.reads++;
  }

  private checkAll(logsToo: boolean): void {
    for (const replica of this.replicas) {
      const core = replica.core;
      if (core === undefined) continue;
      // A leader by its own vote alone is one to the world only once that vote is durable: before, nothing leaves it.
      if (core.role === 'leader' && replica.disk.hardState.term === core.term) this.checkLeader(core);
      this.checkCommit(replica, core, core.configuration);
      assert(core.firstIndex - 1 <= core.appliedIndex, 'compaction stays below the applied index');
      assert(core.appliedIndex <= core.commitIndex && core.commitIndex <= core.lastIndex, 'applied <= commit <= last');
    }
    if (logsToo) this.checkLogMatching();
  }

  /** S1 election safety, and S3 leader completeness when a term's leader is seen first. */
  private checkLeader(core: RaftCore): void {
    const known = this.leaders.get(core.term);
    assert(known === undefined || known === core.replicaId, `S1: ${known} and ${core.replicaId} lead term ${core.term}`);
    if (known !== undefined) return;
    this.leaders.set(core.term, core.replicaId);
    this.counts.elections++;
    this.note(`${core.replicaId} leads term ${core.term} from ${core.lastIndex}, voters ${votersOf(core.configuration)}`);
    for (let index = core.firstIndex; index <= this.committed.length; index++) {
      const entry = this.committed[index - 1];
      // A leader elected late, by delayed votes, need not know what a later term has committed meanwhile.
      if (entry === undefined || entry.committedIn >= core.term) continue;
      assert(
        core.termAt(index) === entry.term,
        `S3: leader ${core.replicaId} of term ${core.term} lacks committed entry ${index}`,
      );
    }
  }

  /** S2 committed entries never change; S5 whoever commits first does so on a durable quorum. */
  private checkCommit(replica: Replica, core: RaftCore, deciding: Configuration): void {
    assert(core.commitIndex >= replica.seenCommit, 'the commit index never falls');
    for (const entry of core.entriesBetween(replica.seenCommit + 1, core.commitIndex)) {
      const digest = digestOf(0, entry);
      const known = this.committed[entry.index - 1];
      if (known === undefined) {
        this.checkDurableOnQuorum(core, entry, deciding);
        this.committed.push({ term: entry.term, digest, committedIn: core.term });
        this.note(`${core.replicaId} commits ${entry.index}:t${entry.term} in term ${core.term} by ${votersOf(deciding)}`);
        this.histories.push(digestOf(this.histories[entry.index - 1] as number, entry));
      } else {
        assert(known.term === entry.term && known.digest === digest, `S2: committed entry ${entry.index} changed`);
      }
    }
    replica.seenCommit = core.commitIndex;
  }

  /** `deciding`: the configuration in force when the commit index rose. */
  private checkDurableOnQuorum(core: RaftCore, entry: Entry, deciding: Configuration): void {
    const removed = !includes(deciding.voters, core.replicaId);
    assert(core.role === 'leader' || removed, `S5: ${core.replicaId} commits entry ${entry.index} first, but does not lead`);
    assert(core.termAt(core.commitIndex) === core.term, 'S5: the commit index points at an entry of the own term');
    const onDisk = ({ replicaId }: Member): boolean => {
      const { disk } = this.replicas[replicaId - 1] as Replica;
      const term = entry.index === disk.start.index ? disk.start.term : disk.entries[entry.index - disk.start.index - 1]?.term;
      return entry.index < disk.start.index || term === entry.term;
    };
    // Counted here and not by the code under test, whose mistake would hide itself.
    const majority = (members: readonly Member[]): boolean => members.filter(onDisk).length * 2 > members.length;
    const durable = majority(deciding.voters) && (deciding.outgoing.length === 0 || majority(deciding.outgoing));
    assert(durable, `S5: entry ${entry.index} was committed without a durable quorum`);
  }

  /** Log matching: two logs that agree at an index agree on everything below it. */
  private checkLogMatching(): void {
    for (const a of this.replicas) {
      for (const b of this.replicas) {
        if (a.id < b.id && a.core !== undefined && b.core !== undefined) checkPair(a.core, b.core);
      }
    }
  }

  private note(event: string): void {
    this.trace.push(event);
    if (this.trace.length > 200) this.trace.splice(0, 100);
  }

  get recentEvents(): string {
    return this.trace.slice(-40).join('\n');
  }

  describe(): string {
    return this.replicas
      .map(({ id, core, state }) =>
        core === undefined
          ? `${id} down`
          : `${id} ${core.role} term ${core.term} leader ${core.leaderId} log ${core.firstIndex}..${core.lastIndex} commit ${core.commitIndex} applied ${state.index} quiet ${core.quiet} ${JSON.stringify(core.progress())} ${JSON.stringify(core.configuration)}`,
      )
      .join('\n');
  }
}

function votersOf(configuration: Configuration): string {
  const ids = (members: readonly Member[]): string => members.map(({ replicaId }) => replicaId).join(',');
  return `[${ids(configuration.voters)}]${configuration.outgoing.length > 0 ? ` and [${ids(configuration.outgoing)}]` : ''}`;
}

function checkPair(a: RaftCore, b: RaftCore): void {
  const low = Math.max(a.firstIndex, b.firstIndex);
  let agreed = false;
  for (let index = Math.min(a.lastIndex, b.lastIndex); index >= low; index--) {
    const [mine, other] = [a.entriesBetween(index, index)[0] as Entry, b.entriesBetween(index, index)[0] as Entry];
    const same = mine.term === other.term;
    assert(same || !agreed, `log matching: ${a.replicaId} and ${b.replicaId} differ below an entry they share, at ${index}`);
    if (!same) continue;
    agreed = true;
    assert(digestOf(0, mine) === digestOf(0, other), `log matching: two entries ${index} of term ${mine.term}`);
  }
}
