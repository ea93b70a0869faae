import { type Hlc, isZeroHlc } from '@kahuna/base';
import { type Operation, type OperationResult, ResponseType } from '@kahuna/partition';
import type { RequestedGet, RequestedOperation, RequestedSet } from '@kahuna/wire';
import { invalidInput, isValidOperation, refusal, setManyIsValid } from '../gateway/validate.ts';
import { type DataContext, type Endpoint, endpoint } from './endpoint.ts';
import type { Integer } from './fields.ts';
import { bytesJson, hlcJson } from './json-output.ts';
import {
  BYTES,
  HLC,
  INT32,
  INT64,
  type JsonSchema,
  KEY_VALUE_TYPES,
  list,
  nullable,
  object,
  outcome,
  ROUTE,
  SERVED_FROM,
  shared,
  TEXT,
} from './json-schema.ts';
import { RouteTable } from './route-hints.ts';
import { bytes, durability, hlc, int32, int64, items, type Read, setFlags, text } from './shape.ts';
import { OPERATION_IDENTITY, TRANSACTION, transactionRefusal } from './transaction-fields.ts';

/** A compare revision that no key can have (spec keyvalues §6.2: below −1 never matches). */
const NO_REVISION = -2;

// ---- requests --------------------------------------------------------------------------------------------------------------

const KEY = { key: text('Any text that is not empty'), durability: durability() } as const;
const SET = {
  ...KEY,
  value: bytes('null is no value, "" zero bytes'),
  expiresMs: int32(0, 'Lifetime in milliseconds; 0: for ever'),
  flags: setFlags(),
  compareValue: bytes('Of flag 16'),
  compareRevision: int64(0, 'Of flag 32'),
} as const;
const EXTEND = { ...KEY, expiresMs: int32(0, 'New lifetime in milliseconds, from now; 0: for ever') } as const;
const READ = { ...KEY, revision: int64(-1, 'Revision to read; below 0: the latest') } as const;
const READ_TIMESTAMP = { readTimestamp: hlc('Time to read as of; zero: the latest') } as const;
const ITEM_TRANSACTION = { transactionId: hlc('Session; zero: no transaction') } as const;

function toSet({ compareRevision, ...rest }: Read<typeof SET>): RequestedSet {
  const { key, value, expiresMs, flags, compareValue, durability } = rest;
  const comparable = typeof compareRevision === 'number' ? compareRevision : NO_REVISION;
  return { kind: 'set', key, value, expiresMs, flags, compareValue, compareRevision: comparable, durability };
}

function toGet(kind: 'get' | 'exists', body: Read<typeof READ>, readTimestamp: Hlc): RequestedGet {
  const { key, durability } = body;
  return { kind, key, revision: knownRevision(body.revision), readTimestamp, durability };
}

/** Revisions beyond the safe integers exist nowhere; the largest safe one stands for them. Negative ones all mean the latest. */
function knownRevision(revision: Integer): number {
  if (revision < 0) return -1;
  return typeof revision === 'number' ? revision : Number.MAX_SAFE_INTEGER;
}

// ---- one key ---------------------------------------------------------------------------------------------------------------

type TransactionBody = Read<typeof TRANSACTION>;

async function runOne(body: TransactionBody, requested: RequestedOperation, context: DataContext): Promise<OperationResult> {
  if (!isValidOperation(requested)) return invalidInput();
  const refused = transactionRefusal(body, body.transactionId);
  return refused === undefined ? context.calls.run(requested) : refusal(refused);
}

const TYPE = outcome(KEY_VALUE_TYPES);
const WRITE_RESPONSE = object({ servedFrom: SERVED_FROM, type: TYPE, revision: INT64, lastModified: HLC, route: ROUTE });
const READ_TAIL = { revision: INT64, expires: HLC, lastModified: HLC };
const GET_RESPONSE = object({ servedFrom: SERVED_FROM, type: TYPE, value: BYTES, ...READ_TAIL, route: ROUTE });
const EXISTS_RESPONSE = object({ servedFrom: SERVED_FROM, type: TYPE, ...READ_TAIL, route: ROUTE });

function writeJson(r: OperationResult, { hints }: DataContext): string {
  const head = `{"servedFrom":"","type":${sentType(r)},"revision":${r.revision}`;
  return `${head},"lastModified":${hlcJson(r.lastModified)},"route":${hints.json(r.route)}}`;
}

function readTail(r: OperationResult, asked: Integer): string {
  return `"revision":${answeredRevision(r, asked)},"expires":${hlcJson(r.expires)},"lastModified":${hlcJson(r.lastModified)}`;
}

/** A miss at a revision repeats the revision asked for, also one that only a 64-bit integer holds. */
function answeredRevision(r: OperationResult, asked: Integer): Integer {
  return r.revision === Number.MAX_SAFE_INTEGER ? asked : r.revision;
}

