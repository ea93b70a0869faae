import type { Member } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import type { Leases } from '../leases.ts';
import type { Peer } from '../peer.ts';
import type { Replica } from '../replica.ts';
import type { Elections } from './elections.ts';
import type { Leadership } from './leadership.ts';
import type { RunQueue } from './run-queue.ts';

/** So often a sleeping leader asks a peer again that did not answer for long. Milliseconds. */
const ASK_AGAIN_MS = 5000;

/**
 * The logical time of the groups. Most of them have nothing to do most of the time: a leader sleeps while all its peers are heard from
 * and up to date, a follower while its leader's node is alive. Heartbeats between the nodes speak for all that sleep.
 *
 * T1 A replica sleeps only while something else would wake it: a request, a message, the silence of a node that it depends on, or a while later
 *    where a peer on a living node (with a disk that hangs, say) lacks something and has stopped answering.
 * T2 A leader that a quorum of nodes has not heard from steps down, asleep or not: their silence wakes it.
 */
export class GroupTicks {
  private readonly node: NodeInternals;
  private readonly queue: RunQueue;
  private readonly leases: Leases;
  private readonly leadership: Leadership;
  private readonly elections: Elections;
  /** Leaders that sleep and owe somebody something. */
  private readonly owing = new Set<Replica>();
  private askedAgainAt = Number.NEGATIVE_INFINITY;
  private tickedAt: number | undefined;
  /** When the process went on after it had stood still. */
  private backAt = Number.NEGATIVE_INFINITY;

  constructor(node: NodeInternals, queue: RunQueue, leases: Leases, leadership: Leadership, elections: Elections) {
    this.node = node;
    this.queue = queue;
    this.leases = leases;
    this.leadership = leadership;
    this.elections = elections;
  }

  tick(now: number): void {
    this.noticePause(now);
    if (now - this.askedAgainAt >= ASK_AGAIN_MS) this.askAgain(now);
    const { awake } = this.queue;
    const { settings } = this.node;
    const requestsBefore = now - settings.outcomeWaitMs;
    const readsBefore = now - settings.leaderWaitMs;
    for (const replica of awake) {
      const { group } = replica;
      if (replica.installing) continue;
      replica.expireInFlight(requestsBefore);
      replica.expireWaiting(readsBefore);
      if (group.role === 'leader') {
        this.checkLeadership(replica, now);
        group.tick();
      } else if (!replica.diverged && this.leases.mayCampaign(replica, now)) {
        this.elections.tryToReplaceLeader(replica, now);
        group.tick();
      }
      this.leadership.observe(replica);
      if (this.maySleep(replica)) this.sleep(replica);
      else this.queue.wake(replica);
    }
  }

  private askAgain(now: number): void {
    this.askedAgainAt = now;
    for (const replica of this.owing) if (replica.leads) this.queue.wake(replica);
    this.owing.clear();
  }

  /** Once per check-quorum time at most: a process that stands still again and again does lose its offices. */
  private noticePause(now: number): void {
    const { heartbeatMs, checkQuorumMs } = this.node.settings;
    if (this.tickedAt !== undefined && now - this.tickedAt > heartbeatMs && now - this.backAt > checkQuorumMs) this.backAt = now;
    this.tickedAt = now;
  }

  /**
   * Check-quorum (dissertation §6.2) over pair heartbeats, and the time a new leader has to commit its first entry. After a pause the
   * others have two heartbeats to be heard: their answers, or the word that somebody else leads, lie in the sockets. Where a whole machine
   * stood still all leaders would go otherwise, and with them what lives by a term. No safety rests on this; leases have times of their own.
   */
  private checkLeadership(replica: Replica, now: number): void {
    const { settings, nodeId } = this.node;
    if (now - this.backAt <= 2 * settings.heartbeatMs) return;
    const heard = replica.group.quorum(
      member => member.nodeId === nodeId || this.heardWithin(member.nodeId, now, settings.checkQuorumMs),
    );
    const late = !replica.group.leaderReady && now - replica.electedAt > settings.leadershipBarrierMs;
    if ((!heard && now - replica.electedAt > settings.checkQuorumMs) || late) replica.group.stepDown();
  }

  private heardWithin(nodeId: number, now: number, ms: number): boolean {
    const peer = this.node.peerByNode(nodeId);
    return peer !== undefined && now - Math.max(peer.answeredMonotonic, peer.heartbeatReceivedAt) <= ms;
  }

  /** Heartbeats prolong its promise but do not reach its election timer: whatever wakes it, that begins anew, or would end before the promise. */
  private sleep(replica: Replica): void {
    replica.group.leaderAlive();
    if (replica.group.owing) this.owing.add(replica);
    this.queue.awake.delete(replica);
  }

  private maySleep(replica: Replica): boolean {
    const { group } = replica;
    if (replica.dirty || !group.quiet || replica.queuedItems > 0 || replica.hasWork) return false;
    if (!replica.leads) return this.isAlive(replica.leaderNode);
    // Learners too: one that missed something while it was away has nobody else to wake for it, since it never campaigns.
    const { voters, outgoing, learners } = group.configuration;
    return voters.every(this.isHere) && outgoing.every(this.isHere) && learners.every(this.isHere);
  }

  private readonly isHere = ({ nodeId }: Member): boolean => nodeId === this.node.nodeId || this.isAlive(nodeId);

  private isAlive(nodeId: number): boolean {
    return this.node.peerByNode(nodeId)?.alive === true;
  }

  /** No heartbeats from a peer: the groups that follow it wake up, and their election timers go on from its last sign of life. */
  peerSilent(peer: Peer, silentMs: number): void {
    const { awake } = this.queue;
    const { electionMinMs, tickMs } = this.node.settings;
    // After a pause of our own the silence says little: at most half an election timeout is credited.
    const credit = Math.floor(Math.min(silentMs, electionMinMs / 2) / tickMs);
    for (const replica of this.node.replicas.values()) {
      if (replica.leads) {
        awake.add(replica);
        continue;
      }
      if (replica.leaderNode !== peer.nodeId) continue;
      if (!awake.has(replica)) {
        awake.add(replica);
        replica.group.leaderAlive();
        for (let i = 0; i < credit; i++) replica.group.tick();
        this.leadership.observe(replica);
      }
      this.queue.wake(replica);
    }
  }

  /** A heartbeat: the election timers of those that follow this peer begin anew. Those that sleep have none running. */
  peerAlive(peer: Peer): void {
    for (const replica of this.queue.awake) {
      if (!replica.leads && replica.leaderNode === peer.nodeId) replica.group.leaderAlive();
    }
  }
}
