import {
  Server,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { KahunaNode } from '@kahuna/node';
import { BATCHER_ENVELOPES, KEY_VALUE_ENVELOPES, LOCK_ENVELOPES } from '@kahuna/wire';
import { HealthImplementation } from 'grpc-health-check';
import type { Unread } from '../gateway/unread.ts';
import { backupCalls } from './backup-calls.ts';
import { type BatchCall, type BatchContext, type BatchStream, FramePool } from './batch-stream.ts';
import { BatcherStream } from './batcher-stream.ts';
import { CallsInFlight } from './calls-in-flight.ts';
import { clusterCalls } from './cluster-calls.ts';
import { cutOff, whenGone } from './cut-off.ts';
import { widenFlowControl } from './flow-control.ts';
import type { GrpcSettings } from './grpc-settings.ts';
import { keyValueCalls } from './key-value-calls.ts';
import { KeyValueStream } from './key-value-stream.ts';
import { lockCalls } from './lock-calls.ts';
import { LockStream } from './lock-stream.ts';
import { type RangeStreamCall, streamRange } from './range-stream.ts';
import { addReflection } from './reflection.ts';
import { RouteHints } from './route-hints.ts';
import { scanCalls } from './scan-calls.ts';
import { sequenceCalls } from './sequence-calls.ts';
import { keySpaceCalls, topologyCalls } from './topology-calls.ts';
import { UnaryCalls, type UnaryHandler } from './unary.ts';
import { WatchCalls } from './watch-calls.ts';

/** Largest message in either direction (grpc §1.2). Bytes. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Unary answers of less are not counted: what HTTP/2 takes before it waits for a client is about as much. */
const LARGE_ANSWER_BYTES = 64 * 1024;

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
   * The server is about to stop: new calls are answered MustRetry, those in flight are answered, and batch streams answer what they have in
   * flight and end with UNAVAILABLE. Resolves when the last of them has ended.
   */
  drain(): Promise<void>;
  /** Batch streams that are open. */
  readonly openStreams: number;
}

/** Puts every service of the contract that this release offers on the server. What is left out answers UNIMPLEMENTED. */
export function registerGrpcServices(server: Server, node: KahunaNode, settings: GrpcSettings): GrpcServices {
  const hints = new RouteHints(node, settings.clock, settings.hints);
  const calls = new UnaryCalls(node, hints, settings);
  const inFlight = new CallsInFlight();
  const shared = { node, hints, settings, inFlight };
  const keyValueStreams = new BatchStreams(KeyValueStream, { ...shared, frames: new FramePool(KEY_VALUE_ENVELOPES) });
  const lockStreams = new BatchStreams(LockStream, { ...shared, frames: new FramePool(LOCK_ENVELOPES) });
  const batcherStreams = new BatchStreams(BatcherStream, { ...shared, frames: new FramePool(BATCHER_ENVELOPES) });
  const stopHealth = addHealth(server, node);

  addUnary(server, shared, 'Cluster', { ...clusterCalls(node, settings.hints), ...topologyCalls(node) });
  addUnary(server, shared, 'Backups', backupCalls());
  addUnary(server, shared, 'Sequencer', sequenceCalls(calls));
  addUnary(server, shared, 'Locker', lockCalls(calls));
  addUnary(server, shared, 'KeyValuer', { ...keyValueCalls(calls), ...scanCalls(calls), ...keySpaceCalls() });
  addStream(server, 'KeyValuer', 'GetByRangeStream', false, (call: RangeStreamCall) => streamRange(calls, call));
  addStream(server, 'KeyValuer', 'BatchClientKeyValueRequests', true, (call: BatchCall) => keyValueStreams.open(call));
  addStream(server, 'Locker', 'BatchClientLockRequests', true, (call: BatchCall) => lockStreams.open(call));
  addStream(server, 'Batcher', 'Batch', true, (call: BatchCall) => batcherStreams.open(call));
  const watches = new WatchCalls(node, settings.unread);
  addStream(server, 'Watcher', 'Watch', false, watches.handle);
  addStream(server, 'Watcher', 'WatchMany', true, watches.handleMany);
  if (settings.protoFolder !== undefined) addReflection(server, settings.protoFolder);

  return {
    drain: async () => {
      calls.stopping = true;
      stopHealth();
      watches.drain();
      await Promise.all([inFlight.none(), keyValueStreams.drain(), lockStreams.drain(), batcherStreams.drain()]);
    },
    get openStreams() {
      return keyValueStreams.count + lockStreams.count + batcherStreams.count;
    },
  };
}

type BatchStreamClass = new (call: BatchCall, context: BatchContext, onEnd: (stream: BatchStream) => void) => BatchStream;

/** The open batch streams of one service. */
class BatchStreams {
  private readonly streamClass: BatchStreamClass;
  private readonly context: BatchContext;
  private readonly streams = new Set<BatchStream>();
  private onEmpty: (() => void) | undefined;
  private draining = false;

  constructor(streamClass: BatchStreamClass, context: BatchContext) {
    this.streamClass = streamClass;
    this.context = context;
  }

  get count(): number {
    return this.streams.size;
  }

  open(call: BatchCall): void {
    const stream = new this.streamClass(call, this.context, ended => this.ended(ended));
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

/** What the unary methods of all services are counted in. */
interface UnaryAccounts {
  readonly settings: GrpcSettings;
  readonly inFlight: CallsInFlight;
}

function addUnary(
  server: Server,
  { settings, inFlight }: UnaryAccounts,
  service: string,
  handlers: Readonly<Record<string, UnaryHandler>>,
): void {
  const methods = Object.keys(handlers);
  const definition: ServiceDefinition = Object.fromEntries(methods.map(method => [method, rawMethod(service, method, 'unary')]));
  const implementation: UntypedServiceImplementation = Object.fromEntries(
    methods.map(method => [method, inFlight.counting(counted(handlers[method] as UnaryHandler, settings.unread))]),
  );
  server.addService(definition, implementation);
}

/** Large answers wait for their client until the call is gone. */
function counted(handler: UnaryHandler, unread: Unread): UnaryHandler {
  return (call, answer) =>
    handler(call, (error, bytes, ...rest) => {
      if (bytes && bytes.length >= LARGE_ANSWER_BYTES) {
        const account = unread.of(() => cutOff(call));
        whenGone(call, () => account.close());
        account.add(bytes.length);
      }
      answer(error, bytes, ...rest);
    });
}

/** `bidirectional`: else the server alone streams. */
function addStream<C>(
  server: Server,
  service: string,
  method: string,
  bidirectional: boolean,
  handler: (call: C) => unknown,
): void {
  const definition = { [method]: rawMethod(service, method, bidirectional ? 'bidirectional' : 'server') };
  server.addService(definition, { [method]: handler as UntypedHandleCall });
}

/** A method whose messages pass through as bytes: the handlers have their own codec. */
function rawMethod(service: string, method: string, streaming: 'unary' | 'server' | 'bidirectional'): ServiceDefinition[string] {
  return {
    path: `/${service}/${method}`,
    requestStream: streaming === 'bidirectional',
    responseStream: streaming !== 'unary',
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
  const names = ['', 'KeyValuer', 'Locker', 'Sequencer', 'Batcher', 'Watcher', 'Cluster'];
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
