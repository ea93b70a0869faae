import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { OverviewPage } from '../features/overview/overview-page.tsx';
import { NotFoundPage } from './not-found-page.tsx';
import { Shell } from './shell.tsx';

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

const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundPage });

export const WINDOWS = ['5min', '1h', '24h'] as const;
export type ChartWindow = (typeof WINDOWS)[number];

const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: OverviewPage,
  validateSearch: (search: Record<string, unknown>): { window?: ChartWindow } => {
    const window = oneOf(search['window'], WINDOWS);
    return compact({ window: window === '5min' ? undefined : window }) as { window?: ChartWindow };
  },
});

export const COLOURS = ['role', 'leader', 'load', 'lag'] as const;
export type MapColour = (typeof COLOURS)[number];

export interface MapSearch {
  readonly view?: 'ranges';
  readonly colour?: Exclude<MapColour, 'role'>;
  readonly problems?: boolean;
  readonly table?: boolean;
}

const map = createRoute({
  getParentRoute: () => root,
  path: '/map',
  component: lazyRouteComponent(() => import('../features/map/map-page.tsx'), 'MapPage'),
  validateSearch: (search: Record<string, unknown>): MapSearch => {
    const view = oneOf(search['view'], ['placement', 'ranges']);
    const colour = oneOf(search['colour'], COLOURS);
    return compact({
      view: view === 'ranges' ? view : undefined,
      colour: colour === 'role' ? undefined : colour,
      problems: search['problems'] === true,
      table: search['table'] === true,
    }) as MapSearch;
  },
});

export interface PartitionsSearch {
  readonly q?: string;
  readonly problems?: boolean;
  readonly sort?: string;
  readonly dir?: 'desc';
}

function validatePartitions(search: Record<string, unknown>): PartitionsSearch {
  return compact({
    q: text(search['q']),
    problems: search['problems'] === true,
    sort: text(search['sort']),
    dir: search['dir'] === 'desc' ? ('desc' as const) : undefined,
  }) as PartitionsSearch;
}

const partitions = createRoute({
  getParentRoute: () => root,
  path: '/partitions',
  component: lazyRouteComponent(() => import('../features/partitions/partitions-page.tsx'), 'PartitionsPage'),
  validateSearch: validatePartitions,
});

const partition = createRoute({
  getParentRoute: () => root,
  path: '/partitions/$id',
  component: lazyRouteComponent(() => import('../features/partitions/partition-page.tsx'), 'PartitionPage'),
});

const nodes = createRoute({
  getParentRoute: () => root,
  path: '/nodes',
  component: lazyRouteComponent(() => import('../features/nodes/nodes-page.tsx'), 'NodesPage'),
});

const node = createRoute({
  getParentRoute: () => root,
  path: '/nodes/$id',
  component: lazyRouteComponent(() => import('../features/nodes/node-page.tsx'), 'NodePage'),
});

export interface EventsSearch {
  readonly q?: string;
  readonly severity?: 'warning' | 'critical';
}

const events = createRoute({
  getParentRoute: () => root,
  path: '/events',
  component: lazyRouteComponent(() => import('../features/events/events-page.tsx'), 'EventsPage'),
  validateSearch: (search: Record<string, unknown>): EventsSearch => {
    const severity = oneOf(search['severity'], ['all', 'warning', 'critical']);
    return compact({ q: text(search['q']), severity: severity === 'all' ? undefined : severity }) as EventsSearch;
  },
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  component: lazyRouteComponent(() => import('../features/settings/settings-page.tsx'), 'SettingsPage'),
});

const settingsTab = createRoute({
  getParentRoute: () => root,
  path: '/settings/$tab',
  component: lazyRouteComponent(() => import('../features/settings/settings-page.tsx'), 'SettingsPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([overview, map, partitions, partition, nodes, node, events, settings, settingsTab]),
  basepath: '/ui',
  defaultPreload: 'intent',
  scrollRestoration: false,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
