/** The key/value operations as a test sees them, whatever carries them. Times and counters are small enough for numbers here. */

export interface Hlc {
  readonly n: number;
  readonly l: number;
  readonly c: number;
}

export const ZERO: Hlc = { n: 0, l: 0, c: 0 };

/** Response types (keyvalues §2.1). */
export const Type = {
  Set: 0,
  NotSet: 1,
  Extended: 2,
  Get: 3,
  Deleted: 4,
  Exists: 10,
  WaitingForReplication: 11,
  Errored: 99,
  InvalidInput: 100,
  MustRetry: 101,
  Aborted: 102,
  DoesNotExist: 103,
} as const;

/** Set flags (keyvalues §2.2). */
export const Flag = { Set: 1, NoRevision: 2, IfExists: 4, IfNotExists: 8, CompareValue: 16, CompareRevision: 32 } as const;

export const Ephemeral = 0;
export const Persistent = 1;

export interface Route {
  readonly partitionId: number;
  readonly endpoint: string;
  readonly provenance: number;
  readonly generation: number;
}

export interface Answer {
  readonly type: number;
  readonly revision: number;
  /** Of a get: null = no value. Otherwise null. */
  readonly value: Buffer | null;
  readonly expires: Hlc;
  readonly lastModified: Hlc;
  readonly route: Route | null;
}

/** A row of a many-call. */
export interface Row extends Answer {
  readonly key: string;
  readonly durability: number;
}

export interface SetRequest {
  readonly key: string;
  readonly value: Buffer | null;
  readonly flags?: number;
  readonly compareValue?: Buffer | null;
  readonly compareRevision?: number;
  readonly expiresMs?: number;
  readonly durability: number;
}

export interface ReadRequest {
  readonly key: string;
  /** Default: the latest. */
  readonly revision?: number;
  readonly readTimestamp?: Hlc;
  readonly durability: number;
}

export interface KeyRequest {
  readonly key: string;
  readonly durability: number;
}

export interface ReadItem {
  readonly key: string;
  readonly revision?: number;
  readonly durability: number;
}

export interface KvApi {
  readonly name: string;
  set(request: SetRequest): Promise<Answer>;
  get(request: ReadRequest): Promise<Answer>;
  exists(request: ReadRequest): Promise<Answer>;
  delete(request: KeyRequest): Promise<Answer>;
  extend(request: KeyRequest & { readonly expiresMs: number }): Promise<Answer>;
  setMany(items: readonly SetRequest[]): Promise<readonly Row[]>;
  getMany(items: readonly ReadItem[], readTimestamp?: Hlc): Promise<readonly Row[]>;
  existsMany(items: readonly ReadItem[], readTimestamp?: Hlc): Promise<readonly Row[]>;
  deleteMany(items: readonly KeyRequest[]): Promise<readonly Row[]>;
  close(): void;
}

/** Spreads calls over several nodes, one after the other: an answer must not depend on who was asked. */
export function anyNode(apis: readonly KvApi[]): KvApi {
  let turn = 0;
  const next = (): KvApi => apis[turn++ % apis.length] as KvApi;
  return {
    name: apis[0]?.name ?? 'none',
    set: request => next().set(request),
    get: request => next().get(request),
    exists: request => next().exists(request),
    delete: request => next().delete(request),
    extend: request => next().extend(request),
    setMany: items => next().setMany(items),
    getMany: (items, readTimestamp) => next().getMany(items, readTimestamp),
    existsMany: (items, readTimestamp) => next().existsMany(items, readTimestamp),
    deleteMany: items => next().deleteMany(items),
    close: () => {
      for (const api of apis) api.close();
    },
  };
}
