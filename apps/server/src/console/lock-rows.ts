import { isZeroHlc } from '@kahuna/base';
import type { Level, LockDetailRow, LockGrant, LockRow } from '@kahuna/console/protocol';
import { Durability, type LockRow as ListedLock, type LockGrant as NotedGrant } from '@kahuna/partition';
import { isAtLeast } from './levels.ts';
import { readable, toBase64 } from './readable.ts';

/** One lock of a list, with what its leader noted of the present grant; what was not noted is null (C1). */
export function lockRow(lock: ListedLock, source: number, level: Level): LockRow {
  const grant = presentGrant(lock);
  return {
    resource: lock.name,
    durability: lock.durability === Durability.Ephemeral ? 'ephemeral' : 'persistent',
    state: stateOf(lock),
    ownerB64: lock.owner === null || !isAtLeast(level, 'reader') ? null : toBase64(lock.owner),
    ownerText: lock.owner === null ? null : readable(lock.owner),
    token: String(lock.token),
    expiresMs: isZeroHlc(lock.expires) ? null : lock.expires.l,
    leaseMs: known(grant?.leaseMs),
    grantedMs: known(grant?.fromMs),
    extends: grant?.extensions ?? null,
    lastExtendMs: known(grant?.lastExtendMs),
    refusals: (lock.contenders ?? []).reduce((sum, contender) => sum + contender.asks, 0),
    partitionId: lock.partitionId,
    source,
  };
}

/** The same with its contenders and its past grants. */
export function lockDetail(lock: ListedLock, source: number, level: Level): LockDetailRow {
  const noted = (lock.history?.grants ?? []).map((grant, i) => grantRow(grant, i === 0 ? lock : undefined));
  return {
    ...lockRow(lock, source, level),
    contenders: (lock.contenders ?? []).map(({ owner, asks, lastMs }) => ({ ownerText: readable(owner), asks, lastMs })),
    history: presentGrant(lock) === undefined ? [unnoted(lock), ...noted] : noted,
    notedSinceMs: lock.history?.sinceMs ?? null,
  };
}

function stateOf(lock: ListedLock): LockRow['state'] {
  return lock.held ? 'held' : lock.owner === null ? 'released' : 'expired';
}

/** Grants come and go faster than they are noted: the latest that was noted need not be the present one. */
function presentGrant(lock: ListedLock): NotedGrant | undefined {
  const latest = lock.history?.grants[0];
  return latest?.token === lock.token ? latest : undefined;
}

/** 0 stands for what was not noted. */
function known(ms: number | undefined): number | null {
  return ms === undefined || ms === 0 ? null : ms;
}

/** `lock`: given for the latest grant, whose end the lock itself may tell. */
function grantRow(grant: NotedGrant, lock: ListedLock | undefined): LockGrant {
  const end = grant.end ?? (lock?.token === grant.token ? endNow(lock) : 'unknown');
  return {
    token: String(grant.token),
    ownerText: readable(grant.owner),
    fromMs: known(grant.fromMs),
    toMs: known(grant.endMs) ?? (end === 'expired' ? grant.expiresMs : null),
    leaseMs: known(grant.leaseMs),
    extends: grant.extensions,
    end,
  };
}

function endNow(lock: ListedLock): LockGrant['end'] {
  const state = stateOf(lock);
  return state === 'held' ? null : state;
}

/** The present grant as the lock itself tells it. */
function unnoted(lock: ListedLock): LockGrant {
  const end = endNow(lock);
  return {
    token: String(lock.token),
    ownerText: lock.owner === null ? null : readable(lock.owner),
    fromMs: null,
    toMs: end === 'expired' ? lock.expires.l : null,
    leaseMs: null,
    extends: null,
    end,
  };
}
