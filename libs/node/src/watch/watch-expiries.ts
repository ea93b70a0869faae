import type { Hlc } from '@kahuna/base';
import { compareOrdinal } from '@kahuna/range-router';

/** What will end by itself: a version of a key, the lease of a lock. */
export interface Expiring {
  /** With the time it tells one from the next under the same name. */
  readonly revision: number;
  /** Zero = never. */
  readonly expires: Hlc;
  /** Zero unless it has ended already. */
  readonly deletedAt: Hlc;
}

interface Pending<V> {
  readonly key: string;
  readonly version: V;
  /** Instant of the expiry; the version's own may have moved on. Milliseconds. */
  readonly atMs: number;
}

/**
 * Expiries that lie ahead, by their time and within a millisecond by key: a binary heap whose outdated entries are passed over when
 * they come up.
 */
export class Expiries<V extends Expiring> {
  private readonly current = new Map<string, Pending<V>>();
  private heap: Pending<V>[] = [];

  /** Keys that will expire. */
  get size(): number {
    return this.current.size;
  }

  /** The newest version of the key is this one; if it does not expire, the key is forgotten. */
  track(key: string, version: V): void {
    if (version.expires.l === 0 || version.deletedAt.l !== 0) {
      this.forget(key);
      return;
    }
    const known = this.current.get(key);
    if (known !== undefined && known.atMs === version.expires.l && known.version.revision === version.revision) return;
    const pending = { key, version, atMs: version.expires.l };
    this.current.set(key, pending);
    this.heap.push(pending);
    this.rise(this.heap.length - 1);
    // Keys that are extended again and again leave outdated entries behind.
    if (this.heap.length > 64 && this.heap.length > 4 * this.current.size) this.rebuild();
  }

  forget(key: string): void {
    this.current.delete(key);
  }

  /** Time of the earliest, undefined if there is none. Milliseconds. */
  earliestMs(): number | undefined {
    this.dropOutdated();
    return this.heap[0]?.atMs;
  }

  /** Takes the earliest out if it lies before `ms`. */
  takeBefore(ms: number): Pending<V> | undefined {
    this.dropOutdated();
    const first = this.heap[0];
    if (first === undefined || first.atMs >= ms) return undefined;
    this.pop();
    this.current.delete(first.key);
    return first;
  }

  /** Every key and the version that will expire. */
  *entries(): Iterable<readonly [key: string, version: V]> {
    for (const { key, version } of this.current.values()) yield [key, version];
  }

  private dropOutdated(): void {
    for (let first = this.heap[0]; first !== undefined && this.current.get(first.key) !== first; first = this.heap[0]) this.pop();
  }

  private rebuild(): void {
    this.heap = [...this.current.values()].sort(byTime);
  }

  private rise(from: number): void {
    const { heap } = this;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (byTime(heap[parent] as Pending<V>, heap[at] as Pending<V>) <= 0) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private pop(): void {
    const { heap } = this;
    this.swap(0, heap.length - 1);
    heap.pop();
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const smaller = right < heap.length && byTime(heap[right] as Pending<V>, heap[left] as Pending<V>) < 0 ? right : left;
      if (byTime(heap[at] as Pending<V>, heap[smaller] as Pending<V>) <= 0) return;
      this.swap(at, smaller);
      at = smaller;
    }
  }

  private swap(a: number, b: number): void {
    const kept = this.heap[a] as Pending<V>;
    this.heap[a] = this.heap[b] as Pending<V>;
    this.heap[b] = kept;
  }
}

function byTime(a: Pending<unknown>, b: Pending<unknown>): number {
  return a.atMs - b.atMs || compareOrdinal(a.key, b.key);
}
