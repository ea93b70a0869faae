import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS } from '@kahuna/e2e';
import { watchMessages as m } from '@kahuna/wire';
import type { LockClient, TryLockClient } from './lock-client.ts';

const METHOD = '/Watcher/Watch';
const encode = (request: m.GrpcWatchRequest): Buffer => Buffer.from(m.GrpcWatchRequest.encode(request).finish());
const decode = (bytes: Buffer): m.GrpcWatchResponse => m.GrpcWatchResponse.decode(bytes);

/** One lock as a watch tells of it. */
interface Watched {
  /** Times that it was told free. */
  releases: number;
  waiting: (() => void)[];
}

/** What our client library does with a lock that another holds: a watch tells when it is free, and then everybody asks again. */
export class WatchingLocks implements LockClient {
  private readonly store: TryLockClient;
  private readonly client: grpc.Client;
  private readonly calls: grpc.ClientReadableStream<m.GrpcWatchResponse>[] = [];
  private readonly watched = new Map<string, Watched>();

  constructor(store: TryLockClient, address: string) {
    this.store = store;
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  acquire(name: string, worker: number, acquired: (held: boolean) => void): void {
    const releases = this.watched.get(name)?.releases;
    this.store.tryAcquire(name, worker, attempt => {
      if (attempt !== 'taken by another') {
        acquired(attempt === 'held');
        return;
      }
      const watched = this.watched.get(name) ?? this.watch(name);
      // Told free while the refusal was on its way: nobody will tell that again.
      if (releases !== undefined && watched.releases !== releases) this.acquire(name, worker, acquired);
      else watched.waiting.push(() => this.acquire(name, worker, acquired));
    });
  }

  private watch(name: string): Watched {
    const watched: Watched = { releases: 0, waiting: [] };
    this.watched.set(name, watched);
    const Target = { $case: 'Lock', Lock: name } as const;
    const Durability = m.GrpcWatchDurability.WATCH_PERSISTENT;
    const request = { Target, Start: undefined, ProgressMs: 0, Durability };
    const call = this.client.makeServerStreamRequest(METHOD, encode, decode, request);
    this.calls.push(call);
    call.on('data', ({ Locks }: m.GrpcWatchResponse) => {
      for (const { Held } of Locks) {
        if (Held) continue;
        watched.releases += 1;
        for (const again of watched.waiting.splice(0)) again();
      }
    });
    call.on('error', (error: grpc.ServiceError) => {
      if (error.code !== grpc.status.CANCELLED) throw error;
    });
    return watched;
  }

  release(name: string, worker: number, released: (ok: boolean) => void): void {
    this.store.release(name, worker, released);
  }

  close(): void {
    for (const call of this.calls) call.cancel();
    this.client.close();
    this.store.close();
  }
}
