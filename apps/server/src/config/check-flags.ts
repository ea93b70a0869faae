import { accessSync, constants } from 'node:fs';
import { relative, resolve } from 'node:path';
import { FlagError, type ParsedFlags } from './parse-flags.ts';

/**
 * Refusals that compare several options (spec operations §13.7 and the sections it points to); ranges of single options are in the
 * table. Throws {@link FlagError} before anything is started or written. Returns warnings: settings that work but deserve a word.
 */
export function checkFlags({ values: v, given }: ParsedFlags): readonly string[] {
  const refuseUnless = (condition: boolean, message: string): void => {
    if (!condition) throw new FlagError(message);
  };
  const startElection = v['raft-start-election-timeout'];
  const hasSeeds = v['initial-cluster'].length > 0;

  refuseUnless(
    v['raft-heartbeat-interval'] < startElection,
    `--raft-heartbeat-interval must be below --raft-start-election-timeout (${startElection} ms)`,
  );
  refuseUnless(
    v['raft-check-leader-interval'] < startElection,
    `--raft-check-leader-interval must be below --raft-start-election-timeout (${startElection} ms)`,
  );
  refuseUnless(
    startElection < v['raft-end-election-timeout'],
    `--raft-end-election-timeout must be above --raft-start-election-timeout (${startElection} ms)`,
  );
  refuseUnless(
    !v['raft-enable-quiescence'] || (v['raft-ping-interval'] > 0 && v['raft-ping-interval'] < startElection),
    '--raft-ping-interval must be above 0 and below --raft-start-election-timeout while --raft-enable-quiescence is on',
  );
  refuseUnless(
    v['raft-leader-balancer-report-ttl'] > v['raft-leader-balancer-report-interval'],
    '--raft-leader-balancer-report-ttl must be above --raft-leader-balancer-report-interval',
  );
  refuseUnless(
    v['default-admission-wait'] <= v['max-admission-wait'],
    '--default-admission-wait must not be above --max-admission-wait',
  );
  refuseUnless(
    v['range-split-settle-window'] * 1000 >= v['raft-min-leader-stability-ms'],
    '--range-split-settle-window must not be below --raft-min-leader-stability-ms',
  );
  refuseUnless(
    v['rocksdb-shared-memtable-budget-mb'] <= v['rocksdb-shared-memory-budget-mb'],
    '--rocksdb-shared-memtable-budget-mb must not be above --rocksdb-shared-memory-budget-mb',
  );
  refuseUnless(!v['join-existing'] || hasSeeds, '--join-existing requires --initial-cluster (the nodes to ask)');
  if (v['pitr-bootstrap-from'] !== '') {
    refuseUnless(v['join-existing'], '--pitr-bootstrap-from requires --join-existing');
    refuseUnless(v['pitr-backup-dir'] !== '', '--pitr-bootstrap-from requires --pitr-backup-dir');
  }
  checkMacKey(v['pitr-backup-mac-key-file'], v['pitr-backup-dir']);
  checkEndpoints(v['initial-cluster']);
  checkTransportSecurity(v['raft-transport-security'], v['https-certificate'] !== '');

  const warnings: string[] = [];
  const factor = v['raft-replication-factor'];
  const seeds = v['initial-cluster'].length;
  if (factor > 0 && factor % 2 === 0) {
    warnings.push(`--raft-replication-factor ${factor} is even: it tolerates no more failures than ${factor - 1}`);
  }
  if (hasSeeds && factor > seeds + 1) {
    warnings.push(`--raft-replication-factor ${factor} is more than the cluster has nodes`);
  }
  if (v['disable-wal-sync-writes'] || !v['wal-sync-writes']) {
    warnings.push('log writes are not synced to disk: a power loss may lose acknowledged writes');
  }
  if (!v['raft-backfill-enabled']) {
    warnings.push('--raft-backfill-enabled false: followers that fall behind stay behind');
  }
  if (v['raft-allow-insecure-certificate-validation']) {
    warnings.push('certificates of other nodes are not verified (--raft-allow-insecure-certificate-validation)');
  }
  const movesNeeded = v['raft-max-concurrent-replica-repairs'] + v['raft-max-concurrent-replica-transfers'];
  if (v['raft-max-replica-moves-per-pass'] < movesNeeded) {
    warnings.push('--raft-max-replica-moves-per-pass is below repairs plus transfers: repairs may starve');
  }
  if (v['raft-transport-security'] !== '' || v['raft-http-auth-bearer-token'] !== '') {
    warnings.push('authentication between nodes is configured but not enforced by this release');
  }
  if (v.storage === 'memory' && given.has('wal-storage') && v['wal-storage'] !== 'memory') {
    warnings.push('--storage memory keeps its log in memory too; --wal-storage is ignored');
  }
  return [...warnings, ...recoveryWindowWarnings(v['pitr-window'], v['base-snapshot-interval'])];
}

