import { RedisClient } from '../redis/redis-client.ts';
import { LEASE_MS, type TryLockClient } from './lock-client.ts';

/** Deletes the key only for who set it: a holder that outlived its time must not free the lock of the next. */
const COMPARE_AND_DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

/** The recipe of the Redis documentation for one instance: SET NX PX, released by a script. No fencing token, no replica. */
export class RedisLocks implements TryLockClient {
  private readonly client: RedisClient;
  private script: string | undefined;

  constructor(address: string) {
    this.client = new RedisClient(address);
    this.client.send(['SCRIPT', 'LOAD', COMPARE_AND_DELETE], reply => {
      if (typeof reply === 'string') this.script = reply;
    });
  }

  tryAcquire(name: string, worker: number, tried: Parameters<TryLockClient['tryAcquire']>[2]): void {
    this.client.send(['SET', name, `worker-${worker}`, 'NX', 'PX', String(LEASE_MS)], reply => {
      if (reply === 'OK') tried('held');
      else tried(reply === null ? 'taken by another' : 'failed');
    });
  }

  release(name: string, worker: number, released: (ok: boolean) => void): void {
    // Answers come in order: the script's name is here before the first lock is held.
    if (this.script === undefined) throw new Error('Redis did not take the script');
    this.client.send(['EVALSHA', this.script, '1', name, `worker-${worker}`], reply => released(reply === 1));
  }

  close(): void {
    this.client.close();
  }
}
