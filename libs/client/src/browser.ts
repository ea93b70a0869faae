/**
 * Client of a Kahuna cluster for browsers: as in Node.js, over REST. The page's origin must be one that the servers allow.
 */
import { KahunaClient } from './client.ts';
import type { KahunaOptions } from './options.ts';
import { restTransport } from './rest/rest-transport.ts';

export * from './public.ts';
export { restTransport } from './rest/rest-transport.ts';

/** One cluster, as a page sees it. */
export class Kahuna extends KahunaClient {
  constructor(options: KahunaOptions) {
    super(options, options.transport ?? restTransport());
  }
}
