import { compareHlc, HLC_ZERO, type Hlc, stampAfter } from '@kahuna/base';
import type { LogRecord } from '@kahuna/node';
import { decodeBatch } from '@kahuna/partition';
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  EntryKind,
  type HardState,
  isJoint,
  type Member,
  type Message,
  MessageType,
  type RaftGroup,
} from '@kahuna/raft';
import type { LogDisk } from '../world/log-disk.ts';
import { hashBytes } from '../world/simulation.ts';

/** An invariant is broken; the message says which, where and by whom. */
export class SafetyViolation extends Error {
  override name = 'SafetyViolation';
}

/** What the checker looks at of one replica after a turn of its node. */
export interface ReplicaView {
  readonly partitionId: number;
  readonly group: RaftGroup;
  /** A snapshot is being put in place of its state and its log: it takes no part until both say the same. */
  readonly installing: boolean;
  /** Known to hold another state than a quorum; a snapshot that ends it may lead back. */
  readonly diverged: boolean;
  readonly machine: { readonly appliedIndex: number; readonly checksum: number };
}

interface Known {
  readonly term: number;
  readonly hash: number;
  /** Term of the leader that committed it; higher than its own if that is of an older one (Raft §5.4.2). */
  readonly committedIn: number;
}

/** A configuration entry that stands, or once stood, on some disk. */
interface KnownConfiguration {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

/** Facts about one partition that hold for all replicas and for ever. */
interface PartitionFacts {
  /** Raft election safety: term → replica that led it. */
  readonly leaders: Map<number, number>;
  /** Highest term that anybody has led. */
  lastLedTerm: number;
  /** Log matching: "index/term" → contents and the term before it. */
  readonly entries: Map<string, { readonly hash: number; readonly previousTerm: number | undefined }>;
  /** State machine safety: what was committed at each index. */
  readonly committed: Map<number, Known>;
  lastCommitted: number;
  /** Applied index → checksum of the state. */
  readonly checksums: Map<number, number>;
  /** Stamp of the last command of the highest committed batch. */
  lastStamp: Hlc;
  /** By falling index. That of the founding, in which every node votes, stands in no entry. */
  readonly configurations: KnownConfiguration[];
}

/** What the checker remembers of one replica in one life of its node. */
interface Seen {
  /** Node, incarnation and partition, for messages. */
  readonly key: string;
  term: number;
  role: string;
  commitIndex: number;
  appliedIndex: number;
  /** Term that it led at the last look, 0 if it did not lead. */
  ledTerm: number;
  diverged: boolean;
}

/** What a machine would come back with after the worst crash. */
export interface Survivors {
  /** Node id. */
  readonly id: number;
  readonly logDisk: LogDisk;
  /** Applied index that the engine holds durably; 0 if it holds nothing of the partition. */
  engineIndex(partitionId: number): number;
}

/** Where the write of a unique value stands in the logs. */
export interface Position {
  readonly partitionId: number;
  readonly index: number;
  readonly term: number;
}

/**
 * Messages whose sender may forget them, and the term in them, in a crash: pre-votes, refusals, and the answer to a heartbeat, which says only that
 * the sender had not helped to elect anybody newer yet.
 */
const PROMISES_NOTHING: ReadonlySet<MessageType> = new Set([
  MessageType.PreVote,
  MessageType.PreVoteResponse,
  MessageType.HeartbeatResponse,
]);

const text = new TextDecoder();

/**
 * Watches a whole cluster from outside, after every turn of every node and every durable write, for
 *
 * - election safety, log matching, leader completeness and state machine safety (Raft, figure 3);
 * - durable terms and votes that never go back, and promises that leave only when they are durable (design §3, 1 and 3);
 * - equal checksums at equal applied indexes (5), logs compacted only below what the engine holds durably (6);
 * - stamps that grow with the log index (14);
 * - leases that end before anybody else is elected (design §5, Lease);
 * - acknowledged writes that a quorum of disks holds at the moment of the acknowledgement (2).
 */
export class RaftSafety {
  /** Number of comparisons that could have failed; a run that made none proves nothing. */
  checks = 0;
  /** Joint configurations that were committed, and those that took the place of one. */
  jointCommitted = 0;
  jointLeft = 0;
  private readonly watchChecksums: boolean;
  private readonly partitions = new Map<number, PartitionFacts>();
  /** By replica: what it knows in memory begins anew with each life of its node. */
  private readonly seen = new WeakMap<ReplicaView, Seen>();
  private readonly hardStates = new Map<string, HardState>();
  private readonly writes = new Map<string, Position[]>();

  constructor(watchChecksums = true) {
    this.watchChecksums = watchChecksums;
  }

  // ---- durable writes ------------------------------------------------------------------------------------------------------

