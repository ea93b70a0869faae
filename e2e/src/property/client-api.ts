import {
  HistoryPrunedError,
  InvalidInputError,
  Kahuna,
  type KeyOptions,
  SequenceExhaustedError,
  SequenceExistsError,
  SequenceNotFoundError,
  type Transport,
} from '@kahuna/client';
import { type Answer, Flag, type Hlc, type KvApi, type Row, type SetRequest, Type, ZERO } from '../clients/kv-api.ts';
import { type LockAnswer, type LockApi, type LockInfo, LockType } from '../clients/lock-api.ts';
import type { PrefixRequest, RangeRequest, ScanApi, ScanPage } from '../clients/scan-api.ts';

import {
  type AllocationAnswer,
  type Changes,
  type CreateOptions,
  type EntryAnswer,
  type SequenceApi,
  SequenceType,
} from '../clients/sequence-api.ts';

/** What an answer of the library does not tell, a test cannot compare. */
type Told = Partial<Answer> & { readonly type: number };

const DURABILITIES = ['ephemeral', 'persistent'] as const;
const keyOptions = (durability: number): KeyOptions => ({ durability: DURABILITIES[durability] });
const bytesOf = (value: Uint8Array | null): Buffer | null => (value === null ? null : Buffer.from(value));

function readOptions(request: { readonly revision?: number; readonly readTimestamp?: Hlc; readonly durability: number }) {
  const { revision, readTimestamp } = request;
  return {
    ...keyOptions(request.durability),
    ...(revision === undefined || revision < 0 ? {} : { revision }),
    ...(readTimestamp === undefined ? {} : { asOf: readTimestamp }),
  };
}

function setOptions({ flags = Flag.Set, compareValue = null, compareRevision = 0, expiresMs = 0, durability }: SetRequest) {
  return {
    ...keyOptions(durability),
    noHistory: (flags & Flag.NoRevision) !== 0,
    ifPresent: (flags & Flag.IfExists) !== 0,
    ifAbsent: (flags & Flag.IfNotExists) !== 0,
    ...(flags & Flag.CompareValue ? { ifValue: compareValue } : {}),
    ...(flags & Flag.CompareRevision ? { ifRevision: compareRevision } : {}),
    ...(expiresMs === 0 ? {} : { ttlMs: expiresMs }),
  };
}

/** The errors that stand for types, as the types. */
async function told(work: Promise<Told>): Promise<Answer> {
  try {
    return (await work) as Answer;
  } catch (error) {
    const nothing = { revision: 0, value: null, expires: ZERO, lastModified: ZERO, route: null };
    if (error instanceof InvalidInputError) return { ...nothing, type: Type.InvalidInput };
    if (error instanceof HistoryPrunedError) return { ...nothing, type: Type.Aborted };
    throw error;
  }
}

/** The client library behind the interface that the transports of these tests have. Answers lack what it does not tell. */
export class ClientApi implements KvApi, ScanApi {
  readonly name: string;
  private readonly kahuna: Kahuna;

  constructor(name: string, endpoints: readonly string[], transport: Transport) {
    this.name = name;
    this.kahuna = new Kahuna({ endpoints, transport });
  }

  set(request: SetRequest): Promise<Answer> {
    return told(
      this.kahuna.keys.set(request.key, request.value, setOptions(request)).then(({ set, revision, lastModified }) => ({
        type: set ? Type.Set : Type.NotSet,
        ...{ revision, lastModified },
      })),
    );
  }

  get(request: Parameters<KvApi['get']>[0]): Promise<Answer> {
    return told(
      this.kahuna.keys.lookup(request.key, readOptions(request)).then(lookup => {
        if (!lookup.found) return { type: Type.DoesNotExist, revision: lookup.revision, value: null };
        const { revision, expires = ZERO, lastModified, value } = lookup.entry;
        return { type: Type.Get, revision, expires, lastModified, value: bytesOf(value) };
      }),
    );
  }

  exists(request: Parameters<KvApi['exists']>[0]): Promise<Answer> {
    return told(
      this.kahuna.keys.stat(request.key, readOptions(request)).then(({ exists, revision, expires = ZERO, lastModified }) => ({
        type: exists ? Type.Exists : Type.DoesNotExist,
        ...{ revision, expires, lastModified },
      })),
    );
  }

  delete({ key, durability }: Parameters<KvApi['delete']>[0]): Promise<Answer> {
    return told(
      this.kahuna.keys.delete(key, keyOptions(durability)).then(({ deleted, revision, lastModified }) => ({
        type: deleted ? Type.Deleted : Type.DoesNotExist,
        ...{ revision, lastModified },
      })),
    );
  }

