import type * as grpc from '@grpc/grpc-js';
import { type EtcdMethod, etcdService } from './etcd-service.ts';
import type { Done, KeyValueTarget } from './target.ts';

interface KvClient extends grpc.Client {
  put: EtcdMethod<{ key: Buffer; value: Buffer }, unknown>;
  range: EtcdMethod<{ key: Buffer }, { kvs: readonly unknown[] }>;
}

/** etcd as an ordinary Node.js program talks to it: grpc-js, one unary call per operation. */
export class EtcdGrpcTarget implements KeyValueTarget {
  private readonly client: KvClient;

  constructor(address: string) {
    this.client = etcdService(address, 'etcd.proto', 'etcdserverpb', 'KV');
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
