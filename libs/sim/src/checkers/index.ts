export * from './linearizability.ts';
export { checkLocks, type LockEvent } from './lock.ts';
export * from './register.ts';
export { checkSequences, type SequenceEvent } from './sequence.ts';
export {
  checkSnapshots,
  type FloorRead,
  type HoldCall,
  type SeenVersion,
  type SnapshotEvent,
  type SnapshotRead,
  type SnapshotReport,
  type SnapshotWrite,
} from './snapshot.ts';
export { checkWatches, type ToldChange, type WatchedWrite, type WatcherHistory, type WatchSession } from './watch.ts';
