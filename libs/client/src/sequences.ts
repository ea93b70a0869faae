import { sequenceMessages } from '@kahuna/wire';
import { ALLOCATION, DEFINITION, READ } from './call.ts';
import type { Caller } from './caller.ts';
import {
  InvalidInputError,
  type KahunaError,
  OutcomeUnknownError,
  ProtocolError,
  SequenceExhaustedError,
  SequenceExistsError,
  SequenceNotFoundError,
  ServerFaultError,
} from './errors.ts';
import { REFUSED, request } from './method-call.ts';
import type { CallOptions } from './options.ts';
import type {
  Allocation,
  CreateSequenceOptions,
  NextOptions,
  Sequence,
  SequenceState,
  UpdateSequenceOptions,
} from './sequences-api.ts';
import { stampOf } from './stamps.ts';
import type { Method, RequestOf, ResponseOf } from './transport.ts';

const Type = sequenceMessages.GrpcSequenceResponseType;
const PERSISTENT = sequenceMessages.GrpcSequenceDurability.SEQUENCE_PERSISTENT;
const DEFAULT_BLOCK = 100;
const KEY_BYTES = 16;
const MAX_INT32 = 2_147_483_647;
const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

type DefinitionMethod = Extract<Method, 'createSequence' | 'getSequence' | 'updateSequence' | 'deleteSequence'>;

function checkInt64(value: bigint | null | undefined, what: string): void {
  if (value === undefined || value === null) return;
  if (typeof value !== 'bigint') throw new InvalidInputError(`${what} is a bigint`);
  if (value < MIN_INT64 || value > MAX_INT64) throw new InvalidInputError(`${what} has at most 64 bits`);
}

function checkCount(value: number | null | undefined, what: string): void {
  if (value === undefined || value === null) return;
  if (!Number.isInteger(value) || value < 1 || value > MAX_INT32) {
    throw new InvalidInputError(`${what} is a whole number from 1 to ${MAX_INT32}`);
  }
}

function stateOf(entry: sequenceMessages.GrpcSequenceEntry): SequenceState {
  return {
    name: entry.Name,
    currentValue: entry.CurrentValue,
    initialValue: entry.InitialValue,
    increment: entry.Increment,
    maxValue: entry.MaxValue,
    blockSize: entry.BlockSize,
    revision: entry.Revision,
    incarnation: entry.Incarnation,
    createdAt: stampOf(entry.CreatedAtNode, entry.CreatedAtPhysical, entry.CreatedAtCounter),
    updatedAt: stampOf(entry.UpdatedAtNode, entry.UpdatedAtPhysical, entry.UpdatedAtCounter),
  };
}

const startOf = ({ Start }: sequenceMessages.GrpcSequenceAllocation): bigint => Start;

function runOf({ Start, End, Count, Revision }: sequenceMessages.GrpcSequenceAllocation): Allocation {
  return { start: Start, end: End, count: Count, revision: Revision };
}

/** See {@link Sequence}. */
export class NamedSequence implements Sequence {
  readonly name: string;
  private readonly caller: Caller;

  constructor(name: string, caller: Caller) {
    this.name = name;
    this.caller = caller;
  }

  async create(options: CreateSequenceOptions = {}): Promise<bigint> {
    const { initialValue = 0n, increment = 1n, maxValue, blockSize } = options;
    checkInt64(initialValue, 'initialValue');
    checkInt64(increment, 'increment');
    checkInt64(maxValue, 'maxValue');
    checkCount(blockSize, 'blockSize');
    const message = {
      Name: this.name,
      InitialValue: initialValue,
      Increment: increment,
      MaxValue: maxValue,
      BlockSize: blockSize,
      Durability: PERSISTENT,
    };
    return this.define('createSequence', message, options, (response, inDoubt) => {
      if (response.Type === Type.SEQUENCE_SUCCESS) return response.Revision;
      if (inDoubt && response.Type === Type.SEQUENCE_ALREADY_EXISTS) throw this.doubtful('created');
      throw this.failure(response.Type);
    });
  }

  async ensure(options: CreateSequenceOptions = {}): Promise<boolean> {
    try {
      await this.create(options);
      return true;
    } catch (error) {
      if (error instanceof SequenceExistsError) return false;
      // Whoever created it, it exists: that is all that was asked for.
      if (error instanceof OutcomeUnknownError && (await this.get(options)) !== undefined) return false;
      throw error;
    }
  }

  async get(options: CallOptions = {}): Promise<SequenceState | undefined> {
    return this.define('getSequence', { Name: this.name, Durability: PERSISTENT }, options, response => {
      if (response.Type === Type.SEQUENCE_NOT_FOUND) return undefined;
      if (response.Type !== Type.SEQUENCE_SUCCESS || response.Sequence === undefined) throw this.failure(response.Type);
      return stateOf(response.Sequence);
    });
  }

