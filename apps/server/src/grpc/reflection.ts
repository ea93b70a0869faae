import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

/** `locks` declares a name that `keyvalues` declares too, and the two cannot share a pool (grpc §2); `batches` imports it. */
const LEFT_OUT: readonly string[] = ['locks.proto', 'batches.proto'];

/** Server reflection for tools such as grpcurl, from the shipped .proto files as far as they go together. */
export function addReflection(server: Server, protoFolder: string): void {
  const files = readdirSync(protoFolder).filter(name => name.endsWith('.proto') && !LEFT_OUT.includes(name));
  const definition = loadSync(
    files.map(name => join(protoFolder, name)),
    { keepCase: true, includeDirs: [protoFolder] },
  );
  const reflection = new ReflectionService(definition);
  for (const version of ['v1', 'v1Alpha']) {
    for (const table of ['services', 'symbols']) dropLeadingDots(Reflect.get(Reflect.get(reflection, version), table));
  }
  reflection.addToServer(server);
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
