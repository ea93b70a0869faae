import type { PartitionId, Rng } from '@kahuna/base';
import { createPartitionMachine, type HeadCache, type PartitionMachine } from '@kahuna/partition';
import { type Configuration, createRaftGroup, type RaftGroup } from '@kahuna/raft';
import type { NodeInternals } from '../internals.ts';
import { promiseMsOf } from '../leases.ts';
import type { RecoveredGroup } from '../ports.ts';
import { Replica, type ReplicaHost } from '../replica.ts';

/** Where the log of a group begins and what it holds. */
export interface GroupStart {
  readonly replicaId: number;
  readonly configuration: Configuration;
  readonly hardState: RecoveredGroup['hardState'];
  readonly startIndex: number;
  readonly startTerm: number;
  readonly entries: RecoveredGroup['entries'];
  readonly appliedIndex: number;
}

/** Puts replicas together: a Raft group with the node's settings, a state machine over the node's cache. */
export class ReplicaFactory {
  private readonly node: NodeInternals & ReplicaHost;
  private readonly rng: Rng;
  private readonly headCache: HeadCache;

  constructor(node: NodeInternals & ReplicaHost, rng: Rng, headCache: HeadCache) {
    this.node = node;
    this.rng = rng;
    this.headCache = headCache;
  }

  /** Of a group that begins now. */
  founded(partitionId: PartitionId, configuration: Configuration): Replica {
    const start: GroupStart = {
      replicaId: this.node.options.storageId,
      configuration,
      hardState: { term: 0, vote: 0 },
      startIndex: 0,
      startTerm: 0,
      entries: [],
      appliedIndex: 0,
    };
    return this.replica(partitionId, this.machine(partitionId, undefined), start);
  }

  replica(partitionId: PartitionId, machine: PartitionMachine, start: GroupStart): Replica {
    return new Replica(partitionId, this.group(start), machine, start.configuration, this.node);
  }

  /** `metaRow`: what the engine has of it, undefined if nothing. Throws DecodeError if that cannot be read. */
  machine(partitionId: PartitionId, metaRow: Uint8Array | undefined): PartitionMachine {
    const { poolSize, names } = this.node;
    const machine = createPartitionMachine({ partitionId, poolSize, headCache: this.headCache, metaRow });
    machine.names = names;
    return machine;
  }

  private group(start: GroupStart): RaftGroup {
    const { settings, nodeId } = this.node;
    const { electionMinMs, electionMaxMs, tickMs } = settings;
    // The first tick may come right behind a heartbeat: what was promised then has run out only after one more than it lasts.
    const electionTicksMin = Math.max(Math.ceil(electionMinMs / tickMs), Math.floor(promiseMsOf(settings) / tickMs) + 2);
    return createRaftGroup({
      ...start,
      nodeId,
      electionTicksMin,
      electionTicksMax: Math.max(3, electionTicksMin, Math.ceil(electionMaxMs / tickMs)),
      randomInt: (low, high) => this.rng.int(low, high),
      maxAppendBytes: settings.maxAppendBytes,
      maxInflightBytes: settings.maxInflightBytes,
      maxUncommittedBytes: settings.maxUncommittedBytes,
    });
  }
}
