import type { LockContender, LockOperation, LockRow } from '@kahuna/partition';

/** Locks and owners of one lock that are remembered: the latest ones. */
const MAX_LOCKS = 1000;
const MAX_OWNERS = 20;
/** What has a longer name or owner is not noted: what is shown to people must not cost what its clients choose. Characters, bytes. */
export const MAX_NOTED_LENGTH = 1024;
/** Asks are counted in slots of this length; two of them are told. Milliseconds. */
const SLOT_MS = 30_000;

interface Asking {
  readonly owner: Uint8Array;
  /** The slot of the latest ask. */
  slot: number;
  asks: number;
  /** In the slot before. */
  earlier: number;
  lastMs: number;
}

/**
 * Who was lately told that a lock is busy, kept by the leader of its partition for people who look (console §6.7). Whoever waits for a
 * lock asks again and again: there is no queue, so this is all there is to see of them. Costs nothing where nobody is refused.
 */
export class LockContention {
  private readonly locks = new Map<string, Map<string, Asking>>();

  note({ key, durability, owner }: LockOperation, nowMs: number): void {
    if (key.length > MAX_NOTED_LENGTH || owner.length > MAX_NOTED_LENGTH) return;
    const name = nameOf(key, durability);
    const owners = this.locks.get(name) ?? new Map<string, Asking>();
    // Taken out and put in again: the first in the map is the one that was quiet for longest.
    this.locks.delete(name);
    this.locks.set(name, owners);
    dropFirst(this.locks, MAX_LOCKS);
    const id = Buffer.from(owner).toString('latin1');
    const slot = Math.floor(nowMs / SLOT_MS);
    const known = owners.get(id) ?? { owner: new Uint8Array(owner), slot, asks: 0, earlier: 0, lastMs: nowMs };
    advance(known, slot);
    known.asks++;
    known.lastMs = nowMs;
    owners.delete(id);
    owners.set(id, known);
    dropFirst(owners, MAX_OWNERS);
  }

  /** The row with those who asked for it in vain within the last half to whole minute, the latest first. */
  describe(row: LockRow, nowMs: number): LockRow {
    const owners = this.locks.get(nameOf(row.name, row.durability));
    if (owners === undefined) return row;
    const slot = Math.floor(nowMs / SLOT_MS);
    const contenders: LockContender[] = [];
    for (const asking of owners.values()) {
      advance(asking, slot);
      const asks = asking.asks + asking.earlier;
      if (asks > 0) contenders.unshift({ owner: asking.owner, asks, lastMs: asking.lastMs });
    }
    return contenders.length === 0 ? row : { ...row, contenders };
  }

  /** Leadership is gone, and with it whoever asks. */
  clear(): void {
    this.locks.clear();
  }
}

function nameOf(key: string, durability: number): string {
  return `${durability} ${key}`;
}

function advance(asking: Asking, slot: number): void {
  if (slot <= asking.slot) return;
  asking.earlier = slot === asking.slot + 1 ? asking.asks : 0;
  asking.asks = 0;
  asking.slot = slot;
}

function dropFirst(map: Map<string, unknown>, most: number): void {
  if (map.size <= most) return;
  const first = map.keys().next().value;
  if (first !== undefined) map.delete(first);
}
