/**
 * Client of a Kahuna cluster for browsers: as in Node.js, over REST and a WebSocket. The page's origin must be one that the servers allow.
 */
import { KahunaClient } from './client.ts';
import type { KahunaOptions } from './client-options.ts';
import { restTransport } from './rest/rest-transport.ts';

export * from './public.ts';
export { type RestOptions, restTransport } from './rest/rest-transport.ts';
export type { WebSocketClass, WebSocketLike } from './rest/watch-socket.ts';

/** One cluster, as a page sees it. */
export class Kahuna extends KahunaClient {
  constructor(options: KahunaOptions) {
    super(options, options.transport ?? restTransport());
  }
}
