export * from './harness/cluster.ts';
export * from './harness/network.ts';
export * from './harness/processes.ts';
export * from './harness/server.ts';
