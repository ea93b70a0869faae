import { Rng } from '@kahuna/base';
import { ResponseType, SetFlag } from '@kahuna/partition';
import { describe, expect, it } from 'vitest';
import type { Operation } from './linearizability.ts';
import { checkLinearizable } from './linearizability.ts';
import {
  checkRegisters,
  checkRevisions,
  type RegisterAnswer,
  type RegisterCall,
  type RegisterOperation,
  registerModel,
} from './register.ts';

const K = 'k';
const NEVER = Number.POSITIVE_INFINITY;

function operation(
  [invokedAt, completedAt]: [number, number],
  call: RegisterCall,
  answer: RegisterAnswer | undefined,
): RegisterOperation {
  return { process: 0, key: K, call, invokedAt, completedAt: answer === undefined ? NEVER : completedAt, answer };
}

function setCall(value: string | null, flags = 0, compareValue: string | null = null, compareRevision = 0): RegisterCall {
  return { kind: 'set', value, flags, compareValue, compareRevision };
}

const set = (at: [number, number], value: string, revision: number): RegisterOperation =>
  operation(at, setCall(value), { type: ResponseType.Set, revision, value: null });
const lostSet = (from: number, value: string): RegisterOperation => operation([from, NEVER], setCall(value), undefined);
const get = (at: [number, number], value: string, revision: number): RegisterOperation =>
  operation(at, { kind: 'get' }, { type: ResponseType.Get, revision, value });
const miss = (at: [number, number], revision: number): RegisterOperation =>
  operation(at, { kind: 'get' }, { type: ResponseType.DoesNotExist, revision, value: null });
const remove = (at: [number, number], revision: number): RegisterOperation =>
  operation(at, { kind: 'delete' }, { type: ResponseType.Deleted, revision, value: null });
const conditional = (at: [number, number], call: RegisterCall, type: number, revision: number): RegisterOperation =>
  operation(at, call, { type, revision, value: null });

function verdictOf(history: readonly RegisterOperation[]): string {
  return checkLinearizable(history, registerModel).kind;
}

describe('histories that must pass', () => {
  const good: Record<string, RegisterOperation[]> = {
    'one after the other': [miss([0, 1], -1), set([2, 3], 'a', 0), get([4, 5], 'a', 0), remove([6, 7], 0), miss([8, 9], 0)],
    'a read concurrent with a write sees either state': [set([0, 10], 'a', 0), miss([1, 2], -1), get([3, 4], 'a', 0)],
    'concurrent writes in the other order': [set([0, 10], 'a', 1), set([0, 10], 'b', 0), get([11, 12], 'a', 1)],
    'a lost write that took effect': [lostSet(0, 'a'), miss([1, 2], -1), get([3, 4], 'a', 0)],
    'a lost write that never did': [lostSet(0, 'a'), miss([1, 2], -1), set([3, 4], 'b', 0)],
    'a lost write that took effect much later': [lostSet(0, 'a'), set([1, 2], 'b', 0), get([3, 4], 'b', 0), get([5, 6], 'a', 1)],
    'two lost writes between two answers': [lostSet(0, 'a'), lostSet(0, 'b'), set([5, 6], 'c', 2)],
    'nx after delete, cmp and cmprev on what is there': [
      conditional([0, 1], setCall('a', SetFlag.IfNotExists), ResponseType.Set, 0),
      conditional([2, 3], setCall('b', SetFlag.IfNotExists), ResponseType.NotSet, 0),
      conditional([4, 5], setCall('c', SetFlag.IfEqualToValue, 'a'), ResponseType.Set, 1),
      conditional([6, 7], setCall('d', SetFlag.IfEqualToRevision, null, 1), ResponseType.Set, 2),
      remove([8, 9], 2),
      conditional([10, 11], setCall('e', SetFlag.IfEqualToRevision, null, 2), ResponseType.NotSet, 2),
      conditional([12, 13], setCall('f', SetFlag.IfExists), ResponseType.NotSet, 2),
      conditional([14, 15], setCall('g', SetFlag.IfNotExists), ResponseType.Set, 3),
    ],
    'answers that touch are concurrent': [set([0, 5], 'a', 0), miss([5, 6], -1)],
  };
  for (const [title, history] of Object.entries(good)) {
    it(title, () => {
      expect(verdictOf(history)).toBe('linearizable');
      expect(checkRegisters(history).violation).toBeUndefined();
    });
  }
});

