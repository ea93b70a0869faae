import { isIPv6 } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkFlags } from './check-flags.ts';
import type { FlagValues } from './flags.ts';
import { FlagError, type ParsedFlags } from './parse-flags.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What answers on a port. `peer`: node-to-node only. */
export type ListenerKind = 'http' | 'https' | 'grpc' | 'peer';

export interface ListenerPlan {
  readonly kind: ListenerKind;
  readonly port: number;
  /** The option that asked for the port, for messages. */
  readonly flag: string;
  readonly tls: boolean;
  /** Other nodes connect here (too). */
  readonly peers: boolean;
}

export interface DataDirectory {
  /** Without the data set's name. */
  readonly path: string;
  readonly revision: string;
  /** Nothing better than the temporary directory was found. */
  readonly temporary: boolean;
}

/** The configuration of one process: options, environment and defaults put together, checked, with nothing started or written yet. */
export interface ServerSettings {
  readonly flags: FlagValues;
  readonly warnings: readonly string[];
  readonly standalone: boolean;
  /** undefined: all interfaces. */
  readonly bindHost: string | undefined;
  readonly listeners: readonly ListenerPlan[];
  /** Identity of the node: `<raft-host>:<raft-port>`. */
  readonly raftEndpoint: string;
  /** Raft endpoints of the other founding nodes; empty on a standalone node. */
  readonly peers: readonly string[];
  readonly nodeName: string;
  /** Base URL published to clients, without trailing slash. */
  readonly clientUrl: string;
  /** Where a browser finds this node's console, '' if it has none. */
  readonly consoleUrl: string;
  readonly storage: DataDirectory & { readonly engine: 'rocksdb' | 'sqlite' | 'memory' };
  readonly wal: DataDirectory & { readonly engine: 'file' | 'memory'; readonly sync: boolean };
}

const DEFAULT_HTTPS_PORT = 2071;
const DEFAULT_GRPC_PORT = 2072;

/** Throws {@link FlagError} for what spec operations §1.1 and §13.7 refuse. */
export function resolveSettings(parsed: ParsedFlags, environment: Environment): ServerSettings {
  const warnings = [...checkFlags(parsed)];
  const flags: FlagValues = { ...parsed.values, 'raft-host': hostBeforePort(parsed.values['raft-host']) };
  const raftEndpoint = `${flags['raft-host']}:${flags['raft-port']}`;
  const standalone = flags['initial-cluster'].length === 0;
  const listeners = planListeners(parsed, standalone);
  const peers = [...new Set(flags['initial-cluster'].map(bareEndpoint))].filter(endpoint => endpoint !== raftEndpoint);

  const memory = flags.storage === 'memory';
  const storage = directory(flags['storage-path'], flags['storage-revision'], 'data', environment);
  const wal = directory(flags['wal-path'], flags['wal-revision'], 'wal', environment);
  if (!memory && storage.temporary)
    warnings.push(`no home directory: data goes to ${storage.path}, which may not survive a restart`);

  return {
    flags,
    warnings,
    standalone,
    bindHost: flags.host === '*' || flags.host === '' ? undefined : flags.host,
    listeners,
    raftEndpoint,
    peers,
    nodeName: flags['raft-nodename'] === '' ? hostname() : flags['raft-nodename'],
    clientUrl: clientUrl(flags, listeners),
    consoleUrl: consoleUrl(flags, listeners),
    storage: { ...storage, engine: flags.storage as 'rocksdb' | 'sqlite' | 'memory' },
    wal: {
      ...wal,
      engine: memory || flags['wal-storage'] === 'memory' ? 'memory' : 'file',
      sync: flags['wal-sync-writes'] && !flags['disable-wal-sync-writes'],
    },
  };
}

/** As it stands before a port: an IPv6 address in brackets. Throws {@link FlagError}. */
function hostBeforePort(host: string): string {
  const address = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  if (isIPv6(address)) return `[${address}]`;
  if (/^[^\s:/[\]]+$/.test(host)) return host;
  throw new FlagError(`--raft-host takes a host name or an address, without scheme and port, not '${host}'`);
}

