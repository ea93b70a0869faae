import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { registerConsoleStream } from '../console/index.ts';
import { type EmbeddedNode, startEmbeddedNode } from '../embedded.ts';
import { Unread } from '../gateway/unread.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { registerWatchSocket } from '../watch/index.ts';
import { createRestApp } from './app.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly required?: readonly string[];
}
interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>;
}
interface ApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Partial<Record<'get' | 'post' | 'delete', Operation>>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

let node: EmbeddedNode;
let document: ApiDocument;
beforeAll(async () => {
  node = await startEmbeddedNode();
  document = (await (await fetch(`${node.url}/openapi.json`)).json()) as ApiDocument;
});
afterAll(() => node.stop());

/** Every route that a node serves, but the pages of the console and of this document, and the socket, which is no operation. */
async function servedRoutes(): Promise<string[]> {
  const served: string[] = [];
  const app = await createRestApp(node.node, {
    clock: systemClock,
    hints: { localUrl: '', disabled: true, hidePeers: true },
    unread: new Unread(systemClock),
    localEndpoint: '',
    allowedOrigins: [],
    consoleDirectory: undefined,
    consoleEnabled: true,
    isStopping: () => false,
    onInternalError: () => undefined,
    onRoute: (method, url) => served.push(`${method} ${url}`),
  });
  registerWatchSocket(app, node.node, new Unread(systemClock));
  registerConsoleStream(app, node.node, { allowedOrigins: [], level: 'admin', clock: systemClock });
  await app.ready();
  await app.close();
  return served.filter(route => !/ \/(ui|docs\/api|v1\/console\/stream)(\/|$)/.test(route)).sort();
}

function documentedRoutes(): string[] {
  return Object.entries(document.paths)
    .flatMap(([path, operations]) =>
      Object.keys(operations).map(method => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    )
    .sort();
}

describe('API document', () => {
  test('is OpenAPI 3.1 and names exactly the routes that are served', async () => {
    expect(document.openapi).toBe('3.1.0');
    const served = await servedRoutes();
    expect(served.length).toBeGreaterThan(50);
    expect(documentedRoutes()).toEqual(served);
  });

  test('every operation has a section and a summary, and every reference leads somewhere', () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const operation of Object.values(operations)) {
        expect(operation.tags, path).toHaveLength(1);
        expect(operation.summary, path).toBeTruthy();
      }
    }
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g);
    const names = new Set([...references].map(match => match[1] as string));
    expect([...names].sort()).toEqual(['Hlc', 'Problem', 'Route']);
    for (const name of names) expect(document.components.schemas).toHaveProperty(name);
  });

  test('answers of a real node are what the document says', async () => {
    const requests: readonly (readonly [string, object])[] = [
      ['/v1/kv/try-set', { key: 'doc/a', value: 'AQ==', durability: 1 }],
      ['/v1/kv/try-get', { key: 'doc/a', durability: 1 }],
      ['/v1/kv/try-exists', { key: 'doc/none', durability: 1 }],
      ['/v1/kv/try-extend', { key: 'doc/a', durability: 1, expiresMs: 60_000 }],
      ['/v1/kv/try-set-many', { items: [{ key: 'doc/b', value: null, durability: 1 }] }],
      ['/v1/kv/try-get-many', { items: [{ key: 'doc/b', durability: 1 }] }],
      ['/v1/kv/get-by-bucket', { prefixKey: 'doc', durability: 1 }],
      ['/v1/kv/scan-all-by-prefix', { prefixKey: 'do', durability: 1 }],
      ['/v1/kv/get-by-range', { prefix: 'doc', durability: 1, limit: 1 }],
      ['/v1/kv/snapshot-hold/acquire', { holderId: 'doc', timestamp: { n: 0, l: Date.now(), c: 0 }, leaseMs: 1000 }],
      ['/v1/locks/try-lock', { resource: 'doc', owner: 'AQ==', expiresMs: 1000, durability: 1 }],
      ['/v1/locks/get-info', { resource: 'doc', durability: 1 }],
      ['/v1/sequences/create', { name: 'doc', maxValue: 9 }],
      ['/v1/sequences/next', { name: 'doc' }],
      ['/v1/sequences/get', { name: 'doc' }],
    ];
    for (const [path, body] of requests) {
      const response = await fetch(node.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const schema = document.paths[path]?.post?.responses['200']?.content?.['application/json']?.schema;
      expect(schema, path).toBeDefined();
      expect(mismatches(await response.json(), schema as Schema, path)).toEqual([]);
    }
  });

  test('bodies are documented with the properties that are read', () => {
    const body = document.paths['/v1/locks/try-lock']?.post?.requestBody?.content['application/json']?.schema;
    expect(Object.keys(body?.properties ?? {}).sort()).toEqual(['durability', 'expiresMs', 'owner', 'resource']);
    expect(document.paths['/v1/ranges/merge']?.post?.requestBody).toBeUndefined();
  });

  test('the page to browse it comes from this node alone', async () => {
    const page = await fetch(`${node.url}/docs/api`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const html = await page.text();
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(match => match[1] as string);
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) {
      expect(link).not.toMatch(/^(https?:)?\/\//);
      const file = await fetch(new URL(link, `${node.url}/docs/api`));
      expect(file.status, link).toBe(200);
    }
    expect(await (await fetch(`${node.url}/docs/api/static/swagger-initializer.js`)).text()).toContain('/openapi.json');
  });
});

/** Where a value differs from its schema: missing and undocumented properties, and wrong types. */
function mismatches(value: unknown, schema: Schema, at: string): string[] {
  const name = schema.$ref?.split('/').at(-1);
  if (name !== undefined) return mismatches(value, document.components.schemas[name] as Schema, at);
  if (schema.oneOf !== undefined) {
    return schema.oneOf.some(one => mismatches(value, one, at).length === 0) ? [] : [`${at}: none of its forms`];
  }
  const types = [schema.type ?? []].flat();
  if (!types.includes(typeOf(value))) return [`${at}: ${typeOf(value)} instead of ${types.join(' or ')}`];
  if (Array.isArray(value)) return value.flatMap((item, i) => mismatches(item, schema.items ?? {}, `${at}[${i}]`));
  if (typeof value !== 'object' || value === null) return [];
  const properties = schema.properties ?? {};
  const missing = (schema.required ?? [])
    .filter(property => !(property in value))
    .map(property => `${at}.${property} is missing`);
  const wrong = Object.entries(value).flatMap(([property, inner]) => {
    const known = properties[property];
    return known === undefined ? [`${at}.${property} is not documented`] : mismatches(inner, known, `${at}.${property}`);
  });
  return [...missing, ...wrong];
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