describe('histories that must fail', () => {
  const bad: Record<string, RegisterOperation[]> = {
    'stale read': [set([0, 1], 'a', 0), set([2, 3], 'b', 1), get([4, 5], 'a', 0)],
    'lost write': [set([0, 1], 'a', 0), miss([2, 3], -1)],
    'lost write, found by the next revision': [set([0, 1], 'a', 0), set([2, 3], 'b', 0)],
    'write applied twice': [set([0, 1], 'a', 0), set([2, 3], 'b', 2)],
    'lost write applied twice': [lostSet(0, 'a'), get([1, 2], 'a', 0), set([3, 4], 'b', 1), get([5, 6], 'a', 2)],
    'split brain: both halves acknowledge the same revision': [set([0, 5], 'a', 0), set([0, 5], 'b', 0), get([6, 7], 'b', 0)],
    'split brain: two nx winners': [
      conditional([0, 9], setCall('a', SetFlag.IfNotExists), ResponseType.Set, 0),
      conditional([0, 9], setCall('b', SetFlag.IfNotExists), ResponseType.Set, 1),
    ],
    'value that nobody wrote': [set([0, 1], 'a', 0), get([2, 3], 'z', 0)],
    'value read before it was written': [get([0, 1], 'a', 0), set([2, 3], 'a', 0)],
    'going back in time between two readers': [set([0, 20], 'a', 0), get([1, 2], 'a', 0), miss([3, 4], -1)],
    'deleted value comes back': [set([0, 1], 'a', 0), remove([2, 3], 0), get([4, 5], 'a', 0)],
    'failed condition answered from stale state': [
      set([0, 1], 'a', 0),
      set([2, 3], 'b', 1),
      conditional([4, 5], setCall('c', SetFlag.IfEqualToValue, 'b'), ResponseType.NotSet, 1),
    ],
    'cmprev succeeds against an old revision': [
      set([0, 1], 'a', 0),
      set([2, 3], 'b', 1),
      conditional([4, 5], setCall('c', SetFlag.IfEqualToRevision, null, 0), ResponseType.Set, 2),
    ],
  };
  for (const [title, history] of Object.entries(bad)) {
    it(title, () => {
      expect(verdictOf(history)).toBe('not-linearizable');
      expect(checkRegisters(history).violation).toBeDefined();
    });
  }
});

it('names revisions that go back along real time', () => {
  expect(checkRevisions(K, [set([0, 1], 'b', 3), get([2, 3], 'a', 2)])).toContain('went back in time');
  expect(checkRevisions(K, [get([0, 9], 'b', 3), get([2, 3], 'a', 3)])).toContain('two values');
  expect(checkRevisions(K, [get([0, 9], 'b', 3), get([2, 3], 'a', 2)])).toBeUndefined();
});

it('keys are checked apart, and the report names the key', () => {
  const fine = set([0, 1], 'a', 0);
  const stale = { ...miss([2, 3], -1), key: 'other' };
  const lost = { ...set([0, 1], 'b', 0), key: 'other' };
  expect(checkRegisters([fine, stale]).violation).toBeUndefined();
  expect(checkRegisters([fine, lost, stale]).violation).toContain('key other');
});

it('gives up loudly when the bound on configurations is hit', () => {
  const history = [...Array(12).keys()].map(i =>
    operation([0, 10], setCall(`v${i}`), { type: ResponseType.Set, revision: i, value: null }),
  );
  const unpinned = history.map(x => ({ ...x, answer: x.answer === undefined ? undefined : { ...x.answer } }));
  const anyAnswer = {
    ...registerModel,
    step: (s: { counter: number }, c: RegisterCall) =>
      registerModel.step({ live: true, value: null, counter: s.counter }, c, undefined),
  };
  expect(checkLinearizable(unpinned, anyAnswer, { maxConfigurations: 50 }).kind).toBe('undecided');
});

describe('random histories', () => {
  it('agrees with trying every order, on small histories', () => {
    const seen = { linearizable: 0, 'not-linearizable': 0 };
    for (let seed = 1; seed <= 4000; seed++) {
      const rng = new Rng(seed);
      const history = randomHistory(rng, rng.int(2, 6), 4, 0.25);
      if (rng.chance(0.6)) corrupt(rng, history);
      const expected = bruteForce(history) ? 'linearizable' : 'not-linearizable';
      seen[expected]++;
      expect({ seed, verdict: verdictOf(history) }).toEqual({ seed, verdict: expected });
      expect({ seed, passes: checkRegisters(history).violation === undefined }).toEqual({
        seed,
        passes: expected === 'linearizable',
      });
    }
    expect(Math.min(seen.linearizable, seen['not-linearizable'])).toBeGreaterThan(500);
  });

  it('accepts long histories of many clients and lost answers, fast', () => {
    const rng = new Rng(7);
    const history = randomHistory(rng, 5000, 10, 0.03);
    // Processor time: a busy machine takes away as much time as it likes.
    const before = process.cpuUsage();
    expect(checkRegisters(history).violation).toBeUndefined();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(5000);
  });

  it('finds one stale read in a long history', () => {
    const history = randomHistory(new Rng(8), 3000, 5, 0.02);
    const at = history.findIndex((x, i) => i > 2500 && x.call.kind === 'get' && x.answer?.type === ResponseType.Get);
    const read = history[at] as RegisterOperation;
    const { revision } = read.answer as RegisterAnswer;
    history[at] = { ...read, answer: { type: ResponseType.Get, value: 'older', revision: revision - 40 } };
    expect(verdictOf(history)).toBe('not-linearizable');
  });
});

