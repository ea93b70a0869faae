import type { Hlc } from '@kahuna/base';
import { Durability, type Lock, type NameObserver } from '@kahuna/partition';
import { LockLog } from './lock-log.ts';

/** What a listing is of. */
export type NameKind = 'locks' | 'sequences';

interface Listener {
  readonly prefix: string;
  readonly changed: () => void;
}

/**
 * Hears of every lock and every sequence that this node's replicas change: notes the grants, and tells those who show a list that
 * there is something new. Ephemeral locks are heard of on the node that leads their partition.
 */
export class NameTap implements NameObserver {
  readonly lockLog = new LockLog();
  private readonly listeners: Readonly<Record<NameKind, Set<Listener>>> = { locks: new Set(), sequences: new Set() };

  /** `changed`: something happened to a name that begins so; called in the middle of things, so it may only take note. Returns the end. */
  listen(kind: NameKind, prefix: string, changed: () => void): () => void {
    const listener = { prefix, changed };
    this.listeners[kind].add(listener);
    return () => {
      this.listeners[kind].delete(listener);
    };
  }

  lockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    this.lockLog.note(Durability.Persistent, name, before, after, stamp);
    this.tell('locks', name);
  }

  ephemeralLockChanged(name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    this.lockLog.note(Durability.Ephemeral, name, before, after, stamp);
    this.tell('locks', name);
  }

  sequenceChanged(name: string): void {
    this.tell('sequences', name);
  }

  private tell(kind: NameKind, name: string): void {
    const listeners = this.listeners[kind];
    if (listeners.size === 0) return;
    for (const { prefix, changed } of listeners) if (name.startsWith(prefix)) changed();
  }
}
