export {
  decodeConfiguration,
  decodeEntry,
  decodeHardState,
  decodeMessage,
  encodeConfiguration,
  encodeEntry,
  encodeHardState,
  encodeMessage,
  readConfiguration,
  writeConfiguration,
} from './codec.ts';
export { allMembers, isVoter } from './configuration.ts';
export { createRaftGroup, RaftCore } from './group.ts';
export { isJoint } from './quorum.ts';
export {
  type ReceiverState,
  type SenderState,
  type SnapshotAbort,
  type SnapshotAck,
  type SnapshotBegin,
  type SnapshotChunk,
  type SnapshotMessage,
  SnapshotReceiver,
  SnapshotSender,
  type SnapshotTransferLimits,
} from './snapshot-transfer.ts';
export * from './types.ts';
