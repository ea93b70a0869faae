import { sequenceMessages as m } from '@kahuna/wire';
import { GrpcClient, message } from './grpc-kv.ts';
import type { Hlc, Route } from './kv-api.ts';
import { BATCHER_STREAM, PayloadStream } from './payload-stream.ts';
import { RestCalls } from './rest-kv.ts';

/** Response types (sequences §2.1). */
export const SequenceType = {
  Success: 0,
  NotFound: 1,
  AlreadyExists: 2,
  InvalidInput: 3,
  MaxValueExceeded: 4,
  MustRetry: 5,
  Aborted: 6,
  Error: 99,
} as const;

export interface Entry {
  readonly name: string;
  readonly currentValue: bigint;
  readonly initialValue: bigint;
  readonly increment: bigint;
  readonly maxValue: bigint | null;
  readonly blockSize: number | null;
  readonly incarnation: bigint;
  readonly revision: bigint;
  readonly durability: number;
  readonly createdAt: Hlc;
  readonly updatedAt: Hlc;
}

export interface EntryAnswer {
  readonly type: number;
  readonly revision: bigint;
  /** Of a get; gRPC leaves it out of a create and an update, so it is null there. */
  readonly entry: Entry | null;
}

export interface AllocationAnswer {
  readonly type: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly count: number;
  readonly revision: bigint;
  /** Where the sequence lives, 0 if the answer does not say. */
  readonly partitionId: number;
}

export interface CreateOptions {
  readonly initialValue?: bigint;
  /** Default 1. */
  readonly increment?: bigint;
  readonly maxValue?: bigint;
  readonly blockSize?: number;
  /** Default 1. */
  readonly durability?: number;
}

export interface Changes {
  readonly currentValue?: bigint;
  readonly increment?: bigint;
  readonly initialValue?: bigint;
  readonly maxValue?: bigint;
  readonly removeMaxValue?: boolean;
  readonly blockSize?: number;
  readonly removeBlockSize?: boolean;
}

/** The sequence operations as a test sees them, whatever carries them. */
export interface SequenceApi {
  readonly name: string;
  create(name: string, options?: CreateOptions): Promise<EntryAnswer>;
  get(name: string): Promise<EntryAnswer>;
  update(name: string, changes: Changes): Promise<EntryAnswer>;
  delete(name: string): Promise<EntryAnswer>;
  next(name: string, key?: string): Promise<AllocationAnswer>;
  reserve(name: string, count: number, key?: string): Promise<AllocationAnswer>;
  close(): void;
}

const PERSISTENT = m.GrpcSequenceDurability.SEQUENCE_PERSISTENT;

/** How the messages of the sequencer travel. */
interface SequenceMessenger {
  create(message: Partial<m.GrpcCreateSequenceRequest>): Promise<m.GrpcSequenceResponse>;
  get(message: Partial<m.GrpcGetSequenceRequest>): Promise<m.GrpcSequenceResponse>;
  update(message: Partial<m.GrpcUpdateSequenceRequest>): Promise<m.GrpcSequenceResponse>;
  delete(message: Partial<m.GrpcDeleteSequenceRequest>): Promise<m.GrpcSequenceResponse>;
  next(message: Partial<m.GrpcNextSequenceRequest>): Promise<m.GrpcSequenceAllocationResponse>;
  reserve(message: Partial<m.GrpcReserveSequenceRangeRequest>): Promise<m.GrpcSequenceAllocationResponse>;
  close(): void;
}

function unaryCalls(address: string): SequenceMessenger {
  const grpc = new GrpcClient(address);
  const entry = m.GrpcSequenceResponse;
  const allocation = m.GrpcSequenceAllocationResponse;
  return {
    create: fields => grpc.call('/Sequencer/CreateSequence', m.GrpcCreateSequenceRequest, entry, fields),
    get: fields => grpc.call('/Sequencer/GetSequence', m.GrpcGetSequenceRequest, entry, fields),
    update: fields => grpc.call('/Sequencer/UpdateSequence', m.GrpcUpdateSequenceRequest, entry, fields),
    delete: fields => grpc.call('/Sequencer/DeleteSequence', m.GrpcDeleteSequenceRequest, entry, fields),
    next: fields => grpc.call('/Sequencer/NextSequenceValue', m.GrpcNextSequenceRequest, allocation, fields),
    reserve: fields => grpc.call('/Sequencer/ReserveSequenceRange', m.GrpcReserveSequenceRangeRequest, allocation, fields),
    close: () => grpc.close(),
  };
}

