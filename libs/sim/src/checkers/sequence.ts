/** What a client saw of one sequence in one incarnation with increment 1. Times are of one clock, any clock. */
export interface SequenceEvent {
  readonly sequence: string;
  readonly kind: 'reserve' | 'get';
  readonly count: number;
  /** '' = unkeyed. Each key is used with one count. */
  readonly key: string;
  readonly invokedAt: number;
  readonly completedAt: number;
  /** Reserve: the run. Get: `end` is the mark. undefined: no answer, or an outcome that nobody knows. */
  readonly answer: { readonly start: bigint; readonly end: bigint; readonly revision: number } | undefined;
}

/** One allocation, however often it was answered. */
interface Allocation {
  readonly start: bigint;
  readonly end: bigint;
  /** First call that could have made it. */
  invokedAt: number;
  /** First answer that showed it. */
  completedAt: number;
  readonly event: SequenceEvent;
}

/**
 * Promises of sequences §6.1 and §7 that clients can see: a value is issued at most once (SQ1); an allocation that starts after another
 * was answered has greater values (SQ2); a run is contiguous and of the length that was asked for (SQ3); one key has one allocation (SQ4); the mark
 * lies at or above everything that was issued before it was asked for (SQ5). Returns what is wrong first, undefined if nothing is.
 */
export function checkSequences(events: readonly SequenceEvent[]): string | undefined {
  const bySequence = new Map<string, SequenceEvent[]>();
  for (const event of events) {
    const list = bySequence.get(event.sequence);
    if (list === undefined) bySequence.set(event.sequence, [event]);
    else list.push(event);
  }
  for (const [sequence, list] of bySequence) {
    const wrong = checkSequence(list);
    if (wrong !== undefined) return `sequence ${sequence}: ${wrong}`;
  }
  return undefined;
}

function checkSequence(events: readonly SequenceEvent[]): string | undefined {
  const allocations: Allocation[] = [];
  const keyed = new Map<string, Allocation>();
  for (const event of events) {
    const { kind, key, answer, count, invokedAt, completedAt } = event;
    if (kind !== 'reserve' || answer === undefined) continue;
    const { start, end } = answer;
    if (end - start !== BigInt(count - 1)) return `a run is not what was asked for: ${show(event)}`;
    const known = key === '' ? undefined : keyed.get(key);
    if (known === undefined) {
      const allocation = { start, end, invokedAt, completedAt, event };
      allocations.push(allocation);
      if (key !== '') keyed.set(key, allocation);
    } else if (known.start !== start || known.end !== end) {
      return `key ${key} has two allocations: ${show(known.event)} and ${show(event)}`;
    } else {
      known.completedAt = Math.min(known.completedAt, completedAt);
    }
  }
  // Every attempt of a keyed allocation may be the one that made it, also one that was never answered.
  for (const { kind, key, invokedAt } of events) {
    const allocation = kind === 'reserve' && key !== '' ? keyed.get(key) : undefined;
    if (allocation !== undefined) allocation.invokedAt = Math.min(allocation.invokedAt, invokedAt);
  }
  return checkUnique(allocations) ?? checkOrder(allocations) ?? checkMarks(events, allocations);
}

/** SQ1: runs do not overlap. */
function checkUnique(allocations: readonly Allocation[]): string | undefined {
  const byStart = allocations.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  for (let i = 1; i < byStart.length; i++) {
    const [before, after] = [byStart[i - 1] as Allocation, byStart[i] as Allocation];
    if (after.start <= before.end) return `a value was issued twice: ${show(before.event)} and ${show(after.event)}`;
  }
  return undefined;
}

/** SQ2. */
function checkOrder(allocations: readonly Allocation[]): string | undefined {
  const byCall = allocations.toSorted((a, b) => a.invokedAt - b.invokedAt);
  const byAnswer = allocations.toSorted((a, b) => a.completedAt - b.completedAt);
  let highest: Allocation | undefined;
  let at = 0;
  for (const allocation of byCall) {
    for (; at < byAnswer.length && (byAnswer[at] as Allocation).completedAt < allocation.invokedAt; at++) {
      const earlier = byAnswer[at] as Allocation;
      if (highest === undefined || earlier.end > highest.end) highest = earlier;
    }
    if (highest !== undefined && allocation.start <= highest.end) {
      return `went back: ${show(allocation.event)} after ${show(highest.event)}`;
    }
  }
  return undefined;
}

/** SQ5. */
function checkMarks(events: readonly SequenceEvent[], allocations: readonly Allocation[]): string | undefined {
  for (const event of events) {
    if (event.kind !== 'get' || event.answer === undefined) continue;
    const { end: mark } = event.answer;
    const above = allocations.find(allocation => allocation.completedAt < event.invokedAt && allocation.end > mark);
    if (above !== undefined) return `the mark is below what was issued: ${show(event)} after ${show(above.event)}`;
  }
  return undefined;
}

function show({ kind, count, key, invokedAt, completedAt, answer }: SequenceEvent): string {
  const what = `${kind}${kind === 'reserve' ? ` ${count}` : ''}${key === '' ? '' : ` key ${key}`}`;
  const outcome = answer === undefined ? 'unknown' : `${answer.start}..${answer.end} r${answer.revision}`;
  return `[${invokedAt.toFixed(1)}, ${completedAt.toFixed(1)}] ${what} → ${outcome}`;
}
