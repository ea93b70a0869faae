import { Flag, type Hlc, Type, ZERO } from '../clients/kv-api.ts';

/** An answer or a row, with nothing that depends on who was asked. */
export interface Expected {
  readonly type: number;
  readonly revision: number;
  readonly value: Buffer | null;
  readonly expires: Hlc;
  readonly lastModified: Hlc;
}

/** Which state a read asks for. */
export type At = { readonly revision: number } | { readonly time: Hlc } | 'latest';

export interface SetFields {
  readonly key: string;
  readonly durability: number;
  readonly value: Buffer | null;
  readonly flags: number;
  readonly compareValue: Buffer | null;
  readonly compareRevision: number;
  readonly expiresMs: number;
}

interface Version {
  readonly revision: number;
  readonly value: Buffer | null;
  readonly commit: Hlc;
  readonly archived: boolean;
  modified: Hlc;
  expires: Hlc;
  deletedAt: Hlc | undefined;
  /** Its lifetime was seen to be over. */
  lapsed: boolean;
}

/** Revisions of an ephemeral key that can be read (keyvalues §5). */
const EPHEMERAL_HISTORY = 16;

export const compareTimes = (a: Hlc, b: Hlc): number => a.l - b.l || a.c - b.c || a.n - b.n;

const answer = (type: number, fields: Partial<Expected> = {}): Expected => ({
  ...{ type, revision: 0, value: null, expires: ZERO, lastModified: ZERO },
  ...fields,
});

export const INVALID_INPUT = answer(Type.InvalidInput);
const ABORTED = answer(Type.Aborted);
const miss = (revision: number): Expected => answer(Type.DoesNotExist, { revision });

export const isBadKey = (key: string): boolean => key === '' || key.startsWith('__kahuna:');

const endOf = (written: Hlc, expiresMs: number): Hlc => (expiresMs === 0 ? ZERO : { ...written, l: written.l + expiresMs });
const text = (value: Buffer | null): string => value?.toString('latin1') ?? '';

/** One (durability, key) as keyvalues §5 to §9 tell it, with every version it ever had. */
class KeyRecord {
  readonly versions: Version[] = [];
  private readonly durability: number;

  constructor(durability: number) {
    this.durability = durability;
  }

  get head(): Version | undefined {
    return this.versions.at(-1);
  }

  get counter(): number {
    return this.versions.length - 1;
  }

  get live(): Version | undefined {
    const { head } = this;
    return head !== undefined && head.deletedAt === undefined && !head.lapsed ? head : undefined;
  }

  /** Later writes are stamped later (keyvalues §5.1). */
  newestStamp(): Hlc {
    const { head } = this;
    return head?.deletedAt ?? head?.modified ?? ZERO;
  }

  holds(set: SetFields): boolean {
    const { live, counter } = this;
    const { flags } = set;
    if (flags & Flag.IfExists && live === undefined) return false;
    if (flags & Flag.IfNotExists && live !== undefined) return false;
    if (flags & Flag.CompareValue && text(set.compareValue) !== text(live?.value ?? null)) return false;
    if (flags & Flag.CompareRevision) {
      const matches = counter < 0 ? set.compareRevision === -1 : live !== undefined && set.compareRevision === counter;
      if (!matches) return false;
    }
    return true;
  }

  read(type: number, at: At): Expected {
    const found =
      at === 'latest' ? this.latest(type) : 'revision' in at ? this.atRevision(type, at.revision) : this.asOf(type, at.time);
    return type === Type.Exists ? { ...found, value: null } : found;
  }

  private latest(type: number): Expected {
    const { live } = this;
    if (live === undefined) return miss(this.counter);
    return answer(type, { revision: live.revision, value: live.value, expires: live.expires, lastModified: live.modified });
  }

  private atRevision(type: number, revision: number): Expected {
    const version = this.versions[revision];
    if (version === undefined || !this.isKept(version) || this.isHidden(version)) return miss(revision);
    return answer(type, { revision, value: version.value });
  }

  private asOf(type: number, time: Hlc): Expected {
    const version = this.versions.findLast(candidate => compareTimes(candidate.commit, time) <= 0);
    const oldest = this.versions.find(candidate => this.isKept(candidate));
    if (version === undefined) return oldest === undefined || oldest.revision === 0 ? miss(-1) : ABORTED;
    if (!this.isKept(version)) return ABORTED;
    const { revision, value, commit, expires, deletedAt } = version;
    const deleted = deletedAt !== undefined && compareTimes(deletedAt, time) <= 0;
    const expired = expires.l !== 0 && expires.l < time.l;
    if (deleted || expired || this.isHidden(version)) return miss(revision);
    return answer(type, { revision, value, expires, lastModified: commit });
  }