  /** A record reached the disk of `node`. */
  durable(node: string, record: LogRecord): void {
    if (record.hardState !== undefined) this.checkHardState(node, record, record.hardState);
    let previous: Entry | undefined;
    for (const entry of record.entries) {
      this.checkEntry(node, record.partitionId, entry, previous?.term);
      previous = entry;
    }
  }

  private checkHardState(node: string, record: LogRecord, next: HardState): void {
    const key = `${node}/${record.partitionId}/${record.replicaId}`;
    const last = this.hardStates.get(key);
    this.checks++;
    if (last !== undefined) {
      if (next.term < last.term) fail(`${key}: durable term went from ${last.term} back to ${next.term}`);
      if (next.term === last.term && last.vote !== 0 && next.vote !== last.vote) {
        fail(`${key}: voted for ${last.vote} and for ${next.vote} in term ${next.term}`);
      }
    }
    this.hardStates.set(key, next);
  }

  /** Log matching (Raft §5.3), by induction: same index and term means same contents and same term of the entry before. */
  private checkEntry(node: string, partitionId: number, entry: Entry, previousTerm: number | undefined): void {
    const facts = this.facts(partitionId);
    const key = `${entry.index}/${entry.term}`;
    const known = facts.entries.get(key);
    this.checks++;
    const hash = hashBytes(entry.data, entry.kind);
    if (known === undefined) {
      facts.entries.set(key, { hash, previousTerm });
      if (entry.kind === EntryKind.Command) this.rememberWrites(partitionId, entry);
      else if (entry.kind === EntryKind.Configuration) rememberConfiguration(facts, entry);
      return;
    }
    if (known.hash !== hash) fail(`${node}/${partitionId}: entry ${key} has other contents than on another replica`);
    if (previousTerm === undefined) return;
    if (known.previousTerm !== undefined && known.previousTerm !== previousTerm) {
      fail(`${node}/${partitionId}: entry ${key} follows term ${previousTerm} here and ${known.previousTerm} elsewhere`);
    }
    if (known.previousTerm === undefined) facts.entries.set(key, { hash, previousTerm });
  }

  private rememberWrites(partitionId: number, entry: Entry): void {
    for (const { command } of decodeBatch(entry.data).proposals) {
      if (command.kind !== 'set' || command.value === null) continue;
      const value = text.decode(command.value);
      const position = { partitionId, index: entry.index, term: entry.term };
      const positions = this.writes.get(value);
      if (positions === undefined) this.writes.set(value, [position]);
      else positions.push(position);
    }
  }

  // ---- turns ---------------------------------------------------------------------------------------------------------------

  /** `life` names node and incarnation. */
  afterTurn<R extends ReplicaView>(life: string, replicas: Iterable<R>, hasLease: (replica: R) => boolean): void {
    for (const replica of replicas) {
      const { group } = replica;
      let seen = this.seen.get(replica);
      if (seen === undefined) {
        const key = `${life}/${replica.partitionId}`;
        const { commitIndex } = group;
        seen = { key, term: 0, role: 'follower', commitIndex, appliedIndex: -1, ledTerm: 0, diverged: false };
        this.seen.set(replica, seen);
      }
      const { key } = seen;
      if (group.term !== seen.term || group.role !== seen.role) this.checkRole(key, replica, seen);
      if (group.commitIndex !== seen.commitIndex) this.checkCommit(key, replica, seen);
      if (replica.machine.appliedIndex !== seen.appliedIndex) this.checkApplied(key, replica, seen);
      seen.ledTerm = group.role === 'leader' ? group.term : 0;
      seen.diverged = replica.diverged;
      if (seen.ledTerm !== 0 && this.hasSuccessor(replica)) {
        this.checks++;
        if (hasLease(replica)) fail(`${key}: holds a lease of term ${seen.ledTerm}, a later term has a leader`);
      }
    }
  }

  /** Somebody else has led a later term. (A replica that votes alone may itself have, in a life that ended before its disk knew.) */
  private hasSuccessor({ partitionId, group }: ReplicaView): boolean {
    const { leaders, lastLedTerm } = this.facts(partitionId);
    return group.term < lastLedTerm && leaders.get(lastLedTerm) !== group.replicaId;
  }

