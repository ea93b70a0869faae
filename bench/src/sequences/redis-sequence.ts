import type { Done, RepeatedOperation, RepeatingTarget } from '../load/target.ts';
import { RedisClient } from '../redis/redis-client.ts';

/** A counter in Redis: INCR, pipelined, on disk before the answer. */
export class RedisSequenceTarget implements RepeatingTarget {
  private readonly client: RedisClient;

  constructor(address: string) {
    this.client = new RedisClient(address);
  }

  repeat(_operation: RepeatedOperation, name: string, _worker: number, done: Done): void {
    this.client.send(['INCR', name], reply => done(typeof reply === 'number'));
  }

  close(): void {
    this.client.close();
  }
}