function streamed(stream: PayloadStream): SequenceMessenger {
  return {
    create: fields => stream.ask('CreateSequence', message(m.GrpcCreateSequenceRequest, fields)),
    get: fields => stream.ask('GetSequence', message(m.GrpcGetSequenceRequest, fields)),
    update: fields => stream.ask('UpdateSequence', message(m.GrpcUpdateSequenceRequest, fields)),
    delete: fields => stream.ask('DeleteSequence', message(m.GrpcDeleteSequenceRequest, fields)),
    next: fields => stream.ask('NextSequenceValue', message(m.GrpcNextSequenceRequest, fields)),
    reserve: fields => stream.ask('ReserveSequenceRange', message(m.GrpcReserveSequenceRangeRequest, fields)),
    close: () => stream.close(),
  };
}

export class GrpcSequences implements SequenceApi {
  readonly name: string;
  private readonly messenger: SequenceMessenger;

  private constructor(name: string, messenger: SequenceMessenger) {
    this.name = name;
    this.messenger = messenger;
  }

  /** One call per request. */
  static unary(address: string): GrpcSequences {
    return new GrpcSequences('gRPC', unaryCalls(address));
  }

  /** `Batcher.Batch`, in frames. */
  static inFrames(address: string): GrpcSequences {
    return new GrpcSequences('batcher', streamed(new PayloadStream(address, BATCHER_STREAM)));
  }

  async create(name: string, options: CreateOptions = {}): Promise<EntryAnswer> {
    const { initialValue = 0n, increment = 1n, durability = PERSISTENT } = options;
    const fields = {
      ...{ Name: name, InitialValue: initialValue, Increment: increment, Durability: durability as m.GrpcSequenceDurability },
      ...{ MaxValue: options.maxValue, BlockSize: options.blockSize },
    };
    return entryOf(await this.messenger.create(fields));
  }

  async get(name: string): Promise<EntryAnswer> {
    return entryOf(await this.messenger.get({ Name: name, Durability: PERSISTENT }));
  }

  async update(name: string, changes: Changes): Promise<EntryAnswer> {
    const fields = {
      ...{ Name: name, Durability: PERSISTENT, CurrentValue: changes.currentValue, Increment: changes.increment },
      ...{ InitialValue: changes.initialValue, MaxValue: changes.maxValue, RemoveMaxValue: changes.removeMaxValue ?? false },
      ...{ BlockSize: changes.blockSize, RemoveBlockSize: changes.removeBlockSize ?? false },
    };
    return entryOf(await this.messenger.update(fields));
  }

  async delete(name: string): Promise<EntryAnswer> {
    return entryOf(await this.messenger.delete({ Name: name, Durability: PERSISTENT }));
  }

  async next(name: string, key?: string): Promise<AllocationAnswer> {
    return allocationOf(await this.messenger.next({ Name: name, IdempotencyKey: key, Durability: PERSISTENT }));
  }

  async reserve(name: string, count: number, key?: string): Promise<AllocationAnswer> {
    const fields = { Name: name, Count: count, IdempotencyKey: key, Durability: PERSISTENT };
    return allocationOf(await this.messenger.reserve(fields));
  }

  close(): void {
    this.messenger.close();
  }
}

function entryOf(answer: m.GrpcSequenceResponse): EntryAnswer {
  const { Type: type, Revision: revision, Sequence: entry } = answer;
  if (entry === undefined) return { type, revision, entry: null };
  return {
    type,
    revision,
    entry: {
      name: entry.Name,
      currentValue: entry.CurrentValue,
      initialValue: entry.InitialValue,
      increment: entry.Increment,
      maxValue: entry.MaxValue ?? null,
      blockSize: entry.BlockSize ?? null,
      incarnation: entry.Incarnation,
      revision: entry.Revision,
      durability: entry.Durability,
      createdAt: { n: entry.CreatedAtNode, l: Number(entry.CreatedAtPhysical), c: entry.CreatedAtCounter },
      updatedAt: { n: entry.UpdatedAtNode, l: Number(entry.UpdatedAtPhysical), c: entry.UpdatedAtCounter },
    },
  };
}

