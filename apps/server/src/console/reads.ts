import { type Clock, HLC_ZERO, type Hlc } from '@kahuna/base';
import type {
  DurabilityName,
  KeyedRow,
  KeyListRow,
  KeyRow,
  Level,
  RowValue,
  TopicParams,
  TreeRow,
  WindowInfo,
} from '@kahuna/console/protocol';
import type { KahunaNode } from '@kahuna/node';
import { Durability, type OperationResult, ResponseType, SequenceResponseType } from '@kahuna/partition';
import { lockDetail, lockRow } from './lock-rows.ts';
import { ConsoleCalls } from './node-calls.ts';
import { toBase64, wallOf } from './readable.ts';
import { SequenceWatch } from './sequence-watch.ts';
import { sortedRows } from './sorting.ts';

/** What a read on demand found: rows and what is to be said about them, or why there are none. */
export type ReadAnswer =
  | {
      readonly rows: readonly KeyedRow[];
      readonly window: WindowInfo;
      /** Nobody tells this node when these rows change: they are to be read again by the clock. */
      readonly untold?: boolean;
    }
  | { readonly problem: string };

/** A read gives up after this long; the page says so and the next read begins. Milliseconds. */
const READ_WITHIN_MS = 3_000;
export const WINDOW_ROWS = 500;
const DEFAULT_ROWS = 200;
/** Bytes of a value that travel with its row; the rest is a download. */
export const VALUE_HEAD_BYTES = 128 * 1024;
/** Key spaces read for one level of the tree. */
const TREE_SPACES = 2_000;
const SPACES_PER_PAGE = 1_000;
const LISTED_PER_PAGE = 200;
/** Names looked at for one window of a filtered or sorted list. */
const LISTED_AT_MOST = 5_000;
/** Later than every timestamp inside the millisecond. */
const END_OF_MS = { n: 0x7fff_ffff, c: 0xffff_ffff };

export function durabilityOf(name: DurabilityName | undefined): Durability {
  return name === 'ephemeral' ? Durability.Ephemeral : Durability.Persistent;
}

function durabilityName(durability: Durability): DurabilityName {
  return durability === Durability.Ephemeral ? 'ephemeral' : 'persistent';
}

function asOf(params: TopicParams): Hlc {
  return params.asOfMs === undefined ? HLC_ZERO : { l: params.asOfMs, ...END_OF_MS };
}

/** Why a read gave nothing, in words. */
export function refusalText(type: number): string {
  switch (type) {
    case ResponseType.MustRetry:
      return 'no leader answered in time; the rows may be there';
    case ResponseType.InvalidInput:
      return 'the name is empty or reserved';
    case ResponseType.Aborted:
      return 'the history does not reach back to that instant any more';
    default:
      return `the node answered with type ${type}`;
  }
}

/** Reads keys, locks and sequences for the console through the same door as every gateway. */
export class ConsoleReads {
  private readonly node: KahunaNode;
  private readonly clock: Clock;
  private readonly calls: ConsoleCalls;
  private readonly level: Level;
  private readonly sequenceWatch = new SequenceWatch();

  constructor(node: KahunaNode, clock: Clock, level: Level) {
    this.node = node;
    this.clock = clock;
    this.calls = new ConsoleCalls(node);
    this.level = level;
  }

  /** Monotonic instant at which a read that begins now gives up. */
  deadline(): number {
    return this.clock.monotonicMs() + READ_WITHIN_MS;
  }

  private get self(): number {
    return this.node.facts().nodeId;
  }

  // ---- keys -----------------------------------------------------------------------------------------------------------------

  /** Children of a level of names. Key spaces are listed in their order and folded at the next `/`. */
  async tree(params: TopicParams): Promise<ReadAnswer> {
    const level = params.prefix ?? '';
    const children = new Map<string, TreeRow>();
    const source = this.self;
    let after = params.from;
    let more = true;
    for (let read = 0; more && read < TREE_SPACES; ) {
      const durability = durabilityOf(params.durability);
      const answer = await this.node.keySpaces({ prefix: level, after, limit: SPACES_PER_PAGE, durability }, this.deadline());
      if (answer.type !== ResponseType.Get) return { problem: refusalText(answer.type) };
      for (const row of answer.rows) {
        fold(children, level, row, source);
        after = row.keySpace;
      }
      read += Math.max(1, answer.rows.length);
      more = answer.hasMore;
    }
    const rows = [...children.values()].map(row => ({ k: row.path, v: row as unknown as RowValue }));
    return { rows, window: { next: more ? (after ?? null) : null, missing: [], problem: null } };
  }

