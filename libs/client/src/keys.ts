import { isWellFormed } from '@kahuna/range-router';
import { keyValueMessages, type RequestedGet, type RequestedSet } from '@kahuna/wire';
import type { Caller } from './caller.ts';
import type { Codec } from './codecs.ts';
import type { Endpoint } from './endpoints.ts';
import { InvalidInputError, UnavailableError } from './errors.ts';
import { DeleteCall, ExtendCall, Flag, GetCall, SetCall, StatCall } from './key-calls.ts';
import {
  checkPage,
  deleteMany,
  durabilityOf,
  entryOf,
  existsMany,
  getByBucket,
  getMany,
  getPage,
  NO_TRANSACTION,
  readStamp,
  scanByPrefix,
  setMany,
} from './key-methods.ts';
import type {
  DeleteAnswer,
  DeleteRow,
  Entry,
  Existence,
  ExtendAnswer,
  KeyOptions,
  Keys,
  Lookup,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  SetAnswer,
  SetItem,
  SetOptions,
  SetRow,
  UpdateOptions,
  WalkOptions,
} from './keys-api.ts';
import { jittered, pause } from './runtime.ts';
import { stampAt } from './stamps.ts';
import { type RangePage, type RangeRequest, TransportFailure } from './transport.ts';

const { EPHEMERAL, PERSISTENT } = keyValueMessages.GrpcKeyValueDurability;
const MAX_INT32 = 2_147_483_647;
const LATEST = -1;
const DEFAULT_PAGE_ROWS = 1000;
const DEFAULT_UPDATE_ATTEMPTS = 16;
/** Longest pause of an update that lost to another writer. Milliseconds. */
const MAX_UPDATE_PAUSE_MS = 64;
/** A walk that fails this often without a row in between is given up. */
const MAX_WALK_FAILURES = 5;
const WALK_PAUSE_MS = 100;

function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '') throw new InvalidInputError('a key is a text that is not empty');
  if (!isWellFormed(key)) throw new InvalidInputError('a key is well-formed Unicode: this one has half a surrogate pair');
}

/** 0 stands for "never expires" on the wire. */
function lifetimeOf(ttlMs: number | undefined): number {
  if (ttlMs === undefined) return 0;
  if (!Number.isInteger(ttlMs) || ttlMs < 1 || ttlMs > MAX_INT32) {
    throw new InvalidInputError(`ttlMs is a whole number from 1 to ${MAX_INT32}`);
  }
  return ttlMs;
}

function checkRevision(revision: number): number {
  if (!Number.isSafeInteger(revision)) throw new InvalidInputError('a revision is a whole number');
  return revision;
}

/** Keys of one cluster with one codec and one set of defaults. */
export class StoredKeys<Out, In> implements Keys<Out, In> {
  private readonly caller: Caller;
  private readonly codec: Codec<Out, In>;
  private readonly defaults: KeyOptions;

  constructor(caller: Caller, codec: Codec<Out, In>, defaults: KeyOptions) {
    this.caller = caller;
    this.codec = codec;
    this.defaults = defaults;
  }

  as<O, I = O>(codec: Codec<O, I>): Keys<O, I> {
    return new StoredKeys(this.caller, codec, this.defaults);
  }

  with(defaults: KeyOptions): Keys<Out, In> {
    return new StoredKeys(this.caller, this.codec, { ...this.defaults, ...defaults });
  }

  /** Only a call with options of its own pays for putting them together. */
  private merged<O extends KeyOptions>(options: O | undefined): O | KeyOptions {
    return options === undefined ? this.defaults : { ...this.defaults, ...options };
  }

  private durability(options: KeyOptions): keyValueMessages.GrpcKeyValueDurability {
    return options.durability === 'ephemeral' ? EPHEMERAL : PERSISTENT;
  }

  // ---- one key --------------------------------------------------------------------------------------------------------------

