import { connect as dial } from 'node:net';
import type { Kahuna, KahunaOptions } from '@kahuna/client';
import { NoServer } from './failures.ts';

/** A connection that is not there after this long will not come. */
const SLOWEST_DIAL_MS = 5000;
/** Who speaks HTTP/2 begins at once; who says nothing for so long is asked over HTTP/2 all the same. */
const SLOWEST_GREETING_MS = 1000;

/** The client's half of an HTTP/2 connection with prior knowledge (RFC 9113 §3.4): the preface and an empty SETTINGS frame. */
const GREETING = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');

type Protocol = 'http1' | 'http2';

/**
 * A client for a cluster of which at least one node accepts connections. The library itself waits some seconds for a node that is
 * perhaps restarting; who sits at a terminal wants to hear at once that nobody is there. While the nodes are dialled the library
 * is loaded. A cleartext port that speaks only HTTP/1.1 (a proxy, say) is asked over REST.
 */
export async function connect(
  options: KahunaOptions & { readonly endpoints: readonly string[] },
  signal: AbortSignal,
): Promise<Kahuna> {
  const [{ Kahuna, restTransport }, protocol] = await Promise.all([
    import('@kahuna/client'),
    firstAnswer(options.endpoints, signal),
  ]);
  return new Kahuna(protocol === 'http1' ? { ...options, transport: restTransport() } : options);
}

/** What the first endpoint that accepts a connection speaks; rejects with {@link NoServer} when none does. */
async function firstAnswer(endpoints: readonly string[], signal: AbortSignal): Promise<Protocol> {
  const found = new AbortController();
  const stop = AbortSignal.any([found.signal, signal]);
  try {
    return await Promise.any(endpoints.map(endpoint => greet(new URL(endpoint), stop)));
  } catch {
    throw signal.aborted ? signal.reason : new NoServer(endpoints.join(', '));
  } finally {
    found.abort();
  }
}

function greet(endpoint: URL, stop: AbortSignal): Promise<Protocol> {
  const secure = endpoint.protocol === 'https:';
  const port = Number(endpoint.port) || (secure ? 443 : 80);
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = dial({ host, port, timeout: SLOWEST_DIAL_MS, signal: stop });
    let connected = false;
    const settle = (protocol: Protocol): void => {
      resolve(protocol);
      socket.destroy();
    };
    socket.once('connect', () => {
      connected = true;
      if (secure) return settle('http2');
      socket.setTimeout(SLOWEST_GREETING_MS);
      socket.write(GREETING);
    });
    socket.once('data', data => settle(data.toString('latin1', 0, 5) === 'HTTP/' ? 'http1' : 'http2'));
    socket.on('timeout', () => (connected ? settle('http2') : socket.destroy(new Error('nobody answers'))));
    socket.on('error', error => (connected ? settle('http1') : reject(error)));
    socket.on('end', () => settle('http1'));
  });
}
