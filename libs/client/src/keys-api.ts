import type { Hlc } from '@kahuna/base';
import type { Codec } from './codecs.ts';
import type { KahunaError } from './errors.ts';
import type { CallOptions, Durability, TimePoint } from './options.ts';

/** A stored value with what the server says about it. */
export interface Entry<T> {
  readonly key: string;
  /** null where the key exists without a value, which differs from an empty one. */
  readonly value: T | null;
  /** Counts the sets of this key from 0; never goes back, also not over a delete. */
  readonly revision: number;
  /** End of its lifetime; undefined = never. */
  readonly expires: Hlc | undefined;
  /** Last set or extend. Zero for a read at a revision. */
  readonly lastModified: Hlc;
}

/** What a read found: the entry, or how far the revisions of the missing key have come. */
export type Lookup<T> =
  | { readonly found: true; readonly entry: Entry<T> }
  /** `revision`: −1 where the key was never written. */
  | { readonly found: false; readonly revision: number };

/** Whether a key exists, and its facts without the value. */
export interface Existence {
  readonly exists: boolean;
  /** −1 where the key was never written. */
  readonly revision: number;
  readonly expires: Hlc | undefined;
  readonly lastModified: Hlc;
}

export interface SetAnswer {
  /** False where a condition did not hold: nothing was changed. */
  readonly set: boolean;
  /** Revision that the set made; where it did not, the one the key has (−1: never written). */
  readonly revision: number;
  readonly lastModified: Hlc;
}

export interface DeleteAnswer {
  /** False where there was nothing to delete. */
  readonly deleted: boolean;
  readonly revision: number;
  readonly lastModified: Hlc;
}

export interface ExtendAnswer {
  /** False where the key does not exist. */
  readonly extended: boolean;
  readonly revision: number;
  readonly lastModified: Hlc;
}

export interface KeyOptions extends CallOptions {
  readonly durability?: Durability | undefined;
}

export interface ReadOptions extends KeyOptions {
  /** This revision out of the history, whatever happened since. Takes precedence over `asOf`. */
  readonly revision?: number | undefined;
  /** The state at that time. */
  readonly asOf?: TimePoint | undefined;
}

/** Conditions are all judged against the same state, and all must hold. */
export interface SetOptions<In> extends KeyOptions {
  /** Lifetime in milliseconds, 1 … 2,147,483,647; without one the key never expires, also if it did before. */
  readonly ttlMs?: number | undefined;
  /** Only if the key does not exist. */
  readonly ifAbsent?: boolean | undefined;
  /** Only if the key exists. */
  readonly ifPresent?: boolean | undefined;
  /** Only if the key exists at this revision; −1: only if it was never written. */
  readonly ifRevision?: number | undefined;
  /** Only if the value is this one. null and an empty value stand for each other and for "does not exist". */
  readonly ifValue?: In | null | undefined;
  /** The new version is not kept in the history once the next one is written. */
  readonly noHistory?: boolean | undefined;
}

export interface UpdateOptions extends KeyOptions {
  /** Lifetime of what is written, in milliseconds. Without one it never expires. */
  readonly ttlMs?: number | undefined;
  /** How often to begin again after losing to another writer; then {@link UnavailableError}. Default 16. */
  readonly attempts?: number | undefined;
}

export interface SetItem<In> extends Omit<SetOptions<In>, keyof CallOptions> {
  readonly key: string;
  readonly value: In | null;
}

/** One row of a many-call: each stands alone. */
export interface SetRow extends SetAnswer {
  readonly key: string;
  /** Why this row failed; the others are not concerned. */
  readonly error: KahunaError | undefined;
}

export interface DeleteRow extends DeleteAnswer {
  readonly key: string;
  readonly error: KahunaError | undefined;
}

export interface ScanOptions extends KeyOptions {
  /** The state at that time. Without it a walk sees the moment at which it begins. */
  readonly asOf?: TimePoint | undefined;
}

export interface WalkOptions extends ScanOptions {
  /** Rows fetched at a time, 1 … 2,147,483,646. Default 1,000. */
  readonly pageSize?: number | undefined;
}

export interface RangeOptions extends WalkOptions {
  /** First key, full, included unless `startExclusive`. */
  readonly start?: string | undefined;
  readonly startExclusive?: boolean | undefined;
  /** Last key, full, excluded unless `endInclusive`. */
  readonly end?: string | undefined;
  readonly endInclusive?: boolean | undefined;
}

