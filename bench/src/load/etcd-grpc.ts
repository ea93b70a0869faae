import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Done, Target } from './target.ts';

interface KvClient extends grpc.Client {
  put(request: { key: Buffer; value: Buffer }, done: (error: grpc.ServiceError | null) => void): void;
  range(request: { key: Buffer }, done: (error: grpc.ServiceError | null, answer?: { kvs: readonly unknown[] }) => void): void;
}

/** etcd as an ordinary Node.js program talks to it: grpc-js, one unary call per operation. */
export class EtcdGrpcTarget implements Target {
  private readonly client: KvClient;

  constructor(address: string) {
    const definition = loadSync(join(import.meta.dirname, '..', 'etcd', 'etcd.proto'), { longs: Number, defaults: true });
    const api = grpc.loadPackageDefinition(definition) as unknown as {
      etcdserverpb: { KV: new (address: string, credentials: grpc.ChannelCredentials, options: grpc.ChannelOptions) => KvClient };
    };
    this.client = new api.etcdserverpb.KV(address, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  }

  put(key: string, value: Buffer, done: Done): void {
    this.client.put({ key: Buffer.from(key), value }, error => done(!error));
  }

  get(key: string, done: Done): void {
    this.client.range({ key: Buffer.from(key) }, (error, answer) => done(!error && (answer?.kvs.length ?? 0) === 1));
  }

  close(): void {
    this.client.close();
  }
}
