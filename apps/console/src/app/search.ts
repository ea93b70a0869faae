import { LOCK_SORTS, SEQUENCE_SORTS } from '../protocol/messages.ts';

/** Search parameters as they stand in a URL: anything. */
type RawSearch = Readonly<
  Partial<
    Record<
      | 'window'
      | 'view'
      | 'colour'
      | 'problems'
      | 'table'
      | 'q'
      | 'sort'
      | 'dir'
      | 'severity'
      | 'd'
      | 'space'
      | 'from'
      | 'asOf'
      | 'tab'
      | 'state'
      | 'show'
      | 'metric'
      | 'since'
      | 'until'
      | 'parts',
      unknown
    >
  >
>;

/** A value outside the list falls back to the first one; unknown parameters are kept and ignored (console §10). */
function oneOf<T extends string>(value: unknown, allowed: readonly [T, ...T[]]): T {
  return allowed.find(option => option === value) ?? allowed[0];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
}

/** Leaves defaults out of the URL. */
function compact<T extends object>(search: T): Partial<T> {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined && value !== false)) as Partial<T>;
}

function sorting(search: RawSearch, sorts: readonly string[]): { readonly sort?: string; readonly dir?: 'desc' | undefined } {
  const sort = sorts.find(known => known === search.sort);
  return sort === undefined ? {} : { sort, dir: search.dir === 'desc' ? 'desc' : undefined };
}

export const WINDOWS = ['5min', '1h', '24h'] as const;
export type ChartWindow = (typeof WINDOWS)[number];

export const COLOURS = ['role', 'leader', 'load', 'lag'] as const;
export type MapColour = (typeof COLOURS)[number];

export interface MapSearch {
  readonly view?: 'ranges';
  readonly colour?: Exclude<MapColour, 'role'>;
  readonly problems?: boolean;
  readonly table?: boolean;
}

export interface PartitionsSearch {
  readonly q?: string;
  readonly problems?: boolean;
  readonly sort?: string;
  readonly dir?: 'desc';
}

export function validatePartitions(search: RawSearch): PartitionsSearch {
  return compact({
    q: text(search.q),
    problems: search.problems === true,
    sort: text(search.sort),
    dir: search.dir === 'desc' ? ('desc' as const) : undefined,
  }) as PartitionsSearch;
}

export interface OperationsSearch {
  readonly q?: string;
  readonly show?: 'running' | 'ended';
}

export function validateOperations(search: RawSearch): OperationsSearch {
  const show = oneOf(search.show, ['all', 'running', 'ended']);
  return compact({ q: text(search.q), show: show === 'all' ? undefined : show }) as OperationsSearch;
}

export interface EventsSearch {
  readonly q?: string;
  readonly severity?: 'warning' | 'critical';
}

export function validateOverview(search: RawSearch): { window?: ChartWindow } {
  const window = oneOf(search.window, WINDOWS);
  return compact({ window: window === '5min' ? undefined : window }) as { window?: ChartWindow };
}

export function validateMap(search: RawSearch): MapSearch {
  const view = oneOf(search.view, ['placement', 'ranges']);
  const colour = oneOf(search.colour, COLOURS);
  return compact({
    view: view === 'ranges' ? view : undefined,
    colour: colour === 'role' ? undefined : colour,
    problems: search.problems === true,
    table: search.table === true,
  }) as MapSearch;
}

export interface HeatSearch {
  /** Absent: writes. */
  readonly metric?: 'reads' | 'entries';
  /** Absent: an hour. */
  readonly window?: '12h';
  /** The part that is looked at; see `HeatView`. */
  readonly since?: number;
  readonly until?: number;
  readonly parts?: string;
}

export interface PartitionSearch {
  /** Of the charts; absent: an hour. */
  readonly window?: '12h';
}

export function validatePartition(search: RawSearch): PartitionSearch {
  return compact({ window: search.window === '12h' ? search.window : undefined }) as PartitionSearch;
}

/** `128-255`; undefined: it is no range of partitions. */
export function parseParts(parts: string | undefined): readonly [first: number, last: number] | undefined {
  const [, first, last] = /^(\d{1,9})-(\d{1,9})$/.exec(parts ?? '') ?? [];
  if (first === undefined || last === undefined) return undefined;
  return Number(first) <= Number(last) ? [Number(first), Number(last)] : undefined;
}

/** An instant in Unix milliseconds. */
function instant(value: unknown): number | undefined {
  return Number.isSafeInteger(Number(value)) && Number(value) > 0 ? Number(value) : undefined;
}

export function validateHeat(search: RawSearch): HeatSearch {
  const [since, until] = [instant(search.since), instant(search.until)];
  return compact({
    metric: search.metric === 'reads' || search.metric === 'entries' ? search.metric : undefined,
    window: search.window === '12h' ? search.window : undefined,
    ...(since !== undefined && until !== undefined && since < until ? { since, until } : {}),
    parts: parseParts(text(search.parts)) === undefined ? undefined : search.parts,
  }) as HeatSearch;
}

export function validateEvents(search: RawSearch): EventsSearch {
  const severity = oneOf(search.severity, ['all', 'warning', 'critical']);
  return compact({ q: text(search.q), severity: severity === 'all' ? undefined : severity }) as EventsSearch;
}

export interface KeysSearch {
  /** Ephemeral keys; absent: persistent ones. */
  readonly d?: 'e';
  /** The key space that is listed; absent: that of the chosen key. */
  readonly space?: string;
  /** The list begins after this key. */
  readonly from?: string;
  /** Instant in Unix milliseconds. */
  readonly asOf?: number;
  readonly tab?: 'history';
}

export function validateKeys(search: RawSearch): KeysSearch {
  const asOf = Number(search.asOf);
  return compact({
    d: search.d === 'e' ? ('e' as const) : undefined,
    // An empty key space is one: that of keys such as `/boot`.
    space: search.space === '' ? '' : text(search.space),
    from: text(search.from),
    asOf: Number.isSafeInteger(asOf) && asOf > 0 ? asOf : undefined,
    tab: search.tab === 'history' ? ('history' as const) : undefined,
  }) as KeysSearch;
}

export interface LocksSearch {
  readonly q?: string;
  readonly d?: 'e' | 'p';
  readonly state?: 'held' | 'free';
  readonly from?: string;
  /** One of `LOCK_SORTS`; absent: by name. */
  readonly sort?: string;
  readonly dir?: 'desc';
}

export function validateLocks(search: RawSearch): LocksSearch {
  return compact({
    q: text(search.q),
    d: search.d === 'e' || search.d === 'p' ? search.d : undefined,
    state: search.state === 'held' || search.state === 'free' ? search.state : undefined,
    from: text(search.from),
    ...sorting(search, LOCK_SORTS),
  }) as LocksSearch;
}

export interface SequencesSearch {
  readonly q?: string;
  readonly from?: string;
  /** One of `SEQUENCE_SORTS`; absent: by name. */
  readonly sort?: string;
  readonly dir?: 'desc';
}

export function validateSequences(search: RawSearch): SequencesSearch {
  return compact({ q: text(search.q), from: text(search.from), ...sorting(search, SEQUENCE_SORTS) }) as SequencesSearch;
}
