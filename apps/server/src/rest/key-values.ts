import { type Clock, type Hlc, isZeroHlc } from '@kahuna/base';
import { type Operation, type OperationResult, ResponseType } from '@kahuna/partition';
import type { RequestedDelete, RequestedExtend, RequestedGet, RequestedOperation, RequestedSet } from '@kahuna/wire';
import { invalidInput, isValidOperation, refusal, setManyIsValid } from '../gateway/validate.ts';
import type { Fields, Integer } from './fields.ts';
import { bytesJson, hlcJson } from './json-output.ts';
import type { NodeCalls } from './node-calls.ts';
import { type RouteHints, RouteTable } from './route-hints.ts';

/** A compare revision that no key can have (spec keyvalues §6.2: below −1 never matches). */
const NO_REVISION = -2;

/** What the key/value handlers work with. */
export interface KeyValueContext {
  readonly calls: NodeCalls;
  readonly hints: RouteHints;
  readonly clock: Clock;
}

/** Answers one parsed request with the JSON text of its response. */
export type KeyValueHandler = (fields: Fields, context: KeyValueContext) => Promise<string>;

// ---- requests --------------------------------------------------------------------------------------------------------------

function readSet(f: Fields): RequestedSet {
  const compareRevision = f.int64('compareRevision', 0);
  return {
    kind: 'set',
    key: f.text('key'),
    value: f.bytes('value'),
    expiresMs: f.int32('expiresMs', 0),
    flags: f.setFlags(),
    compareValue: f.bytes('compareValue'),
    compareRevision: typeof compareRevision === 'number' ? compareRevision : NO_REVISION,
    durability: f.durability(),
  };
}

function readExtend(f: Fields): RequestedExtend {
  return { kind: 'extend', key: f.text('key'), expiresMs: f.int32('expiresMs', 0), durability: f.durability() };
}

function readDelete(f: Fields): RequestedDelete {
  return { kind: 'delete', key: f.text('key'), durability: f.durability() };
}

function readGet(kind: 'get' | 'exists', f: Fields, readTimestamp: Hlc): RequestedGet {
  return {
    kind,
    key: f.text('key'),
    revision: knownRevision(f.int64('revision', -1)),
    readTimestamp,
    durability: f.durability(),
  };
}

/** Revisions beyond the safe integers exist nowhere; the largest safe one stands for them. Negative ones all mean the latest. */
function knownRevision(revision: Integer): number {
  if (revision < 0) return -1;
  return typeof revision === 'number' ? revision : Number.MAX_SAFE_INTEGER;
}

/** How an operation stands to transactions (spec rest §5.1). */
function transactionRefusal(f: Fields, transactionId: Hlc): OperationResult | undefined {
  const operationId = [f.uint64('operationIdHigh'), f.uint64('operationIdLow')];
  const identified = f.text('coordinatorKey') !== '' && operationId.some(half => half !== 0);
  if (isZeroHlc(transactionId)) return undefined;
  // No session can be started in this release, so a well-formed one is a session that nobody knows.
  return identified ? refusal(ResponseType.Aborted) : invalidInput();
}

// ---- one key ---------------------------------------------------------------------------------------------------------------

async function runOne(f: Fields, requested: RequestedOperation, context: KeyValueContext): Promise<OperationResult> {
  const refused = transactionRefusal(f, f.hlc('transactionId'));
  if (!isValidOperation(requested)) return invalidInput();
  return refused ?? (await context.calls.run(requested));
}

function writeHandler(read: (f: Fields) => RequestedOperation): KeyValueHandler {
  return async (f, context) => {
    const r = await runOne(f, read(f), context);
    const route = context.hints.json(r.route);
    return `{"servedFrom":"","type":${sentType(r)},"revision":${r.revision},"lastModified":${hlcJson(r.lastModified)},"route":${route}}`;
  };
}

export const trySet = writeHandler(readSet);
export const tryExtend = writeHandler(readExtend);
export const tryDelete = writeHandler(readDelete);

export const tryGet: KeyValueHandler = async (f, context) => {
  const r = await runOne(f, readGet('get', f, f.hlc('readTimestamp')), context);
  return `{"servedFrom":"","type":${sentType(r)},"value":${bytesJson(r.value)},${readTail(r, f)},"route":${context.hints.json(r.route)}}`;
};

export const tryExists: KeyValueHandler = async (f, context) => {
  const r = await runOne(f, readGet('exists', f, f.hlc('readTimestamp')), context);
  return `{"servedFrom":"","type":${sentType(r)},${readTail(r, f)},"route":${context.hints.json(r.route)}}`;
};

function readTail(r: OperationResult, f: Fields): string {
  return `"revision":${answeredRevision(r, f)},"expires":${hlcJson(r.expires)},"lastModified":${hlcJson(r.lastModified)}`;
}

/** A miss at a revision repeats the revision asked for, also one that only a 64-bit integer holds. */
function answeredRevision(r: OperationResult, f: Fields): Integer {
  return r.revision === Number.MAX_SAFE_INTEGER ? f.int64('revision', -1) : r.revision;
}

/** Types that only nodes use among themselves never reach a client (spec rest §3.1). */
function sentType(r: OperationResult): number {
  return r.type === ResponseType.Prepared ? ResponseType.MustRetry : r.type;
}

