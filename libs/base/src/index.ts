export * from './assert.ts';
export * from './bytes.ts';
export * from './clock.ts';
export * from './hlc.ts';
export * from './ids.ts';
export * from './rng.ts';
export * from './row-batch.ts';