  private checkRole(key: string, { partitionId, group }: ReplicaView, seen: Seen): void {
    const facts = this.facts(partitionId);
    this.checks++;
    if (group.term < seen.term) fail(`${key}: term went from ${seen.term} back to ${group.term}`);
    const becameLeader = group.role === 'leader' && (seen.role !== 'leader' || group.term !== seen.term);
    seen.term = group.term;
    seen.role = group.role;
    if (!becameLeader) return;
    const leader = facts.leaders.get(group.term);
    if (leader !== undefined && leader !== group.replicaId) {
      fail(`${key}: replicas ${leader} and ${group.replicaId} both lead term ${group.term}`);
    }
    facts.leaders.set(group.term, group.replicaId);
    facts.lastLedTerm = Math.max(facts.lastLedTerm, group.term);
    // Leader completeness (Raft §5.4): the log of a new leader holds everything that was committed in earlier terms.
    for (let index = facts.lastCommitted; index > Math.max(0, facts.lastCommitted - 50); index--) {
      const known = facts.committed.get(index);
      if (known === undefined || known.committedIn >= group.term || index < group.firstIndex) continue;
      const term = group.termAt(index);
      if (term !== known.term) {
        fail(
          `${key}: leads term ${group.term} with ${term ?? 'nothing'} at index ${index}, where term ${known.term} is committed`,
        );
      }
    }
  }

  private checkCommit(key: string, { partitionId, group }: ReplicaView, seen: Seen): void {
    const facts = this.facts(partitionId);
    if (group.commitIndex < seen.commitIndex)
      fail(`${key}: commit index went from ${seen.commitIndex} back to ${group.commitIndex}`);
    if (seen.ledTerm === group.term && group.role === 'leader' && group.termAt(group.commitIndex) !== group.term) {
      fail(`${key}: commits entry ${group.commitIndex} of an older term by counting copies (Raft §5.4.2)`);
    }
    for (const entry of group.entriesBetween(seen.commitIndex + 1, group.commitIndex)) {
      this.checks++;
      const hash = hashBytes(entry.data, entry.kind);
      const known = facts.committed.get(entry.index);
      if (known === undefined) this.recordCommitted(key, facts, entry, { term: entry.term, hash, committedIn: group.term });
      else if (known.term !== entry.term || known.hash !== hash) {
        fail(`${key}: committed term ${entry.term} at index ${entry.index}, where term ${known.term} was committed before`);
      }
    }
    seen.commitIndex = group.commitIndex;
  }

  private recordCommitted(key: string, facts: PartitionFacts, entry: Entry, known: Known): void {
    facts.committed.set(entry.index, known);
    if (entry.index <= facts.lastCommitted) return;
    facts.lastCommitted = entry.index;
    if (entry.kind === EntryKind.Configuration) {
      if (isJoint(decodeConfiguration(entry.data))) this.jointCommitted++;
      else this.jointLeft++;
    }
    if (entry.kind !== EntryKind.Command) return;
    const { stamp, proposals } = decodeBatch(entry.data);
    if (compareHlc(stamp, facts.lastStamp) <= 0) {
      fail(`${key}: entry ${entry.index} is stamped ${show(stamp)}, not above ${show(facts.lastStamp)} of an earlier one`);
    }
    facts.lastStamp = stampAfter(stamp, proposals.length - 1);
  }

  private checkApplied(key: string, { partitionId, machine, group, installing }: ReplicaView, seen: Seen): void {
    const facts = this.facts(partitionId);
    this.checks++;
    if (machine.appliedIndex < seen.appliedIndex && !seen.diverged) {
      fail(`${key}: applied index went from ${seen.appliedIndex} back to ${machine.appliedIndex}`);
    }
    seen.appliedIndex = machine.appliedIndex;
    if (machine.appliedIndex > group.commitIndex && !installing) {
      fail(`${key}: applied up to ${machine.appliedIndex}, committed up to ${group.commitIndex}`);
    }
    if (!this.watchChecksums) return;
    const known = facts.checksums.get(machine.appliedIndex);
    if (known === undefined) facts.checksums.set(machine.appliedIndex, machine.checksum);
    else if (known !== machine.checksum) {
      fail(`${key}: state at index ${machine.appliedIndex} has checksum ${machine.checksum}, another replica ${known}`);
    }
  }

  // ---- messages ------------------------------------------------------------------------------------------------------------

  /** A message leaves `node`: what it promises must be on that node's disk by now (design §3, 3). */
  sending(node: string, partitionId: number, message: Message, survivors: Survivors): void {
    if (PROMISES_NOTHING.has(message.type) || message.reject) return;
    this.checks++;
    const durable = survivors.logDisk.groups.get(partitionId)?.hardState;
    if (durable === undefined) fail(`${node}/${partitionId}: sends before its group is on disk`);
    if (durable.term < message.term) {
      fail(`${node}/${partitionId}: ${nameOf(message)} in term ${message.term}, its disk knows ${durable.term}`);
    }
    if (message.type === MessageType.VoteResponse && durable.term === message.term) {
      if (durable.vote !== message.to)
        fail(`${node}/${partitionId}: grants ${message.to} a vote that is not on disk (${durable.vote})`);
    }
    if (message.type === MessageType.AppendResponse) {
      const last = survivors.logDisk.last(partitionId);
      // An engine ahead of its log is as good: a restart goes on from there (design §5, Engine port).
      if (last.index < message.index && survivors.engineIndex(partitionId) < message.index) {
        fail(`${node}/${partitionId}: acknowledges entry ${message.index}, its disk ends at ${last.index}`);
      }
    }
  }

