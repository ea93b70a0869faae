/** What a client saw of one persistent lock; times are true time, which no node can read. Milliseconds. */
export interface LockEvent {
  readonly lock: string;
  /** Owner bytes are used for one grant only: who holds is told from who held before. */
  readonly owner: string;
  readonly kind: 'acquire' | 'extend' | 'release' | 'info';
  readonly leaseMs: number;
  readonly invokedAt: number;
  readonly completedAt: number;
  /** undefined: no answer, or an outcome that nobody knows. */
  readonly answer: { readonly holds: boolean; readonly owner: string; readonly token: number } | undefined;
}

/** How far the clocks that grant and judge leases may be apart from true time, and from one another. */
export interface ClockBounds {
  readonly rate: number;
  readonly skewMs: number;
}

/** An owner is certain to hold from its answer to this instant, whatever the clocks do within their bounds. */
interface Hold {
  readonly owner: string;
  readonly from: number;
  readonly until: number;
  readonly event: LockEvent;
}

/**
 * Promises of locks §4 to §6 that clients can see:
 *
 * - a token belongs to one owner (LK1) and never falls in the course of time (LK2);
 * - while one owner is certain to hold the lock, no other is granted it (LK3). The grant was stamped after the acquire was called, so the lease ends,
 *   by the clock that granted it, at the earliest a lease after that call.
 *
 * Returns what is wrong first, undefined if nothing is. `clocks` undefined: they were set, and only tokens can be judged (locks §10).
 */
export function checkLocks(events: readonly LockEvent[], clocks: ClockBounds | undefined): string | undefined {
  const byLock = new Map<string, LockEvent[]>();
  for (const event of events) {
    const list = byLock.get(event.lock);
    if (list === undefined) byLock.set(event.lock, [event]);
    else list.push(event);
  }
  for (const [lock, list] of byLock) {
    const wrong = checkTokens(list) ?? (clocks === undefined ? undefined : checkExclusion(list, clocks));
    if (wrong !== undefined) return `lock ${lock}: ${wrong}`;
  }
  return undefined;
}

/** LK1 and LK2. */
function checkTokens(events: readonly LockEvent[]): string | undefined {
  const shown = events.filter(event => event.answer?.holds === true);
  const ownerOf = new Map<number, LockEvent>();
  for (const event of shown) {
    const { token, owner } = event.answer as NonNullable<LockEvent['answer']>;
    const first = ownerOf.get(token);
    if (first === undefined) ownerOf.set(token, event);
    else if (first.answer?.owner !== owner) return `token ${token} was given twice: ${show(first)} and ${show(event)}`;
  }
  const byCall = shown.toSorted((a, b) => a.invokedAt - b.invokedAt);
  const byAnswer = shown.toSorted((a, b) => a.completedAt - b.completedAt);
  let highest: LockEvent | undefined;
  let at = 0;
  for (const event of byCall) {
    for (; at < byAnswer.length && (byAnswer[at] as LockEvent).completedAt < event.invokedAt; at++) {
      const earlier = byAnswer[at] as LockEvent;
      if (highest === undefined || tokenOf(earlier) > tokenOf(highest)) highest = earlier;
    }
    if (highest !== undefined && tokenOf(event) < tokenOf(highest))
      return `the token fell: ${show(event)} after ${show(highest)}`;
  }
  return undefined;
}

/** LK3. */
function checkExclusion(events: readonly LockEvent[], clocks: ClockBounds): string | undefined {
  const holds = events.flatMap(event => holdOf(event, events, clocks) ?? []);
  for (const grant of events) {
    if (grant.answer?.holds !== true || grant.kind !== 'acquire') continue;
    const broken = holds.find(
      hold => hold.owner !== grant.owner && hold.from < grant.invokedAt && grant.completedAt < hold.until,
    );
    if (broken !== undefined) return `two owners at once: ${show(grant)} while ${show(broken.event)}`;
  }
  return undefined;
}

function holdOf(event: LockEvent, events: readonly LockEvent[], { rate, skewMs }: ClockBounds): Hold | undefined {
  if (event.answer?.holds !== true || (event.kind !== 'acquire' && event.kind !== 'extend')) return undefined;
  let until = event.invokedAt + event.leaseMs / rate;
  for (const other of events) {
    if (other === event || other.owner !== event.owner || other.kind === 'info') continue;
    const earlier = other.invokedAt <= event.invokedAt;
    if (other.kind === 'acquire') {
      // The answer to a repeated acquire speaks of the lease that an earlier one began.
      if (earlier && event.kind === 'acquire') until = Math.min(until, other.invokedAt + other.leaseMs / rate);
    } else if (!earlier) {
      // What its owner asked for later may have ended the lease or shortened it, whatever the answer.
      until = Math.min(until, other.invokedAt);
    } else if (event.kind === 'acquire' || other.answer === undefined || other.completedAt >= event.invokedAt) {
      // So may what it asked for before: by what the acquire found, or by taking effect only now.
      return undefined;
    }
  }
  until -= 2 * skewMs;
  return until > event.completedAt ? { owner: event.owner, from: event.completedAt, until, event } : undefined;
}

function tokenOf(event: LockEvent): number {
  return (event.answer as NonNullable<LockEvent['answer']>).token;
}

function show({ owner, kind, leaseMs, invokedAt, completedAt, answer }: LockEvent): string {
  const times = `[${invokedAt.toFixed(1)}, ${completedAt.toFixed(1)}]`;
  return `${owner} ${times} ${kind} ${leaseMs} ms → ${answer === undefined ? 'unknown' : `${answer.owner} f${answer.token}`}`;
}
