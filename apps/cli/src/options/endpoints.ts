import { UsageError } from '../failures.ts';

/** Where the servers are if nobody says (spec cli §1). */
export const DEFAULT_ENDPOINTS = 'https://localhost:8082,https://localhost:8084,https://localhost:8086';

const LOCAL_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The base URLs of a connection source, without a slash at the end. Throws {@link UsageError}. */
export function parseEndpoints(source: string): readonly string[] {
  const parts = source.split(',').map(part => part.trim());
  const endpoints = parts.filter(part => part !== '').map(endpoint);
  if (endpoints.length === 0)
    throw new UsageError('--connection-source lists no endpoint: name at least one, such as http://localhost:2070.');
  return endpoints;
}

function endpoint(text: string): string {
  const url = parseUrl(text);
  if (url === undefined) throw new UsageError(`Invalid endpoint '${text}': expected http:// or https:// URL`);
  return url.href.replace(/\/+$/, '');
}

function parseUrl(text: string): URL | undefined {
  if (!/^https?:\/\/[^/]/i.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text);
}

/** The node that `--node` names: a URL, or `host:port` as rosters print it, reached like the first endpoint. Throws {@link UsageError}. */
export function parseNode(text: string, endpoints: readonly string[]): string {
  const trimmed = text.trim();
  if (trimmed.includes('://')) return endpoint(trimmed);
  const scheme = endpoints[0]?.startsWith('https:') ? 'https' : 'http';
  if (parseUrl(`${scheme}://${trimmed}`) === undefined) {
    throw new UsageError(`Invalid endpoint '${text}': expected http:// or https:// URL, or host:port`);
  }
  return `${scheme}://${trimmed}`;
}

/** Certificates are checked unless the user says not to, or every node is on this machine (spec cli §1). */
export function verifiesCertificates(endpoints: readonly string[], insecure: boolean): boolean {
  return !insecure && !endpoints.every(text => LOCAL_HOSTS.has(new URL(text).hostname));
}