  // ---- compaction and acknowledgements -------------------------------------------------------------------------------------

  /** A log now begins behind `startIndex`; its engine would come back with `durableIndex` after a power loss (design §3, 6). */
  compacted(node: string, partitionId: number, startIndex: number, durableIndex: number): void {
    this.checks++;
    if (startIndex > durableIndex) {
      fail(`${node}/${partitionId}: log compacted up to ${startIndex}, the engine is durable up to ${durableIndex}`);
    }
  }

  /** The write of a unique value is acknowledged: some attempt of it must be on a quorum of the disks (design §3, 2). */
  acknowledged(value: string, nodes: readonly Survivors[]): void {
    this.checks++;
    const positions = this.writes.get(value) ?? [];
    if (positions.some(position => this.isOnQuorum(position, nodes))) return;
    const best = Math.max(0, ...positions.map(position => nodes.filter(node => holds(node, position)).length));
    fail(
      `the write of ${value} is acknowledged, but only ${best} of ${nodes.length} machines hold it durably, which are no quorum`,
    );
  }

  private isOnQuorum(position: Position, nodes: readonly Survivors[]): boolean {
    const { partitionId } = position;
    const has = (at: Position) => (nodeId: number) => nodes.some(node => node.id === nodeId && holds(node, at));
    const isEnough = ({ index, term, configuration }: KnownConfiguration): boolean =>
      isMajority(configuration.voters, has(position)) &&
      // What takes the place of a joint configuration counts from its append on, which nobody else sees: but the joint one was committed before.
      (!isJoint(configuration) || isMajority(configuration.outgoing, has({ partitionId, index, term })));
    const { inForce, mayBeFounding } = this.configurationsAt(position);
    const founding = nodes.map(({ id }) => ({ nodeId: id }));
    return inForce.some(isEnough) || (mayBeFounding && isMajority(founding, has(position)));
  }

  /** The configuration behind which an entry stands; more than one while nobody can tell which of them the entry's own log has. */
  private configurationsAt({ partitionId, index, term }: Position): { inForce: KnownConfiguration[]; mayBeFounding: boolean } {
    const { configurations, committed } = this.facts(partitionId);
    const inForce: KnownConfiguration[] = [];
    for (const known of configurations) {
      const decided = committed.get(known.index);
      if (known.index > index || known.term > term || (decided !== undefined && decided.term !== known.term)) continue;
      inForce.push(known);
      if (decided !== undefined) return { inForce, mayBeFounding: false };
    }
    return { inForce, mayBeFounding: true };
  }

  /** Whether some attempt of the write of a unique value is committed, as far as anybody can tell. */
  mayHaveHappened(value: string): boolean {
    return (this.writes.get(value) ?? []).some(({ partitionId, index, term }) => {
      const { committed, lastCommitted } = this.facts(partitionId);
      const known = committed.get(index);
      return index <= lastCommitted && (known === undefined || known.term === term);
    });
  }

  private facts(partitionId: number): PartitionFacts {
    let facts = this.partitions.get(partitionId);
    if (facts === undefined) {
      facts = {
        leaders: new Map(),
        lastLedTerm: 0,
        entries: new Map(),
        committed: new Map(),
        lastCommitted: 0,
        checksums: new Map(),
        lastStamp: HLC_ZERO,
        configurations: [],
      };
      this.partitions.set(partitionId, facts);
    }
    return facts;
  }
}

function holds({ logDisk, engineIndex }: Survivors, { partitionId, index, term }: Position): boolean {
  return logDisk.holds(partitionId, index, term) || engineIndex(partitionId) >= index;
}

function rememberConfiguration({ configurations }: PartitionFacts, { index, term, data }: Entry): void {
  configurations.push({ index, term, configuration: decodeConfiguration(data) });
  configurations.sort((a, b) => b.index - a.index);
}

function isMajority(voters: readonly Pick<Member, 'nodeId'>[], has: (nodeId: number) => boolean): boolean {
  return voters.filter(({ nodeId }) => has(nodeId)).length * 2 > voters.length;
}

function nameOf(message: Message): string {
  const name = Object.entries(MessageType).find(([, type]) => type === message.type)?.[0] ?? String(message.type);
  return message.reject ? `refusing ${name}` : name;
}

function show(stamp: Hlc): string {
  return `{${stamp.n},${stamp.l},${stamp.c}}`;
}

function fail(message: string): never {
  throw new SafetyViolation(message);
}
