import { HandOver } from '../locks/hand-over.ts';
import type { LockClient } from '../locks/lock-client.ts';
import type { Done, RepeatedOperation, RepeatingTarget } from './target.ts';

/** Whatever store keeps the locks: what the load does with them. */
export class LockTarget implements RepeatingTarget {
  private readonly locks: LockClient;
  private readonly handOvers = new Map<string, HandOver>();

  constructor(locks: LockClient) {
    this.locks = locks;
  }

  repeat(operation: RepeatedOperation, name: string, worker: number, done: Done): void {
    switch (operation) {
      case 'lock':
        this.locks.acquire(name, worker, held => (held ? this.locks.release(name, worker, done) : done(false)));
        break;
      case 'hold':
        this.locks.acquire(name, worker, done);
        break;
      case 'hand-over':
        this.handOver(name).join(worker, done);
        break;
      default:
        throw new Error(`a lock cannot ${operation}`);
    }
  }

  private handOver(name: string): HandOver {
    let handOver = this.handOvers.get(name);
    if (!handOver) {
      handOver = new HandOver(this.locks, name);
      this.handOvers.set(name, handOver);
    }
    return handOver;
  }

  close(): void {
    this.locks.close();
  }
}
