export * from './api.ts';
export * from './ports.ts';
