import type { Hlc } from '@kahuna/base';
import type { CallOptions } from './options.ts';

export interface CreateSequenceOptions extends CallOptions {
  /** The first value issued is `initialValue + increment`. Default 0. */
  readonly initialValue?: bigint | undefined;
  /** Above 0, default 1. */
  readonly increment?: bigint | undefined;
  readonly maxValue?: bigint | undefined;
  /** Values reserved per durable write; what a failed owner had left of them is skipped. The server's setting unless given. */
  readonly blockSize?: number | undefined;
}

/** null removes, undefined leaves as it is. At least one change is needed. */
export interface UpdateSequenceOptions extends CallOptions {
  /** The next value is this plus the increment. Lower than before: values are deliberately issued again. */
  readonly currentValue?: bigint | undefined;
  readonly increment?: bigint | undefined;
  readonly initialValue?: bigint | undefined;
  readonly maxValue?: bigint | null | undefined;
  readonly blockSize?: number | null | undefined;
}

export interface NextOptions extends CallOptions {
  /**
   * The same key gets the same values, also after a crash of this program. Costs a durable write per call.
   * Up to 1,024 bytes; kept by the server for a limited number of keys and time.
   */
  readonly idempotencyKey?: string | undefined;
  /**
   * Let the client make a key for this call, so that repetitions after a lost answer skip no value. Without one such a
   * repetition leaves a gap; no value is ever issued twice either way.
   */
  readonly gapless?: boolean | undefined;
}

/** A run of values that nobody else gets: start, start + increment, …, end. */
export interface Allocation {
  readonly start: bigint;
  readonly end: bigint;
  readonly count: number;
  readonly revision: bigint;
}

export interface SequenceState {
  readonly name: string;
  /** Nothing above this was issued. With blocks, more than was issued. */
  readonly currentValue: bigint;
  readonly initialValue: bigint;
  readonly increment: bigint;
  readonly maxValue: bigint | undefined;
  readonly blockSize: number | undefined;
  readonly revision: bigint;
  /** Number of updates since it was created; values are unique within one. */
  readonly incarnation: bigint;
  readonly createdAt: Hlc;
  readonly updatedAt: Hlc;
}

/**
 * One named sequence of unique, growing 64-bit values. Getting a handle asks nobody.
 * Methods reject with {@link SequenceNotFoundError} where it does not exist, and as all calls do.
 */
export interface Sequence {
  readonly name: string;
  /** Resolves to its revision. Throws {@link SequenceExistsError} where it exists already. */
  create(options?: CreateSequenceOptions): Promise<bigint>;
  /** As `create`, but an existing one is left as it is. True where it was created. */
  ensure(options?: CreateSequenceOptions): Promise<boolean>;
  /** undefined where it does not exist. */
  get(options?: CallOptions): Promise<SequenceState | undefined>;
  /** Throws {@link SequenceExhaustedError} at the maximum. */
  next(options?: NextOptions): Promise<bigint>;
  /** `count` consecutive values, 1 … 2,147,483,647. */
  reserve(count: number, options?: NextOptions): Promise<Allocation>;
  /** Resolves to the new revision. */
  update(changes: UpdateSequenceOptions): Promise<bigint>;
  /** False where it did not exist. */
  delete(options?: CallOptions): Promise<boolean>;
  /** Endless values, reserved `block` at a time, default 100. Those left over when the loop ends are never issued. */
  values(options?: CallOptions & { readonly block?: number | undefined }): AsyncIterableIterator<bigint>;
}
