export { decodeBatch, encodeBatch, UnknownCommandError } from './batch-codec.ts';
export * from './operation.ts';
export * from './types.ts';
