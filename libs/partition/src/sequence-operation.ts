import type { Hlc } from '@kahuna/base';

/**
 * Response types of sequence operations inside the server. The numbers of invalid input, retry and error are those of every other
 * operation, so that what routes and waits needs to know one set; the gateway turns them into the wire's 3, 5 and 99
 * (spec sequences §2.1).
 */
export const SequenceResponseType = {
  Success: 0,
  NotFound: 1,
  AlreadyExists: 2,
  MaxValueExceeded: 4,
  Aborted: 6,
  Errored: 99,
  InvalidInput: 100,
  MustRetry: 101,
} as const;
export type SequenceResponseType = (typeof SequenceResponseType)[keyof typeof SequenceResponseType];

interface Named {
  /** Trimmed by the gateway's caller or not: the node trims and checks it (spec sequences §4). */
  readonly key: string;
}

export interface SequenceCreate extends Named {
  readonly kind: 'sequence-create';
  readonly initialValue: bigint;
  readonly increment: bigint;
  readonly maxValue: bigint | undefined;
  readonly blockSize: number | undefined;
}

export interface SequenceGet extends Named {
  readonly kind: 'sequence-get';
}

/** `next` is this with count 1. */
export interface SequenceReserve extends Named {
  readonly kind: 'sequence-reserve';
  readonly count: number;
  /** Untrimmed; empty = unkeyed. */
  readonly idempotencyKey: string;
}

export interface SequenceUpdate extends Named {
  readonly kind: 'sequence-update';
  readonly currentValue: bigint | undefined;
  readonly increment: bigint | undefined;
  readonly initialValue: bigint | undefined;
  readonly maxValue: bigint | undefined;
  readonly removeMaxValue: boolean;
  readonly blockSize: number | undefined;
  readonly removeBlockSize: boolean;
}

export interface SequenceDelete extends Named {
  readonly kind: 'sequence-delete';
}

export type SequenceOperation = SequenceCreate | SequenceGet | SequenceReserve | SequenceUpdate | SequenceDelete;

/** What get, create and update show (spec sequences §3). In `OperationResult.detail`; `revision` of the result is that of the answer table. */
export interface SequenceEntry {
  readonly kind: 'sequence-entry';
  readonly name: string;
  readonly currentValue: bigint;
  readonly initialValue: bigint;
  readonly increment: bigint;
  readonly maxValue: bigint | undefined;
  readonly blockSize: number | undefined;
  readonly incarnation: number;
  readonly revision: number;
  readonly createdAt: Hlc;
  readonly updatedAt: Hlc;
}

/** In `OperationResult.detail` of a successful reserve. */
export interface SequenceAllocation {
  readonly kind: 'sequence-allocation';
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly count: number;
  readonly revision: number;
}
