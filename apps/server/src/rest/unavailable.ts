import { HLC_ZERO_JSON } from './json-output.ts';
import { problem } from './problem.ts';

/**
 * Documented paths whose part of the server is not built yet. Each answers a refusal that its own page defines, where there is one;
 * the data surfaces never answer 5xx (spec rest §4.1), so there it is `type` 99. A row goes when its part arrives.
 */
export interface Unavailable {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** The path binds a JSON body, which is checked as always. */
  readonly bindsBody: boolean;
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the API document. */
  readonly summary: string;
}

const TX_LOCK = `{"servedFrom":"","type":99,"holderTransactionId":${HLC_ZERO_JSON}}`;
const DATA: Readonly<Record<string, string>> = {
  '/v1/kv/try-execute-tx-script': `{"servedFrom":"","type":99,"value":null,"revision":0,"expires":${HLC_ZERO_JSON},"reason":"Scripts are not available in this release.","values":null}`,
  '/v1/kv/start-tx-session': `{"servedFrom":"","type":99,"transactionId":${HLC_ZERO_JSON}}`,
  '/v1/kv/commit-tx-session': '{"servedFrom":"","type":99,"recordAnchorKey":null}',
  '/v1/kv/rollback-tx-session': '{"servedFrom":"","type":99,"recordAnchorKey":null}',
  '/v1/kv/try-acquire-exclusive-lock': TX_LOCK,
  '/v1/kv/try-acquire-prefix-lock': TX_LOCK,
  '/v1/kv/try-release-prefix-lock': TX_LOCK,
  '/v1/kv/try-acquire-range-lock': TX_LOCK,
  '/v1/kv/try-release-range-lock': TX_LOCK,
};

const BACKUPS_OFF = problem(503, 'Backup is not configured on this node.', 'NotConfigured');
const BACKUP_HEADERS = { 'x-kahuna-backup-outcome': 'NotConfigured' };

function backup(method: 'GET' | 'POST', path: string): Unavailable {
  // The configuration check comes before everything else, also before the body (spec rest §17).
  return {
    method,
    path,
    bindsBody: false,
    status: 503,
    body: BACKUPS_OFF,
    headers: BACKUP_HEADERS,
    summary: 'Backups are not configured',
  };
}

function notBuilt(method: 'GET' | 'POST' | 'DELETE', path: string, what: string): Unavailable {
  return {
    method,
    path,
    bindsBody: false,
    status: 501,
    body: problem(501, `${what} is not available in this release.`),
    summary: what,
  };
}

const LATER = 'Scripts and transactions';

export const UNAVAILABLE: readonly Unavailable[] = [
  ...Object.entries(DATA).map(
    ([path, body]): Unavailable => ({ method: 'POST', path, bindsBody: true, status: 200, body, summary: LATER }),
  ),
  backup('POST', '/v1/backups/full'),
  backup('POST', '/v1/backups/coordinated'),
  backup('POST', '/v1/backups/incremental'),
  backup('POST', '/v1/backups/validate-chain'),
  backup('POST', '/v1/backups/gc'),
  backup('GET', '/v1/backups'),
  backup('GET', '/v1/backups/:id/chain'),
  backup('POST', '/v1/restore'),
  notBuilt('GET', '/v1/dashboard/summary', 'The dashboard summary'),
  notBuilt('GET', '/v1/dashboard/metrics', 'The dashboard metric table'),
  notBuilt('POST', '/v1/console/session', 'Signing in'),
  notBuilt('DELETE', '/v1/console/session', 'Signing out'),
  notBuilt('GET', '/v1/console/heat/cell', 'The heat map'),
];
