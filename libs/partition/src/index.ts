export { decodeBatch, encodeBatch, lastStampOf, UnknownCommandError } from './batch-codec.ts';
export { EPHEMERAL_DEAD_MS, EPHEMERAL_VERSIONS, EphemeralTable, type EphemeralTableOptions } from './ephemeral-table.ts';
export { isUsableKey } from './evaluate.ts';
export { HeadCache } from './head-cache.ts';
export * from './listing.ts';
export * from './lock-operation.ts';
export { checkInvariants, createPartitionMachine, KeyValueMachine, type PartitionMachineOptions } from './machine.ts';
export { decodeMetaRow, type GroupState } from './meta-row.ts';
export * from './operation.ts';
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
export { metaRowKey } from './stored-keys.ts';
export { rowBytes } from './top-rows.ts';
export * from './types.ts';
