import type { CommandFlag } from '../options/flags.ts';
import { showMembers } from './cluster.ts';
import type { Prepare, PrepareNodeCall } from './command.ts';
import { extendKey, getByPrefix, getKey, scanByPrefix, setKey } from './keys.ts';
import { acquireLock, extendLock, releaseLock, showLock } from './locks.ts';
import { checkChain, checkIncremental, checkRestore } from './node-flags.ts';
import { createSequence, deleteSequence, getSequence, nextSequence, reserveSequence } from './sequences.ts';
import {
  backups,
  leaveCluster,
  mergeRanges,
  registerRange,
  setReplicationFactor,
  showPlacement,
  showRanges,
  splitRange,
  unregisterRange,
} from './topology.ts';
import { watchBucket, watchKey, watchLock, watchPrefix, watchSequence } from './watch.ts';

/** What commands do that ask single nodes. */
const NODE_COMMANDS = {
  'cluster-leave': leaveCluster,
  'cluster-placement': showPlacement,
  'set-replication-factor': setReplicationFactor,
  ranges: showRanges,
  'register-key-range': registerRange,
  'unregister-key-range': unregisterRange,
  'split-range': splitRange,
  'merge-ranges': mergeRanges,
  'backup-full': backups(),
  'backup-incremental': backups(checkIncremental),
  'backup-coordinated': backups(),
  'list-backups': backups(),
  'backup-chain': backups(checkChain),
  'backup-gc': backups(),
  restore: backups(checkRestore),
} as const satisfies Partial<Record<CommandFlag, PrepareNodeCall>>;

export type NodeCommandFlag = keyof typeof NODE_COMMANDS;

export function isNodeCommand(flag: CommandFlag): flag is NodeCommandFlag {
  return flag in NODE_COMMANDS;
}

export function nodeCommand(flag: NodeCommandFlag): PrepareNodeCall {
  return NODE_COMMANDS[flag];
}

/** What each other command flag does. */
export const COMMANDS: Readonly<Record<Exclude<CommandFlag, NodeCommandFlag>, Prepare>> = {
  set: setKey,
  get: getKey,
  'get-by-prefix': getByPrefix,
  'scan-by-prefix': scanByPrefix,
  lock: acquireLock,
  'extend-lock': extendLock,
  unlock: releaseLock,
  'get-lock': showLock,
  extend: extendKey,
  'create-sequence': createSequence,
  'get-sequence': getSequence,
  'next-sequence': nextSequence,
  'reserve-sequence': reserveSequence,
  'delete-sequence': deleteSequence,
  'cluster-members': () => showMembers,
  watch: watchKey,
  'watch-bucket': watchBucket,
  'watch-prefix': watchPrefix,
  'watch-lock': watchLock,
  'watch-sequence': watchSequence,
};
