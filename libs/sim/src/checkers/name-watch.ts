import { compareHlc, type Hlc } from '@kahuna/base';

/** What a watch of one lock or one sequence told between a snapshot and the next one, or its end. */
export interface NameSession {
  /** Lock or sequence. */
  readonly name: string;
  /** The state that the snapshot showed, and the stamp of the last command in it. */
  readonly snapshot: string;
  readonly from: Hlc;
  /** In the order of telling; `state` is the one after it. */
  readonly changes: readonly NameChange[];
  /** Everything up to here was told. */
  readonly to: Hlc;
  /** Position that the watch was begun with; its snapshot must not be older. */
  readonly resumedAt: Hlc | undefined;
}

export interface NameChange {
  readonly kind: string;
  readonly state: string;
  readonly stamp: Hlc;
}

/**
 * Watches of one name, on whichever nodes, against each other: what the log did to it is told by all who were there, alike and in order,
 * and a snapshot shows what those were told who were there then. The violation, undefined if there is none.
 */
export function checkNameWatches(sessions: readonly NameSession[]): string | undefined {
  const byName = new Map<string, NameSession[]>();
  for (const session of sessions) {
    const known = byName.get(session.name);
    if (known === undefined) byName.set(session.name, [session]);
    else known.push(session);
  }
  for (const [name, all] of byName) {
    const wrong = checkOne(all);
    if (wrong !== undefined) return `watches of ${name}: ${wrong}`;
  }
  return undefined;
}

function checkOne(sessions: readonly NameSession[]): string | undefined {
  const truth = new Map<string, NameChange>();
  for (const session of sessions) {
    const wrong = checkAlone(session) ?? gather(session, truth);
    if (wrong !== undefined) return wrong;
  }
  for (const session of sessions) {
    const told = new Set(session.changes.map(identityOf));
    for (const [identity, change] of truth) {
      if (!told.has(identity) && covers(session, change.stamp)) return `${textOf(change)} was not told to ${spanOf(session)}`;
    }
  }
  return checkSnapshots(sessions);
}

function checkAlone({ from, changes, resumedAt }: NameSession): string | undefined {
  if (resumedAt !== undefined && compareHlc(from, resumedAt) < 0)
    return `a snapshot at ${at(from)} goes back behind ${at(resumedAt)}`;
  let last = from;
  for (const [i, change] of changes.entries()) {
    // One command can be the end of a lease and the next grant.
    const order = compareHlc(change.stamp, last);
    if (order < 0 || (order === 0 && i === 0)) return `${textOf(change)} came behind ${at(last)}`;
    last = change.stamp;
  }
  return undefined;
}

function gather({ changes }: NameSession, truth: Map<string, NameChange>): string | undefined {
  const own = new Set<string>();
  for (const change of changes) {
    const identity = identityOf(change);
    if (own.has(identity)) return `${textOf(change)} was told twice`;
    own.add(identity);
    const known = truth.get(identity);
    if (known !== undefined && known.state !== change.state) return `${textOf(change)} was told as ${textOf(known)} too`;
    truth.set(identity, change);
  }
  return undefined;
}

function checkSnapshots(sessions: readonly NameSession[]): string | undefined {
  for (const { from, snapshot } of sessions) {
    for (const other of sessions) {
      if (compareHlc(from, other.from) < 0 || compareHlc(from, other.to) > 0) continue;
      const before = other.changes.findLast(change => compareHlc(change.stamp, from) <= 0);
      const state = before?.state ?? other.snapshot;
      if (state !== snapshot) return `a snapshot at ${at(from)} shows ${snapshot}, others had been told ${state}`;
    }
  }
  return undefined;
}

function covers({ from, to, changes }: NameSession, stamp: Hlc): boolean {
  const last = changes.at(-1)?.stamp ?? from;
  return compareHlc(stamp, from) > 0 && (compareHlc(stamp, to) <= 0 || compareHlc(stamp, last) < 0);
}

function identityOf({ kind, stamp }: NameChange): string {
  return `${kind}@${at(stamp)}`;
}

function textOf(change: NameChange): string {
  return `${identityOf(change)} (${change.state})`;
}

function spanOf({ from, to }: NameSession): string {
  return `one who watched from ${at(from)} to ${at(to)}`;
}

function at({ n, l, c }: Hlc): string {
  return `${l}.${c}.${n}`;
}
