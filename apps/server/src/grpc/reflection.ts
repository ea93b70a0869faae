import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type {
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

/** `locks` declares a name that `keyvalues` declares too, and the two cannot share a pool (grpc §2); `batches` imports it. */
const LEFT_OUT: readonly string[] = ['locks.proto', 'batches.proto'];

const VERSIONS = ['v1', 'v1alpha'] as const;
type Version = (typeof VERSIONS)[number];

/** What the library would register for one version of the service. */
interface Registered {
  readonly method: MethodDefinition<object, object>;
  handle(call: ServerDuplexStream<object, object>): void;
}

/**
 * Server reflection for tools such as grpcurl, from the shipped .proto files as far as they go together. Reading and indexing them
 * takes a tenth of a server's start, and hardly any server is ever asked: it is done with the first question.
 */
export function addReflection(server: Server, protoFolder: string): void {
  let made: ReadonlyMap<Version, Registered> | undefined;
  for (const version of VERSIONS) {
    const registered = (): Registered => {
      made ??= read(protoFolder);
      return made.get(version) as Registered;
    };
    server.addService(
      {
        ServerReflectionInfo: {
          path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
          requestStream: true,
          responseStream: true,
          requestSerialize: message => registered().method.requestSerialize(message),
          requestDeserialize: bytes => registered().method.requestDeserialize(bytes),
          responseSerialize: message => registered().method.responseSerialize(message),
          responseDeserialize: bytes => registered().method.responseDeserialize(bytes),
        },
      },
      { ServerReflectionInfo: (call: ServerDuplexStream<object, object>) => registered().handle(call) },
    );
  }
}

function read(protoFolder: string): ReadonlyMap<Version, Registered> {
  const load = createRequire(import.meta.url);
  const { loadSync } = load('@grpc/proto-loader') as typeof import('@grpc/proto-loader');
  const { ReflectionService } = load('@grpc/reflection') as typeof import('@grpc/reflection');
  const files = readdirSync(protoFolder).filter(name => name.endsWith('.proto') && !LEFT_OUT.includes(name));
  const definition = loadSync(
    files.map(name => join(protoFolder, name)),
    { keepCase: true, includeDirs: [protoFolder] },
  );
  const reflection = new ReflectionService(definition);
  for (const version of ['v1', 'v1Alpha']) {
    for (const table of ['services', 'symbols']) dropLeadingDots(Reflect.get(Reflect.get(reflection, version), table));
  }
  return registrations(reflection);
}

/** The library can only put its services onto a server: this one keeps what it is given. */
function registrations(reflection: { addToServer(server: Pick<Server, 'addService'>): void }): ReadonlyMap<Version, Registered> {
  const kept = new Map<Version, Registered>();
  const addService = (service: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
    for (const version of VERSIONS) {
      const method = Object.values(service).find(({ path }) => path.startsWith(`/grpc.reflection.${version}.`));
      const handle = implementation['ServerReflectionInfo'];
      if (method !== undefined && handle !== undefined) kept.set(version, { method, handle: handle as Registered['handle'] });
    }
  };
  reflection.addToServer({ addService });
  return kept;
}

/**
 * Our files have no package, and the library then begins every name with the dot that would separate it from its package:
 * tools ask for the name without.
 */
function dropLeadingDots(table: Record<string, unknown>): void {
  for (const [name, entry] of Object.entries(table)) {
    if (!name.startsWith('.')) continue;
    delete table[name];
    table[name.slice(1)] = entry;
  }
}