  private isKept(version: Version): boolean {
    return this.durability === 1 || version.revision > this.counter - EPHEMERAL_HISTORY;
  }

  /** Superseded and not archived (keyvalues §6.5). */
  private isHidden(version: Version): boolean {
    return !version.archived && version !== this.head;
  }
}

/** Keys of both durabilities, as obvious as can be: it keeps everything, and looks through all of it. */
export class KeyModel {
  private readonly records = new Map<string, KeyRecord>();

  private record(durability: number, key: string): KeyRecord {
    const name = `${durability} ${key}`;
    const record = this.records.get(name) ?? new KeyRecord(durability);
    this.records.set(name, record);
    return record;
  }

  isRefused(set: SetFields): boolean {
    return isBadKey(set.key) || set.expiresMs < 0;
  }

  /** What a set answers; `stamp` is what it told of its time, which nobody can foretell. */
  set(set: SetFields, stamp: Hlc): Expected {
    if (this.isRefused(set)) return INVALID_INPUT;
    const record = this.record(set.durability, set.key);
    if (!record.holds(set)) {
      return answer(Type.NotSet, { revision: record.counter, lastModified: record.head?.modified ?? ZERO });
    }
    this.expectLater(record, stamp, set.key);
    record.versions.push({
      ...{ revision: record.counter + 1, value: set.value, commit: stamp, archived: (set.flags & Flag.NoRevision) === 0 },
      ...{ modified: stamp, expires: endOf(stamp, set.expiresMs), deletedAt: undefined, lapsed: false },
    });
    return answer(Type.Set, { revision: record.counter, lastModified: stamp });
  }

  delete(durability: number, key: string, stamp: Hlc): Expected {
    if (isBadKey(key)) return INVALID_INPUT;
    const record = this.record(durability, key);
    const { live } = record;
    if (live === undefined) return miss(record.counter);
    this.expectLater(record, stamp, key);
    live.deletedAt = stamp;
    return answer(Type.Deleted, { revision: record.counter, lastModified: stamp });
  }

  extend(durability: number, key: string, expiresMs: number, stamp: Hlc): Expected {
    if (isBadKey(key) || expiresMs < 0) return INVALID_INPUT;
    const record = this.record(durability, key);
    const { live } = record;
    if (live === undefined) return miss(record.counter);
    this.expectLater(record, stamp, key);
    live.modified = stamp;
    live.expires = endOf(stamp, expiresMs);
    return answer(Type.Extended, { revision: record.counter, lastModified: stamp });
  }

  /** The key's lifetime is known to be over. */
  lapse(durability: number, key: string): void {
    const { live } = this.record(durability, key);
    if (live !== undefined) live.lapsed = true;
  }

  get(durability: number, key: string, at: At): Expected {
    return isBadKey(key) ? INVALID_INPUT : this.record(durability, key).read(Type.Get, at);
  }

  exists(durability: number, key: string, at: At): Expected {
    return isBadKey(key) ? INVALID_INPUT : this.record(durability, key).read(Type.Exists, at);
  }

  /** Rows of all keys that `covers` names, in order; `Aborted` where one of them has lost what is needed. */
  scan(
    durability: number,
    at: At,
    covers: (key: string) => boolean,
  ): readonly (Expected & { readonly key: string })[] | 'Aborted' {
    const rows: (Expected & { readonly key: string })[] = [];
    for (const [name, record] of this.records) {
      const key = name.slice(2);
      if (name[0] !== String(durability) || !covers(key)) continue;
      const row = record.read(Type.Get, at);
      if (row.type === Type.Aborted) return 'Aborted';
      if (row.type === Type.Get) rows.push({ ...row, key });
    }
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  private expectLater(record: KeyRecord, stamp: Hlc, key: string): void {
    const before = record.newestStamp();
    if (compareTimes(stamp, before) <= 0) {
      throw new Error(`${key}: stamped ${JSON.stringify(stamp)} after ${JSON.stringify(before)}`);
    }
  }
}

/** The part of a key before its last slash; undefined: it is in no bucket. */
export function bucketOf(key: string): string | undefined {
  const slash = key.lastIndexOf('/');
  return slash < 0 ? undefined : key.slice(0, slash);
}
