import { type ClientHttp2Session, connect } from 'node:http2';
import type { Done, KeyValueTarget } from './target.ts';

const FRAME_HEADER_BYTES = 5;

/**
 * etcd through the cheapest client that JavaScript can write: Node's own HTTP/2, messages put together by hand, headers reused,
 * the answer looked at only as far as needed. The fairer opponent where client and server share the machine.
 */
export class EtcdHttp2Target implements KeyValueTarget {
  private readonly session: ClientHttp2Session;
  private readonly putHeaders: Record<string, string>;
  private readonly rangeHeaders: Record<string, string>;

  constructor(address: string) {
    this.session = connect(`http://${address}`);
    const headers = (method: string): Record<string, string> => ({
      ':method': 'POST',
      ':scheme': 'http',
      ':authority': address,
      ':path': `/etcdserverpb.KV/${method}`,
      te: 'trailers',
      'content-type': 'application/grpc',
    });
    this.putHeaders = headers('Put');
    this.rangeHeaders = headers('Range');
  }

  put(key: string, value: Buffer, done: Done): void {
    this.call(this.putHeaders, putMessage(key, value), 0, done);
  }

  get(key: string, done: Done): void {
    // An answer without the value is the header alone (some 25 bytes); with it, it is longer than the key.
    this.call(this.rangeHeaders, rangeMessage(key), 100, done);
  }

  private call(headers: Record<string, string>, message: Buffer, leastBytes: number, done: Done): void {
    const stream = this.session.request(headers);
    let status = '';
    let bytes = 0;
    let finished = false;
    const finish = (ok: boolean): void => {
      if (finished) return;
      finished = true;
      done(ok);
    };
    stream.on('trailers', trailers => {
      status = String(trailers['grpc-status'] ?? '');
    });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('end', () => finish(status === '0' && bytes >= leastBytes));
    stream.on('error', () => finish(false));
    stream.end(message);
  }

  close(): void {
    this.session.destroy();
  }
}

/** Field 1 (bytes): key, field 2 (bytes): value, behind gRPC's five bytes of flag and length. */
export function putMessage(key: string, value: Buffer): Buffer {
  const keyBytes = Buffer.byteLength(key);
  const length = 1 + varintBytes(keyBytes) + keyBytes + 1 + varintBytes(value.length) + value.length;
  const message = begin(length);
  let at = writeField(message, FRAME_HEADER_BYTES, 1, keyBytes);
  at += message.write(key, at);
  at = writeField(message, at, 2, value.length);
  value.copy(message, at);
  return message;
}

/** Field 1 (bytes): key. */
export function rangeMessage(key: string): Buffer {
  const keyBytes = Buffer.byteLength(key);
  const message = begin(1 + varintBytes(keyBytes) + keyBytes);
  message.write(key, writeField(message, FRAME_HEADER_BYTES, 1, keyBytes));
  return message;
}

function begin(length: number): Buffer {
  const message = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  message[0] = 0; // not compressed
  message.writeUInt32BE(length, 1);
  return message;
}

const varintBytes = (value: number): number => (value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4);

/** Tag and length of a length-delimited field; returns where its bytes begin. */
function writeField(message: Buffer, start: number, field: number, length: number): number {
  let at = start;
  message[at++] = (field << 3) | 2;
  let rest = length;
  while (rest > 127) {
    message[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  message[at++] = rest;
  return at;
}