  extend({ key, durability, expiresMs }: Parameters<KvApi['extend']>[0]): Promise<Answer> {
    return told(
      this.kahuna.keys.extend(key, expiresMs, keyOptions(durability)).then(({ extended, revision, lastModified }) => ({
        type: extended ? Type.Extended : Type.DoesNotExist,
        ...{ revision, lastModified },
      })),
    );
  }

  /** Of one durability: the library has it per call. */
  async setMany(items: readonly SetRequest[]): Promise<readonly Row[]> {
    const rows = await this.kahuna.keys.setMany(items.map(item => ({ key: item.key, value: item.value, ...setOptions(item) })));
    return rows.map(({ set, revision, lastModified, key, error }) => {
      if (error !== undefined) throw error;
      return { key, type: set ? Type.Set : Type.NotSet, revision, lastModified } as Row;
    });
  }

  async getMany(items: Parameters<KvApi['getMany']>[0], readTimestamp?: Hlc): Promise<readonly Row[]> {
    const [first] = items;
    if (first === undefined) return [];
    const asked = { durability: first.durability, ...(readTimestamp ? { readTimestamp } : {}) };
    const entries = await this.kahuna.keys.getMany(
      items.map(({ key }) => key),
      readOptions(asked),
    );
    return entries.map((entry, i) => {
      const key = items[i]?.key;
      if (entry === undefined) return { key, type: Type.DoesNotExist } as Row;
      const { revision, expires = ZERO, lastModified, value } = entry;
      return { key, type: Type.Get, revision, expires, lastModified, value: bytesOf(value) } as Row;
    });
  }

  async existsMany(items: Parameters<KvApi['existsMany']>[0], readTimestamp?: Hlc): Promise<readonly Row[]> {
    const [first] = items;
    if (first === undefined) return [];
    const asked = { durability: first.durability, ...(readTimestamp ? { readTimestamp } : {}) };
    const found = await this.kahuna.keys.existsMany(
      items.map(({ key }) => key),
      readOptions(asked),
    );
    return found.map((exists, i) => ({ key: items[i]?.key, type: exists ? Type.Exists : Type.DoesNotExist }) as Row);
  }

  async deleteMany(items: Parameters<KvApi['deleteMany']>[0]): Promise<readonly Row[]> {
    const [first] = items;
    if (first === undefined) return [];
    const rows = await this.kahuna.keys.deleteMany(
      items.map(({ key }) => key),
      keyOptions(first.durability),
    );
    return rows.map(({ key, deleted, revision, lastModified, error }) => {
      if (error !== undefined) throw error;
      return { key, type: deleted ? Type.Deleted : Type.DoesNotExist, revision, lastModified } as Row;
    });
  }

  bucket({ prefixKey, ...request }: PrefixRequest): Promise<ScanPage> {
    return page(async () => this.kahuna.keys.bucketHead(prefixKey, readOptions(request)));
  }

  scanAll({ prefixKey, ...request }: PrefixRequest): Promise<ScanPage> {
    return page(() => collect(this.kahuna.keys.prefix(prefixKey, readOptions(request))));
  }

  async pages(request: RangeRequest): Promise<readonly ScanPage[]> {
    const { prefix, startKey, startInclusive = false, endKey, endInclusive, limit = 0 } = request;
    const options = {
      ...readOptions(request),
      ...(startKey === undefined ? {} : { start: startKey, startExclusive: !startInclusive }),
      ...(endKey === undefined ? {} : { end: endKey, endInclusive }),
      ...(limit > 0 ? { pageSize: limit } : {}),
    };
    return [await page(() => collect(this.kahuna.keys.range(prefix, options)))];
  }

  close(): void {
    void this.kahuna.close();
  }
}

interface LibraryRow {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly revision: number;
  readonly lastModified: Hlc;
}

