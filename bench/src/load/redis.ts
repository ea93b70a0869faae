import { RedisClient } from '../redis/redis-client.ts';
import type { Done, KeyValueTarget } from './target.ts';

/** Redis as a plain store: SET and GET, pipelined. */
export class RedisTarget implements KeyValueTarget {
  private readonly client: RedisClient;

  constructor(address: string) {
    this.client = new RedisClient(address);
  }

  put(key: string, value: Buffer, done: Done): void {
    this.client.send(['SET', key, value], reply => done(reply === 'OK'));
  }

  get(key: string, done: Done): void {
    this.client.send(['GET', key], reply => done(typeof reply === 'string'));
  }

  close(): void {
    this.client.close();
  }
}
