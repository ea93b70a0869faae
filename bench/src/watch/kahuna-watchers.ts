import { setMaxListeners } from 'node:events';
import * as grpc from '@grpc/grpc-js';
import { Kahuna } from '@kahuna/client';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import { watchMessages as m } from '@kahuna/wire';
import type { Told, Watchers } from './watchers.ts';

const asIs = (bytes: Buffer): Buffer => bytes;

function requestFor(key: string): m.GrpcWatchRequest {
  return { Target: { $case: 'Key', Key: key }, Start: undefined, ProgressMs: 0, Durability: 0 };
}

/** Calls back once that often. */
function after(count: number, done: () => void): () => void {
  let left = count;
  return () => {
    left -= 1;
    if (left === 0) done();
  };
}

/** All of them on one stream. */
export class KahunaManyWatchers implements Watchers {
  private readonly client: grpc.Client;
  private readonly key: string;
  private readonly watches: number;
  private readonly told: Told;

  constructor(address: string, key: string, watches: number, told: Told) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.key = key;
    this.watches = watches;
    this.told = told;
  }

  begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = this.client.makeBidiStreamRequest('/Watcher/WatchMany', asIs, asIs);
      const begun = after(this.watches, resolve);
      call.on('error', reject);
      call.on('data', (bytes: Buffer) => {
        const { Shares, Ends } = m.GrpcWatchManyResponse.decode(bytes);
        for (const { Ids, Response } of Shares) {
          for (const id of Ids) {
            for (const { Value } of Response?.Events ?? []) this.told(id - 1, Value as Uint8Array);
            if (Response?.Position !== undefined) begun();
          }
        }
        for (const { Details } of Ends) reject(new Error(Details));
      });
      const Request = requestFor(this.key);
      const Open = Array.from({ length: this.watches }, (_, i) => ({ Id: i + 1, Request }));
      call.write(Buffer.from(m.GrpcWatchManyRequest.encode({ Open, Close: [] }).finish()));
    });
  }

  close(): void {
    this.client.close();
  }
}

/** A call for each. */
export class KahunaCallWatchers implements Watchers {
  private readonly client: grpc.Client;
  private readonly key: string;
  private readonly watches: number;
  private readonly told: Told;

  constructor(address: string, key: string, watches: number, told: Told) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.key = key;
    this.watches = watches;
    this.told = told;
  }

  begin(): Promise<void> {
    const request = Buffer.from(m.GrpcWatchRequest.encode(requestFor(this.key)).finish());
    return new Promise((resolve, reject) => {
      const begun = after(this.watches, resolve);
      for (let watch = 0; watch < this.watches; watch++) {
        const call = this.client.makeServerStreamRequest('/Watcher/Watch', asIs, asIs, request);
        call.on('error', reject);
        call.on('data', (bytes: Buffer) => {
          const { Events, Position } = m.GrpcWatchResponse.decode(bytes);
          for (const { Value } of Events) this.told(watch, Value as Uint8Array);
          if (Position !== undefined) begun();
        });
      }
    });
  }

  close(): void {
    this.client.close();
  }
}

/** Loops of our client library. */
export class KahunaLibraryWatchers implements Watchers {
  private readonly client: Kahuna;
  private readonly key: string;
  private readonly watches: number;
  private readonly told: Told;
  private readonly stop = new AbortController();

  constructor(address: string, key: string, watches: number, told: Told) {
    this.client = new Kahuna({ endpoints: `http://${address}` });
    this.key = key;
    this.watches = watches;
    this.told = told;
  }

  async begin(): Promise<void> {
    const { signal } = this.stop;
    setMaxListeners(this.watches, signal);
    const watches = Array.from({ length: this.watches }, () => this.client.watch.key(this.key, { signal }));
    for (const [watch, changes] of watches.entries()) {
      const loop = async (): Promise<void> => {
        for await (const { value } of changes) this.told(watch, value as Uint8Array);
      };
      loop().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
    await Promise.all(watches.map(({ started }) => started));
  }

  close(): void {
    this.stop.abort();
    void this.client.close();
  }
}
