import { constants, type ServerHttp2Stream } from 'node:http2';

/**
 * The HTTP/2 stream of a call. grpc-js ends a call with a status, behind everything that was written: to a client that does not read, that
 * gives back nothing. So this takes the field in which its calls keep their streams; a test looks at what becomes of one, in case it moves.
 */
function http2StreamOf(call: object): ServerHttp2Stream {
  const inner: unknown = Reflect.get(call, 'call');
  const stream: unknown = typeof inner === 'object' && inner !== null ? Reflect.get(inner, 'stream') : undefined;
  if (typeof stream !== 'object' || stream === null || !('destroy' in stream)) {
    throw new Error('grpc-js keeps its HTTP/2 streams elsewhere now');
  }
  return stream as ServerHttp2Stream;
}

/** Calls `gone` when nothing of the call can reach its client any more; at once, if that is so already. */
export function whenGone(call: object, gone: () => void): void {
  const stream = http2StreamOf(call);
  if (stream.destroyed) gone();
  else stream.once('close', gone);
}

/** Drops a call with all that waits for its client, who sees it cancelled. */
export function cutOff(call: object): void {
  const stream = http2StreamOf(call);
  stream.close(constants.NGHTTP2_CANCEL);
  stream.destroy();
}
