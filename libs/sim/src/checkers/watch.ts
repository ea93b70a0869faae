import { compareHlc, type Hlc } from '@kahuna/base';

/** A write as its client saw it, answered or not. Values are unique in a history. */
export interface WatchedWrite {
  readonly kind: 'set' | 'delete';
  readonly key: string;
  /** Of a set. */
  readonly value: string;
  readonly invokedAt: number;
  /** undefined: no answer, or an outcome that nobody knows. */
  readonly answer: { readonly revision: number; readonly stamp: Hlc } | undefined;
}

/** One event of a watch. Extensions are left out: history keeps the last one only. */
export interface ToldChange {
  readonly kind: 'set' | 'delete' | 'expire';
  readonly key: string;
  /** Of a set. */
  readonly value: string;
  readonly revision: number;
  readonly stamp: Hlc;
  /** When the version ends by itself, Unix milliseconds; 0: never. */
  readonly expires: number;
  readonly partition: number;
  /** Present state, not a change. */
  readonly initial: boolean;
}

/** Everything that one watcher was told between two breaks. */
export interface WatchSession {
  /** How many events the watcher had when it was told the position that this session began with: what follows them is told again. */
  readonly resumedAt: number;
  readonly events: readonly ToldChange[];
}

export interface WatcherHistory {
  readonly name: string;
  /** The first session was under way: writes that began later must be told. */
  readonly startedAt: number;
  readonly watches: (key: string) => boolean;
  readonly sessions: readonly WatchSession[];
}

/**
 * Promises of docs/decisions/0006-watch.md that clients can see, for watchers that were followed to the end (each waited for the last write):
 *
 * - WA1 in order: stamps never fall within a partition, nor stand still within a key;
 * - WA2 no gap and no repetition: each set of a key is of the next revision, each delete and expiry of the one that lived, and a version that
 *   ran out does not end in any other way;
 * - WA3 what is told was written, and is told as the writer was answered;
 * - WA4 every acknowledged write is told, to every watcher of its key;
 * - WA5 a session that resumes tells again exactly what had followed its position, partition by partition.
 *
 * Returns what is wrong first, undefined if nothing is.
 */
export function checkWatches(writes: readonly WatchedWrite[], watchers: readonly WatcherHistory[]): string | undefined {
  const sets = new Map<string, WatchedWrite>();
  for (const write of writes) if (write.kind === 'set') sets.set(write.value, write);
  for (const watcher of watchers) {
    const log: ToldChange[] = [];
    const wrong =
      joined(watcher, log) ??
      checkOrder(log) ??
      checkRevisions(log) ??
      checkWritten(watcher, log, sets) ??
      checkComplete(watcher, log, writes);
    if (wrong !== undefined) return `${watcher.name}: ${wrong}`;
  }
  return undefined;
}

/** Whether the last session has still to tell again what an earlier one told behind its position. */
export function owesWatcher(history: WatcherHistory): boolean {
  return join(history, []).missing !== undefined;
}

function joined(history: WatcherHistory, log: ToldChange[]): string | undefined {
  const { wrong, missing } = join(history, log);
  return wrong ?? (missing && `WA5 the last session does not tell ${show(missing)} again`);
}

/** WA5. Puts the sessions one behind the other, each from its position on. */
function join({ sessions }: WatcherHistory, log: ToldChange[]): { wrong?: string; missing?: ToldChange | undefined } {
  // Told before a break, and not yet again when the session after it broke as well.
  let owed = new Map<number, ToldChange[]>();
  for (const [i, { resumedAt, events }] of sessions.entries()) {
    const again = byPartition(log.splice(resumedAt));
    for (const [partition, rest] of owed) again.set(partition, [...(again.get(partition) ?? []), ...rest]);
    const told = byPartition(events);
    owed = new Map();
    for (const [partition, before] of again) {
      const now = told.get(partition) ?? [];
      const differs = now.findIndex((event, at) => at < before.length && show(event) !== show(before[at] as ToldChange));
      if (differs >= 0) {
        const [was, is] = [before[differs] as ToldChange, now[differs] as ToldChange];
        return { wrong: `WA5 session ${i + 1} tells ${show(is)} where ${show(was)} was told before` };
      }
      if (now.length < before.length) owed.set(partition, before.slice(now.length));
    }
    for (const event of events) log.push(event);
  }
  return { missing: [...owed.values()].flat()[0] };
}

