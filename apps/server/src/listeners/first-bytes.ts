import type { Socket } from 'node:net';
import { PEER_MAGIC } from '../transport/magic.ts';

/** What a client speaks, told from the first bytes of its connection. */
export type Spoken = 'peer' | 'http2' | 'http1';

/** Start of the HTTP/2 connection preface (RFC 9113 §3.4); no HTTP/1.1 method is called PRI. */
const HTTP2_PREFACE = Buffer.from('PRI ', 'latin1');

/** undefined while more bytes are needed to tell. */
export function spokenBy(bytes: Buffer): Spoken | undefined {
  if (startsLike(bytes, PEER_MAGIC)) return bytes.length >= PEER_MAGIC.length ? 'peer' : undefined;
  if (startsLike(bytes, HTTP2_PREFACE)) return bytes.length >= HTTP2_PREFACE.length ? 'http2' : undefined;
  return 'http1';
}

function startsLike(bytes: Buffer, magic: Buffer): boolean {
  const length = Math.min(bytes.length, magic.length);
  return bytes.subarray(0, length).equals(magic.subarray(0, length));
}

/**
 * Waits for enough bytes to tell what the client speaks, puts them back, pauses the socket and reports. A connection that stays
 * silent, ends or fails first is destroyed without a report.
 */
export function tellProtocol(socket: Socket, timeoutMs: number, report: (spoken: Spoken) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => giveUp(), timeoutMs);
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const spoken = spokenBy(seen);
    if (spoken === undefined) return;
    stop();
    socket.pause();
    socket.unshift(seen);
    report(spoken);
  };
  const giveUp = (): void => {
    stop();
    socket.destroy();
  };
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('end', giveUp);
    socket.off('close', giveUp);
    socket.off('error', giveUp);
  };
  socket.on('data', onData);
  socket.on('end', giveUp);
  socket.on('close', giveUp);
  socket.on('error', giveUp);
}
