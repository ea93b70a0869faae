/** Search parameters as they stand in a URL: anything. */
type RawSearch = Readonly<
  Partial<Record<'window' | 'view' | 'colour' | 'problems' | 'table' | 'q' | 'sort' | 'dir' | 'severity', unknown>>
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

export function validateEvents(search: RawSearch): EventsSearch {
  const severity = oneOf(search.severity, ['all', 'warning', 'critical']);
  return compact({ q: text(search.q), severity: severity === 'all' ? undefined : severity }) as EventsSearch;
}
