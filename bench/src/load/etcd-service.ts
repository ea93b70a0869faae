import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

type Services = Record<string, Record<string, grpc.ServiceClientConstructor>>;

/** A client of one of etcd's services as an ordinary Node.js program builds it: grpc-js with messages from the .proto file. */
export function etcdService<C extends grpc.Client>(address: string, file: string, packageName: string, service: string): C {
  const definition = loadSync(join(import.meta.dirname, '..', 'etcd', file), { longs: Number, defaults: true, keepCase: true });
  const api = grpc.loadPackageDefinition(definition) as unknown as Services;
  const Service = api[packageName]?.[service];
  if (!Service) throw new Error(`${file} declares no ${packageName}.${service}`);
  return new Service(address, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }) as unknown as C;
}

/** A unary method of such a client. */
export type EtcdMethod<Q, A> = (request: Q, done: (error: grpc.ServiceError | null, answer?: A) => void) => void;
