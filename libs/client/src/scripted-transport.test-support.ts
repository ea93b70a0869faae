import { HLC_ZERO } from '@kahuna/base';
import type { ReceivedResult, RequestedOperation } from '@kahuna/wire';
import {
  type Connection,
  type Method,
  type OpenWatch,
  type RangePage,
  type RangeRequest,
  type Reply,
  type RequestOf,
  type ResponseOf,
  type Transport,
  TransportFailure,
  type WatchRequest,
  type WatchSink,
} from './transport.ts';

/** One request on its way, to be answered by the test or its script. */
export interface Sent {
  readonly endpoint: string;
  /** Kind of the operation on one key, or the method. */
  readonly what: RequestedOperation['kind'] | Method;
  readonly request: unknown;
  answer(response: unknown): void;
  fail(failure: TransportFailure): void;
}

export const lost = (sent: boolean): TransportFailure => new TransportFailure('the script broke the connection', sent);

/** Answer of one key with only what the test cares about. */
export function result(fields: Partial<ReceivedResult>): ReceivedResult {
  return {
    type: 0,
    revision: 0,
    value: null,
    expires: HLC_ZERO,
    lastUsed: HLC_ZERO,
    lastModified: HLC_ZERO,
    state: 0,
    elapsedMs: 0,
    hint: undefined,
    ...fields,
  };
}

/** A transport without a network: every request is recorded, and answered by `script` or later by the test. */
export class ScriptedTransport implements Transport {
  readonly name = 'scripted';
  readonly sent: Sent[] = [];
  script: (sent: Sent) => void = () => undefined;
  pagesOf: (endpoint: string, request: RangeRequest) => AsyncIterable<RangePage> = () => {
    throw new Error('this script has no pages');
  };
  watchOf: (endpoint: string, request: WatchRequest, alone: boolean, sink: WatchSink) => OpenWatch = () => {
    throw new Error('this script has no watches');
  };

  connect(endpoint: string): Connection {
    return {
      operate: (operation, reply) => this.record(endpoint, operation.kind, operation, reply),
      call: <M extends Method>(method: M, request: RequestOf<M>, _timeoutMs: number, reply: Reply<ResponseOf<M>>) =>
        this.record(endpoint, method, request, reply),
      pages: request => this.pagesOf(endpoint, request),
      watch: (request, alone, sink) => this.watchOf(endpoint, request, alone, sink),
      close: () => undefined,
    };
  }

  /** Requests of one kind. */
  of(what: Sent['what']): Sent[] {
    return this.sent.filter(sent => sent.what === what);
  }

  private record<R>(endpoint: string, what: Sent['what'], request: unknown, reply: Reply<R>): void {
    const sent: Sent = {
      endpoint,
      what,
      request,
      answer: response => reply.answered(response as R),
      fail: failure => reply.failed(failure),
    };
    this.sent.push(sent);
    queueMicrotask(() => this.script(sent));
  }
}
