import { HLC_ZERO } from '@kahuna/base';
import type { OperationResult } from '@kahuna/partition';
import { decodeDelete, decodeSet, Identity, type RequestExtras, writeHlc, writeInt64, writeRevision } from './key-value-codec.ts';
import { ProtoReader } from './proto-reader.ts';
import type { RequestedGet, RequestedOperation } from './requested.ts';
import type { ReverseWriter } from './reverse-writer.ts';

/** The multi-key messages of the `KeyValuer` service (grpc §5.3), between bytes and operations, as in `key-value-codec.ts`. */

export type ManyKind = 'set' | 'delete' | 'get' | 'exists';

export interface ManyRequest<O extends RequestedOperation = RequestedOperation> {
  readonly items: readonly O[];
  /** Some item, or the envelope, names a transaction. */
  readonly transactional: boolean;
  /** Revisions asked for that a number cannot hold, by item. */
  readonly exactRevisions: ReadonlyMap<number, bigint> | undefined;
}

/** More items than the receiver is willing to hold. */
export class TooManyItemsError extends Error {
  override name = 'TooManyItemsError';
}

const DELIMITED_1 = 10;
const DELIMITED_4 = 34;

/** Set-many and delete-many. An item has the fields of the one-key request under the same numbers. */
export function decodeManyWrites(
  kind: 'set' | 'delete',
  bytes: Uint8Array,
  start: number,
  end: number,
  maxItems: number,
): ManyRequest {
  const outer = new ProtoReader();
  const inner = new ProtoReader();
  const extras: RequestExtras = { identity: Identity.None, exactRevision: undefined };
  const decodeItem = kind === 'set' ? decodeSet : decodeDelete;
  const items: RequestedOperation[] = [];
  let transactional = false;
  outer.reset(bytes, start, end);
  while (outer.more) {
    const tag = outer.tag();
    if (tag !== DELIMITED_1) {
      outer.skip(tag);
      continue;
    }
    if (items.length === maxItems) throw new TooManyItemsError();
    const length = outer.length();
    inner.reset(bytes, outer.at, outer.at + length);
    outer.at += length;
    items.push(decodeItem(inner, extras));
    if ((extras.identity & Identity.Transaction) !== 0) transactional = true;
  }
  return { items, transactional, exactRevisions: undefined };
}

interface ManyReadItem {
  key: string;
  revision: number;
  durability: number;
}

/** Get-many and exists-many: one read timestamp for all items, wherever in the message it stands. */
export function decodeManyReads(
  kind: 'get' | 'exists',
  bytes: Uint8Array,
  start: number,
  end: number,
  maxItems: number,
): ManyRequest<RequestedGet> {
  const outer = new ProtoReader();
  const inner = new ProtoReader();
  const read: ManyReadItem[] = [];
  let exactRevisions: Map<number, bigint> | undefined;
  let transactional = false;
  let n = 0;
  let l = 0;
  let c = 0;
  outer.reset(bytes, start, end);
  while (outer.more) {
    const tag = outer.tag();
    switch (tag) {
      case 8:
      case 16:
      case 24:
        if (outer.nonZero64()) transactional = true;
        break;
      case DELIMITED_4: {
        if (read.length === maxItems) throw new TooManyItemsError();
        const length = outer.length();
        inner.reset(bytes, outer.at, outer.at + length);
        outer.at += length;
        const { item, exactRevision } = decodeManyReadItem(inner);
        if (exactRevision !== undefined) exactRevisions = (exactRevisions ?? new Map()).set(read.length, exactRevision);
        read.push(item);
        break;
      }
      case 40:
        n = outer.int32();
        break;
      case 48:
        l = outer.int64();
        break;
      case 56:
        c = outer.uint32();
        break;
      default:
        outer.skip(tag);
    }
  }
  const readTimestamp = l === 0 && c === 0 && n === 0 ? HLC_ZERO : { n, l, c };
  const items = read.map(item => ({ kind, key: item.key, revision: item.revision, readTimestamp, durability: item.durability }));
  return { items, transactional, exactRevisions };
}

