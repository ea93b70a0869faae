import * as grpc from '@grpc/grpc-js';
import { keyValueMessages as m, type ReceivedResult, type RequestedOperation, routingMessages } from '@kahuna/wire';
import { BatchStream, CHANNEL_OPTIONS } from './batch-stream.ts';
import {
  type Answer,
  Flag,
  type Hlc,
  type KeyRequest,
  type KvApi,
  type ReadItem,
  type Route,
  type Row,
  type SetRequest,
  ZERO,
} from './kv-api.ts';
import { KEY_VALUE_STREAM, PayloadStream } from './payload-stream.ts';

/** What the generated code offers for a message type. */
interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const NOTHING = new Uint8Array(0);

/** A message with these fields and every other one at its default. */
export function message<T>(codec: Codec<T>, fields: Partial<T>): T {
  return { ...codec.decode(NOTHING), ...fields };
}

/** Unary calls of one node, by method path. */
export class GrpcClient {
  private readonly client: grpc.Client;

  constructor(address: string, credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure()) {
    this.client = new grpc.Client(address, credentials, CHANNEL_OPTIONS);
  }

  /** Rejects with the gRPC error when the status is not OK. */
  call<Q, A>(method: string, request: Codec<Q>, answer: Codec<A>, fields: Partial<Q>): Promise<A> {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        method,
        (value: Q) => Buffer.from(request.encode(value).finish()),
        (bytes: Buffer) => answer.decode(bytes),
        message(request, fields),
        { deadline: Date.now() + 60_000 },
        (error, value) => (error || value === undefined ? reject(error ?? new Error('no answer')) : resolve(value)),
      );
    });
  }

  /** The messages of a server stream, in order. Throws the gRPC error when the status is not OK. */
  stream<Q, A>(method: string, request: Codec<Q>, answer: Codec<A>, fields: Partial<Q>): AsyncIterable<A> {
    return this.client.makeServerStreamRequest(
      method,
      (value: Q) => Buffer.from(request.encode(value).finish()),
      (bytes: Buffer) => answer.decode(bytes),
      message(request, fields),
      { deadline: Date.now() + 60_000 },
    );
  }

  /** As `call`, with the request's bytes given as they are. */
  callRaw(method: string, bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const asIs = (value: Buffer): Buffer => value;
      this.client.makeUnaryRequest(method, asIs, asIs, bytes, { deadline: Date.now() + 60_000 }, (error, value) =>
        error || value === undefined ? reject(error ?? new Error('no answer')) : resolve(value),
      );
    });
  }

  close(): void {
    this.client.close();
  }
}

/** The unary gRPC calls of one node. */
export class GrpcKv implements KvApi {
  readonly name: string = 'gRPC';
  protected readonly grpc: GrpcClient;

  constructor(address: string) {
    this.grpc = new GrpcClient(address);
  }

  async set(item: SetRequest): Promise<Answer> {
    return answerOf(
      await this.grpc.call(
        '/KeyValuer/TrySetKeyValue',
        m.GrpcTrySetKeyValueRequest,
        m.GrpcTrySetKeyValueResponse,
        setFields(item),
      ),
    );
  }

  async get(item: Parameters<KvApi['get']>[0]): Promise<Answer> {
    return answerOf(
      await this.grpc.call(
        '/KeyValuer/TryGetKeyValue',
        m.GrpcTryGetKeyValueRequest,
        m.GrpcTryGetKeyValueResponse,
        readMessage(item),
      ),
    );
  }

  async exists(item: Parameters<KvApi['exists']>[0]): Promise<Answer> {
    return answerOf(
      await this.grpc.call(
        '/KeyValuer/TryExistsKeyValue',
        m.GrpcTryExistsKeyValueRequest,
        m.GrpcTryExistsKeyValueResponse,
        readMessage(item),
      ),
    );
  }

  async delete(item: Parameters<KvApi['delete']>[0]): Promise<Answer> {
    const fields = { Key: item.key, Durability: durability(item.durability) };
    return answerOf(
      await this.grpc.call(
        '/KeyValuer/TryDeleteKeyValue',
        m.GrpcTryDeleteKeyValueRequest,
        m.GrpcTryDeleteKeyValueResponse,
        fields,
      ),
    );
  }