function allocationOf(answer: m.GrpcSequenceAllocationResponse): AllocationAnswer {
  const { Type: type, Allocation: allocation } = answer;
  const partitionId = answer.Route?.PartitionId ?? 0;
  if (allocation === undefined) return { type, start: 0n, end: 0n, count: 0, revision: 0n, partitionId };
  const { Start: start, End: end, Count: count, Revision: revision } = allocation;
  return { type, start, end, count, revision, partitionId };
}

/** Integers of 64 bits arrive as text: `RestCalls` keeps what a number would round. */
type Wide = number | string;

interface RawAnswer {
  readonly type: number;
  readonly revision: Wide;
  readonly sequence: Record<'currentValue' | 'initialValue' | 'increment' | 'incarnation' | 'revision', Wide> & {
    readonly name: string;
    readonly maxValue: Wide | null;
    readonly blockSize: number | null;
    readonly durability: number;
    readonly createdAt: Hlc;
    readonly updatedAt: Hlc;
  };
  readonly allocation: { readonly start: Wide; readonly end: Wide; readonly count: number; readonly revision: Wide };
  readonly route: Route | null;
}

export class RestSequences implements SequenceApi {
  readonly name = 'REST';
  private readonly rest: RestCalls;

  constructor(url: string) {
    this.rest = new RestCalls(`${url}/v1/sequences`);
  }

  private async entry(path: string, body: object): Promise<EntryAnswer> {
    const { type, revision, sequence } = await this.rest.post<RawAnswer>(path, body);
    if (sequence === null) return { type, revision: BigInt(revision), entry: null };
    const { currentValue, initialValue, increment, maxValue, incarnation } = sequence;
    return {
      type,
      revision: BigInt(revision),
      entry: {
        ...sequence,
        currentValue: BigInt(currentValue),
        initialValue: BigInt(initialValue),
        increment: BigInt(increment),
        maxValue: maxValue === null ? null : BigInt(maxValue),
        incarnation: BigInt(incarnation),
        revision: BigInt(sequence.revision),
      },
    };
  }

  private async allocation(path: string, body: object): Promise<AllocationAnswer> {
    const { type, allocation, route } = await this.rest.post<RawAnswer>(path, body);
    const { start, end, count, revision } = allocation;
    const partitionId = route?.partitionId ?? 0;
    return { type, start: BigInt(start), end: BigInt(end), count, revision: BigInt(revision), partitionId };
  }

  create(name: string, options: CreateOptions = {}): Promise<EntryAnswer> {
    return this.entry('create', { name, durability: PERSISTENT, ...options });
  }

  get(name: string): Promise<EntryAnswer> {
    return this.entry('get', { name });
  }

  update(name: string, changes: Changes): Promise<EntryAnswer> {
    return this.entry('update', { name, durability: PERSISTENT, ...changes });
  }

  delete(name: string): Promise<EntryAnswer> {
    return this.entry('delete', { name });
  }

  next(name: string, key?: string): Promise<AllocationAnswer> {
    return this.allocation('next', { name, idempotencyKey: key });
  }

  reserve(name: string, count: number, key?: string): Promise<AllocationAnswer> {
    return this.allocation('reserve', { name, count, idempotencyKey: key });
  }

  close(): void {
    this.rest.close();
  }
}

/** Spreads calls over several nodes, one after the other: an answer must not depend on who was asked. */
export function anySequenceNode(apis: readonly SequenceApi[]): SequenceApi {
  let turn = 0;
  const any = (): SequenceApi => apis[turn++ % apis.length] as SequenceApi;
  return {
    name: apis[0]?.name ?? 'none',
    create: (name, options) => any().create(name, options),
    get: name => any().get(name),
    update: (name, changes) => any().update(name, changes),
    delete: name => any().delete(name),
    next: (name, key) => any().next(name, key),
    reserve: (name, count, key) => any().reserve(name, count, key),
    close: () => {
      for (const api of apis) api.close();
    },
  };
}
