import type { LogIndex, ReplicaId } from '@kahuna/base';
import { allMembers, isVoter } from './configuration.ts';
import { Progress } from './progress.ts';
import { majorityValue } from './quorum.ts';
import type { Configuration, Member } from './types.ts';

/**
 * A leader's picture of the members in force: one {@link Progress} each, its own included, and what a quorum of them has reached.
 *
 * P1 While the configuration is joint, what a quorum has reached is what both majorities have (Raft §6).
 * P2 A member that stays keeps its progress when the configuration changes.
 */
export class Peers {
  /** Everyone but the leader. */
  others: readonly Progress[] = [];
  /** The leader: of its own log, as much as its disk has completed. */
  readonly self: Progress;
  /** The voters in force, the leader included if it is one; `outgoing` is empty unless the configuration is joint. */
  private incoming: readonly Progress[] = [];
  private outgoing: readonly Progress[] = [];

  constructor(self: Member, durableIndex: LogIndex) {
    this.self = new Progress(self, true, 0);
    this.self.match = durableIndex;
  }

  /** This configuration is in force now; `next` is the index of the entry that brought it, or of the leader's first one. */
  rebuild(configuration: Configuration, next: LogIndex): void {
    const known = this.others;
    const others: Progress[] = [];
    for (const member of allMembers(configuration)) {
      if (member.replicaId === this.self.member.replicaId) continue;
      const voter = isVoter(configuration, member.replicaId);
      const progress = known.find(peer => peer.member.replicaId === member.replicaId) ?? new Progress(member, voter, next);
      progress.voter = voter;
      others.push(progress);
    }
    this.others = others;
    this.incoming = this.progressOf(configuration.voters);
    this.outgoing = this.progressOf(configuration.outgoing);
  }

  /** Of another member. */
  find(replicaId: ReplicaId): Progress | undefined {
    for (const peer of this.others) if (peer.member.replicaId === replicaId) return peer;
    return undefined;
  }

  /** Whether the leader is a quorum by itself. */
  get decidesAlone(): boolean {
    return this.incoming.length === 1 && this.incoming[0] === this.self && this.outgoing.length === 0;
  }

  /** The greatest value that a quorum reaches. */
  quorumValue(value: (progress: Progress) => number): number {
    const incoming = majorityValue(this.incoming, value);
    return this.outgoing.length === 0 ? incoming : Math.min(incoming, majorityValue(this.outgoing, value));
  }

  private progressOf(voters: readonly Member[]): Progress[] {
    const { self } = this;
    return voters.map(({ replicaId }) => (replicaId === self.member.replicaId ? self : (this.find(replicaId) as Progress)));
  }
}
