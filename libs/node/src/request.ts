import { HLC_ZERO, type Hlc, type HybridClock } from '@kahuna/base';
import {
  type Command,
  Durability,
  type EphemeralTable,
  type LockOperation,
  type Operation,
  type OperationResult,
  type Proposal,
  type ReadOperation,
  type ResponseType,
  type SequenceOperation,
} from '@kahuna/partition';
import type { ResultSink } from './api.ts';
import type { ForwardStatus } from './peer-frame.ts';

export type RequestOperation = Operation | LockOperation | SequenceOperation | Command;

/** Where a request came from, and where its one answer goes. */
export interface RequestOrigin {
  /** Decided by the owner, or refused for good. */
  answer(request: PendingRequest, result: OperationResult): void;
  /** Not decided here; `status` says what is certain. */
  refuse(request: PendingRequest, status: ForwardStatus): void;
}

/**
 * A read that is more than one key: it passes the gate of reads as a request, and is told when it may look. The answer it returns
 * only makes the way back to its origin, after the round that an ephemeral one may still need.
 */
export interface ReadTask {
  /** `ephemeral`: the leader's table if the read is of ephemeral records. */
  run(ephemeral: EphemeralTable | undefined): OperationResult;
}

/**
 * One operation on its way: through waiting, forwarding, proposing and applying it is the same object, and it is its own
 * operation id and proposal, so that the hot path allocates it once and nothing else.
 */
export class PendingRequest implements Proposal {
  readonly operation: RequestOperation;
  readonly isLock: boolean;
  /** Its effect depends on settings, which have to stand in its entry. */
  readonly isPolicied: boolean;
  readonly partitionId: number;
  readonly origin: RequestOrigin;
  /** Who asked on this node; undefined for requests of other nodes and of the node itself. */
  readonly sink: ResultSink | undefined;
  /** The sink's own name for it. */
  readonly token: number;
  /** Monotonic instants, milliseconds. */
  readonly startedAt: number;
  /** The caller does not want an answer after this instant. */
  readonly deadline: number;

  // Operation id: which node received it, in which boot, its number there.
  readonly node: number;
  readonly boot: number;
  readonly number: number;
  /** Every attempt of it is stamped above this. */
  receipt: Hlc;

  /** An earlier attempt may have been proposed: the leader must look for it before it proposes again. */
  repeat: boolean;
  /** Node that it was forwarded to, 0 = none. */
  forwardedTo = 0;
  /** A round of ReadIndex must confirm a time before this read may be answered. */
  needsRound = false;
  /** Time that a read waits for to be settled, and the last entry that can be stamped at or below it. */
  settlesFor: Hlc = HLC_ZERO;
  settlesWith = 0;
  /** Time for which a round has asked the clocks of a quorum. */
  askedQuorumFor: Hlc = HLC_ZERO;
  /** Evaluated against ephemeral state; leaves once leadership is confirmed for an instant after that. */
  evaluated: OperationResult | undefined = undefined;
  done = false;
  /** Looks itself, in place of the operation, which then only says when it may. */
  task: ReadTask | undefined = undefined;

  constructor(
    operation: RequestOperation,
    partitionId: number,
    origin: RequestOrigin,
    sink: ResultSink | undefined,
    token: number,
    startedAt: number,
    deadline: number,
    node: number,
    boot: number,
    number: number,
    receipt: Hlc,
    repeat: boolean,
  ) {
    this.operation = operation;
    this.isLock = operation.kind.startsWith('lock-');
    this.isPolicied = this.isLock || operation.kind.startsWith('sequence-');
    this.partitionId = partitionId;
    this.origin = origin;
    this.sink = sink;
    this.token = token;
    this.startedAt = startedAt;
    this.deadline = deadline;
    this.node = node;
    this.boot = boot;
    this.number = number;
    this.receipt = receipt;
    this.repeat = repeat;
  }

  get id(): this {
    return this;
  }

  get isEphemeral(): boolean {
    return 'durability' in this.operation && this.operation.durability === Durability.Ephemeral;
  }

  /** Of a lock operation only. */
  get lock(): LockOperation {
    return this.operation as LockOperation;
  }

  /** Of a write only. */
  get command(): Command {
    return this.operation as Command;
  }

  /** Of a read only, or of an acquire that is tried as one. */
  get read(): ReadOperation {
    return this.operation as ReadOperation;
  }

  get isWrite(): boolean {
    const { kind } = this.operation;
    return kind !== 'get' && kind !== 'exists' && kind !== 'lock-info' && kind !== 'sequence-get';
  }

  /** Exactly once: a second answer (a late one of an earlier attempt) is dropped. */
  answer(result: OperationResult): void {
    if (this.done) return;
    this.done = true;
    this.origin.answer(this, result);
  }

  refuse(status: ForwardStatus): void {
    if (this.done) return;
    this.origin.refuse(this, status);
  }
}

/** Of a node, what makes an operation its own. */
export interface RequestingNode {
  readonly nodeId: number;
  readonly boot: number;
  readonly hlc: HybridClock;
  monotonicMs(): number;
  /** Of its next operation. */
  takeNumber(): number;
}

/** A command that the node itself gives to a partition it leads; its answer is not looked for again after a change of leader. */
export function requestOfNode(
  node: RequestingNode,
  command: Command,
  partitionId: number,
  origin: RequestOrigin,
): PendingRequest {
  const { nodeId, boot } = node;
  return new PendingRequest(
    command,
    partitionId,
    origin,
    undefined,
    0,
    node.monotonicMs(),
    0,
    nodeId,
    boot,
    node.takeNumber(),
    node.hlc.current(),
    false,
  );
}

const REQUEST_OVERHEAD_BYTES = 200;

/** Bytes that a request pins while it waits; the constant covers the object itself. */
export function requestBytes(operation: RequestOperation): number {
  // First what is asked for most: the other questions are about shapes.
  if (operation.kind === 'set') {
    const { key, value, compareValue } = operation;
    return REQUEST_OVERHEAD_BYTES + key.length + (value?.length ?? 0) + (compareValue?.length ?? 0);
  }
  if (!('key' in operation)) return REQUEST_OVERHEAD_BYTES;
  const base = REQUEST_OVERHEAD_BYTES + operation.key.length;
  if ('owner' in operation) return base + operation.owner.length;
  return 'idempotencyKey' in operation ? base + operation.idempotencyKey.length : base;
}

export function emptyResult(type: ResponseType): OperationResult {
  return {
    type,
    revision: 0,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    route: undefined,
  };
}