  /** Keys of one key space in their order. */
  async keys(params: TopicParams): Promise<ReadAnswer> {
    const space = params.prefix ?? '';
    const count = params.count ?? DEFAULT_ROWS;
    const rows: KeyedRow[] = [];
    const durability = durabilityOf(params.durability);
    // A name without a slash is a key space of its own, and that key belongs to no bucket.
    if (params.from === undefined && space !== '' && !space.includes('/')) {
      const own = await this.get(space, params);
      if (own.type === ResponseType.Get) rows.push(this.listed(space, durability, own));
    }
    let from = params.from;
    let cursor: string | undefined;
    let more = true;
    while (more && rows.length < count) {
      const answer = await this.node.scan(
        {
          kind: 'range',
          // Exactly one trailing slash is dropped, so that `/` stands for the space of keys such as `/boot`.
          prefix: `${space}/`,
          startKey: from,
          startInclusive: false,
          endKey: undefined,
          endInclusive: false,
          limit: count - rows.length,
          readTimestamp: asOf(params),
          durability,
          cursor,
        },
        this.deadline(),
      );
      if (answer.type !== ResponseType.Get) return { problem: refusalText(answer.type) };
      for (const row of answer.rows) rows.push(this.listed(row.key, durability, row.result));
      from = answer.rows.at(-1)?.key ?? from;
      cursor = answer.nextCursor;
      more = answer.hasMore && cursor !== undefined;
    }
    return { rows, window: { next: more ? (from ?? null) : null, missing: [], problem: null } };
  }

  private listed(key: string, durability: Durability, result: OperationResult): KeyedRow {
    const row: KeyListRow = {
      key,
      durability: durabilityName(durability),
      revision: String(result.revision),
      bytes: result.value?.length ?? null,
      expiresMs: wallOf(result.expires),
      modifiedMs: wallOf(result.lastModified),
      partitionId: result.route?.partitionId ?? null,
      source: result.route?.nodeId ?? this.self,
    };
    return { k: `${row.durability}/${key}`, v: row as unknown as RowValue };
  }

  async key(params: TopicParams): Promise<ReadAnswer> {
    const key = params.key ?? '';
    const result = await this.get(key, params);
    const live = result.type === ResponseType.Get;
    if (!live && result.type !== ResponseType.DoesNotExist) return { problem: refusalText(result.type) };
    const durability = params.durability ?? 'persistent';
    const row: KeyRow = {
      key,
      durability,
      state: live ? 'live' : result.revision < 0 ? 'never' : 'dead',
      revision: String(result.revision),
      valueB64: result.value === null ? null : toBase64(result.value.subarray(0, VALUE_HEAD_BYTES)),
      bytes: result.value?.length ?? null,
      expiresMs: wallOf(result.expires),
      modifiedMs: wallOf(result.lastModified),
      partitionId: result.route?.partitionId ?? null,
      source: result.route?.nodeId ?? this.self,
    };
    return one(`${durability}/${key}`, row);
  }

  /** The latest state of a key, or as of the instant in the parameters. */
  get(key: string, params: Pick<TopicParams, 'durability' | 'asOfMs'>): Promise<OperationResult> {
    return this.getAt(key, params, -1);
  }

  getAt(
    key: string,
    params: Pick<TopicParams, 'durability' | 'asOfMs'>,
    revision: number,
    at = asOf(params),
  ): Promise<OperationResult> {
    const durability = durabilityOf(params.durability);
    return this.calls.run({ kind: 'get', key, revision, readTimestamp: at, durability }, this.deadline());
  }

  // ---- locks and sequences ----------------------------------------------------------------------------------------------------

  async locks(params: TopicParams): Promise<ReadAnswer> {
    const { state: states, durability: durabilities } = params.filter ?? {};
    const answer = await this.listing('locks', params, ({ locks }) =>
      locks.map(lock => {
        const row = lockRow(lock, this.self, this.level);
        const passes = (states?.includes(row.state) ?? true) && (durabilities?.includes(row.durability) ?? true);
        return {
          name: lock.name,
          row: passes ? { k: `${row.durability}/${row.resource}`, v: row as unknown as RowValue } : undefined,
        };
      }),
    );
    if ('problem' in answer) return answer;
    // Of ephemeral locks only their leader hears.
    return { ...answer, untold: answer.rows.some(({ v }) => v['durability'] === 'ephemeral') };
  }

