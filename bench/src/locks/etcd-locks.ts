import type * as grpc from '@grpc/grpc-js';
import { type EtcdMethod, etcdService } from '../load/etcd-service.ts';
import { LEASE_MS, type LockClient } from './lock-client.ts';

interface LeaseClient extends grpc.Client {
  leaseGrant: EtcdMethod<{ TTL: number; ID: number }, { ID: number }>;
}

interface LockServiceClient extends grpc.Client {
  lock: EtcdMethod<{ name: Buffer; lease: number }, { key: Buffer }>;
  unlock: EtcdMethod<{ key: Buffer }, unknown>;
}

/**
 * etcd's own lock service (v3lock), as its documentation describes it: a session's lease, granted once, under which each worker
 * takes its locks. The lease is not part of a cycle: the cheaper reading of the documentation, in etcd's favour. The server keeps
 * the queue and answers when it is the caller's turn.
 */
export class EtcdLocks implements LockClient {
  private readonly leases: LeaseClient;
  private readonly locks: LockServiceClient;
  private readonly leaseOfWorker = new Map<number, number>();
  private readonly keyOfHeld = new Map<string, Buffer>();

  constructor(address: string) {
    this.leases = etcdService(address, 'etcd.proto', 'etcdserverpb', 'Lease');
    this.locks = etcdService(address, 'lock.proto', 'v3lockpb', 'Lock');
  }

  acquire(name: string, worker: number, acquired: (held: boolean) => void): void {
    const lease = this.leaseOfWorker.get(worker);
    if (lease === undefined) {
      this.open(worker, opened => (opened ? this.acquire(name, worker, acquired) : acquired(false)));
      return;
    }
    this.locks.lock({ name: Buffer.from(name), lease }, (error, answer) => {
      if (answer) this.keyOfHeld.set(name, answer.key);
      acquired(!error);
    });
  }

  private open(worker: number, opened: (ok: boolean) => void): void {
    // A number of our own: those that the server chooses do not fit a JavaScript number.
    const id = process.pid * 100_000 + worker + 1;
    this.leases.leaseGrant({ TTL: LEASE_MS / 1000, ID: id }, error => {
      if (!error) this.leaseOfWorker.set(worker, id);
      opened(!error);
    });
  }

  release(name: string, _worker: number, released: (ok: boolean) => void): void {
    const key = this.keyOfHeld.get(name);
    if (!key) throw new Error(`'${name}' is not held`);
    this.keyOfHeld.delete(name);
    this.locks.unlock({ key }, error => released(!error));
  }

  close(): void {
    this.leases.close();
    this.locks.close();
  }
}
