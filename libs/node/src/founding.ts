import { META_PARTITION, type PartitionId, SYSTEM_PARTITION } from '@kahuna/base';
import type { FoundCluster, FoundRangeMap } from '@kahuna/partition';
import type { Configuration, Member } from '@kahuna/raft';
import type { Hello } from './hello.ts';
import type { NodeInternals } from './internals.ts';
import type { LogStore } from './ports.ts';
import type { Replica } from './replica.ts';
import { type RequestOrigin, requestOfNode } from './request.ts';

const RETRY_MS = 1000;
const REPORT_EVERY_MS = 10_000;

/**
 * First boot of a cluster (spec operations §2). Once every listed node has said hello, all of them create the same groups with the
 * same members: no message is needed for that, because all know the same list. The first leaders of P0 and P1 then write the roster
 * and the range map, which make the cluster initialised.
 *
 * A replica id is the storage id of its node's data directory, so a node that comes back with an empty disk is nobody's member.
 */
export class Founding {
  private readonly node: NodeInternals;
  private readonly log: LogStore;
  private readonly create: (partitionId: PartitionId, configuration: Configuration) => Replica;
  private readonly proposedAt = new Map<PartitionId, number>();
  private reportedAt = Number.NEGATIVE_INFINITY;
  private done = false;

  constructor(node: NodeInternals, log: LogStore, create: (partitionId: PartitionId, configuration: Configuration) => Replica) {
    this.node = node;
    this.log = log;
    this.create = create;
  }

  /** While there are no groups: creates them as soon as that is safe. `others`: the listed endpoints but our own. */
  tryFound(now: number, others: readonly string[]): void {
    if (this.done) return;
    const missing = others.filter(endpoint => this.node.peers.get(endpoint)?.hello === undefined);
    if (missing.length > 0) {
      this.report(now, `waiting for ${missing.join(', ')} to found the cluster`);
      return;
    }
    const hellos = others.map(endpoint => this.node.peers.get(endpoint)?.hello).filter(hello => hello !== undefined);
    const obstacle = this.obstacle(hellos);
    if (obstacle !== undefined) {
      this.report(now, obstacle);
      return;
    }
    this.done = true;
    const { nodeId, storageId } = this.node.options;
    const voters: Member[] = [
      { replicaId: storageId, nodeId },
      ...hellos.map(hello => ({ replicaId: hello.storageId, nodeId: hello.nodeId })),
    ].sort((a, b) => a.replicaId - b.replicaId);
    this.createGroups({ voters, outgoing: [], learners: [] });
  }

  private obstacle(hellos: readonly Hello[]): string | undefined {
    const { nodeId, storageId } = this.node.options;
    const stranger = hellos.find(hello => hello.founded && hello.knows[nodeId] !== storageId);
    if (stranger !== undefined) {
      return `${stranger.endpoint} belongs to a cluster that does not know this data directory; remove this node there and let it join anew`;
    }
    const ids = new Set([nodeId, ...hellos.map(hello => hello.nodeId)]);
    if (ids.size !== hellos.length + 1) return 'two nodes have the same node id; give each its own --raft-nodeid';
    const other = hellos.find(hello => membersOf(hello) !== 0 && membersOf(hello) !== ids.size);
    if (other === undefined) return undefined;
    return `${other.endpoint} counts ${membersOf(other)} nodes in the cluster, this node's list has ${ids.size}; start all with one list`;
  }

  private createGroups(configuration: Configuration): void {
    const { voters } = configuration;
    const start = { index: 0, term: 0, configuration, reset: true };
    const replicaId = this.node.options.storageId;
    const ids = Array.from({ length: this.node.poolSize + 2 }, (_, id) => id);
    const records = ids.map(partitionId => ({ partitionId, replicaId, hardState: { term: 0, vote: 0 }, entries: [], start }));
    // One durable write: after a crash there are all groups or none.
    this.log.append(records, undefined, error => {
      if (error !== undefined) {
        this.node.fatal(`log write failed: ${error.message}`);
        return;
      }
      for (const partitionId of ids) {
        const replica = this.create(partitionId, configuration);
        // Alone: no reason to wait for an election timeout. Together each begins with its share of the leaders.
        if (voters.length === 1) this.campaign(replica);
        else if (voters[partitionId % voters.length]?.nodeId === this.node.nodeId) {
          this.node.after(this.node.settings.heartbeatMs, () => this.campaign(replica));
        }
      }
      const text = `created ${ids.length} partitions with ${voters.length} voter(s)`;
      this.node.events.record('founded', 'info', `node/${this.node.nodeId}`, text);
    });
  }

  private campaign(replica: Replica): void {
    if (!this.node.accepting || replica.group.leaderId !== 0 || replica.group.term > 0) return;
    this.node.campaign(replica);
  }

  private report(now: number, text: string): void {
    if (now - this.reportedAt < REPORT_EVERY_MS) return;
    this.reportedAt = now;
    this.node.events.record('waiting', 'warning', `node/${this.node.nodeId}`, text);
  }

  /** While the cluster is not initialised: the leaders of P0 and P1 propose its first state. */
  proposeState(now: number): void {
    const system = this.node.replica(SYSTEM_PARTITION);
    const meta = this.node.replica(META_PARTITION);
    if (system?.leads && system.group.leaderReady && system.machine.system === undefined) {
      const command = this.foundCluster(system);
      if (command !== undefined) this.propose(system, command, now);
    }
    if (meta?.leads && meta.group.leaderReady && meta.machine.meta === undefined) {
      this.propose(meta, { kind: 'found-range-map' }, now);
    }
  }

  private foundCluster(system: Replica): FoundCluster | undefined {
    const members = system.group.configuration.voters
      .map(voter => (voter.nodeId === this.node.nodeId ? this.node.options : this.node.peerByNode(voter.nodeId)?.hello))
      .filter(member => member !== undefined)
      .map(({ endpoint, nodeId, name, storageId, clientUrl, consoleUrl }) => ({
        endpoint,
        nodeId,
        name,
        storageId,
        clientUrl,
        consoleUrl,
      }))
      .sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
    if (members.length < system.group.configuration.voters.length) return undefined;
    return { kind: 'found-cluster', clusterId: this.node.options.newClusterId, poolSize: this.node.poolSize, members };
  }

  private propose(replica: Replica, command: FoundCluster | FoundRangeMap, now: number): void {
    if (now - (this.proposedAt.get(replica.partitionId) ?? Number.NEGATIVE_INFINITY) < RETRY_MS) return;
    this.proposedAt.set(replica.partitionId, now);
    replica.accept(requestOfNode(this.node, command, replica.partitionId, NOBODY));
  }
}

/** As the founding was, or will be, on that node: groups made with different members could decide apart. 0: not said. */
function membersOf(hello: Hello): number {
  return hello.founded ? Object.keys(hello.knows).length : hello.listed;
}

/** Nobody waits for the answer: whether the command took effect shows in the state. */
const NOBODY: RequestOrigin = {
  answer: () => undefined,
  refuse: request => {
    request.done = true;
  },
};