  get(key: string, options?: ReadOptions): Promise<Entry<Out> | undefined> {
    return new Promise((resolve, reject) => {
      const merged: ReadOptions = this.merged(options);
      const call = new GetCall<Out>(
        this.reading('get', key, merged),
        this.codec,
        answer => resolve(answer.found ? answer.entry : undefined),
        reject,
      );
      this.caller.begin(call, merged);
    });
  }

  lookup(key: string, options?: ReadOptions): Promise<Lookup<Out>> {
    return new Promise((resolve, reject) => {
      const merged: ReadOptions = this.merged(options);
      const call = new GetCall(this.reading('get', key, merged), this.codec, resolve, reject);
      this.caller.begin(call, merged);
    });
  }

  async exists(key: string, options?: ReadOptions): Promise<boolean> {
    return (await this.stat(key, options)).exists;
  }

  stat(key: string, options?: ReadOptions): Promise<Existence> {
    return new Promise((resolve, reject) => {
      const merged: ReadOptions = this.merged(options);
      this.caller.begin(new StatCall(this.reading('exists', key, merged), resolve, reject), merged);
    });
  }

  private reading(kind: 'get' | 'exists', key: string, options: ReadOptions): RequestedGet {
    checkKey(key);
    const revision = options.revision === undefined ? LATEST : checkRevision(options.revision);
    return { kind, key, revision, readTimestamp: stampAt(options.asOf), durability: this.durability(options) };
  }

  set(key: string, value: In | null, options?: SetOptions<In>): Promise<SetAnswer> {
    return new Promise((resolve, reject) => {
      const merged: SetOptions<In> = this.merged(options);
      this.caller.begin(new SetCall(this.setting(key, value, merged), resolve, reject), merged);
    });
  }

  private setting(key: string, value: In | null, options: Omit<SetOptions<In>, 'signal'>): RequestedSet {
    checkKey(key);
    const { ifRevision, ifValue } = options;
    let flags: number = Flag.SET;
    if (options.noHistory) flags |= Flag.SET_NO_REVISION;
    if (options.ifPresent) flags |= Flag.SET_IF_EXISTS;
    if (options.ifAbsent) flags |= Flag.SET_IF_NOT_EXISTS;
    if (ifValue !== undefined) flags |= Flag.SET_IF_EQUAL_TO_VALUE;
    if (ifRevision !== undefined) flags |= Flag.SET_IF_EQUAL_TO_REVISION;
    return {
      kind: 'set',
      key,
      value: value === null ? null : this.codec.encode(value),
      expiresMs: lifetimeOf(options.ttlMs),
      flags,
      compareValue: ifValue === undefined || ifValue === null ? null : this.codec.encode(ifValue),
      compareRevision: ifRevision === undefined ? 0 : checkRevision(ifRevision),
      durability: this.durability(options),
    };
  }

