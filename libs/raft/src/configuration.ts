import { assert, type LogIndex, type ReplicaId } from '@kahuna/base';
import { decodeConfiguration } from './codec.ts';
import { isJoint } from './quorum.ts';
import { type Configuration, type ConfigurationChange, type Entry, EntryKind, type Member } from './types.ts';

/** Whether the replica votes in this configuration, in either half of a joint one. */
export function isVoter(configuration: Configuration, replicaId: ReplicaId): boolean {
  return includes(configuration.voters, replicaId) || includes(configuration.outgoing, replicaId);
}

export function includes(members: readonly Member[], replicaId: ReplicaId): boolean {
  return findMember(members, replicaId) !== undefined;
}

function findMember(members: readonly Member[], replicaId: ReplicaId): Member | undefined {
  for (const member of members) if (member.replicaId === replicaId) return member;
  return undefined;
}

/** Everyone who takes part, each once: an outgoing voter may at the same time be an incoming voter or learner. */
export function allMembers(configuration: Configuration): Member[] {
  const result = [...configuration.voters];
  for (const member of configuration.outgoing) if (!includes(result, member.replicaId)) result.push(member);
  for (const member of configuration.learners) if (!includes(result, member.replicaId)) result.push(member);
  return result;
}

/**
 * The configuration to append for a change, or undefined if the change is not allowed from here: no voter would be left, a replica
 * would be listed twice or change its node, nothing would change, or a simple change would move more than one voter. Majorities of
 * two voter sets that differ in one member always overlap; with more they need not (dissertation §4.1, figure 4.3).
 */
export function planChange(current: Configuration, change: ConfigurationChange): Configuration | undefined {
  assert(!isJoint(current), 'a joint configuration is left before the next change');
  const voters = sorted(change.voters);
  const learners = sorted(change.learners);
  if (voters.length === 0 || !distinct([...voters, ...learners])) return undefined;
  if (movesReplica(current, voters) || movesReplica(current, learners)) return undefined;
  const moved = countMissing(current.voters, voters) + countMissing(voters, current.voters);
  if (moved === 0 && sameMembers(current.learners, learners)) return undefined;
  if (change.kind === 'joint') return { voters, outgoing: current.voters, learners };
  return moved <= 1 ? { voters, outgoing: [], learners } : undefined;
}

/** What a joint configuration turns into once it is committed. */
export function leaveJoint(joint: Configuration): Configuration {
  return { voters: joint.voters, outgoing: [], learners: joint.learners };
}

function sorted(members: readonly Member[]): Member[] {
  return [...members].sort((a, b) => a.replicaId - b.replicaId);
}

function distinct(members: readonly Member[]): boolean {
  return new Set(members.map(member => member.replicaId)).size === members.length;
}

function movesReplica(current: Configuration, next: readonly Member[]): boolean {
  const known = allMembers(current);
  return next.some(member => {
    const before = findMember(known, member.replicaId);
    return before !== undefined && before.nodeId !== member.nodeId;
  });
}

function countMissing(members: readonly Member[], from: readonly Member[]): number {
  let missing = 0;
  for (const member of members) if (!includes(from, member.replicaId)) missing++;
  return missing;
}

function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return a.length === b.length && countMissing(a, b) === 0;
}

interface Version {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/**
 * The configurations that the log holds. A configuration is in force from the moment it is appended, committed or not
 * (Raft §6), so truncating its entry must bring the one before it back: hence a history and not one value.
 */
export class ConfigurationHistory {
  /** Never empty; the first is the one at the log's start, the last one is in force. */
  private versions: Version[];

  constructor(index: LogIndex, configuration: Configuration) {
    this.versions = [{ index, configuration }];
  }

  get current(): Configuration {
    return this.last().configuration;
  }

  /** Index of the entry that brought the current configuration. */
  get index(): LogIndex {
    return this.last().index;
  }

  /** The configuration that was in force before the current one, while the log still knows it. */
  get previous(): Configuration | undefined {
    return this.versions[this.versions.length - 2]?.configuration;
  }

  /** Returns true if the entry changed the configuration. Throws {@link DecodeError} before anything has changed. */
  append(entry: Entry): boolean {
    if (entry.kind !== EntryKind.Configuration) return false;
    this.versions.push({ index: entry.index, configuration: decodeConfiguration(entry.data) });
    return true;
  }

  /** Returns true if that brought an earlier configuration back. */
  truncateFrom(index: LogIndex): boolean {
    const before = this.versions.length;
    while (this.versions.length > 1 && this.last().index >= index) this.versions.pop();
    return this.versions.length !== before;
  }

  /** Forgets what was in force before `index` was appended. */
  compact(index: LogIndex): void {
    let base = 0;
    while (base + 1 < this.versions.length && (this.versions[base + 1] as Version).index <= index) base++;
    if (base > 0) this.versions = this.versions.slice(base);
  }

  reset(index: LogIndex, configuration: Configuration): void {
    this.versions = [{ index, configuration }];
  }

  private last(): Version {
    return this.versions[this.versions.length - 1] as Version;
  }
}
