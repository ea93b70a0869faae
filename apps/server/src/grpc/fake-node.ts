import { type Clock, compareHlc, HLC_ZERO, type Hlc, isZeroHlc } from '@kahuna/base';
import type { HealthView, Instrument, KahunaNode, MembershipView, NodeFacts, ResultSink, RoutingView } from '@kahuna/node';
import { type GetOperation, type Operation, type OperationResult, ResponseType, SetFlag } from '@kahuna/partition';

interface Version {
  readonly revision: number;
  readonly value: Uint8Array | null;
  readonly commit: Hlc;
  readonly archived: boolean;
}

interface StoredRecord {
  readonly versions: Version[];
  deletedAt: Hlc | undefined;
  expires: Hlc;
  lastModified: Hlc;
}

const NO_RESULT = {
  revision: 0,
  value: null,
  expires: HLC_ZERO,
  lastUsed: HLC_ZERO,
  lastModified: HLC_ZERO,
  state: 0,
} as const;

/**
 * A whole node in memory, for the tests of the gateways: key/value semantics as documented (keyvalues §6 to §8), no replication.
 * Answers leave in a later turn of the event loop, as they do from the real node.
 */
export class FakeNode implements KahunaNode {
  /** Submitted and not answered. */
  pending = 0;
  /** Operations on this key are answered only by {@link releaseHeld}. */
  holdKey: string | undefined;
  /** What is submitted in one turn takes effect in the opposite order, as after a change of leader it may. */
  reversed = false;
  private held: (() => void)[] = [];
  private backwards: (() => void)[] = [];
  forwarded = false;
  ready = true;
  readonly events: KahunaNode['events'] = { recent: () => [], subscribe: () => () => undefined };
  private readonly records = new Map<string, StoredRecord>();
  private readonly clock: Clock;
  private counter = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  scan(): Promise<never> {
    return Promise.reject(new Error('this node reads single keys only'));
  }

  hold(): Promise<never> {
    return Promise.reject(new Error('this node keeps no holds'));
  }

  keySpaces(): Promise<never> {
    return Promise.reject(new Error('this node lists no key spaces'));
  }

  list(): Promise<never> {
    return Promise.reject(new Error('this node lists no locks or sequences'));
  }

  submit(operation: Operation, sink: ResultSink, token: number, _deadlineMs: number): void {
    this.pending += 1;
    const answer = (): void => {
      this.pending -= 1;
      sink.complete(token, this.evaluate(operation));
    };
    if (operation.key === this.holdKey) this.held.push(answer);
    else if (this.reversed) {
      if (this.backwards.length === 0) setImmediate(() => this.answerBackwards());
      this.backwards.unshift(answer);
    } else setImmediate(answer);
  }

  private answerBackwards(): void {
    for (const answer of this.backwards.splice(0)) answer();
  }

  /** Answers what was held back, and holds nothing back any more. */
  releaseHeld(): void {
    this.holdKey = undefined;
    for (const answer of this.held.splice(0)) setImmediate(answer);
  }

  private now(): Hlc {
    this.counter += 1;
    return { n: 1, l: Math.floor(this.clock.wallMs()), c: this.counter };
  }

  private evaluate(operation: Operation): OperationResult {
    const name = `${operation.durability}/${operation.key}`;
    const record = this.records.get(name);
    switch (operation.kind) {
      case 'set': {
        const now = this.now();
        if (!this.holds(operation, record, now)) {
          return this.result(ResponseType.NotSet, {
            revision: counterOf(record),
            lastModified: record?.lastModified ?? HLC_ZERO,
          });
        }
        const next = record ?? { versions: [], deletedAt: undefined, expires: HLC_ZERO, lastModified: HLC_ZERO };
        const revision = counterOf(record) + 1;
        next.versions.push({
          revision,
          value: operation.value === null ? null : operation.value.slice(),
          commit: now,
          archived: (operation.flags & SetFlag.NoRevision) === 0,
        });
        next.deletedAt = undefined;
        next.expires = operation.expiresMs === 0 ? HLC_ZERO : { ...now, l: now.l + operation.expiresMs };
        next.lastModified = now;
        this.records.set(name, next);
        return this.result(ResponseType.Set, { revision, lastModified: now });
      }
      case 'delete':
      case 'extend': {
        const now = this.now();
        if (record === undefined || !isLive(record, now)) {
          return this.result(ResponseType.DoesNotExist, { revision: counterOf(record) });
        }
        record.lastModified = now;
        if (operation.kind === 'delete') record.deletedAt = now;
        else record.expires = operation.expiresMs === 0 ? HLC_ZERO : { ...now, l: now.l + operation.expiresMs };
        const type = operation.kind === 'delete' ? ResponseType.Deleted : ResponseType.Extended;
        return this.result(type, { revision: counterOf(record), lastModified: now });
      }
      case 'get':
      case 'exists':
        return this.read(operation, record);
    }
  }

