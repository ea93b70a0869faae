import { connect as dial } from 'node:net';
import type { Kahuna, KahunaOptions } from '@kahuna/client';
import { NoServer } from './failures.ts';

const SLOWEST_DIAL_MS = 5000;

/**
 * A client for a cluster of which at least one node accepts connections. The library itself waits some seconds for a node that is
 * perhaps restarting; who sits at a terminal wants to hear at once that nobody is there. While the first node is dialled the
 * library is loaded.
 */
export async function connect(
  options: KahunaOptions & { readonly endpoints: readonly string[] },
  signal: AbortSignal,
): Promise<Kahuna> {
  const [{ Kahuna }] = await Promise.all([import('@kahuna/client'), anyAccepts(options.endpoints, signal)]);
  return new Kahuna(options);
}

/** Resolves when one endpoint has accepted a connection; rejects with {@link NoServer} when none does. */
async function anyAccepts(endpoints: readonly string[], signal: AbortSignal): Promise<void> {
  const found = new AbortController();
  const stop = AbortSignal.any([found.signal, signal]);
  try {
    await Promise.any(endpoints.map(endpoint => accepts(new URL(endpoint), stop)));
  } catch {
    throw signal.aborted ? signal.reason : new NoServer(endpoints.join(', '));
  } finally {
    found.abort();
  }
}

function accepts(endpoint: URL, stop: AbortSignal): Promise<void> {
  const port = Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80);
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = dial({ host, port, timeout: SLOWEST_DIAL_MS, signal: stop });
    socket.once('connect', () => {
      resolve();
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error('nobody answers')));
    socket.on('error', reject);
  });
}