function decodeManyReadItem(reader: ProtoReader): { item: ManyReadItem; exactRevision: bigint | undefined } {
  const item = { key: '', revision: 0, durability: 0 };
  let exactRevision: bigint | undefined;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        item.key = reader.text();
        break;
      case 16:
        item.revision = reader.int64();
        exactRevision = item.revision === Number.MAX_SAFE_INTEGER ? reader.exactInt64() : undefined;
        break;
      case 24:
        item.durability = reader.int32();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { item, exactRevision };
}

/** Encoded route hints of a response, each once, and for every item the 1-based position of its own; 0 = none (grpc §4.9). */
export interface RouteTable {
  readonly hints: readonly Uint8Array[];
  readonly indexes: readonly number[];
}

/** Writes the whole response. `request` and `results` are aligned. */
export function writeManyResponse(
  writer: ReverseWriter,
  kind: ManyKind,
  request: ManyRequest,
  results: readonly OperationResult[],
  elapsedMs: number,
  routes: RouteTable,
): void {
  const writes = kind === 'set' || kind === 'delete';
  if (writes) writeInt64(writer, 56, elapsedMs);
  for (let i = routes.hints.length - 1; i >= 0; i--) {
    writer.bytes(routes.hints[i] as Uint8Array);
    writer.u8(26);
  }
  for (let i = results.length - 1; i >= 0; i--) {
    const item = request.items[i] as RequestedOperation;
    const result = results[i] as OperationResult;
    const routeIndex = routes.indexes[i] ?? 0;
    const start = writer.mark;
    if (writes) writeWriteItem(writer, item, result, routeIndex);
    else if (kind === 'get') writeGetItem(writer, item, result, routeIndex, request.exactRevisions?.get(i));
    else writeExistsItem(writer, item, result, routeIndex, request.exactRevisions?.get(i));
    writer.uint32(writer.mark - start);
    writer.u8(writes ? 10 : 18);
  }
}

function writeKey(writer: ReverseWriter, tag: number, key: string): void {
  if (key === '') return;
  writer.text(key);
  writer.u8(tag);
}

function writeWriteItem(writer: ReverseWriter, item: RequestedOperation, result: OperationResult, routeIndex: number): void {
  writeInt64(writer, 72, routeIndex);
  writeInt64(writer, 64, item.durability);
  writeHlc(writer, 40, result.lastModified);
  writeInt64(writer, 32, result.revision);
  writeKey(writer, 26, item.key);
  writeInt64(writer, 16, result.type);
}

function writeGetItem(
  writer: ReverseWriter,
  item: RequestedOperation,
  result: OperationResult,
  routeIndex: number,
  exactRevision: bigint | undefined,
): void {
  if (routeIndex !== 0) {
    writer.int64(routeIndex);
    writer.uint32(128);
  }
  writeInt64(writer, 120, result.state);
  writeHlc(writer, 96, result.lastModified);
  writeHlc(writer, 72, result.lastUsed);
  writeHlc(writer, 48, result.expires);
  writeRevision(writer, 40, result.revision, exactRevision);
  if (result.value !== null) {
    writer.bytes(result.value);
    writer.u8(34);
  }
  writeInt64(writer, 24, item.durability);
  writeKey(writer, 18, item.key);
  writeInt64(writer, 8, result.type);
}

function writeExistsItem(
  writer: ReverseWriter,
  item: RequestedOperation,
  result: OperationResult,
  routeIndex: number,
  exactRevision: bigint | undefined,
): void {
  writeInt64(writer, 120, routeIndex);
  writeInt64(writer, 112, result.state);
  writeHlc(writer, 88, result.lastModified);
  writeHlc(writer, 64, result.lastUsed);
  writeHlc(writer, 40, result.expires);
  writeRevision(writer, 32, result.revision, exactRevision);
  writeInt64(writer, 24, item.durability);
  writeKey(writer, 18, item.key);
  writeInt64(writer, 8, result.type);
}
