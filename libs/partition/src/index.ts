export { decodeBatch, encodeBatch, lastStampOf, UnknownCommandError } from './batch-codec.ts';
export { DEFAULT_LOCK_EVICTION, type EphemeralLockObserver, EphemeralLocks } from './ephemeral-locks.ts';
export { EPHEMERAL_DEAD_MS, EPHEMERAL_VERSIONS, EphemeralTable, type EphemeralTableOptions } from './ephemeral-table.ts';
export { isUsableKey } from './evaluate.ts';
export { HeadCache } from './head-cache.ts';
export {
  type HistoryCommand,
  type HoldCommand,
  isHistoryCommand,
  type PrunedKey,
  type PruneHistory,
  readHistoryCommand,
  writeHistoryCommand,
} from './history-commands.ts';
export { effectiveFloor, type Hold, type HoldState, liveHolds } from './holds.ts';
export * from './listing.ts';
export { type ListedRow, type ListingPart, type ListingScan, nameOf } from './listing-scan.ts';
export * from './lock-operation.ts';
export {
  readDurability,
  readLock,
  readSequenceCreate,
  readSequenceUpdate,
  writeLock,
  writeSequenceCreate,
  writeSequenceUpdate,
} from './lock-sequence-codec.ts';
export { LOCK_CLOCK_SKEW_MS } from './lock-table.ts';
export type { Lock } from './locks.ts';
export { checkInvariants, createPartitionMachine, KeyValueMachine, type PartitionMachineOptions } from './machine.ts';
export { decodeMetaRow, type GroupState } from './meta-row.ts';
export * from './name-watch.ts';
export * from './operation.ts';
export {
  clip,
  headRowOf,
  historyOf,
  historyOfKey,
  KeepCounter,
  keptBesideHead,
  keyOfRow,
  mayBePrunable,
  type Prunable,
  prunable,
  type RetentionLimits,
  type StoredRow,
} from './retention.ts';
export type { NamedRow } from './row-table.ts';
export type {
  PartitionQuery,
  PartitionScan,
  PrefixShape,
  ScanNeed,
  ScanShape,
  SpaceShape,
  SpacesShape,
} from './scan.ts';
export * from './scan-operation.ts';
export * from './sequence-operation.ts';
export {
  allocationAnswer,
  type BlockAllocation,
  fits,
  INT64_MAX,
  INT64_MIN,
  type LiveSequence,
  replayAnswer,
  type SequenceAllocate,
  type SequenceCommand,
  type SequencePolicy,
  type SequenceRecord,
  sequenceAnswer,
} from './sequences.ts';
export { compareBytes, metaRowKey, successor } from './stored-keys.ts';
export { rowBytes } from './top-rows.ts';
export * from './types.ts';
export * from './watch.ts';
