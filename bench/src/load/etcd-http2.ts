import { FRAME_HEADER_BYTES, Http2Calls } from './http2-calls.ts';
import type { Done, KeyValueTarget } from './target.ts';

/** etcd through the cheapest client that JavaScript can write. The fairer opponent where client and server share the machine. */
export class EtcdHttp2Target implements KeyValueTarget {
  private readonly calls: Http2Calls;

  constructor(address: string) {
    this.calls = new Http2Calls(address);
  }

  put(key: string, value: Buffer, done: Done): void {
    this.calls.call('/etcdserverpb.KV/Put', putMessage(key, value), () => true, done);
  }

  get(key: string, done: Done): void {
    // An answer without the value is the header alone (some 25 bytes); with it, it is longer than the key.
    this.calls.call('/etcdserverpb.KV/Range', rangeMessage(key), answerBytes => answerBytes >= 100, done);
  }

  close(): void {
    this.calls.close();
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
