import type { LogIndex } from '@kahuna/base';

/**
 * Keys with commands that wait for a proposal or for being applied. A read must not be answered past them, or whoever sends an
 * operation behind another of the same key would see the older state.
 */
export class KeysAhead {
  private readonly queued = new Set<string>();
  /** With the index of the last entry that bears one. */
  private readonly proposed = new Map<string, LogIndex>();

  has(key: string): boolean {
    return this.queued.has(key) || this.proposed.has(key);
  }

  add(key: string): void {
    this.queued.add(key);
  }

  /** The queue was taken: each of its commands is proposed or refused now. */
  queueTaken(): void {
    if (this.queued.size > 0) this.queued.clear();
  }

  proposedAt(key: string, index: LogIndex): void {
    this.proposed.set(key, index);
  }

  decided(key: string, index: LogIndex): void {
    if (this.proposed.get(key) === index) this.proposed.delete(key);
  }

  clear(): void {
    this.queued.clear();
    this.proposed.clear();
  }
}