  async update(
    key: string,
    change: (present: Entry<Out> | undefined) => In | null | undefined | Promise<In | null | undefined>,
    options: UpdateOptions = {},
  ): Promise<SetAnswer> {
    const { attempts = DEFAULT_UPDATE_ATTEMPTS, ...common } = options;
    const { ttlMs: _, ...reading } = common;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await this.lookup(key, reading);
      const value = await change(found.found ? found.entry : undefined);
      if (value === undefined) return unchanged(found);
      const condition = found.found ? { ifRevision: found.entry.revision } : { ifAbsent: true };
      const answer = await this.set(key, value, { ...common, ...condition });
      if (answer.set) return answer;
      const pauseMs = Math.min(MAX_UPDATE_PAUSE_MS, 2 ** attempt);
      await pause(this.caller.runtime, jittered(this.caller.runtime, pauseMs, 1), options.signal);
    }
    throw new UnavailableError(`${JSON.stringify(key)} was changed by others ${attempts} times during the update`);
  }

  delete(key: string, options?: KeyOptions): Promise<DeleteAnswer> {
    return new Promise((resolve, reject) => {
      checkKey(key);
      const merged = this.merged(options);
      const operation = { kind: 'delete', key, durability: this.durability(merged) } as const;
      this.caller.begin(new DeleteCall(operation, resolve, reject), merged);
    });
  }

  extend(key: string, ttlMs: number, options?: KeyOptions): Promise<ExtendAnswer> {
    return new Promise((resolve, reject) => {
      checkKey(key);
      const merged = this.merged(options);
      const expiresMs = ttlMs === 0 ? 0 : lifetimeOf(ttlMs);
      const operation = { kind: 'extend', key, expiresMs, durability: this.durability(merged) } as const;
      this.caller.begin(new ExtendCall(operation, resolve, reject), merged);
    });
  }

  // ---- many keys ------------------------------------------------------------------------------------------------------------

  async setMany(items: readonly SetItem<In>[], options?: KeyOptions): Promise<SetRow[]> {
    const merged = this.merged(options);
    const rows = items.map(item => {
      const set = this.setting(item.key, item.value, { ...item, durability: item.durability ?? merged.durability });
      return {
        TransactionIdNode: 0,
        TransactionIdPhysical: 0n,
        TransactionIdCounter: 0,
        Key: set.key,
        Value: set.value ?? undefined,
        CompareValue: set.compareValue ?? undefined,
        CompareRevision: BigInt(set.compareRevision),
        // A mask: the generated type knows its single bits only.
        Flags: set.flags as keyValueMessages.GrpcKeyValueFlags,
        ExpiresMs: set.expiresMs,
        Durability: durabilityOf(set.durability),
        RoutedGeneration: 0n,
        ConflictPolicy: keyValueMessages.GrpcTransactionConflictPolicy.TRANSACTION_CONFLICT_POLICY_UNSPECIFIED,
      };
    });
    return rows.length === 0 ? [] : setMany(this.caller, rows, merged);
  }

  async deleteMany(keys: readonly string[], options?: KeyOptions): Promise<DeleteRow[]> {
    const merged = this.merged(options);
    const rows = keys.map(key => {
      checkKey(key);
      return {
        TransactionIdNode: 0,
        TransactionIdPhysical: 0n,
        TransactionIdCounter: 0,
        Key: key,
        Durability: this.durability(merged),
        ConflictPolicy: keyValueMessages.GrpcTransactionConflictPolicy.TRANSACTION_CONFLICT_POLICY_UNSPECIFIED,
      };
    });
    return rows.length === 0 ? [] : deleteMany(this.caller, rows, merged);
  }

  async getMany(keys: readonly string[], options?: ReadOptions): Promise<(Entry<Out> | undefined)[]> {
    const merged: ReadOptions = this.merged(options);
    const rows = this.readRows(keys, merged);
    return rows.length === 0 ? [] : getMany(this.caller, rows, stampAt(merged.asOf), this.codec, merged);
  }

  async existsMany(keys: readonly string[], options?: ReadOptions): Promise<boolean[]> {
    const merged: ReadOptions = this.merged(options);
    const rows = this.readRows(keys, merged);
    return rows.length === 0 ? [] : existsMany(this.caller, rows, stampAt(merged.asOf), merged);
  }

  private readRows(keys: readonly string[], options: ReadOptions): keyValueMessages.GrpcTryManyValuesRequestItem[] {
    const revision = BigInt(checkRevision(options.revision ?? LATEST));
    return keys.map(key => {
      checkKey(key);
      return { Key: key, Revision: revision, Durability: this.durability(options) };
    });
  }

  // ---- scans ----------------------------------------------------------------------------------------------------------------

  async bucketHead(name: string, options?: ScanOptions): Promise<Entry<Out>[]> {
    checkKey(name);
    const merged: ScanOptions = this.merged(options);
    const rows = await getByBucket(this.caller, name, this.durability(merged), stampAt(merged.asOf), merged);
    return rows.map(row => entryOf(row, this.codec));
  }

  async *prefix(prefix: string, options?: ScanOptions): AsyncGenerator<Entry<Out>, void, void> {
    checkKey(prefix);
    const merged: ScanOptions = this.merged(options);
    const { rows, truncated } = await scanByPrefix(this.caller, prefix, this.durability(merged), stampAt(merged.asOf), merged);
    for (const row of rows) yield entryOf(row, this.codec);
    if (truncated !== undefined) throw truncated;
  }

  bucket(name: string, options?: WalkOptions): AsyncGenerator<Entry<Out>, void, void> {
    return this.range(name, options);
  }

  async *range(space: string, options: RangeOptions = {}): AsyncGenerator<Entry<Out>, void, void> {
    const merged: RangeOptions = this.merged(options);
    for await (const page of this.walk(this.rangeRequest(space, merged), merged)) {
      for (const item of page.Items) yield entryOf(item, this.codec);
    }
  }

  private rangeRequest(space: string, options: RangeOptions): RangeRequest {
    checkKey(space);
    const { pageSize = DEFAULT_PAGE_ROWS } = options;
    if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize >= MAX_INT32) {
      throw new InvalidInputError(`pageSize is a whole number from 1 to ${MAX_INT32 - 1}`);
    }
    return {
      ...NO_TRANSACTION,
      Prefix: space,
      StartKey: options.start,
      StartInclusive: !options.startExclusive,
      EndKey: options.end,
      EndInclusive: options.endInclusive ?? false,
      Limit: pageSize,
      Durability: this.durability(options),
      SnapshotAtLeader: false,
      ...readStamp(stampAt(options.asOf)),
    };
  }

  private walk(first: RangeRequest, options: RangeOptions): AsyncIterable<Pick<RangePage, 'Items'>> {
    return options.asOf === undefined ? this.walkNow(first, options) : this.walkAt(first, options);
  }

  /** At a given time every page is a request of its own, which can be repeated. */
  private async *walkAt(first: RangeRequest, options: RangeOptions): AsyncGenerator<Pick<RangePage, 'Items'>, void, void> {
    let range = first;
    for (;;) {
      const page = await getPage(this.caller, range, options);
      yield page;
      const last = page.Items.at(-1);
      if (!page.HasMore) return;
      if (last !== undefined) range = { ...range, StartKey: last.Key, StartInclusive: false };
    }
  }

  /** At the time that the server chooses all pages come from one server: it alone knows that time, so nobody else can go on. */
  private async *walkNow(range: RangeRequest, options: RangeOptions): AsyncGenerator<RangePage, void, void> {
    let endpoint: Endpoint | undefined;
    for (let failures = 0; ; ) {
      endpoint = this.caller.endpointFor(range.StartKey ?? `${range.Prefix}/`, endpoint);
      let begun = false;
      try {
        for await (const page of endpoint.connection.pages(range, options.signal)) {
          checkPage(page, range);
          begun = true;
          yield page;
        }
        return;
      } catch (error) {
        if (!(error instanceof TransportFailure)) throw error;
        if (error.fault === 'endpoint') this.caller.walkFailed(endpoint);
        failures += 1;
        if (begun || failures >= MAX_WALK_FAILURES) {
          throw new UnavailableError(
            `the walk over ${JSON.stringify(range.Prefix)} broke off: begin again, or name a time (asOf)`,
            {
              cause: error,
            },
          );
        }
      }
      await pause(this.caller.runtime, jittered(this.caller.runtime, WALK_PAUSE_MS * 2 ** failures), options.signal);
    }
  }
}

function unchanged<T>(found: Lookup<T>): SetAnswer {
  return found.found
    ? { set: false, revision: found.entry.revision, lastModified: found.entry.lastModified }
    : { set: false, revision: found.revision, lastModified: stampAt(undefined) };
}
