import { fileURLToPath } from 'node:url';
import {
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** A message as the loader shows it: 64-bit integers as text, enums as numbers, absent fields absent. */
export type Message = Readonly<Record<string, unknown>>;

const FILES = { KeyValuer: 'keyvalues', Locker: 'locks', Sequencer: 'sequences', Cluster: 'cluster' } as const;
export type ServiceName = keyof typeof FILES;
export const SERVICES = Object.keys(FILES) as ServiceName[];

/** The services of one server, and which of their methods were called. */
export class Caller {
  readonly called = new Set<string>();
  private readonly services = new Map<ServiceName, Client>();

  constructor(address: string, credentials: ChannelCredentials) {
    const folder = fileURLToPath(new URL('./proto', import.meta.url));
    for (const service of SERVICES) {
      // One pool each: two of the files declare the same name.
      const definition = loadSync(`${folder}/${FILES[service]}.proto`, {
        keepCase: true,
        longs: String,
        enums: Number,
        oneofs: true,
      });
      const Service = loadPackageDefinition(definition)[service] as ServiceClientConstructor;
      this.services.set(service, new Service(address, credentials, { 'grpc.max_receive_message_length': 64 * 1024 * 1024 }));
    }
  }

  /** Every method that the files declare, as `Service.Method`. */
  get declared(): readonly string[] {
    return [...this.services].flatMap(([service, client]) =>
      Object.keys(Object.getPrototypeOf(client))
        .filter(name => /^[A-Z]/.test(name))
        .map(name => `${service}.${name}`),
    );
  }

  /** Rejects with a `ServiceError` for any status but OK. */
  unary(service: ServiceName, method: string, request: Message): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.method(service, method)(request, (error: ServiceError | null, response: Message) =>
        error === null ? resolve(response) : reject(error),
      );
    });
  }

  /** A stream that the server alone sends. */
  stream(service: ServiceName, method: string, request: Message): AsyncIterable<Message> {
    return this.method(service, method)(request) as ClientReadableStream<Message>;
  }

  async collect(service: ServiceName, method: string, request: Message): Promise<readonly Message[]> {
    const messages: Message[] = [];
    for await (const message of this.stream(service, method, request)) messages.push(message);
    return messages;
  }

  bidirectional(service: ServiceName, method: string): ClientDuplexStream<Message, Message> {
    return this.method(service, method)() as ClientDuplexStream<Message, Message>;
  }

  /** Calls a method that no file declares. */
  raw(path: string): Promise<unknown> {
    const pass = (bytes: Buffer): Buffer => bytes;
    const client = this.services.get('Cluster') as Client;
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, pass, pass, Buffer.alloc(0), (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
    });
  }

  private method(service: ServiceName, name: string): (...args: unknown[]) => unknown {
    const client = this.services.get(service);
    const method: unknown = Reflect.get(client as object, name);
    if (typeof method !== 'function') throw new Error(`${service} has no ${name}`);
    this.called.add(`${service}.${name}`);
    return (...args) => method.apply(client, args) as unknown;
  }

  close(): void {
    for (const client of this.services.values()) client.close();
  }
}
