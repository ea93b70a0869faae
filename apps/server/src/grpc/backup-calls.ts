import { Metadata, status } from '@grpc/grpc-js';
import type { UnaryHandler } from './unary.ts';

const METHODS = [
  'TakeFullBackup',
  'TakeIncrementalBackup',
  'TakeCoordinatedBackup',
  'ListBackups',
  'GetBackupChain',
  'ValidateChain',
  'Restore',
  'RunBackupGarbageCollection',
] as const;

/** The `Backups` service of a node without backups: the first check of every method fails (grpc §7.10). */
export function backupCalls(): Record<string, UnaryHandler> {
  return Object.fromEntries(METHODS.map(method => [method, refuseNotConfigured]));
}

const refuseNotConfigured: UnaryHandler = (_call, answer) => {
  const trailer = new Metadata();
  trailer.set('kahuna-backup-outcome', 'NotConfigured');
  answer({ code: status.UNAVAILABLE, details: 'Backup is not configured on this node.', metadata: trailer });
};