  async extend(item: Parameters<KvApi['extend']>[0]): Promise<Answer> {
    const fields = { Key: item.key, Durability: durability(item.durability), ExpiresMs: item.expiresMs };
    return answerOf(
      await this.grpc.call(
        '/KeyValuer/TryExtendKeyValue',
        m.GrpcTryExtendKeyValueRequest,
        m.GrpcTryExtendKeyValueResponse,
        fields,
      ),
    );
  }

  async setMany(items: readonly SetRequest[]): Promise<readonly Row[]> {
    const answer = await this.grpc.call(
      '/KeyValuer/TrySetManyKeyValue',
      m.GrpcTrySetManyKeyValueRequest,
      m.GrpcTrySetManyKeyValueResponse,
      setManyFields(items),
    );
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  async getMany(items: readonly ReadItem[], readTimestamp: Hlc = ZERO): Promise<readonly Row[]> {
    const answer = await this.grpc.call(
      '/KeyValuer/TryGetManyValues',
      m.GrpcTryGetManyValuesRequest,
      m.GrpcTryGetManyValuesResponse,
      {
        Items: items.map(item => message(m.GrpcTryManyValuesRequestItem, readItem(item))),
        ...timestamp(readTimestamp),
      },
    );
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  async existsMany(items: readonly ReadItem[], readTimestamp: Hlc = ZERO): Promise<readonly Row[]> {
    const answer = await this.grpc.call(
      '/KeyValuer/TryExistsManyValues',
      m.GrpcTryExistsManyValuesRequest,
      m.GrpcTryExistsManyValuesResponse,
      { Items: items.map(item => message(m.GrpcTryManyValuesRequestItem, readItem(item))), ...timestamp(readTimestamp) },
    );
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  async deleteMany(items: readonly KeyRequest[]): Promise<readonly Row[]> {
    const answer = await this.grpc.call(
      '/KeyValuer/TryDeleteManyKeyValue',
      m.GrpcTryDeleteManyKeyValueRequest,
      m.GrpcTryDeleteManyKeyValueResponse,
      deleteManyFields(items),
    );
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  close(): void {
    this.grpc.close();
  }
}

/** The batch stream of one node as the .NET client uses it: only reads of many keys go unary (grpc §8.7). */
export class BatchKv extends GrpcKv {
  override readonly name = 'gRPC batch stream';
  private readonly stream: BatchStream;
  private readonly manyStream: PayloadStream;

  constructor(address: string) {
    super(address);
    this.stream = new BatchStream(address);
    this.manyStream = new PayloadStream(address, KEY_VALUE_STREAM);
  }

  private send(operation: RequestedOperation): Promise<Answer> {
    return new Promise((resolve, reject) =>
      this.stream.send(operation, result => (result ? resolve(received(result)) : reject(new Error('the stream broke')))),
    );
  }

  override set(item: SetRequest): Promise<Answer> {
    return this.send({
      kind: 'set',
      key: item.key,
      value: item.value,
      flags: item.flags ?? Flag.Set,
      compareValue: item.compareValue ?? null,
      compareRevision: item.compareRevision ?? 0,
      expiresMs: item.expiresMs ?? 0,
      durability: item.durability,
    });
  }

  override get(item: Parameters<KvApi['get']>[0]): Promise<Answer> {
    return this.read('get', item);
  }

  override exists(item: Parameters<KvApi['exists']>[0]): Promise<Answer> {
    return this.read('exists', item);
  }

  private read(kind: 'get' | 'exists', item: Parameters<KvApi['get']>[0]): Promise<Answer> {
    const { key, durability } = item;
    return this.send({ kind, key, durability, revision: item.revision ?? -1, readTimestamp: item.readTimestamp ?? ZERO });
  }

  override delete(item: Parameters<KvApi['delete']>[0]): Promise<Answer> {
    return this.send({ kind: 'delete', key: item.key, durability: item.durability });
  }

  override extend(item: Parameters<KvApi['extend']>[0]): Promise<Answer> {
    return this.send({ kind: 'extend', key: item.key, expiresMs: item.expiresMs, durability: item.durability });
  }

  override async setMany(items: readonly SetRequest[]): Promise<readonly Row[]> {
    const request = message(m.GrpcTrySetManyKeyValueRequest, setManyFields(items));
    const answer = await this.manyStream.ask<m.GrpcTrySetManyKeyValueResponse>('TrySetManyKeyValue', request);
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  override async deleteMany(items: readonly KeyRequest[]): Promise<readonly Row[]> {
    const request = message(m.GrpcTryDeleteManyKeyValueRequest, deleteManyFields(items));
    const answer = await this.manyStream.ask<m.GrpcTryDeleteManyKeyValueResponse>('TryDeleteManyKeyValue', request);
    return answer.Items.map(row => rowOf(row, answer.Routes));
  }

  override close(): void {
    this.stream.close();
    this.manyStream.close();
    super.close();
  }
}

/** Numbers that the contract does not declare are sent as they are: the server has to refuse them. */
const durability = (value: number): m.GrpcKeyValueDurability => value as m.GrpcKeyValueDurability;

function setFields(item: SetRequest): Partial<m.GrpcTrySetKeyValueRequest> {
  return {
    Key: item.key,
    ...(item.value === null ? {} : { Value: item.value }),
    ...(item.compareValue === undefined || item.compareValue === null ? {} : { CompareValue: item.compareValue }),
    CompareRevision: BigInt(item.compareRevision ?? 0),
    Flags: (item.flags ?? Flag.Set) as m.GrpcKeyValueFlags,
    ExpiresMs: item.expiresMs ?? 0,
    Durability: durability(item.durability),
  };
}

const setManyFields = (items: readonly SetRequest[]): Partial<m.GrpcTrySetManyKeyValueRequest> => ({
  Items: items.map(item => message(m.GrpcTrySetManyKeyValueRequestItem, setFields(item))),
});

const deleteManyFields = (items: readonly KeyRequest[]): Partial<m.GrpcTryDeleteManyKeyValueRequest> => ({
  Items: items.map(({ key, durability: number }) =>
    message(m.GrpcTryDeleteManyKeyValueRequestItem, { Key: key, Durability: durability(number) }),
  ),
});

const timestamp = (t: Hlc): TimestampFields => ({
  ReadTimestampNode: t.n,
  ReadTimestampPhysical: BigInt(t.l),
  ReadTimestampCounter: t.c,
});

interface ReadFields {
  Key: string;
  Revision: bigint;
  Durability: m.GrpcKeyValueDurability;
}

interface TimestampFields {
  ReadTimestampNode: number;
  ReadTimestampPhysical: bigint;
  ReadTimestampCounter: number;
}

const readItem = (item: ReadItem): ReadFields => ({
  Key: item.key,
  Revision: BigInt(item.revision ?? -1),
  Durability: durability(item.durability),
});

const readMessage = (item: Parameters<KvApi['get']>[0]): ReadFields & TimestampFields => ({
  ...readItem(item),
  ...timestamp(item.readTimestamp ?? ZERO),
});

interface Fields {
  readonly Type: number;
  readonly Revision: bigint;
  readonly Value?: Uint8Array | undefined;
  readonly ExpiresNode?: number;
  readonly ExpiresPhysical?: bigint;
  readonly ExpiresCounter?: number;
  readonly LastModifiedNode: number;
  readonly LastModifiedPhysical: bigint;
  readonly LastModifiedCounter: number;
  readonly Route?: routingMessages.GrpcRouteHint | undefined;
}

function answerOf(fields: Fields): Answer {
  return {
    type: fields.Type,
    revision: Number(fields.Revision),
    value: fields.Value === undefined ? null : Buffer.from(fields.Value),
    expires: { n: fields.ExpiresNode ?? 0, l: Number(fields.ExpiresPhysical ?? 0n), c: fields.ExpiresCounter ?? 0 },
    lastModified: { n: fields.LastModifiedNode, l: Number(fields.LastModifiedPhysical), c: fields.LastModifiedCounter },
    route: routeOf(fields.Route),
  };
}

function routeOf(hint: routingMessages.GrpcRouteHint | undefined): Route | null {
  if (!hint) return null;
  return {
    partitionId: hint.PartitionId,
    endpoint: hint.Endpoint,
    provenance: hint.Provenance,
    generation: Number(hint.Generation),
  };
}

type RowFields = Fields & { readonly Key: string; readonly Durability: number; readonly RouteIndex: number };

function rowOf(row: RowFields, routes: readonly routingMessages.GrpcRouteHint[]): Row {
  return { ...answerOf({ ...row, Route: routes[row.RouteIndex - 1] }), key: row.Key, durability: row.Durability };
}

function received(result: ReceivedResult): Answer {
  return {
    type: result.type,
    revision: result.revision,
    value: result.value === null ? null : Buffer.from(result.value),
    expires: result.expires,
    lastModified: result.lastModified,
    route: result.hint ? routeOf(routingMessages.GrpcRouteHint.decode(result.hint)) : null,
  };
}
