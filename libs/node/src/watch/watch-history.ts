import { compareHlc, type Hlc } from '@kahuna/base';
import {
  type CapturedKey,
  type Change,
  changesOfKey,
  historyBelow,
  OldestChanges,
  type PastVersion,
  type Place,
  placeAt,
  readHead,
  readPast,
  successor,
  type WatchShape,
  watchIntervals,
} from '@kahuna/partition';
import { isLiveAt } from '@kahuna/txn';
import type { EngineRange, EngineSnapshot, ScanOptions, ScanPage } from '../ports.ts';
import { Expiries } from './watch-expiries.ts';

const PAGE_ROWS = 512;
const PAGE_BYTES = 1024 * 1024;
/** Changes of one round, and versions of one key that are held to find them. */
const ROUND_CHANGES = 1024;
const ROUND_BYTES = 2 * 1024 * 1024;

/** The state of one partition, frozen: the engine's view, and what memory knew beyond it in the same instant. */
export interface FrozenState {
  readonly view: EngineSnapshot;
  readonly bucket: number;
  readonly captured: readonly CapturedKey[];
  /** Stamp of the last command that it shows. */
  readonly until: Hlc;
}

export interface HistoryQuery {
  readonly shape: WatchShape;
  readonly after: Place;
  /** Revisions below do not count. */
  readonly fromRevision: number;
}

/**
 * The oldest changes behind a place, as many as one round takes. Looks at no further page once `isWanted` is false, and shows then what it
 * has found. Rejects with what the engine fails with.
 */
export async function changesSince(state: FrozenState, query: HistoryQuery, isWanted: (round: Round) => boolean): Promise<Round> {
  const round = new Round(state, query);
  await eachKey(state, query.shape, round, () => isWanted(round));
  return round;
}

/** What history tells behind a place. */
export class Round {
  private readonly oldest = new OldestChanges(ROUND_CHANGES, ROUND_BYTES);
  /** What will expire behind the frozen state; not complete if truncated. */
  readonly expiries = new Expiries<PastVersion>();
  /** Revisions that were asked for are gone. */
  pruned = false;
  private readonly state: FrozenState;
  private readonly query: HistoryQuery;

  constructor(state: FrozenState, query: HistoryQuery) {
    this.state = state;
    this.query = query;
  }

  /** In order; the last thing that is asked for. */
  takeChanges(): readonly Change[] {
    return this.oldest.sorted();
  }

  /** There are more behind the last one. */
  get truncated(): boolean {
    return this.oldest.truncated;
  }

  look(key: string, newest: readonly PastVersion[]): Promise<void> | undefined {
    const head = newest[0];
    if (head === undefined) return undefined;
    if (isLiveAt(head, this.state.until.l)) this.expiries.track(key, head);
    const last = newest.at(-1) as PastVersion;
    if (this.needsOlder(last)) return this.lookBack(key, newest);
    this.add(key, newest, this.state.until);
    return undefined;
  }

  private needsOlder(oldest: PastVersion): boolean {
    return oldest.revision > this.query.fromRevision && compareHlc(oldest.commit, this.query.after.stamp) > 0;
  }

  private add(key: string, versions: readonly PastVersion[], until: Hlc): void {
    const { after, fromRevision } = this.query;
    for (const change of changesOfKey(key, versions, after, until)) if (change.revision >= fromRevision) this.oldest.add(change);
  }

  /** Walks back through the history; of a long one only the oldest versions are held, the rest is for another round. */
  private async lookBack(key: string, newest: readonly PastVersion[]): Promise<void> {
    const { view, bucket } = this.state;
    const versions = [...newest];
    let until = this.state.until;
    for (let last = versions.at(-1) as PastVersion; this.needsOlder(last); last = versions.at(-1) as PastVersion) {
      const { from, to } = historyBelow(bucket, key, last.revision);
      const page = await scan(view, { from, to, reverse: true, maxRows: PAGE_ROWS, maxBytes: PAGE_BYTES });
      if (page.rows.length === 0) {
        this.pruned = true;
        break;
      }
      for (const row of page.rows) {
        const version = readPast(row);
        versions.push(version);
        if (!this.needsOlder(version)) break;
      }
      const dropped = dropNewest(versions);
      if (dropped !== undefined) {
        // Its commit ended the newest that is left.
        until = dropped.commit;
        this.oldest.endBefore(placeAt(dropped.commit));
      }
    }
    this.add(key, versions, until);
  }
}

/** Keeps the oldest ones, about as many as a round can tell; returns the oldest that was dropped. */
function dropNewest(versions: PastVersion[]): PastVersion | undefined {
  let bytes = 0;
  let keep = 0;
  while (keep < versions.length && keep < ROUND_CHANGES && (bytes < ROUND_BYTES || keep < 3)) {
    bytes += versions[versions.length - 1 - keep]?.value?.length ?? 0;
    keep++;
  }
  return versions.splice(0, versions.length - keep).at(-1);
}

/** Every watched key of the frozen state, once: `round` gets its newest version and the older ones that memory holds. */
async function eachKey(state: FrozenState, shape: WatchShape, round: Round, isWanted: () => boolean): Promise<void> {
  const captured = new Map(state.captured.map(entry => [entry.key, entry.versions]));
  for (const [key, versions] of captured) {
    const looked = round.look(key, versions);
    if (looked !== undefined) await looked;
    if (!isWanted()) return;
  }
  for (const interval of watchIntervals(state.bucket, shape)) {
    for await (const page of headPages(state.view, interval)) {
      for (const row of page) {
        const { key, version } = readHead(row);
        if (captured.has(key)) continue;
        const looked = round.look(key, [version]);
        if (looked !== undefined) await looked;
      }
      if (!isWanted()) return;
    }
  }
}

/** Rows of an interval, page by page. Rejects with what the engine fails with. */
export async function* headPages(view: EngineSnapshot, { from, to }: EngineRange): AsyncIterable<ScanPage['rows']> {
  for (let next = from; ; ) {
    const { rows, more } = await scan(view, { from: next, to, maxRows: PAGE_ROWS, maxBytes: PAGE_BYTES });
    yield rows;
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    next = successor(last.key);
  }
}

function scan(view: EngineSnapshot, options: ScanOptions): Promise<ScanPage> {
  return new Promise((resolve, reject) => {
    view.scan(options, (error, page) => (error === undefined ? resolve(page) : reject(error)));
  });
}
