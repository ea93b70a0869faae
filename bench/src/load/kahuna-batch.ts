import { BatchStream, Persistent, Type } from '@kahuna/e2e';
import type { Done, KeyValueTarget } from './target.ts';

const NO_TIMESTAMP = { n: 0, l: 0, c: 0 };

/** Our server through the client batch stream with frames: what the official client does by default. */
export class KahunaBatchTarget implements KeyValueTarget {
  private readonly stream: BatchStream;

  constructor(address: string) {
    this.stream = new BatchStream(address);
  }

  put(key: string, value: Buffer, done: Done): void {
    this.stream.send(
      { kind: 'set', key, value, expiresMs: 0, flags: 1, compareValue: null, compareRevision: 0, durability: Persistent },
      result => done(result?.type === Type.Set),
    );
  }

  get(key: string, done: Done): void {
    this.stream.send({ kind: 'get', key, revision: -1, readTimestamp: NO_TIMESTAMP, durability: Persistent }, result =>
      done(result?.type === Type.Get && result.value !== null),
    );
  }

  close(): void {
    this.stream.close();
  }
}
