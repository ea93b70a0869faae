import { Server, type ServerOptions, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { KahunaNode } from '@kahuna/node';
import { HealthImplementation } from 'grpc-health-check';
import { backupCalls } from './backup-calls.ts';
import { type BatchCall, type BatchContext, BatchStream, FramePool } from './batch-stream.ts';
import { clusterCalls } from './cluster-calls.ts';
import { widenFlowControl } from './flow-control.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { KeyValueCalls, type UnaryHandler } from './key-value-calls.ts';
import { addReflection } from './reflection.ts';
import { RouteHints } from './route-hints.ts';

/** Largest message in either direction (grpc §1.2). Bytes. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** How often the answer of the health service is brought up to date. Milliseconds. */
const HEALTH_REFRESH_MS = 500;

/**
 * Options of a server that released clients work with (grpc §1.2): large messages, many streams, and no opinion of its own about
 * how long a connection may stay or how often it may ping.
 */
export const GRPC_SERVER_OPTIONS: ServerOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 2000,
  'grpc.enable_channelz': 0,
};

/** A server with those options. It listens on a port, takes connections from an injector, or both. */
export function createGrpcServer(): Server {
  const server = new Server(GRPC_SERVER_OPTIONS);
  widenFlowControl(server);
  return server;
}

/** What the process does with the services after they are registered. */
export interface GrpcServices {
  /**
   * The server is about to stop: new calls are answered MustRetry, batch streams answer what they have in flight and end with
   * UNAVAILABLE. Resolves when the last of them has ended.
   */
  drain(): Promise<void>;
  /** Batch streams that are open. */
  readonly openStreams: number;
}

/** Puts every service of the contract that this release offers on the server. What is left out answers UNIMPLEMENTED. */
export function registerGrpcServices(server: Server, node: KahunaNode, settings: GrpcSettings): GrpcServices {
  const hints = new RouteHints(node, settings.clock, settings.hints);
  const keyValues = new KeyValueCalls(node, hints, settings);
  const streams = new BatchStreams({ node, hints, settings, frames: new FramePool() });
  const stopHealth = addHealth(server, node);

  addUnary(server, 'Cluster', clusterCalls(node, settings.hints));
  addUnary(server, 'Backups', backupCalls());
  addUnary(server, 'KeyValuer', {
    TrySetKeyValue: keyValues.oneKey('set'),
    TryGetKeyValue: keyValues.oneKey('get'),
    TryExistsKeyValue: keyValues.oneKey('exists'),
    TryDeleteKeyValue: keyValues.oneKey('delete'),
    TryExtendKeyValue: keyValues.oneKey('extend'),
    TrySetManyKeyValue: keyValues.manyKeys('set'),
    TryDeleteManyKeyValue: keyValues.manyKeys('delete'),
    TryGetManyValues: keyValues.manyKeys('get'),
    TryExistsManyValues: keyValues.manyKeys('exists'),
  });
  server.addService(
    { BatchClientKeyValueRequests: rawMethod('KeyValuer', 'BatchClientKeyValueRequests', true) },
    { BatchClientKeyValueRequests: (call: BatchCall) => streams.open(call) },
  );
  if (settings.protoFolder !== undefined) addReflection(server, settings.protoFolder);

  return {
    drain: () => {
      keyValues.stopping = true;
      stopHealth();
      return streams.drain();
    },
    get openStreams() {
      return streams.count;
    },
  };
}

/** The batch streams that are open. */
class BatchStreams {
  private readonly context: BatchContext;
  private readonly streams = new Set<BatchStream>();
  private onEmpty: (() => void) | undefined;
  private draining = false;

  constructor(context: BatchContext) {
    this.context = context;
  }

  get count(): number {
    return this.streams.size;
  }

  open(call: BatchCall): void {
    const stream = new BatchStream(call, this.context, ended => this.ended(ended));
    this.streams.add(stream);
    if (this.draining) stream.drain();
  }

  private ended(stream: BatchStream): void {
    this.streams.delete(stream);
    if (this.streams.size === 0) this.onEmpty?.();
  }

  drain(): Promise<void> {
    this.draining = true;
    for (const stream of [...this.streams]) stream.drain();
    if (this.streams.size === 0) return Promise.resolve();
    return new Promise(resolve => {
      this.onEmpty = resolve;
    });
  }
}

function addUnary(server: Server, service: string, handlers: Readonly<Record<string, UnaryHandler>>): void {
  const methods = Object.keys(handlers);
  const definition: ServiceDefinition = Object.fromEntries(methods.map(method => [method, rawMethod(service, method, false)]));
  const implementation: UntypedServiceImplementation = { ...handlers };
  server.addService(definition, implementation);
}

/** A method whose messages pass through as bytes: the handlers have their own codec. */
function rawMethod(service: string, method: string, streaming: boolean): ServiceDefinition[string] {
  return {
    path: `/${service}/${method}`,
    requestStream: streaming,
    responseStream: streaming,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
    originalName: method,
  };
}

function passThrough(bytes: Buffer): Buffer {
  return bytes;
}

/** `grpc.health.v1`: the server as a whole, and each service. Returns what says "not serving" from then on. */
function addHealth(server: Server, node: KahunaNode): () => void {
  const names = ['', 'KeyValuer', 'Cluster'];
  const health = new HealthImplementation(Object.fromEntries(names.map(name => [name, 'NOT_SERVING' as const])));
  const report = (serving: boolean): void => {
    for (const name of names) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  report(node.health().ready);
  const timer = setInterval(() => report(node.health().ready), HEALTH_REFRESH_MS);
  timer.unref();
  health.addToServer(server);
  return () => {
    clearInterval(timer);
    report(false);
  };
}