// ---- many keys -------------------------------------------------------------------------------------------------------------

/** One row of a batch: what was asked and what came of it. */
interface Row {
  readonly fields: Fields;
  readonly requested: RequestedOperation;
  result: OperationResult;
}

function rowsOf(items: readonly Fields[], read: (f: Fields) => RequestedOperation): Row[] {
  return items.map(fields => ({ fields, requested: read(fields), result: invalidInput() }));
}

/** Executes the rows that pass the checks; the others keep InvalidInput (spec keyvalues §14). */
async function runValidRows(rows: readonly Row[], context: KeyValueContext): Promise<void> {
  const valid: { row: Row; operation: Operation }[] = [];
  for (const row of rows) if (isValidOperation(row.requested)) valid.push({ row, operation: row.requested });
  const results = await context.calls.runAll(valid.map(({ operation }) => operation));
  for (const [i, { row }] of valid.entries()) row.result = results[i] ?? row.result;
}

const WRITE_ROW_MISSING =
  '{"servedFrom":"","key":null,"type":100,"revision":0,"lastModified":{"n":0,"l":0,"c":0},"durability":0,"routeIndex":0}';

function writeRow({ requested, result: r }: Row, routes: RouteTable): string {
  const head = `{"servedFrom":"","key":${JSON.stringify(requested.key)},"type":${sentType(r)},"revision":${r.revision}`;
  return `${head},"lastModified":${hlcJson(r.lastModified)},"durability":${requested.durability},"routeIndex":${routes.index(r.route)}}`;
}

function readRow(row: Row, routes: RouteTable): string {
  const { requested, result: r, fields } = row;
  const head = `{"key":${JSON.stringify(requested.key)},"type":${sentType(r)},"value":${bytesJson(r.value)}`;
  return `${head},${readTail(r, fields)},"durability":${requested.durability},"routeIndex":${routes.index(r.route)}}`;
}

function writeEnvelope(type: number, items: string, startedMs: number, routes: RouteTable, { clock }: KeyValueContext): string {
  return `{"type":${type},"items":[${items}],"timeElapsedMs":${Math.round(clock.monotonicMs() - startedMs)},"routes":${routes.json()}}`;
}

export const trySetMany: KeyValueHandler = async (f, context) => {
  const startedMs = context.clock.monotonicMs();
  const routes = new RouteTable(context.hints);
  const items = f.objects('items');
  if (items === undefined) return writeEnvelope(ResponseType.InvalidInput, WRITE_ROW_MISSING, startedMs, routes, context);
  const rows = rowsOf(items, readSet);
  const transactional = items.some(item => !isZeroHlc(item.hlc('transactionId')));
  const accepted = !transactional && setManyIsValid(rows.map(row => row.requested as RequestedSet));
  if (accepted) await runValidRows(rows, context);
  const type = accepted ? ResponseType.Set : ResponseType.InvalidInput;
  return writeEnvelope(type, rows.map(row => writeRow(row, routes)).join(','), startedMs, routes, context);
};

export const tryDeleteMany: KeyValueHandler = async (f, context) => {
  const startedMs = context.clock.monotonicMs();
  const routes = new RouteTable(context.hints);
  const items = f.objects('items');
  if (items === undefined) return writeEnvelope(ResponseType.InvalidInput, WRITE_ROW_MISSING, startedMs, routes, context);
  const rows = rowsOf(items, readDelete);
  const sessions = new Set(items.map(item => hlcJson(item.hlc('transactionId'))));
  const transactional = items.find(item => !isZeroHlc(item.hlc('transactionId')))?.hlc('transactionId');
  const refused = transactional === undefined ? undefined : transactionRefusal(f, transactional);
  let type: number = ResponseType.Deleted;
  if (refused === undefined) {
    await runValidRows(rows, context);
  } else if (refused.type === ResponseType.InvalidInput || sessions.size > 1) {
    type = ResponseType.InvalidInput;
  } else {
    for (const row of rows) if (isValidOperation(row.requested)) row.result = refused;
  }
  return writeEnvelope(type, rows.map(row => writeRow(row, routes)).join(','), startedMs, routes, context);
};

function readManyHandler(kind: 'get' | 'exists'): KeyValueHandler {
  return async (f, context) => {
    const startedMs = context.clock.monotonicMs();
    const routes = new RouteTable(context.hints);
    const readTimestamp = f.hlc('readTimestamp');
    const transactional = !isZeroHlc(f.hlc('transactionId'));
    const items = f.objects('items');
    const rows = rowsOf(items ?? [], item => readGet(kind, item, readTimestamp));
    if (!transactional) await runValidRows(rows, context);
    const type = items === undefined || transactional ? ResponseType.InvalidInput : ResponseType.Get;
    const body = rows.map(row => readRow(row, routes)).join(',');
    const elapsed = Math.round(context.clock.monotonicMs() - startedMs);
    return `{"type":${type},"servedFrom":"","items":[${body}],"timeElapsedMs":${elapsed},"routes":${routes.json()}}`;
  };
}

export const tryGetMany = readManyHandler('get');
export const tryExistsMany = readManyHandler('exists');
