/**
 * Is a history of concurrent operations linearizable: can every operation be given one instant between its call and its answer, so
 * that a sequential object, doing them in that order, gives the same answers?
 *
 * The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) in the just-in-time order with memoised
 * configurations of Lowe ("Testing for linearizability", 2017): events are read in order of time, and a *configuration* (state of the
 * object, and which of the pending operations have taken effect already) is developed only when an answer arrives whose operation has
 * not taken effect in it. Worked example, one register, initially absent:
 *
 *     process 1   |--- set a ------------------|
 *     process 2        |- get → a -|  |- get → absent -|
 *
 * At the answer `a` only {state a, "set a" done} is left; at `absent` no configuration explains the answer: not linearizable.
 *
 * Operations whose outcome is unknown (no answer, or "perhaps") stay pending for ever: they may take effect at any time after their
 * call, or never. Six observations keep their number from blowing up the search, and none of them changes the verdict: an unknown
 * operation that would not change the state need not be tried; one whose answer fits and that changes nothing is taken at once; of several that the model calls interchangeable only one is
 * tried; a state from which the model says a pending answer can never be reached is left alone; whether an unknown
 * operation took effect is forgotten once it could change nothing any more; and of two configurations with the
 * same state, one that has used up a superset of the other's unknown operations can be dropped, since the other can do all that it can.
 *
 * Memory is bounded by the number of configurations alive at a time, not by the length of the history. The loops are iterative.
 */

/** One operation of a client on one object. */
export interface Operation<Call, Answer> {
  /** Client that ran it; for messages only. */
  readonly process: number;
  readonly call: Call;
  readonly invokedAt: number;
  /** Infinity if the outcome is unknown. Same clock as `invokedAt`. */
  readonly completedAt: number;
  /** undefined: the outcome is unknown. */
  readonly answer: Answer | undefined;
}

/** The sequential object. Must be deterministic: one state and one call have one outcome. */
export interface SequentialModel<State, Call, Answer> {
  readonly initial: State;
  /** The state after `call`, or undefined if the object would not have answered `answer`. With no answer given every one is right. */
  step(state: State, call: Call, answer: Answer | undefined): State | undefined;
  /** Equal keys for equal states. */
  key(state: State): string;
  /** Name of a class of calls with the same effect on every state, as far as the history can tell; undefined if it has none. */
  interchangeable?(call: Call): string | undefined;
  /** No sequence of calls leads from `state` to one where a call is answered with `answer`. Spares the search dead ends. */
  hopeless?(state: State, answer: Answer): boolean;
  /** `call`, of unknown outcome, can change nothing any more, from this state on and for ever. */
  exhausted?(state: State, call: Call): boolean;
}

export type Verdict<Call, Answer> =
  | { readonly kind: 'linearizable' }
  /** `culprit`: the first answer that nothing explains; `states`: what the object could have been just before it. */
  | {
      readonly kind: 'not-linearizable';
      readonly culprit: Operation<Call, Answer>;
      readonly states: readonly string[];
      readonly pending: readonly Operation<Call, Answer>[];
    }
  /** The bound on configurations was hit: neither proven nor refuted. Count it as a failure of the test. */
  | { readonly kind: 'undecided'; readonly configurations: number };

interface Configuration<State> {
  readonly state: State;
  /** Pending operations (their numbers, ascending) that have taken effect and whose answers are still to come. */
  readonly done: readonly number[];
  /** Operations of unknown outcome (their numbers, ascending) that have taken effect. */
  readonly spent: readonly number[];
}

export interface CheckOptions {
  /** Configurations alive at one time beyond which the search gives up. */
  readonly maxConfigurations?: number;
}

/** Checks one object's history; operations may come in any order. */
export function checkLinearizable<State, Call, Answer>(
  history: readonly Operation<Call, Answer>[],
  model: SequentialModel<State, Call, Answer>,
  options: CheckOptions = {},
): Verdict<Call, Answer> {
  const limit = options.maxConfigurations ?? 200_000;
  const search = new Search(history, model, limit);
  return search.run();
}

interface Event {
  readonly at: number;
  readonly isAnswer: boolean;
  readonly operation: number;
}

class Search<State, Call, Answer> {
  private readonly history: readonly Operation<Call, Answer>[];
  private readonly model: SequentialModel<State, Call, Answer>;
  private readonly limit: number;
  /** Called and not answered, whose answers are in the history. */
  private readonly pending = new Set<number>();
  /** Called, of unknown outcome; by class where the model names one. */
  private readonly unknown: number[] = [];
  private readonly classOf: (string | undefined)[];
  private configurations: Configuration<State>[];

  constructor(history: readonly Operation<Call, Answer>[], model: SequentialModel<State, Call, Answer>, limit: number) {
    this.history = history;
    this.model = model;
    this.limit = limit;
    this.classOf = history.map(operation => model.interchangeable?.(operation.call));
    this.configurations = [{ state: model.initial, done: [], spent: [] }];
  }

  run(): Verdict<Call, Answer> {
    for (const event of this.events()) {
      const operation = this.history[event.operation] as Operation<Call, Answer>;
      if (!event.isAnswer) {
        if (operation.answer === undefined) this.unknown.push(event.operation);
        else this.pending.add(event.operation);
        continue;
      }
      const before = this.configurations;
      const after = this.explain(event.operation);
      if (after === undefined) return { kind: 'undecided', configurations: this.limit };
      if (after.length === 0) return this.refuted(operation, before);
      this.configurations = after;
      this.pending.delete(event.operation);
    }
    return { kind: 'linearizable' };
  }

