export * from './linearizability.ts';
export * from './register.ts';
