import { compareHlc, type Hlc } from '@kahuna/base';

/** A write as its client saw it. Values are unique in a history; keys are persistent and without expiry. */
export interface SnapshotWrite {
  readonly kind: 'set' | 'delete';
  readonly key: string;
  /** Of a set. */
  readonly value: string;
  readonly invokedAt: number;
  readonly completedAt: number;
  /** undefined: no answer, or an outcome that nobody knows. */
  readonly answer: { readonly revision: number; readonly stamp: Hlc } | undefined;
}

/** What a read showed of one key; the stamp is the version's commit. */
export interface SeenVersion {
  readonly value: string;
  readonly revision: number;
  readonly stamp: Hlc;
}

/** One answer about several keys. */
export interface SnapshotRead {
  readonly kind: 'read';
  /** undefined: the latest; then all keys are of one key space, and the answer is that of one instant. */
  readonly at: Hlc | undefined;
  readonly keys: readonly string[];
  readonly invokedAt: number;
  readonly completedAt: number;
  /** The keys that were there. 'pruned': refused, the history is gone. undefined: no answer. */
  readonly rows: ReadonlyMap<string, SeenVersion> | 'pruned' | undefined;
}

/** A call about the hold on one timestamp; each id names one hold. */
export interface HoldCall {
  readonly kind: 'acquire' | 'renew' | 'release';
  readonly hold: string;
  readonly at: Hlc;
  readonly leaseMs: number;
  readonly invokedAt: number;
  readonly completedAt: number;
  /** Whether it was granted; undefined: nobody knows. */
  readonly granted: boolean | undefined;
}

/** What is protected, as a node told it. */
export interface FloorRead {
  readonly kind: 'floor';
  readonly invokedAt: number;
  readonly completedAt: number;
  readonly floor: Hlc;
  readonly liveHolds: number;
}

export type SnapshotEvent = SnapshotWrite | SnapshotRead | HoldCall | FloorRead;

export interface SnapshotReport {
  /** undefined: nothing is wrong. */
  readonly violation: string | undefined;
  /** Reads of the past that lay within a hold, and how many of them showed a version that was superseded already. */
  readonly heldReads: number;
  readonly heldReadsOfThePast: number;
  /** Reads that were refused because the history was gone: without any, nothing was pruned. */
  readonly prunedReads: number;
}

/** A hold certainly protects from its acknowledgement until the first of its release and the end of its last known lease. */
interface Window {
  readonly at: Hlc;
  readonly from: number;
  readonly until: number;
}

/** A lease is judged by clocks of the cluster, which may differ this much (transactions §18.2, WL-5). Milliseconds. */
const LEASE_SLACK_MS = 500;

/**
 * Promises of transactions §16 (P-1, P-3, P-4, N-1, N-4) and keyvalues §11 that clients can see, judged by commit stamps. As they are exact, so is
 * the judgement:
 *
 * - SN1 a revision of a key is one version: one value, one stamp, written by somebody; stamps grow with revisions;
 * - SN2 a read as of T shows of every key the version with the greatest stamp up to T: one cut through all keys, repeatable, and no later write is
 *   stamped into what was read;
 * - SN3 a latest read of one key space shows one instant between its call and its answer;
 * - SN4 inside a hold nothing at or behind its timestamp is refused;
 * - SN5 the floor tells of every hold that is certain to live.
 */
export function checkSnapshots(events: readonly SnapshotEvent[]): SnapshotReport {
  const counts = { heldReads: 0, heldReadsOfThePast: 0, prunedReads: 0 };
  const keys = new Timelines();
  const report = (violation: string | undefined): SnapshotReport => ({ violation, ...counts });
  const wrong = keys.learn(events);
  if (wrong !== undefined) return report(wrong);
  const windows = windowsOf(events);
  for (const event of events) {
    const violation =
      event.kind === 'read'
        ? (checkRead(event, keys) ?? checkHeld(event, windows, keys, counts))
        : event.kind === 'floor'
          ? checkFloor(event, windows)
          : undefined;
    if (violation !== undefined) return report(violation);
  }
  return report(keys.contradiction());
}

