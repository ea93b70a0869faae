import { isZeroHlc } from '@kahuna/base';
import type { Level, LockDetailRow, LockGrant, LockRow } from '@kahuna/console/protocol';
import { Durability, type LockRow as ListedLock } from '@kahuna/partition';
import { isAtLeast } from './levels.ts';
import { readable, toBase64 } from './readable.ts';

/** Locks remembered, and grants of each: enough for what one looks at, bounded whatever happens. */
const MAX_LOCKS = 20_000;
const MAX_GRANTS = 50;

interface Watched {
  token: string;
  owner: string | null;
  expiresMs: number | null;
  state: LockRow['state'];
  leaseMs: number | null;
  seenSinceMs: number | null;
  extends: number;
  lastExtendMs: number | null;
  readonly watchedSinceMs: number;
  readonly grants: LockGrant[];
}

/**
 * What becomes visible by looking at the same lock again and again: how often its lease was extended, and which grants followed one
 * another. It knows nothing from before somebody looked, and says so (C1).
 */
export class LockWatch {
  private readonly locks = new Map<string, Watched>();

  observe(lock: ListedLock, nowMs: number, source: number, level: Level): LockRow {
    return this.row(lock, this.update(lock, nowMs), source, level);
  }

  detail(lock: ListedLock, nowMs: number, source: number, level: Level): LockDetailRow {
    const watched = this.update(lock, nowMs);
    const current: LockGrant = {
      token: watched.token,
      ownerText: watched.owner,
      fromMs: watched.seenSinceMs,
      toMs: watched.state === 'held' ? null : watched.expiresMs,
      end: watched.state === 'held' ? null : watched.state,
    };
    return {
      ...this.row(lock, watched, source, level),
      contenders: (lock.contenders ?? []).map(({ owner, asks, lastMs }) => ({ ownerText: readable(owner), asks, lastMs })),
      history: [current, ...watched.grants],
      watchedSinceMs: watched.watchedSinceMs,
    };
  }

  private row(lock: ListedLock, watched: Watched, source: number, level: Level): LockRow {
    return {
      resource: lock.name,
      durability: lock.durability === Durability.Ephemeral ? 'ephemeral' : 'persistent',
      state: watched.state,
      ownerB64: lock.owner === null || !isAtLeast(level, 'reader') ? null : toBase64(lock.owner),
      ownerText: watched.owner,
      token: watched.token,
      expiresMs: watched.expiresMs,
      leaseMs: watched.leaseMs,
      seenSinceMs: watched.seenSinceMs,
      extends: watched.extends,
      lastExtendMs: watched.lastExtendMs,
      refusals: (lock.contenders ?? []).reduce((sum, contender) => sum + contender.asks, 0),
      partitionId: lock.partitionId,
      source,
    };
  }

  private update(lock: ListedLock, nowMs: number): Watched {
    const key = `${lock.durability}/${lock.name}`;
    const known = this.locks.get(key);
    const now = seen(lock);
    const left = now.expiresMs === null ? null : Math.max(0, now.expiresMs - nowMs);
    if (known === undefined) {
      const fresh: Watched = {
        ...now,
        leaseMs: left,
        seenSinceMs: null,
        extends: 0,
        lastExtendMs: null,
        watchedSinceMs: nowMs,
        grants: [],
      };
      this.remember(key, fresh);
      return fresh;
    }
    if (known.token !== now.token) this.newGrant(known, nowMs, left);
    else if (known.state === 'held' && now.state === 'held' && known.expiresMs !== now.expiresMs) {
      known.extends++;
      known.lastExtendMs = nowMs;
    }
    known.leaseMs = left === null ? known.leaseMs : Math.max(known.leaseMs ?? 0, left);
    Object.assign(known, now);
    return known;
  }

  private newGrant(known: Watched, nowMs: number, left: number | null): void {
    const end = known.state === 'held' ? 'superseded' : known.state;
    const toMs = known.state === 'expired' ? known.expiresMs : nowMs;
    known.grants.unshift({ token: known.token, ownerText: known.owner, fromMs: known.seenSinceMs, toMs, end });
    known.grants.splice(MAX_GRANTS);
    known.seenSinceMs = nowMs;
    known.extends = 0;
    known.lastExtendMs = null;
    known.leaseMs = left;
  }

  private remember(key: string, watched: Watched): void {
    this.locks.set(key, watched);
    if (this.locks.size <= MAX_LOCKS) return;
    const oldest = this.locks.keys().next().value;
    if (oldest !== undefined) this.locks.delete(oldest);
  }
}

/** The listing's row as the watch compares it. Released: nobody owns it; expired: somebody did. */
function seen(lock: ListedLock): Pick<Watched, 'token' | 'owner' | 'expiresMs' | 'state'> {
  return {
    token: String(lock.token),
    owner: lock.owner === null ? null : readable(lock.owner),
    expiresMs: isZeroHlc(lock.expires) ? null : lock.expires.l,
    state: lock.held ? 'held' : lock.owner === null ? 'released' : 'expired',
  };
}
