import { Agent, type IncomingMessage, request } from 'node:http';
import { type Answer, type Hlc, type KvApi, Persistent, type ReadItem, type Route, type Row, ZERO } from './kv-api.ts';

interface RawAnswer {
  readonly type: number;
  readonly revision?: number;
  readonly value?: string | null;
  readonly expires?: Hlc;
  readonly lastModified?: Hlc;
  readonly route?: Route | null;
}

interface RawRow extends RawAnswer {
  readonly key: string;
  readonly durability: number;
  readonly routeIndex: number;
}

interface RawMany {
  readonly type: number;
  readonly items: readonly RawRow[];
  readonly routes: readonly Route[] | null;
}

/** What came back, whatever it was. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** One HTTP exchange without any help: body and headers go out as given. Rejects when the connection fails. */
export function http(
  url: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string | Buffer;
    readonly agent?: Agent;
    readonly timeoutMs?: number;
  } = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        method: options.method ?? (options.body === undefined ? 'GET' : 'POST'),
        headers: { ...(options.body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
        ...(options.agent ? { agent: options.agent } : {}),
      },
      answer => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString('utf8') }),
        );
        answer.on('error', reject);
      },
    );
    call.on('error', reject);
    call.setTimeout(options.timeoutMs ?? 60_000, () => call.destroy(new Error('no answer in time')));
    call.end(options.body);
  });
}

/** POST requests below one address, as JSON without loss: integers that a number would round travel as bigint and come as text. */
export class RestCalls {
  private readonly base: string;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(base: string) {
    this.base = base;
  }

  async post<T>(path: string, body: object): Promise<T> {
    const answer = await http(`${this.base}/${path}`, { body: toJson(body), agent: this.agent });
    if (answer.status !== 200) throw new Error(`${path}: HTTP ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text.replace(/(?<=[:,[])-?\d{16,}(?=[,}\]])/g, '"$&"')) as T;
  }

  async get<T>(path: string): Promise<T> {
    const answer = await http(`${this.base}/${path}`, { agent: this.agent });
    if (answer.status !== 200) throw new Error(`${path}: HTTP ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text) as T;
  }

  close(): void {
    this.agent.destroy();
  }
}

/** A bigint is written as the bare number that it is. */
function toJson(body: object): string {
  const text = JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? `bigint:${value}` : value));
  return text.replace(/"bigint:(-?\d+)"/g, '$1');
}

/** The REST interface of one node. */
export class RestKv implements KvApi {
  readonly name = 'REST';
  private readonly calls: RestCalls;

  constructor(url: string) {
    this.calls = new RestCalls(`${url}/v1/kv`);
  }

  private post<T>(path: string, body: object): Promise<T> {
    return this.calls.post(path, body);
  }

  private async one(path: string, body: object): Promise<Answer> {
    return answerOf(await this.post<RawAnswer>(path, body));
  }

  private async many(path: string, body: object): Promise<readonly Row[]> {
    const raw = await this.post<RawMany>(path, body);
    return raw.items.map(row => ({
      ...answerOf({ ...row, route: raw.routes?.[row.routeIndex - 1] ?? null }),
      key: row.key,
      durability: row.durability,
    }));
  }

  set(item: Parameters<KvApi['set']>[0]): Promise<Answer> {
    return this.one('try-set', setBody(item));
  }

  get(item: Parameters<KvApi['get']>[0]): Promise<Answer> {
    return this.one('try-get', item);
  }

  exists(item: Parameters<KvApi['exists']>[0]): Promise<Answer> {
    return this.one('try-exists', item);
  }

  delete(item: Parameters<KvApi['delete']>[0]): Promise<Answer> {
    return this.one('try-delete', item);
  }

  extend(item: Parameters<KvApi['extend']>[0]): Promise<Answer> {
    return this.one('try-extend', item);
  }

  setMany(items: Parameters<KvApi['setMany']>[0]): Promise<readonly Row[]> {
    return this.many('try-set-many', { items: items.map(setBody) });
  }

  getMany(items: readonly ReadItem[], readTimestamp: Hlc = ZERO): Promise<readonly Row[]> {
    return this.many('try-get-many', { items, readTimestamp });
  }

  existsMany(items: readonly ReadItem[], readTimestamp: Hlc = ZERO): Promise<readonly Row[]> {
    return this.many('try-exists-many', { items, readTimestamp });
  }

  deleteMany(items: Parameters<KvApi['deleteMany']>[0]): Promise<readonly Row[]> {
    return this.many('try-delete-many', { items });
  }

  close(): void {
    this.calls.close();
  }
}

function setBody(item: Parameters<KvApi['set']>[0]): object {
  return {
    ...item,
    value: item.value?.toString('base64') ?? null,
    compareValue: item.compareValue?.toString('base64') ?? null,
  };
}

function answerOf(raw: RawAnswer): Answer {
  return {
    type: raw.type,
    revision: raw.revision ?? 0,
    value: raw.value === undefined || raw.value === null ? null : Buffer.from(raw.value, 'base64'),
    expires: raw.expires ?? ZERO,
    lastModified: raw.lastModified ?? ZERO,
    route: raw.route ?? null,
  };
}

/** A persistent set of text, for tests that are about something else. */
export async function putText(api: KvApi, key: string, text: string): Promise<Answer> {
  return api.set({ key, value: Buffer.from(text), durability: Persistent });
}