  /** Calls before answers at the same instant: operations that touch are concurrent. */
  private events(): Event[] {
    const events: Event[] = [];
    this.history.forEach((operation, i) => {
      events.push({ at: operation.invokedAt, isAnswer: false, operation: i });
      if (operation.answer !== undefined) events.push({ at: operation.completedAt, isAnswer: true, operation: i });
    });
    return events.sort((a, b) => a.at - b.at || Number(a.isAnswer) - Number(b.isAnswer) || a.operation - b.operation);
  }

  /** All configurations in which `target` has taken effect, without it. Undefined: too many. */
  private explain(target: number): Configuration<State>[] | undefined {
    const seen = new Set<string>();
    const explained = new Map<string, Configuration<State>>();
    const stack = [...this.configurations];
    while (stack.length > 0) {
      const configuration = stack.pop() as Configuration<State>;
      const at = configuration.done.indexOf(target);
      if (at >= 0) {
        const rest = configuration.done.filter(x => x !== target);
        const left = { state: configuration.state, done: rest, spent: this.stillRelevant(configuration) };
        explained.set(this.keyOf(left), left);
        continue;
      }
      if (this.isHopeless(configuration)) continue;
      for (const next of this.successors(configuration)) {
        const key = this.keyOf(next);
        if (seen.has(key)) continue;
        seen.add(key);
        stack.push(next);
        if (seen.size > this.limit) return undefined;
      }
    }
    return this.withoutDominated([...explained.values()]);
  }

  private isHopeless({ state, done }: Configuration<State>): boolean {
    if (this.model.hopeless === undefined) return false;
    for (const operation of this.pending) {
      const { answer } = this.history[operation] as Operation<Call, Answer>;
      if (answer !== undefined && this.model.hopeless(state, answer) && !done.includes(operation)) return true;
    }
    return false;
  }

  private successors(configuration: Configuration<State>): Configuration<State>[] {
    const next: Configuration<State>[] = [];
    const { state, spent } = configuration;
    const stateKey = this.model.key(state);
    const changing: { readonly operation: number; readonly after: State }[] = [];
    const done = [...configuration.done];
    for (const operation of this.pending) {
      if (done.includes(operation)) continue;
      const { call, answer } = this.history[operation] as Operation<Call, Answer>;
      const after = this.model.step(state, call, answer);
      if (after === undefined) continue;
      if (this.model.key(after) === stateKey) done.push(operation);
      else changing.push({ operation, after });
    }
    done.sort((a, b) => a - b);
    // What fits here and changes nothing is taken at once: a way that takes it later works as well without it.
    if (done.length > configuration.done.length) return [{ state, done, spent }];
    for (const { operation, after } of changing) next.push({ state: after, done: inserted(done, operation), spent });
    const tried = new Set<string>();
    for (const operation of this.unknown) {
      if (spent.includes(operation)) continue;
      const kind = this.classOf[operation];
      if (kind !== undefined) {
        if (tried.has(kind)) continue;
        tried.add(kind);
      }
      const { call } = this.history[operation] as Operation<Call, Answer>;
      if (this.model.exhausted?.(state, call) === true) continue;
      const after = this.model.step(state, call, undefined);
      if (after === undefined || this.model.key(after) === stateKey) continue;
      next.push({ state: after, done, spent: inserted(spent, operation) });
    }
    return next;
  }

  private keyOf(configuration: Configuration<State>): string {
    return `${this.model.key(configuration.state)}|${configuration.done.join()}|${configuration.spent.join()}`;
  }

  /** The operations of unknown outcome that are used up and could otherwise still have changed something. */
  private stillRelevant({ state, spent }: Configuration<State>): readonly number[] {
    if (this.model.exhausted === undefined) return spent;
    const { exhausted } = this.model;
    return spent.filter(i => !exhausted(state, (this.history[i] as Operation<Call, Answer>).call));
  }

  private withoutDominated(all: Configuration<State>[]): Configuration<State>[] {
    if (all.length < 2) return all;
    const groups = new Map<string, Configuration<State>[]>();
    all.sort((a, b) => a.spent.length - b.spent.length);
    for (const configuration of all) {
      const key = `${this.model.key(configuration.state)}|${configuration.done.join()}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [configuration]);
      else if (!group.some(other => isSubset(other.spent, configuration.spent))) group.push(configuration);
    }
    return [...groups.values()].flat();
  }

  private refuted(culprit: Operation<Call, Answer>, before: readonly Configuration<State>[]): Verdict<Call, Answer> {
    const states = [...new Set(before.map(configuration => this.model.key(configuration.state)))];
    const pending = [...this.pending, ...this.unknown].map(i => this.history[i] as Operation<Call, Answer>);
    return { kind: 'not-linearizable', culprit, states: states.slice(0, 20), pending: pending.slice(-20) };
  }
}

function inserted(sorted: readonly number[], value: number): number[] {
  const at = sorted.findIndex(x => x > value);
  return at < 0 ? [...sorted, value] : [...sorted.slice(0, at), value, ...sorted.slice(at)];
}

/** Both ascending. */
function isSubset(small: readonly number[], large: readonly number[]): boolean {
  let at = 0;
  for (const value of small) {
    while (at < large.length && (large[at] as number) < value) at++;
    if (large[at] !== value) return false;
    at++;
  }
  return true;
}