/** Types that only nodes use among themselves never reach a client (spec rest §3.1). */
function sentType(r: OperationResult): number {
  return r.type === ResponseType.Prepared ? ResponseType.MustRetry : r.type;
}

// ---- many keys -------------------------------------------------------------------------------------------------------------

/** One row of a batch: what was asked and what came of it. */
interface Row {
  readonly requested: RequestedOperation;
  /** The revision asked for, where one was. */
  readonly asked: Integer;
  result: OperationResult;
}

function row(requested: RequestedOperation, asked: Integer): Row {
  return { requested, asked, result: invalidInput() };
}

/** Executes the rows that pass the checks; the others keep InvalidInput (spec keyvalues §14). */
async function runValidRows(rows: readonly Row[], context: DataContext): Promise<void> {
  const valid: { row: Row; operation: Operation }[] = [];
  for (const row of rows) if (isValidOperation(row.requested)) valid.push({ row, operation: row.requested });
  const results = await context.calls.runAll(valid.map(({ operation }) => operation));
  for (const [i, { row }] of valid.entries()) row.result = results[i] ?? row.result;
}

const WRITE_ROW = object({
  servedFrom: SERVED_FROM,
  key: nullable(TEXT),
  type: TYPE,
  revision: INT64,
  lastModified: HLC,
  durability: INT32,
  routeIndex: INT32,
});
const READ_ROW = object({ key: TEXT, type: TYPE, value: BYTES, ...READ_TAIL, durability: INT32, routeIndex: INT32 });

function batch(row: JsonSchema): JsonSchema {
  const routes = nullable(list(shared('Route')));
  return object({ type: TYPE, items: list(row), timeElapsedMs: INT32, routes });
}

const WRITE_ROW_MISSING =
  '{"servedFrom":"","key":null,"type":100,"revision":0,"lastModified":{"n":0,"l":0,"c":0},"durability":0,"routeIndex":0}';

function writeRow({ requested, result: r }: Row, routes: RouteTable): string {
  const head = `{"servedFrom":"","key":${JSON.stringify(requested.key)},"type":${sentType(r)},"revision":${r.revision}`;
  return `${head},"lastModified":${hlcJson(r.lastModified)},"durability":${requested.durability},"routeIndex":${routes.index(r.route)}}`;
}

function readRow({ requested, result: r, asked }: Row, routes: RouteTable): string {
  const head = `{"key":${JSON.stringify(requested.key)},"type":${sentType(r)},"value":${bytesJson(r.value)}`;
  return `${head},${readTail(r, asked)},"durability":${requested.durability},"routeIndex":${routes.index(r.route)}}`;
}

/** The answer of a batch in the making: when it began, and the routes that its rows name. */
class BatchAnswer {
  private readonly context: DataContext;
  private readonly startedMs: number;
  private readonly routes: RouteTable;

  constructor(context: DataContext) {
    this.context = context;
    this.startedMs = context.clock.monotonicMs();
    this.routes = new RouteTable(context.hints);
  }

  /** `servedFrom`: reads have it on the envelope, writes on each row. */
  json(type: number, rows: readonly Row[], rowJson: typeof writeRow, servedFrom = ''): string {
    return this.envelope(type, rows.map(row => rowJson(row, this.routes)).join(','), servedFrom);
  }

  /** No list came: one row stands for it. */
  missing(): string {
    return this.envelope(ResponseType.InvalidInput, WRITE_ROW_MISSING, '');
  }

  private envelope(type: number, rows: string, servedFrom: string): string {
    const elapsedMs = Math.round(this.context.clock.monotonicMs() - this.startedMs);
    return `{"type":${type},${servedFrom}"items":[${rows}],"timeElapsedMs":${elapsedMs},"routes":${this.routes.json()}}`;
  }
}

const SET_MANY = { items: items({ ...SET, ...ITEM_TRANSACTION }) } as const;
const DELETE_MANY = { ...OPERATION_IDENTITY, items: items({ ...KEY, ...ITEM_TRANSACTION }) } as const;
const READ_MANY = { ...ITEM_TRANSACTION, ...READ_TIMESTAMP, items: items(READ) } as const;

async function setMany({ items: list }: Read<typeof SET_MANY>, context: DataContext): Promise<string> {
  const answer = new BatchAnswer(context);
  if (list === undefined) return answer.missing();
  const sets = list.map(toSet);
  const rows = sets.map(set => row(set, 0));
  const accepted = list.every(item => isZeroHlc(item.transactionId)) && setManyIsValid(sets);
  if (accepted) await runValidRows(rows, context);
  return answer.json(accepted ? ResponseType.Set : ResponseType.InvalidInput, rows, writeRow);
}

