import type * as grpc from '@grpc/grpc-js';
import { etcdService } from '../load/etcd-service.ts';
import type { Told, Watchers } from './watchers.ts';

interface Response {
  readonly watch_id: number;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly events: readonly { readonly kv: { readonly value: Buffer } }[];
}
type WatchStream = grpc.ClientDuplexStream<{ readonly create_request: { readonly key: Buffer } }, Response>;

interface WatchClient extends grpc.Client {
  watch: () => WatchStream;
}

/** `perStream` watches on each stream: all of them is what etcd's clients do. */
export class EtcdWatchers implements Watchers {
  private readonly client: WatchClient;
  private readonly key: Buffer;
  private readonly watches: number;
  private readonly perStream: number;
  private readonly told: Told;

  constructor(address: string, key: string, watches: number, perStream: number, told: Told) {
    this.client = etcdService(address, 'watch.proto', 'etcdserverpb', 'Watch');
    this.key = Buffer.from(key);
    this.watches = watches;
    this.perStream = perStream;
    this.told = told;
  }

  begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      let begun = 0;
      for (let first = 0; first < this.watches; first += this.perStream) {
        const stream = this.client.watch();
        stream.on('error', reject);
        stream.on('data', ({ watch_id: id, created, canceled, events }: Response) => {
          if (canceled) reject(new Error('etcd cancelled a watch'));
          if (created && ++begun === this.watches) resolve();
          for (const { kv } of events) this.told(first + id, kv.value);
        });
        const count = Math.min(this.perStream, this.watches - first);
        for (let i = 0; i < count; i++) stream.write({ create_request: { key: this.key } });
      }
    });
  }

  close(): void {
    this.client.close();
  }
}
