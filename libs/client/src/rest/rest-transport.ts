import { DecodeError } from '@kahuna/base';
import { keyValueMessages, type ReceivedResult, type RequestedOperation, routingMessages } from '@kahuna/wire';
import { InvalidInputError } from '../errors.ts';
import { systemRuntime } from '../runtime.ts';
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
} from '../transport.ts';
import { toBase64 } from './base64.ts';
import { JsonObject, parseExact, toJson } from './json.ts';
import { hintOf, pageOf, ROUTES } from './methods.ts';
import { WatchSocket, type WebSocketClass } from './watch-socket.ts';

/** The server answers within half a minute, or not at all (rest §4.1). Milliseconds. */
const REQUEST_LIMIT_MS = 30_000;
/** A page that the server could not read is asked for this often. */
const PAGE_ATTEMPTS = 5;

const NO_WEB_SOCKET = 'this platform has no WebSocket: give restTransport() a class that makes them';

const MUST_RETRY = keyValueMessages.GrpcKeyValueResponseType.TYPE_MUST_RETRY;
const { GrpcRouteHint } = routingMessages;

/** Errors of the system under which no byte can have left: there was no connection. */
const UNSENT_CODES: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

const PATH_OF_KIND = {
  set: '/v1/kv/try-set',
  get: '/v1/kv/try-get',
  exists: '/v1/kv/try-exists',
  delete: '/v1/kv/try-delete',
  extend: '/v1/kv/try-extend',
} as const satisfies Record<RequestedOperation['kind'], string>;

function bodyOf(operation: RequestedOperation): object {
  const { kind: _, ...fields } = operation;
  if (operation.kind !== 'set') return fields;
  const { value, compareValue } = operation;
  return {
    ...fields,
    value: value && toBase64(value),
    compareValue: compareValue && toBase64(compareValue),
  };
}

function resultOf(json: JsonObject): ReceivedResult {
  const hint = hintOf(json.object('route'));
  return {
    type: json.number('type'),
    revision: json.number('revision'),
    value: json.bytes('value') ?? null,
    expires: json.hlc('expires'),
    lastUsed: json.hlc('lastUsed'),
    lastModified: json.hlc('lastModified'),
    state: 0,
    elapsedMs: 0,
    hint: hint && GrpcRouteHint.encode(hint).finish(),
  };
}

/** REST over `fetch`: one request each, in any browser. */
class RestConnection implements Connection {
  private readonly endpoint: string;
  private readonly webSocket: WebSocketClass | undefined;
  /** Of the requests under way. One signal for all of them would remember every request of the connection's life. */
  private readonly underWay = new Set<AbortController>();
  private watches: WatchSocket | undefined;
  private closed = false;

  constructor(endpoint: string, webSocket: WebSocketClass | undefined) {
    this.endpoint = endpoint;
    this.webSocket = webSocket;
  }

  operate(operation: RequestedOperation, reply: Reply<ReceivedResult>): void {
    this.deliver(this.fetchJson('POST', PATH_OF_KIND[operation.kind], bodyOf(operation), REQUEST_LIMIT_MS), resultOf, reply);
  }

  call<M extends Method>(method: M, request: RequestOf<M>, timeoutMs: number, reply: Reply<ResponseOf<M>>): void {
    const { verb, path, response } = ROUTES[method];
    const body = verb === 'POST' ? toJson(request) : undefined;
    this.deliver(this.fetchJson(verb, path, body, timeoutMs), response, reply);
  }

  private deliver<R>(answer: Promise<JsonObject>, read: (json: JsonObject) => R, reply: Reply<R>): void {
    const decoded = answer.then(json => reading(() => read(json)));
    decoded.then(
      response => reply.answered(response),
      failure => reply.failed(failure),
    );
  }

  async *pages(request: RangeRequest, signal: AbortSignal | undefined): AsyncGenerator<RangePage, void, void> {
    let cursor: string | undefined;
    for (let attempt = 1; ; ) {
      const page = await this.page({ ...toJson(request), cursor }, signal);
      if (page.Type === MUST_RETRY && attempt < PAGE_ATTEMPTS) {
        attempt += 1;
        continue;
      }
      if (page.Type === MUST_RETRY) throw new TransportFailure('the server cannot read the range', true);
      attempt = 1;
      yield page;
      if (!page.HasMore) return;
      cursor = page.NextCursor;
    }
  }

