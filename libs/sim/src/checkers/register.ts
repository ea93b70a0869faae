import { ResponseType, SetFlag } from '@kahuna/partition';
import { checkLinearizable, type Operation, type SequentialModel } from './linearizability.ts';

/** A key/value call on one key, as the register model knows it. Values are text; null is the value null. No expiry. */
export type RegisterCall =
  | {
      readonly kind: 'set';
      readonly value: string | null;
      readonly flags: number;
      readonly compareValue: string | null;
      readonly compareRevision: number;
    }
  | { readonly kind: 'delete' | 'extend' | 'get' | 'exists' };

/** What a client saw: a {@link ResponseType}, the revision, and for a get the value. */
export interface RegisterAnswer {
  readonly type: number;
  readonly revision: number;
  readonly value: string | null;
}

export type RegisterOperation = Operation<RegisterCall, RegisterAnswer> & { readonly key: string };

export interface RegisterState {
  readonly live: boolean;
  readonly value: string | null;
  /** -1 while never written. */
  readonly counter: number;
}

const ABSENT: RegisterState = { live: false, value: null, counter: -1 };

/** Sequential semantics of one key (keyvalues §6.2 conditions, §6.6 answers about dead keys, §7). */
export const registerModel: SequentialModel<RegisterState, RegisterCall, RegisterAnswer> = {
  initial: ABSENT,
  step(state, call, answer) {
    switch (call.kind) {
      case 'set': {
        const holds = conditionsHold(state, call);
        const next = holds ? { live: true, value: call.value, counter: state.counter + 1 } : state;
        return accept(answer, holds ? ResponseType.Set : ResponseType.NotSet, next);
      }
      case 'delete':
        return state.live
          ? accept(answer, ResponseType.Deleted, { ...state, live: false, value: null })
          : accept(answer, ResponseType.DoesNotExist, state);
      case 'extend':
        return accept(answer, state.live ? ResponseType.Extended : ResponseType.DoesNotExist, state);
      case 'exists':
        return accept(answer, state.live ? ResponseType.Exists : ResponseType.DoesNotExist, state);
      case 'get':
        if (answer !== undefined && state.live && answer.value !== state.value) return undefined;
        return accept(answer, state.live ? ResponseType.Get : ResponseType.DoesNotExist, state);
    }
  },
  hopeless(state, answer) {
    return state.counter > answer.revision; // the counter never goes back
  },
  key(state) {
    return state.live ? `${state.counter}=${state.value === null ? 'null' : JSON.stringify(state.value)}` : `${state.counter}`;
  },
};

function accept(answer: RegisterAnswer | undefined, type: number, next: RegisterState): RegisterState | undefined {
  return answer === undefined || (answer.type === type && answer.revision === next.counter) ? next : undefined;
}

function conditionsHold(state: RegisterState, call: RegisterCall & { kind: 'set' }): boolean {
  const { flags, compareValue, compareRevision } = call;
  if ((flags & SetFlag.IfExists) !== 0 && !state.live) return false;
  if ((flags & SetFlag.IfNotExists) !== 0 && state.live) return false;
  if ((flags & SetFlag.IfEqualToValue) !== 0) {
    const have = state.live ? (state.value ?? '') : '';
    if (have !== (compareValue ?? '')) return false;
  }
  if ((flags & SetFlag.IfEqualToRevision) !== 0) {
    const matches = state.live ? state.counter === compareRevision : compareRevision === -1 && state.counter === -1;
    if (!matches) return false;
  }
  return true;
}

export interface RegisterReport {
  /** undefined if all keys are linearizable; else what is wrong, for a reader. */
  readonly violation: string | undefined;
  readonly keys: number;
  readonly operations: number;
  readonly unknown: number;
}

/**
 * Checks a history of many keys: linearizability composes (Herlihy and Wing 1990), so each key is checked by itself. A read of unknown
 * outcome changes nothing and should be left out by the caller.
 */
export function checkRegisters(history: readonly RegisterOperation[], maxConfigurations?: number): RegisterReport {
  const byKey = new Map<string, RegisterOperation[]>();
  for (const operation of history) {
    const list = byKey.get(operation.key);
    if (list === undefined) byKey.set(operation.key, [operation]);
    else list.push(operation);
  }
  let violation: string | undefined;
  for (const [key, operations] of byKey) {
    violation ??= checkRegister(key, operations, maxConfigurations);
  }
  const unknown = history.reduce((count, operation) => count + (operation.answer === undefined ? 1 : 0), 0);
  return { violation, keys: byKey.size, operations: history.length, unknown };
}

function checkRegister(key: string, operations: readonly RegisterOperation[], maxConfigurations?: number): string | undefined {
  const quick = checkRevisions(key, operations);
  if (quick !== undefined) return quick;
  const model = modelOf(operations);
  const verdict = checkLinearizable(operations, model, maxConfigurations === undefined ? {} : { maxConfigurations });
  switch (verdict.kind) {
    case 'linearizable':
      return undefined;
    case 'undecided':
      return `key ${key}: undecided after ${verdict.configurations} configurations`;
    case 'not-linearizable':
      return [
        `key ${key}: not linearizable: ${describeOperation(verdict.culprit)}`,
        `  possible states before it: ${verdict.states.join(' | ')}`,
        ...verdict.pending.filter(x => x !== verdict.culprit).map(x => `  pending: ${describeOperation(x)}`),
      ].join('\n');
  }
}

