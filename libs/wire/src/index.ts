export * from './requested.ts';
