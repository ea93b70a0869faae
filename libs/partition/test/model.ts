import { compareHlc, type Hlc } from '@kahuna/base';
import {
  type Durability,
  type GetOperation,
  type OperationResult,
  ResponseType,
  SetFlag,
  type WriteOperation,
} from '../src/index.ts';

interface ModelVersion {
  value: string | null;
  commit: Hlc;
  expires: Hlc | undefined;
  deletedAt: Hlc | undefined;
  lastModified: Hlc;
  archived: boolean;
}

/** What a client sees of an as-of read or a scan whose history is gone. */
export const ABORTED = 'aborted';

const ZERO: Hlc = { n: 0, l: 0, c: 0 };
const decode = new TextDecoder();

/** What a client sees of an answer. */
export function seen(result: OperationResult): unknown {
  const value = result.value === null ? null : decode.decode(result.value);
  return [result.type, result.revision, value, result.expires, result.lastModified, result.state];
}

/** keyvalues §6 to §9 said once more, as plainly as possible. */
export class Model {
  private readonly keys = new Map<string, ModelVersion[]>();
  private readonly pruned = new Map<string, number>();
  private readonly keeps: number;

  /** `keeps`: readable versions of a key. */
  constructor(keeps = Number.POSITIVE_INFINITY) {
    this.keeps = keeps;
  }

  get keysWritten(): string[] {
    return [...this.keys].filter(([, versions]) => versions.length > 0).map(([key]) => key);
  }

  /** Number of versions ever written, and when revision `revision` was. */
  written(key: string): number {
    return this.versions(key).length;
  }

  commitOf(key: string, revision: number): Hlc {
    return (this.versions(key)[revision] as ModelVersion).commit;
  }

  prune(key: string, below: number): void {
    this.pruned.set(key, Math.max(below, this.pruned.get(key) ?? 0));
  }

  /** Revisions below this one are gone. */
  private goneBelow(key: string): number {
    return Math.max(this.pruned.get(key) ?? 0, this.versions(key).length - this.keeps);
  }

  /** Rows in order, or ABORTED. */
  scan(covers: (key: string) => boolean, readTimestamp: Hlc, durability: Durability, maxRows: number, nowMs: number): unknown {
    const rows: unknown[] = [];
    for (const key of this.keysWritten.filter(covers).sort()) {
      if (rows.length === maxRows) break;
      const read = this.read({ kind: 'get', key, revision: -1, readTimestamp, durability }, nowMs) as unknown[];
      if (read[0] === ResponseType.Aborted) return ABORTED;
      if (read[0] === ResponseType.Get) rows.push([key, ...read]);
    }
    return rows;
  }

  private versions(key: string): ModelVersion[] {
    const versions = this.keys.get(key) ?? [];
    this.keys.set(key, versions);
    return versions;
  }

  private isLive(version: ModelVersion | undefined, nowMs: number): version is ModelVersion {
    if (version === undefined || version.deletedAt !== undefined) return false;
    return version.expires === undefined || nowMs <= version.expires.l;
  }

  write(operation: WriteOperation, stamp: Hlc): unknown {
    const versions = this.versions(operation.key);
    const head = versions.at(-1);
    const counter = versions.length - 1;
    const live = this.isLive(head, stamp.l);
    const answer = (type: ResponseType, revision: number, lastModified = ZERO): unknown => [
      type,
      revision,
      null,
      ZERO,
      lastModified,
      0,
    ];
    if (operation.kind !== 'delete' && operation.expiresMs < 0) return answer(ResponseType.InvalidInput, 0);
    if (operation.kind === 'set') {
      const value = operation.value === null ? null : decode.decode(operation.value);
      const wanted = operation.compareValue === null ? '' : decode.decode(operation.compareValue);
      const conditions: [number, boolean][] = [
        [SetFlag.IfExists, live],
        [SetFlag.IfNotExists, !live],
        [SetFlag.IfEqualToValue, wanted === (live ? (head?.value ?? '') : '')],
        [
          SetFlag.IfEqualToRevision,
          operation.compareRevision === -1 ? counter === -1 : live && counter === operation.compareRevision,
        ],
      ];
      if (conditions.some(([flag, holds]) => (operation.flags & flag) !== 0 && !holds)) {
        return answer(ResponseType.NotSet, counter, head?.lastModified);
      }
      versions.push({
        value,
        commit: stamp,
        expires: operation.expiresMs === 0 ? undefined : { ...stamp, l: stamp.l + operation.expiresMs },
        deletedAt: undefined,
        lastModified: stamp,
        archived: (operation.flags & SetFlag.NoRevision) === 0,
      });
      return answer(ResponseType.Set, counter + 1, stamp);
    }
    if (!live) return answer(ResponseType.DoesNotExist, counter);
    if (operation.kind === 'delete') {
      (head as ModelVersion).deletedAt = stamp;
      return answer(ResponseType.Deleted, counter, stamp);
    }
    (head as ModelVersion).expires = operation.expiresMs === 0 ? undefined : { ...stamp, l: stamp.l + operation.expiresMs };
    (head as ModelVersion).lastModified = stamp;
    return answer(ResponseType.Extended, counter, stamp);
  }

  read(operation: GetOperation, nowMs: number): unknown {
    const versions = this.versions(operation.key);
    const counter = versions.length - 1;
    const head = versions.at(-1);
    const exists = operation.kind === 'exists';
    const miss = (revision: number): unknown => [ResponseType.DoesNotExist, revision, null, ZERO, ZERO, 0];
    const hit = (version: ModelVersion, revision: number, expires: Hlc | undefined, lastModified: Hlc): unknown => [
      exists ? ResponseType.Exists : ResponseType.Get,
      revision,
      exists ? null : version.value,
      expires ?? ZERO,
      lastModified,
      1,
    ];
    const gone = (revision: number): boolean => revision < counter && !(versions[revision] as ModelVersion).archived;
    if (operation.revision >= 0) {
      const version = versions[operation.revision];
      return version === undefined || gone(operation.revision) || operation.revision < this.goneBelow(operation.key)
        ? miss(operation.revision)
        : hit(version, operation.revision, undefined, ZERO);
    }
    const t = operation.readTimestamp;
    if (compareHlc(t, ZERO) === 0) {
      return this.isLive(head, nowMs) ? hit(head, counter, head.expires, head.lastModified) : miss(counter);
    }
    const revision = versions.filter(version => compareHlc(version.commit, t) <= 0).length - 1;
    const version = versions[revision];
    if (revision < this.goneBelow(operation.key) && this.goneBelow(operation.key) > 0)
      return [ResponseType.Aborted, 0, null, ZERO, ZERO, 0];
    if (version === undefined) return miss(-1);
    const dead = version.deletedAt !== undefined && compareHlc(version.deletedAt, t) <= 0;
    const expired = version.expires !== undefined && version.expires.l < t.l;
    return dead || expired || gone(revision) ? miss(revision) : hit(version, revision, version.expires, version.commit);
  }
}
