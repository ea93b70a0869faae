export * from './operation.ts';
export * from './types.ts';
