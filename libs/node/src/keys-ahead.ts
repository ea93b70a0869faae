/**
 * Keys with commands that wait for a proposal or for being applied. A read must not be answered past them, or whoever sends an
 * operation behind another of the same key would see the older state.
 */
export class KeysAhead {
  private readonly queued = new Set<string>();
  /**
   * With the last proposal that bears one. Not with its index: an earlier leadership may have proposed at the same one, and is decided
   * earlier.
   */
  private readonly proposed = new Map<string, object>();

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

  proposedIn(key: string, proposal: object): void {
    this.proposed.set(key, proposal);
  }

  decided(key: string, proposal: object): void {
    if (this.proposed.get(key) === proposal) this.proposed.delete(key);
  }

  clear(): void {
    this.queued.clear();
    this.proposed.clear();
  }
}