/** `http://host:port/` and `host:port` name the same node. */
export function bareEndpoint(endpoint: string): string {
  return endpoint.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

function planListeners({ values: flags, given }: ParsedFlags, standalone: boolean): ListenerPlan[] {
  const hasCertificate = flags['https-certificate'] !== '';
  if (flags['https-ports'].length > 0 && !hasCertificate) {
    throw new FlagError('--https-ports requires --https-certificate; refusing to serve plaintext on a port requested as HTTPS');
  }
  const https = given.has('https-ports') || !hasCertificate ? flags['https-ports'] : [DEFAULT_HTTPS_PORT];
  const grpc = given.has('grpc-cleartext-ports') || !standalone ? flags['grpc-cleartext-ports'] : [DEFAULT_GRPC_PORT];
  const raftPort = flags['raft-port'];

  const plan: ListenerPlan[] = [];
  const add = (kind: ListenerKind, port: number, flag: string): void => {
    const taken = plan.find(listener => listener.port === port);
    if (taken !== undefined) throw new FlagError(`port ${port} is asked for twice, by ${taken.flag} and ${flag}`);
    plan.push({ kind, port, flag, tls: kind === 'https', peers: port === raftPort });
  };
  for (const port of flags['http-ports']) add('http', port, '--http-ports');
  for (const port of https) add('https', port, '--https-ports');
  for (const port of grpc) add('grpc', port, '--grpc-cleartext-ports');

  const wantsTls = flags['raft-grpc-scheme'] === 'https://';
  const shared = plan.find(listener => listener.peers);
  if (shared !== undefined) {
    if (!standalone && shared.tls !== wantsTls) {
      throw new FlagError(
        `--raft-grpc-scheme ${flags['raft-grpc-scheme']} does not fit --raft-port ${raftPort}, which is ${shared.tls ? 'a TLS' : 'a plaintext'} port (${shared.flag})`,
      );
    }
    return plan;
  }
  if (wantsTls && !hasCertificate) {
    if (!standalone) throw new FlagError('--raft-grpc-scheme https:// requires --https-certificate (or use http://)');
    // Nobody could speak to a TLS port without a certificate, and a standalone node has nobody to speak to.
    return plan;
  }
  plan.push({ kind: 'peer', port: raftPort, flag: '--raft-port', tls: wantsTls, peers: true });
  return plan;
}

/**
 * Spec routing §4.1. The scheme is that of node-to-node traffic; where the raft port is a client port, the scheme that this port
 * really speaks (they can differ on a standalone node only, where the default scheme has no meaning).
 */
function clientUrl(flags: FlagValues, listeners: readonly ListenerPlan[]): string {
  const given = flags['advertised-client-endpoint'];
  if (given !== '') return given.replace(/\/+$/, '');
  const shared = listeners.find(listener => listener.peers);
  const spoken = shared === undefined ? flags['raft-grpc-scheme'] : shared.tls ? 'https://' : 'http://';
  const wanted = flags['advertised-client-scheme'];
  const scheme = wanted === '' ? spoken : wanted.endsWith('://') ? wanted : `${wanted}://`;
  return `${scheme}${flags['raft-host']}:${flags['raft-port']}`;
}

function consoleUrl(flags: FlagValues, listeners: readonly ListenerPlan[]): string {
  if (flags['console-level'] === 'off') return '';
  const listener = listeners.find(l => l.kind === 'http') ?? listeners.find(l => l.kind === 'https');
  if (listener === undefined) return '';
  return `${listener.tls ? 'https' : 'http'}://${flags['raft-host']}:${listener.port}/ui/`;
}

/** Spec operations §1.2: the option, else the first place that applies. */
function directory(flag: string, revision: string, leaf: 'data' | 'wal', environment: Environment): DataDirectory {
  const { KAHUNA_HOME: home, XDG_DATA_HOME: xdg, HOME: user } = environment;
  if (flag !== '') return { path: flag, revision, temporary: false };
  if (home) return { path: join(home, leaf), revision, temporary: false };
  if (xdg) return { path: join(xdg, 'kahuna', leaf), revision, temporary: false };
  if (user) return { path: join(user, '.local', 'share', 'kahuna', leaf), revision, temporary: false };
  return { path: join(tmpdir(), 'kahuna', leaf), revision, temporary: true };
}
