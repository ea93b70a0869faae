/**
 * Client of a Kahuna cluster for Node.js: keys and values, locks, leader election, sequences.
 *
 *     await using kahuna = new Kahuna({ endpoints: ['http://127.0.0.1:2070'] });
 *     await kahuna.keys.set('greeting', 'hello');
 */
import { KahunaClient } from './client.ts';
import type { KahunaOptions } from './client-options.ts';
import { grpcTransport } from './grpc/grpc-transport.ts';

export { grpcTransport } from './grpc/grpc-transport.ts';
export * from './public.ts';
export { type RestOptions, restTransport } from './rest/rest-transport.ts';
export type { WebSocketClass, WebSocketLike } from './rest/watch-socket.ts';

/** One cluster, as a program sees it. Make one per process and share it: it multiplexes all calls on one connection per node. */
export class Kahuna extends KahunaClient {
  constructor(options: KahunaOptions) {
    super(options, options.transport ?? grpcTransport());
  }
}
