import type * as grpc from '@grpc/grpc-js';
import { type EtcdMethod, etcdService } from '../load/etcd-service.ts';
import type { Done, RepeatedOperation, RepeatingTarget } from '../load/target.ts';

interface TxnAnswer {
  readonly succeeded: boolean;
  readonly responses: readonly { readonly response_range?: { readonly kvs: readonly { readonly value: Buffer }[] } }[];
}

interface TxnClient extends grpc.Client {
  txn: EtcdMethod<object, TxnAnswer>;
}

/** Numbers of the public API's Compare. */
const EQUAL = 0;
const VERSION = 0;
const VALUE = 3;

/**
 * A counter in etcd: compare the value and swap, until it works. Each worker goes on from the value that it saw last, and a
 * failed swap brings the present one along: one round trip for each attempt, the cheapest such loop there is.
 */
export class EtcdSequenceTarget implements RepeatingTarget {
  private readonly client: TxnClient;
  private readonly lastSeen = new Map<number, string>();

  constructor(address: string) {
    this.client = etcdService(address, 'etcd.proto', 'etcdserverpb', 'KV');
  }

  repeat(operation: RepeatedOperation, name: string, worker: number, done: Done): void {
    const seen = this.lastSeen.get(worker);
    const next = String(Number(seen ?? 0) + 1);
    this.client.txn(swap(name, seen, next), (error, answer) => {
      if (error || !answer) {
        done(false);
        return;
      }
      const value = answer.responses[0]?.response_range?.kvs[0]?.value.toString();
      const present = answer.succeeded ? next : value;
      if (present === undefined) this.lastSeen.delete(worker);
      else this.lastSeen.set(worker, present);
      if (answer.succeeded) done(true);
      else this.repeat(operation, name, worker, done);
    });
  }

  close(): void {
    this.client.close();
  }
}

/** `seen` undefined: the counter must not exist yet. */
function swap(name: string, seen: string | undefined, next: string): object {
  const key = Buffer.from(name);
  const untouched =
    seen === undefined
      ? { result: EQUAL, target: VERSION, key, version: 0 }
      : { result: EQUAL, target: VALUE, key, value: Buffer.from(seen) };
  return {
    compare: [untouched],
    success: [{ request_put: { key, value: Buffer.from(next) } }],
    failure: [{ request_range: { key } }],
  };
}