function byPartition(events: readonly ToldChange[]): Map<number, ToldChange[]> {
  const lists = new Map<number, ToldChange[]>();
  for (const event of events) {
    const list = lists.get(event.partition);
    if (list === undefined) lists.set(event.partition, [event]);
    else list.push(event);
  }
  return lists;
}

/** WA1. */
function checkOrder(log: readonly ToldChange[]): string | undefined {
  const partitions = new Map<number, ToldChange>();
  const keys = new Map<string, ToldChange>();
  for (const event of log) {
    if (event.initial) continue;
    const [inPartition, inKey] = [partitions.get(event.partition), keys.get(event.key)];
    if (inPartition !== undefined && compareHlc(inPartition.stamp, event.stamp) > 0) {
      return `WA1 out of order: ${show(event)} after ${show(inPartition)}`;
    }
    if (inKey !== undefined && compareHlc(inKey.stamp, event.stamp) >= 0) {
      return `WA1 out of order: ${show(event)} after ${show(inKey)}`;
    }
    partitions.set(event.partition, event);
    keys.set(event.key, event);
  }
  return undefined;
}

/** WA2. */
function checkRevisions(log: readonly ToldChange[]): string | undefined {
  const keys = new Map<string, ToldChange>();
  for (const event of log) {
    const before = keys.get(event.key);
    keys.set(event.key, event);
    // A watcher that began late does not know what was before.
    if (before === undefined) continue;
    if (!follows(before, event)) return `WA2 ${show(event)} directly after ${show(before)}`;
  }
  return undefined;
}

function follows(before: ToldChange, event: ToldChange): boolean {
  const lived = before.kind === 'set';
  // An expiry stands at the end of its millisecond (keyvalues §9).
  const ranOut = lived && before.expires > 0 && before.expires < event.stamp.l;
  switch (event.kind) {
    case 'set':
      return event.revision === before.revision + 1 && !ranOut;
    case 'delete':
      return event.revision === before.revision && lived && !ranOut;
    case 'expire':
      return event.revision === before.revision && lived && before.expires === event.stamp.l;
  }
}

/** WA3. */
function checkWritten(
  watcher: WatcherHistory,
  log: readonly ToldChange[],
  sets: ReadonlyMap<string, WatchedWrite>,
): string | undefined {
  for (const event of log) {
    if (!watcher.watches(event.key)) return `WA3 ${show(event)} is no key of this watch`;
    if (event.kind !== 'set') continue;
    const write = sets.get(event.value);
    if (write?.key !== event.key) return `WA3 nobody wrote ${show(event)}`;
    const { answer } = write;
    if (answer !== undefined && (answer.revision !== event.revision || compareHlc(answer.stamp, event.stamp) !== 0)) {
      return `WA3 ${show(event)} was acknowledged as r${answer.revision} of ${stampText(answer.stamp)}`;
    }
  }
  return undefined;
}

/** WA4. */
function checkComplete(watcher: WatcherHistory, log: readonly ToldChange[], writes: readonly WatchedWrite[]): string | undefined {
  const told = new Set(log.map(({ kind, key, revision }) => `${kind} ${key} ${revision}`));
  for (const { kind, key, value, invokedAt, answer } of writes) {
    if (answer === undefined || invokedAt < watcher.startedAt || !watcher.watches(key)) continue;
    if (!told.has(`${kind} ${key} ${answer.revision}`)) {
      return `WA4 never told: ${kind} ${key} r${answer.revision} ${value} of ${stampText(answer.stamp)}`;
    }
  }
  return undefined;
}

const stampText = ({ n, l, c }: Hlc): string => `${l}.${c}@${n}`;

function show({ kind, key, value, revision, stamp, partition, initial }: ToldChange): string {
  const state = initial ? ' (initial)' : '';
  return `${kind} ${key} r${revision}${kind === 'set' ? ` ${value}` : ''} of ${stampText(stamp)} in partition ${partition}${state}`;
}