const CONDITIONS = SetFlag.IfExists | SetFlag.IfNotExists | SetFlag.IfEqualToValue | SetFlag.IfEqualToRevision;

/**
 * The model, confined to what the history shows anyway, so that the search has less to try: each revision is made by one set, so no other value than the
 * one that an answer shows for it can have made it; and values that nobody ever saw or compared with are one and the same.
 */
function modelOf(operations: readonly RegisterOperation[]): typeof registerModel {
  const shownAt = new Map<number, string | null>();
  const seen = new Set<string>();
  for (const operation of operations) {
    const { call, answer } = operation;
    if (call.kind === 'set' && (call.flags & SetFlag.IfEqualToValue) !== 0) seen.add(call.compareValue ?? '');
    const value = valueSeen(operation);
    if (value === undefined || answer === undefined) continue;
    shownAt.set(answer.revision, value);
    if (call.kind === 'get') seen.add(value ?? '');
  }
  const isSeen = (value: string | null): boolean => seen.has(value ?? '');
  return {
    ...registerModel,
    step(state, call, answer) {
      const next = registerModel.step(state, call, answer);
      if (next === undefined || next.counter === state.counter) return next;
      const shown = shownAt.get(next.counter);
      return shown === undefined || shown === next.value ? next : undefined;
    },
    key: state => (state.live && !isSeen(state.value) ? `${state.counter}=?` : registerModel.key(state)),
    interchangeable(call) {
      if (call.kind !== 'set') return call.kind;
      if (isSeen(call.value)) return undefined;
      return `${call.flags & CONDITIONS} ${call.compareValue} ${call.compareRevision}`;
    },
    exhausted: (state, call) =>
      call.kind === 'set' && (call.flags & SetFlag.IfEqualToRevision) !== 0 && call.compareRevision < state.counter,
  };
}

/**
 * The cheap part of transactions WL-1, with messages that are easier to read than a failed search: for one key, revisions never
 * decrease along real time, and equal revisions mean equal values.
 */
export function checkRevisions(key: string, operations: readonly RegisterOperation[]): string | undefined {
  const answered = operations.filter(operation => operation.answer !== undefined);
  const valueAt = new Map<number, { readonly value: string | null; readonly by: RegisterOperation }>();
  for (const operation of answered) {
    const value = valueSeen(operation);
    if (value === undefined) continue;
    const { revision } = operation.answer as RegisterAnswer;
    const before = valueAt.get(revision);
    if (before === undefined) valueAt.set(revision, { value, by: operation });
    else if (before.value !== value) {
      return `key ${key}: revision ${revision} has two values: ${describeOperation(before.by)} and ${describeOperation(operation)}`;
    }
  }
  const byCall = answered.toSorted((a, b) => a.invokedAt - b.invokedAt);
  const byAnswer = answered.toSorted((a, b) => a.completedAt - b.completedAt);
  let highest: RegisterOperation | undefined;
  let at = 0;
  for (const operation of byCall) {
    for (; at < byAnswer.length && (byAnswer[at] as RegisterOperation).completedAt < operation.invokedAt; at++) {
      const earlier = byAnswer[at] as RegisterOperation;
      if (highest === undefined || revisionOf(earlier) > revisionOf(highest)) highest = earlier;
    }
    if (highest !== undefined && revisionOf(operation) < revisionOf(highest)) {
      return `key ${key}: went back in time: ${describeOperation(operation)} after ${describeOperation(highest)}`;
    }
  }
  return undefined;
}

function revisionOf(operation: RegisterOperation): number {
  return (operation.answer as RegisterAnswer).revision;
}

/** The value an answer shows for its revision, undefined if it shows none. */
function valueSeen({ call, answer }: RegisterOperation): string | null | undefined {
  if (answer === undefined) return undefined;
  if (call.kind === 'set' && answer.type === ResponseType.Set) return call.value;
  if (call.kind === 'get' && answer.type === ResponseType.Get) return answer.value;
  return undefined;
}

export function describeOperation(operation: Operation<RegisterCall, RegisterAnswer>): string {
  const { call, answer } = operation;
  const what = call.kind === 'set' ? `set ${call.value}${conditionText(call)}` : call.kind;
  const outcome =
    answer === undefined
      ? 'unknown'
      : `${typeName(answer.type)} r${answer.revision}${call.kind === 'get' ? ` ${answer.value}` : ''}`;
  const until = answer === undefined ? '…' : String(operation.completedAt);
  return `p${operation.process} [${operation.invokedAt}, ${until}] ${what} → ${outcome}`;
}

function conditionText(call: RegisterCall & { kind: 'set' }): string {
  let text = '';
  if ((call.flags & SetFlag.IfExists) !== 0) text += ' xx';
  if ((call.flags & SetFlag.IfNotExists) !== 0) text += ' nx';
  if ((call.flags & SetFlag.IfEqualToValue) !== 0) text += ` cmp ${call.compareValue}`;
  if ((call.flags & SetFlag.IfEqualToRevision) !== 0) text += ` cmprev ${call.compareRevision}`;
  return text;
}

function typeName(type: number): string {
  return Object.entries(ResponseType).find(([, number]) => number === type)?.[0] ?? String(type);
}
