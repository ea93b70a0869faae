import type { ServerSettings } from '../config/settings.ts';
import { VERSION } from './version.ts';

const BANNER = String.raw`
  _  __     _
 | |/ /__ _| |_ _  _ _ _  __ _
 | ' </ _' | ' \ || | ' \/ _' |
 |_|\_\__,_|_||_\_,_|_||_\__,_|
`;

export function bannerText(): string {
  return `${BANNER}  Kahuna ${VERSION}, Node.js ${process.versions.node}\n\n`;
}

export interface StartFacts {
  readonly nodeId: number;
  readonly storagePath: string;
  readonly walPath: string;
}

/** What is said about the configuration before the node serves (spec operations §15), one log line each. */
export function startupLines(settings: ServerSettings, facts: StartFacts): string[] {
  const { flags, listeners } = settings;
  const lines = [
    `Storage: ${settings.storage.engine} at ${facts.storagePath}`,
    `WAL: ${settings.wal.engine} at ${facts.walPath}`,
    `Node ${settings.nodeName} (id ${facts.nodeId}) at ${settings.raftEndpoint}, ${
      settings.standalone ? 'standalone' : `cluster with ${settings.peers.join(', ')}`
    }`,
  ];
  for (const listener of listeners) {
    const what = { http: 'REST, console and gRPC', https: 'REST and gRPC over TLS', grpc: 'gRPC', peer: 'node-to-node' };
    const shared = listener.peers && listener.kind !== 'peer' ? ', node-to-node' : '';
    lines.push(`Listening on port ${listener.port}: ${what[listener.kind]}${shared}`);
  }
  if (!listeners.some(listener => listener.kind === 'https')) {
    lines.push('HTTPS disabled: no certificate configured (pass --https-certificate to enable it)');
  }
  return [...lines, ...mechanismLines(flags)];
}

/** Each automatic mechanism with its threshold; what this release does not run yet says so rather than pretending. */
function mechanismLines(flags: ServerSettings['flags']): string[] {
  const splitKeys = flags['range-split-threshold'];
  const splitLoad = flags['range-split-load-threshold'];
  const promote = flags['disable-range-promotion'] ? 0 : flags['range-promote-threshold'];
  const mechanism = (name: string, on: boolean, threshold: string): string =>
    `${name}: ${on ? `configured (${threshold}), not active in this release` : 'off'}`;
  return [
    mechanism('Size split', splitKeys > 0, `${splitKeys} keys`),
    mechanism('Load split', splitLoad > 0, `${splitLoad} writes/s`),
    mechanism('Range promotion', promote > 0, `${promote} keys`),
    mechanism(
      'Leader balancing',
      flags['raft-enable-leader-balancer'],
      `count deadband ${flags['raft-count-deadband']}, load ${flags['raft-load-imbalance-threshold']}`,
    ),
  ];
}

/** Every address a person can open or call, for the line that says that the node is ready. */
export function readyAddresses(settings: ServerSettings): string {
  const host = settings.flags['raft-host'];
  const addresses: string[] = [];
  if (settings.consoleUrl !== '') addresses.push(`console ${settings.consoleUrl}`);
  for (const { kind, port } of settings.listeners) {
    if (kind === 'http') addresses.push(`REST http://${host}:${port}`);
    if (kind === 'https') addresses.push(`REST and gRPC https://${host}:${port}`);
    if (kind === 'grpc') addresses.push(`gRPC ${host}:${port}`);
  }
  return addresses.join('  ');
}
