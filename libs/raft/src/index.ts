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
export * from './types.ts';
