import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  type Server,
  ServerCredentials,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import type { Clock } from '@kahuna/base';
import { Unread } from '../gateway/unread.ts';
import { ObservedNode } from '../testing/observed-node.ts';
import { createGrpcServer, type GrpcServices, registerGrpcServices } from './services.ts';

export const PROTO_FOLDER = fileURLToPath(new URL('../../../../proto', import.meta.url));

/** Any message as the loader shows it. */
export interface Message {
  readonly Type?: number;
  readonly RequestId?: number;
  readonly Key?: string | undefined;
  readonly Value?: Buffer | undefined;
  /** Name of the field if it was present on the wire. */
  readonly _Value?: string;
  readonly _Owner?: string;
  readonly HasMore?: boolean;
  readonly ExpiresPhysical?: string;
  readonly HoldId?: string | undefined;
  readonly Revision?: string;
  readonly LastModifiedNode?: number;
  readonly LastModifiedPhysical?: string;
  readonly LastModifiedCounter?: number;
  readonly Route?: Message | null;
  readonly Routes?: readonly Message[];
  readonly Items?: readonly Message[];
  readonly Frame?: { readonly Items: readonly Message[] } | undefined;
  readonly payload?: string;
  readonly LocalEndpoint?: string;
  /** Of a health check. */
  readonly status?: number;
  readonly [field: string]: unknown;
}
export type BatchClientStream = ClientDuplexStream<Message, Message>;

const systemClock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

/** A gateway on a loopback port over a real node in memory. */
export interface TestServer {
  readonly node: ObservedNode;
  readonly server: Server;
  readonly services: GrpcServices;
  readonly address: string;
  readonly faults: unknown[];
  close(): Promise<void>;
}

/** `injected`: connections are accepted by a plain socket server and handed over, as the shared HTTP port does it. */
export async function startTestServer(
  options: {
    readonly injected?: boolean;
    readonly hints?: boolean;
    readonly reflection?: boolean;
    readonly unread?: Unread;
  } = {},
): Promise<TestServer> {
  const node = await startNode();
  const server = createGrpcServer();
  const faults: unknown[] = [];
  const services = registerGrpcServices(server, node, {
    clock: systemClock,
    hints: { localUrl: 'https://node-1:8082', disabled: options.hints === false, hidePeers: false },
    unread: options.unread ?? new Unread(systemClock),
    protoFolder: options.reflection ? PROTO_FOLDER : undefined,
    onFault: (what, error) => faults.push(what, error),
  });
  if (options.injected) {
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const sockets = createServer(socket => injector.injectConnection(socket));
    const port = await listen(sockets);
    return {
      node,
      server,
      services,
      faults,
      address: `127.0.0.1:${port}`,
      close: async () => {
        sockets.close();
        injector.destroy();
        server.forceShutdown();
        await node.stop();
      },
    };
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const close = async (): Promise<void> => {
    server.forceShutdown();
    await node.stop();
  };
  return { node, server, services, faults, address: `127.0.0.1:${port}`, close };
}

/** Member 1 of two; leads partitions 2 and 3, as its routing view says for all tests alike. */
function startNode(): Promise<ObservedNode> {
  const clientUrl = (nodeId: number): string => `https://node-${nodeId}:8082`;
  const other = {
    endpoint: '10.0.0.2:2070',
    nodeId: 2,
    name: 'node-2',
    role: 'Voter',
    joinedVersion: 1,
    clientUrl: clientUrl(2),
    consoleUrl: '',
  } as const;
  return ObservedNode.start({ name: 'node-1', endpoint: '10.0.0.1:2070', clientUrl: clientUrl(1), partitions: 3 }, other, {
    routing: keySpace => ({
      initialized: true,
      poolSize: 3,
      localUrl: clientUrl(1),
      mapVersion: 7,
      coherent: true,
      keySpaces: keySpace === undefined ? [] : [{ keySpace, mode: 'Hash', ranges: [] }],
      leaders: [2, 3, 4].map(partitionId => ({ partitionId, url: partitionId === 4 ? '' : clientUrl(partitionId - 1) })),
    }),
  });
}

function listen(sockets: NetServer): Promise<number> {
  return new Promise(resolve => {
    sockets.listen(0, '127.0.0.1', () => resolve((sockets.address() as AddressInfo).port));
  });
}

const definitions = new Map<string, PackageDefinition>();

/** The loader's view of one of our files, with the settings that a strict client uses: exact 64-bit integers, enums as numbers. */
function definitionOf(file: string): PackageDefinition {
  const known = definitions.get(file);
  if (known !== undefined) return known;
  const definition = loadSync(file, {
    keepCase: true,
    includeDirs: [PROTO_FOLDER],
    longs: String,
    enums: Number,
    defaults: true,
    oneofs: true,
  });
  definitions.set(file, definition);
  return definition;
}

/** A client made of nothing but the gRPC library and .proto files. `service` with its package, if it has one. */
export class TestClient {
  private readonly client: InstanceType<ServiceClientConstructor>;

  constructor(
    address: string,
    file: string,
    service: string,
    channelOptions: Record<string, number> = {},
    channelCredentials: ChannelCredentials = credentials.createInsecure(),
  ) {
    const packages: unknown = loadPackageDefinition(definitionOf(file));
    const Service = service
      .split('.')
      .reduce((inside, name) => Reflect.get(inside as object, name), packages) as ServiceClientConstructor;
    this.client = new Service(address, channelCredentials, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...channelOptions,
    });
  }

  /** Rejects with the `ServiceError` of any status but OK. */
  call(method: string, request: Message): Promise<Message> {
    return new Promise((resolve, reject) => {
      const invoke = this.client[method] as unknown;
      if (typeof invoke !== 'function') throw new Error(`no method ${method}`);
      invoke.call(this.client, request, (error: ServiceError | null, response: Message) =>
        error ? reject(error) : resolve(response),
      );
    });
  }

  /** A call with bytes of the test's own in place of an encoded request. */
  callRaw(path: string, bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const pass = (value: Buffer): Buffer => value;
      this.client.makeUnaryRequest(path, pass, pass, bytes, (error: ServiceError | null, response?: Buffer) =>
        error ? reject(error) : resolve(response as Buffer),
      );
    });
  }

  batch(): BatchClientStream {
    return this.duplex('BatchClientKeyValueRequests');
  }

  duplex(method: string): BatchClientStream {
    const open = Reflect.get(this.client, method) as () => BatchClientStream;
    return open.call(this.client);
  }

  serverStream(method: string, request: Message): ClientReadableStream<Message> {
    const open = Reflect.get(this.client, method) as (request: Message) => ClientReadableStream<Message>;
    return open.call(this.client, request);
  }

  rawBatch(): ClientDuplexStream<Buffer, Buffer> {
    const pass = (value: Buffer): Buffer => value;
    return this.client.makeBidiStreamRequest('/KeyValuer/BatchClientKeyValueRequests', pass, pass);
  }

  close(): void {
    this.client.close();
  }
}

/** Collects what arrives on a stream, and resolves when enough has. */
export class Received<T> {
  readonly messages: T[] = [];
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(stream: { on(event: 'data', listener: (message: T) => void): unknown }) {
    stream.on('data', message => {
      this.messages.push(message);
      this.waiting = this.waiting.filter(waiter => {
        if (this.messages.length < waiter.count) return true;
        waiter.resolve();
        return false;
      });
    });
  }

  async first(count: number): Promise<readonly T[]> {
    if (this.messages.length < count) await new Promise<void>(resolve => this.waiting.push({ count, resolve }));
    return this.messages.slice(0, count);
  }
}