/** A history of a correct register: every operation takes effect at a random instant inside its interval, or, if lost, any time later or never. */
function randomHistory(rng: Rng, count: number, clients: number, lostChance: number): RegisterOperation[] {
  interface Planned {
    readonly process: number;
    readonly call: RegisterCall;
    readonly invokedAt: number;
    readonly effectAt: number;
    readonly completedAt: number;
    readonly lost: boolean;
  }
  const freeAt = new Array<number>(clients).fill(0);
  const planned: Planned[] = [];
  for (let i = 0; i < count; i++) {
    const client = rng.int(0, clients - 1);
    const invokedAt = (freeAt[client] as number) + rng.int(0, 5);
    const completedAt = invokedAt + rng.int(1, 12);
    freeAt[client] = completedAt + 1;
    const lost = rng.chance(lostChance);
    const effectAt = lost && rng.chance(0.5) ? completedAt + rng.int(0, 60) : invokedAt + rng.float() * (completedAt - invokedAt);
    planned.push({ process: client, call: randomCall(rng, i), invokedAt, effectAt, completedAt, lost });
  }
  let state = registerModel.initial;
  const answers = new Map<Planned, RegisterAnswer>();
  for (const one of planned.toSorted((a, b) => a.effectAt - b.effectAt)) {
    if (one.lost && rng.chance(0.4)) continue;
    const before = state;
    state = registerModel.step(state, one.call, undefined) as typeof state;
    answers.set(one, answerOf(one.call, before, state));
  }
  return planned
    .filter(x => !(x.lost && (x.call.kind === 'get' || x.call.kind === 'exists')))
    .map(x => {
      const answer = x.lost ? undefined : answers.get(x);
      return {
        key: K,
        process: x.process,
        call: x.call,
        invokedAt: x.invokedAt,
        completedAt: x.lost ? NEVER : x.completedAt,
        answer,
      };
    });
}

function randomCall(rng: Rng, i: number): RegisterCall {
  switch (rng.int(0, 8)) {
    case 0:
      return { kind: 'delete' };
    case 1:
      return setCall(`v${i}`, SetFlag.IfNotExists);
    case 2:
      return setCall(`v${i}`, SetFlag.IfEqualToRevision, null, Math.floor(i / 3));
    case 3:
      return setCall(`v${i}`, SetFlag.IfEqualToValue, `v${rng.int(Math.max(0, i - 3), i)}`);
    case 4:
    case 5:
      return setCall(`v${i}`);
    default:
      return { kind: rng.pick(['get', 'get', 'exists', 'extend'] as const) };
  }
}

function answerOf(call: RegisterCall, before: typeof registerModel.initial, after: typeof registerModel.initial): RegisterAnswer {
  const value = call.kind === 'get' && after.live ? after.value : null;
  const types = [
    ResponseType.Set,
    ResponseType.NotSet,
    ResponseType.Deleted,
    ResponseType.DoesNotExist,
    ResponseType.Extended,
    ResponseType.Exists,
    ResponseType.Get,
  ];
  for (const type of types) {
    const answer = { type, revision: after.counter, value };
    if (registerModel.step(before, call, answer) !== undefined) return answer;
  }
  throw new Error('the model has no answer');
}

/** Changes one answer a little; the history may or may not stay linearizable. */
function corrupt(rng: Rng, history: RegisterOperation[]): void {
  const at = rng.int(0, history.length - 1);
  const victim = history[at];
  if (victim?.answer === undefined) return;
  const { answer } = victim;
  const revision = rng.chance(0.5) ? answer.revision + rng.int(-1, 1) : answer.revision;
  const other = history[rng.int(0, history.length - 1)]?.answer ?? answer;
  history[at] = {
    ...victim,
    answer: rng.chance(0.5) ? { ...answer, revision } : { ...other, value: victim.call.kind === 'get' ? other.value : null },
  };
}

/** Tries every order of every subset of the unknown operations: right by construction, and hopeless beyond a few operations. */
function bruteForce(history: readonly Operation<RegisterCall, RegisterAnswer>[]): boolean {
  const attempt = (left: readonly Operation<RegisterCall, RegisterAnswer>[], state: typeof registerModel.initial): boolean => {
    if (left.every(x => x.answer === undefined)) return true;
    return left.some(next => {
      if (left.some(x => x.answer !== undefined && x.completedAt < next.invokedAt)) return false;
      const after = registerModel.step(state, next.call, next.answer);
      return (
        after !== undefined &&
        attempt(
          left.filter(x => x !== next),
          after,
        )
      );
    });
  };
  return attempt(history, registerModel.initial);
}
