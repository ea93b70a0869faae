import type { Cluster } from './cluster-api.ts';
import type { Keys, Snapshots } from './keys-api.ts';
import type { Election, Lock, LockCalls, LockOptions, TryLockOptions } from './locks-api.ts';
import type { KahunaOptions } from './options.ts';
import type { Sequence } from './sequences-api.ts';

export { compareHlc, HLC_ZERO, type Hlc } from '@kahuna/base';
export type * from './cluster-api.ts';
export * from './codecs.ts';
export * from './errors.ts';
export type * from './keys-api.ts';
export type * from './locks-api.ts';
export type * from './options.ts';
export type * from './sequences-api.ts';
export type { Transport } from './transport.ts';

/** One cluster, as a program sees it. */
export declare class Kahuna implements AsyncDisposable {
  constructor(options: KahunaOptions);
  readonly keys: Keys<Uint8Array, Uint8Array | string>;
  readonly snapshots: Snapshots;
  readonly locks: LockCalls;
  readonly cluster: Cluster;
  lock(name: string, options?: LockOptions): Promise<Lock>;
  tryLock(name: string, options?: TryLockOptions): Promise<Lock | undefined>;
  withLock<T>(name: string, options: LockOptions, work: (lock: Lock) => Promise<T>): Promise<T>;
  election(name: string, options?: { readonly candidate?: string | undefined }): Election;
  sequence(name: string): Sequence;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