/**
 * Keys and values, read with one codec and in one durability.
 *
 * Every method rejects with a {@link KahunaError}, or with the reason of the caller's own signal.
 */
export interface Keys<Out, In = Out> {
  /** The same keys with values of another type. */
  as<O, I = O>(codec: Codec<O, I>): Keys<O, I>;
  /** The same keys with other defaults for every call. */
  with(defaults: KeyOptions): Keys<Out, In>;

  /** The entry, or undefined where the key (or the revision, or the key at that time) does not exist. */
  get(key: string, options?: ReadOptions): Promise<Entry<Out> | undefined>;
  /** As `get`, and for a miss how far the revisions of the key have come. */
  lookup(key: string, options?: ReadOptions): Promise<Lookup<Out>>;
  exists(key: string, options?: ReadOptions): Promise<boolean>;
  /** Facts of a key without its value. */
  stat(key: string, options?: ReadOptions): Promise<Existence>;

  set(key: string, value: In | null, options?: SetOptions<In>): Promise<SetAnswer>;
  /**
   * Reads, lets `change` compute, writes only if nobody else wrote meanwhile, and begins again if somebody did.
   * `change` gets undefined where the key does not exist, and returns undefined to leave everything as it is.
   */
  update(
    key: string,
    change: (present: Entry<Out> | undefined) => In | null | undefined | Promise<In | null | undefined>,
    options?: UpdateOptions,
  ): Promise<SetAnswer>;
  delete(key: string, options?: KeyOptions): Promise<DeleteAnswer>;
  /** Gives a key a new lifetime that counts from now. Milliseconds; 0 = it never expires. */
  extend(key: string, ttlMs: number, options?: KeyOptions): Promise<ExtendAnswer>;

  /** Many independent sets in one request; no atomicity. One bad item refuses all. Rows come in the order of the items. */
  setMany(items: readonly SetItem<In>[], options?: KeyOptions): Promise<SetRow[]>;
  deleteMany(keys: readonly string[], options?: KeyOptions): Promise<DeleteRow[]>;
  /** Entries in the order of the keys; undefined for a miss. */
  getMany(keys: readonly string[], options?: ReadOptions): Promise<(Entry<Out> | undefined)[]>;
  existsMany(keys: readonly string[], options?: ReadOptions): Promise<boolean[]>;

  /** All keys `name/…` one level deep, in order, at one instant, page by page. */
  bucket(name: string, options?: WalkOptions): AsyncIterableIterator<Entry<Out>>;
  /** The first 4,096 keys of a bucket in a single answer. */
  bucketHead(name: string, options?: ScanOptions): Promise<Entry<Out>[]>;
  /** Keys of one key space between two bounds, in order, at one instant, page by page. */
  range(space: string, options?: RangeOptions): AsyncIterableIterator<Entry<Out>>;
  /**
   * All keys of the whole cluster whose text begins with `prefix`, in order. The server answers at most 4,096:
   * past those the iteration throws a {@link TruncatedError} rather than end as if it were complete.
   */
  prefix(prefix: string, options?: ScanOptions): AsyncIterableIterator<Entry<Out>>;
}

/** Keeps the history that reads as of one time need, for as long as it is renewed. */
export interface SnapshotHold extends AsyncDisposable {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The time that is held. */
  readonly timestamp: Hlc;
  /** End of the present lease, as the server has it. */
  readonly leaseExpiry: Hlc;
  /** Fires when the hold is lost or can no longer be proved: reads as of its time may begin to fail. */
  readonly signal: AbortSignal;
  /** Ends the renewal and lets the history go. */
  release(): Promise<void>;
}

export interface HoldOptions extends CallOptions {
  /** Who holds, for the operator to see. Default: a random name of this client. */
  readonly holder?: string | undefined;
  /** Lease in milliseconds; it is renewed every third of it. Default 60,000. */
  readonly leaseMs?: number | undefined;
}

export interface SnapshotFloor {
  /** Smallest time that a live hold protects; zero where there is none. */
  readonly effectiveFloor: Hlc;
  readonly liveHolds: number;
}

/** Holds that pin the history of a moment. */
export interface Snapshots {
  /**
   * Holds `time`, now unless given, and keeps renewing. Throws {@link HistoryPrunedError} where part of its history is gone.
   */
  hold(time?: TimePoint, options?: HoldOptions): Promise<SnapshotHold>;
  floor(options?: CallOptions): Promise<SnapshotFloor>;
}
