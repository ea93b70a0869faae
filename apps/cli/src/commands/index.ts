import type { CommandFlag } from '../options/flags.ts';
import { showMembers } from './cluster.ts';
import type { Prepare } from './command.ts';
import { extendKey, getByPrefix, getKey, scanByPrefix, setKey } from './keys.ts';
import { checkChain, checkIncremental, checkLeave, checkReplicationFactor, checkRestore, checkSplit, later } from './later.ts';
import { acquireLock, extendLock, releaseLock, showLock } from './locks.ts';
import { createSequence, deleteSequence, getSequence, nextSequence, reserveSequence } from './sequences.ts';
import { watchBucket, watchKey, watchLock, watchPrefix, watchSequence } from './watch.ts';

/** What each command flag does. */
export const COMMANDS: Readonly<Record<CommandFlag, Prepare>> = {
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
  'cluster-leave': later('Changes of the membership', checkLeave),
  'cluster-placement': later('Placements'),
  'set-replication-factor': later('Placements', checkReplicationFactor),
  ranges: later('Key spaces routed by range'),
  'register-key-range': later('Key spaces routed by range'),
  'unregister-key-range': later('Key spaces routed by range'),
  'split-range': later('Range splits', checkSplit),
  'merge-ranges': later('Range merges'),
  'backup-full': later('Backups'),
  'backup-incremental': later('Backups', checkIncremental),
  'backup-coordinated': later('Backups'),
  'list-backups': later('Backups'),
  'backup-chain': later('Backups', checkChain),
  'backup-gc': later('Backups'),
  restore: later('Backups', checkRestore),
  watch: watchKey,
  'watch-bucket': watchBucket,
  'watch-prefix': watchPrefix,
  'watch-lock': watchLock,
  'watch-sequence': watchSequence,
};