async function collect(rows: AsyncIterable<LibraryRow>): Promise<LibraryRow[]> {
  const all: LibraryRow[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

async function page(read: () => Promise<readonly LibraryRow[]>): Promise<ScanPage> {
  let rows: readonly LibraryRow[] = [];
  const { type } = await told(
    read().then(found => {
      rows = found;
      return { type: Type.Get };
    }),
  );
  return { type, rows: rows.map(row => ({ ...row, value: bytesOf(row.value) })), hasMore: false, nextCursor: null };
}

const LOCK_TYPES = {
  ...{ locked: LockType.Locked, busy: LockType.Busy, extended: LockType.Extended, released: LockType.Unlocked },
  ...{ 'not-held': LockType.LockDoesNotExist, 'other-owner': LockType.InvalidOwner },
} as const;

/** The library's locks call by call. */
export class ClientLocks implements LockApi {
  readonly name: string;
  private readonly kahuna: Kahuna;

  constructor(name: string, endpoints: readonly string[], transport: Transport) {
    this.name = name;
    this.kahuna = new Kahuna({ endpoints, transport });
  }

  private async ask(
    call: Promise<{ readonly type: keyof typeof LOCK_TYPES; readonly fencingToken: bigint }>,
  ): Promise<LockAnswer> {
    try {
      const { type, fencingToken: token } = await call;
      return { type: LOCK_TYPES[type], token, partitionId: 0 };
    } catch (error) {
      if (error instanceof InvalidInputError) return { type: LockType.InvalidInput, token: 0n, partitionId: 0 };
      throw error;
    }
  }

  acquire(resource: string, owner: Buffer | undefined, leaseMs: number, durability: number): Promise<LockAnswer> {
    return this.ask(this.kahuna.locks.acquire(resource, { owner: owner ?? NO_BYTES, leaseMs, ...keyOptions(durability) }));
  }

  extend(resource: string, owner: Buffer | undefined, leaseMs: number, durability: number): Promise<LockAnswer> {
    return this.ask(this.kahuna.locks.extend(resource, { owner: owner ?? NO_BYTES, leaseMs, ...keyOptions(durability) }));
  }

  unlock(resource: string, owner: Buffer | undefined, durability: number): Promise<LockAnswer> {
    const released = this.kahuna.locks.release(resource, { owner: owner ?? NO_BYTES, ...keyOptions(durability) });
    return this.ask(released.then(type => ({ type, fencingToken: 0n })));
  }

  async info(resource: string, durability: number): Promise<LockInfo> {
    const nobody = { token: 0n, partitionId: 0, owner: null, expires: ZERO };
    try {
      const held = await this.kahuna.locks.info(resource, keyOptions(durability));
      if (held === undefined) return { ...nobody, type: LockType.LockDoesNotExist };
      return { ...nobody, type: LockType.Got, token: held.fencingToken, owner: Buffer.from(held.owner), expires: held.expires };
    } catch (error) {
      if (error instanceof InvalidInputError) return { ...nobody, type: LockType.InvalidInput };
      throw error;
    }
  }

  close(): void {
    void this.kahuna.close();
  }
}

const NO_BYTES = Buffer.alloc(0);
const NO_ALLOCATION = { start: 0n, end: 0n, count: 0, revision: 0n, partitionId: 0 };

/** The library's sequences. */
export class ClientSequences implements SequenceApi {
  readonly name: string;
  private readonly kahuna: Kahuna;

  constructor(name: string, endpoints: readonly string[], transport: Transport) {
    this.name = name;
    this.kahuna = new Kahuna({ endpoints, transport });
  }

  private async entry(work: Promise<bigint>): Promise<EntryAnswer> {
    try {
      return { type: SequenceType.Success, revision: await work, entry: null };
    } catch (error) {
      return { type: sequenceType(error), revision: -1n, entry: null };
    }
  }

  create(name: string, options: CreateOptions = {}): Promise<EntryAnswer> {
    return this.entry(this.kahuna.sequence(name).create(options));
  }

  update(name: string, { removeMaxValue, removeBlockSize, ...changes }: Changes): Promise<EntryAnswer> {
    const removed = { ...(removeMaxValue ? { maxValue: null } : {}), ...(removeBlockSize ? { blockSize: null } : {}) };
    return this.entry(this.kahuna.sequence(name).update({ ...changes, ...removed }));
  }

  async get(name: string): Promise<EntryAnswer> {
    const state = await this.kahuna.sequence(name).get();
    if (state === undefined) return { type: SequenceType.NotFound, revision: -1n, entry: null };
    const { maxValue = null, blockSize = null } = state;
    return { type: SequenceType.Success, revision: state.revision, entry: { ...state, maxValue, blockSize, durability: 1 } };
  }

  async delete(name: string): Promise<EntryAnswer> {
    const type = (await this.kahuna.sequence(name).delete()) ? SequenceType.Success : SequenceType.NotFound;
    return { type, revision: 0n, entry: null };
  }

  /** The library's `next` tells the value alone, so the run of one is asked for. */
  next(name: string, key?: string): Promise<AllocationAnswer> {
    return this.reserve(name, 1, key);
  }

  async reserve(name: string, count: number, idempotencyKey?: string): Promise<AllocationAnswer> {
    try {
      const allocation = await this.kahuna.sequence(name).reserve(count, { idempotencyKey });
      return { type: SequenceType.Success, ...allocation, partitionId: 0 };
    } catch (error) {
      return { type: sequenceType(error), ...NO_ALLOCATION };
    }
  }

  close(): void {
    void this.kahuna.close();
  }
}

function sequenceType(error: unknown): number {
  if (error instanceof InvalidInputError) return SequenceType.InvalidInput;
  if (error instanceof SequenceExistsError) return SequenceType.AlreadyExists;
  if (error instanceof SequenceNotFoundError) return SequenceType.NotFound;
  if (error instanceof SequenceExhaustedError) return SequenceType.MaxValueExceeded;
  throw error;
}
