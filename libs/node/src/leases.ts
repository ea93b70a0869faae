import { compareHlc, type Hlc } from '@kahuna/base';
import type { Member } from '@kahuna/raft';
import type { NodeInternals } from './internals.ts';
import type { Peer } from './peer.ts';
import type { Replica } from './replica.ts';
import type { NodeSettings } from './settings.ts';

/** A promise of a peer is trusted for this share of its length: the two monotonic clocks may run at different rates. */
const DRIFT_MARGIN = 0.9;
/** Share of the lower election timeout that a heartbeat asks to be promised (design §5, Lease). */
const PROMISE_SHARE = 0.75;

/** What a node with these settings asks for and grants. Milliseconds. */
export function promiseMsOf({ electionMinMs }: Pick<NodeSettings, 'electionMinMs'>): number {
  return Math.floor(electionMinMs * PROMISE_SHARE);
}

/** Who may answer without asking, and who may vote: both sides of the promise that `peer.ts` explains. */
export class Leases {
  private readonly node: NodeInternals;
  /** Until this monotonic instant nothing is voted or campaigned for: a former life may have promised it. */
  private votesFrom = 0;

  constructor(node: NodeInternals) {
    this.node = node;
  }

  restarted(votesFrom: number): void {
    this.votesFrom = votesFrom;
  }

  /** A candidate votes for itself: what binds its vote binds this too. */
  mayCampaign(replica: Replica, now: number): boolean {
    return now >= this.votesFrom && now >= replica.votesBoundUntil;
  }

  /**
   * A replica no longer follows a leader on this peer. What was promised until now may be on its way with the old allegiance still,
   * and count for that leadership when it arrives: so it binds the vote to its end, whoever is followed meanwhile.
   */
  left(replica: Replica, peer: Peer | undefined): void {
    if (peer === undefined) return;
    peer.left();
    replica.votesBoundUntil = Math.max(replica.votesBoundUntil, peer.promisedUntil);
  }

  /** What our heartbeats ask for, and the most that we grant. Milliseconds. */
  get promiseMs(): number {
    return promiseMsOf(this.node.settings);
  }

  /** A quorum has promised, by answers to heartbeats sent since, to elect nobody else before now. */
  hasLease(replica: Replica): boolean {
    const { group } = replica;
    if (group.leaseForfeited) return false;
    const monotonic = this.node.clock.monotonicMs();
    const wall = this.node.clock.wallMs();
    // Those who promised it need not be a quorum of a configuration that has come since.
    if (replica.leaseConfiguration !== group.configuration) replica.leaseTerm = 0;
    if (replica.leaseTerm === group.term && monotonic < replica.leaseMonotonicUntil && wall < replica.leaseWallUntil) return true;
    const promise = this.promiseMs * DRIFT_MARGIN;
    // The monotonic clock stops while a machine is suspended, the wall clock may be set back: the greater of the two has passed.
    const remaining = group.quorumValue(member => {
      if (member.nodeId === this.node.nodeId) return promise;
      const peer = this.followingPeer(replica, member);
      if (peer === undefined || peer.answeredBoot !== peer.boot) return Number.NEGATIVE_INFINITY;
      if (replica.answered.get(member.replicaId)?.allegiance !== peer.answeredAllegiance) return Number.NEGATIVE_INFINITY;
      return promise - Math.max(monotonic - peer.answeredMonotonic, wall - peer.answeredWall);
    });
    if (!(remaining > 0)) return false;
    replica.leaseTerm = group.term;
    replica.leaseConfiguration = group.configuration;
    replica.leaseMonotonicUntil = monotonic + remaining;
    replica.leaseWallUntil = wall + remaining;
    return true;
  }

  /**
   * The clocks of a quorum have reached `t` while they followed this leadership: any successor stamps above it. All parts of `t` count: clocks that were
   * set back keep one millisecond for long, and count in it.
   */
  quorumHasPassed(replica: Replica, t: Hlc): boolean {
    return replica.group.quorum(member => {
      const clock = member.nodeId === this.node.nodeId ? this.node.hlc.current() : this.followingPeer(replica, member)?.toldClock;
      return clock !== undefined && compareHlc(clock, t) >= 0;
    });
  }

  /** The peer of a member, if it has answered this leadership in its present boot and left no leader of ours since. */
  private followingPeer(replica: Replica, member: Member): Peer | undefined {
    const peer = this.node.peerByNode(member.nodeId);
    const answered = replica.answered.get(member.replicaId);
    if (peer === undefined || answered === undefined) return undefined;
    return answered.boot === peer.boot && answered.allegiance === peer.allegiance ? peer : undefined;
  }

  /** Votes are bound: by a promise to the leader's node, by a lease of our own, or by what a former life may have promised. */
  votesAreBound(replica: Replica): boolean {
    const now = this.node.monotonicMs();
    if (now < this.votesFrom || now < replica.votesBoundUntil || replica.installing) return true;
    if (replica.leads) return this.hasLease(replica);
    const leader = replica.leaderNode;
    return leader !== 0 && now < (this.node.peerByNode(leader)?.promisedUntil ?? 0);
  }
}