  private read(operation: GetOperation, record: StoredRecord | undefined): OperationResult {
    const hit = operation.kind === 'get' ? ResponseType.Get : ResponseType.Exists;
    const shown = (version: Version): Uint8Array | null => (operation.kind === 'get' ? version.value : null);
    if (operation.revision >= 0) {
      const version = record?.versions.find(candidate => candidate.revision === operation.revision);
      if (version === undefined) return this.result(ResponseType.DoesNotExist, { revision: operation.revision });
      return this.result(hit, {
        revision: version.revision,
        value: shown(version),
        lastModified: version.commit,
        state: 1,
      });
    }
    if (!isZeroHlc(operation.readTimestamp)) {
      const version = record?.versions.findLast(candidate => compareHlc(candidate.commit, operation.readTimestamp) <= 0);
      if (version === undefined) return this.result(ResponseType.DoesNotExist, { revision: -1 });
      return this.result(hit, {
        revision: version.revision,
        value: shown(version),
        lastModified: version.commit,
        state: 1,
      });
    }
    if (record === undefined || !isLive(record, this.now())) {
      return this.result(ResponseType.DoesNotExist, { revision: counterOf(record) });
    }
    const head = record.versions.at(-1) as Version;
    return this.result(hit, {
      revision: head.revision,
      value: shown(head),
      expires: record.expires,
      lastModified: record.lastModified,
      state: 1,
    });
  }

  private holds(operation: Operation & { kind: 'set' }, record: StoredRecord | undefined, now: Hlc): boolean {
    const live = record !== undefined && isLive(record, now);
    const { flags } = operation;
    if ((flags & SetFlag.IfExists) !== 0 && !live) return false;
    if ((flags & SetFlag.IfNotExists) !== 0 && live) return false;
    if ((flags & SetFlag.IfEqualToValue) !== 0) {
      const head = live ? (record.versions.at(-1)?.value ?? null) : null;
      if (Buffer.compare(head ?? Buffer.alloc(0), operation.compareValue ?? Buffer.alloc(0)) !== 0) return false;
    }
    if ((flags & SetFlag.IfEqualToRevision) !== 0) {
      const counter = live ? counterOf(record) : record === undefined ? -1 : undefined;
      if (counter !== operation.compareRevision) return false;
    }
    return true;
  }

  private result(type: ResponseType, fields: Partial<OperationResult>): OperationResult {
    return {
      ...NO_RESULT,
      ...fields,
      type,
      route: { partitionId: 3, nodeId: this.forwarded ? 2 : 1, forwarded: this.forwarded, generation: 0 },
    };
  }

  membership(): MembershipView {
    const member = (nodeId: number) => ({
      endpoint: `10.0.0.${nodeId}:2070`,
      nodeId,
      name: `node-${nodeId}`,
      role: 'Voter' as const,
      joinedVersion: 1,
      clientUrl: `https://node-${nodeId}:8082`,
      consoleUrl: '',
    });
    return { membershipVersion: 1, members: [member(1), member(2)], localRole: 'Voter', initialized: true, clusterId: 'c' };
  }

  routing(keySpace: string | undefined): RoutingView {
    return {
      initialized: true,
      poolSize: 3,
      localUrl: 'https://node-1:8082',
      mapVersion: 7,
      coherent: true,
      keySpaces: keySpace === undefined ? [] : [{ keySpace, mode: 'Hash', ranges: [] }],
      leaders: [2, 3, 4].map(partitionId => ({
        partitionId,
        url: partitionId === 4 ? '' : `https://node-${partitionId - 1}:8082`,
      })),
    };
  }

  health(): HealthView {
    return { ready: this.ready, initialized: true, localRole: 'Voter', hostedPartitions: 3, fatalFault: null };
  }

  instruments(): readonly Instrument[] {
    return [];
  }

  facts(): NodeFacts {
    return {
      nodeId: 1,
      name: 'node-1',
      endpoint: '10.0.0.1:2070',
      boot: 1,
      version: '0',
      startedMs: 0,
      wallMs: this.clock.wallMs(),
      hlc: HLC_ZERO,
      membership: this.membership(),
      partitions: [],
      peers: [],
      counters: {},
      gauges: {},
      fatalFault: null,
    };
  }

  peerFacts(): undefined {
    return undefined;
  }

  gatherPeerFacts(): () => void {
    return () => undefined;
  }

  transferLeadership(): boolean {
    return false;
  }
}

function counterOf(record: StoredRecord | undefined): number {
  return (record?.versions.length ?? 0) - 1;
}

function isLive(record: StoredRecord, now: Hlc): boolean {
  return record.deletedAt === undefined && (isZeroHlc(record.expires) || record.expires.l >= now.l);
}