  async lock(params: TopicParams): Promise<ReadAnswer> {
    const resource = params.resource ?? '';
    const durability = durabilityOf(params.durability);
    const answer = await this.node.list({ kind: 'locks', prefix: resource, after: undefined, limit: 1 }, this.deadline());
    if (answer.type !== ResponseType.Get) return { problem: refusalText(answer.type) };
    const lock = answer.locks.find(l => l.name === resource && l.durability === durability);
    if (lock === undefined) {
      return answer.missing.length > 0 ? { problem: refusalText(ResponseType.MustRetry) } : { rows: [], window: SETTLED };
    }
    const row = lockDetail(lock, this.self, this.level);
    return one(`${row.durability}/${resource}`, row);
  }

  async sequences(params: TopicParams): Promise<ReadAnswer> {
    return this.listing('sequences', params, answer =>
      answer.sequences.map(({ entry, partitionId }) => {
        const row = this.sequenceWatch.observe(entry, partitionId, this.clock.wallMs(), this.self);
        return { name: entry.name, row: { k: entry.name, v: row as unknown as RowValue } };
      }),
    );
  }

  async sequence(params: TopicParams): Promise<ReadAnswer> {
    const name = params.name ?? '';
    const result = await this.calls.run({ kind: 'sequence-get', key: name }, this.deadline());
    if (result.type === SequenceResponseType.NotFound) return { rows: [], window: SETTLED };
    if (result.type !== SequenceResponseType.Success || result.detail?.kind !== 'sequence-entry') {
      return { problem: refusalText(result.type) };
    }
    const source = result.route?.nodeId ?? this.self;
    const partitionId = result.route?.partitionId ?? null;
    return one(name, this.sequenceWatch.observe(result.detail, partitionId, this.clock.wallMs(), source));
  }

  /** Pages through a listing until the window is full: what a filter drops does not make the window short. */
  private async listing(
    kind: 'locks' | 'sequences',
    params: TopicParams,
    rowsOf: (
      answer: Awaited<ReturnType<KahunaNode['list']>>,
    ) => readonly { readonly name: string; readonly row: KeyedRow | undefined }[],
  ): Promise<ReadAnswer> {
    const { sort, dir = 'asc' } = params;
    const wanted = params.count ?? DEFAULT_ROWS;
    const count = sort === undefined ? wanted : LISTED_AT_MOST;
    const rows: KeyedRow[] = [];
    const missing = new Set<number>();
    let after: string | undefined = sort === undefined ? params.from : undefined;
    let more = true;
    for (let looked = 0; more && rows.length < count && looked < LISTED_AT_MOST; ) {
      const limit = Math.min(
        LISTED_PER_PAGE,
        params.filter === undefined ? Math.min(LISTED_PER_PAGE, count - rows.length) : LISTED_PER_PAGE,
      );
      const answer = await this.node.list({ kind, prefix: params.prefix ?? '', after, limit }, this.deadline());
      if (answer.type !== ResponseType.Get) return { problem: refusalText(answer.type) };
      for (const partition of answer.missing) missing.add(partition);
      const found = rowsOf(answer);
      looked += Math.max(1, found.length);
      for (const { row } of found) if (row !== undefined) rows.push(row);
      after = answer.next;
      more = after !== undefined;
    }
    const next = more ? (after ?? null) : null;
    const said = { missing: [...missing].sort((a, b) => a - b), problem: null };
    if (sort === undefined) return { rows, window: { ...said, next } };
    const shown = sortedRows(kind, rows, sort, dir).slice(0, wanted);
    return { rows: shown, window: { ...said, next: null, matching: { rows: rows.length, atLeast: more } } };
  }
}

export const SETTLED: WindowInfo = { next: null, missing: [], problem: null };

function one(key: string, row: object): ReadAnswer {
  return { rows: [{ k: key, v: row as RowValue }], window: SETTLED };
}

/** Puts a key space under its child of the level: `orders/2026/eu` below `orders/` is the child `orders/2026`. */
function fold(
  children: Map<string, TreeRow>,
  level: string,
  found: { readonly keySpace: string; readonly keys: number; readonly more: boolean },
  source: number,
): void {
  const rest = found.keySpace.slice(level.length);
  const slash = rest.indexOf('/');
  const name = slash < 0 ? rest : rest.slice(0, slash);
  const path = level + name;
  const known = children.get(path);
  const own = slash < 0;
  children.set(path, {
    path,
    name,
    keys: own ? found.keys : (known?.keys ?? null),
    more: own ? found.more : (known?.more ?? false),
    below: (known?.below ?? false) || !own,
    source,
  });
}
