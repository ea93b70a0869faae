export * from './linearizability.ts';
export { checkLocks, type LockEvent } from './lock.ts';
export * from './register.ts';
export { checkSequences, type SequenceEvent } from './sequence.ts';
