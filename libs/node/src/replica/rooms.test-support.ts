import { HLC_ZERO, HybridClock } from '@kahuna/base';
import { Durability, type OperationResult, type PartitionMachine } from '@kahuna/partition';
import { type Entry, EntryKind, type RaftGroup } from '@kahuna/raft';
import { Meters } from '../meters.ts';
import { ForwardStatus } from '../peer-frame.ts';
import { emptyResult, PendingRequest, type RequestOperation, type RequestOrigin } from '../request.ts';
import type { OwnReplica, ReplicaHostOf, ReplicaLimits } from './replica-host.ts';

const PARTITION = 2;

export const SET = {
  kind: 'set',
  key: 'a/b',
  durability: Durability.Persistent,
  value: null,
  expiresMs: 0,
  flags: 0,
  compareValue: null,
  compareRevision: 0,
} as const;
export const GET = {
  kind: 'get',
  key: 'a/b',
  durability: Durability.Persistent,
  revision: -1,
  readTimestamp: HLC_ZERO,
} as const;

export const ROOMY: ReplicaLimits = { maxBatchItems: 100, maxBatchBytes: 1e6, maxQueuedItems: 100, maxQueuedBytes: 1e6 };

interface Script {
  readonly limits?: Partial<ReplicaLimits>;
  /** Of the durable clock, milliseconds. */
  readonly boundMs?: number;
  readonly host?: Partial<ReplicaHostOf<OwnReplica>>;
  readonly machine?: Partial<PartitionMachine>;
  readonly group?: Partial<RaftGroup>;
}

/**
 * The surroundings of a room: a leader whose group gives each proposal the next index, a machine that takes whatever comes, a node
 * whose clock the test moves. What a test is about it puts in itself.
 */
export function surroundings(script: Script = {}) {
  const log = { nextIndex: 1, term: 1, proposed: [] as Entry[] };
  const time = { ms: 1000 };
  /** What became of the requests, by number. */
  const told: string[] = [];
  let lastNumber = 0;
  const hlc = new HybridClock(1, { monotonicMs: () => time.ms, wallMs: () => time.ms });
  hlc.boundDurable(script.boundMs ?? 1e6);
  const group = {
    leaderReady: true,
    get term() {
      return log.term;
    },
    propose: (data: Uint8Array) => {
      const entry = { index: log.nextIndex++, term: log.term, kind: EntryKind.Command, data: data.slice() };
      log.proposed.push(entry);
      return { ok: true, index: entry.index, term: entry.term };
    },
    applied: () => undefined,
    ...script.group,
  } as unknown as RaftGroup;
  const machine = {
    appliedTerm: 1,
    appliedIndex: 1,
    needs: () => [],
    remembered: () => undefined,
    apply: (_index: number, _term: number, batch: { proposals: readonly unknown[] }): OperationResult[] =>
      batch.proposals.map(() => emptyResult(0)),
    applyEmpty: () => undefined,
    ...script.machine,
  } as unknown as PartitionMachine;
  const replica = {
    partitionId: PARTITION,
    group,
    machine,
    mayServe: true,
    installing: false,
    diverged: false,
    comparedIndex: 0,
    readCount: 0,
    writeCount: 0,
    accept: (request: PendingRequest): void => {
      told.push(`${request.number} came anew`);
    },
  };
  const host = {
    hlc,
    meters: new Meters(),
    limits: { ...ROOMY, ...script.limits },
    wake: () => undefined,
    monotonicMs: () => time.ms,
    ...script.host,
  } as unknown as ReplicaHostOf<OwnReplica>;
  const origin: RequestOrigin = {
    answer: request => told.push(`${request.number} done`),
    refuse: (request, status) => {
      request.done = true;
      told.push(`${request.number} ${nameOf(status)}`);
    },
  };
  const request = (operation: RequestOperation = SET, repeat = false, number = ++lastNumber): PendingRequest =>
    new PendingRequest(operation, PARTITION, origin, undefined, 0, time.ms, 0, 1, 1, number, HLC_ZERO, repeat);
  return { log, time, told, hlc, group, machine, replica: replica as typeof replica & OwnReplica, host, request };
}

function nameOf(status: ForwardStatus): string {
  return Object.entries(ForwardStatus).find(([, value]) => value === status)?.[0] ?? String(status);
}
