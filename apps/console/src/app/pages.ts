import {
  IconAffiliate,
  IconFlame,
  IconGauge,
  IconHistory,
  IconKey,
  IconLayoutGrid,
  IconListCheck,
  IconListNumbers,
  IconLock,
  IconServer2,
  IconSettings,
} from '@tabler/icons-react';

/** The pages of this release; what does not exist yet is not shown. `key` follows `g` (console §9.2). */
export const PAGES = [
  { to: '/', label: 'Overview', icon: IconGauge, key: 'o' },
  { to: '/map', label: 'Map', icon: IconLayoutGrid, key: 'm' },
  { to: '/heat', label: 'Heat', icon: IconFlame, key: 'h' },
  { to: '/keys', label: 'Keys', icon: IconKey, key: 'k' },
  { to: '/locks', label: 'Locks', icon: IconLock, key: 'l' },
  { to: '/sequences', label: 'Sequences', icon: IconListNumbers, key: 's' },
  { to: '/partitions', label: 'Partitions', icon: IconAffiliate, key: 'p' },
  { to: '/nodes', label: 'Nodes', icon: IconServer2, key: 'n' },
  { to: '/operations', label: 'Operations', icon: IconListCheck, key: 'a' },
  { to: '/events', label: 'Events', icon: IconHistory, key: 'e' },
  { to: '/settings', label: 'Settings', icon: IconSettings, key: ',' },
] as const;
