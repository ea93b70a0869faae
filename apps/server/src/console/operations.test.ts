import { ManualClock } from '@kahuna/base';
import type { Level, OperationReport, OperationRequest, Preflight } from '@kahuna/console/protocol';
import { Durability, ResponseType, SetFlag } from '@kahuna/partition';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { MemoryNode } from '../testing/memory-node.ts';
import { addOperations } from './operation-routes.ts';
import { Operations } from './operations.ts';
import { ConsoleReads } from './reads.ts';
import type { ClusterView } from './view.ts';

let app: FastifyInstance;
afterEach(() => app.close());

/** These actions do not look at the cluster. */
const EMPTY_VIEW: ClusterView = {
  nowMs: 0,
  selfId: 1,
  initialized: true,
  nodes: [],
  partitions: [],
  reach: [],
  sourceAges: [],
};

function open(level: Level = 'admin'): MemoryNode {
  const node = new MemoryNode();
  const clock = new ManualClock();
  app = fastify();
  const operations = new Operations(
    node,
    new ConsoleReads(node, clock, level),
    () => EMPTY_VIEW,
    clock,
    level,
    () => undefined,
  );
  addOperations(app, operations, { allowedOrigins: ['https://ops.example'], level, clock });
  return node;
}

async function post<T>(body: object, options: { readonly dryRun?: boolean; readonly headers?: Record<string, string> } = {}) {
  const answer = await app.inject({
    method: 'POST',
    url: `/v1/console/operations${options.dryRun === true ? '?dryRun=true' : ''}`,
    headers: { host: 'node:2070', ...options.headers },
    payload: body,
  });
  return { status: answer.statusCode, body: answer.json<T>() };
}

const set = (revision: string | null, text: string): OperationRequest => ({
  kind: 'set-key',
  params: {
    key: 'a/b',
    durability: 'persistent',
    valueB64: Buffer.from(text).toString('base64'),
    expiresMs: 0,
    noRevision: false,
  },
  expect: { revision },
});
const remove = (revision: string): OperationRequest => ({
  kind: 'delete-key',
  params: { key: 'a/b', durability: 'persistent' },
  expect: { revision },
});

describe('console:§7 one path for all actions', () => {
  test('a preview changes nothing and says what would be', async () => {
    const node = open();
    const { status, body } = await post<Preflight>(set(null, 'x'), { dryRun: true });
    expect([status, body.allowed, body.risk, body.phrase]).toEqual([200, true, 'low', null]);
    expect(body.effects).toContain('it never expires');
    expect(node.operations.every(operation => operation.kind === 'get')).toBe(true);
  });

  test('done, and then refused with the new facts when somebody was faster', async () => {
    open();
    expect((await post<OperationReport>(set(null, 'one'))).body).toMatchObject({
      state: 'ended',
      outcome: 'done',
      statusText: 'Set',
    });
    expect((await post<OperationReport>(set('0', 'two'))).body.outcome).toBe('done');
    const late = (await post<OperationReport>(set('0', 'three'))).body;
    expect([late.outcome, late.text]).toEqual(['refused', 'It is revision 1 now; you saw revision 0. Nothing was changed.']);
  });

  test('the write itself is conditional: what happens after the look cannot be overwritten', async () => {
    const node = open();
    await post(set(null, 'one'));
    await post(set('0', 'two'));
    const writes = node.operations.filter(operation => operation.kind === 'set');
    expect(writes.map(({ flags, compareRevision }) => [flags, compareRevision])).toEqual([
      [SetFlag.Set | SetFlag.IfNotExists, 0],
      [SetFlag.Set | SetFlag.IfEqualToRevision, 0],
    ]);
  });

  test('the same idempotency key again starts nothing', async () => {
    const node = open();
    await post(set(null, 'x'));
    const headers = { 'idempotency-key': 'k-1' };
    const [first, second] = await Promise.all([
      post<OperationReport>(remove('0'), { headers }),
      post<OperationReport>(remove('0'), { headers }),
    ]);
    expect(second.body).toEqual(first.body);
    expect(node.operations.filter(operation => operation.kind === 'delete')).toHaveLength(1);
    const found = await app.inject(`/v1/console/operations/${first.body.operationId}`);
    expect(found.json()).toEqual(first.body);
  });

  test('an answer that leaves it open is unknown, never failed', async () => {
    const node = open();
    node.scripted = {
      type: ResponseType.DoesNotExist,
      revision: -1,
      value: null,
      expires: { n: 0, l: 0, c: 0 },
      lastUsed: { n: 0, l: 0, c: 0 },
      lastModified: { n: 0, l: 0, c: 0 },
      state: 0,
      route: undefined,
    };
    const evaluated = node.submit.bind(node);
    node.submit = (operation, sink, token) => {
      if (operation.kind === 'set' && node.scripted !== undefined)
        node.scripted = { ...node.scripted, type: ResponseType.MustRetry };
      evaluated(operation, sink, token);
    };
    const { body } = await post<OperationReport>(set(null, 'x'));
    expect([body.outcome, body.text]).toEqual(['unknown', expect.stringContaining('may still take effect')]);
  });
});

describe('console:§11, §14 who may', () => {
  test.each([
    ['viewer', 'delete-key', 403],
    ['reader', 'delete-key', 403],
    ['editor', 'delete-key', 202],
    ['editor', 'release-lock', 403],
    ['operator', 'delete-key', 202],
  ] as const)('%s and %s: %i', async (level, kind, status) => {
    open(level);
    const lock = { kind, params: { resource: 'l', durability: 'persistent' }, expect: { ownerB64: 'YQ==', token: '0' } };
    const asked = await post(kind === 'delete-key' ? remove('0') : lock);
    expect(asked.status).toBe(status);
  });

  test('a foreign Origin is refused, our own and a listed one are let in', async () => {
    open();
    const from = async (origin: string): Promise<number> => (await post(remove('0'), { headers: { origin } })).status;
    expect(await from('http://evil.example')).toBe(403);
    expect(await from('http://node:2070')).toBe(202);
    expect(await from('https://ops.example')).toBe(202);
  });

  test.each([
    [{}],
    [{ kind: 'drop-everything', params: {}, expect: {} }],
    [{ kind: 'toString', params: {}, expect: {} }],
    [{ ...remove('0'), params: { key: '', durability: 'persistent' } }],
    [{ ...remove('0'), params: { key: '\ud800', durability: 'persistent' } }],
    [{ ...remove('0'), params: { key: 'a', durability: Durability.Persistent } }],
    [{ ...remove('0'), expect: { revision: '99999999999999999999' } }],
    [{ ...set(null, 'x'), expect: undefined }],
  ])('bad input is 400 and reaches no node: %j', async body => {
    const node = open();
    expect((await post(body)).status).toBe(400);
    expect(node.operations).toEqual([]);
  });

  test('too many starts are turned away', async () => {
    open();
    const statuses = await Promise.all(Array.from({ length: 14 }, async () => (await post(remove('0'))).status));
    expect(statuses.filter(status => status === 429)).toHaveLength(4);
  });
});
