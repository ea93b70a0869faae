import {
  type Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';

/** Takes requests that are not gRPC. */
export type Http2Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

type StreamListener = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => void;

const GRPC_CONTENT = /^application\/grpc\b/i;

/**
 * Returns what takes HTTP/2 connections for this server, and hands those of their requests that are not gRPC to `others`: one port
 * serves gRPC and REST, told apart by the content type (grpc §1.1, trap 13).
 *
 * grpc-js answers such requests with 415 by itself and has no way to pass them on. So this takes its listener off the HTTP/2 server
 * that it makes for injected connections, and calls it only for streams that are its own.
 */
export function injectorBeside(
  server: Server,
  others: Http2Handler,
): { readonly inject: (socket: Socket) => void; close(): void } {
  const known = new Set(http2ServersOf(server));
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const made = http2ServersOf(server).filter(http2Server => !known.has(http2Server));
  if (made.length !== 1) throw new Error('grpc-js makes its HTTP/2 servers otherwise now');
  for (const http2Server of made) splitStreams(http2Server, others);
  return { inject: socket => injector.injectConnection(socket), close: () => injector.destroy() };
}

function http2ServersOf(server: Server): Http2Server[] {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  if (!(servers instanceof Map)) throw new Error('grpc-js keeps its HTTP/2 servers elsewhere now');
  return [...(servers.keys() as IterableIterator<Http2Server>)];
}

function splitStreams(http2Server: Http2Server, others: Http2Handler): void {
  const grpcListeners = http2Server.listeners('stream') as StreamListener[];
  http2Server.removeAllListeners('stream');
  const divide: StreamListener = (stream, headers, flags, rawHeaders) => {
    if (GRPC_CONTENT.test(headers['content-type'] ?? '')) {
      for (const listener of grpcListeners) listener.call(http2Server, stream, headers, flags, rawHeaders);
    } else {
      // The rest of the server knows a request's host by the name it has in HTTP/1.1.
      if (headers[':authority'] !== undefined) headers.host ??= headers[':authority'];
      others(new Http2ServerRequest(stream, headers, {}, rawHeaders), new Http2ServerResponse(stream));
    }
  };
  http2Server.on('stream', divide);
}
