import { compareHlc, type Hlc } from '@kahuna/base';
import {
  type CapturedKey,
  type Change,
  changeOf,
  changesOfKey,
  historyBelow,
  OldestChanges,
  type PastVersion,
  type Place,
  placeAt,
  readHead,
  readPast,
  type WatchShape,
  watchIntervals,
} from '@kahuna/partition';
import { isLiveAt } from '@kahuna/txn';
import type { EngineSnapshot, ScanOptions, ScanPage } from '../ports.ts';
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

export interface HistoryRound {
  /** In order. */
  readonly changes: readonly Change[];
  /** There are more behind the last one. */
  readonly truncated: boolean;
  /** What will expire behind the frozen state; not complete if truncated. */
  readonly expiries: Expiries<PastVersion>;
  /** Revisions that were asked for are gone. */
  readonly pruned: boolean;
}

/** The oldest changes behind a place, as many as one round takes. Rejects with what the engine fails with. */
export async function changesSince(state: FrozenState, query: HistoryQuery): Promise<HistoryRound> {
  const round = new Round(state, query);
  await eachKey(state, query.shape, (key, versions) => round.look(key, versions));
  return { changes: round.oldest.sorted(), truncated: round.oldest.truncated, expiries: round.expiries, pruned: round.pruned };
}

/** The keys that exist, as sets, page by page; resolves to what will expire. */
export async function presentState(
  state: FrozenState,
  shape: WatchShape,
  deliver: (change: Change) => void | Promise<void>,
): Promise<Expiries<PastVersion>> {
  const expiries = new Expiries<PastVersion>();
  await eachKey(state, shape, (key, [head]) => {
    if (head === undefined || !isLiveAt(head, state.until.l)) return undefined;
    expiries.track(key, head);
    return deliver(changeOf('set', key, head, head.lastModified)) ?? undefined;
  });
  return expiries;
}

class Round {
  readonly oldest = new OldestChanges(ROUND_CHANGES, ROUND_BYTES);
  readonly expiries = new Expiries<PastVersion>();
  pruned = false;
  private readonly state: FrozenState;
  private readonly query: HistoryQuery;

  constructor(state: FrozenState, query: HistoryQuery) {
    this.state = state;
    this.query = query;
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

/** Every watched key of the frozen state, once: `look` gets its newest version and the older ones that memory holds. */
async function eachKey(
  state: FrozenState,
  shape: WatchShape,
  look: (key: string, newest: readonly PastVersion[]) => void | Promise<void> | undefined,
): Promise<void> {
  const captured = new Map(state.captured.map(entry => [entry.key, entry.versions]));
  for (const versions of captured) await look(versions[0], versions[1]);
  for (const interval of watchIntervals(state.bucket, shape)) {
    let { from } = interval;
    for (;;) {
      const page = await scan(state.view, { from, to: interval.to, maxRows: PAGE_ROWS, maxBytes: PAGE_BYTES });
      for (const row of page.rows) {
        const { key, version } = readHead(row);
        if (captured.has(key)) continue;
        const looked = look(key, [version]);
        if (looked !== undefined) await looked;
      }
      const last = page.rows.at(-1);
      if (!page.more || last === undefined) break;
      from = Uint8Array.of(...last.key, 0);
    }
  }
}

function scan(view: EngineSnapshot, options: ScanOptions): Promise<ScanPage> {
  return new Promise((resolve, reject) => {
    view.scan(options, (error, page) => (error === undefined ? resolve(page) : reject(error)));
  });
}