/** Values that are put right rather than refused (spec operations §7.3). */
export function recoveryWindow(window: number, interval: number): { readonly window: number; readonly interval: number } {
  const normalWindow = window <= 0 ? 3600 : Math.min(window, 21_600);
  const normalInterval = interval <= 0 ? 1800 : interval;
  return { window: normalWindow, interval: Math.min(normalInterval, normalWindow) };
}

function recoveryWindowWarnings(window: number, interval: number): string[] {
  const normal = recoveryWindow(window, interval);
  const warnings: string[] = [];
  if (normal.window !== window) warnings.push(`--pitr-window ${window} becomes ${normal.window} s`);
  if (normal.interval !== interval) warnings.push(`--base-snapshot-interval ${interval} becomes ${normal.interval} s`);
  return warnings;
}

function checkMacKey(keyFile: string, backupDir: string): void {
  if (keyFile === '') return;
  try {
    accessSync(keyFile, constants.R_OK);
  } catch {
    throw new FlagError(`--pitr-backup-mac-key-file: ${keyFile} cannot be read`);
  }
  const inside = backupDir === '' ? '..' : relative(resolve(backupDir), resolve(keyFile));
  if (!inside.startsWith('..')) throw new FlagError('--pitr-backup-mac-key-file must lie outside --pitr-backup-dir');
}

const ENDPOINT = /^(?:https?:\/\/)?(?:\[[0-9a-fA-F:.]+\]|[^\s:/]+):(\d{1,5})\/?$/;

function checkEndpoints(endpoints: readonly string[]): void {
  for (const endpoint of endpoints) {
    const port = Number(ENDPOINT.exec(endpoint)?.[1] ?? 0);
    if (port < 1 || port > 65_535) throw new FlagError(`--initial-cluster takes endpoints host:port, not '${endpoint}'`);
  }
}

interface TransportSecurity {
  readonly mode?: unknown;
  readonly sharedSecret?: unknown;
  readonly sharedSecretFile?: unknown;
  readonly allowedThumbprints?: unknown;
  readonly requireTls?: unknown;
}

/** Operations §12: configured but incomplete is refused. */
function checkTransportSecurity(json: string, hasCertificate: boolean): void {
  if (json === '') return;
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new FlagError('--raft-transport-security is not valid JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new FlagError('--raft-transport-security must be a JSON object');
  }
  const fields: TransportSecurity = parsed;
  const mode = fields.mode ?? 'Disabled';
  if (mode !== 'Disabled' && mode !== 'SharedSecret' && mode !== 'MutualTls') {
    throw new FlagError('--raft-transport-security: mode must be Disabled, SharedSecret or MutualTls');
  }
  if (mode === 'SharedSecret' && !fields.sharedSecret && !fields.sharedSecretFile) {
    throw new FlagError('--raft-transport-security: SharedSecret needs sharedSecret or sharedSecretFile');
  }
  if (mode === 'MutualTls' && !(Array.isArray(fields.allowedThumbprints) && fields.allowedThumbprints.length > 0)) {
    throw new FlagError('--raft-transport-security: MutualTls needs allowedThumbprints');
  }
  if (fields.requireTls === true && !hasCertificate) {
    throw new FlagError('--raft-transport-security: requireTls needs --https-certificate');
  }
}
