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
}

const LOCK = `{"servedFrom":"","type":99,"fencingToken":0,"route":null}`;
const TX_LOCK = `{"servedFrom":"","type":99,"holderTransactionId":${HLC_ZERO_JSON}}`;
const NO_ALLOCATION = '{"name":null,"start":0,"end":0,"count":0,"revision":0}';

function sequence(revision: number): string {
  return `{"servedFrom":"","type":99,"sequence":null,"allocation":${NO_ALLOCATION},"revision":${revision},"route":null}`;
}

const DATA: Readonly<Record<string, string>> = {
  '/v1/kv/get-by-bucket': '{"servedFrom":"","type":99,"items":[]}',
  '/v1/kv/scan-all-by-prefix': '{"servedFrom":"","type":99,"items":[]}',
  '/v1/kv/get-by-range': '{"servedFrom":"","type":99,"items":[],"nextCursor":null,"hasMore":false}',
  '/v1/kv/try-execute-tx-script': `{"servedFrom":"","type":99,"value":null,"revision":0,"expires":${HLC_ZERO_JSON},"reason":"Scripts are not available in this release.","values":null}`,
  '/v1/kv/start-tx-session': `{"servedFrom":"","type":99,"transactionId":${HLC_ZERO_JSON}}`,
  '/v1/kv/commit-tx-session': '{"servedFrom":"","type":99,"recordAnchorKey":null}',
  '/v1/kv/rollback-tx-session': '{"servedFrom":"","type":99,"recordAnchorKey":null}',
  '/v1/kv/try-acquire-exclusive-lock': TX_LOCK,
  '/v1/kv/try-acquire-prefix-lock': TX_LOCK,
  '/v1/kv/try-release-prefix-lock': TX_LOCK,
  '/v1/kv/try-acquire-range-lock': TX_LOCK,
  '/v1/kv/try-release-range-lock': TX_LOCK,
  '/v1/kv/snapshot-hold/acquire': `{"type":99,"holdId":"","leaseExpiry":${HLC_ZERO_JSON}}`,
  '/v1/kv/snapshot-hold/renew': `{"type":99,"leaseExpiry":${HLC_ZERO_JSON}}`,
  '/v1/kv/snapshot-hold/release': '{"type":99}',
  '/v1/locks/try-lock': LOCK,
  '/v1/locks/try-extend': LOCK,
  '/v1/locks/try-unlock': LOCK,
  '/v1/locks/get-info': `{"servedFrom":"","type":99,"owner":null,"expires":${HLC_ZERO_JSON},"fencingToken":0,"route":null}`,
  '/v1/sequences/create': sequence(-1),
  '/v1/sequences/update': sequence(-1),
  '/v1/sequences/get': sequence(-1),
  '/v1/sequences/next': sequence(0),
  '/v1/sequences/reserve': sequence(0),
  '/v1/sequences/delete': sequence(0),
};

const BACKUPS_OFF = problem(503, 'Backup is not configured on this node.', 'NotConfigured');
const BACKUP_HEADERS = { 'x-kahuna-backup-outcome': 'NotConfigured' };

function backup(method: 'GET' | 'POST', path: string): Unavailable {
  // The configuration check comes before everything else, also before the body (spec rest §17).
  return { method, path, bindsBody: false, status: 503, body: BACKUPS_OFF, headers: BACKUP_HEADERS };
}

function notBuilt(method: 'GET' | 'POST' | 'DELETE', path: string, what: string): Unavailable {
  return { method, path, bindsBody: false, status: 501, body: problem(501, `${what} is not available in this release.`) };
}

export const UNAVAILABLE: readonly Unavailable[] = [
  ...Object.entries(DATA).map(([path, body]): Unavailable => ({ method: 'POST', path, bindsBody: true, status: 200, body })),
  {
    method: 'GET',
    path: '/v1/kv/snapshot-floor',
    bindsBody: false,
    status: 200,
    body: `{"type":99,"effectiveFloor":${HLC_ZERO_JSON},"liveHolds":0}`,
  },
  backup('POST', '/v1/backups/full'),
  backup('POST', '/v1/backups/coordinated'),
  backup('POST', '/v1/backups/incremental'),
  backup('POST', '/v1/backups/validate-chain'),
  backup('POST', '/v1/backups/gc'),
  backup('GET', '/v1/backups'),
  backup('GET', '/v1/backups/:id/chain'),
  backup('POST', '/v1/restore'),
  notBuilt('POST', '/v1/cluster/leave', 'Leaving a cluster'),
  notBuilt('GET', '/v1/dashboard/summary', 'The dashboard summary'),
  notBuilt('GET', '/v1/dashboard/metrics', 'The dashboard metric table'),
  notBuilt('GET', '/openapi.json', 'The OpenAPI document'),
  notBuilt('GET', '/docs/api', 'The API page'),
  notBuilt('POST', '/v1/console/session', 'Signing in'),
  notBuilt('DELETE', '/v1/console/session', 'Signing out'),
  notBuilt('POST', '/v1/console/operations/:id/cancel', 'Cancelling an operation of the console'),
  notBuilt('GET', '/v1/console/heat/cell', 'The heat map'),
];
