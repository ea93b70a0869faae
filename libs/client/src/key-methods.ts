import type { Hlc } from '@kahuna/base';
import { keyValueMessages } from '@kahuna/wire';
import { READ, WRITE } from './call.ts';
import type { Caller } from './caller.ts';
import type { Codec } from './codecs.ts';
import { type KahunaError, OutcomeUnknownError, ProtocolError, TruncatedError } from './errors.ts';
import { doubtful, failureOf, Type } from './key-calls.ts';
import type { DeleteRow, Entry, SetRow } from './keys-api.ts';
import { REFUSED, request } from './method-call.ts';
import type { CallOptions } from './options.ts';
import { expiryOf, stampOf } from './stamps.ts';
import type { RangePage, RangeRequest, ResponseOf } from './transport.ts';

type SetManyItem = keyValueMessages.GrpcTrySetManyKeyValueRequestItem;
type DeleteManyItem = keyValueMessages.GrpcTryDeleteManyKeyValueRequestItem;
type ReadManyItem = keyValueMessages.GrpcTryManyValuesRequestItem;
type ScanItem = keyValueMessages.GrpcKeyValueByPrefixItemResponse;

/** A bucket or scan answer has no more rows than this, and no mark where it left some out (keyvalues §11). */
const MAX_SCAN_ROWS = 4096;
const NO_ROUTE = (): undefined => undefined;

/** Transaction identity of requests outside any transaction. */
export const NO_TRANSACTION = {
  TransactionIdNode: 0,
  TransactionIdPhysical: 0n,
  TransactionIdCounter: 0,
  CoordinatorKey: '',
  OperationIdHigh: 0n,
  OperationIdLow: 0n,
} as const;

export function readStamp(stamp: Hlc): {
  ReadTimestampNode: number;
  ReadTimestampPhysical: bigint;
  ReadTimestampCounter: number;
} {
  return { ReadTimestampNode: stamp.n, ReadTimestampPhysical: BigInt(stamp.l), ReadTimestampCounter: stamp.c };
}

interface WriteRow {
  readonly Type: number;
  readonly Key: string;
  readonly Revision: bigint;
  readonly LastModifiedNode: number;
  readonly LastModifiedPhysical: bigint;
  readonly LastModifiedCounter: number;
}

/** `inDoubt`: an earlier attempt may have taken effect, and be what a miss speaks of. */
function writeRow(row: WriteRow, success: number, miss: number, inDoubt: boolean) {
  const done = row.Type === success;
  let error: KahunaError | undefined;
  if (row.Type === miss && inDoubt) {
    error = doubtful(`the write of ${JSON.stringify(row.Key)}`);
  } else if (row.Type === Type.TYPE_MUST_RETRY) {
    error = new OutcomeUnknownError(`the server could not complete the write of ${JSON.stringify(row.Key)}`);
  } else if (!done && row.Type !== miss) error = failureOf(row.Type, `the write of ${JSON.stringify(row.Key)}`);
  const lastModified = stampOf(row.LastModifiedNode, row.LastModifiedPhysical, row.LastModifiedCounter);
  return { key: row.Key, done, revision: Number(row.Revision), lastModified, error };
}

/** One row per item, in the order of the items: anything else is not this contract. */
function checkRows(rows: readonly { readonly Type: number }[], items: readonly unknown[]): void {
  if (rows.length !== items.length) throw new ProtocolError(`${rows.length} rows answer ${items.length} items`);
}

const allRefused = (rows: readonly { readonly Type: number }[]): boolean =>
  rows.length > 0 && rows.every(row => row.Type === Type.TYPE_MUST_RETRY);

export function setMany(caller: Caller, items: SetManyItem[], options: CallOptions): Promise<SetRow[]> {
  return request(
    caller,
    {
      traits: WRITE,
      method: 'setMany',
      request: { Items: items },
      route: NO_ROUTE,
      conclude: (response, inDoubt) => {
        checkRows(response.Items, items);
        if (allRefused(response.Items)) return REFUSED;
        return response.Items.map(item => {
          const { key, done, revision, lastModified, error } = writeRow(item, Type.TYPE_SET, Type.TYPE_NOTSET, inDoubt);
          return { key, set: done, revision, lastModified, error };
        });
      },
    },
    options,
  );
}

export function deleteMany(caller: Caller, items: DeleteManyItem[], options: CallOptions): Promise<DeleteRow[]> {
  return request(
    caller,
    {
      traits: WRITE,
      method: 'deleteMany',
      request: { Items: items },
      route: NO_ROUTE,
      conclude: (response, inDoubt) => {
        checkRows(response.Items, items);
        if (allRefused(response.Items)) return REFUSED;
        return response.Items.map(item => {
          const { key, done, revision, lastModified, error } = writeRow(
            item,
            Type.TYPE_DELETED,
            Type.TYPE_DOES_NOT_EXIST,
            inDoubt,
          );
          return { key, deleted: done, revision, lastModified, error };
        });
      },
    },
    options,
  );
}

