import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { OverviewPage } from '../features/overview/overview-page.tsx';
import { NotFoundPage } from './not-found-page.tsx';
import {
  validateEvents,
  validateHeat,
  validateKeys,
  validateLocks,
  validateMap,
  validateOperations,
  validateOverview,
  validatePartition,
  validatePartitions,
  validateSequences,
} from './search.ts';
import { Shell } from './shell.tsx';

const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundPage });

const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: OverviewPage,
  validateSearch: validateOverview,
});

const map = createRoute({
  getParentRoute: () => root,
  path: '/map',
  component: lazyRouteComponent(() => import('../features/map/map-page.tsx'), 'MapPage'),
  validateSearch: validateMap,
});

const heat = createRoute({
  getParentRoute: () => root,
  path: '/heat',
  component: lazyRouteComponent(() => import('../features/heat/heat-page.tsx'), 'HeatPage'),
  validateSearch: validateHeat,
});

const keys = createRoute({
  getParentRoute: () => root,
  path: '/keys',
  component: lazyRouteComponent(() => import('../features/keys/keys-page.tsx'), 'KeysPage'),
  validateSearch: validateKeys,
});
// The page stays mounted while its subject changes, so that lists keep their place: the child routes only name the subject.
const key = createRoute({ getParentRoute: () => keys, path: '$' });

const locks = createRoute({
  getParentRoute: () => root,
  path: '/locks',
  component: lazyRouteComponent(() => import('../features/locks/locks-page.tsx'), 'LocksPage'),
  validateSearch: validateLocks,
});
const lock = createRoute({ getParentRoute: () => locks, path: '$durability/$' });

const sequences = createRoute({
  getParentRoute: () => root,
  path: '/sequences',
  component: lazyRouteComponent(() => import('../features/sequences/sequences-page.tsx'), 'SequencesPage'),
  validateSearch: validateSequences,
});
const sequence = createRoute({ getParentRoute: () => sequences, path: '$' });

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
  validateSearch: validatePartition,
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

const operations = createRoute({
  getParentRoute: () => root,
  path: '/operations',
  component: lazyRouteComponent(() => import('../features/operations/operations-page.tsx'), 'OperationsPage'),
  validateSearch: validateOperations,
});
const operation = createRoute({ getParentRoute: () => operations, path: '$' });

const events = createRoute({
  getParentRoute: () => root,
  path: '/events',
  component: lazyRouteComponent(() => import('../features/events/events-page.tsx'), 'EventsPage'),
  validateSearch: validateEvents,
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
  routeTree: root.addChildren([
    overview,
    map,
    heat,
    keys.addChildren([key]),
    locks.addChildren([lock]),
    sequences.addChildren([sequence]),
    partitions,
    partition,
    nodes,
    node,
    operations.addChildren([operation]),
    events,
    settings,
    settingsTab,
  ]),
  basepath: '/ui',
  defaultPreload: 'intent',
  scrollRestoration: false,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
