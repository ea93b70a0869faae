import { HLC_ZERO, type Hlc } from '@kahuna/base';
import type {
  EventLog,
  HealthView,
  Instrument,
  KahunaNode,
  MembershipView,
  NodeFacts,
  ResultSink,
  RoutingView,
} from '@kahuna/node';
import { type GetOperation, type Operation, type OperationResult, ResponseType, SetFlag } from '@kahuna/partition';

interface Version {
  readonly value: Uint8Array | null;
  readonly stamp: Hlc;
}

interface StoredRecord {
  readonly versions: Version[];
  live: boolean;
  expires: Hlc;
  modified: Hlc;
}

/**
 * A node without partitions, log and time: enough key/value behaviour to see that a gateway hands over what the client sent and
 * answers what the node said. Answers arrive in a later turn of the event loop, as the real node's do.
 */
export class MemoryNode implements KahunaNode {
  readonly operations: Operation[] = [];
  /** Answer of the next operations instead of their effect. */
  scripted: OperationResult | undefined;
  /** Operations are swallowed while true. */
  silent = false;
  healthView: HealthView = { ready: true, initialized: true, localRole: 'Voter', hostedPartitions: 3, fatalFault: null };
  forwarded = false;
  private readonly records = new Map<string, StoredRecord>();
  private time = 1_763_715_600_000;

  readonly events: EventLog = { recent: () => [], subscribe: () => () => undefined };

  scan(): Promise<never> {
    return Promise.reject(new Error('this node reads single keys only'));
  }

  hold(): Promise<never> {
    return Promise.reject(new Error('this node keeps no holds'));
  }

  keySpaces(): Promise<never> {
    return Promise.reject(new Error('this node lists no key spaces'));
  }

  watch(): never {
    throw new Error('this node tells no changes');
  }

  list(): Promise<never> {
    return Promise.reject(new Error('this node lists no locks or sequences'));
  }

  submit(operation: Operation, sink: ResultSink, token: number): void {
    this.operations.push(operation);
    if (this.silent) return;
    const result = this.scripted ?? this.evaluate(operation);
    setImmediate(() => sink.complete(token, result));
  }

  health(): HealthView {
    return this.healthView;
  }

  membership(): MembershipView {
    const member = (nodeId: number, endpoint: string, clientUrl: string) =>
      ({ endpoint, nodeId, name: `n${nodeId}`, role: 'Voter', joinedVersion: 1, clientUrl, consoleUrl: '' }) as const;
    return {
      membershipVersion: 1,
      members: [member(1, 'a:9081', 'http://a:2070'), member(2, 'b:9082', 'http://b:2070')],
      localRole: this.healthView.localRole,
      initialized: this.healthView.initialized,
      clusterId: '3f0c2f9e-6b7d-4a51-9d0e-2f8f5a1c7b10',
    };
  }

  routing(keySpace: string | undefined): RoutingView {
    return {
      initialized: true,
      poolSize: 3,
      localUrl: 'http://a:2070',
      mapVersion: 1,
      coherent: true,
      keySpaces: keySpace === undefined ? [] : [{ keySpace, mode: 'Hash', ranges: [] }],
      leaders: [2, 3, 4].map(partitionId => ({ partitionId, url: partitionId === 4 ? '' : 'http://a:2070' })),
    };
  }

  instruments(): readonly Instrument[] {
    return [
      { kind: 'counter', name: 'kahuna.kv.write.entries', help: 'Writes in batches', samples: [{ labels: {}, value: 7 }] },
      {
        kind: 'gauge',
        name: 'raft.executor.client_queue_depth',
        help: 'Waiting',
        samples: [{ labels: { partition_id: '2' }, value: 0 }],
      },
      {
        kind: 'histogram',
        name: 'kahuna.kv.write.queue_age',
        help: 'Wait',
        isDuration: true,
        edges: [1, 2],
        counts: [3, 1],
        count: 5,
        sum: 12.5,
      },
    ];
  }

