export * from './api.ts';
export { createNodeHost, NodeHost } from './host.ts';
export { MemoryNetwork, MemoryTransport } from './memory-transport.ts';
export * from './ports.ts';
export type { Replica } from './replica.ts';
export { DEFAULT_SETTINGS, type NodeOptions, type NodeSettings } from './settings.ts';
export { markKey as installMarkKey } from './snapshot/snapshot-install.ts';
export * from './watch/watch-api.ts';
