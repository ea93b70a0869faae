import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import type { Rng } from '@kahuna/base';
import WebSocket from 'ws';
import { hostileJson, type Schema } from './hostile-json.ts';
import { hostileBytes, hostileText, mutated } from './hostile-values.ts';

const REQUEST_LIMIT_MS = 40_000;
const GARBAGE_LIMIT_MS = 200;

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}
interface Route {
  readonly method: string;
  readonly path: string;
  readonly body: Schema | undefined;
}

/** Requests to every route of the API document, and bytes that are no requests at all. */
export class RestFuzzer {
  private readonly url: string;
  private readonly rng: Rng;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 4 });
  private routes: readonly Route[] = [];
  requests = 0;

  constructor(url: string, rng: Rng) {
    this.url = url;
    this.rng = rng;
  }

  async load(): Promise<void> {
    const answer = await fetch(`${this.url}/openapi.json`);
    const { paths } = (await answer.json()) as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
    this.routes = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        body: operation.requestBody?.content['application/json']?.schema,
      })),
    );
  }

  close(): void {
    this.agent.destroy();
  }

  /** One request; rejects with what the server did wrong. */
  async once(): Promise<void> {
    const { rng } = this;
    this.requests += 1;
    if (rng.chance(0.03)) return this.garbage();
    if (rng.chance(0.03)) return this.socket();
    const route = rng.pick(this.routes);
    const path = route.path.replace(/\{\w+\}/g, () => encodeURIComponent(safely(hostileText(rng)))) + this.query();
    const method = rng.chance(0.05) ? rng.pick(['PUT', 'PATCH', 'OPTIONS', 'HEAD', 'DELETE']) : route.method;
    const body = route.method === 'POST' ? this.body(route.body) : undefined;
    const { status, text } = await this.send(method, path, body);
    if (text === undefined) return;
    // Data surfaces never answer 5xx (rest §4.1); the others name theirs.
    const isData = /^\/v1\/(kv|locks|sequences)\//.test(route.path);
    const allowed = status < 500 || (!isData && (status === 501 || status === 503));
    if (!allowed) throw new Error(`${method} ${path} answered ${status} for ${body?.toString('latin1').slice(0, 2000)}`);
    if (isData && status === 200 && method === 'POST') JSON.parse(text);
  }

  private query(): string {
    return this.rng.chance(0.2) ? `?keySpace=${encodeURIComponent(safely(hostileText(this.rng)))}&keySpace=%zz&x` : '';
  }

  private body(schema: Schema | undefined): Buffer {
    const { rng } = this;
    if (schema === undefined || rng.chance(0.03)) return hostileBytes(rng);
    const text = Buffer.from(hostileJson(rng, schema));
    return rng.chance(0.3) ? mutated(rng, text) : text;
  }

  private send(
    method: string,
    path: string,
    body: Buffer | undefined,
  ): Promise<{ readonly status: number; readonly text: string | undefined }> {
    const { rng } = this;
    const type = rng.chance(0.05)
      ? rng.pick(['text/plain', 'application/json; charset=latin1', 'a/b/c', ''])
      : 'application/json';
    const headers = body === undefined ? {} : { 'content-type': type };
    return new Promise((resolve, reject) => {
      const outgoing = request(this.url + path, { method, headers, agent: this.agent, timeout: REQUEST_LIMIT_MS }, incoming =>
        readAll(incoming).then(text => resolve({ status: incoming.statusCode ?? 0, text }), reject),
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer in ${REQUEST_LIMIT_MS} ms`)));
      // The server may close a connection after a request that it could not read to its end.
      outgoing.on('error', error => (isHangUp(error) ? resolve({ status: 0, text: undefined }) : reject(error)));
      outgoing.end(body);
    });
  }

  /** Bytes on the port that are no protocol, or the beginning of one. */
  private garbage(): Promise<void> {
    const { port, hostname } = new URL(this.url);
    const starts = [
      '',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: x\r\n',
      'KHN1',
      'POST /v1/kv/try-get HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
    ];
    return new Promise(resolve => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(Buffer.concat([Buffer.from(this.rng.pick(starts)), hostileBytes(this.rng)]));
        setTimeout(() => socket.destroy(), GARBAGE_LIMIT_MS);
      });
      socket.on('data', () => undefined);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve());
    });
  }

  /** The console's socket, with messages that are none. */
  private socket(): Promise<void> {
    return new Promise(resolve => {
      const socket = new WebSocket(`${this.url.replace('http', 'ws')}/v1/console/stream`, CONSOLE_PROTOCOLS);
      socket.on('error', () => socket.terminate());
      socket.on('close', () => resolve());
      socket.on('open', () => {
        for (let messages = this.rng.int(1, 5); messages > 0; messages--) {
          const text = this.rng.chance(0.5)
            ? `{"t":${JSON.stringify(this.rng.pick(['sub', 'hello', 'unsub', 'get', 'x']))},"id":${hostileJson(this.rng, { type: 'integer' })},"topic":${hostileJson(this.rng, { type: 'string' })}}`
            : hostileText(this.rng);
          socket.send(this.rng.chance(0.1) ? hostileBytes(this.rng) : text);
        }
        setTimeout(() => socket.terminate(), GARBAGE_LIMIT_MS);
      });
    });
  }
}

const CONSOLE_PROTOCOLS = ['kahuna.console.v1'];

/** Halves of surrogate pairs have no percent encoding. */
function safely(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '?');
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of incoming) text += chunk;
  return text;
}

function isHangUp(error: Error): boolean {
  return ['ECONNRESET', 'EPIPE', 'HPE_INVALID_CONSTANT'].includes((error as NodeJS.ErrnoException).code ?? '');
}