  async update(changes: UpdateSequenceOptions): Promise<bigint> {
    const { currentValue, increment, initialValue, maxValue, blockSize } = changes;
    checkInt64(currentValue, 'currentValue');
    checkInt64(increment, 'increment');
    checkInt64(initialValue, 'initialValue');
    checkInt64(maxValue, 'maxValue');
    checkCount(blockSize, 'blockSize');
    const message = {
      Name: this.name,
      CurrentValue: currentValue,
      Increment: increment,
      InitialValue: initialValue,
      MaxValue: maxValue ?? undefined,
      RemoveMaxValue: maxValue === null,
      BlockSize: blockSize ?? undefined,
      RemoveBlockSize: blockSize === null,
      Durability: PERSISTENT,
    };
    return this.define('updateSequence', message, changes, response => {
      if (response.Type === Type.SEQUENCE_SUCCESS) return response.Revision;
      throw this.failure(response.Type);
    });
  }

  async delete(options: CallOptions = {}): Promise<boolean> {
    return this.define('deleteSequence', { Name: this.name, Durability: PERSISTENT }, options, (response, inDoubt) => {
      if (response.Type === Type.SEQUENCE_SUCCESS) return true;
      if (response.Type !== Type.SEQUENCE_NOT_FOUND) throw this.failure(response.Type);
      if (inDoubt) throw this.doubtful('deleted');
      return false;
    });
  }

  // Of all calls on sequences this is the one made most: no `async`, whose promises cost more than the rest of it.
  next(options: NextOptions = {}): Promise<bigint> {
    let key: string | undefined;
    try {
      key = this.keyOf(options);
    } catch (error) {
      return Promise.reject(error);
    }
    const message = { Name: this.name, IdempotencyKey: key, Durability: PERSISTENT };
    return this.allocate('nextValue', message, options, startOf);
  }

  async reserve(count: number, options: NextOptions = {}): Promise<Allocation> {
    checkCount(count, 'count');
    const message = { Name: this.name, Count: count, IdempotencyKey: this.keyOf(options), Durability: PERSISTENT };
    return this.allocate('reserveRange', message, options, runOf);
  }

  async *values(options: CallOptions & { block?: number | undefined } = {}): AsyncGenerator<bigint, void, void> {
    const { block = DEFAULT_BLOCK } = options;
    for (;;) {
      const { start, end, count } = await this.reserve(block, options);
      const step = count === 1 ? 0n : (end - start) / BigInt(count - 1);
      for (let i = 0n; i < BigInt(count); i++) yield start + i * step;
    }
  }

  private keyOf(options: NextOptions): string | undefined {
    if (options.idempotencyKey !== undefined) {
      if (options.idempotencyKey.trim() === '') throw new InvalidInputError('an idempotency key is not blank');
      return options.idempotencyKey;
    }
    if (!options.gapless) return undefined;
    return Array.from(this.caller.runtime.randomBytes(KEY_BYTES), byte => byte.toString(16).padStart(2, '0')).join('');
  }

  private define<M extends DefinitionMethod, A>(
    method: M,
    message: RequestOf<M>,
    options: CallOptions,
    conclude: (response: ResponseOf<DefinitionMethod>, inDoubt: boolean) => A,
  ): Promise<A> {
    return request<M, A>(
      this.caller,
      {
        traits: method === 'getSequence' ? READ : DEFINITION,
        method,
        request: message,
        route: routes => routes.ofSequence(this.name),
        conclude: (response, inDoubt) => (response.Type === Type.SEQUENCE_MUST_RETRY ? REFUSED : conclude(response, inDoubt)),
      },
      options,
    );
  }

  private allocate<M extends 'nextValue' | 'reserveRange', A>(
    method: M,
    message: RequestOf<M>,
    options: NextOptions,
    take: (allocation: sequenceMessages.GrpcSequenceAllocation) => A,
  ): Promise<A> {
    return request<M, A>(
      this.caller,
      {
        traits: ALLOCATION,
        method,
        request: message,
        route: routes => routes.ofSequence(this.name),
        conclude: response => {
          if (response.Type === Type.SEQUENCE_MUST_RETRY) return REFUSED;
          const { Allocation: allocation } = response;
          if (response.Type !== Type.SEQUENCE_SUCCESS || allocation === undefined) throw this.failure(response.Type);
          return take(allocation);
        },
      },
      options,
    );
  }

  private doubtful(done: string): OutcomeUnknownError {
    return new OutcomeUnknownError(`the request was repeated, and may itself have ${done} the sequence ${this.quoted}`);
  }

  private get quoted(): string {
    return JSON.stringify(this.name);
  }

  private failure(type: number): KahunaError {
    switch (type) {
      case Type.SEQUENCE_NOT_FOUND:
        return new SequenceNotFoundError(`there is no sequence ${this.quoted}`);
      case Type.SEQUENCE_ALREADY_EXISTS:
        return new SequenceExistsError(`the sequence ${this.quoted} exists already`);
      case Type.SEQUENCE_INVALID_INPUT:
        return new InvalidInputError(`the server refuses the request for the sequence ${this.quoted} as invalid`);
      case Type.SEQUENCE_MAX_VALUE_EXCEEDED:
        return new SequenceExhaustedError(`the sequence ${this.quoted} has not as many values left`);
      case Type.SEQUENCE_ERROR:
        return new ServerFaultError(`the server failed at the sequence ${this.quoted}`);
      default:
        return new ProtocolError(`the server answered for the sequence ${this.quoted} with type ${type}`);
    }
  }
}
