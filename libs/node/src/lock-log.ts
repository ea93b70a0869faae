import type { Hlc } from '@kahuna/base';
import type { Durability, Lock, LockGrant, LockRow } from '@kahuna/partition';
import { MAX_NOTED_LENGTH } from './lock-contention.ts';

/** Locks remembered, and grants of each: the latest. With 200 bytes a grant that is 8 MB; with owners of the greatest length noted, 50 MB. */
const MAX_LOCKS = 2_000;
export const MAX_GRANTS = 20;
/**
 * Changes noted within a second of the log's time. Nobody reads more, and a lock service at full speed must not pay for readers who
 * are not there: beyond it a change costs a comparison, and the tokens tell later what is missing.
 */
const NOTED_PER_SECOND = 200;

type Grant = { -readonly [K in keyof LockGrant]: LockGrant[K] };

interface Remembered {
  readonly sinceMs: number;
  /** The latest last. */
  readonly grants: Grant[];
}

/**
 * Who held which lock when, as this node's replicas apply it: a new leader therefore knows what happened under the one before. For
 * people who look (console §6.7); kept in memory, bounded, gone with the process.
 *
 * G1 Of one lock the tokens rise from grant to grant; a step of more than one says how many were not noted.
 * G2 A grant whose end was not noted has none here; what came after it says that it is over.
 */
export class LockLog {
  /** Who was quiet for longest comes first. */
  private readonly locks = new Map<string, Remembered>();
  private second = 0;
  private noted = 0;

  note(durability: Durability, name: string, before: Lock | undefined, after: Lock, stamp: Hlc): void {
    if (name.length > MAX_NOTED_LENGTH || isLong(before) || isLong(after)) return;
    const second = Math.floor(stamp.l / 1000);
    // Stamps of several partitions come interleaved: an older second does not begin the budget anew.
    if (second > this.second) {
      this.second = second;
      this.noted = 0;
    } else if (this.noted >= NOTED_PER_SECOND) return;
    this.noted++;
    write(this.remembered(durability, name, before, stamp.l).grants, before, after, stamp.l);
  }

  private remembered(durability: Durability, name: string, before: Lock | undefined, nowMs: number): Remembered {
    const key = keyOf(durability, name);
    const known = this.locks.get(key);
    const lock = known ?? { sinceMs: nowMs, grants: before?.owner === undefined ? [] : [grantOf(before, before.owner)] };
    if (known !== undefined) this.locks.delete(key);
    this.locks.set(key, lock);
    if (this.locks.size > MAX_LOCKS) this.locks.delete(this.locks.keys().next().value as string);
    return lock;
  }

  /** The row with what was noted of its lock, the latest `most` grants of it. */
  describe(row: LockRow, most: number): LockRow {
    const known = this.locks.get(keyOf(row.durability, row.name));
    if (known === undefined) return row;
    const grants = known.grants.slice(-most).reverse();
    return { ...row, history: { sinceMs: known.sinceMs, grants: grants.map(grant => ({ ...grant })) } };
  }
}

/** One change, as `lockChanges` of the watch tells it. */
function write(grants: Grant[], before: Lock | undefined, after: Lock, nowMs: number): void {
  const latest = grants.at(-1);
  if (after.owner !== undefined && after.token !== before?.token) {
    // A takeover of a lease that ran out without anybody noticing.
    if (latest !== undefined && latest.token === before?.token) close(latest, 'expired', before.expires.l);
    grants.push({ ...grantOf(after, after.owner), fromMs: nowMs, leaseMs: Math.max(0, after.expires.l - nowMs) });
    if (grants.length > MAX_GRANTS) grants.shift();
    return;
  }
  if (latest === undefined || latest.token !== after.token) return;
  if (after.owner === undefined) close(latest, 'released', nowMs);
  else if (after.lapsed) close(latest, 'expired', after.expires.l);
  else {
    latest.extensions++;
    latest.lastExtendMs = nowMs;
    latest.leaseMs = Math.max(0, after.expires.l - nowMs);
    latest.expiresMs = after.expires.l;
  }
}

/** The first end that was noted stays. */
function close(grant: Grant, end: 'released' | 'expired', atMs: number): void {
  if (grant.end !== undefined) return;
  grant.end = end;
  grant.endMs = atMs;
}

/** As far as the state of the lock tells. The owner is copied: it may lie in the bytes of a whole batch. */
function grantOf({ token, expires }: Lock, owner: Uint8Array): Grant {
  const unknown = { fromMs: 0, leaseMs: 0, extensions: 0, lastExtendMs: 0, endMs: 0, end: undefined };
  return { token, owner: new Uint8Array(owner), expiresMs: expires.l, ...unknown };
}

function isLong(lock: Lock | undefined): boolean {
  return (lock?.owner?.length ?? 0) > MAX_NOTED_LENGTH;
}

function keyOf(durability: Durability, name: string): string {
  return `${durability} ${name}`;
}
