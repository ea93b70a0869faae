import type { Hlc } from '@kahuna/base';
import type { SequenceAllocation, SequenceEntry } from './sequence-operation.ts';

/** Response types of key/value operations (spec keyvalues §2.1); the numbers are the wire's. */
export const ResponseType = {
  Set: 0,
  NotSet: 1,
  Extended: 2,
  Get: 3,
  Deleted: 4,
  Locked: 5,
  Unlocked: 6,
  Prepared: 7,
  Committed: 8,
  RolledBack: 9,
  Exists: 10,
  Errored: 99,
  InvalidInput: 100,
  MustRetry: 101,
  Aborted: 102,
  DoesNotExist: 103,
  AlreadyLocked: 104,
} as const;
export type ResponseType = (typeof ResponseType)[keyof typeof ResponseType];

export const Durability = { Ephemeral: 0, Persistent: 1 } as const;
export type Durability = (typeof Durability)[keyof typeof Durability];

/** Bits of a set's flags (spec keyvalues §2.2); unknown bits are ignored. */
export const SetFlag = { Set: 1, NoRevision: 2, IfExists: 4, IfNotExists: 8, IfEqualToValue: 16, IfEqualToRevision: 32 } as const;

export interface SetOperation {
  readonly kind: 'set';
  readonly key: string;
  /** null and zero bytes are different values. */
  readonly value: Uint8Array | null;
  /** Lifetime in milliseconds, 0 = never expires. int32. */
  readonly expiresMs: number;
  readonly flags: number;
  readonly compareValue: Uint8Array | null;
  /** Wire int64; the gateway maps what is not a safe integer to one that can never match. */
  readonly compareRevision: number;
  readonly durability: Durability;
}

export interface DeleteOperation {
  readonly kind: 'delete';
  readonly key: string;
  readonly durability: Durability;
}

export interface ExtendOperation {
  readonly kind: 'extend';
  readonly key: string;
  readonly expiresMs: number;
  readonly durability: Durability;
}

/** `revision` >= 0: at that revision. Else `readTimestamp` not zero: as of it. Else the latest. */
export interface GetOperation {
  readonly kind: 'get' | 'exists';
  readonly key: string;
  readonly revision: number;
  readonly readTimestamp: Hlc;
  readonly durability: Durability;
}

export type WriteOperation = SetOperation | DeleteOperation | ExtendOperation;
export type Operation = WriteOperation | GetOperation;

/** Answer of one operation. Fields that do not apply are 0, null, undefined or the zero timestamp. */
export interface OperationResult {
  /** Of the operation's own table: ResponseType, LockResponseType or SequenceResponseType. Invalid input, retry and error are the same in all. */
  type: number;
  revision: number;
  value: Uint8Array | null;
  expires: Hlc;
  lastUsed: Hlc;
  lastModified: Hlc;
  /** 1 on a hit, 0 on a miss. */
  state: number;
  /** What sequences answer; other answers lack the property. */
  detail?: SequenceEntry | SequenceAllocation;
  /** Where it was served; undefined when the owner is not known. The gateway turns it into a route hint. */
  route: Route | undefined;
}

/** Advisory: which partition served, and on which node. `forwarded`: another node than the one asked. */
export interface Route {
  readonly partitionId: number;
  readonly nodeId: number;
  readonly forwarded: boolean;
  readonly generation: number;
}
