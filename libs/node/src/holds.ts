import { HLC_ZERO, META_PARTITION, type Rng } from '@kahuna/base';
import {
  type HoldAnswer,
  type HoldCommand,
  type HoldOperation,
  liveHolds,
  type OperationResult,
  ResponseType,
} from '@kahuna/partition';
import type { Dispatcher } from './dispatcher.ts';
import { isValidHold } from './hold-input.ts';
import type { NodeInternals } from './internals.ts';
import { type PendingRequest, requestOfNode } from './request.ts';

/** Expired holds are removed this often. Milliseconds. */
const SWEEP_MS = 10_000;
/** Hexadecimal. */
const HOLD_ID_DIGITS = 32;
const STORAGE_DIGITS = 13;
const BOOT_DIGITS = 8;
const decoder = new TextDecoder();

/** Snapshot holds (keyvalues §10.3): calls become commands of P1; expired holds are removed by its leader. */
export class Holds {
  private readonly node: NodeInternals;
  private readonly dispatcher: Dispatcher;
  private readonly rng: Rng;
  private sweepAt = 0;

  constructor(node: NodeInternals, dispatcher: Dispatcher, rng: Rng) {
    this.node = node;
    this.dispatcher = dispatcher;
    this.rng = rng;
  }

  /** `done` is called exactly once, never inside this call. */
  ask(operation: HoldOperation, deadline: number, done: (answer: HoldAnswer) => void): void {
    if (!isValidHold(operation)) {
      this.node.soon(() => done(refusal(ResponseType.InvalidInput)));
      return;
    }
    const command: HoldCommand = operation.kind === 'hold-acquire' ? { ...operation, newHoldId: this.newHoldId() } : operation;
    const sink = { complete: (_token: number, result: OperationResult) => done(answerOf(command, result)) };
    this.dispatcher.submitCommand(command, META_PARTITION, sink, 0, deadline);
  }

  /**
   * One that no process has given before, also where the operator has chosen the random numbers and they repeat: two holds of one id would
   * be released together.
   */
  private newHoldId(): string {
    const { storageId, boot } = this.node.options;
    const process = hexadecimal(storageId, STORAGE_DIGITS) + hexadecimal(boot, BOOT_DIGITS);
    return process + drawDigits(this.rng, HOLD_ID_DIGITS).slice(process.length);
  }

  tick(now: number): void {
    if (now < this.sweepAt) return;
    this.sweepAt = now + SWEEP_MS;
    const meta = this.node.replica(META_PARTITION);
    if (!meta?.leads || !meta.servesAsLeader) return;
    const { holds } = meta.machine.holds;
    if (liveHolds(holds, this.node.hlc.current()).length === holds.length) return;
    // Any command drops them; this one does nothing else.
    meta.accept(requestOfNode(this.node, { kind: 'hold-floor' }, META_PARTITION, IGNORED));
  }
}

/** The lowest so many digits. */
function hexadecimal(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0').slice(-digits);
}

function drawDigits(rng: Rng, digits: number): string {
  let text = '';
  while (text.length < digits) text += rng.int(0, 15).toString(16);
  return text;
}

/** Whether the command took effect shows in the state. */
const IGNORED = {
  answer: () => undefined,
  refuse: (request: PendingRequest) => {
    request.done = true;
  },
};

function refusal(type: number): HoldAnswer {
  return { type, holdId: '', leaseExpiry: HLC_ZERO, effectiveFloor: HLC_ZERO, liveHolds: 0 };
}

function answerOf(command: HoldCommand, result: OperationResult): HoldAnswer {
  const holdId = result.value === null ? '' : decoder.decode(result.value);
  const floor = command.kind === 'hold-floor' && result.type === ResponseType.Get;
  return {
    type: result.type,
    holdId,
    leaseExpiry: result.expires,
    effectiveFloor: floor ? result.lastModified : HLC_ZERO,
    liveHolds: floor ? result.revision : 0,
  };
}
