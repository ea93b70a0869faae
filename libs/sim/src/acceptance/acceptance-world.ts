import { assert } from '@kahuna/base';
import type { ResultSink } from '@kahuna/node';
import {
  type LockOperation,
  type Operation,
  type OperationResult,
  ResponseType,
  type SequenceOperation,
} from '@kahuna/partition';
import { RoutingTable } from '@kahuna/range-router';
import { CALM_CLUSTER, Cluster, type ClusterOptions, type SimNode } from '../world/cluster.ts';
import { Simulation } from '../world/simulation.ts';

export type Asked = Operation | LockOperation | SequenceOperation;

/** A cluster of production nodes in virtual time, for cases that are told as "given, when, then". */
export class AcceptanceWorld {
  readonly simulation: Simulation;
  readonly cluster: Cluster;
  private names = 0;

  constructor(seed: number, options: Partial<ClusterOptions> = {}) {
    this.simulation = new Simulation(seed);
    this.cluster = new Cluster(this.simulation, { ...CALM_CLUSTER, ...options });
    this.cluster.startAll();
    this.serves();
  }

  /** A name that no other case uses. */
  fresh(stem = 'case'): string {
    return `${stem}-${++this.names}`;
  }

  node(id: number): SimNode {
    const node = this.cluster.nodes[id - 1];
    assert(node !== undefined, 'there is such a node');
    return node;
  }

  until(holds: () => boolean, limitMs = 30_000): void {
    const end = this.simulation.nowMs + limitMs;
    while (!holds()) {
      if (this.cluster.failure !== undefined) throw this.cluster.failure;
      assert(this.simulation.nowMs < end, `not reached within ${limitMs} ms`);
      this.simulation.run(this.simulation.nowMs + 1);
    }
  }

  pass(ms: number): void {
    this.simulation.run(this.simulation.nowMs + ms);
    if (this.cluster.failure !== undefined) throw this.cluster.failure;
  }

  /** Begins an operation through one node. */
  start(operation: Asked, nodeId = 1): { answer: OperationResult | undefined } {
    const pending: { answer: OperationResult | undefined } = { answer: undefined };
    const sink: ResultSink = {
      complete: (_token, result) => {
        assert(pending.answer === undefined, 'a request is answered once');
        pending.answer = result;
      },
    };
    const node = this.node(nodeId);
    assert(node.process !== undefined && node.isUp, 'the node runs');
    node.process.deliver(() => node.host?.submit(operation, sink, 0, 0));
    return pending;
  }

  ask(operation: Asked, nodeId = 1): OperationResult {
    return this.askAll([operation], nodeId)[0] as OperationResult;
  }

  /** All at once, through one node or spread over all. */
  askAll(operations: readonly Asked[], nodeId: number | 'all' = 1): OperationResult[] {
    const count = this.cluster.nodes.length;
    const pending = operations.map((operation, i) => this.start(operation, nodeId === 'all' ? (i % count) + 1 : nodeId));
    this.until(() => pending.every(({ answer }) => answer !== undefined));
    return pending.map(({ answer }) => answer as OperationResult);
  }

  /** As {@link ask}, repeated as long as the cluster is on its way to a leader. */
  askUntilServed(operation: Asked, nodeId = 1): OperationResult {
    for (let i = 0; i < 20; i++) {
      const answer = this.ask(operation, nodeId);
      if (answer.type !== ResponseType.MustRetry) return answer;
    }
    throw new Error('the cluster does not settle');
  }

  partitionOf(placementKey: string): number {
    return new RoutingTable(this.cluster.options.poolSize, 1).lookup(placementKey).partitionId;
  }

  leaderOf(partitionId: number): SimNode {
    let leader: SimNode | undefined;
    this.until(() => {
      leader = this.cluster.nodes.find(node => node.isUp && node.host?.replica(partitionId)?.servesAsLeader === true);
      return leader !== undefined;
    });
    return leader as SimNode;
  }

  /** A node that runs and does not lead the partition. */
  followerOf(partitionId: number): SimNode {
    const leader = this.leaderOf(partitionId);
    const follower = this.cluster.nodes.find(node => node.isUp && node !== leader);
    assert(follower !== undefined, 'the partition has a follower');
    return follower;
  }

  transfer(partitionId: number, to: SimNode): void {
    const from = this.leaderOf(partitionId);
    if (from === to) return;
    from.process?.deliver(() => {
      from.host?.transferLeadership(partitionId, to.id);
    });
    this.until(() => to.host?.replica(partitionId)?.servesAsLeader === true);
  }

  /** Entries in the log of a partition, as its leader counts them. */
  lastIndexOf(partitionId: number): number {
    return this.leaderOf(partitionId).host?.replica(partitionId)?.group.lastIndex ?? 0;
  }

  restartAll(): void {
    for (const node of this.cluster.nodes) node.crash('kill');
    this.cluster.startAll();
    this.serves();
  }

  private serves(): void {
    const partitions = Array.from({ length: this.cluster.options.poolSize }, (_, i) => i + 2);
    this.until(() => this.cluster.nodes.every(node => node.host?.routingTable() !== undefined), 60_000);
    for (const partitionId of partitions) this.leaderOf(partitionId);
    this.pass(500);
  }

  /** At equal indexes the checksums of all replicas are equal (design §3, invariant 5). */
  replicasAgree(): void {
    this.pass(1000);
    for (let id = 2; id < this.cluster.options.poolSize + 2; id++) {
      const machines = this.cluster.nodes.flatMap(node => node.host?.replica(id)?.machine ?? []);
      for (const machine of machines) {
        assert(machine.appliedIndex === machines[0]?.appliedIndex, 'all replicas have caught up');
        assert(machine.checksum === machines[0]?.checksum, `partition ${id}: replicas differ`);
      }
    }
  }
}
