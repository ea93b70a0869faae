import type { Http2Server } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/** Per stream: what a client may send before it is read (grpc §1.2). Bytes. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
/** Per connection: above several streams' windows, so that one stream that is not read does not starve the others. Bytes. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * Widens the receive windows of every connection of this server. HTTP/2's default of 64 KiB is shared by all streams of a
 * connection: one batch stream that is held back would stop every other call on it.
 *
 * grpc-js has an option for the windows of a client only. So this takes the two fields in which its server keeps the settings of
 * its HTTP/2 servers and the servers themselves; a test looks at the windows that a client sees, in case they move.
 */
export function widenFlowControl(server: Server): void {
  const options: unknown = Reflect.get(server, 'commonServerOptions');
  const servers: unknown = Reflect.get(server, 'http2Servers');
  if (typeof options !== 'object' || options === null || !(servers instanceof Map)) {
    throw new Error('grpc-js keeps its HTTP/2 servers elsewhere now');
  }
  Object.assign(options, { settings: { ...Reflect.get(options, 'settings'), initialWindowSize: STREAM_WINDOW_BYTES } });
  Reflect.set(server, 'http2Servers', new WideningServers(servers));
}

class WideningServers extends Map<Http2Server, unknown> {
  override set(http2Server: Http2Server, info: unknown): this {
    http2Server.on('session', session => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    return super.set(http2Server, info);
  }
}