/** Everything that is known of one key. */
interface Timeline {
  readonly key: string;
  /** By revision, and so by stamp. */
  versions: SeenVersion[];
  readonly byRevision: Map<number, SeenVersion>;
  /** When a revision was deleted. */
  readonly deaths: Map<number, Hlc>;
  /** When somebody asked to delete it and never learned what came of it. */
  readonly unknownDeaths: number[];
  /** When the writer of a revision had its answer. */
  readonly answeredAt: Map<number, number>;
  /** Of a revision: the latest time at which it was seen alive, the earliest at which it was seen dead. */
  readonly alive: Map<number, Hlc>;
  readonly dead: Map<number, Hlc>;
  /** Writes that were answered, by the time of the answer. */
  readonly acknowledged: { readonly completedAt: number; readonly invokedAt: number; readonly stamp: Hlc }[];
}

class Timelines {
  private readonly keys = new Map<string, Timeline>();

  of(key: string): Timeline {
    let timeline = this.keys.get(key);
    if (timeline === undefined) {
      timeline = {
        ...{ key, versions: [], byRevision: new Map(), deaths: new Map(), unknownDeaths: [] },
        ...{ answeredAt: new Map(), alive: new Map(), dead: new Map(), acknowledged: [] },
      };
      this.keys.set(key, timeline);
    }
    return timeline;
  }

