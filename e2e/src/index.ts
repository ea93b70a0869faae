export * from './clients/batch-stream.ts';
export * from './clients/grpc-kv.ts';
export * from './clients/kv-api.ts';
export * from './clients/rest-kv.ts';
export * from './harness/cluster.ts';
export * from './harness/network.ts';
export * from './harness/processes.ts';
export * from './harness/server.ts';