  facts(): NodeFacts {
    const partition = (partitionId: number) =>
      ({
        partitionId,
        kind: partitionId === 0 ? 'system' : partitionId === 1 ? 'meta' : 'hash',
        role: 'leader',
        leaderNodeId: 1,
        term: 1,
        leaderSinceMs: 0,
        commitIndex: 1,
        appliedIndex: 1,
        durableIndex: 1,
        firstIndex: 1,
        lastIndex: 1,
        quiescent: false,
        reads: 0,
        writes: 0,
        queuedProposals: 0,
        keys: 0,
        checksum: { index: 1, value: 0, ok: true },
        replicas: [],
      }) as const;
    return {
      nodeId: 1,
      name: 'n1',
      endpoint: 'a:9081',
      boot: 1,
      version: '0.1.0',
      startedMs: 0,
      wallMs: 0,
      hlc: HLC_ZERO,
      membership: this.membership(),
      partitions: [0, 1, 2, 3, 4].map(partition),
      peers: [],
      counters: { 'kahuna.kv.write.admitted': 7, 'raft.wal.batches_total': 3 },
      gauges: { writeP99: 1.5 },
      fatalFault: this.healthView.fatalFault,
    };
  }

  peerFacts(): undefined {
    return undefined;
  }

  watchNames(): () => void {
    return () => undefined;
  }

  shareWithPeers(): void {
    // it has none
  }

  gatherPeerFacts(): () => void {
    return () => undefined;
  }

  transferLeadership(): boolean {
    return false;
  }

  requestTransfer(): boolean {
    return false;
  }

  private evaluate(operation: Operation): OperationResult {
    const id = `${operation.durability}:${operation.key}`;
    const record = this.records.get(id) ?? { versions: [], live: false, expires: HLC_ZERO, modified: HLC_ZERO };
    this.records.set(id, record);
    const counter = record.versions.length - 1;
    const stamp: Hlc = { n: 1, l: this.time++, c: 0 };
    switch (operation.kind) {
      case 'set': {
        const head = record.versions[counter];
        const current = record.live ? Buffer.from(head?.value ?? []) : Buffer.alloc(0);
        const holds =
          (!(operation.flags & SetFlag.IfExists) || record.live) &&
          (!(operation.flags & SetFlag.IfNotExists) || !record.live) &&
          (!(operation.flags & SetFlag.IfEqualToValue) || current.equals(operation.compareValue ?? Buffer.alloc(0))) &&
          (!(operation.flags & SetFlag.IfEqualToRevision) ||
            operation.compareRevision === (record.live || counter < 0 ? counter : NaN));
        if (!holds) return this.answer({ type: ResponseType.NotSet, revision: counter, lastModified: record.modified });
        record.versions.push({ value: operation.value, stamp });
        record.live = true;
        record.modified = stamp;
        record.expires = operation.expiresMs === 0 ? HLC_ZERO : { n: 1, l: stamp.l + operation.expiresMs, c: 0 };
        return this.answer({ type: ResponseType.Set, revision: counter + 1, lastModified: stamp });
      }
      case 'delete':
      case 'extend': {
        if (!record.live) return this.answer({ type: ResponseType.DoesNotExist, revision: counter });
        record.live = operation.kind === 'extend';
        record.modified = stamp;
        const type = operation.kind === 'extend' ? ResponseType.Extended : ResponseType.Deleted;
        return this.answer({ type, revision: counter, lastModified: stamp });
      }
      case 'get':
      case 'exists':
        return this.read(operation, record, counter);
    }
  }

  private read(operation: GetOperation, record: StoredRecord, counter: number): OperationResult {
    const hit = operation.kind === 'get' ? ResponseType.Get : ResponseType.Exists;
    if (operation.revision >= 0) {
      const version = record.versions[operation.revision];
      if (version === undefined) return this.answer({ type: ResponseType.DoesNotExist, revision: operation.revision });
      return this.answer({ type: hit, revision: operation.revision, value: version.value, lastModified: version.stamp });
    }
    if (!record.live) return this.answer({ type: ResponseType.DoesNotExist, revision: counter });
    const value = operation.kind === 'get' ? (record.versions[counter]?.value ?? null) : null;
    return this.answer({ type: hit, revision: counter, value, expires: record.expires, lastModified: record.modified, state: 1 });
  }

  private answer(result: Partial<OperationResult> & { readonly type: OperationResult['type'] }): OperationResult {
    return {
      revision: 0,
      value: null,
      expires: HLC_ZERO,
      lastUsed: HLC_ZERO,
      lastModified: HLC_ZERO,
      state: 0,
      route: { partitionId: 3, nodeId: this.forwarded ? 2 : 1, forwarded: this.forwarded, generation: 0 },
      ...result,
    };
  }
}