  /** Rejects with the signal's reason when that fires. */
  private async page(body: object, signal: AbortSignal | undefined): Promise<RangePage> {
    signal?.throwIfAborted();
    try {
      const json = await this.fetchJson('POST', '/v1/kv/get-by-range', body, REQUEST_LIMIT_MS, signal);
      return reading(() => pageOf(json));
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  watch(request: WatchRequest, _alone: boolean, sink: WatchSink): OpenWatch {
    if (this.webSocket === undefined) {
      queueMicrotask(() => sink.ended(new TransportFailure(NO_WEB_SOCKET, false, 'request')));
      return { resume: () => undefined, close: () => undefined };
    }
    if (this.watches === undefined || this.watches.isOver) {
      this.watches = new WatchSocket(this.endpoint, this.webSocket, systemRuntime);
    }
    return this.watches.open(request, sink);
  }

  /** Throws a {@link TransportFailure} for everything but an answer of the contract. */
  private async fetchJson(
    verb: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    limitMs: number,
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    if (this.closed) throw new TransportFailure('the connection is closed', false);
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    this.underWay.add(controller);
    signal?.addEventListener('abort', abort, { once: true });
    const limit = systemRuntime.afterInBackground(Math.max(0, limitMs), () => controller.abort(new Error('no answer in time')));
    try {
      const { status, text } = await exchange(`${this.endpoint}${path}`, verb, body, controller.signal);
      if (status !== 200) throw refusalOf(status, text);
      return reading(() => new JsonObject(parseExact(text)));
    } finally {
      limit.cancel();
      signal?.removeEventListener('abort', abort);
      this.underWay.delete(controller);
    }
  }

  close(): void {
    this.closed = true;
    this.watches?.fail('the connection is closed');
    for (const controller of this.underWay) controller.abort();
  }
}

/** Throws a {@link TransportFailure} where no answer came. */
async function exchange(
  url: string,
  verb: 'GET' | 'POST',
  body: object | undefined,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const init: RequestInit =
    body === undefined
      ? { method: verb, signal }
      : { method: verb, signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  try {
    const response = await fetch(url, init);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw failureOf(error);
  }
}

function failureOf(error: unknown): TransportFailure {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const message = cause instanceof Error && cause.message !== '' ? cause.message : String(error);
  return new TransportFailure(message, !UNSENT_CODES.has(code), 'endpoint', { cause: error });
}

function refusalOf(status: number, text: string): TransportFailure {
  const message = `HTTP ${status}${text === '' ? '' : `: ${text.slice(0, 200)}`}`;
  if (status === 400 || status === 413) return new TransportFailure(message, false, 'request');
  if (status >= 500) return new TransportFailure(message, true);
  return new TransportFailure(message, false, 'protocol');
}

/** What does not decode is no answer of this contract; the request was executed all the same. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DecodeError) && !(error instanceof SyntaxError)) throw error;
    throw new TransportFailure(`an answer that cannot be read: ${error.message}`, true, 'protocol', { cause: error });
  }
}

export interface RestOptions {
  /** With which watches are made. Default: that of the platform, which browsers have, and Node.js from version 22 on. */
  readonly WebSocket?: WebSocketClass | undefined;
}

/**
 * REST over HTTP, and watches over a WebSocket, for browsers and wherever HTTP/2 does not get through. Certificates are the platform's
 * business: `fetch` trusts what it trusts (in Node.js `NODE_EXTRA_CA_CERTS` adds to that).
 */
export function restTransport(options: RestOptions = {}): Transport {
  const webSocket = options.WebSocket ?? (globalThis as { readonly WebSocket?: WebSocketClass }).WebSocket;
  return {
    name: 'rest',
    connect(endpoint, tls) {
      if (tls?.ca !== undefined || tls?.cert !== undefined || tls?.key !== undefined) {
        throw new InvalidInputError('REST has no certificates of its own: use gRPC, or NODE_EXTRA_CA_CERTS');
      }
      return new RestConnection(endpoint, webSocket);
    },
  };
}