  /** SN1. */
  learn(events: readonly SnapshotEvent[]): string | undefined {
    const writers = new Map<string, SnapshotWrite>();
    for (const event of events) if (event.kind === 'set') writers.set(event.value, event);
    for (const event of events) {
      const wrong =
        event.kind === 'set' || event.kind === 'delete'
          ? this.learnWrite(event)
          : event.kind === 'read' && event.rows instanceof Map
            ? this.learnRows(event, writers)
            : undefined;
      if (wrong !== undefined) return wrong;
    }
    for (const timeline of this.keys.values()) {
      timeline.versions = [...timeline.byRevision.values()].sort((a, b) => a.revision - b.revision);
      timeline.acknowledged.sort((a, b) => a.completedAt - b.completedAt);
      const wrong = checkGrowth(timeline);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  private learnWrite({ kind, key, value, answer, invokedAt, completedAt }: SnapshotWrite): string | undefined {
    const timeline = this.of(key);
    if (answer === undefined) {
      if (kind === 'delete') timeline.unknownDeaths.push(invokedAt);
      return undefined;
    }
    const { revision, stamp } = answer;
    timeline.acknowledged.push({ completedAt, invokedAt, stamp });
    if (kind === 'set') {
      timeline.answeredAt.set(revision, completedAt);
      return learnVersion(timeline, { value, revision, stamp });
    }
    if (timeline.deaths.has(revision)) return `SN1 ${key} r${revision} was deleted twice`;
    timeline.deaths.set(revision, stamp);
    return undefined;
  }

  private learnRows(read: SnapshotRead, writers: ReadonlyMap<string, SnapshotWrite>): string | undefined {
    for (const [key, seen] of read.rows as ReadonlyMap<string, SeenVersion>) {
      const writer = writers.get(seen.value);
      if (writer?.key !== key) return `SN1 ${key}: nobody wrote ${show(seen)}, which a read showed`;
      if (writer.invokedAt > read.completedAt) return `SN1 ${key}: ${show(seen)} was read before it was written`;
      const wrong = learnVersion(this.of(key), seen);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  /** Unanswered deletes leave open when a version ended, but it ended once: what was seen dead was not alive later. */
  contradiction(): string | undefined {
    for (const { key, alive, dead } of this.keys.values()) {
      for (const [revision, from] of dead) {
        const until = alive.get(revision);
        if (until !== undefined && compareHlc(from, until) <= 0) {
          return `SN2 ${key} r${revision} is not there at ${stampText(from)} and is there at ${stampText(until)}`;
        }
      }
    }
    return undefined;
  }
}

function learnVersion(timeline: Timeline, seen: SeenVersion): string | undefined {
  const known = timeline.byRevision.get(seen.revision);
  if (known === undefined) timeline.byRevision.set(seen.revision, seen);
  else if (known.value !== seen.value || compareHlc(known.stamp, seen.stamp) !== 0) {
    return `SN1 ${timeline.key} r${seen.revision} is two versions: ${show(known)} and ${show(seen)}`;
  }
  return undefined;
}

function checkGrowth({ key, versions, deaths }: Timeline): string | undefined {
  for (const [i, version] of versions.entries()) {
    const next = versions[i + 1];
    if (next !== undefined && compareHlc(version.stamp, next.stamp) >= 0) {
      return `SN1 ${key}: stamps do not grow: ${show(version)}, then ${show(next)}`;
    }
    const death = deaths.get(version.revision);
    if (death === undefined) continue;
    const inLife = compareHlc(death, version.stamp) > 0 && (next === undefined || compareHlc(death, next.stamp) < 0);
    if (!inLife) return `SN1 ${key}: ${show(version)} was deleted at ${stampText(death)}, outside of its life`;
  }
  return undefined;
}

/** SN2, SN3. */
function checkRead(read: SnapshotRead, keys: Timelines): string | undefined {
  const { at, rows } = read;
  if (rows === undefined || rows === 'pruned') return undefined;
  if (at === undefined) return checkInstant(read, rows, keys);
  for (const key of read.keys) {
    const timeline = keys.of(key);
    const wrong = contradictionAt(timeline, rows.get(key), at);
    if (wrong !== undefined) return `SN2 a read as of ${stampText(at)} at ${times(read)}: ${wrong}`;
    const newest = newestAt(timeline, at);
    if (newest !== undefined) noteLife(timeline, newest.revision, at, rows.has(key));
  }
  return undefined;
}

function noteLife({ alive, dead }: Timeline, revision: number, at: Hlc, lives: boolean): void {
  const [times, isFurther] = lives ? [alive, 1] : [dead, -1];
  const known = times.get(revision);
  if (known === undefined || compareHlc(at, known) * isFurther > 0) times.set(revision, at);
}

/** Why the key cannot have been like this at that time; undefined if it can. */
function contradictionAt(timeline: Timeline, seen: SeenVersion | undefined, at: Hlc): string | undefined {
  const { key, deaths } = timeline;
  const newest = newestAt(timeline, at);
  const death = newest === undefined ? undefined : deaths.get(newest.revision);
  if (unseenDeath(timeline, newest, at)) {
    return seen === undefined ? undefined : `${key} shows ${show(seen)}, a later revision was deleted`;
  }
  if (seen === undefined) {
    const mayBeDead = newest === undefined || (death === undefined ? mayBeDeleted(timeline, newest) : compareHlc(death, at) <= 0);
    return mayBeDead ? undefined : `${key} is missing, it was ${show(newest as SeenVersion)}`;
  }
  if (compareHlc(seen.stamp, at) > 0) return `${key} shows ${show(seen)}, which is of a later time`;
  if (newest !== undefined && newest.revision !== seen.revision) return `${key} shows ${show(seen)}, it was ${show(newest)}`;
  if (death !== undefined && compareHlc(death, at) <= 0) return `${key} shows ${show(seen)}, deleted at ${stampText(death)}`;
  return undefined;
}

/** A version that nobody saw, later than the newest known one, was deleted by then. */
function unseenDeath({ deaths }: Timeline, newest: SeenVersion | undefined, at: Hlc): boolean {
  const from = newest?.revision ?? -1;
  for (const [revision, death] of deaths) if (revision > from && compareHlc(death, at) <= 0) return true;
  return false;
}

/** A delete of unknown outcome may have ended the version, unless that was superseded before somebody asked. */
function mayBeDeleted({ versions, answeredAt, unknownDeaths }: Timeline, version: SeenVersion): boolean {
  const next = versions[versions.indexOf(version) + 1];
  const supersededAt = (next && answeredAt.get(next.revision)) ?? Number.POSITIVE_INFINITY;
  return unknownDeaths.some(invokedAt => invokedAt < supersededAt);
}

function newestAt({ versions }: Timeline, at: Hlc): SeenVersion | undefined {
  let low = 0;
  let high = versions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareHlc((versions[middle] as SeenVersion).stamp, at) <= 0) low = middle + 1;
    else high = middle;
  }
  return versions[low - 1];
}

/**
 * SN3. Stamps of one key space are in the order in which the writes took effect. So the instant lies at or behind everything that was shown and
 * everything that was acknowledged before the call; it can be put there, or right behind one of the deletes that follow.
 */
function checkInstant(read: SnapshotRead, rows: ReadonlyMap<string, SeenVersion>, keys: Timelines): string | undefined {
  const timelines = read.keys.map(key => keys.of(key));
  let earliest: Hlc | undefined;
  const notBefore = (stamp: Hlc): void => {
    if (earliest === undefined || compareHlc(stamp, earliest) > 0) earliest = stamp;
  };
  for (const seen of rows.values()) notBefore(seen.stamp);
  for (const { acknowledged } of timelines) {
    for (const { completedAt, stamp } of acknowledged) {
      if (completedAt >= read.invokedAt) break;
      notBefore(stamp);
    }
  }
  const from = earliest;
  if (from === undefined) return undefined;
  const later = timelines.flatMap(({ deaths }) => [...deaths.values()].filter(death => compareHlc(death, from) > 0));
  let reason = '';
  for (const instant of [from, ...later.sort(compareHlc)]) {
    const wrong = timelines.map(timeline => contradictionAt(timeline, rows.get(timeline.key), instant));
    const first = wrong.find(text => text !== undefined);
    if (first === undefined) return undefined;
    reason ||= first;
  }
  return `SN3 a read of ${read.keys[0]} and others at ${times(read)} shows no instant at or behind ${stampText(from)}: ${reason}`;
}

function windowsOf(events: readonly SnapshotEvent[]): Window[] {
  const calls = new Map<string, HoldCall[]>();
  for (const event of events) {
    if (event.kind !== 'acquire' && event.kind !== 'renew' && event.kind !== 'release') continue;
    const list = calls.get(event.hold);
    if (list === undefined) calls.set(event.hold, [event]);
    else list.push(event);
  }
  return [...calls.values()].flatMap(list => windowOf(list.sort((a, b) => a.invokedAt - b.invokedAt)) ?? []);
}

function windowOf(calls: readonly HoldCall[]): Window | undefined {
  let from: number | undefined;
  let until = 0;
  for (const { kind, granted, invokedAt, completedAt, leaseMs } of calls) {
    if (kind === 'release') {
      // It may have worked, whatever the answer.
      until = Math.min(until, invokedAt);
      break;
    }
    if (granted !== true) continue;
    from ??= completedAt;
    until = invokedAt + leaseMs - LEASE_SLACK_MS;
  }
  const at = calls[0]?.at;
  return at !== undefined && from !== undefined && from < until ? { at, from, until } : undefined;
}

/** SN4. */
function checkHeld(
  read: SnapshotRead,
  windows: readonly Window[],
  keys: Timelines,
  counts: { heldReads: number; heldReadsOfThePast: number; prunedReads: number },
): string | undefined {
  const { at, rows } = read;
  if (at === undefined || rows === undefined) return undefined;
  if (rows === 'pruned') counts.prunedReads += 1;
  const holds = windows.filter(
    hold => compareHlc(hold.at, at) <= 0 && hold.from <= read.invokedAt && read.completedAt <= hold.until,
  );
  const hold = holds[0];
  if (hold === undefined) return undefined;
  if (rows === 'pruned') {
    const lease = `[${hold.from.toFixed(1)}, ${hold.until.toFixed(1)}]`;
    return `SN4 a read as of ${stampText(at)} at ${times(read)} was refused inside a hold at ${stampText(hold.at)} ${lease}`;
  }
  counts.heldReads += 1;
  const isPast = read.keys.some(key => newestAt(keys.of(key), at) !== keys.of(key).versions.at(-1));
  if (isPast) counts.heldReadsOfThePast += 1;
  return undefined;
}

/** SN5. */
function checkFloor(told: FloorRead, windows: readonly Window[]): string | undefined {
  const live = windows.filter(({ from, until }) => from <= told.invokedAt && told.completedAt <= until);
  const wrong =
    told.liveHolds < live.length || live.some(({ at }) => compareHlc(told.floor, at) > 0)
      ? live.map(({ at }) => stampText(at)).join(', ')
      : undefined;
  if (wrong === undefined) return undefined;
  return `SN5 ${told.liveHolds} holds down to ${stampText(told.floor)} were told at ${times(told)}, certain to live were ${wrong}`;
}

const stampText = ({ n, l, c }: Hlc): string => `${l}.${c}@${n}`;
const show = ({ value, revision, stamp }: SeenVersion): string => `r${revision} ${value} of ${stampText(stamp)}`;
const times = ({ invokedAt, completedAt }: { readonly invokedAt: number; readonly completedAt: number }): string =>
  `[${invokedAt.toFixed(1)}, ${completedAt.toFixed(1)}]`;
