import type { Dispatcher } from '../dispatcher.ts';
import type { NodeInternals } from '../internals.ts';
import type { Leases } from '../leases.ts';
import type { Replica } from '../replica.ts';
import type { RunQueue } from './run-queue.ts';

/**
 * Who leads each group as its replica here knows it, and what follows when that changes: leases, requests that wait, events.
 *
 *     following ──elected──▶ leading ──first entry of the term applied──▶ serving ──▶ following
 *
 * L1 Every step of a group is followed by `observe`, before anything that depends on who leads.
 * L2 A replica that leaves a leader on a peer says so to its leases before anything else is sent to that peer (see `peer.ts`).
 */
export class Leadership {
  private readonly node: NodeInternals;
  private readonly leases: Leases;
  private readonly queue: RunQueue;
  private readonly dispatcher: Dispatcher;

  constructor(node: NodeInternals, leases: Leases, queue: RunQueue, dispatcher: Dispatcher) {
    this.node = node;
    this.leases = leases;
    this.queue = queue;
    this.dispatcher = dispatcher;
  }

  /** Looks whether the leader as this replica knows it has changed, and says so to whom it concerns. */
  observe(replica: Replica): void {
    const { group } = replica;
    if (group.leaderId === replica.knownLeader && group.term === replica.knownTerm) return;
    const former = replica.knownLeader;
    const formerNode = former === 0 ? 0 : (replica.memberById(former)?.nodeId ?? replica.knownLeaderNode);
    if (formerNode !== 0 && formerNode !== this.node.nodeId) this.leases.left(replica, this.node.peerByNode(formerNode));
    const led = former !== 0 && former === group.replicaId;
    if (group.term > replica.knownTerm && (group.role === 'candidate' || replica.leads)) this.electionBegan(replica, formerNode);
    replica.knownLeader = group.leaderId;
    replica.knownTerm = group.term;
    replica.knownLeaderNode = replica.leaderNode;
    replica.leaderSinceMs = Math.floor(this.node.clock.wallMs());
    this.queue.awake.add(replica);
    replica.answered.clear();
    replica.heardInTerm.clear();
    if (replica.leads) {
      this.won(replica);
      return;
    }
    replica.servesAsLeader = false;
    if (led) this.lost(replica);
    if (group.leaderId !== 0) this.dispatcher.leaderChanged(replica.partitionId);
  }

  private electionBegan(replica: Replica, formerNode: number): void {
    replica.electionsStarted++;
    const heard = this.node.peerByNode(formerNode)?.heartbeatReceivedAt ?? Number.NEGATIVE_INFINITY;
    if (heard > 0) this.node.meters.electionDelayMs.record(this.node.monotonicMs() - heard);
  }

  private won(replica: Replica): void {
    const { node } = this;
    const { partitionId } = replica;
    const { term } = replica.group;
    replica.servesAsLeader = false;
    replica.electedAt = node.monotonicMs();
    node.counters.elections++;
    // Above every stamp in the log, which were observed when appended, and in the state; the clocks of the votes came with their frames.
    node.hlc.observe(replica.machine.lastStamp);
    const text = `${node.options.name} leads partition ${partitionId} (term ${term})`;
    node.events.record('leader-changed', 'info', `partition/${partitionId}`, text, { partitionId, term, nodeId: node.nodeId });
    this.queue.wake(replica);
  }

  private lost(replica: Replica): void {
    const { partitionId } = replica;
    const { term } = replica.group;
    replica.leadershipLost();
    const text = `${this.node.options.name} no longer leads partition ${partitionId}`;
    this.node.events.record('leader-lost', 'warning', `partition/${partitionId}`, text, { partitionId, term });
  }

  /** Once the first entry of its term is applied, a leader serves: what waited for this moment is told. */
  serveOnceReady(replica: Replica): void {
    if (!replica.leads || !replica.group.leaderReady || replica.servesAsLeader) return;
    replica.servesAsLeader = true;
    // Repeats may be looked up now, parked requests routed here.
    this.queue.wake(replica);
    this.dispatcher.leaderChanged(replica.partitionId);
  }
}