export function getMany<T>(
  caller: Caller,
  items: ReadManyItem[],
  asOf: Hlc,
  codec: Codec<T, never>,
  options: CallOptions,
): Promise<(Entry<T> | undefined)[]> {
  return request(
    caller,
    {
      traits: READ,
      method: 'getMany',
      request: { ...NO_TRANSACTION, Items: items, ...readStamp(asOf) },
      route: NO_ROUTE,
      conclude: response => {
        checkRows(response.Items, items);
        if (response.Items.some(item => item.Type === Type.TYPE_MUST_RETRY)) return REFUSED;
        return response.Items.map(item => {
          if (item.Type === Type.TYPE_DOES_NOT_EXIST) return undefined;
          if (item.Type !== Type.TYPE_GOT) throw failureOf(item.Type, `get of ${JSON.stringify(item.Key)}`);
          return entryOf(item, codec);
        });
      },
    },
    options,
  );
}

export function existsMany(caller: Caller, items: ReadManyItem[], asOf: Hlc, options: CallOptions): Promise<boolean[]> {
  return request(
    caller,
    {
      traits: READ,
      method: 'existsMany',
      request: { ...NO_TRANSACTION, Items: items, ...readStamp(asOf) },
      route: NO_ROUTE,
      conclude: response => {
        checkRows(response.Items, items);
        if (response.Items.some(item => item.Type === Type.TYPE_MUST_RETRY)) return REFUSED;
        return response.Items.map(item => {
          if (item.Type === Type.TYPE_EXISTS) return true;
          if (item.Type === Type.TYPE_DOES_NOT_EXIST) return false;
          throw failureOf(item.Type, `exists of ${JSON.stringify(item.Key)}`);
        });
      },
    },
    options,
  );
}

export function entryOf<T>(item: Omit<ScanItem, 'State'>, codec: Codec<T, never>): Entry<T> {
  return {
    key: item.Key,
    value: item.Value === undefined ? null : codec.decode(item.Value),
    revision: Number(item.Revision),
    expires: expiryOf(stampOf(item.ExpiresNode, item.ExpiresPhysical, item.ExpiresCounter)),
    lastModified: stampOf(item.LastModifiedNode, item.LastModifiedPhysical, item.LastModifiedCounter),
  };
}

/** Rows of a bucket or scan answer; none of them for a miss. */
function scanRows(type: number, items: readonly ScanItem[], prefix: string): readonly ScanItem[] | typeof REFUSED {
  if (type === Type.TYPE_MUST_RETRY) return REFUSED;
  if (type === Type.TYPE_DOES_NOT_EXIST) return [];
  if (type !== Type.TYPE_GOT) throw failureOf(type, `reading of ${JSON.stringify(prefix)}`);
  return items;
}

export function getByBucket(
  caller: Caller,
  prefix: string,
  durability: number,
  asOf: Hlc,
  options: CallOptions,
): Promise<readonly ScanItem[]> {
  return request(
    caller,
    {
      traits: READ,
      method: 'getByBucket',
      request: { ...NO_TRANSACTION, PrefixKey: prefix, Durability: durabilityOf(durability), ...readStamp(asOf) },
      route: routes => routes.ofKey(prefix.endsWith('/') ? prefix : `${prefix}/`),
      conclude: response => scanRows(response.Type, response.Items, prefix),
    },
    options,
  );
}

export async function scanByPrefix(
  caller: Caller,
  prefix: string,
  durability: number,
  asOf: Hlc,
  options: CallOptions,
): Promise<{ rows: readonly ScanItem[]; truncated: TruncatedError | undefined }> {
  const rows = await request(
    caller,
    {
      traits: READ,
      method: 'scanAllByPrefix',
      request: { PrefixKey: prefix, Durability: durabilityOf(durability), ...readStamp(asOf) },
      route: NO_ROUTE,
      conclude: response => scanRows(response.Type, response.Items, prefix),
    },
    options,
  );
  const full = rows.length >= MAX_SCAN_ROWS;
  const truncated = full
    ? new TruncatedError(`the server answers at most ${MAX_SCAN_ROWS} keys with prefix ${JSON.stringify(prefix)}`)
    : undefined;
  return { rows, truncated };
}

/** One page of a walk at a given time. */
export function getPage(caller: Caller, range: RangeRequest, options: CallOptions): Promise<ResponseOf<'getByRange'>> {
  return request(
    caller,
    {
      traits: READ,
      method: 'getByRange',
      request: range,
      route: routes => routes.ofKey(range.StartKey ?? `${range.Prefix}/`),
      conclude: response => {
        if (response.Type === Type.TYPE_MUST_RETRY) return REFUSED;
        checkPage(response, range);
        return response;
      },
    },
    options,
  );
}

export function checkPage(page: Pick<RangePage, 'Type'>, range: RangeRequest): void {
  if (page.Type !== Type.TYPE_GOT && page.Type !== Type.TYPE_DOES_NOT_EXIST) {
    throw failureOf(page.Type, `walk over ${JSON.stringify(range.Prefix)}`);
  }
}

/** The contract's enumeration has exactly these two. */
export function durabilityOf(durability: number): keyValueMessages.GrpcKeyValueDurability {
  const { EPHEMERAL, PERSISTENT } = keyValueMessages.GrpcKeyValueDurability;
  return durability === EPHEMERAL ? EPHEMERAL : PERSISTENT;
}