async function deleteMany(body: Read<typeof DELETE_MANY>, context: DataContext): Promise<string> {
  const answer = new BatchAnswer(context);
  if (body.items === undefined) return answer.missing();
  const rows = body.items.map(({ key, durability }) => row({ kind: 'delete', key, durability }, 0));
  const sessions = new Set(body.items.map(item => hlcJson(item.transactionId)));
  const session = body.items.find(item => !isZeroHlc(item.transactionId));
  const refused = session === undefined ? undefined : transactionRefusal(body, session.transactionId);
  if (refused === ResponseType.InvalidInput || (refused !== undefined && sessions.size > 1)) {
    return answer.json(ResponseType.InvalidInput, rows, writeRow);
  }
  if (refused === undefined) await runValidRows(rows, context);
  else for (const row of rows) if (isValidOperation(row.requested)) row.result = refusal(refused);
  return answer.json(ResponseType.Deleted, rows, writeRow);
}

function readMany(kind: 'get' | 'exists') {
  return async (body: Read<typeof READ_MANY>, context: DataContext): Promise<string> => {
    const answer = new BatchAnswer(context);
    const transactional = !isZeroHlc(body.transactionId);
    const rows = (body.items ?? []).map(item => row(toGet(kind, item, body.readTimestamp), item.revision));
    if (!transactional) await runValidRows(rows, context);
    const type = body.items === undefined || transactional ? ResponseType.InvalidInput : ResponseType.Get;
    return answer.json(type, rows, readRow, '"servedFrom":"",');
  };
}

const READ_BATCH = batch(READ_ROW);
const READ_MANY_RESPONSE = object({ ...READ_BATCH.properties, servedFrom: SERVED_FROM });

/** Spec rest §7 and §8. */
export const KEY_VALUE_ENDPOINTS: readonly Endpoint[] = [
  endpoint({
    path: '/v1/kv/try-set',
    summary: 'Write a key, if the conditions in the flags hold',
    body: { ...TRANSACTION, ...SET },
    response: WRITE_RESPONSE,
    handle: async (body, context) => writeJson(await runOne(body, toSet(body), context), context),
  }),
  endpoint({
    path: '/v1/kv/try-extend',
    summary: 'Give a key a new lifetime',
    body: { ...TRANSACTION, ...EXTEND },
    response: WRITE_RESPONSE,
    handle: async (body, context) => {
      const { key, expiresMs, durability } = body;
      return writeJson(await runOne(body, { kind: 'extend', key, expiresMs, durability }, context), context);
    },
  }),
  endpoint({
    path: '/v1/kv/try-delete',
    summary: 'Delete a key',
    body: { ...TRANSACTION, ...KEY },
    response: WRITE_RESPONSE,
    handle: async (body, context) => {
      const { key, durability } = body;
      return writeJson(await runOne(body, { kind: 'delete', key, durability }, context), context);
    },
  }),
  endpoint({
    path: '/v1/kv/try-get',
    summary: 'Read a key: the latest value, a revision, or as of a time',
    body: { ...TRANSACTION, ...READ, ...READ_TIMESTAMP },
    response: GET_RESPONSE,
    handle: async (body, context) => {
      const r = await runOne(body, toGet('get', body, body.readTimestamp), context);
      const value = `"value":${bytesJson(r.value)},${readTail(r, body.revision)}`;
      return `{"servedFrom":"","type":${sentType(r)},${value},"route":${context.hints.json(r.route)}}`;
    },
  }),
  endpoint({
    path: '/v1/kv/try-exists',
    summary: 'Ask whether a key exists, without its value',
    body: { ...TRANSACTION, ...READ, ...READ_TIMESTAMP },
    response: EXISTS_RESPONSE,
    handle: async (body, context) => {
      const r = await runOne(body, toGet('exists', body, body.readTimestamp), context);
      return `{"servedFrom":"","type":${sentType(r)},${readTail(r, body.revision)},"route":${context.hints.json(r.route)}}`;
    },
  }),
  endpoint({
    path: '/v1/kv/try-set-many',
    summary: 'Write many keys; each stands alone',
    body: SET_MANY,
    response: batch(WRITE_ROW),
    handle: setMany,
  }),
  endpoint({
    path: '/v1/kv/try-delete-many',
    summary: 'Delete many keys; each stands alone',
    body: DELETE_MANY,
    response: batch(WRITE_ROW),
    handle: deleteMany,
  }),
  endpoint({
    path: '/v1/kv/try-get-many',
    summary: 'Read many keys',
    body: READ_MANY,
    response: READ_MANY_RESPONSE,
    handle: readMany('get'),
  }),
  endpoint({
    path: '/v1/kv/try-exists-many',
    summary: 'Ask of many keys whether they exist',
    body: READ_MANY,
    response: READ_MANY_RESPONSE,
    handle: readMany('exists'),
  }),
];
