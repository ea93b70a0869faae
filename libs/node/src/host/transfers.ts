import type { NodeInternals } from '../internals.ts';
import { ItemKind } from '../peer-frame.ts';
import type { Replica } from '../replica.ts';
import type { RunQueue } from './run-queue.ts';

/**
 * Leadership that is handed over: to a node that somebody names, or to any when this one stops.
 *
 * It is asked for, never enforced: the group transfers it while its leader still leads and the other is there, and whoever asked sees in
 * the end who leads.
 */
export class Transfers {
  private readonly node: NodeInternals;
  private readonly queue: RunQueue;

  constructor(node: NodeInternals, queue: RunQueue) {
    this.node = node;
    this.queue = queue;
  }

  /** To the peer that holds most of the log. */
  handOver(replica: Replica): void {
    const best = replica.group
      .progress()
      .filter(peer => peer.role === 'voter' && this.node.peerByNode(peer.member.nodeId)?.connected)
      .sort((a, b) => b.match - a.match)[0];
    if (best !== undefined && replica.group.transferLeadership(best.member.replicaId)) this.queue.wake(replica);
  }

  /** As the leader. False: it is not led here, or the other cannot take it now. */
  begin(partitionId: number, toNodeId: number): boolean {
    const replica = this.node.replica(partitionId);
    const member = replica?.group.configuration.voters.find(voter => voter.nodeId === toNodeId);
    // Until a node that is not there has caught up, nothing could be proposed.
    if (replica === undefined || member === undefined || !replica.leads || !this.node.peerByNode(toNodeId)?.connected)
      return false;
    const begun = replica.group.transferLeadership(member.replicaId);
    this.queue.wake(replica);
    return begun;
  }

  /** As any node: asks the leader if that is another one. False: nobody can be asked. */
  request(partitionId: number, toNodeId: number): boolean {
    const replica = this.node.replica(partitionId);
    if (replica === undefined || replica.leads) return this.begin(partitionId, toNodeId);
    const leader = this.node.peerByNode(replica.leaderNode);
    if (leader?.connected !== true) return false;
    const writer = this.node.writeTo(leader);
    writer.u8(ItemKind.Transfer);
    writer.varint(partitionId);
    writer.varint(toNodeId);
    return true;
  }
}
