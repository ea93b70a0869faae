/** What is wrong with the flags of commands on members, replicas, ranges and backups; said before anybody is asked. */

import { UsageError } from '../failures.ts';
import { DEFAULT_ENDPOINTS, parseEndpoints } from '../options/endpoints.ts';
import type { Options } from '../options/flags.ts';

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

export function checkLeave({ node, 'connection-source': source = DEFAULT_ENDPOINTS }: Options): void {
  if (node === undefined && parseEndpoints(source).length > 1) {
    throw new UsageError(
      '--cluster-leave decommissions one specific node: name it with --node <endpoint> when the connection lists several endpoints.',
    );
  }
}

export function checkReplicationFactor({ 'set-replication-factor': factor = 0, partition = 0 }: Options): void {
  if (partition <= 0) {
    throw new UsageError('--set-replication-factor needs the target data partition: add --partition <id>.');
  }
  if (factor < 0) throw new UsageError('--set-replication-factor is a number of copies, 0 = as the cluster has it');
}

export function checkSplit({ 'split-key': key }: Options): void {
  if (key === undefined || key === '') throw new UsageError('--split-range needs the key to cut at: add --split-key <key>.');
}

export function checkIncremental({ 'parent-backup-id': parent }: Options): void {
  checkBackupId(parent);
}

export function checkChain({ 'backup-chain': leaf }: Options): void {
  checkBackupId(leaf);
}

function checkBackupId(id: string | undefined): void {
  if (id === undefined || !UUID.test(id)) {
    throw new UsageError('--backup-incremental and --backup-chain require a backup ID (UUID).');
  }
}

export function checkRestore({ restore: leaf, 'target-dir': directory }: Options): void {
  if (leaf === undefined || !UUID.test(leaf)) {
    throw new UsageError('--restore requires a backup ID (UUID). Example: --restore <leaf-backup-id>');
  }
  if (directory === undefined || directory === '') throw new UsageError('--restore requires --target-dir');
}
